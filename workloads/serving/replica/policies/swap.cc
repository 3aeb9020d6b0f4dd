#include "workloads/serving/cache/kv_cache.h"
#include "workloads/serving/replica/policies/rows.h"

namespace flopcast::rows {

PreemptionRow swap() {
  return {.name = "swap",
          .title = "the cache of the youngest request moves to host memory and back, as far as there is room",
          .source = "vLLM (arXiv 2309.06180, 4.5)",
          .keep = [](KvCache& cache, KvSequence sequence) { return cache.swap_out(sequence); }};
}

}  // namespace flopcast::rows
