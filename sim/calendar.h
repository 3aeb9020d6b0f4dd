// What is going to happen when: the replay's own event list. Stable, of plain values, without a virtual call.
#pragma once
#include <cstdint>

#include "sim/base/wide_heap.h"

namespace flopcast {

/// An event at `time`. Events at one time come in the order of `key`.
struct CalendarEvent {
  double time;  ///< seconds; finite, not negative
  std::uint64_t key;

  friend bool operator<(const CalendarEvent& a, const CalendarEvent& b) {
    return before(ordered_bits(a.time), a.key, ordered_bits(b.time), b.key);
  }
};

using Calendar = WideHeap<CalendarEvent>;

}  // namespace flopcast
