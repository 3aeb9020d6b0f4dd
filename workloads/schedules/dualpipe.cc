// DualPipe: micro-batches enter at both ends of the pipeline at once, and forwards of one direction overlap
// backwards of the other. Every stage is held twice. DeepSeek-V3 report, arXiv 2412.19437, 3.2.1;
// deepseek-ai/DualPipe.
//
// Direction 0 takes micro-batches 0 .. M/2-1 from rank 0 upwards (chunk 0 of rank r is stage r), direction 1
// takes M/2 .. M-1 from rank P-1 downwards (chunk 1 of rank r is stage P-1-r).
#include <algorithm>

#include "workloads/schedules/dualpipe_order.h"
#include "workloads/schedules/rows.h"
#include "workloads/schedules/schedule_timing.h"

namespace flopcast::rows {
namespace {

int two_way_stage(int ranks, int rank, int chunk) { return chunk == 0 ? rank : ranks - 1 - rank; }

std::vector<Pass> order_of_dualpipe(int ranks, int rank, int micro_batches) {
  const int half = ranks / 2;
  const int near = rank < half ? 0 : 1;
  RankOrder order({0, micro_batches / 2});
  append_dualpipe_order(order, {.half = half,
                                .distance = std::min(rank, ranks - 1 - rank),
                                .micro_batches = micro_batches / 2,
                                .near = near,
                                .far = 1 - near});
  return std::move(order).take();
}

Schedule build_dualpipe(const ScheduleRequest& request) {
  Schedule schedule = lay_out("dualpipe", request, 2, two_way_stage, request.ranks + 1);
  schedule.overlaps = true;
  std::fill(schedule.direction_of.begin() + request.micro_batches / 2, schedule.direction_of.end(), 1);
  for (int rank = 0; rank < request.ranks; ++rank) {
    schedule.order[rank] = order_of_dualpipe(request.ranks, rank, request.micro_batches);
  }
  return schedule;
}

std::vector<Diagnostic> check_dualpipe(const ScheduleRequest& request) {
  std::vector<Diagnostic> out = check_fixed_chunks(request, 2);
  if (!out.empty()) return out;
  const int even_ranks = request.ranks + request.ranks % 2;
  if (request.ranks % 2 != 0) {
    out.push_back(wrong_ranks(request, "an even number: micro-batches enter at both ends",
                              std::to_string(even_ranks) + " pipeline ranks, or schedule dualpipev"));
  }
  if (request.micro_batches < 2 * even_ranks) {
    out.push_back(wrong_micro_batches(request, "at least twice the " + std::to_string(even_ranks) + " pipeline ranks",
                                      2 * even_ranks));
  } else if (request.micro_batches % 2 != 0) {
    out.push_back(wrong_micro_batches(request, "an even number: half enter at each end", request.micro_batches + 1));
  }
  return out;
}

/// (P/2-1)(F&B + B - 3W), B the full backward (README of deepseek-ai/DualPipe).
Seconds bubble_dualpipe(const ScheduleRequest& request, const PassDurations& time) {
  return (request.ranks / 2 - 1) * (time.overlapped + time.backward - 3 * time.backward_weight);
}

}  // namespace

ScheduleRow dualpipe() {
  return {.name = "dualpipe",
          .title = "DualPipe: both ways at once, forward and backward overlapped",
          .source = "DeepSeek-AI 2024, arXiv 2412.19437, 3.2.1; github.com/deepseek-ai/DualPipe",
          .bubble = "(P/2-1)(F&B+B-3W)",
          .two_copies = true,
          .choose_chunks = false,
          .build = build_dualpipe,
          .check = check_dualpipe,
          .closed_form_bubble = bubble_dualpipe};
}

}  // namespace flopcast::rows
