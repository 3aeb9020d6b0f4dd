// What the NICs of a replica's GPUs share: the exchange between experts, and KV caches that leave or arrive.
//
// Caches and the exchange share a NIC as two flows do (cache_moves.h): busy a share f of the time, the exchange gives
// half of that away, f / 2 of the time in all to the caches, which have it alone for 1 - f. So of a cache's time on the
// NIC, (f / 2) / (1 - f / 2) is taken from the exchange, and the next iteration is so much longer.
#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "workloads/serving/replica/group/replica_config.h"

namespace flopcast {

class NicSharing {
 public:
  NicSharing(const NicLoad& load, int groups) : load_(load), lost_(static_cast<std::size_t>(groups)) {}

  /// A cache of `tokens` left or reached an attention group; `busy`: the share of its time in which it met the
  /// exchange.
  void moved(std::size_t group, std::int32_t tokens, double busy) {
    lost_[group] += load_.cached_token * tokens * (busy / 2) / (1 - busy / 2);
  }

  /// What caches have taken from the exchange since the last iteration began, on the GPU that lost most, for an
  /// iteration of `duration`. Two micro-batches hide it as long as both fit in.
  /// @param prompt_tokens of the group with most of them; 0: no prompts
  /// @param requests that decode, in the group that sets the pace
  Ticks delay(Ticks duration, std::int64_t prompt_tokens, bool prompts, std::int64_t requests) {
    const auto length = static_cast<double>(duration);
    double exchange = load_.prompt_token * static_cast<double>(prompt_tokens);
    exchange = std::min(exchange + load_.request * static_cast<double>(requests), length);
    prompt_share_ = prompts && duration > 0 ? exchange / length : 0;
    double most = 0;
    for (double& lost : lost_) most = std::max(most, std::exchange(lost, 0.0));
    return static_cast<Ticks>(load_.overlapped ? std::max(0.0, exchange + most - length) : most);
  }

  /// Nothing is exchanged: caches have the NICs alone.
  void idle() {
    prompt_share_ = 0;
    std::fill(lost_.begin(), lost_.end(), 0.0);
  }

  bool exchanges() const { return load_.request != 0; }
  /// Share of an iteration in which the exchange has the NICs at work: of the last one that had prompts,
  double prompt_share() const { return prompt_share_; }
  /// and of one that decodes so many requests.
  double decode_share(std::int64_t requests, Ticks iteration) const {
    return std::min(1.0, load_.request * static_cast<double>(requests) / static_cast<double>(iteration));
  }

  void archive(StateArchive& state) { state(lost_, prompt_share_); }

 private:
  NicLoad load_;
  std::vector<double> lost_;  // ticks of exchange, per attention group, since the last iteration began
  double prompt_share_ = 0;
};

}  // namespace flopcast
