#include "analysis/runs/parts/published.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/runs/parts/metric_paths.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

// A number of a list that is no metric: "training.ranks[0].bubble_s".
bool is_in_list(const std::string& field) {
  return field.starts_with("training.") && field.find('[') != std::string::npos;
}

}  // namespace

void check_published(const Scenario& scenario, const MetricsOf& kind) {
  if (scenario.published.empty()) return;
  std::vector<std::string> known;
  for (const Metric& metric : expected_metrics(scenario, kind())) {
    if (metric.text != nullptr) known.push_back(metric.name);  // only numbers can be compared
  }
  // What the scenario is about comes first in its report, but is no example of a result.
  const auto example = std::find_if(known.begin(), known.end(), [](const std::string& name) {
    return !name.starts_with("scenario.") && !name.starts_with("run.");
  });
  std::vector<Diagnostic> faults;
  for (const Scenario::Published& published : scenario.published) {
    if (is_in_list(published.field) || std::find(known.begin(), known.end(), published.field) != known.end()) continue;
    Diagnostic fault;
    fault.file = scenario.file;
    fault.field = "published.field";
    fault.found = "`" + published.field + "`";
    fault.expected = "the name of a metric that reports of this scenario have, such as " + *example;
    fault.suggestion = nearest_name(published.field, known);
    faults.push_back(fault);
  }
  if (!faults.empty()) throw InputError(faults);
}

void compare_with_published(const Scenario& scenario, const MetricsOf& metrics, std::vector<Comparison>& comparisons,
                            std::vector<std::string>& notes, const ListedNumber& listed) {
  if (scenario.published.empty()) return;
  const std::vector<Metric> found = metrics();
  for (const Scenario::Published& published : scenario.published) {
    const Metric* const metric = find_metric(found, published.field);
    std::optional<double> predicted = metric ? metric->number() : std::nullopt;
    if (!metric && listed && is_in_list(published.field)) predicted = listed(published.field);
    if (predicted) {
      comparisons.push_back({published.field, *predicted, published.value, published.source, published.kind});
      continue;
    }
    const Absent* const absent = metric ? std::get_if<Absent>(&metric->value) : nullptr;
    notes.push_back(fmt::format("published figure `{}` has no counterpart in this report{}", published.field,
                                absent ? ": " + absent->reason : ""));
  }
}

}  // namespace flopcast
