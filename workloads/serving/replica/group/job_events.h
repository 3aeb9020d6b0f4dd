// What happens to decoding jobs before which iteration, first things first.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "workloads/serving/replica/group/job.h"

namespace flopcast {

/// Something happens to a decoding job before iteration `at`; void once the job's epoch is another.
struct JobEvent {
  std::int64_t at;
  JobId job;
  std::uint32_t epoch;
  friend bool operator>(const JobEvent& a, const JobEvent& b) { return a.at != b.at ? a.at > b.at : a.job > b.job; }
};

/// Least first.
class JobEvents {
 public:
  bool empty() const { return events_.empty(); }
  const JobEvent& top() const { return events_.front(); }
  void push(JobEvent event) {
    events_.push_back(event);
    std::push_heap(events_.begin(), events_.end(), std::greater<>());
  }
  void pop() {
    std::pop_heap(events_.begin(), events_.end(), std::greater<>());
    events_.pop_back();
  }
  void clear() { events_.clear(); }
  void archive(StateArchive& state) { state(events_); }

 private:
  std::vector<JobEvent> events_;
};

}  // namespace flopcast
