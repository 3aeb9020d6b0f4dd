// Replays an operation graph on a network and says when everything happened.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "flopcast/sharing.h"
#include "sim/base/diagnostic.h"
#include "sim/base/stuck_error.h"
#include "sim/graph.h"
#include "sim/network.h"
#include "sim/timeline.h"

namespace flopcast {

struct ReplayResult {
  Seconds makespan;                   ///< end of the last operation
  std::uint64_t operations = 0;       ///< operations that ended: all of them
  std::uint64_t transfers = 0;        ///< transfers among them
  std::uint64_t contended_flows = 0;  ///< flows that met another on a link and went through SimGrid's solver
};

struct ReplayOptions {
  Sharing sharing = Sharing::max_min;
  Solver solver = Solver::in_process;
  /// Hands every flow to SimGrid, also those that meet no other. Slower, with the same times: tests hold both together.
  bool solve_every_flow = false;
  /// How many operations each of the graph stands for in the counts of ReplayResult; empty: one.
  std::span<const std::uint32_t> times = {};
  /// Called every so often with (operations ended, operations in all); return false to stop (Ctrl-C).
  std::function<bool(std::uint64_t, std::uint64_t)> progress;
};

/// Replays `graph`. Deterministic: ties in time are broken by operation id, and earlier replays leave no trace.
/// May be called any number of times in one process; with Solver::in_process in several threads at once. With
/// Solver::simgrid_child the part after the first contention runs in a child process; sinks and `progress` are called
/// in this one.
/// @throws StuckError on a cycle; Interrupted when `progress` said stop.
ReplayResult replay(const OperationGraph& graph, const Network& network, std::span<TimelineSink* const> sinks,
                    const ReplayOptions& options = {});

}  // namespace flopcast
