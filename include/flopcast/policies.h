// What schedules, routers and batching policies are asked, in plain values: those of the library and those that a
// caller brings along (extend.h).
#pragma once
#include <cstdint>
#include <string>

#include "flopcast/export.h"

namespace flopcast {

/// What an order of passes is asked for.
struct PipelineSizes {
  int ranks = 1;          ///< pipeline-parallel size P
  int micro_batches = 1;  ///< per step and pipeline, M
  int chunks = 1;         ///< model chunks per rank
};

/// What a router sees of a replica.
struct ReplicaView {
  std::int64_t outstanding = 0;    ///< requests sent to it and not finished
  std::int64_t queued_tokens = 0;  ///< prompt tokens it has still to compute
  std::int64_t kv_tokens = 0;      ///< in use by its requests; only for routers that ask for it
  std::int64_t kv_capacity_tokens = 0;
  std::int32_t prefix_match_tokens = 0;  ///< of this prompt in its caches; only for routers that ask for it
  bool accepting = true;                 ///< up, and not being drained
};

/// What a router of the caller's sees of a request.
struct RoutedRequest {
  std::uint64_t id = 0;
  std::string pool;                 ///< whose replicas it is to go to
  double arrival_s = 0;             ///< at the deployment, not at this pool
  std::int32_t input_tokens = 0;    ///< of the whole prompt
  std::int32_t output_tokens = 0;   ///< of the answer: a router that looks at it knows the future
  std::uint16_t request_class = 0;  ///< index into the traffic's classes
  std::uint16_t turn = 0;           ///< of its session, 0 = the first
  std::uint32_t session = 0;        ///< which conversation; 0 = none
};

/// The next iteration of an attention group while a batching policy puts it together. Requests that decode are in it
/// already; the policy says how many tokens of which prompts go beside them.
class FLOPCAST_API IterationPlan {
 public:
  virtual ~IterationPlan() = default;
  std::int64_t token_budget = 0;       ///< most tokens of an iteration that the scenario allows
  std::int64_t decoding_requests = 0;  ///< in the group's batch,
  std::int64_t decoding_tokens = 0;    ///< and the tokens that they process in an iteration, drafts included
  /// Pieces of prompts that were admitted before, in order of admission, `tokens` at most. What is left of `tokens`.
  virtual std::int64_t continue_prompts(std::int64_t tokens) = 0;
  /// Requests from the queue, first come first served, as long as the cache has room; pieces of their prompts, `tokens`
  /// at most. What is left of `tokens`.
  virtual std::int64_t admit_waiting(std::int64_t tokens) = 0;
};

}  // namespace flopcast
