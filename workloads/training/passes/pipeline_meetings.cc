#include "workloads/training/passes/pipeline_meetings.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace flopcast {
namespace {

constexpr std::size_t kNoStep = std::numeric_limits<std::size_t>::max();

bool has_forward_half(const Pass& pass) { return pass.kind == PassKind::forward || pass.kind == PassKind::overlapped; }
bool has_backward_half(const Pass& pass) {
  return pass.kind != PassKind::forward && pass.kind != PassKind::backward_weight;
}
int backward_chunk_of(const Pass& pass) { return pass.kind == PassKind::overlapped ? pass.backward_chunk : pass.chunk; }
int backward_micro_batch_of(const Pass& pass) {
  return pass.kind == PassKind::overlapped ? pass.backward_micro_batch : pass.micro_batch;
}

/// Where each half of a stage and micro-batch stands.
class PlacesOfPasses {
 public:
  struct Place {
    int rank = 0;
    std::size_t pass = 0;
  };
  explicit PlacesOfPasses(const Schedule& schedule) : micro_batches_(schedule.micro_batches) {
    const auto cells = static_cast<std::size_t>(schedule.stages) * schedule.micro_batches;
    forward_.resize(cells);
    backward_.resize(cells);
    for (int rank = 0; rank < schedule.ranks; ++rank) {
      const std::vector<Pass>& order = schedule.order[rank];
      for (std::size_t i = 0; i < order.size(); ++i) {
        const Pass& pass = order[i];
        const std::vector<int>& stage_of = schedule.stage_of[rank];
        if (has_forward_half(pass)) forward_[cell(stage_of[pass.chunk], pass.micro_batch)] = {rank, i};
        if (has_backward_half(pass))
          backward_[cell(stage_of[backward_chunk_of(pass)], backward_micro_batch_of(pass))] = {rank, i};
      }
    }
  }
  const Place& forward(int stage, int micro_batch) const { return forward_[cell(stage, micro_batch)]; }
  const Place& backward(int stage, int micro_batch) const { return backward_[cell(stage, micro_batch)]; }

 private:
  std::size_t cell(int stage, int micro_batch) const {
    return static_cast<std::size_t>(stage) * micro_batches_ + micro_batch;
  }
  int micro_batches_;
  std::vector<Place> forward_, backward_;
};

/// As the table of schedules has it, not forward passes alone.
bool has_all_backwards(const Schedule& schedule) {
  return std::all_of(schedule.order.begin(), schedule.order.end(), [](const std::vector<Pass>& order) {
    return 2 * std::count_if(order.begin(), order.end(), has_forward_half) == static_cast<std::ptrdiff_t>(order.size());
  });
}

/// The grid of PyTorch's _get_1f1b_rank_ops, which puts all forwards of the steady phase on even steps and all
/// backwards on odd ones: rank r starts at r, goes on with pairs at v P + 2 (P - 1 - r), and ends with a backward every
/// other step.
std::vector<std::vector<std::size_t>> interleaved_steps(const Schedule& schedule) {
  std::vector<std::vector<std::size_t>> steps(schedule.order.size());
  const std::size_t ranks = steps.size();
  std::size_t length = 0;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const std::vector<Pass>& order = schedule.order[rank];
    const std::size_t passes = order.size() / static_cast<std::size_t>(schedule.rounds), forwards = passes / 2;
    const std::size_t chunks = schedule.stage_of[rank].size(), left = ranks - 1 - rank;
    const std::size_t warm_up = std::min(forwards, 2 * left + (chunks - 1) * ranks);
    const std::size_t pairs_at = chunks * ranks + 2 * left, pairs_end = warm_up + 2 * (forwards - warm_up);
    for (std::size_t i = 0; i < passes; ++i) {
      steps[rank].push_back(i < warm_up     ? rank + i
                            : i < pairs_end ? pairs_at + i - warm_up
                                            : pairs_at + pairs_end - warm_up + 2 * (i - pairs_end) + 1);
    }
    length = std::max(length, steps[rank].back() + 1);
  }
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const std::size_t of_round = steps[rank].size();
    for (std::size_t i = of_round; i < schedule.order[rank].size(); ++i)
      steps[rank].push_back(steps[rank][i - of_round] + length);
  }
  return steps;
}

/// The earliest step of each pass, [rank][position].
std::vector<std::vector<std::size_t>> steps_of(const Schedule& schedule, const PlacesOfPasses& places) {
  std::vector<std::vector<std::size_t>> steps;
  for (const std::vector<Pass>& order : schedule.order) steps.emplace_back(order.size(), kNoStep);
  std::vector<std::size_t> next(schedule.ranks, 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (int rank = 0; rank < schedule.ranks; ++rank) {
      for (; next[rank] < schedule.order[rank].size(); ++next[rank]) {
        const Pass& pass = schedule.order[rank][next[rank]];
        const std::vector<int>& stage_of = schedule.stage_of[rank];
        std::size_t step = next[rank] > 0 ? steps[rank][next[rank] - 1] + 1 : 0;
        bool known = true;
        const auto behind = [&](const PlacesOfPasses::Place& before) {
          const std::size_t at = steps[before.rank][before.pass];
          known &= at != kNoStep;
          if (known) step = std::max(step, at + 1);
        };
        if (has_forward_half(pass) && stage_of[pass.chunk] > 0)
          behind(places.forward(stage_of[pass.chunk] - 1, pass.micro_batch));
        if (has_backward_half(pass) && stage_of[backward_chunk_of(pass)] < schedule.stages - 1)
          behind(places.backward(stage_of[backward_chunk_of(pass)] + 1, backward_micro_batch_of(pass)));
        if (!known) break;
        steps[rank][next[rank]] = step;
        moved = true;
      }
    }
  }
  return steps;
}

}  // namespace

std::vector<PipelineMeeting> pipeline_meetings(const Schedule& schedule) {
  const PlacesOfPasses places(schedule);
  const bool when_needed = schedule.name == "1f1b" || schedule.name == "gpipe";
  std::vector<std::vector<std::size_t>> steps;
  const bool on_grid = schedule.name == "interleaved_1f1b" && has_all_backwards(schedule);
  if (!when_needed) steps = on_grid ? interleaved_steps(schedule) : steps_of(schedule, places);
  std::vector<PipelineMeeting> meetings;
  const auto add = [&](int sender, std::size_t made_by, PipelineMail::Kind kind, const PlacesOfPasses::Place& used) {
    if (used.rank == sender) return;
    std::size_t held = used.pass;
    if (!when_needed) {
      const std::vector<std::size_t>& of_receiver = steps[used.rank];
      assert(steps[sender][made_by] != kNoStep);
      held = static_cast<std::size_t>(std::upper_bound(of_receiver.begin(), of_receiver.end(), steps[sender][made_by]) -
                                      of_receiver.begin());
      assert(held <= used.pass);
    }
    meetings.push_back({sender, made_by, kind, used.rank, held});
  };
  for (int rank = 0; rank < schedule.ranks; ++rank) {
    for (std::size_t i = 0; i < schedule.order[rank].size(); ++i) {
      const Pass& pass = schedule.order[rank][i];
      const std::vector<int>& stage_of = schedule.stage_of[rank];
      if (has_forward_half(pass) && stage_of[pass.chunk] < schedule.stages - 1)
        add(rank, i, PipelineMail::Kind::activation, places.forward(stage_of[pass.chunk] + 1, pass.micro_batch));
      if (const int chunk = backward_chunk_of(pass); has_backward_half(pass) && stage_of[chunk] > 0)
        add(rank, i, PipelineMail::Kind::gradient, places.backward(stage_of[chunk] - 1, backward_micro_batch_of(pass)));
    }
  }
  return meetings;
}

}  // namespace flopcast
