#include "analysis/studies/size/serving_nodes.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"
#include "analysis/render/chart/page.h"
#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/studies/size/size_search.h"
#include "scenarios/proto/plan_report.pb.h"
#include "scenarios/resolve/load_scenario.h"
#include "sim/base/diagnostic.h"
#include "sim/base/fault_text.h"

namespace flopcast {
namespace {

SizedService sized(const Scenario& scenario, const SizeOptions& options) {
  const SizeResult result = size_deployment(scenario, options);
  SizedService out;
  out.node = scenario.cluster.node.name;
  out.gpu = scenario.cluster.node.gpu.name;
  out.gpus = result.gpus;
  out.met = result.met;
  out.attainment = result.attainment;
  std::vector<std::string> parts;
  for (std::size_t p = 0; p < result.counts.size(); ++p)
    parts.push_back(fmt::format("{} {}", result.counts[p], scenario.serving->pools[p].name));
  out.deployment = fmt::format("{}", fmt::join(parts, " + "));
  const auto tried = std::find_if(result.tried.begin(), result.tried.end(),
                                  [&](const CurveSample& s) { return s.deployment == out.deployment; });
  if (tried != result.tried.end()) out.sample = *tried;
  return out;
}

bool better(const SizedService& a, const SizedService& b) {
  if (a.met != b.met) return a.met;
  if (!a.met && a.attainment != b.attainment) return a.attainment > b.attainment;
  if (a.usd_per_hour.has_value() != b.usd_per_hour.has_value()) return a.usd_per_hour.has_value();
  if (a.usd_per_hour && *a.usd_per_hour != *b.usd_per_hour) return *a.usd_per_hour < *b.usd_per_hour;
  return a.gpus < b.gpus;
}

std::string gpus_text(const SizedService& s) { return fmt::format("{} GPU{}", s.gpus, s.gpus == 1 ? "" : "s"); }

std::vector<std::string> cells(const SizedService& s) {
  const auto million = s.usd_per_million_output();
  return {s.node,
          s.deployment,
          format_integer(s.gpus),
          format_percent(s.attainment),
          format_time(Seconds(s.sample.ttft_p90)),
          format_time(Seconds(s.sample.tpot_p90)),
          s.usd_per_hour ? fmt::format("${:.2f}", *s.usd_per_hour) : "no rent known",
          million ? fmt::format("${:.3g}", *million) : ""};
}

const std::vector<std::string> kHeader{"node",     "replicas", "GPUs", "within the promise",
                                       "TTFT p90", "TPOT p90", "$/h",  "$ per 10^6 output tokens"};
const std::vector<Align> kAlign{Align::left,  Align::left,  Align::right, Align::right,
                                Align::right, Align::right, Align::right, Align::right};

}  // namespace

std::optional<double> SizedService::usd_per_million_output() const {
  const double per_hour = sample.tokens_per_s_per_gpu * gpus * 3600;
  return usd_per_hour && per_hour > 0 ? std::optional(*usd_per_hour / per_hour * 1e6) : std::nullopt;
}

ServiceNodes size_on_nodes(const std::string& file_or_name, const Environment& environment,
                           const std::vector<std::string>& sets, const std::vector<std::string>& nodes,
                           const std::optional<Date>& date, const SizeOptions& options) {
  const EnvironmentData& data = environment.data();
  ServiceNodes out;
  out.base = load_open_scenario(file_or_name, sets, data.libraries()).scenario;
  if (!out.base.serving)
    throw InputError(
        Diagnostic{out.base.file, 0, 0, "serving", "nothing", "serving { ... }: what answers requests", ""});
  out.promise = options.promise;
  out.attainment = options.attainment;
  out.date = date ? date : out.base.date;
  SizeOptions each = options;
  each.curve = false;
  for (const std::string& node : nodes_to_try(nodes, false, out.base, data.libraries())) {
    try {
      std::vector<std::string> on = sets;
      on.push_back("cluster.node=" + node);
      if (date) on.push_back("date=" + to_string(*date));
      const Scenario scenario = resolve(file_or_name, environment, on).value();
      each.serving.power = data.power(scenario.cluster.node.gpu.architecture);
      if (options.stage) each.stage = [&](const std::string& what) { options.stage(node + ": " + what); };
      SizedService service = sized(scenario, each);
      if (const auto price = price_on(scenario, node, out.base, out.date, data.prices()))
        service.usd_per_hour = price->value() * 3600 * service.gpus;
      out.services.push_back(std::move(service));
    } catch (const InputError& error) {
      out.left_out.push_back({node, brief(error)});
    }
  }
  std::stable_sort(out.services.begin(), out.services.end(), better);
  return out;
}

std::string size_answer(const ServiceNodes& study) {
  const std::string asked =
      fmt::format("{} of requests within {}", format_percent(study.attainment, 0), limits_of(study.promise));
  if (study.services.empty() || !study.services.front().met)
    return fmt::format("No kind of node that was tried keeps {}.", asked);
  const SizedService& first = study.services.front();
  std::string out = fmt::format("{} for {}: {} on {}, {}{}", first.usd_per_hour ? "Cheapest" : "Smallest", asked,
                                first.deployment, first.node, gpus_text(first),
                                first.usd_per_hour ? fmt::format(" at ${:.2f} an hour", *first.usd_per_hour) : "");
  const auto fewest = std::min_element(study.services.begin(), study.services.end(), [](const auto& a, const auto& b) {
    return a.met != b.met ? a.met : a.gpus < b.gpus;
  });
  if (fewest->gpus < first.gpus)
    out += fmt::format("; fewest GPUs: {} on {}, {}", fewest->deployment, fewest->node, gpus_text(*fewest));
  return out + ".";
}

std::string to_text(const ServiceNodes& study, const TextStyle& style) {
  std::string out = wrap(size_answer(study), style.width(), "") + "\n\n";
  TextTable table(kAlign);
  table.header(kHeader);
  for (const SizedService& s : study.services) table.row(cells(s));
  if (!study.services.empty()) out += table.render(style);
  for (const ServiceNodes::LeftOut& left : study.left_out)
    out += wrap(fmt::format("{}: {}", left.node, left.why), style.width(), "  ") + "\n";
  return out;
}

std::string to_csv(const ServiceNodes& study) {
  std::string out = csv_line({"met", "node", "gpu", "deployment", "gpus", "attainment", "ttft_p90_s", "tpot_p90_s",
                              "usd_per_hour", "usd_per_million_output", "left_out_because"});
  const auto known = [](const std::optional<double>& value) { return value ? shortest(*value) : std::string(); };
  for (const SizedService& s : study.services)
    out += csv_line({s.met ? "yes" : "no", s.node, s.gpu, s.deployment, fmt::format("{}", s.gpus),
                     shortest(s.attainment), shortest(s.sample.ttft_p90), shortest(s.sample.tpot_p90),
                     known(s.usd_per_hour), known(s.usd_per_million_output()), ""});
  for (const ServiceNodes::LeftOut& left : study.left_out)
    out += csv_line({"no", left.node, "", "", "", "", "", "", "", "", left.why});
  return out;
}

std::string to_html(const ServiceNodes& study) {
  Page page("Sizing: " + study.base.title);
  page.lead(fmt::format("{} of requests within {}{}", format_percent(study.attainment, 0), limits_of(study.promise),
                        study.date ? "; rents of " + to_string(*study.date) : ""));
  page.headline(size_answer(study));
  std::vector<std::vector<std::string>> rows;
  for (const SizedService& s : study.services) rows.push_back(cells(s));
  page.table(kHeader, rows, kAlign);
  for (const ServiceNodes::LeftOut& left : study.left_out) page.note(fmt::format("{}: {}", left.node, left.why));
  return page.str();
}

report::ServiceNodesStudy to_message(const ServiceNodes& study) {
  report::ServiceNodesStudy out;
  out.set_scenario(study.base.name);
  out.set_title(study.base.title);
  if (study.date) out.set_date(to_string(*study.date));
  out.set_asked_attainment(study.attainment);
  for (const SizedService& s : study.services) {
    report::SizedService& entry = *out.add_services();
    entry.set_met(s.met);
    entry.set_node(s.node);
    entry.set_gpu(s.gpu);
    entry.set_deployment(s.deployment);
    entry.set_gpus(s.gpus);
    entry.set_attainment(s.attainment);
    entry.set_ttft_p90_s(s.sample.ttft_p90);
    entry.set_tpot_p90_s(s.sample.tpot_p90);
    if (s.usd_per_hour) entry.set_usd_per_hour(*s.usd_per_hour);
    if (const auto million = s.usd_per_million_output()) entry.set_usd_per_million_output(*million);
  }
  for (const ServiceNodes::LeftOut& left : study.left_out) {
    report::NodeLeftOut& entry = *out.add_left_out();
    entry.set_node(left.node);
    entry.set_why(left.why);
  }
  return out;
}

Diagnostic unmet(const ServiceNodes& study) {
  Diagnostic d;
  d.file = study.base.file;
  d.field = "--slo";
  d.found = fmt::format("{} of requests within {}, which no node that was tried keeps",
                        format_percent(study.attainment, 0), limits_of(study.promise));
  d.expected = "what one can keep";
  if (!study.services.empty()) {
    const SizedService& nearest = study.services.front();
    d.expected += fmt::format("; nearest comes {} on {} with {}", nearest.deployment, nearest.node,
                              format_percent(nearest.attainment));
  }
  return with_remedy(std::move(d), "more nodes (--set cluster.nodes=N), other kinds, or a later promise");
}

}  // namespace flopcast
