// Decoding iterations of a batch that does not change, which a session adds up without going through them one by one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "workloads/serving/base/clock.h"
#include "workloads/serving/traffic/token_pattern.h"

namespace flopcast {

/// Decoding iterations of a batch that does not change: piecewise linear in the number of cached tokens.
class DecodeCurve {
 public:
  /// @param times one per node of `lengths` (cached tokens per request).
  DecodeCurve(std::int64_t batch, const std::vector<std::int64_t>& lengths, const std::vector<Ticks>& times);

  /// An iteration that begins with `kv` cached tokens in all.
  Ticks at(std::int64_t kv) const;
  /// The next `n` iterations, in sum: the first begins with `kv` tokens, each leaves what `pattern` says per
  /// request. Exactly what adding up at() gives.
  Ticks sum(std::int64_t kv, std::int64_t n, const TokenPattern& pattern, std::int64_t from) const;

 private:
  struct Piece {
    std::int64_t begin;  ///< cached tokens
    Ticks time;          ///< there
    std::int64_t slope;  ///< ticks per token
  };
  std::size_t piece_of(std::int64_t kv) const;
  std::int64_t batch_;
  std::vector<Piece> pieces_;
};

}  // namespace flopcast
