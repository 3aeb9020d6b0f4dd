// ZB-H1 (called ZB1P elsewhere): 1F1B with the backward split, weight gradients put off to fill the gaps, in
// the memory of 1F1B. Qi et al. 2023, arXiv 2401.10241, section 3.1.
//
// Rank r puts off its weight gradients by r micro-batches. It then holds P-r activations between F and B and
// r more between B and W: P on every rank.
#include <algorithm>

#include "workloads/schedules/rank_order.h"
#include "workloads/schedules/rows.h"
#include "workloads/schedules/schedule_timing.h"

namespace flopcast::rows {
namespace {

Schedule build_zero_bubble_h1(const ScheduleRequest& request) {
  const int peak = std::min(request.ranks, request.micro_batches);
  Schedule schedule = lay_out("zb_h1", request, 1, round_robin_stage, peak);
  for (int rank = 0; rank < request.ranks; ++rank) {
    schedule.order[rank] = zero_bubble_order(request, rank, 1);
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

Seconds bubble_zero_bubble_h1(const ScheduleRequest& request, const PassDurations& time) {
  return (request.ranks - 1) * (time.forward + time.backward - 2 * time.backward_weight);
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
