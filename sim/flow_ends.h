// When each flow ends, as far as is known: dates that change while the flows run.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/base/wide_heap.h"

namespace flopcast {

/// A heap of flows by their end, then by number, in which each flow's place is known, so that a date can be changed.
class FlowEnds {
 public:
  using Flow = std::uint32_t;
  bool empty() const { return heap_.empty(); }
  double first_time() const { return heap_.front().time; }
  Flow first() const { return heap_.front().flow; }

  /// Sets the date of a flow, whether it had one or not.
  void set(Flow flow, double time) {
    if (flow >= place_.size()) place_.resize(flow + 1, kNowhere);
    if (place_[flow] == kNowhere) {
      heap_.push_back({time, flow});
      rise(heap_.size() - 1, {time, flow});
      return;
    }
    const std::size_t at = place_[flow];
    const bool earlier = time < heap_[at].time;
    if (earlier) {
      rise(at, {time, flow});
    } else {
      sink(at, {time, flow});
    }
  }

  void erase(Flow flow) {
    if (flow >= place_.size() || place_[flow] == kNowhere) return;
    const std::size_t at = place_[flow];
    place_[flow] = kNowhere;
    const End last = heap_.back();
    heap_.pop_back();
    if (at == heap_.size()) return;
    if (at > 0 && last < heap_[(at - 1) / kChildren]) {
      rise(at, last);
    } else {
      sink(at, last);
    }
  }

  void archive(StateArchive& state) { state(heap_, place_); }

 private:
  static constexpr std::size_t kChildren = 4;
  static constexpr std::uint32_t kNowhere = ~std::uint32_t{0};
  struct End {
    double time;
    Flow flow;
    friend bool operator<(const End& a, const End& b) {
      return before(ordered_bits(a.time), a.flow, ordered_bits(b.time), b.flow);
    }
  };

  void put(std::size_t at, const End& end) {
    heap_[at] = end;
    place_[end.flow] = static_cast<std::uint32_t>(at);
  }
  void rise(std::size_t at, End end) {
    while (at > 0) {
      const std::size_t parent = (at - 1) / kChildren;
      if (!(end < heap_[parent])) break;
      put(at, heap_[parent]);
      at = parent;
    }
    put(at, end);
  }
  void sink(std::size_t at, End end) {
    for (std::size_t first = at * kChildren + 1; first < heap_.size(); first = at * kChildren + 1) {
      std::size_t least = first;
      const std::size_t last = first + kChildren < heap_.size() ? first + kChildren : heap_.size();
      for (std::size_t child = first + 1; child < last; ++child) least = heap_[child] < heap_[least] ? child : least;
      if (!(heap_[least] < end)) break;
      put(at, heap_[least]);
      at = least;
    }
    put(at, end);
  }

  std::vector<End> heap_;
  std::vector<std::uint32_t> place_;  // in the heap, by flow
};

}  // namespace flopcast
