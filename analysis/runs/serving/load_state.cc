#include "analysis/runs/serving/load_state.h"

#include <algorithm>
#include <cmath>

namespace flopcast {
namespace {

double mean_between(const TimeSeries& series, Seconds begin, Seconds end) {
  const std::vector<double> averages = series.averages();
  const double width = series.width().value();
  double sum = 0;
  for (std::size_t i = 0; i < averages.size(); ++i) {
    const double from = std::max(begin.value(), static_cast<double>(i) * width);
    const double to = std::min(end.value(), static_cast<double>(i + 1) * width);
    if (to > from) sum += averages[i] * (to - from);
  }
  return end > begin ? sum / (end - begin).value() : 0;
}

}  // namespace

std::string_view name(LoadState state) {
  constexpr std::string_view kNames[] = {"stable", "backlogged", "overloaded"};
  return kNames[static_cast<std::size_t>(state)];
}

LoadEvidence load_evidence(const SessionTotals& totals) {
  const ClassMetrics all = totals.metrics.all();
  LoadEvidence out;
  const auto share = [&](std::int64_t requests) {
    return all.left() > 0 ? static_cast<double>(requests) / static_cast<double>(all.left()) : 0;
  };
  out.turned_away = share(all.rejected.requests - static_cast<std::int64_t>(totals.too_long));
  out.dropped = share(all.expired.requests);
  out.none_answered = all.arrived.requests > 0 && all.completed.requests == 0;
  out.unfinished = totals.cut && totals.live > 0;
  const Seconds begin = totals.begin, end = std::max(begin, totals.backlog.until());
  out.arrivals = end - begin;
  const double seconds = (totals.end - totals.begin).value();
  const double rate = seconds > 0 ? static_cast<double>(all.left()) / seconds : 0;
  if (rate > 0) {
    out.backlog = Seconds(totals.backlog.last_waiting() / rate);
    out.wander = Seconds(3 * std::sqrt(static_cast<double>(all.arrived.requests)) / rate);
  }
  const Seconds quarter = out.arrivals / 4;
  out.waiting_before = mean_between(totals.backlog.waiting(), begin + quarter, begin + 2 * quarter);
  out.waiting_between = mean_between(totals.backlog.waiting(), begin + 2 * quarter, begin + 3 * quarter);
  out.waiting_late = mean_between(totals.backlog.waiting(), begin + 3 * quarter, end);
  out.waited = Seconds(all.queueing.mean());
  out.worked_on = Seconds(all.end_to_end.mean()) - out.waited;
  out.typical = Seconds(all.end_to_end.quantile(0.5));
  out.draining = std::max(Seconds(0), totals.end - end);
  for (const QuantileSketch* const pace : {&all.engine_ttft, &all.tpot})
    if (const double median = pace->quantile(0.5); pace->count() > 0 && median > 0)
      out.slowest = std::max(out.slowest, pace->max() / median);
  for (const PoolTotals& pool : totals.pools)
    if (pool.up_time > Seconds(0)) out.busy = std::max(out.busy, to_seconds(pool.counters.busy) / pool.up_time);
  return out;
}

bool replica_drowns(const LoadEvidence& e) {
  // Long answers and preempted requests are drawn out by less: their pace is that of the others within a few times.
  constexpr double kSlowest = 20;
  constexpr double kLives = 4;  // in a burst all that come are worked at when no more come
  return e.arrivals > kLives * e.typical && e.draining > e.arrivals && e.slowest > kSlowest;
}

LoadState judge(const LoadEvidence& e) {
  constexpr double kBacklogShare = 0.08, kGrowth = 1.3, kBusy = 0.85, kCut = 0.01;
  if (e.turned_away > kCut || (e.dropped > kCut && e.busy > kBusy)) return LoadState::overloaded;
  if (e.none_answered || e.unfinished || replica_drowns(e)) return LoadState::overloaded;
  if (e.backlog > kBacklogShare * e.arrivals && e.waiting_late > kGrowth * e.waiting_before)
    return LoadState::overloaded;
  constexpr double kSlowShare = 0.02, kSlowGrowth = 1.25, kSlowBusy = 0.95, kFull = 0.98;
  const bool grows =
      e.waiting_between > kSlowGrowth * e.waiting_before && e.waiting_late > kSlowGrowth * e.waiting_between;
  if (grows && e.busy > kSlowBusy && e.backlog > std::min(kSlowShare * e.arrivals, e.wander))
    return LoadState::overloaded;
  if (grows && e.busy > kFull) return LoadState::backlogged;
  return e.busy > kBusy && e.waited > 1.5 * e.worked_on ? LoadState::backlogged : LoadState::stable;
}

bool too_short_to_tell(const SessionTotals& totals) {
  constexpr double kLives = 4;
  return totals.backlog.until() - totals.begin < Seconds(kLives * totals.metrics.all().end_to_end.mean());
}

}  // namespace flopcast
