#include "analysis/runs/metrics.h"

#include "analysis/runs/parts/published.h"
#include "analysis/runs/rl/rl_metrics.h"
#include "analysis/runs/serving/serving_report.h"
#include "analysis/runs/training/training_metrics.h"

namespace flopcast {
namespace {

std::vector<Metric> metrics_of_kind(const Scenario& scenario) {
  if (scenario.rl) return rl_metrics(nullptr);
  if (scenario.training) return training_metrics(nullptr);
  if (scenario.cluster_life) return life_metrics(nullptr);
  if (scenario.serving) return serving_metrics(nullptr);
  return collective_metrics(nullptr);
}

}  // namespace

std::vector<Metric> metrics(const TrainingReport& report) { return training_metrics(&report); }
std::vector<Metric> metrics(const CollectiveReport& report) { return collective_metrics(&report); }
std::vector<Metric> metrics(const LifeReport& report) { return life_metrics(&report); }
std::vector<Metric> metrics(const ServingReport& report) { return serving_metrics(&report); }
std::vector<Metric> metrics(const RlReport& report) { return rl_metrics(&report); }

std::vector<MetricKind> metric_kinds() {
  return {{"training", training_metrics(nullptr)},
          {"cluster_life", life_metrics(nullptr)},
          {"collective", collective_metrics(nullptr)},
          {"serving", serving_metrics(nullptr)},
          {"rl", rl_metrics(nullptr)}};
}

std::optional<Metric> describe_metric(std::string_view name) {
  static const std::vector<MetricKind> kKinds = metric_kinds();  // asked for each published figure
  const std::string known = any_entry(name);
  for (const MetricKind& kind : kKinds) {
    const Metric* const metric = find_metric(kind.metrics, known);
    if (metric != nullptr) return *metric;
  }
  return std::nullopt;
}

std::vector<Metric> expected_metrics(const Scenario& scenario) {
  return expected_metrics(scenario, metrics_of_kind(scenario));
}

void check_published(const Scenario& scenario) {
  check_published(scenario, [&] { return metrics_of_kind(scenario); });
}

}  // namespace flopcast
