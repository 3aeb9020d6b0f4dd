// The smallest deployment that keeps a promise, found by bisection on replays; and how throughput and speed trade off under it.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "analysis/serving_run.h"

namespace flopcast {

struct SizeOptions {
  ServiceLevel promise;      ///< for every stream of the traffic, instead of its own
  double attainment = 0.9;   ///< share of requests that must be within it
  bool curve = true;         ///< replay the result at other loads too
  ServingOptions serving;
  std::function<void(const std::string&)> stage;  ///< what is being replayed; may be empty
};

struct SizeResult {
  bool met = false;
  std::vector<int> counts;           ///< replicas per pool: the smallest that meets it, or the nearest tried
  int gpus = 0;
  double attainment = 0;
  std::vector<CurveSample> tried;    ///< in the order of replay
  std::vector<CurveSample> curve;    ///< the result, at loads from a quarter to one and a quarter of the traffic
};

/// Counts go from one replica to what the cluster holds. With prefill and decode replicas: first the fewest decode replicas beside
/// as many prefill replicas as there can be, then the fewest prefill replicas beside those.
SizeResult size_deployment(const Scenario& scenario, const SizeOptions& options);

/// "ttft=2s,tpot=50ms". @throws InputError.
ServiceLevel parse_promise(const std::string& text);

std::string to_text(const Scenario& scenario, const SizeOptions& options, const SizeResult& result);

}  // namespace flopcast
