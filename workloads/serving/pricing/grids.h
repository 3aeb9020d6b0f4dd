// Grids at whose nodes prices are found, and the corners of cells that are asked for again and again.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace flopcast {

/// Whole numbers: every one up to 16, then eight to an octave.
class CountGrid {
 public:
  static double value(std::size_t node) {
    static const std::array<double, kListed> kValues = [] {
      std::array<double, kListed> values{};
      for (std::size_t i = 0; i < kListed; ++i) values[i] = reckoned(i);
      return values;
    }();
    return node < kListed ? kValues[node] : reckoned(node);
  }
  /// The node at or below `x` (at least 1), and how far x is on the way to the next one.
  static std::pair<std::size_t, double> below(double x) {
    x = std::max(1.0, x);
    std::size_t node = x < kEach ? static_cast<std::size_t>(x) - 1
                                 : kEach - 1 + static_cast<std::size_t>(std::log2(x / kEach) * kPerOctave);
    while (node > 0 && value(node) > x) --node;
    while (value(node + 1) <= x) ++node;
    return {node, (x - value(node)) / (value(node + 1) - value(node))};
  }

 private:
  static constexpr std::size_t kEach = 16;
  static constexpr double kPerOctave = 8;
  static constexpr std::size_t kListed = 256;  // up to 2^34: each iteration asks for several
  static double reckoned(std::size_t node) {
    if (node < kEach) return static_cast<double>(node + 1);
    return std::round(kEach * std::exp2(static_cast<double>(node - kEach + 1) / kPerOctave));
  }
};

/// One look-up where a table of nodes takes one for each corner. Of cells that share a place the last one stays, so
/// that it is never large; what is lost is found in the table of nodes again.
template <class Node>
class CornerCache {
 public:
  using Corners = std::array<const Node*, 8>;  ///< null: not asked for yet

  /// @param cell its number: that of its lowest node
  Corners& corners(std::uint64_t cell) {
    if (places_.empty()) places_.resize(kPlaces);
    // Fibonacci hashing (Knuth 6.4): numbers of neighbours differ in a few bits here and there.
    Place& place = places_[static_cast<std::size_t>((cell * 0x9e3779b97f4a7c15ULL) >> (64 - kBits))];
    if (place.cell != cell) {
      place.cell = cell;
      place.corners.fill(nullptr);
    }
    return place.corners;
  }

 private:
  static constexpr unsigned kBits = 8;
  static constexpr std::size_t kPlaces = std::size_t{1} << kBits;
  struct Place {
    std::uint64_t cell = ~std::uint64_t{0};
    Corners corners{};
  };
  std::vector<Place> places_;  // none before the first question
};

}  // namespace flopcast
