#include "workloads/serving/replica/policies/rows.h"

namespace flopcast::rows {

AdmissionRow prompt() {
  return {.name = "prompt",
          .title =
              "a request gets its place when its prompt fits; answers that outgrow the cache make the "
              "youngest give way",
          .source = "vLLM (arXiv 2309.06180)",
          .reserved = [](std::int32_t) { return 0; }};
}

}  // namespace flopcast::rows
