#include "analysis/runs/metric_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"

namespace flopcast {
namespace {

std::string cell_of(const MetricValue& value) {
  if (const double* number = std::get_if<double>(&value)) return shortest(*number);
  if (const std::uint64_t* count = std::get_if<std::uint64_t>(&value)) return std::to_string(*count);
  if (const bool* yes = std::get_if<bool>(&value)) return *yes ? "true" : "false";
  if (const std::string* word = std::get_if<std::string>(&value)) return *word;
  return "";
}

/// Metrics that begin alike: "training", with the kinds of scenarios whose reports have them.
struct Section {
  std::string name;
  std::vector<std::string> kinds;
  std::vector<Metric> metrics;
};

// "models[NAME].usd_per_gpu_hour" -> "models"; names without a dot belong to no part.
std::string first_part_of(const std::string& name) {
  const std::size_t end = name.find_first_of(".[");
  return end == std::string::npos ? "" : name.substr(0, end);
}

std::vector<Section> sections_of(std::span<const MetricKind> kinds) {
  std::vector<Section> sections;
  std::set<std::string> seen;
  for (const MetricKind& kind : kinds) {
    for (const Metric& metric : kind.metrics) {
      const std::string part = first_part_of(metric.name);
      auto section = std::find_if(sections.begin(), sections.end(), [&](const Section& s) { return s.name == part; });
      if (section == sections.end()) section = sections.insert(section, {part, {}, {}});
      if (section->kinds.empty() || section->kinds.back() != kind.name) section->kinds.emplace_back(kind.name);
      if (seen.insert(metric.name).second) section->metrics.push_back(metric);
    }
  }
  return sections;
}

}  // namespace

std::string to_csv(std::span<const Metric> metrics) {
  std::string out = csv_line({"name", "value", "unit", "meaning", "absent"});
  for (const Metric& metric : metrics) {
    const Absent* const absent = std::get_if<Absent>(&metric.value);
    out += csv_line({metric.name, cell_of(metric.value), metric.unit, metric.meaning, absent ? absent->reason : ""});
  }
  return out;
}

std::string metric_reference(std::span<const MetricKind> kinds, const TextStyle& style) {
  std::string out;
  for (const Section& section : sections_of(kinds)) {
    out += (out.empty() ? "" : "\n") +
           style.bold(wrap(fmt::format("{} (of {})", section.name.empty() ? "without a part" : section.name,
                                       fmt::join(section.kinds, ", ")),
                           style.width(), "  ")) +
           "\n";
    TextTable table({Align::left, Align::left, Align::left});
    for (const Metric& metric : section.metrics) table.row({metric.name, metric.unit, metric.meaning});
    out += table.render(style);
  }
  return out;
}

std::string metric_reference_markdown(std::span<const MetricKind> kinds) {
  std::string out =
      "# Metrics\n\n"
      "Every number and word that a report gives on its own. The names are the paths of the fields in `--json`; they "
      "are "
      "also the rows of `flopcast run --csv`, what `published { field: ... }` of a scenario may compare with, and what "
      "`train(SCENARIO, METRIC)` and `serve(SCENARIO, METRIC)` of a claim may ask for. Entries of lists go by their "
      "names "
      "(`projection.phases[pre-training].days`) or their places (`projection.phases[0].days`). A share has the unit 1. "
      "A metric without a value says why.\n\n"
      "This page is written by the program: `flopcast list metrics --markdown`.\n";
  for (const Section& section : sections_of(kinds)) {
    out += fmt::format("\n## {}\n\nIn reports of: {}.\n\n| name | unit | meaning |\n|---|---|---|\n",
                       section.name.empty() ? "Without a part" : section.name, fmt::join(section.kinds, ", "));
    for (const Metric& metric : section.metrics)
      out += fmt::format("| `{}` | {} | {} |\n", metric.name, metric.unit, metric.meaning);
  }
  return out;
}

}  // namespace flopcast
