// GPipe: all forwards, then all backwards. Simple, and every micro-batch's activations are alive at once.
// Huang et al. 2019, arXiv 1811.06965, section 2.3.
#include "workloads/schedules/rank_order.h"
#include "workloads/schedules/rows.h"
#include "workloads/schedules/schedule_timing.h"

namespace flopcast::rows {
namespace {

Schedule build_gpipe(const ScheduleRequest& request) {
  Schedule schedule = lay_out("gpipe", request, 1, round_robin_stage, request.micro_batches);
  for (auto& rank_order : schedule.order) {
    RankOrder order = RankOrder::with_chunks(1);
    for (int i = 0; i < request.micro_batches; ++i) order.forward(0);
    for (int i = 0; i < request.micro_batches; ++i) order.backward(0);
    rank_order = std::move(order).take();
  }
  return schedule;
}

std::vector<Diagnostic> check_gpipe(const ScheduleRequest& request) { return check_fixed_chunks(request, 1); }

Seconds bubble_gpipe(const ScheduleRequest& request, const PassDurations& time) {
  return (request.ranks - 1) * (time.forward + time.backward);
}

}  // namespace

ScheduleRow gpipe() {
  return {.name = "gpipe",
          .title = "GPipe: all forwards, then all backwards",
          .source = "Huang et al. 2019, arXiv 1811.06965",
          .bubble = "(P-1)(F+B)",
          .two_copies = false,
          .choose_chunks = false,
          .build = build_gpipe,
          .check = check_gpipe,
          .closed_form_bubble = bubble_gpipe};
}

}  // namespace flopcast::rows
