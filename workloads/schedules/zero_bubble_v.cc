// ZB-V: two chunks per rank in a V, backward split, no gaps in the activation memory of 1F1B when F, B and W
// take the same time. Qi et al. 2024, arXiv 2405.15362 (and 2401.10241, section 6).
#include <algorithm>

#include "workloads/schedules/rank_order.h"
#include "workloads/schedules/rows.h"
#include "workloads/schedules/schedule_timing.h"

namespace flopcast::rows {
namespace {

constexpr int kDown = 0;  // chunk on the way down the V
constexpr int kUp = 1;    // chunk on the way back

std::vector<Pass> order_of_zero_bubble_v(int ranks, int rank, int micro_batches) {
  RankOrder order = RankOrder::with_chunks(2);
  int down = 0;  // forwards so far, per chunk
  int up = 0;
  const auto forward_down = [&] { order.forward(kDown), ++down; };
  const auto forward_up = [&] { order.forward(kUp), ++up; };
  const auto split_backward = [&](int chunk) { order.backward_input(chunk), order.backward_weight(); };

  for (int i = 0; i < 2 * (ranks - rank) - 1; ++i) forward_down();
  for (int i = 0; i < rank; ++i) forward_up(), forward_down();
  for (int i = 0; i < ranks - rank; ++i) forward_up(), split_backward(kUp);
  while (up < micro_batches) {
    if (down < micro_batches) forward_down();
    split_backward(kDown);
    forward_up();
    split_backward(kUp);
  }
  for (int i = 0; i < rank; ++i) order.backward_input(kDown), order.backward_input(kUp);
  for (int i = 0; i < ranks - rank; ++i) split_backward(kDown);
  while (order.weights_waiting()) order.backward_weight();
  return std::move(order).take();
}

Schedule build_zero_bubble_v(const ScheduleRequest& request) {
  Schedule schedule = lay_out("zb_v", request, 2, v_stage, 2 * request.ranks);
  for (int rank = 0; rank < request.ranks; ++rank) {
    schedule.order[rank] = order_of_zero_bubble_v(request.ranks, rank, request.micro_batches);
  }
  return schedule;
}

std::vector<Diagnostic> check_zero_bubble_v(const ScheduleRequest& request) {
  std::vector<Diagnostic> out = check_fixed_chunks(request, 2);
  if (out.empty() && request.micro_batches < 2 * request.ranks) {
    out.push_back(wrong_micro_batches(
        request, "at least twice the " + std::to_string(request.ranks) + " pipeline ranks", 2 * request.ranks));
  }
  return out;
}

/// Largest gaps inside a rank's own span. The paper gives zero for F = B = W; this is what replaying the
/// order gives while W takes no longer than F and B.
Seconds bubble_zero_bubble_v(const ScheduleRequest& request, const PassDurations& time) {
  return 2 * (request.ranks - 1) * (std::max(time.forward, time.backward_input) - time.backward_weight);
}

}  // namespace

ScheduleRow zero_bubble_v() {
  return {.name = "zb_v",
          .title = "Zero bubble V: two chunks in a V, memory of 1F1B",
          .source = "Qi et al. 2024, arXiv 2405.15362",
          .bubble = "0 when F = B/2 = W, within a rank's own span",
          .two_copies = false,
          .choose_chunks = false,
          .stages_per_rank = 2,
          .build = build_zero_bubble_v,
          .check = check_zero_bubble_v,
          .closed_form_bubble = bubble_zero_bubble_v};
}

}  // namespace flopcast::rows
