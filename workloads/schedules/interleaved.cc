// Interleaved 1F1B: each rank holds v chunks that lie P stages apart, which divides the bubble by v and
// multiplies the pipeline transfers by v. Narayanan et al. 2021, arXiv 2104.04473, section 2.2.2.
//
// Micro-batches go in groups of P: a group passes chunk 0, then the same group chunk 1, and so on; backwards
// run through the chunks the other way round. Rank r runs 2(P-r-1) + (v-1)P forwards ahead of its first
// backward.
#include <algorithm>

#include "workloads/schedules/rank_order.h"
#include "workloads/schedules/rows.h"
#include "workloads/schedules/schedule_timing.h"

namespace flopcast::rows {
namespace {

Schedule build_interleaved(const ScheduleRequest& request) {
  Schedule schedule = lay_out("interleaved_1f1b", request, request.chunks, round_robin_stage, 0);
  const int passes = request.micro_batches * request.chunks;
  for (int rank = 0; rank < request.ranks; ++rank) {
    const int warm_up = std::min(2 * (request.ranks - rank - 1) + (request.chunks - 1) * request.ranks, passes);
    schedule.order[rank] = round_robin_order(request, warm_up, false);
    schedule.declared_peak_activations[rank] = std::min(warm_up + 1, passes);
  }
  return schedule;
}

std::vector<Diagnostic> check_interleaved(const ScheduleRequest& request) {
  std::vector<Diagnostic> out = check_sizes(request, request.chunks);
  if (!out.empty()) return out;
  if (request.chunks < 2) {
    out.push_back({.file = {},
                   .field = "training.plan.chunks",
                   .found = "1 chunk per rank",
                   .expected = "at least 2 to interleave",
                   .suggestion = {},
                   .remedy = "chunks: 2, or schedule 1f1b"});
  }
  const std::vector<Diagnostic> groups = check_whole_groups(request);
  out.insert(out.end(), groups.begin(), groups.end());
  return out;
}

/// F, B and W of one chunk, which is 1/v of what a rank holds: in times of whole ranks this is (P-1)(F+B)/v.
Seconds bubble_interleaved(const ScheduleRequest& request, const PassDurations& time) {
  return (request.ranks - 1) * (time.forward + time.backward);
}

}  // namespace

ScheduleRow interleaved_one_forward_one_backward() {
  return {.name = "interleaved_1f1b",
          .title = "Interleaved 1F1B: v chunks per rank",
          .source = "Narayanan et al. 2021, arXiv 2104.04473",
          .bubble = "(P-1)(F+B), F and B of one chunk",
          .two_copies = false,
          .choose_chunks = true,
          .build = build_interleaved,
          .check = check_interleaved,
          .closed_form_bubble = bubble_interleaved};
}

}  // namespace flopcast::rows
