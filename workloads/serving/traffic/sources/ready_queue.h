// Who asks next, of those that are thinking.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "workloads/serving/traffic/request.h"

namespace flopcast {

/// In order of time; of equals the one with the smaller number first.
class ReadyQueue {
 public:
  struct Entry {
    Seconds at;
    std::uint32_t who = 0;
    auto operator<=>(const Entry&) const = default;
  };
  /// Not before the last one taken: the times of answers may be rounded.
  void add(Seconds at, std::uint32_t who) { queue_.push({std::max(at, last_), who}); }
  Seconds next() const { return queue_.empty() ? kNever : queue_.top().at; }
  Entry take() {
    const Entry entry = queue_.top();
    queue_.pop();
    last_ = entry.at;
    return entry;
  }

  void archive(StateArchive& state) { state(queue_, last_); }

 private:
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
  Seconds last_;
};

}  // namespace flopcast
