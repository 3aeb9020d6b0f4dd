// Our own random streams: the same numbers on every platform, compiler and number of workers. The standard
// library's distributions differ between implementations, so they are not used.
#pragma once
#include <cstdint>

namespace flopcast {

/// A counter-based generator (SplitMix64, Steele et al. 2014). Streams are derived from a seed and a purpose, so that
/// drawing more numbers for one purpose never shifts another.
class RandomStream {
 public:
  explicit RandomStream(std::uint64_t seed, std::uint64_t purpose = 0);
  std::uint64_t next();
  double uniform();      ///< in [0, 1)
  double normal();       ///< mean 0, standard deviation 1 (inverse of the normal distribution: one draw per value)
  double exponential();  ///< mean 1

 private:
  std::uint64_t state_;
};

/// Inverse of the standard normal distribution function (Wichura 1988, AS241; relative error 1e-15).
double normal_quantile(double p);

/// Expected largest of n independent standard normal draws (Blom 1958: quantile of (n - 0.375) / (n + 0.25)).
double expected_largest_normal(int n);

}  // namespace flopcast
