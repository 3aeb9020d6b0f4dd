#include "workloads/serving/replica/policies/rows.h"

namespace flopcast::rows {

BatchingRow prefill_first() {
  return {.name = "prefill_first",
          .title = "while prompts wait, iterations of prompts only",
          .source = "Orca and vLLM before chunked prefill; SGLang's default",
          .prompt_tokens = [](std::int64_t budget, std::int64_t) { return budget; },
          .decodes_beside_prompts = false};
}

}  // namespace flopcast::rows
