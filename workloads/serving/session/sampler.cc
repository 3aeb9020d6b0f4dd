#include "workloads/serving/session/sampler.h"

#include <algorithm>

namespace flopcast {
namespace {

constexpr Ticks kFirstPeriod = static_cast<Ticks>(kTicksPerSecond) / 16;
/// The period doubles after this many samples: curves over time cost the same for a minute and for a month.
constexpr int kSamplesPerPeriod = 4096;

TokenSnapshot snapshot(const ReplicaFleet& fleet, const RequestBooks& books, Ticks now) {
  TokenSnapshot out;
  out.at = to_seconds(now);
  out.prompts = -books.wasted().prompts;
  out.answers = -books.wasted().answers;
  for (const FleetUnit& unit : fleet.units()) {
    out.prompts += unit.replica->counters().prompt_tokens_done;
    out.answers += unit.replica->counters_at(now).tokens_given();
  }
  return out;
}

}  // namespace

Sampler::Sampler(Seconds warm_up, Seconds window, std::size_t pools)
    : warm_up_(to_ticks(warm_up)),
      window_(to_ticks(window)),
      pools_(pools),
      period_(kFirstPeriod),
      next_(kFirstPeriod) {}

double Sampler::sample_pool(PoolCurves& curves, std::span<const FleetUnit> units, Seconds begin, Seconds end,
                            Ticks now) {
  const double period = (end - begin).value();
  double kv = 0, capacity = 0, running = 0, waiting = 0, up = 0;
  WideTicks busy = 0;
  for (const FleetUnit& unit : units) {
    busy += unit.replica->counters_at(now).busy;
    if (unit.state != UnitState::up && unit.state != UnitState::draining) continue;
    kv += static_cast<double>(unit.replica->kv_tokens(now));
    capacity += static_cast<double>(kv_capacity_tokens(*unit.replica));
    running += static_cast<double>(unit.replica->load().running());
    waiting += static_cast<double>(unit.replica->load().waiting + unit.coming);
    ++up;
  }
  const double share = capacity > 0 ? kv / capacity : 0;
  curves.kv_share.add(begin, end, share);
  curves.running.add(begin, end, running);
  curves.waiting.add(begin, end, waiting);
  curves.up.add(begin, end, up);
  const double worked = to_seconds(busy - curves.busy_sampled).value();
  curves.busy.add(begin, end, up > 0 ? std::clamp(worked / (period * up), 0.0, 1.0) : 0.0);
  curves.busy_sampled = busy;
  curves.sum_kv_share += share * period;
  curves.sum_up += up * period;
  return waiting;
}

void Sampler::sample(const ReplicaFleet& fleet, const RequestBooks& books, Ticks now) {
  const Seconds end = to_seconds(next_), begin = to_seconds(next_ - period_);
  double waiting = 0;
  for (std::size_t p = 0; p < pools_.size(); ++p)
    waiting += sample_pool(pools_[p], fleet.of(fleet.pools()[p]), begin, end, now);
  sampled_seconds_ += (end - begin).value();
  const bool arrivals = books.requests() > requests_;
  backlog_.add(begin, end, waiting, static_cast<double>(books.live()), arrivals);
  const bool warm = books.counted_from() >= 0 && now >= books.counted_from() + warm_up_;
  if (warm && (window_ > 0 ? now <= window_ : arrivals)) {
    steady_end_ = snapshot(fleet, books, now);
    if (steady_begin_.at <= Seconds(0)) steady_begin_ = steady_end_;
  }
  requests_ = books.requests();
  if (next_ / kSamplesPerPeriod >= period_) period_ *= 2;  // their product may pass 2^63 ticks
  next_ += period_;
}

void Sampler::add_to(SessionTotals& totals, const ReplicaFleet& fleet, const RequestBooks& books, Ticks now) const {
  totals.steady_begin = steady_begin_;
  totals.steady_end = steady_end_;
  if (now < window_) {  // all were answered before its end, and none came any more
    totals.steady_end = snapshot(fleet, books, now);
    totals.steady_end.at = to_seconds(window_);
    if (totals.steady_begin.at <= Seconds(0)) {
      totals.steady_begin = totals.steady_end;
      totals.steady_begin.at = std::min(to_seconds(window_), to_seconds(std::max<Ticks>(warm_up_, 1)));
    }
  }
  totals.backlog = backlog_;
  for (std::size_t p = 0; p < pools_.size(); ++p) {
    const PoolCurves& curves = pools_[p];
    PoolTotals& pool = totals.pools[p];
    pool.kv_share = curves.kv_share;
    pool.busy = curves.busy;
    pool.running = curves.running;
    pool.waiting = curves.waiting;
    pool.up = curves.up;
    pool.mean_kv_share = sampled_seconds_ > 0 ? curves.sum_kv_share / sampled_seconds_ : 0;
    pool.mean_replicas = sampled_seconds_ > 0 ? curves.sum_up / sampled_seconds_ : pool.replicas;
  }
}

}  // namespace flopcast
