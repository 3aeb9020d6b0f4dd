#include "workloads/schedules/repeating.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace flopcast {
namespace {

/// What a pass does, whatever its micro-batch.
bool same_form(const Pass& a, const Pass& b) {
  return a.kind == b.kind && a.chunk == b.chunk && a.backward_chunk == b.backward_chunk;
}

/// Passes that two orders have in common from the front or, given reversed, from the back.
template <class Iterator>
std::size_t in_common(Iterator a, Iterator a_end, Iterator b, Iterator b_end) {
  const auto differ = std::mismatch(a, a_end, b, b_end, same_form);
  return static_cast<std::size_t>(differ.first - a);
}

/// Where each result comes from: position of the pass in its rank's order.
class Producers {
 public:
  struct Place {
    std::uint32_t rank = 0, position = 0;
  };
  explicit Producers(const Schedule& schedule)
      : schedule_(schedule),
        forward_(static_cast<std::size_t>(schedule.stages) * schedule.micro_batches),
        backward_(forward_.size()) {
    for (std::uint32_t rank = 0; rank < schedule.order.size(); ++rank)
      for (std::uint32_t i = 0; i < schedule.order[rank].size(); ++i) {
        const Pass& pass = schedule.order[rank][i];
        for_each_half(static_cast<int>(rank), pass, [&](bool forward, int stage, int micro_batch) {
          (forward ? forward_ : backward_)[cell(stage, micro_batch)] = {rank, i};
        });
      }
  }

  /// Calls `visit` with the place of every result of other stages that a pass waits for.
  template <class Visit>
  void inputs(int rank, const Pass& pass, Visit visit) const {
    for_each_half(rank, pass, [&](bool forward, int stage, int micro_batch) {
      if (forward && stage > 0) visit(forward_[cell(stage - 1, micro_batch)]);
      if (!forward && stage + 1 < schedule_.stages) visit(backward_[cell(stage + 1, micro_batch)]);
    });
  }

 private:
  template <class Visit>
  void for_each_half(int rank, const Pass& pass, Visit visit) const {
    const std::vector<int>& stage_of = schedule_.stage_of[static_cast<std::size_t>(rank)];
    const bool pair = pass.kind == PassKind::overlapped;
    if (pass.kind == PassKind::forward || pair) visit(true, stage_of[pass.chunk], pass.micro_batch);
    if (pass.kind == PassKind::backward || pass.kind == PassKind::backward_input)
      visit(false, stage_of[pass.chunk], pass.micro_batch);
    if (pair) visit(false, stage_of[pass.backward_chunk], pass.backward_micro_batch);
  }
  std::size_t cell(int stage, int micro_batch) const {
    return static_cast<std::size_t>(stage) * schedule_.micro_batches + micro_batch;
  }
  const Schedule& schedule_;
  std::vector<Place> forward_, backward_;
};

/// Moves ends of stretches forward until no pass before one waits for a pass behind another.
void close(const Schedule& schedule, std::vector<RepeatedPasses>& stretches) {
  const Producers producers(schedule);
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t rank = 0; rank < stretches.size(); ++rank) {
      std::size_t& end = stretches[rank].end;
      for (std::size_t i = 0; i < end; ++i) {
        bool late = false;
        producers.inputs(static_cast<int>(rank), schedule.order[rank][i],
                         [&](Producers::Place from) { late |= from.position >= stretches[from.rank].end; });
        if (!late) continue;
        end = i;
        moved = true;
      }
    }
  }
}

/// The stretches of `longer`, which is one period longer than `shorter`; empty where their orders do not differ by that
/// alone, or where the passes seen around a stretch are not alike.
std::vector<RepeatedPasses> stretches_of(const Schedule& longer, const Schedule& shorter, int period) {
  std::vector<RepeatedPasses> stretches(longer.order.size());
  std::vector<std::size_t> length(longer.order.size()), first(longer.order.size()), last(longer.order.size());
  const auto of_micro_batches = [&](std::size_t rank, int count) {
    return (length[rank] * static_cast<std::size_t>(count) + static_cast<std::size_t>(period) - 1) /
           static_cast<std::size_t>(period);
  };
  for (std::size_t rank = 0; rank < longer.order.size(); ++rank) {
    const std::vector<Pass>&a = longer.order[rank], &b = shorter.order[rank];
    if (a.size() <= b.size()) return {};
    length[rank] = a.size() - b.size();
    const std::size_t front =
        in_common(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(b.size()), b.begin(), b.end());
    const std::size_t back =
        in_common(a.rbegin(), a.rbegin() + static_cast<std::ptrdiff_t>(b.size()), b.rbegin(), b.rend());
    if (front + back < b.size()) return {};
    first[rank] = b.size() - back;      // a stretch may begin here,
    last[rank] = front + length[rank];  // and end here
    const std::size_t margin = of_micro_batches(rank, longer.ranks);
    if (last[rank] < first[rank] + margin) return {};
    stretches[rank].end = last[rank] - margin;
  }
  close(longer, stretches);
  for (std::size_t rank = 0; rank < stretches.size(); ++rank) {
    RepeatedPasses& stretch = stretches[rank];
    const std::size_t depth = of_micro_batches(rank, 2 * longer.ranks);
    if (stretch.end < first[rank] + 2 * length[rank] + depth) return {};
    stretch.begin = stretch.end - length[rank];
    stretch.seen_begin = stretch.begin - depth;
    stretch.seen_end = last[rank];
    const std::vector<Pass>& order = longer.order[rank];
    for (std::size_t i = stretch.seen_begin; i < stretch.seen_end; ++i)
      if (!same_form(order[i], order[i - length[rank]])) return {};
  }
  return stretches;
}

}  // namespace

int usual_shortened(int ranks) { return 6 * ranks + 2; }

std::optional<ShortenedSchedule> shorten(const ScheduleRow& row, const ScheduleRequest& request, int at_least) {
  // What all schedules so far repeat after: one micro-batch, one in each direction, or a round through all ranks.
  std::vector<int> periods = {1, 2, request.ranks, 2 * request.ranks};
  std::sort(periods.begin(), periods.end());
  for (const int period : periods) {
    ScheduleRequest some = request;
    some.micro_batches = at_least + (request.micro_batches - at_least) % period;
    if (some.micro_batches + period > request.micro_batches) continue;
    ScheduleRequest fewer = some;
    fewer.micro_batches -= period;
    if (fewer.micro_batches < 1 || !row.check(some).empty() || !row.check(fewer).empty()) continue;
    ShortenedSchedule shortened;
    shortened.schedule = row.build(some);
    shortened.of_rank = stretches_of(shortened.schedule, row.build(fewer), period);
    if (shortened.of_rank.empty()) continue;
    shortened.more = (request.micro_batches - some.micro_batches) / period;
    return shortened;
  }
  return std::nullopt;
}

}  // namespace flopcast
