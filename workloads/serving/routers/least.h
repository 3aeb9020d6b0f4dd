// The replica with the least of something.
#pragma once
#include <cstddef>
#include <span>

#include "workloads/serving/router.h"

namespace flopcast {

/// The accepting replica where `cost(view)` is least. The first of equals in a circle that begins at `begin`:
/// whoever moves `begin` on from choice to choice spreads requests over replicas that are alike.
template <class Cost>
std::size_t least(std::span<const ReplicaView> replicas, std::size_t begin, Cost&& cost) {
  std::size_t best = kNoReplica;
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    const std::size_t at = (begin + i) % replicas.size();
    if (!replicas[at].accepting) continue;
    if (best == kNoReplica || cost(replicas[at]) < cost(replicas[best])) best = at;
  }
  return best;
}

}  // namespace flopcast
