#include "workloads/serving/replica/policies/rows.h"

namespace flopcast::rows {
namespace {

/// As many prompts as the token budget holds. Requests that decode stand still while there are any, which shortens the
/// time to the first token and stretches that between tokens.
void compose_prefill_first(IterationPlan& plan) {
  const std::int64_t tokens = plan.continue_prompts(plan.token_budget);
  plan.admit_waiting(tokens);
}

}  // namespace

BatchingRow prefill_first() {
  return {.name = "prefill_first",
          .title = "while prompts wait, iterations of prompts only",
          .source = "Orca and vLLM before chunked prefill; SGLang's default",
          .compose = compose_prefill_first,
          .decodes_beside_prompts = false};
}

}  // namespace flopcast::rows
