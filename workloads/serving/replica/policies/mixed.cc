#include "workloads/serving/replica/policies/rows.h"

namespace flopcast::rows {
namespace {

/// Requests that decode come first. What they leave of the token budget goes to prompts: those begun are continued
/// before new ones are admitted.
void compose_mixed(IterationPlan& plan) {
  std::int64_t tokens = plan.token_budget - plan.decoding_tokens;
  tokens = plan.continue_prompts(tokens);
  plan.admit_waiting(tokens);
}

}  // namespace

BatchingRow mixed() {
  return {.name = "mixed",
          .title = "pieces of prompts beside decoding requests, up to the token budget",
          .source = "Sarathi-Serve (arXiv 2403.02310); vLLM, TensorRT-LLM",
          .compose = compose_mixed};
}

}  // namespace flopcast::rows
