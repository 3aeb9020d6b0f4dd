// How far measured servers lie from predictions: ranges of a serving report. Nine of ten published figures that nobody
// had looked at when they were predicted (analysis/data/serving_spread.csv) lie between the two factors of their kind.
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

/// Of a first token's time while the engine works on it, and of a token's (or of what a full server takes for one).
struct ServingSpread {
  TimeSpread ttft, tpot;
  std::string kind;  ///< "few requests at once, engine, GPU and model known from elsewhere"
};

/// Of the replicas that write answers: a service's, or a loop's. @pre there are some
const EngineConfig& answering_engine(const Scenario& scenario);

/// By how many requests a replica answers at once. Few: it reads its weights for every token, and little else decides;
/// many: batches, prompts in between, limits of the engine.
struct ServingSpreads {
  static constexpr double kFew = 4;
  ServingSpread few, many;

  const ServingSpread& at(double requests_at_once) const { return requests_at_once <= kFew ? few : many; }
};

/// From the table's errors on figures with as much evidence behind them as the scenario has: other sources than the
/// figure's own were known for the same engine, die and model, or none were. Mean sizes of errors are a kind's own;
/// how far beyond it nine of ten reach is that of all kinds together. Where a kind has too few sources, all evidence
/// stands for it; without such evidence a range is never the narrower.
/// @param table text of the file. @throws InputError for a malformed one.
/// @param log_sd of the times of kernels, where nobody measured the GPU's die
ServingSpreads serving_spreads(const std::string& table, const std::string& file, const Scenario& scenario,
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

/// Logarithm of actual over predicted, of one figure.
struct SourcedError {
  std::string source;
  double log_error = 0;
};

/// Mean size of errors. Those of one source go together: n of them count as n / (1 + (n - 1) / 2).
double mean_size(const std::vector<SourcedError>& errors);

}  // namespace flopcast
