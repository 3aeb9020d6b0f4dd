#include "analysis/serving_size.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/format.h"
#include "analysis/text_table.h"
#include "scenarios/quantity.h"

namespace flopcast {
namespace {

/// The same traffic, `factor` times as much of it.
TrafficConfig scaled(TrafficConfig traffic, double factor) {
  for (TrafficClass& c : traffic.classes) {
    if (auto* loop = std::get_if<OpenLoop>(&c.arrivals)) loop->rate = loop->rate.scaled(factor);
    if (auto* loop = std::get_if<ClosedLoop>(&c.arrivals)) loop->users = std::max(1, static_cast<std::int32_t>(loop->users * factor));
    if (std::holds_alternative<TraceTimes>(c.arrivals)) {
      auto& trace = std::get<TraceTraffic>(c.lengths);
      trace.options.rate_scale *= factor;
    }
  }
  return traffic;
}

class Sizer {
 public:
  Sizer(const Scenario& scenario, const SizeOptions& options) : scenario_(scenario), options_(options) {}

  SizeResult run() {
    const ServingScenario& serving = *scenario_.serving;
    std::vector<int> most;
    int left = scenario_.cluster.gpus();
    // Prefill and decode replicas may take as many GPUs each as the cluster leaves beside one of the other kind.
    for (std::size_t p = 0; p < serving.pools.size(); ++p) {
      int others = 0;
      for (std::size_t q = 0; q < serving.pools.size(); ++q)
        if (q != p) others += serving.pools[q].engine.plan.gpus();
      most.push_back(std::max(1, (left - others) / serving.pools[p].engine.plan.gpus()));
    }
    return serving.pools.size() == 1 ? one_pool(most[0]) : two_pools(most[0], most[1]);
  }

 private:
  SizeResult one_pool(int most) {
    const int count = fewest(most, [](int n) { return std::vector<int>{n}; });
    return finish({count});
  }

  SizeResult two_pools(int most_prefill, int most_decode) {
    // As many prefill replicas as the cluster holds beside so many decode replicas.
    const auto plan = [&](std::size_t p) { return scenario_.serving->pools[p].engine.plan.gpus(); };
    const auto beside = [&](int decode) { return std::clamp((scenario_.cluster.gpus() - decode * plan(1)) / plan(0), 1, most_prefill); };
    const int decode = fewest(most_decode, [&](int n) { return std::vector<int>{beside(n), n}; });
    if (!met_) return finish({beside(decode), decode});
    const int prefill = fewest(beside(decode), [&](int n) { return std::vector<int>{n, decode}; });
    return finish({prefill, decode});
  }

  /// Fewest that meet the promise: doubled until it is met, then halved in between. The most there can be when it never is.
  template <class Counts>
  int fewest(int most, Counts counts) {
    int low = 0, high = 1;
    while (!meets(counts(high))) {
      low = high;
      if (high == most) return most;
      high = std::min(most, 2 * high);
    }
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (meets(counts(middle)) ? high : low) = middle;
    }
    met_ = true;
    return high;
  }

  CurveSample sample(const std::vector<int>& counts, double load) {
    Scenario scenario = scenario_;
    auto serving = std::make_shared<ServingScenario>(*scenario_.serving);
    int gpus = 0;
    std::string deployment;
    for (std::size_t p = 0; p < counts.size(); ++p) {
      serving->pools[p].replicas = counts[p];
      gpus += counts[p] * serving->pools[p].engine.plan.gpus();
      deployment += fmt::format("{}{} {}", p ? " + " : "", counts[p], serving->pools[p].name);
    }
    serving->sample = 1;
    serving->autoscale.on = false;
    serving->levels.assign(serving->levels.size(), options_.promise);
    if (load != 1) serving->traffic = scaled(serving->traffic, load);
    scenario.serving = serving;
    if (options_.stage) options_.stage(fmt::format("{}, load {:g}", deployment, load));
    const ServingReport report = run_serving(scenario, options_.serving);
    CurveSample out;
    const double seconds = report.totals.duration().value();
    out.requests_per_s = seconds > 0 ? static_cast<double>(report.all.arrived.requests) / seconds : 0;
    out.tokens_per_s_per_user = report.all.tpot.mean() > 0 ? 1 / report.all.tpot.mean() : 0;
    out.tokens_per_s_per_gpu = report.output_per_gpu;
    out.ttft_p90 = report.all.ttft.quantile(0.9);
    out.tpot_p90 = report.all.tpot.quantile(0.9);
    out.usd_per_million_output = report.cost.per_million_output.value();
    out.state = report.state;
    out.gpus = gpus;
    attainment_ = report.all.slo_attainment();
    out.meets = attainment_ >= options_.attainment && report.state != LoadState::overloaded;
    out.deployment = deployment;
    return out;
  }

  bool meets(const std::vector<int>& counts) {
    for (const auto& [known, verdict] : verdicts_)
      if (known == counts) return verdict;
    result_.tried.push_back(sample(counts, 1));
    const bool verdict = result_.tried.back().meets;
    verdicts_.emplace_back(counts, verdict);
    if (!met_ && attainment_ > nearest_) {
      nearest_ = attainment_;
      nearest_counts_ = counts;
    }
    return verdict;
  }

  SizeResult finish(std::vector<int> counts) {
    result_.met = met_;
    if (!met_ && !nearest_counts_.empty()) counts = nearest_counts_;
    result_.counts = std::move(counts);
    for (std::size_t p = 0; p < result_.counts.size(); ++p) result_.gpus += result_.counts[p] * scenario_.serving->pools[p].engine.plan.gpus();
    const CurveSample here = sample(result_.counts, 1);
    result_.attainment = attainment_;
    if (!options_.curve) return std::move(result_);
    for (const double load : {0.25, 0.5, 0.75}) result_.curve.push_back(sample(result_.counts, load));
    result_.curve.push_back(here);
    result_.curve.push_back(sample(result_.counts, 1.25));
    return std::move(result_);
  }

  const Scenario& scenario_;
  const SizeOptions& options_;
  SizeResult result_;
  bool met_ = false;
  double attainment_ = 0, nearest_ = -1;
  std::vector<int> nearest_counts_;
  std::vector<std::pair<std::vector<int>, bool>> verdicts_;
};

std::string sample_table(const std::vector<CurveSample>& samples, bool deployments) {
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::left});
  table.header({deployments ? "deployment" : "requests/s", "GPUs", "tok/s/user", "tok/s/GPU", "TTFT p90", "TPOT p90", "$/M out", ""});
  for (const CurveSample& s : samples)
    table.row({deployments ? s.deployment : fmt::format("{:.3g}", s.requests_per_s), fmt::format("{}", s.gpus), fmt::format("{:.1f}", s.tokens_per_s_per_user),
               fmt::format("{:.0f}", s.tokens_per_s_per_gpu), format_time(Seconds(s.ttft_p90)), format_time(Seconds(s.tpot_p90)),
               s.usd_per_million_output > 0 ? fmt::format("{:.2f}", s.usd_per_million_output) : "-",
               fmt::format("{}{}", name(s.state), s.meets ? ", meets" : "")});
  return table.render(TextStyle());
}

}  // namespace

SizeResult size_deployment(const Scenario& scenario, const SizeOptions& options) { return Sizer(scenario, options).run(); }

ServiceLevel parse_promise(const std::string& text) {
  ServiceLevel level;
  std::vector<Diagnostic> faults;
  const auto fault = [&](const std::string& found, const std::string& expected, const std::string& suggestion = "") {
    Diagnostic d;
    d.field = "--slo";
    d.found = found;
    d.expected = expected;
    d.suggestion = suggestion;
    faults.push_back(std::move(d));
  };
  const std::vector<std::string> names = {"ttft", "tpot", "e2e"};
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t equals = part.find('=');
    const std::string key = part.substr(0, equals), value = equals == std::string::npos ? "" : part.substr(equals + 1);
    if (std::find(names.begin(), names.end(), key) == names.end()) {
      fault("`" + part + "`", "ttft=TIME, tpot=TIME or e2e=TIME, such as ttft=2s,tpot=50ms", nearest_name(key, names));
      continue;
    }
    const auto parsed = parse_quantity(value, Dimension::time);
    if (const auto* bad = std::get_if<QuantityFault>(&parsed)) {
      fault(key + "=" + bad->found, bad->expected, bad->suggestion);
    } else if (std::get<double>(parsed) <= 0) {
      fault(part, "a time above zero");
    } else {
      (key == "ttft" ? level.ttft : key == "tpot" ? level.tpot : level.end_to_end) = Seconds(std::get<double>(parsed));
    }
  }
  if (!faults.empty()) throw InputError(std::move(faults));
  return level;
}

std::string to_text(const Scenario& scenario, const SizeOptions& options, const SizeResult& result) {
  std::vector<std::string> limits, counts;
  if (options.promise.ttft < kNever) limits.push_back("TTFT " + format_time(options.promise.ttft));
  if (options.promise.tpot < kNever) limits.push_back("TPOT " + format_time(options.promise.tpot));
  if (options.promise.end_to_end < kNever) limits.push_back("end to end " + format_time(options.promise.end_to_end));
  for (std::size_t p = 0; p < result.counts.size(); ++p)
    counts.push_back(fmt::format("{} x {} ({} GPUs each)", result.counts[p], scenario.serving->pools[p].name, scenario.serving->pools[p].engine.plan.gpus()));
  std::string out;
  if (result.met) {
    out = fmt::format("Smallest deployment with {} of requests within {}: {}, {} GPUs in all; it keeps the promise for {}.\n",
                      format_percent(options.attainment, 0), fmt::join(limits, ", "), fmt::join(counts, " and "), result.gpus, format_percent(result.attainment));
  } else {
    out = fmt::format("No deployment on the {} GPUs of the cluster keeps {} of requests within {}. The nearest: {}, {} GPUs, with {}.\n",
                      scenario.cluster.gpus(), format_percent(options.attainment, 0), fmt::join(limits, ", "), fmt::join(counts, " and "), result.gpus,
                      format_percent(result.attainment));
  }
  out = wrap(out, 100, "") + "\nTried\n" + sample_table(result.tried, true);
  if (!result.curve.empty())
    out += "\nThroughput against speed: this deployment at 0.25 to 1.25 times the traffic\n" + sample_table(result.curve, false);
  return out;
}

}  // namespace flopcast
