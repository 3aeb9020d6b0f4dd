#include "workloads/serving/replica/policies/rows.h"

namespace flopcast::rows {

AdmissionRow whole() {
  return {.name = "whole",
          .title = "a request gets its place when its prompt and its longest answer fit; nobody ever gives way",
          .source = "TensorRT-LLM: capacity scheduler GUARANTEED_NO_EVICT, its default",
          .reserved = [](std::int32_t left) { return left; },
          .grows = false};
}

}  // namespace flopcast::rows
