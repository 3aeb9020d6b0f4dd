// ZB-H1 (called ZB1P elsewhere): 1F1B with the backward split, weight gradients put off to fill the gaps, in
// the memory of 1F1B. Qi et al. 2023, arXiv 2401.10241, section 3.1.
//
// Rank r puts off its weight gradients by r micro-batches. It then holds P-r activations between F and B and
// r more between B and W: P on every rank.
#include <algorithm>

#include "workloads/schedules/rank_order.h"
#include "workloads/schedules/rows.h"

namespace flopcast::rows {
namespace {

std::vector<Pass> order_of_zero_bubble_h1(int ranks, int rank, int micro_batches) {
  const int warm_up = std::min(ranks - rank - 1, micro_batches);
  const int weight_lag = rank;
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

Schedule build_zero_bubble_h1(const ScheduleRequest& request) {
  const int peak = std::min(request.ranks, request.micro_batches);
  Schedule schedule = lay_out("zb_h1", request, 1, round_robin_stage, peak);
  for (int rank = 0; rank < request.ranks; ++rank) {
    schedule.order[rank] = order_of_zero_bubble_h1(request.ranks, rank, request.micro_batches);
  }
  return schedule;
}

std::vector<Diagnostic> check_zero_bubble_h1(const ScheduleRequest& request) {
  std::vector<Diagnostic> out = check_fixed_chunks(request, 1);
  if (out.empty() && request.micro_batches < request.ranks) {
    out.push_back(wrong_micro_batches(request, "at least the " + std::to_string(request.ranks) + " pipeline ranks",
                                      request.ranks));
  }
  return out;
}

/// (P-1)(F + B - 2W) with B the full backward; here b is its input half.
double bubble_zero_bubble_h1(int ranks, int, int, double f, double b, double w, double) {
  return (ranks - 1) * (f + (b + w) - 2 * w);
}

}  // namespace

ScheduleRow zero_bubble_h1() {
  return {.name = "zb_h1",
          .title = "Zero bubble H1 (ZB1P): weight gradients fill the gaps of 1F1B",
          .source = "Qi et al. 2023, arXiv 2401.10241",
          .bubble = "(P-1)(F+B-2W)",
          .two_copies = false,
          .choose_chunks = false,
          .build = build_zero_bubble_h1,
          .check = check_zero_bubble_h1,
          .closed_form_bubble = bubble_zero_bubble_h1};
}

}  // namespace flopcast::rows
