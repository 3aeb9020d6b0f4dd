#include "workloads/serving/autoscale.h"

#include <algorithm>
#include <cmath>

namespace flopcast {
namespace {

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

double PoolScaler::prompt_load(const Replica& replica, const ReplicaCounters& did) const {
  if (did.prompts_done == 0) return 0;
  const std::int64_t computed = did.prompt_tokens / did.prompts_done;
  const std::int64_t cached = std::max<std::int64_t>(0, did.prompt_tokens_done / did.prompts_done - computed);
  const double full = to_seconds(replica.full_prompt_iteration(computed, cached)) / config_.interval;
  const double budget = static_cast<double>(replica.config().scheduler.token_budget) * replica.config().groups;
  // What waits has to be computed in the next interval, less what caches hold of it.
  const double waiting = static_cast<double>(replica.load().queued_tokens) *
                         ratio(static_cast<double>(computed), static_cast<double>(computed + cached));
  return (static_cast<double>(did.prompt_tokens) + waiting) * full / budget;
}

double PoolScaler::answer_load(const Replica& replica, const ReplicaCounters& did, Ticks now) const {
  const double slots = static_cast<double>(replica.config().scheduler.max_batch) * replica.config().groups;
  const double requests = static_cast<double>(replica.load().outstanding) / slots;
  const double cache =
      ratio(static_cast<double>(replica.kv_tokens(now)), static_cast<double>(replica.kv_capacity_tokens()));
  const double iteration = ratio(to_seconds(did.busy).value(), static_cast<double>(did.iterations));
  const double per_token =
      iteration * ratio(static_cast<double>(did.decode_requests), static_cast<double>(did.decode_tokens));
  return std::max({requests, cache, per_token / tpot_.value()});
}

int PoolScaler::wanted(std::span<const Unit> units, Ticks now) {
  double load = 0;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const Replica& replica = *units[i].replica;
    const ReplicaCounters counters = replica.counters_at(now);
    const ReplicaCounters did = counters - before_[i];
    before_[i] = counters;
    if (!units[i].up) continue;
    load += hands_on(replica.config().role) ? prompt_load(replica, did) : answer_load(replica, did, now);
  }
  next_ += to_ticks(config_.interval);
  return std::clamp(static_cast<int>(std::ceil(load / config_.target)), config_.minimum,
                    static_cast<int>(units.size()));
}

}  // namespace flopcast
