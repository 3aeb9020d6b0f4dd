#include "analysis/runs/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "analysis/render/text/format.h"
#include "analysis/runs/metric_table.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {
namespace metric_text {

std::string seconds(double value) { return fmt::format("{:.3f} s", value); }
std::string time(double value) { return format_time(Seconds(value)); }
std::string share(double value) { return format_percent(value, 2); }
std::string bytes(double value) { return format_bytes(Bytes(value)); }
std::string rate(double value) { return format_rate(BytesPerSecond(value)); }
std::string tflops(double value) { return fmt::format("{:.0f} TFLOPS", value); }
std::string hours(double value) { return format_integer(value) + " h"; }
std::string days(double value) { return fmt::format("{:.1f}", value); }
std::string usd(double value) { return format_usd(Usd(value)); }
std::string small_usd(double value) { return fmt::format("${:.3f}", value); }
std::string energy(double value) { return format_energy(Joules(value)); }
std::string billions(double value) { return fmt::format("{:.1f} B", value / 1e9); }
std::string whole(double value) { return format_integer(value); }
std::string plain(double value) { return fmt::format("{:.4g}", value); }

}  // namespace metric_text

namespace {

constexpr std::string_view kAnyEntry = "[NAME]";

// Where the bracket of an entry's key opens and closes; nothing where the path goes through no list. Keys may hold dots
// and brackets: paths have one list at most.
struct Brackets {
  std::size_t open = 0, close = 0;
};
std::optional<Brackets> brackets_of(std::string_view name) {
  const std::size_t open = name.find('['), close = name.rfind("].");
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return std::nullopt;
  return Brackets{open, close};
}

// "projection.phases[pre-training].days" -> "projection.phases[NAME].days"
std::string any_entry(std::string_view name) {
  const std::optional<Brackets> at = brackets_of(name);
  if (!at) return std::string(name);
  return fmt::format("{}{}{}", name.substr(0, at->open), kAnyEntry, name.substr(at->close + 1));
}

// The names of a list's entries in a report of the scenario, by the path of the list.
std::map<std::string_view, std::vector<std::string>> lists_of(const Scenario& scenario) {
  std::map<std::string_view, std::vector<std::string>> lists;
  for (const TrainingPhase& phase : scenario.phases) lists["projection.phases"].push_back(phase.name);
  if (!scenario.serving) return lists;
  for (const PoolSpec& pool : scenario.serving->pools) lists["serving.pools"].push_back(pool.name);
  lists["serving.streams"] = scenario.serving->class_names;
  return lists;
}

std::vector<Metric> metrics_of_kind(const Scenario& scenario) {
  if (scenario.rl) return rl_metrics(nullptr);
  if (scenario.training) return training_metrics(nullptr);
  if (scenario.cluster_life) return life_metrics(nullptr);
  if (scenario.serving) return serving_metrics(nullptr);
  return collective_metrics(nullptr);
}

}  // namespace

std::optional<double> Metric::number() const {
  if (const double* number = std::get_if<double>(&value)) return *number;
  if (const std::uint64_t* count = std::get_if<std::uint64_t>(&value)) return static_cast<double>(*count);
  return std::nullopt;
}

std::string Metric::shown() const {
  if (const std::string* word = std::get_if<std::string>(&value)) return *word;
  if (const bool* yes = std::get_if<bool>(&value)) return *yes ? "yes" : "no";
  const std::optional<double> figure = number();
  return figure ? text(*figure) : "";
}

std::vector<std::string> entry_keys(const std::vector<std::string>& names) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool digits = names[i].find_first_not_of("0123456789") == std::string::npos;  // could be a place too
    const bool own = !digits && std::count(names.begin(), names.end(), names[i]) == 1;
    keys.push_back(own ? names[i] : std::to_string(i));
  }
  return keys;
}

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

const Metric* find_metric(std::span<const Metric> metrics, std::string_view name) {
  for (const Metric& metric : metrics) {
    if (metric.name == name) return &metric;
  }
  const std::optional<Brackets> at = brackets_of(name);
  if (!at) return nullptr;
  // By the place in the list: entries come one after the other, so count their keys.
  const std::string_view list = name.substr(0, at->open + 1), field = name.substr(at->close);
  const std::string_view place = name.substr(at->open + 1, at->close - at->open - 1);
  std::size_t entries = 0;
  for (const Metric& metric : metrics) {
    const std::optional<Brackets> own = brackets_of(metric.name);
    if (!own || !metric.name.starts_with(list) || metric.name.substr(own->close) != field) continue;
    if (std::to_string(entries++) == place) return &metric;
  }
  return nullptr;
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
  const auto lists = lists_of(scenario);
  std::vector<Metric> expected;
  for (const Metric& metric : metrics_of_kind(scenario)) {
    const std::optional<Brackets> at = brackets_of(metric.name);
    if (!at) {
      if (!scenario.phases.empty() || !metric.name.starts_with("projection.")) expected.push_back(metric);
      continue;
    }
    const auto entries = lists.find(std::string_view(metric.name).substr(0, at->open));
    if (entries == lists.end()) continue;
    const std::vector<std::string> keys = entry_keys(entries->second);
    const auto add = [&](const std::string& key) {
      expected.push_back(metric);
      expected.back().name =
          fmt::format("{}[{}{}", metric.name.substr(0, at->open), key, metric.name.substr(at->close));
    };
    for (std::size_t i = 0; i < keys.size(); ++i) {
      add(keys[i]);
      if (keys[i] != std::to_string(i)) add(std::to_string(i));
    }
  }
  return expected;
}

}  // namespace flopcast
