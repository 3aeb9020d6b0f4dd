#include "analysis/studies/sweep/store/outcome.h"

#include <algorithm>
#include <chrono>

#include "analysis/face/run.h"
#include "analysis/render/text/json.h"
#include "analysis/runs/metrics.h"
#include "flopcast/metrics.h"
#include "flopcast/run.h"
#include "sim/replay.h"

namespace flopcast {
namespace {

SweepCell cell_of_metric(const Metric* metric) {
  if (!metric) return {};
  if (const double* number = std::get_if<double>(&metric->value)) return *number;
  if (const auto* count = std::get_if<std::uint64_t>(&metric->value)) return static_cast<double>(*count);
  if (const bool* yes = std::get_if<bool>(&metric->value)) return static_cast<std::int64_t>(*yes);
  if (const std::string* text = std::get_if<std::string>(&metric->value)) return *text;
  return {};
}

SweepCell cell_of_hardware(const Scenario& scenario, const std::string& name) {
  const auto value = hardware_value(scenario, name);
  if (!value) return {};
  return std::get<double>(value->value);
}

/// A projection replays again: only where somebody wants its figures.
bool wants_projection(const SweepStudy& study) {
  return std::any_of(study.keep.begin(), study.keep.end(), [](const std::string& name) {
    return name.starts_with("projection.") || name.starts_with("cost.");
  });
}

/// Ranges of serving take replays of their own.
bool wants_ranges(const SweepStudy& study) {
  return std::any_of(study.keep.begin(), study.keep.end(),
                     [](const std::string& name) { return name.ends_with(".low") || name.ends_with(".high"); });
}

std::vector<SweepCell> figures_of(const SweepStudy& study, const ResolvedScenario& scenario,
                                  const Environment& environment) {
  RunSettings settings;
  settings.project = wants_projection(study);
  RunHooks hooks;
  hooks.ranges = wants_ranges(study);
  const std::vector<Metric> found = metrics(run(scenario, environment, settings, hooks));
  std::vector<SweepCell> cells;
  for (std::size_t i = 0; i < study.keep.size(); ++i) {
    // Reports give their metrics in one order, as `keep` mostly has them.
    const bool here = i < found.size() && found[i].name == study.keep[i];
    const Metric* metric = here ? &found[i] : find_metric(found, study.keep[i]);
    cells.push_back(metric ? cell_of_metric(metric) : cell_of_hardware(scenario.value(), study.keep[i]));
  }
  return cells;
}

/// Without the folder of the scenario: an error is the same wherever the files lie.
std::string without_folder(std::string text, const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return text;
  const std::string folder = path.substr(0, slash + 1);
  for (std::size_t at = 0; (at = text.find(folder, at)) != std::string::npos;) text.erase(at, folder.size());
  return text;
}

}  // namespace

std::string_view name_of(SweepStatus status) {
  switch (status) {
    case SweepStatus::ok:
      return "ok";
    case SweepStatus::refused:
      return "refused";
    case SweepStatus::failed:
      return "failed";
  }
  return "";
}

SweepOutcome evaluated(const SweepStudy& study, const SweepCandidate& candidate, const Environment& environment) {
  const auto begin = std::chrono::steady_clock::now();
  SweepOutcome out;
  const auto refuse = [&](SweepStatus status, std::string why) {
    out.status = status;
    out.error = without_folder(std::move(why), study.bases.at(candidate.scenario).path);
    out.cells.clear();
  };
  try {
    const BaseScenario& base = study.bases.at(candidate.scenario);
    out.cells = figures_of(study, resolve_text(base.text, base.path, environment, candidate.sets), environment);
  } catch (const InputError& error) {
    refuse(SweepStatus::refused, error.what());
  } catch (const StuckError& error) {
    refuse(SweepStatus::refused, error.what());
  } catch (const std::exception& error) {
    refuse(SweepStatus::failed, error.what());
  }
  out.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return out;
}

std::optional<bool> feasible(const SweepStudy& study, const SweepCandidate& candidate, const SweepOutcome& outcome) {
  if (outcome.status != SweepStatus::ok) return std::nullopt;
  const NameLookup lookup = [&](std::string_view name) -> std::optional<NamedValue> {
    if (auto input = input_value(study, candidate, name)) return input;
    const auto kept = std::find(study.keep.begin(), study.keep.end(), name);
    if (kept == study.keep.end()) return std::nullopt;
    const auto at = static_cast<std::size_t>(kept - study.keep.begin());
    const SweepCell& cell = outcome.cells[at];
    NamedValue value{{}, study.units[at]};
    if (const double* number = std::get_if<double>(&cell)) value.value = *number;
    if (const auto* yes = std::get_if<std::int64_t>(&cell)) value.value = *yes != 0;
    if (const std::string* text = std::get_if<std::string>(&cell)) value.value = *text;
    return value;
  };
  bool all = true;
  for (const MetricExpression& condition : study.after) {
    std::optional<bool> holds;
    try {
      holds = condition.holds(lookup);
    } catch (const InputError&) {  // a text where other candidates have a number
    }
    if (holds == false) return false;
    all = all && holds.has_value();
  }
  return all ? std::optional(true) : std::nullopt;
}

std::string text_of(const SweepCell& cell) {
  if (const double* number = std::get_if<double>(&cell)) return shortest(*number);
  if (const auto* whole = std::get_if<std::int64_t>(&cell)) return std::to_string(*whole);
  if (const std::string* text = std::get_if<std::string>(&cell)) return *text;
  return "";
}

}  // namespace flopcast
