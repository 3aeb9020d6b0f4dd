#include "workloads/schedules/schedule_timing.h"

#include <algorithm>
#include <optional>

namespace flopcast {

PassDurations PassDurations::plain(Seconds forward, Seconds backward_input, Seconds backward_weight) {
  return {.forward = forward,
          .backward_input = backward_input,
          .backward_weight = backward_weight,
          .backward = backward_input + backward_weight,
          .overlapped = forward + backward_input + backward_weight};
}

Seconds PassDurations::of(PassKind kind) const {
  switch (kind) {
    case PassKind::forward:
      return forward;
    case PassKind::backward:
      return backward;
    case PassKind::backward_input:
      return backward_input;
    case PassKind::backward_weight:
      return backward_weight;
    case PassKind::overlapped:
      return overlapped;
  }
  return {};
}

std::string to_string(const StuckPass& stuck) {
  const bool own = stuck.awaited == PassKind::backward_input;
  const char letter = stuck.awaited == PassKind::forward ? 'F' : 'B';
  return "rank " + std::to_string(stuck.rank) + " waits at " + to_text(stuck.pass) + " for " +
         (own ? std::string("its own input gradient of ") : "stage " + std::to_string(stuck.awaited_stage) + "'s ") +
         letter + std::to_string(stuck.awaited_micro_batch);
}

namespace {

/// When the result of one pass kind is there, for every (stage, micro-batch).
class Results {
 public:
  Results(int stages, int micro_batches)
      : micro_batches_(micro_batches), end_(static_cast<std::size_t>(stages) * micro_batches, Seconds(-1)) {}
  bool there(int stage, int micro_batch) const { return at(stage, micro_batch) >= Seconds(0); }
  Seconds at(int stage, int micro_batch) const { return end_[index(stage, micro_batch)]; }
  void set(int stage, int micro_batch, Seconds end) { end_[index(stage, micro_batch)] = end; }

 private:
  std::size_t index(int stage, int micro_batch) const {
    return static_cast<std::size_t>(stage) * micro_batches_ + micro_batch;
  }
  int micro_batches_;
  std::vector<Seconds> end_;
};

struct Input {
  PassKind kind;
  int stage;
  int micro_batch;
};

class Run {
 public:
  Run(const Schedule& schedule, const PassDurations& durations)
      : schedule_(schedule),
        durations_(durations),
        forwards_(schedule.stages, schedule.micro_batches),
        backwards_(schedule.stages, schedule.micro_batches),
        input_gradients_(schedule.stages, schedule.micro_batches),
        holders_(schedule.stages),
        queued_(schedule.ranks, true) {
    timing_.spans.resize(schedule.ranks);
    timing_.busy.resize(schedule.ranks);
    for (int rank = 0; rank < schedule.ranks; ++rank) {
      queue_.push_back(rank);
      for (const int stage : schedule.stage_of[rank]) holders_[stage].push_back(rank);
    }
  }

  ScheduleTiming run() && {
    while (!queue_.empty()) {
      const int rank = queue_.back();
      queue_.pop_back();
      queued_[rank] = false;
      advance(rank);
    }
    for (int rank = 0; rank < schedule_.ranks; ++rank) note_if_stuck(rank);
    return std::move(timing_);
  }

 private:
  /// Runs the passes of `rank` until one lacks an input.
  void advance(int rank) {
    auto& spans = timing_.spans[rank];
    const auto& order = schedule_.order[rank];
    while (spans.size() < order.size()) {
      const Pass& pass = order[spans.size()];
      if (missing_input(rank, pass)) return;
      const Seconds free = spans.empty() ? Seconds(0) : spans.back().end;
      const Seconds start = std::max(free, inputs_ready(rank, pass));
      const Seconds end = start + durations_.of(pass.kind);
      spans.push_back({start, end});
      timing_.busy[rank] += end - start;
      timing_.makespan = std::max(timing_.makespan, end);
      publish(rank, pass, end);
    }
  }

  /// Calls `visit` with every input of a pass until it returns false.
  template <class Visit>
  void for_each_input(int rank, const Pass& pass, Visit visit) const {
    const auto forward_input = [&](int chunk, int micro_batch) {
      const int stage = schedule_.stage_of[rank][chunk];
      return stage == 0 || visit(Input{PassKind::forward, stage - 1, micro_batch});
    };
    const auto backward_input = [&](int chunk, int micro_batch) {
      const int stage = schedule_.stage_of[rank][chunk];
      return visit(Input{PassKind::forward, stage, micro_batch}) &&
             (stage == schedule_.stages - 1 || visit(Input{PassKind::backward, stage + 1, micro_batch}));
    };
    switch (pass.kind) {
      case PassKind::forward:
        forward_input(pass.chunk, pass.micro_batch);
        break;
      case PassKind::backward:
      case PassKind::backward_input:
        backward_input(pass.chunk, pass.micro_batch);
        break;
      case PassKind::backward_weight:
        visit(Input{PassKind::backward_input, schedule_.stage_of[rank][pass.chunk], pass.micro_batch});
        break;
      case PassKind::overlapped:
        if (forward_input(pass.chunk, pass.micro_batch)) backward_input(pass.backward_chunk, pass.backward_micro_batch);
        break;
    }
  }

  const Results& results(PassKind kind) const {
    return kind == PassKind::forward ? forwards_ : kind == PassKind::backward ? backwards_ : input_gradients_;
  }

  std::optional<Input> missing_input(int rank, const Pass& pass) const {
    std::optional<Input> missing;
    for_each_input(rank, pass, [&](const Input& input) {
      if (!results(input.kind).there(input.stage, input.micro_batch)) missing = input;
      return !missing;
    });
    return missing;
  }

  Seconds inputs_ready(int rank, const Pass& pass) const {
    Seconds ready(0);
    for_each_input(rank, pass, [&](const Input& input) {
      ready = std::max(ready, results(input.kind).at(input.stage, input.micro_batch));
      return true;
    });
    return ready;
  }

  void publish(int rank, const Pass& pass, Seconds end) {
    const int stage = schedule_.stage_of[rank][pass.chunk];
    switch (pass.kind) {
      case PassKind::forward:
        publish_forward(stage, pass.micro_batch, end);
        break;
      case PassKind::backward:
        publish_backward(stage, pass.micro_batch, end);
        break;
      case PassKind::backward_input:
        input_gradients_.set(stage, pass.micro_batch, end);
        publish_backward(stage, pass.micro_batch, end);
        break;
      case PassKind::backward_weight:
        break;
      case PassKind::overlapped:
        publish_forward(stage, pass.micro_batch, end);
        publish_backward(schedule_.stage_of[rank][pass.backward_chunk], pass.backward_micro_batch, end);
        break;
    }
  }

  void publish_forward(int stage, int micro_batch, Seconds end) {
    forwards_.set(stage, micro_batch, end);
    wake_holders(stage);
    if (stage + 1 < schedule_.stages) wake_holders(stage + 1);
  }

  void publish_backward(int stage, int micro_batch, Seconds end) {
    backwards_.set(stage, micro_batch, end);
    if (stage > 0) wake_holders(stage - 1);
  }

  void wake_holders(int stage) {
    for (const int rank : holders_[stage]) {
      if (queued_[rank]) continue;
      queued_[rank] = true;
      queue_.push_back(rank);
    }
  }

  void note_if_stuck(int rank) {
    const std::size_t position = timing_.spans[rank].size();
    if (position == schedule_.order[rank].size()) return;
    const Pass& pass = schedule_.order[rank][position];
    const Input input = *missing_input(rank, pass);
    timing_.stuck.push_back({rank, position, pass, input.kind, input.stage, input.micro_batch});
  }

  const Schedule& schedule_;
  const PassDurations& durations_;
  ScheduleTiming timing_;
  Results forwards_, backwards_, input_gradients_;
  std::vector<std::vector<int>> holders_;  // [stage]: ranks
  std::vector<int> queue_;                 // ranks to look at again
  std::vector<bool> queued_;
};

}  // namespace

ScheduleTiming time_schedule(const Schedule& schedule, const PassDurations& durations) {
  return Run(schedule, durations).run();
}

}  // namespace flopcast
