#include "workloads/serving/replica/policies/rows.h"

namespace flopcast::rows {

PreemptionRow recompute() {
  return {.name = "recompute",
          .title = "the cache of the youngest request is dropped and computed again",
          .source = "vLLM (arXiv 2309.06180, 4.5)",
          .keep = [](KvCache&, KvSequence) { return false; }};
}

}  // namespace flopcast::rows
