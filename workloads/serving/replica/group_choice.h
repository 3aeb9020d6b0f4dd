// Which attention group of a replica gets a request.
#pragma once
#include <cstddef>
#include <deque>

#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/replica/group/batcher.h"

namespace flopcast {

/// What a prompt takes alone; 0 where nobody asks: there is one group, or only answers are given.
Ticks prompt_work(const ReplicaConfig& config, IterationPricer& pricer, const Job& job);

/// Decoding: the group with fewest requests. Prompts: the group with least to compute, less what its cache would save.
/// @param work prompt_work() of the job
std::size_t choose_group(const std::deque<Batcher>& groups, const ReplicaConfig& config, const ReplicaState& state,
                         const Job& job, Ticks work);

}  // namespace flopcast
