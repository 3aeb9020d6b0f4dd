// How replays go and what they say of themselves, whatever was replayed: a step, a collective, traces.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "analysis/runs/training/run_losses.h"
#include "analysis/runs/training/training_report.h"
#include "sim/replay.h"

namespace flopcast {

struct RunOptions {
  Sharing sharing = Sharing::max_min;
  Solver solver = Solver::in_process;
  bool allow_oom = false;
  /// Project the step to the whole run (needs further replays, for the batch ramp and for phases with other
  /// plans).
  bool project = true;
  PowerModel power;
  /// How far off what a step is made of may be; null: figures have no range.
  std::shared_ptr<const StepErrors> errors;
  /// What runs lose that say nothing of it; null: nothing.
  std::shared_ptr<const RunLosses> losses;
  /// Further sinks for the step's replay, such as a trace; made when the graph is known.
  std::vector<std::function<std::unique_ptr<TimelineSink>(const TrainingStep&)>> extra_sinks;
  /// That may be busy at once, the caller's among them. Reports do not depend on it.
  int threads = 1;
  /// What is being replayed, for people who wait. May be empty.
  std::function<void(const std::string&)> stage;
  /// As ReplayOptions::progress.
  std::function<bool(std::uint64_t, std::uint64_t)> progress;
};

/// How a replay goes with these options, and what it says of itself.
ReplayOptions replay_options(const RunOptions& options);
RunFacts run_facts(const ReplayResult& result, const FingerprintSink& fingerprint, const RunOptions& options);

/// The links that carried most for their bandwidth, from the flows of the graph; at most `count`.
/// @param times how many operations each stands for; empty: one
std::vector<LinkLoad> busiest_links(const OperationGraph& graph, const Network& network, Seconds time,
                                    std::size_t count, std::span<const std::uint32_t> times = {});

}  // namespace flopcast
