// What links give the flows whose rates are being found, and which of them gives least.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "sim/base/ids.h"
#include "sim/base/wide_heap.h"

namespace flopcast {

/// A link that the flows in question cross.
struct FlowPort {
  LinkId link;
  double left = 0;                                         ///< bandwidth that no fixed flow takes
  double level = std::numeric_limits<double>::infinity();  ///< what flows get that it holds up; infinity: none
  int open = 0;                                            ///< flows whose rate is not fixed
  std::uint32_t others = 0;  ///< flows on it whose rates are not in question, when they were listed
  double offered() const { return left / open; }
  /// One of its flows is fixed.
  void fix(double rate) {
    left = std::max(0.0, left - rate);
    --open;
  }
};

class PortOffers {
 public:
  static constexpr std::uint32_t kNoPort = ~std::uint32_t{0};
  struct Offer {
    double rate = std::numeric_limits<double>::infinity();  ///< to each open flow
    std::uint32_t port = kNoPort;
    /// Narrower, or the first of equal ones.
    friend bool operator<(const Offer& a, const Offer& b) {
      return before(ordered_bits(a.rate), a.port, ordered_bits(b.rate), b.port);
    }
  };

  void clear() {
    ports_.clear();
    offers_.clear();
  }
  std::uint32_t add(const FlowPort& port) {
    ports_.push_back(port);
    return static_cast<std::uint32_t>(ports_.size() - 1);
  }
  FlowPort& operator[](std::uint32_t port) { return ports_[port]; }
  const std::vector<FlowPort>& ports() const { return ports_; }

  void offer(const Offer& offer) { offers_.push(offer); }
  /// The port that gives its open flows least; null when none has any. What a port gives does not fall while rates are
  /// fixed, so that the heap's top needs no more than a second look.
  const FlowPort* narrowest() {
    while (!offers_.empty()) {
      const Offer top = offers_.top();
      const FlowPort& port = ports_[top.port];
      if (port.open == 0) {
        offers_.pop();
        continue;
      }
      const double rate = port.offered();
      if (rate == top.rate) return &port;
      offers_.replace_top({rate, top.port});
    }
    return nullptr;
  }

 private:
  std::vector<FlowPort> ports_;
  WideHeap<Offer> offers_;
};

}  // namespace flopcast
