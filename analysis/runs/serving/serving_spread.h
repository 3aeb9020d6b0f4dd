// How far measured servers lie from predictions: ranges of a serving report. Nine of ten measured runs of other engines
// (analysis/data/serving_spread.csv) lie between the two factors of their kind.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "scenarios/resolve/scenario.h"
#include "workloads/serving/pricing/engine.h"

namespace flopcast {

/// Factors on a predicted time; both 1: nothing is known.
struct TimeSpread {
  double low = 1, high = 1;
  int rows = 0;  ///< runs that it comes from
};

struct ServingSpread {
  TimeSpread ttft, tpot;
  std::string kind;  ///< "models with experts, engine named"
};

/// Of the replicas that write answers: a service's, or a loop's. @pre there are some
const EngineConfig& answering_engine(const Scenario& scenario);

/// The table's rows of the kind that is nearest to the scenario: experts or dense, engine named or not.
/// @param table text of the file. @throws InputError for a malformed one.
/// @param log_sd of the times of kernels, where nobody measured the GPU's die
ServingSpread serving_spread(const std::string& table, const std::string& file, const Scenario& scenario,
                             double log_sd = 0);

/// Mean times of one replay.
struct LatencyMeans {
  Seconds ttft, waited, tpot;  ///< waited: of ttft, before the first iteration
};

/// The same server under the load that one meets which takes as much longer, or shorter, as the spread of its time per
/// token lets expect: arrivals as much denser, with its own times.
struct LoadedTwins {
  std::optional<LatencyMeans> slower, faster;
};

/// Ends of the 90 % ranges of means.
struct LatencyRange {
  Seconds ttft_low, ttft_high, tpot_low, tpot_high;
};

/// A server that takes f times as long for everything meets arrivals as this one meets them f times as dense, all times
/// stretched by f: near saturation a capacity that is a little smaller makes queues that this one has not. What a
/// request waits goes with the time per token, the rest of its first token's time with that of first tokens. Users who
/// wait for their answers slow down with the server: there are no twins, and times only stretch.
LatencyRange latency_range(const ServingSpread& spread, const LatencyMeans& here, const LoadedTwins& twins);

/// With an error of its own beside that of measured servers: both in the logarithm, as independent ones add up.
TimeSpread widened(TimeSpread spread, double log_sd);

/// The factors between which a further run lies nine times in ten, of `ratios` (measured over predicted): order
/// statistics at 4 and 96 % of one more run. Fewer than 20 runs give their extremes.
TimeSpread time_spread_of(std::vector<double> ratios);

}  // namespace flopcast
