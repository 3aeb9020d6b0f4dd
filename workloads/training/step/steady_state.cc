#include "workloads/training/step/steady_state.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace flopcast {
namespace {

/// Dates of one period and the next differ by this share of it from rounding, and by some picoseconds because flows
/// that end closer together end at once.
constexpr double kSameShare = 1e-10;
constexpr Seconds kSameTime{4e-12};

Seconds first_start(const PassRecord& pass, const SpanSink& spans) {
  Seconds first = spans.start(pass.first);
  for (std::size_t op = pass.first.index(); op < pass.end.index(); ++op)
    first = std::min(first, spans.start(OpId::at(op)));
  return first;
}

Seconds last_end(const PassRecord& pass, const SpanSink& spans) {
  Seconds last;
  for (std::size_t op = pass.first.index(); op < pass.end.index(); ++op) last = std::max(last, spans.end(OpId::at(op)));
  return last;
}

}  // namespace

std::vector<std::uint32_t> operation_times(const TrainingStep& step) {
  if (!step.repeated) return {};
  std::vector<std::uint32_t> times(step.graph.size(), 1);
  for (const PassRecord& pass : step.passes)
    std::fill(times.begin() + pass.first.index(), times.begin() + pass.end.index(),
              static_cast<std::uint32_t>(pass.times));
  return times;
}

std::optional<Seconds> steady_period(const TrainingStep& step, const SpanSink& spans) {
  assert(step.repeated);
  // What runs beside the stretches, until the last of them is over, is to repeat too.
  Seconds over;
  for (const RepeatedPasses& rank : step.repeated->of_rank)
    over = std::max(over, last_end(step.passes[rank.end - 1], spans));
  std::optional<Seconds> period;
  const auto agrees = [&](Seconds before, Seconds now) {
    if (!period) period = now - before;
    const Seconds off(std::abs((now - before - *period).value()));
    return off <= std::max(*period * kSameShare, kSameTime);
  };
  for (const RepeatedPasses& rank : step.repeated->of_rank) {
    for (std::size_t p = rank.seen_begin; p < rank.end || first_start(step.passes[p], spans) < over; ++p) {
      if (p == rank.seen_end) return std::nullopt;
      const PassRecord &pass = step.passes[p], &before = step.passes[p - rank.period()];
      const std::size_t operations = pass.end.index() - pass.first.index();
      if (before.end.index() - before.first.index() != operations) return std::nullopt;
      for (std::size_t i = 0; i < operations; ++i) {
        const OpId now = OpId::at(pass.first.index() + i), then = OpId::at(before.first.index() + i);
        if (!agrees(spans.end(then), spans.end(now)) || !agrees(spans.start(then), spans.start(now)))
          return std::nullopt;
      }
    }
  }
  return period;
}

}  // namespace flopcast
