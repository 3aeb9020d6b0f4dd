#include "analysis/runs/published.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/text/format.h"
#include "analysis/runs/metrics.h"
#include "analysis/runs/report_message.h"
#include "analysis/runs/serving/serving_report.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

// A number of a list that is no metric: "training.ranks[0].bubble_s".
bool is_in_list(const std::string& field) {
  return field.starts_with("training.") && field.find('[') != std::string::npos;
}

template <class AnyReport>
void compare(AnyReport& report) {
  if (report.scenario.published.empty()) return;
  const std::vector<Metric> found = metrics(report);
  for (const Scenario::Published& published : report.scenario.published) {
    const Metric* const metric = find_metric(found, published.field);
    std::optional<double> predicted = metric ? metric->number() : std::nullopt;
    if (!metric && is_in_list(published.field)) predicted = number_at(to_message(report), published.field);
    if (predicted) {
      report.comparisons.push_back({published.field, *predicted, published.value, published.source, published.kind});
      continue;
    }
    const Absent* const absent = metric ? std::get_if<Absent>(&metric->value) : nullptr;
    report.notes.push_back(fmt::format("published figure `{}` has no counterpart in this report{}", published.field,
                                       absent ? ": " + absent->reason : ""));
  }
}

}  // namespace

std::string Comparison::verdict() const {
  switch (kind) {
    case PublishedKind::value:
      return has_error() ? format_error(error()) : "-";
    case PublishedKind::input:
      return "an input";
    case PublishedKind::at_least:
    case PublishedKind::at_most:
      return fmt::format("{} this: {}", kind == PublishedKind::at_least ? "at least" : "at most",
                         keeps_bound() ? "kept" : "missed");
  }
  return "";
}

void check_published(const Scenario& scenario) {
  if (scenario.published.empty()) return;
  std::vector<std::string> known;
  for (const Metric& metric : expected_metrics(scenario)) {
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

void compare_with_published(TrainingReport& report) { compare(report); }
void compare_with_published(CollectiveReport& report) { compare(report); }
void compare_with_published(LifeReport& report) { compare(report); }
void compare_with_published(ServingReport& report) { compare(report); }
void compare_with_published(RlReport& report) { compare(report); }

}  // namespace flopcast
