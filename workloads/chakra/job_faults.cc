#include "workloads/chakra/job_faults.h"

#include <algorithm>

#include <fmt/format.h>

#include "flopcast/errors.h"

namespace flopcast {
namespace {

// Within a rank cycles are found when it is read: what is left then is a fault of this program, and has a place too.
Diagnostic never_ready(const StuckJob& at) {
  Diagnostic fault;
  fault.found = "nodes that never start";
  fault.expected = "a beginning for every node; please report this file";
  for (std::size_t r = 0; r < at.ranks.size() && fault.file.empty(); ++r) {
    const auto node = std::ranges::find_if(at.ranks[r].waits, [](std::uint32_t waits) { return waits > 0; });
    if (node != at.ranks[r].waits.end()) fault.file = at.job.trace(static_cast<int>(r)).file;
  }
  return fault;
}

Diagnostic stuck(const ChakraJob& job, NodeRef waiting, NodeRef awaited) {
  Diagnostic fault;
  fault.file = job.trace(waiting.rank).file;
  fault.field = place_of(job.trace(waiting.rank).nodes[waiting.node]);
  fault.found = fmt::format("a node that waits for ever for rank {} ({}), whose nodes wait for others that wait for it",
                            awaited.rank, place_of(job.trace(awaited.rank).nodes[awaited.node]));
  fault.expected = "dependencies by which all ranks come to their collectives and messages";
  return fault;
}

}  // namespace

void refuse_folded(const ChakraJob& job) {
  for (const RankTrace& trace : job.traces) {
    if (!trace.folded) continue;
    Diagnostic fault;
    fault.file = trace.file;
    fault.found =
        fmt::format("a trace of {} of {} ranks, which stand for the others on the cluster they were written for",
                    job.traces.size(), trace.job_ranks);
    fault.expected = "that cluster, with --links measured and --times auto; or all ranks";
    fault.remedy = "flopcast chakra write --ranks all";
    throw InputError(fault);
  }
}

void refuse_stuck(const StuckJob& at) {
  const MatchedJob& matched = at.matched;
  std::vector<Diagnostic> faults;
  constexpr std::size_t kShown = 10;
  for (std::size_t c = 0; c < matched.collectives.size() && faults.size() < kShown; ++c) {
    const MatchedCollective& collective = matched.collectives[c];
    const std::vector<int>& members = at.job.groups[collective.group].ranks;
    if (at.arrived[c] == 0 || at.arrived[c] == members.size()) continue;
    std::size_t came = 0, missing = 0;
    for (std::size_t m = 0; m < members.size(); ++m)
      (at.ranks[static_cast<std::size_t>(members[m])].waits[collective.nodes[m]] == 0 ? came : missing) = m;
    faults.push_back(
        stuck(at.job, {members[came], collective.nodes[came]}, {members[missing], collective.nodes[missing]}));
  }
  for (std::size_t m = 0; m < matched.messages.size() && faults.size() < kShown; ++m)
    if (at.messages[m].awaited && !at.messages[m].arrived)
      faults.push_back(stuck(at.job, matched.messages[m].receive, matched.messages[m].send));
  if (faults.empty()) faults.push_back(never_ready(at));
  throw InputError(std::move(faults));
}

}  // namespace flopcast
