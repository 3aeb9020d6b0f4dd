#include "workloads/serving/session/autoscale.h"

#include <algorithm>
#include <cmath>

#include "workloads/serving/replica/iteration_prices.h"
#include "workloads/serving/replica/replica.h"

namespace flopcast {
namespace {

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

double PoolScaler::prompt_load(const Replica& replica, const ReplicaCounters& did) const {
  if (did.prompts_done == 0) return 0;
  const std::int64_t computed = did.prompt_tokens / did.prompts_done;
  const std::int64_t cached = std::max<std::int64_t>(0, did.prompt_tokens_done / did.prompts_done - computed);
  const double full =
      to_seconds(full_prompt_iteration(replica.config(), replica.pricer(), computed, cached)) / config_.interval;
  const double budget = static_cast<double>(replica.config().tokens_under_way()) * replica.config().groups;
  // What waits has to be computed in the next interval, less what caches hold of it.
  const double waiting = static_cast<double>(replica.load().queued_tokens) *
                         ratio(static_cast<double>(computed), static_cast<double>(computed + cached));
  return (static_cast<double>(did.prompt_tokens) + waiting) * full / budget;
}

double PoolScaler::answer_load(const Replica& replica, const ReplicaCounters& did, Ticks now) const {
  const double slots = static_cast<double>(replica.config().scheduler.max_batch) * replica.config().groups;
  const double requests = static_cast<double>(replica.load().outstanding) / slots;
  const double cache =
      ratio(static_cast<double>(replica.kv_tokens(now)), static_cast<double>(kv_capacity_tokens(replica)));
  const double iteration = ratio(to_seconds(did.busy).value(), static_cast<double>(did.iterations));
  const double per_token =
      iteration * ratio(static_cast<double>(did.decode_requests), static_cast<double>(did.decode_tokens));
  return std::max({requests, cache, per_token / promised_.tpot.value()});
}

/// Latencies of the interval over the strictest promised; 0: nothing was measured.
double PoolScaler::lateness(const ReplicaCounters& did, const ReplicaConfig& config) const {
  double ratio = 0;
  if (computes_prompts(config.role) && did.prompts_done > 0)
    ratio = to_seconds(did.prompt_waits).value() / static_cast<double>(did.prompts_done) / promised_.ttft.value();
  if (gives_answers(config.role) && did.decode_tokens > 0) {
    // Every replica's own time, weighted by what it gave: requests of an iteration each wait for it.
    const double token = to_seconds(did.busy).value() / static_cast<double>(did.iterations) *
                         static_cast<double>(did.decode_requests) / static_cast<double>(did.decode_tokens);
    ratio = std::max(ratio, token / promised_.tpot.value());
  }
  return ratio;
}

/// In proportion to what is too much, at most twice as many; one less where it is little.
double PoolScaler::by_ratio(double ratio, int working, double shrinks_below) const {
  constexpr double kTolerance = 0.1;
  if (ratio > 1 + kTolerance) return std::ceil(std::max(1, working) * std::min(2.0, ratio));
  return ratio < shrinks_below ? working - 1 : working;
}

int PoolScaler::scheduled(Ticks now) const {
  const Ticks day = to_ticks(config_.day), within = now % day;
  int replicas = config_.steps.back().replicas;  // of the day before
  for (const ScaleStep& step : config_.steps)
    if (to_ticks(step.at) <= within) replicas = step.replicas;
  return replicas;
}

Ticks PoolScaler::next_step(Ticks now) const {
  const Ticks day = to_ticks(config_.day), begin = now - now % day;
  for (const ScaleStep& step : config_.steps)
    if (begin + to_ticks(step.at) > now) return begin + to_ticks(step.at);
  return begin + day + to_ticks(config_.steps.front().at);
}

int PoolScaler::wanted(std::span<const Unit> units, int working, std::int64_t coming, Ticks now) {
  double load = 0, late = 0;
  std::int64_t waiting = coming;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const Replica& replica = *units[i].replica;
    const ReplicaCounters counters = replica.counters_at(now);
    const ReplicaCounters did = counters - before_[i];
    before_[i] = counters;
    waiting += replica.load().waiting;
    if (!units[i].up) continue;
    late = std::max(late, lateness(did, replica.config()));
    if (config_.by == ScaleBy::load)
      load += hands_on(replica.config().role) ? prompt_load(replica, did) : answer_load(replica, did, now);
  }
  next_ = config_.by == ScaleBy::schedule ? next_step(now) : next_ + to_ticks(config_.interval);
  double wanted = 0;
  switch (config_.by) {
    case ScaleBy::load:
      wanted = std::ceil(load / config_.target);
      break;
    case ScaleBy::queue:
      wanted = by_ratio(static_cast<double>(waiting) / (std::max(1, working) * config_.queue), working, 0.25);
      break;
    case ScaleBy::slo:
      wanted = by_ratio(late / config_.target, working, 0.9);
      break;
    case ScaleBy::schedule:
      wanted = scheduled(now);
      break;
  }
  int most =
      static_cast<int>(std::clamp(wanted, static_cast<double>(config_.minimum), static_cast<double>(units.size())));
  if (config_.hold <= Seconds(0)) return most;
  asked_.emplace_back(now, most);
  while (asked_.front().first < now - to_ticks(config_.hold)) asked_.pop_front();
  for (const auto& [at, replicas] : asked_) most = std::max(most, replicas);
  return most;
}

}  // namespace flopcast
