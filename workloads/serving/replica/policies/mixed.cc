#include "workloads/serving/replica/policies/rows.h"

namespace flopcast::rows {

BatchingRow mixed() {
  return {.name = "mixed",
          .title = "pieces of prompts beside decoding requests, up to the token budget",
          .source = "Sarathi-Serve (arXiv 2403.02310); vLLM, TensorRT-LLM",
          .prompt_tokens = [](std::int64_t budget, std::int64_t decoding) { return budget - decoding; }};
}

}  // namespace flopcast::rows
