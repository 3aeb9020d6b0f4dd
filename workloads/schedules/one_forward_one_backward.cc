// 1F1B: a rank starts backwards as early as it can, so that rank r never holds more than P-r micro-batches.
// Narayanan et al. 2021 (PipeDream-Flush), arXiv 2006.09503; bubble as in arXiv 2104.04473, section 2.2.1.
#include <algorithm>

#include "workloads/schedules/rank_order.h"
#include "workloads/schedules/rows.h"
#include "workloads/schedules/schedule_timing.h"

namespace flopcast::rows {
namespace {

std::vector<Pass> order_of_1f1b(int ranks, int rank, int micro_batches) {
  const int warm_up = std::min(ranks - rank - 1, micro_batches);
  RankOrder order = RankOrder::with_chunks(1);
  for (int i = 0; i < warm_up; ++i) order.forward(0);
  for (int i = warm_up; i < micro_batches; ++i) {
    order.forward(0);
    order.backward(0);
  }
  for (int i = 0; i < warm_up; ++i) order.backward(0);
  return std::move(order).take();
}

Schedule build_1f1b(const ScheduleRequest& request) {
  Schedule schedule = lay_out("1f1b", request, 1, round_robin_stage, 0);
  for (int rank = 0; rank < request.ranks; ++rank) {
    schedule.order[rank] = order_of_1f1b(request.ranks, rank, request.micro_batches);
    schedule.declared_peak_activations[rank] = std::min(request.ranks - rank, request.micro_batches);
  }
  return schedule;
}

std::vector<Diagnostic> check_1f1b(const ScheduleRequest& request) { return check_fixed_chunks(request, 1); }

Seconds bubble_1f1b(const ScheduleRequest& request, const PassDurations& time) {
  return (request.ranks - 1) * (time.forward + time.backward);
}

}  // namespace

ScheduleRow one_forward_one_backward() {
  return {.name = "1f1b",
          .title = "1F1B: one forward, one backward",
          .source = "Narayanan et al. 2021, arXiv 2006.09503",
          .bubble = "(P-1)(F+B)",
          .two_copies = false,
          .choose_chunks = false,
          .build = build_1f1b,
          .check = check_1f1b,
          .closed_form_bubble = bubble_1f1b};
}

}  // namespace flopcast::rows
