// What an iteration of a replica with prompts takes: its attention groups run in step, the slowest sets the pace.
#pragma once
#include <cstdint>
#include <deque>

#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/replica/group/batcher.h"

namespace flopcast {

/// The group with most to do sets the pace. Experts that all share work on the mean of the groups' tokens.
/// @param decodes requests that decode are in it
Ticks prompt_iteration(const std::deque<Batcher>& groups, const ReplicaConfig& config, const ReplicaState& state,
                       IterationPricer& pricer, bool decodes);

/// What the host takes to launch it: for the group with most tokens of prompts.
Ticks prompt_launch(const std::deque<Batcher>& groups, IterationPricer& pricer, std::int64_t requests);

/// One whose prompts fill the token budget, each of so many tokens to compute behind `cached` ones.
Ticks full_prompt_iteration(const ReplicaConfig& config, IterationPricer& pricer, std::int64_t computed,
                            std::int64_t cached);

/// In step, all groups wait for the one with most attention to compute. Pieces of groups above the mean are
/// cut to it, the youngest first (after the aims of DeepSeek's prefill load balancer:
/// deepseek-ai/open-infra-index, day 6).
void balance_prompts(std::deque<Batcher>& groups);

}  // namespace flopcast
