// What prompts take alone, for lengths that come again and again.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "workloads/serving/base/clock.h"

namespace flopcast {

/// Routers and attention groups ask it of every request. Of lengths that share a place the last one stays, so that the
/// table is never large; prices do not depend on what it holds.
class LonePrompts {
 public:
  /// @param price what is not known: Ticks()
  template <class Price>
  Ticks get(std::int32_t tokens, std::int32_t cached, Price&& price) {
    if (places_.empty()) places_.resize(kPlaces);
    Place& place = places_[static_cast<std::size_t>(tokens + cached) % kPlaces];
    if (place.tokens != tokens || place.cached != cached) place = {tokens, cached, price()};
    return place.time;
  }

 private:
  static constexpr std::size_t kPlaces = 16384;  // most prompts are shorter
  struct Place {
    std::int32_t tokens = -1, cached = 0;
    Ticks time = 0;
  };
  std::vector<Place> places_;  // none before the first question
};

}  // namespace flopcast
