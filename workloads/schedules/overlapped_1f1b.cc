// 1F1B whose steady state runs the forward of one micro-batch and the backward of another as one pass, so
// that the exchange of tokens of either hides behind the compute of the other (Megatron-LM
// --overlap-moe-expert-parallel-comm; the pairing is DualPipe's, arXiv 2412.19437, 3.2.1, without its second
// copy of the stages).
//
// A pair needs a forward that is ready while its backward is: rank r runs 2(P-r-1) + (v-1)P + 1 forwards
// ahead. With fewer, neighbours would wait for each other's pairs in turn.
#include <algorithm>

#include "workloads/schedules/rank_order.h"
#include "workloads/schedules/rows.h"
#include "workloads/schedules/schedule_timing.h"

namespace flopcast::rows {
namespace {

Schedule build_overlapped_1f1b(const ScheduleRequest& request) {
  Schedule schedule = lay_out("overlapped_1f1b", request, request.chunks, round_robin_stage, 0);
  const int passes = request.micro_batches * request.chunks;
  for (int rank = 0; rank < request.ranks; ++rank) {
    const int ahead = 2 * (request.ranks - rank - 1) + (request.chunks - 1) * request.ranks + 1;
    const int warm_up = std::min(ahead, passes);
    schedule.order[rank] = round_robin_order(request, warm_up, true);
    schedule.declared_peak_activations[rank] = std::min(warm_up + 1, passes);
    schedule.overlaps |= warm_up < passes;
  }
  return schedule;
}

std::vector<Diagnostic> check_overlapped_1f1b(const ScheduleRequest& request) {
  std::vector<Diagnostic> out = check_sizes(request, request.chunks);
  return out.empty() && request.chunks > 1 ? check_whole_groups(request) : out;
}

/// The last rank starts after P-1 forwards and is followed by P-1 backwards; the first one runs 2P-1 of
/// either alone.
Seconds bubble_overlapped_1f1b(const ScheduleRequest& request, const PassDurations& time) {
  return (request.ranks - 1) * (2 * time.overlapped - time.forward - time.backward);
}

}  // namespace

ScheduleRow overlapped_one_forward_one_backward() {
  return {.name = "overlapped_1f1b",
          .title = "1F1B with forward and backward interleaved, so that tokens travel beside compute",
          .source = "Megatron-LM, --overlap-moe-expert-parallel-comm (2025)",
          .bubble = "(P-1)(2F&B-F-B), one chunk per rank",
          .two_copies = false,
          .choose_chunks = true,
          .build = build_overlapped_1f1b,
          .check = check_overlapped_1f1b,
          .closed_form_bubble = bubble_overlapped_1f1b};
}

}  // namespace flopcast::rows
