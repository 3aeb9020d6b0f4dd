#include "workloads/training/passes/operations.h"

namespace flopcast {

const std::vector<std::string>& training_op_names() {
  static const std::vector<std::string> names{
      "ATTN(F)",      "MLP(F)",      "MLP(B)",      "MLP(W)",   "ATTN(B)",   "ATTN(W)",   "DISPATCH(F)",
      "COMBINE(F)",   "COMBINE(B)",  "DISPATCH(B)", "EMBED(F)", "HEAD(F)",   "HEAD(B)",   "HEAD(W)",
      "MTP-PROJ(F)",  "MTP-PROJ(B)", "MTP-PROJ(W)", "EMBED(B)", "SEND(F)",   "SEND(B)",   "GRAD-REDUCE",
      "PARAM-GATHER", "GRAD-NORM",   "OPTIMIZER",   "BARRIER",  "SHARED(F)", "SHARED(B)", "EXCHANGE",
      "SM-SHARE",     "SHARD-COPY",  "HOST"};
  return names;
}

}  // namespace flopcast
