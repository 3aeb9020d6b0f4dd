// A request on its way through a serving session.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "sim/base/fetch.h"
#include "sim/base/large_table.h"
#include "workloads/serving/base/clock.h"
#include "workloads/serving/base/job_id.h"
#include "workloads/serving/cache/kv_cache.h"
#include "workloads/serving/traffic/request.h"

namespace flopcast {

/// Three lines of a processor's cache: the request, what a decoding batch asks of it, and the rest. Thousands of others
/// are looked at between two looks at one job.
struct alignas(64) Job {
  static constexpr std::uint32_t kNoSource = ~std::uint32_t{0};
  Request request;

  std::int64_t joined = 0;  ///< the iteration in which it joined the decoding batch
  std::uint64_t order = 0;  ///< of admission on its replica: the youngest gives way first
  Ticks first_token = -1;   ///< its first token was shown: at the end of its prompt, or when a decode replica took it
  std::int32_t generated = 0;  ///< tokens of its answer; while it decodes, when it joined
  std::int32_t base = 0;       ///< cached tokens at the iteration in which it joined the decoding batch
  std::uint32_t epoch = 0;     ///< counts its joinings; events of older ones are void
  std::uint32_t place = 0;     ///< in the group's list of decoding jobs
  KvSequence sequence;
  std::uint32_t replica = 0;         ///< where it is now
  std::uint32_t rank = 0;            ///< attention group there
  std::uint32_t source = kNoSource;  ///< the replica that handed it on and still holds its cache
  std::uint16_t preemptions = 0;
  std::uint16_t retries = 0;
  bool swapped = false;
  bool paged = false;  ///< its group's PageDemand counts it

  Ticks admitted = -1;        ///< it was first given a place in an iteration
  Ticks queued = -1;          ///< it was read and tokenised
  Ticks prompt_done = -1;     ///< its prompt was computed
  Ticks work = 0;             ///< what its prompt takes alone, as its replica reckons it
  Ticks source_work = 0;      ///< what it took on the replica that handed it on
  Ticks computing = 0;        ///< its part, by tokens, of the iterations that computed its prompt
  std::int32_t cached = -1;   ///< tokens of the prompt found in caches when it was first to be computed; -1: not yet
  std::int32_t computed = 0;  ///< tokens of its context in the cache while it is prompting
  std::uint32_t source_rank = 0;
  KvSequence source_sequence;  ///< its pages there

  std::int32_t context() const { return request.input_tokens + generated; }
  void archive(StateArchive& state) {
    state(request, joined, order, first_token, generated, base, epoch, place, sequence, replica, rank, source);
    state(preemptions, retries, swapped, paged, admitted, queued, prompt_done, work, source_work, computing, cached);
    state(computed, source_rank, source_sequence);
  }
};
static_assert(sizeof(Job) == 192, "a waiting request should stay small");

/// Jobs by number; numbers are used again once a job has left. Those that wait cost their size and no more: the table
/// copies none when it grows.
class JobTable {
 public:
  JobId add(Job job) {
    if (free_.empty()) {
      free_.push_back(JobId::at(jobs_.size()));
      jobs_.add();
    }
    const JobId id = free_.back();
    free_.pop_back();
    Job& slot = (*this)[id];
    job.epoch = slot.epoch + 1;
    slot = std::move(job);
    return id;
  }
  void remove(JobId id) { free_.push_back(id); }
  Job& operator[](JobId id) { return jobs_[id.index()]; }
  const Job& operator[](JobId id) const { return jobs_[id.index()]; }
  /// It will be looked at soon.
  void fetch_job(JobId id) const { fetch((*this)[id]); }
  std::size_t live() const { return jobs_.size() - free_.size(); }
  void archive(StateArchive& state) {
    std::size_t size = jobs_.size();
    state(size, free_);
    while (jobs_.size() < size) jobs_.add();
    for (std::size_t i = 0; i < size; ++i) state(jobs_[i]);
  }

 private:
  LargeTable<Job> jobs_;
  std::vector<JobId> free_;
};

}  // namespace flopcast
