#include "workloads/serving/replica/policies/rows.h"

namespace flopcast::rows {
namespace {

/// Request-level batching: while answers are under way nobody is admitted, so that a batch runs out before the next one
/// begins. Prompts that were admitted together are all computed, whatever the token budget cuts them into.
void compose_decode_first(IterationPlan& plan) {
  const std::int64_t tokens = plan.continue_prompts(plan.token_budget - plan.decoding_tokens);
  if (plan.decoding_requests == 0) plan.admit_waiting(tokens);
}

}  // namespace

BatchingRow decode_first() {
  return {.name = "decode_first",
          .title = "requests are admitted only when every answer under way is finished: batch after batch",
          .source =
              "FasterTransformer's request-level batching, as Orca (OSDI 2022, 2) and Sarathi-Serve (arXiv "
              "2403.02310, 2.5: decode-prioritizing) describe it",
          .compose = compose_decode_first};
}

}  // namespace flopcast::rows
