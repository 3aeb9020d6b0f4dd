// What a replica has done, in numbers.
#pragma once
#include <cstdint>

#include "workloads/serving/base/clock.h"

namespace flopcast {

/// What a replica has done.
struct ReplicaCounters {
  std::int64_t iterations = 0;         ///< decoding or with prompts
  std::int64_t prompt_iterations = 0;  ///< of those, with prompts
  std::int64_t prompt_tokens = 0;      ///< computed, recomputation included
  std::int64_t recomputed_tokens = 0;  ///< computed again after a preemption
  std::int64_t decode_tokens = 0;      ///< sum over decoding iterations of tokens given
  std::int64_t decode_requests = 0;    ///< sum over decoding iterations of the batch
  std::int64_t decode_iterations = 0;  ///< with a request that decodes
  std::int64_t preemptions = 0, swaps = 0;
  std::int64_t made_way = 0;            ///< of the preemptions, for requests of higher priority
  std::int64_t steps = 0;               ///< events it took
  WideTicks busy = 0;                   ///< time in iterations
  WideTicks prompt_time = 0;            ///< of it, what prompts added to iterations
  std::int64_t prompts_done = 0;        ///< prompts that gave their first token
  std::int64_t prompt_tokens_done = 0;  ///< of those, cached tokens included
  WideTicks prompt_waits = 0;           ///< of those, from arrival to the prompt's end, in sum
  std::int64_t tokens_given() const { return decode_tokens + prompts_done; }  ///< of answers
  ReplicaCounters& operator+=(const ReplicaCounters& o);
  ReplicaCounters operator-(const ReplicaCounters& o) const;  ///< what happened since
};

}  // namespace flopcast
