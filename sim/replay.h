// Replays an operation graph on a network and says when everything happened.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "sim/base/diagnostic.h"
#include "sim/graph.h"
#include "sim/network.h"
#include "sim/timeline.h"

namespace flopcast {

/// `simgrid`: flows that meet on a link share it max-min fairly (SimGrid). `ideal`: every flow has its route to
/// itself; a lower bound, and the oracle of the property tests.
enum class TransferBackend { simgrid, ideal };

struct ReplayResult {
  Seconds makespan;                   ///< end of the last operation
  std::uint64_t operations = 0;       ///< operations that ended: all of them
  std::uint64_t transfers = 0;        ///< transfers among them
  std::uint64_t contended_flows = 0;  ///< flows that met another on a link and went through SimGrid's solver
};

/// The graph could not be finished: its dependencies contain a cycle. Names up to ten of the stuck operations.
class FLOPCAST_API StuckError : public std::runtime_error {
 public:
  StuckError(std::string message, std::vector<OpId> stuck);
  const std::vector<OpId>& stuck() const { return stuck_; }

 private:
  std::vector<OpId> stuck_;
};

/// Where flows that meet are shared out, with the same result to 1e-9.
/// `child`: by SimGrid in a forked child, because a process can hold only one SimGrid platform. Not for a process with
/// threads: what they hold at the moment of the fork, a lock say, stays held in the child.
/// `in_process`: by sim/fair_share.h, with nothing shared between replays.
enum class Contention { child, in_process };

struct ReplayOptions {
  TransferBackend backend = TransferBackend::simgrid;
  Contention contention = Contention::in_process;
  /// Hands every flow to SimGrid, also those that meet no other. Slower, with the same times: tests hold both together.
  bool solve_every_flow = false;
  /// How many operations each of the graph stands for in the counts of ReplayResult; empty: one.
  std::span<const std::uint32_t> times = {};
  /// Called every so often with (operations ended, operations in all); return false to stop (Ctrl-C).
  std::function<bool(std::uint64_t, std::uint64_t)> progress;
};

/// Replays `graph`. Deterministic: ties in time are broken by operation id, and earlier replays leave no trace.
/// May be called any number of times in one process; with Contention::in_process in several threads at once. With
/// Contention::child the part after the first contention runs in a child process; sinks and `progress` are called in
/// this one.
/// @throws StuckError on a cycle; Interrupted when `progress` said stop.
ReplayResult replay(const OperationGraph& graph, const Network& network, std::span<TimelineSink* const> sinks,
                    const ReplayOptions& options = {});

}  // namespace flopcast
