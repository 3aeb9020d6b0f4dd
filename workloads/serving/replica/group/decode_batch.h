// The requests of an attention group that decode together: how long they are, when each finishes, and which iterations
// need further pages for them.
//
// Requests that hold exactly the pages their tokens fill are counted by PageDemand; those that hold more or less (they
// have just joined, or were admitted with their whole answer) are followed one by one until they do.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "workloads/serving/cache/page_demand.h"
#include "workloads/serving/replica/group/job_events.h"
#include "workloads/serving/replica/group/replica_config.h"
#include "workloads/serving/traffic/token_pattern.h"

namespace flopcast {

class DecodeBatch {
 public:
  DecodeBatch(const ReplicaConfig& config, KvCache& cache, JobTable& jobs, const TokenPattern& pattern,
              ReplicaState& state, std::int64_t& requests);

  bool empty() const { return jobs_in_.empty(); }
  std::int64_t size() const { return static_cast<std::int64_t>(jobs_in_.size()); }
  std::span<const JobId> jobs() const { return jobs_in_; }
  /// Cached tokens at the next iteration.
  std::int64_t kv() const { return kv_base_ + size() * pattern_.tokens(state_->iteration); }
  std::int64_t kv_base() const { return kv_base_; }  ///< less what iterations have given since the first

  /// A job whose context is in the cache, from the next iteration on.
  void add(JobId job);
  void remove(JobId job);
  /// Cached tokens of a job when an iteration begins.
  std::int64_t length_at(const Job& job, std::int64_t iteration) const {
    return job.base + pattern_.tokens(job.joined, iteration - job.joined);
  }
  void clear();
  /// Iterations give other numbers of tokens from the next one on. @pre it is empty.
  void set_pattern(const TokenPattern& pattern) { pattern_ = pattern; }
  /// Up to that iteration no job finishes or needs a page that is not counted or may not be there.
  std::int64_t quiet_until() const;
  /// Of the lowest priority, the one admitted last. Only where there are jobs.
  JobId youngest() const;

  /// Reserves what jobs need before iterations below `before`, all at once. False, and nothing changed, where there are
  /// not pages enough.
  bool provide_at_once(std::int64_t before) {
    const bool provided = before <= provided_ && (page_needs_.empty() || page_needs_.top().at >= before);
    return provided || provide_now(before);
  }
  /// The same iteration by iteration and job by job, in order of their number; where pages run out `give_way` is told
  /// to remove the youngest of all.
  void provide_in_turn(std::int64_t before, const std::function<void(JobId)>& give_way);

  /// The first jobs that finish or need a page before that iteration will be looked at soon.
  void fetch_due(std::int64_t before) const {
    if (next_finish_ <= before) jobs_->fetch_job(finishes_.top().job);
    if (!page_needs_.empty() && page_needs_.top().at < before) jobs_->fetch_job(page_needs_.top().job);
  }
  /// No job finishes before that iteration; only where there are jobs.
  std::int64_t next_finish() const { return next_finish_; }
  /// Removes a job that has all its tokens by the next iteration, and says which; invalid: none is left.
  JobId take_finished() { return next_finish_ <= state_->iteration ? take_first_finished() : JobId(); }
  /// How many of the next `iterations` cannot run short of pages.
  std::int64_t provided_for(std::int64_t iterations) const;
  void archive(StateArchive& state) {
    state(pattern_, jobs_in_, kv_base_, next_finish_, finishes_, page_needs_, demand_, provided_);
  }

 private:
  static constexpr std::int64_t kNeverIteration = std::numeric_limits<std::int64_t>::max();
  bool provide_now(std::int64_t before);
  JobId take_first_finished();
  void count_pages(JobId job, std::int64_t at);
  void provide_iteration(std::int64_t iteration, const std::function<void(JobId)>& give_way);
  void take_page_needs(std::int64_t before);

  bool grows_;
  const ClassRules* classes_;  // null: all of one priority
  KvCache* cache_;
  JobTable* jobs_;
  TokenPattern pattern_;
  ReplicaState* state_;
  std::int64_t* requests_;  // of its group
  std::vector<JobId> jobs_in_;
  std::int64_t kv_base_ = 0;
  std::int64_t next_finish_ = kNeverIteration;  // of finishes_, at hand for replicas of many groups
  JobEvents finishes_;
  std::vector<JobEvent> due_;  // page needs that are being seen to; saves allocations
  JobEvents page_needs_;       // of jobs that hold more or less than their tokens fill
  PageDemand demand_;          // of the others
  std::int64_t provided_ = 0;  // all have the pages that iterations below need
};

}  // namespace flopcast
