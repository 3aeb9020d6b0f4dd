// The smallest deployment that keeps a promise, found by bisection on replays; and how throughput and speed trade off
// under it.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/serving/saturation.h"

namespace flopcast {

struct SizeOptions {
  ServiceLevel promise;     ///< for every stream of the traffic, instead of its own
  double attainment = 0.9;  ///< share of requests that must be within it
  bool curve = true;        ///< replay the result at other loads too
  ServingOptions serving;
  std::function<void(const std::string&)> stage;  ///< what is being replayed; may be empty
};

struct SizeResult {
  bool met = false;
  std::vector<int> counts;  ///< replicas per pool: the smallest that meets it, or the nearest tried
  int gpus = 0;
  double attainment = 0;
  std::vector<CurveSample> tried;  ///< in the order of replay
  SaturationPoint saturation;
  std::vector<CurveSample> curve;  ///< the result, at 10 % to 120 % of that (or of the traffic)
};

/// Counts go from one replica to what the cluster holds. With prefill and decode replicas: first the fewest decode
/// replicas beside as many prefill replicas as there can be, then the fewest prefill replicas beside those.
SizeResult size_deployment(const Scenario& scenario, const SizeOptions& options);

/// So many prefill beside so many decode replicas, and the most traffic of the scenario's kind that they serve within
/// the promise.
struct PoolRatio {
  int prefill = 0, decode = 0, gpus = 0;
  CurveSample at_most;  ///< that load; no requests when none is served within it
  double requests_per_gpu() const { return at_most.requests_per_s / gpus; }
};

/// Every way to fill the cluster with prefill and decode replicas, each with its most traffic, found by bisection on
/// replays.
/// @throws InputError where replicas are of one kind.
std::vector<PoolRatio> pool_ratios(const Scenario& scenario, const SizeOptions& options);
/// The one that serves most per GPU, of equals the first; none serves any: ratios.end().
std::vector<PoolRatio>::const_iterator best_ratio(const std::vector<PoolRatio>& ratios);

/// "ttft=2s,tpot=50ms". @throws InputError.
ServiceLevel parse_promise(const std::string& text);

/// What was found, in a sentence.
std::string size_answer(const Scenario& scenario, const SizeOptions& options, const SizeResult& result);
std::string size_answer(const SizeOptions& options, const std::vector<PoolRatio>& ratios);
std::string to_text(const Scenario& scenario, const SizeOptions& options, const SizeResult& result,
                    const TextStyle& style = TextStyle());
std::string to_text(const SizeOptions& options, const std::vector<PoolRatio>& ratios,
                    const TextStyle& style = TextStyle());
/// Pages: what was tried, and throughput against speed.
std::string to_html(const Scenario& scenario, const SizeOptions& options, const SizeResult& result);
std::string to_html(const Scenario& scenario, const SizeOptions& options, const std::vector<PoolRatio>& ratios);
/// What was asked for and cannot be had, as a fault of the input.
Diagnostic unmet(const Scenario& scenario, const SizeOptions& options, const SizeResult& result);

}  // namespace flopcast
