// Runs a scenario.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "flopcast/environment.h"
#include "flopcast/errors.h"
#include "flopcast/export.h"
#include "flopcast/report.h"
#include "flopcast/scenario.h"
#include "flopcast/sharing.h"

namespace flopcast {

/// How far a run is.
struct Progress {
  std::string stage;       ///< what is being replayed: "the step", "requests"
  std::uint64_t done = 0;  ///< 0: the stage begins
  std::uint64_t all = 0;   ///< an estimate where it is not known beforehand
  std::string unit;        ///< of both: "operations", "requests"
};

struct RunSettings {
  Sharing sharing = Sharing::max_min;
  Solver solver = Solver::in_process;
  bool allow_oom = false;  ///< replay a plan that does not fit into memory
  bool unfolded = false;   ///< replay every GPU, not one per group of identical ones
  bool project = true;     ///< from the step to the whole run
  /// That may be busy at once, the caller's among them; 0: as many as the machine has cores. Reports do not depend on
  /// it.
  int threads = 1;
  bool keep_timeline = false;  ///< some 30 bytes per operation
  /// Only these, which have to be among those that are replayed: one stands for a group of equal ones unless
  /// `unfolded`. Empty: all of them.
  std::vector<int> timeline_gpus = {};
  bool keep_requests = false;  ///< some 70 bytes per request
  /// Called now and then, in the thread that called run(). Return false to stop the run, or throw.
  std::function<bool(const Progress&)> progress = {};
};

/// Installs no signal handler, writes nothing, starts no process (but for Solver::simgrid_child), and no thread that
/// outlives it. Equal inputs give equal reports, in any number of threads at once.
/// @throws InputError when the work is refused or does not fit into memory; Interrupted when `progress` returned false;
/// what `progress` threw.
FLOPCAST_API Report run(const ResolvedScenario& scenario, const Environment& environment,
                        const RunSettings& settings = {});

}  // namespace flopcast
