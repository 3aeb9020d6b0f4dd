// A request on its way through a serving session.
#pragma once
#include <cstdint>
#include <vector>

#include "sim/ids.h"
#include "workloads/serving/clock.h"
#include "workloads/serving/kv_cache.h"
#include "workloads/serving/request.h"

namespace flopcast {

using JobId = Id<struct JobTag>;

struct Job {
  Request request;
  Ticks arrival = 0;           ///< it came in
  Ticks admitted = -1;         ///< it was first given a place in an iteration
  Ticks first_token = -1;      ///< end of the iteration that gave its first token
  std::int32_t cached = 0;     ///< tokens of the prompt found in caches when it was first admitted
  std::int32_t generated = 0;  ///< tokens of its answer; while it decodes, when it joined
  std::int32_t computed = 0;   ///< tokens of its context in the cache while it is prompting
  std::int32_t base = 0;       ///< cached tokens at the iteration in which it joined the decoding batch
  std::int64_t joined = 0;     ///< that iteration
  std::uint64_t order = 0;     ///< of admission on its replica: the youngest gives way first
  Ticks work = 0;              ///< what its prompt takes alone, as its replica reckons it
  KvSequence sequence;
  std::uint32_t replica = 0;         ///< where it is now
  std::uint32_t rank = 0;            ///< attention group there
  std::uint32_t source = kNoSource;  ///< the prefill replica that still holds its cache
  std::uint32_t source_rank = 0;
  std::uint32_t place = 0;  ///< in the group's list of decoding jobs
  std::uint32_t epoch = 0;  ///< counts its joinings; events of older ones are void
  std::uint16_t preemptions = 0;
  std::uint16_t retries = 0;
  bool swapped = false;

  static constexpr std::uint32_t kNoSource = ~std::uint32_t{0};
  Ticks source_work = 0;
  KvSequence source_sequence;  ///< its pages there

  std::int32_t context() const { return request.input_tokens + generated; }
};

/// Jobs by number; numbers are used again once a job has left.
class JobTable {
 public:
  JobId add(Job job) {
    if (free_.empty()) {
      jobs_.push_back(std::move(job));
      return JobId::at(jobs_.size() - 1);
    }
    const JobId id = free_.back();
    free_.pop_back();
    job.epoch = jobs_[id.index()].epoch + 1;
    jobs_[id.index()] = std::move(job);
    return id;
  }
  void remove(JobId id) { free_.push_back(id); }
  Job& operator[](JobId id) { return jobs_[id.index()]; }
  const Job& operator[](JobId id) const { return jobs_[id.index()]; }
  std::size_t live() const { return jobs_.size() - free_.size(); }

 private:
  std::vector<Job> jobs_;
  std::vector<JobId> free_;
};

}  // namespace flopcast
