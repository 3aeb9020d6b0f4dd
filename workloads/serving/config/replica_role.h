// What the replicas of a pool are for.
#pragma once
#include <cstdint>

namespace flopcast {

/// What replicas of a pool do for a request. Pools form a chain (PoolConfig::next) along which requests move.
enum class ReplicaRole : std::uint8_t {
  unified,  ///< prompts and answers
  prefill,  ///< prompts, up to the first token; the cache then moves to the next pool
  decode,   ///< answers, from caches that arrive
  encode,   ///< something before the prompt (an encoder of images, a reranker); its output moves to the next pool
};
constexpr bool computes_prompts(ReplicaRole role) {
  return role == ReplicaRole::unified || role == ReplicaRole::prefill;
}
constexpr bool gives_answers(ReplicaRole role) { return role == ReplicaRole::unified || role == ReplicaRole::decode; }
/// Requests go on to another pool.
constexpr bool hands_on(ReplicaRole role) { return !gives_answers(role); }

}  // namespace flopcast
