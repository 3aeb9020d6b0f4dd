// What is going to happen when: the replay's own event list. Stable, of plain values, without a virtual call.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace flopcast {

/// An event at `time`. Events at one time come in the order of `key`.
struct CalendarEvent {
  double time;  ///< seconds; finite, not negative
  std::uint64_t key;

  friend bool operator<(const CalendarEvent& a, const CalendarEvent& b) {
    return a.time != b.time ? a.time < b.time : a.key < b.key;
  }
};

/// A heap with four children per node: half as deep as a binary one, and the four lie in one cache line.
class Calendar {
 public:
  bool empty() const { return heap_.empty(); }
  const CalendarEvent& top() const { return heap_.front(); }

  /// Events that come soon: the first of them are the next, the others as like as not.
  std::span<const CalendarEvent> soon() const { return std::span(heap_).first(std::min(kChildren + 1, heap_.size())); }

  void push(CalendarEvent event) {
    std::size_t hole = heap_.size();
    heap_.push_back(event);
    while (hole > 0) {
      const std::size_t parent = (hole - 1) / kChildren;
      if (!(event < heap_[parent])) break;
      heap_[hole] = heap_[parent];
      hole = parent;
    }
    heap_[hole] = event;
  }

  void pop() {
    const CalendarEvent last = heap_.back();
    heap_.pop_back();
    if (!heap_.empty()) sink_from_top(last);
  }

 private:
  static constexpr std::size_t kChildren = 4;

  void sink_from_top(CalendarEvent event) {
    const std::size_t size = heap_.size();
    std::size_t hole = 0;
    for (std::size_t first = 1; first < size; first = hole * kChildren + 1) {
      std::size_t least = first;
      const std::size_t end = first + kChildren < size ? first + kChildren : size;
      for (std::size_t child = first + 1; child < end; ++child)
        if (heap_[child] < heap_[least]) least = child;
      if (!(heap_[least] < event)) break;
      heap_[hole] = heap_[least];
      hole = least;
    }
    heap_[hole] = event;
  }

  std::vector<CalendarEvent> heap_;
};

}  // namespace flopcast
