// From a serving scenario to its report: pools and their prices, a session, what came of it.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "analysis/runs/parts/energy.h"
#include "analysis/runs/serving/load_state.h"
#include "analysis/runs/serving/serving_spread.h"
#include "analysis/runs/training/training_report.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/fields.h"
#include "workloads/serving/metrics/metrics.h"
#include "workloads/serving/pricing/replica_memory.h"
#include "workloads/serving/session/totals.h"

namespace flopcast {

/// part / whole; 0 where there is no whole.
inline double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

struct PoolReport {
  PoolTotals totals;
  ReplicaMemory memory;
  double busy = 0;        ///< share of the time its replicas were up
  double mean_batch = 0;  ///< requests per decoding iteration and replica
  Seconds mean_iteration;
  double attention_share = 0;  ///< of a mean decoding iteration
  double busiest_expert_gpu = 1;
  int sample = 1;  ///< hours are those of so many times what was replayed
  Bytes kv_per_token;
  LoggedCache logged;  ///< its bytes those of all GPUs together
  Watts gpu_power;     ///< of a board, mean over the time that its replicas are up; 0: no chip's power is known
};

struct ServingCostReport {
  UsdPerSecond rate;  ///< all GPUs that are up, on average
  Usd per_million_computed, per_million_cached, per_million_prompt, per_million_output;
  double cached_work = 0;   ///< of a prompt's token found in a cache, over that of another
  double prompt_share = 0;  ///< of the GPUs' cost, paid by prompts
  UsdPerSecond revenue;
  bool priced = false;  ///< GPUs have a price
  double margin() const { return rate > UsdPerSecond(0) ? revenue / rate - 1 : 0; }
};

/// One load of a throughput-interactivity curve.
struct CurveSample {
  double requests_per_s = 0, tokens_per_s_per_user = 0, tokens_per_s_per_gpu = 0;
  double ttft_p90 = 0, tpot_p90 = 0;
  double usd_per_million_output = 0;
  LoadState state = LoadState::stable;
  int gpus = 0;
  bool meets = false;
  std::string deployment;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("requests_per_s", &CurveSample::requests_per_s);
    field("tokens_per_s_per_user", &CurveSample::tokens_per_s_per_user);
    field("tokens_per_s_per_gpu", &CurveSample::tokens_per_s_per_gpu);
    field("ttft_p90", &CurveSample::ttft_p90);
    field("tpot_p90", &CurveSample::tpot_p90);
    field("usd_per_million_output", &CurveSample::usd_per_million_output);
    field("state", &CurveSample::state);
    field("gpus", &CurveSample::gpus);
    field("meets", &CurveSample::meets);
    field("deployment", &CurveSample::deployment);
  }
};

struct ServingReport {
  Scenario scenario;
  SessionTotals totals;
  ClassMetrics all;
  std::vector<PoolReport> pools;
  LoadState state = LoadState::stable;
  double mean_gpus = 0;                    ///< up, all pools
  bool steady_rates = false;               ///< tokens per second are of the steady span, not of the whole run
  double input_rate = 0, output_rate = 0;  ///< tokens per second of the steady span, or of the whole run
  double input_per_node = 0, output_per_node = 0, output_per_gpu = 0;  ///< tokens per second
  Joules energy;
  ServingCostReport cost;
  Seconds exchange_bound;  ///< of TPOT, by the NICs
  ServingSpread spread;    ///< of measured servers round predictions
  LatencyRange latency;    ///< where there is a spread
  std::vector<CurveSample> curve;
  double saturation = 0;  ///< requests per second, where it was looked for
  std::vector<Comparison> comparisons;
  std::vector<std::string> notes;

  const ServingScenario& serving() const { return *scenario.serving; }
  const PoolReport& prompt_pool() const { return pools[serving().prompt_pool_index()]; }
  const PoolReport& answer_pool() const { return pools[serving().answer_pool_index()]; }
  /// Up to the last arrival.
  double arrivals_per_s() const {
    const Seconds span = totals.backlog.until() - totals.begin;
    return span > Seconds(0) ? static_cast<double>(all.arrived.requests) / span.value() : 0;
  }
};

/// Keeps the state of a session now and then, so that another process can go on from there.
struct SessionKeeper {
  std::string from;                              ///< a state that was kept; empty: from the beginning
  std::function<bool()> due;                     ///< asked between events; empty: nothing is kept
  std::function<void(const std::string&)> keep;  ///< a state
};

class KeptPrices;

struct ServingOptions {
  PowerModel power;
  std::shared_ptr<KeptPrices> prices;             ///< of replays of the same scenario; none: its own
  ServingSpreads spreads;                         ///< factors of 1: ranges are left out
  ResultSink on_result;                           ///< of every request; may be empty
  std::function<bool(std::uint64_t)> keep_going;  ///< requests so far; false: stop
  SessionKeeper keeper;
};

/// What an empty server at the beginning takes off tokens per second, and so puts on dollars per token, where no
/// warm-up was stated; "": nothing worth saying.
std::string filling_note(const ServingReport& report);

/// @param scenario has `serving`. @throws InputError, Interrupted.
ServingReport run_serving(const Scenario& scenario, const ServingOptions& options);

/// What a replay at one load says of it. Deployment, GPUs and whether it meets a promise are the caller's.
CurveSample sample_of(const ServingReport& report);

/// "TTFT 2.00 s, TPOT 50.0 ms": what is promised; empty: nothing.
std::string limits_of(const ServiceLevel& promise);

/// Summary for `flopcast check`: memory of a replica and how many requests it holds.
std::string serving_facts(const Scenario& scenario);

}  // namespace flopcast
