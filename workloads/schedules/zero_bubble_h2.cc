// ZB-H2: twice the activations of ZB-H1 buy a parallelogram without gaps. Qi et al. 2023, arXiv 2401.10241,
// section 3.2.
//
// Rank r runs 2(P-r)-1 forwards before its first backward and puts off weight gradients by 2r micro-batches:
// 2P-1 activations on every rank. Ranks start and end one after the other, so the gap-free step needs an
// optimiser that does not wait for all ranks; counted up to the last rank's end, the slant (P-1)F is idle
// time all the same.
#include <algorithm>

#include "workloads/schedules/rank_order.h"
#include "workloads/schedules/rows.h"

namespace flopcast::rows {
namespace {

std::vector<Pass> order_of_zero_bubble_h2(int ranks, int rank, int micro_batches) {
  const int warm_up = std::min(2 * (ranks - rank - 1), micro_batches);
  const int weight_lag = 2 * rank;
  RankOrder order = RankOrder::with_chunks(1);
  for (int i = 0; i < warm_up; ++i) order.forward(0);
  for (int i = 0; i < micro_batches; ++i) {
    if (i + warm_up < micro_batches) order.forward(0);
    order.backward_input(0);
    if (i >= weight_lag) order.backward_weight();
  }
  while (order.weights_waiting()) order.backward_weight();
  return std::move(order).take();
}

Schedule build_zero_bubble_h2(const ScheduleRequest& request) {
  const int peak = std::min(2 * request.ranks - 1, request.micro_batches);
  Schedule schedule = lay_out("zb_h2", request, 1, round_robin_stage, peak);
  for (int rank = 0; rank < request.ranks; ++rank) {
    schedule.order[rank] = order_of_zero_bubble_h2(request.ranks, rank, request.micro_batches);
  }
  return schedule;
}

std::vector<Diagnostic> check_zero_bubble_h2(const ScheduleRequest& request) {
  std::vector<Diagnostic> out = check_fixed_chunks(request, 1);
  if (out.empty() && request.micro_batches < 2 * request.ranks - 1) {
    out.push_back(wrong_micro_batches(
        request, "at least " + std::to_string(2 * request.ranks - 1) + ", one less than twice the pipeline ranks",
        2 * request.ranks - 1));
  }
  return out;
}

/// Gaps inside a rank's own span, (P-1)(F + B - 3W) with B the full backward.
double bubble_zero_bubble_h2(int ranks, int, int, double f, double b, double w, double) {
  return (ranks - 1) * (f + (b + w) - 3 * w);
}

}  // namespace

ScheduleRow zero_bubble_h2() {
  return {.name = "zb_h2",
          .title = "Zero bubble H2: no gaps for twice the activations",
          .source = "Qi et al. 2023, arXiv 2401.10241",
          .bubble = "(P-1)(F+B-3W) within a rank's own span",
          .two_copies = false,
          .choose_chunks = false,
          .build = build_zero_bubble_h2,
          .check = check_zero_bubble_h2,
          .closed_form_bubble = bubble_zero_bubble_h2};
}

}  // namespace flopcast::rows
