// What happens to decoding jobs before which iteration, first things first.
#pragma once
#include <cstdint>

#include "sim/base/wide_heap.h"
#include "workloads/serving/replica/group/job.h"

namespace flopcast {

/// Something happens to a decoding job before iteration `at`; void once the job's epoch is another.
struct JobEvent {
  std::int64_t at;
  JobId job;
  std::uint32_t epoch;
  friend bool operator<(const JobEvent& a, const JobEvent& b) {
    return before(static_cast<std::uint64_t>(a.at), a.job.index(), static_cast<std::uint64_t>(b.at), b.job.index());
  }
};

using JobEvents = WideHeap<JobEvent>;

}  // namespace flopcast
