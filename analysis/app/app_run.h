// What the local application has under way, and what came of it.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "analysis/app/report_page.h"
#include "flopcast/errors.h"
#include "flopcast/metrics.h"
#include "flopcast/report.h"
#include "flopcast/run.h"

namespace flopcast {

/// One candidate of a study.
struct AppPoint {
  std::vector<std::string> sets;              ///< beside those of the study
  std::string name;                           ///< what it is, in a few words
  std::vector<std::optional<double>> values;  ///< one per figure
  std::string fault;                          ///< why it has none
  bool replayed = true;                       ///< else by the closed form
};

/// A replay, a comparison or a study, that goes on beside others.
class AppRun {
 public:
  enum class Kind { replay, comparison, sweep, plan };
  enum class State { running, done, failed, cancelled };
  AppRun(Kind of, std::string scenario_name, std::string with_changes)
      : kind(of), name(std::move(scenario_name)), label(std::move(with_changes)) {}
  ~AppRun();
  AppRun(const AppRun&) = delete;
  AppRun& operator=(const AppRun&) = delete;

  const Kind kind;
  const std::string name;
  const std::string label;        ///< with what was changed
  std::string text, schedule;     ///< what was asked for; `schedule` is an order of passes, empty: the scenario's own
  std::vector<std::string> sets;  ///< overrides
  std::atomic<bool> cancel{false};
  std::thread thread;

  // Below: by mutex.
  mutable std::mutex mutex;
  State state = State::running;
  bool ended = false;  ///< nothing is worked at any more; a run that was cancelled may go on for a moment
  std::string stage, unit;
  std::uint64_t done = 0, all = 0;
  std::vector<Diagnostic> faults;
  std::optional<Report> report;
  std::string page;             ///< HTML
  StepShown shown;              ///< of a training step
  std::vector<Metric> figures;  ///< of points, without values
  std::vector<AppPoint> points;

  /// Tells how far it is. @return whether it may go on.
  bool at(const std::string& what, std::uint64_t so_far, std::uint64_t in_all, const std::string& of);
};

/// Settings of a replay that reports its progress to `run` and is cancelled through it.
RunSettings settings_of(AppRun& run);

/// Figures that are numbers and have a value.
std::vector<Metric> number_figures(const std::vector<Metric>& all);

}  // namespace flopcast
