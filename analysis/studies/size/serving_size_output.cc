#include <fmt/format.h>

#include "analysis/render/text/format.h"
#include "analysis/render/text/text_table.h"
#include "analysis/studies/size/serving_size.h"

namespace flopcast {
namespace {

std::string sample_table(const std::vector<CurveSample>& samples, bool deployments, const TextStyle& style) {
  TextTable table(
      {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::left});
  table.header({deployments ? "deployment" : "requests/s", "GPUs", "tok/s/user", "tok/s/GPU", "TTFT p90", "TPOT p90",
                "$/M out", ""});
  for (const CurveSample& s : samples)
    table.row({deployments ? s.deployment : fmt::format("{:.3g}", s.requests_per_s), fmt::format("{}", s.gpus),
               fmt::format("{:.1f}", s.tokens_per_s_per_user), fmt::format("{:.0f}", s.tokens_per_s_per_gpu),
               format_time(Seconds(s.ttft_p90)), format_time(Seconds(s.tpot_p90)),
               s.usd_per_million_output > 0 ? fmt::format("{:.2f}", s.usd_per_million_output) : "-",
               fmt::format("{}{}", name(s.state), s.meets ? ", meets" : "")});
  return table.render(style);
}

std::string counts_of(const Scenario& scenario, const SizeResult& result) {
  std::vector<std::string> counts;
  for (std::size_t p = 0; p < result.counts.size(); ++p) {
    const PoolSpec& pool = scenario.serving->pools[p];
    const int gpus = pool.engine.plan.gpus();
    counts.push_back(fmt::format("{} x {} ({} GPU{} each)", result.counts[p], pool.name, gpus, gpus == 1 ? "" : "s"));
  }
  return fmt::format("{}", fmt::join(counts, " and "));
}

}  // namespace

Diagnostic unmet(const Scenario& scenario, const SizeOptions& options, const SizeResult& result) {
  Diagnostic d;
  d.file = scenario.file;
  d.field = "--slo";
  d.found = fmt::format("{} of requests within {}, which no deployment on the {} GPUs of the cluster keeps",
                        format_percent(options.attainment, 0), limits_of(options.promise), scenario.cluster.gpus());
  d.expected = fmt::format("what one can keep; nearest comes {} with {}", counts_of(scenario, result),
                           format_percent(result.attainment));
  return with_remedy(std::move(d), "more nodes (--set cluster.nodes=N), other replicas, or a later promise");
}

std::string size_answer(const SizeOptions& options, const std::vector<PoolRatio>& ratios) {
  const auto best = best_ratio(ratios);
  std::string out;
  if (best != ratios.end()) {
    out = fmt::format(
        "Best ratio for {} of requests within {}: {} prefill to {} decode replicas, {:.3g} requests per "
        "second on {} GPUs.",
        format_percent(options.attainment, 0), limits_of(options.promise), best->prefill, best->decode,
        best->at_most.requests_per_s, best->gpus);
  } else {
    out = fmt::format("No split of the cluster serves any traffic with {} of requests within {}.",
                      format_percent(options.attainment, 0), limits_of(options.promise));
  }
  return out;
}

std::string size_answer(const Scenario& scenario, const SizeOptions& options, const SizeResult& result) {
  std::string out;
  if (result.met) {
    out = fmt::format(
        "Smallest deployment with {} of requests within {}: {}, {} GPU{} in all; it keeps the promise for "
        "{}.",
        format_percent(options.attainment, 0), limits_of(options.promise), counts_of(scenario, result), result.gpus,
        result.gpus == 1 ? "" : "s", format_percent(result.attainment));
  } else {
    out = fmt::format(
        "No deployment on the {} GPUs of the cluster keeps {} of requests within {}. The nearest: {}, {} "
        "GPUs, with {}.",
        scenario.cluster.gpus(), format_percent(options.attainment, 0), limits_of(options.promise),
        counts_of(scenario, result), result.gpus, format_percent(result.attainment));
  }
  return out;
}

std::string to_text(const SizeOptions& options, const std::vector<PoolRatio>& ratios, const TextStyle& style) {
  const auto best = best_ratio(ratios);
  TextTable table({Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right,
                   Align::right, Align::left});
  table.header({"prefill", "decode", "GPUs", "requests/s", "per GPU", "tok/s/GPU", "TTFT p90", "TPOT p90", ""});
  for (const PoolRatio& r : ratios) {
    const CurveSample& s = r.at_most;
    const bool any = s.requests_per_s > 0;
    table.row({fmt::format("{}", r.prefill), fmt::format("{}", r.decode), fmt::format("{}", r.gpus),
               any ? fmt::format("{:.3g}", s.requests_per_s) : "none",
               any ? fmt::format("{:.3g}", r.requests_per_gpu()) : "-",
               any ? fmt::format("{:.0f}", s.tokens_per_s_per_gpu) : "-", any ? format_time(Seconds(s.ttft_p90)) : "-",
               any ? format_time(Seconds(s.tpot_p90)) : "-", best != ratios.end() && &r == &*best ? "best" : ""});
  }
  return wrap(size_answer(options, ratios), style.width(), "") +
         "\n\nMost traffic within the promise, split by split\n" + table.render(style);
}

std::string to_text(const Scenario& scenario, const SizeOptions& options, const SizeResult& result,
                    const TextStyle& style) {
  std::string out = wrap(size_answer(scenario, options, result), style.width(), "") + "\n\nTried\n" +
                    sample_table(result.tried, true, style);
  if (result.curve.empty()) return out;
  const std::string saturation =
      result.saturation.rate > 0
          ? fmt::format(
                "Saturation point: {:.4g} requests per second, {:.3g} times this traffic. At more, queues grow to "
                "the end.",
                result.saturation.rate, result.saturation.load)
          : fmt::format("Saturation point: {}.", result.saturation.note);
  out += "\n" + wrap(saturation, style.width(), "") + "\n";
  out += "\n" +
         wrap(fmt::format("Throughput against speed: this deployment at 10 % to 120 % of {}",
                          result.saturation.rate > 0 ? "that" : "the traffic"),
              style.width(), "") +
         "\n" + sample_table(result.curve, false, style);
  return out;
}

}  // namespace flopcast
