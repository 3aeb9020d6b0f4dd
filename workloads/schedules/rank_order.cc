#include "workloads/schedules/rank_order.h"

#include <algorithm>
#include <cassert>

namespace flopcast {

void RankOrder::add(PassKind kind, int chunk, int micro_batch) {
  passes_.push_back({.kind = kind,
                     .chunk = static_cast<std::uint16_t>(chunk),
                     .micro_batch = static_cast<std::uint16_t>(micro_batch)});
}

void RankOrder::backward_input(int chunk) {
  add(PassKind::backward_input, chunk, next_backward_[chunk]++);
  weight_queue_.push_back(passes_.back());
}

void RankOrder::backward_weight() {
  assert(weights_waiting());
  Pass pass = weight_queue_.front();
  weight_queue_.pop_front();
  pass.kind = PassKind::backward_weight;
  passes_.push_back(pass);
}

void RankOrder::overlapped(int forward_chunk, int backward_chunk) {
  add(PassKind::overlapped, forward_chunk, next_forward_[forward_chunk]++);
  passes_.back().backward_chunk = static_cast<std::uint16_t>(backward_chunk);
  passes_.back().backward_micro_batch = static_cast<std::uint16_t>(next_backward_[backward_chunk]++);
}

int round_robin_stage(int ranks, int rank, int chunk) { return chunk * ranks + rank; }
int v_stage(int ranks, int rank, int chunk) { return chunk == 0 ? rank : 2 * ranks - 1 - rank; }

std::vector<Pass> round_robin_order(const ScheduleRequest& request, int warm_up, bool paired) {
  const int chunks = request.chunks;
  const int passes = request.micro_batches * chunks;
  const auto forward_chunk = [&](int i) { return i / request.ranks % chunks; };
  const auto backward_chunk = [&](int i) { return chunks - 1 - forward_chunk(i); };

  RankOrder order = RankOrder::with_chunks(chunks);
  for (int i = 0; i < warm_up; ++i) order.forward(forward_chunk(i));
  for (int i = warm_up; i < passes; ++i) {
    if (paired) {
      order.overlapped(forward_chunk(i), backward_chunk(i - warm_up));
    } else {
      order.forward(forward_chunk(i));
      order.backward(backward_chunk(i - warm_up));
    }
  }
  for (int i = passes - warm_up; i < passes; ++i) order.backward(backward_chunk(i));
  return std::move(order).take();
}

std::vector<Pass> zero_bubble_order(const ScheduleRequest& request, int rank, int depth) {
  const int warm_up = std::min(depth * (request.ranks - rank - 1), request.micro_batches);
  const int weight_lag = depth * rank;
  RankOrder order = RankOrder::with_chunks(1);
  for (int i = 0; i < warm_up; ++i) order.forward(0);
  for (int i = 0; i < request.micro_batches; ++i) {
    if (i + warm_up < request.micro_batches) order.forward(0);
    order.backward_input(0);
    if (i >= weight_lag) order.backward_weight();
  }
  while (order.weights_waiting()) order.backward_weight();
  return std::move(order).take();
}

Schedule lay_out(std::string_view name, const ScheduleRequest& request, int chunks,
                 int (*stage)(int ranks, int rank, int chunk), int peak) {
  Schedule schedule;
  schedule.name = name;
  schedule.ranks = request.ranks;
  schedule.micro_batches = request.micro_batches;
  schedule.stage_of.assign(request.ranks, std::vector<int>(chunks));
  for (int rank = 0; rank < request.ranks; ++rank) {
    for (int chunk = 0; chunk < chunks; ++chunk) {
      schedule.stage_of[rank][chunk] = stage(request.ranks, rank, chunk);
      schedule.stages = std::max(schedule.stages, schedule.stage_of[rank][chunk] + 1);
    }
  }
  schedule.direction_of.assign(request.micro_batches, 0);
  schedule.order.resize(request.ranks);
  schedule.declared_peak_activations.assign(request.ranks, peak);
  return schedule;
}

namespace {

Diagnostic complaint(std::string field, std::string found, std::string expected, std::string remedy) {
  return {.file = {},
          .field = std::move(field),
          .found = std::move(found),
          .expected = std::move(expected),
          .suggestion = {},
          .remedy = std::move(remedy)};
}

void check_range(std::vector<Diagnostic>& out, const std::string& field, const std::string& what, int value, int most) {
  if (value >= 1 && value <= most) return;
  out.push_back(complaint(field, std::to_string(value) + " " + what, "1 to " + std::to_string(most),
                          std::to_string(value < 1 ? 1 : most)));
}

}  // namespace

std::vector<Diagnostic> check_sizes(const ScheduleRequest& request, int chunks) {
  std::vector<Diagnostic> out;
  check_range(out, "training.plan.pipeline", "pipeline ranks", request.ranks, kMostRanks);
  check_range(out, "training.batch.sequences", "micro-batches per replica", request.micro_batches, kMostMicroBatches);
  check_range(out, "training.plan.chunks", "chunks per rank", chunks, kMostChunks);
  if (!out.empty()) return out;
  const long stages = static_cast<long>(request.ranks) * chunks;
  if (stages * request.micro_batches > kMostCells) {
    const long most = kMostCells / stages;
    out.push_back(complaint(
        "training.batch.sequences",
        std::to_string(request.micro_batches) + " micro-batches through " + std::to_string(stages) + " stages",
        "at most " + std::to_string(kMostCells) + " (stage, micro-batch) pairs",
        std::to_string(most) + " micro-batches per replica"));
  }
  return out;
}

std::vector<Diagnostic> check_fixed_chunks(const ScheduleRequest& request, int chunks) {
  std::vector<Diagnostic> out = check_sizes(request, chunks);
  if (request.chunks != 1 && request.chunks != chunks) {
    out.push_back(complaint("training.plan.chunks", std::to_string(request.chunks) + " chunks per rank",
                            "none stated: this schedule puts " + std::to_string(chunks) + " on each rank",
                            "schedule interleaved_1f1b, which lets you choose"));
  }
  return out;
}

Diagnostic wrong_ranks(const ScheduleRequest& request, std::string expected, std::string remedy) {
  return complaint("training.plan.pipeline", std::to_string(request.ranks) + " pipeline ranks", std::move(expected),
                   std::move(remedy));
}

Diagnostic wrong_micro_batches(const ScheduleRequest& request, std::string expected, int wanted) {
  const bool possible = wanted <= kMostMicroBatches;
  return complaint("training.batch.sequences", std::to_string(request.micro_batches) + " micro-batches per replica",
                   std::move(expected), possible ? std::to_string(wanted) + " micro-batches per replica" : "");
}

std::vector<Diagnostic> check_whole_groups(const ScheduleRequest& request) {
  if (request.micro_batches % request.ranks == 0) return {};
  const int nearest = std::max(1, (request.micro_batches + request.ranks / 2) / request.ranks) * request.ranks;
  return {
      wrong_micro_batches(request, "a multiple of the " + std::to_string(request.ranks) + " pipeline ranks", nearest)};
}

}  // namespace flopcast
