// DualPipeV: DualPipe cut in half. One direction runs down the ranks and back up (rank r holds stages r and
// 2P-1-r), so nothing is held twice and half the ranks do. deepseek-ai/DualPipe, dualpipev (the "cut-in-half"
// of Sea AI Lab).
#include "workloads/schedules/dualpipe_order.h"
#include "workloads/schedules/rows.h"
#include "workloads/schedules/schedule_timing.h"

namespace flopcast::rows {
namespace {

Schedule build_dualpipe_v(const ScheduleRequest& request) {
  Schedule schedule = lay_out("dualpipev", request, 2, v_stage, 2 * request.ranks + 1);
  schedule.overlaps = true;
  for (int rank = 0; rank < request.ranks; ++rank) {
    RankOrder order = RankOrder::with_chunks(2);
    append_dualpipe_order(
        order, {.half = request.ranks, .distance = rank, .micro_batches = request.micro_batches, .near = 0, .far = 1});
    schedule.order[rank] = std::move(order).take();
  }
  return schedule;
}

std::vector<Diagnostic> check_dualpipe_v(const ScheduleRequest& request) {
  std::vector<Diagnostic> out = check_fixed_chunks(request, 2);
  if (out.empty() && request.micro_batches < 2 * request.ranks) {
    out.push_back(wrong_micro_batches(
        request, "at least twice the " + std::to_string(request.ranks) + " pipeline ranks", 2 * request.ranks));
  }
  return out;
}

/// DualPipe's with P/2 = ranks: the README counts stages, of which each rank holds two.
Seconds bubble_dualpipe_v(const ScheduleRequest& request, const PassDurations& time) {
  return (request.ranks - 1) * (time.overlapped + time.backward - 3 * time.backward_weight);
}

}  // namespace

ScheduleRow dualpipe_v() {
  return {.name = "dualpipev",
          .title = "DualPipeV: DualPipe folded into a V, one copy of each stage",
          .source = "github.com/deepseek-ai/DualPipe (2025), dualpipev",
          .bubble = "(P-1)(F&B+B-3W), F, B and W of one of the 2P stages",
          .two_copies = false,
          .choose_chunks = false,
          .stages_per_rank = 2,
          .build = build_dualpipe_v,
          .check = check_dualpipe_v,
          .closed_form_bubble = bubble_dualpipe_v};
}

}  // namespace flopcast::rows
