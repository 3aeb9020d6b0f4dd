// Prices at the corners of cells of a grid, for those that are asked for again and again.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace flopcast {

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
