#include "workloads/serving/pricing/decode_curve.h"

#include <algorithm>
#include <cassert>

namespace flopcast {

DecodeCurve::DecodeCurve(std::int64_t batch, const std::vector<std::int64_t>& lengths, const std::vector<Ticks>& times)
    : batch_(batch) {
  assert(lengths.size() == times.size() && !times.empty());
  for (std::size_t i = 0; i + 1 < lengths.size(); ++i) {
    const std::int64_t tokens = batch * (lengths[i + 1] - lengths[i]);
    pieces_.push_back(
        {batch * lengths[i], times[i], std::max<std::int64_t>(0, (times[i + 1] - times[i] + tokens / 2) / tokens)});
  }
  if (pieces_.empty()) pieces_.push_back({0, times.front(), 0});
}

std::size_t DecodeCurve::piece_of(std::int64_t kv) const {
  const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), kv,
                                      [](std::int64_t tokens, const Piece& piece) { return tokens < piece.begin; });
  return static_cast<std::size_t>(after - pieces_.begin()) - 1;
}

Ticks DecodeCurve::at(std::int64_t kv) const {
  const Piece& piece = pieces_[piece_of(kv)];
  return piece.time + piece.slope * (kv - piece.begin);
}

Ticks DecodeCurve::sum(std::int64_t kv, std::int64_t n, const TokenPattern& pattern, std::int64_t from) const {
  Ticks total = 0;
  for (std::size_t i = piece_of(kv); n > 0; ++i) {
    const Piece& piece = pieces_[i];
    std::int64_t here = n;  // iterations that begin on this piece
    if (i + 1 < pieces_.size()) {
      const std::int64_t missing = pieces_[i + 1].begin - kv;
      here = std::min(n, pattern.iterations(from, (missing + batch_ - 1) / batch_));
    }
    total += here * (piece.time + piece.slope * (kv - piece.begin)) +
             piece.slope * batch_ * pattern.sum_of_tokens(from, here);
    kv += batch_ * pattern.tokens(from, here);
    from += here;
    n -= here;
  }
  return total;
}

}  // namespace flopcast
