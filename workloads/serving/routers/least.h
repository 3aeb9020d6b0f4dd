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
  if (replicas.empty()) return best;
  decltype(cost(replicas.front())) lowest{};
  std::size_t at = begin % replicas.size();
  for (std::size_t i = 0; i < replicas.size(); ++i, at = at + 1 < replicas.size() ? at + 1 : 0) {
    if (!replicas[at].accepting) continue;
    const auto own = cost(replicas[at]);
    if (best != kNoReplica && !(own < lowest)) continue;
    best = at;
    lowest = own;
  }
  return best;
}

/// A router that keeps nothing but where its circle begins.
class CircleRouter : public Router {
 public:
  bool archive(StateArchive& state) final {
    state(begin_);
    return true;
  }

 protected:
  /// The replica with the least `cost(view)`, from the next beginning on.
  template <class Cost>
  std::size_t next_least(std::span<const ReplicaView> replicas, Cost&& cost) {
    return least(replicas, begin_++, cost);
  }

  std::size_t begin_ = 0;
};

}  // namespace flopcast
