#include "analysis/runs/parts/metric_paths.h"

#include <fmt/format.h>

#include <map>
#include <optional>

#include "analysis/runs/parts/metric_rows.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {
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

// The names of a list's entries in a report of the scenario, by the path of the list.
std::map<std::string_view, std::vector<std::string>> lists_of(const Scenario& scenario) {
  std::map<std::string_view, std::vector<std::string>> lists;
  for (const TrainingPhase& phase : scenario.phases) lists["projection.phases"].push_back(phase.name);
  if (!scenario.serving) return lists;
  for (const PoolSpec& pool : scenario.serving->pools) lists["serving.pools"].push_back(pool.name);
  lists["serving.streams"] = scenario.serving->class_names;
  return lists;
}

}  // namespace

std::string any_entry(std::string_view name) {
  const std::optional<Brackets> at = brackets_of(name);
  if (!at) return std::string(name);
  return fmt::format("{}{}{}", name.substr(0, at->open), kAnyEntry, name.substr(at->close + 1));
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

std::vector<Metric> expected_metrics(const Scenario& scenario, std::span<const Metric> kind) {
  const auto lists = lists_of(scenario);
  std::vector<Metric> expected;
  for (const Metric& metric : kind) {
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

FigureLabel find_label(std::span<const Metric> metrics, const std::string& field) {
  const Metric* const metric = find_metric(metrics, field);
  if (metric == nullptr || metric->text == nullptr) return {field, metric_text::plain};
  const std::optional<Brackets> at = brackets_of(metric->name);
  if (!at) return {metric->title, metric->text};
  return {fmt::format("{}, {}", metric->title, metric->name.substr(at->open + 1, at->close - at->open - 1)),
          metric->text};
}

}  // namespace flopcast
