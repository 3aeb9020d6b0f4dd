// One replica of a serving engine: a KV cache and a batch per attention group, iterations one after the other.
//
// Attention groups (data-parallel attention) have requests of their own and run their iterations in step; the
// slowest sets the pace. Its parts, each in a file of its own:
//   Batcher        who is batched: requests of an attention group, from its queue through its iterations (batcher.h),
//                  Admission who gets a place (admission.h), GroupJobs where they stand (group_jobs.h)
//   IterationLoop  ends an iteration, starts the next (iteration_loop.h)
//   DecodePacing   when the decoding batch next changes: spans of like iterations, taken at once (decode_pacing.h)
//   NicSharing     what caches that leave or arrive take from the exchange between experts (nic_sharing.h)
#pragma once
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "workloads/serving/replica/iteration_loop.h"

namespace flopcast {

class Replica {
 public:
  Replica(std::uint32_t id, const ReplicaConfig& config, IterationPricer& pricer, JobTable& jobs, GapHistogram& gaps,
          ReplicaListener& listener);
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  /// Queues a job, on the group with least to do.
  void submit(JobId job, Ticks now);
  /// Decode replicas: the cache of a placed job is here. `busy`: the share of its time in which it met the exchange of
  /// experts.
  void join(JobId job, Ticks now, double busy);
  /// The cache of a job that was handed on (Job::source) has left, or is not wanted any more (`busy` 0).
  void release(JobId job, Ticks now, double busy);
  /// Decode replicas: the cache of a placed job does not arrive.
  void unplace(JobId job, Ticks now);
  /// Decode replicas: jobs in the queue whose cache is on that replica leave it.
  std::vector<JobId> withdraw(std::uint32_t source);
  /// All jobs it has, in order of their number; the replica is empty then. For failures.
  std::vector<JobId> abandon(Ticks now);
  /// So many of its jobs, the last admitted first, those that wait before them; the iteration under way is lost. None
  /// while prompts are being computed.
  std::vector<JobId> give_away(std::size_t count, Ticks now);
  /// The last that came of the lowest priority that waits here, if it is lower than that; invalid: none is.
  JobId last_below(int priority) const;
  /// Takes a job that waits out of its queue.
  void turn_away(JobId job, Ticks now);
  /// Other prices from the next iteration on.
  void set_pricer(IterationPricer& pricer, Ticks now) { loop_.set_pricer(pricer, now); }

  /// When something happens next: running iterations end, or a cached prompt is back in HBM.
  Ticks next_event() const { return loop_.next_event(); }
  /// It happens (`now` = next_event()).
  void advance(Ticks now) { loop_.advance(now); }
  /// Starts iterations if it stands still and there is something to do.
  void wake(Ticks now) { loop_.wake(now); }

  const ReplicaLoad& load() const { return state_.load; }
  std::int64_t kv_tokens(Ticks now) const;  ///< held by its requests
  const ReplicaCounters& counters() const { return state_.counters; }
  /// With the iterations of a running span that are over by now, and the time in the running one.
  ReplicaCounters counters_at(Ticks now) const;
  /// Share of an iteration in which the exchange of experts has the NICs at work, as batches are now.
  double exchange_share() const;
  const ReplicaConfig& config() const { return config_; }
  const std::deque<Batcher>& groups() const { return groups_; }
  IterationPricer& pricer() const { return loop_.pricer(); }
  /// @param pricers all that there are, in an order that stays
  void archive(StateArchive& state, std::span<IterationPricer* const> pricers);

 private:
  ReplicaConfig config_;
  JobTable* jobs_;
  ReplicaState state_;
  Outbox outbox_;
  std::deque<Batcher> groups_;  // which do not move
  IterationLoop loop_;
};

/// Whether the job could ever run here: its whole context fits into a group's cache.
bool fits(const Replica& replica, const Request& request);
/// Most that a group's cache has of its prompt.
std::int32_t match(const Replica& replica, const Request& request);
/// Of all attention groups.
std::int64_t kv_capacity_tokens(const Replica& replica);
KvCounters kv_counters(const Replica& replica);
std::int64_t pages_in_use(const Replica& replica);

}  // namespace flopcast
