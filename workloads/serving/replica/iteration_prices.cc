#include "workloads/serving/replica/iteration_prices.h"

#include <algorithm>

namespace flopcast {

Ticks prompt_iteration(const std::deque<Batcher>& groups, const ReplicaConfig& config, const ReplicaState& state,
                       IterationPricer& pricer, bool decodes) {
  double mean = 0;
  if (config.experts_shared) {
    std::int64_t tokens = decodes ? state.load.decoding * (1 + (state.drafts ? config.speculation.depth : 0)) : 0;
    for (const Batcher& group : groups) tokens += group.prompts().tokens();
    mean = static_cast<double>(tokens) / static_cast<double>(groups.size());
  }
  Ticks longest = 0;
  for (const Batcher& group : groups) {
    const std::int64_t batch = decodes ? group.decode().size() : 0, kv = decodes ? group.decode().kv() : 0;
    if (!group.prompts().empty())
      longest = std::max(longest, pricer.prompt(group.prompts().load(), batch, kv, mean, state.drafts));
    else if (batch > 0)
      longest = std::max(longest, pricer.decode(batch, state.drafts).at(kv));
  }
  return longest;
}

Ticks prompt_launch(const std::deque<Batcher>& groups, IterationPricer& pricer, std::int64_t requests) {
  const Batcher* most = &groups.front();
  for (const Batcher& group : groups)
    if (group.prompts().tokens() > most->prompts().tokens()) most = &group;
  return pricer.prompt_launch(most->prompts().load(), requests);
}

Ticks full_prompt_iteration(const ReplicaConfig& config, IterationPricer& pricer, std::int64_t computed,
                            std::int64_t cached) {
  const std::int64_t budget = config.tokens_under_way();
  PromptLoad load;
  load.add(std::clamp<std::int64_t>(computed, 1, budget), cached, true);
  const std::int64_t prompts = std::max<std::int64_t>(1, budget / load.tokens);
  load = {load.tokens * prompts, prompts, prompts, load.twice_pairs * prompts};
  return pricer.prompt(load, 0, 0);
}

void balance_prompts(std::deque<Batcher>& groups) {
  std::int64_t sum = 0;
  for (const Batcher& group : groups) sum += group.prompts().load().twice_pairs;
  const std::int64_t mean = sum / static_cast<std::int64_t>(groups.size());
  for (Batcher& group : groups) group.prompts().cut_to(mean);
}

}  // namespace flopcast
