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
#include "workloads/schedules/schedule_timing.h"

namespace flopcast::rows {
namespace {

Schedule build_zero_bubble_h2(const ScheduleRequest& request) {
  const int peak = std::min(2 * request.ranks - 1, request.micro_batches);
  Schedule schedule = lay_out("zb_h2", request, 1, round_robin_stage, peak);
  for (int rank = 0; rank < request.ranks; ++rank) {
    schedule.order[rank] = zero_bubble_order(request, rank, 2);
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

/// Gaps inside a rank's own span.
Seconds bubble_zero_bubble_h2(const ScheduleRequest& request, const PassDurations& time) {
  return (request.ranks - 1) * (time.forward + time.backward - 3 * time.backward_weight);
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
