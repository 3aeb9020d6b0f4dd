// How many tokens each iteration gives a decoding request. Without speculation one; with it one or more,
// spread evenly so that the mean is kept exactly: after k iterations floor(k x num / den) tokens, for every
// request alike.
#pragma once
#include <cassert>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace flopcast {

/// sum of floor((a i + b) / m) for i = 0 .. n-1, all arguments >= 0 (the Euclid-like recursion of
/// lattice-point counting).
constexpr std::int64_t floor_sum(std::int64_t n, std::int64_t m, std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  while (n > 0) {
    sum += (n - 1) * n / 2 * (a / m) + n * (b / m);
    a %= m;
    b %= m;
    const std::int64_t top = a * n + b;
    if (top < m) break;
    n = top / m;
    b = top % m;
    const std::int64_t old = m;
    m = a;
    a = old;
  }
  return sum;
}

class TokenPattern {
 public:
  TokenPattern() = default;
  /// `mean` tokens per iteration, at least 1, kept to a thousandth.
  explicit TokenPattern(double mean) : num_(std::llround(mean * kSteps)), den_(kSteps) {
    assert(num_ >= den_);
    const std::int64_t common = std::gcd(num_, den_);
    num_ /= common;
    den_ /= common;
  }

  bool plain() const { return num_ == den_; }
  /// Tokens of the first k iterations.
  std::int64_t tokens(std::int64_t k) const { return plain() ? k : k * num_ / den_; }  // divisions are slow
  /// Tokens of iterations [from, from + n).
  std::int64_t tokens(std::int64_t from, std::int64_t n) const { return tokens(from + n) - tokens(from); }
  /// Fewest iterations from `from` on that give at least `wanted` tokens.
  std::int64_t iterations(std::int64_t from, std::int64_t wanted) const {
    if (wanted <= 0) return 0;
    if (plain()) return wanted;
    return ((tokens(from) + wanted) * den_ + num_ - 1) / num_ - from;
  }
  /// Sum over i = 0 .. n-1 of the tokens of iterations [from, from + i).
  std::int64_t sum_of_tokens(std::int64_t from, std::int64_t n) const {
    if (plain()) return n * (n - 1) / 2;
    const std::int64_t offset = (from % den_) * num_;  // whole periods cancel
    return floor_sum(n, den_, num_, offset) - n * (offset / den_);
  }

 private:
  static constexpr std::int64_t kSteps = 1000;
  std::int64_t num_ = 1, den_ = 1;
};

}  // namespace flopcast
