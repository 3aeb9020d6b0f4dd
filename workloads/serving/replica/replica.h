// One replica of a serving engine: a KV cache and a batch per attention group, iterations one after the other.
//
// Attention groups (data-parallel attention) have requests of their own and run their iterations in step; the
// slowest sets the pace. Three parts, each in a file of its own:
//   Batcher       who is batched: queue, admission, cache, preemption of an attention group (batcher.h)
//   DecodePacing  when the decoding batch next changes: spans of like iterations, taken at once (decode_pacing.h)
//   NicSharing    what caches that leave or arrive take from the exchange between experts (nic_sharing.h)
#pragma once
#include <cstdint>
#include <deque>
#include <vector>

#include "workloads/serving/replica/batcher.h"
#include "workloads/serving/replica/decode_pacing.h"
#include "workloads/serving/replica/nic_sharing.h"

namespace flopcast {

/// Keeps the answers that end at a boundary back until it is known when users get their last tokens.
class Outbox final : public ReplicaListener {
 public:
  Outbox(ReplicaListener& listener, bool keeps) : listener_(&listener), keeps_(keeps) {}
  void handed_on(JobId job, Ticks now) override { listener_->handed_on(job, now); }
  void placed(JobId job, Ticks now) override { listener_->placed(job, now); }
  void expired(JobId job, Ticks now) override { listener_->expired(job, now); }
  void finished(JobId job, Ticks now) override {
    if (keeps_) return kept_.push_back(job);
    listener_->finished(job, now);
  }
  void archive(StateArchive& state) { state(kept_); }
  void send(Ticks shown) {
    for (const JobId job : kept_) listener_->finished(job, shown);
    kept_.clear();
  }

 private:
  ReplicaListener* listener_;
  bool keeps_;
  std::vector<JobId> kept_;
};

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
  /// Other prices from the next iteration on.
  void set_pricer(IterationPricer& pricer, Ticks now);

  /// When something happens next: running iterations end, or a cached prompt is back in HBM.
  Ticks next_event() const;
  /// It happens (`now` = next_event()).
  void advance(Ticks now);
  /// Starts iterations if it stands still and there is something to do.
  void wake(Ticks now);

  /// Whether the job could ever run here: its whole context fits into a group's cache.
  bool fits(const Request& request) const;
  bool queue_full() const { return state_.load.waiting >= config_.scheduler.max_waiting; }
  std::int32_t match(const Request& request) const;  ///< most that a group's cache has of its prompt
  const ReplicaLoad& load() const { return state_.load; }
  std::int64_t kv_tokens(Ticks now) const;  ///< held by its requests
  std::int64_t kv_capacity_tokens() const;
  const ReplicaCounters& counters() const { return state_.counters; }
  /// With the iterations of a running span that are over by now, and the time in the running one.
  ReplicaCounters counters_at(Ticks now) const;
  /// Share of an iteration in which the exchange of experts has the NICs at work, as batches are now.
  double exchange_share() const;
  /// An iteration whose prompts fill the token budget, each of so many tokens to compute behind `cached` ones.
  Ticks full_prompt_iteration(std::int64_t computed, std::int64_t cached) const;
  const ReplicaConfig& config() const { return config_; }
  const std::deque<Batcher>& groups() const { return groups_; }
  /// @param pricers all that there are, in an order that stays
  void archive(StateArchive& state, std::span<IterationPricer* const> pricers);

 private:
  std::size_t choose_group(const Job& job, Ticks work) const;
  Ticks prompt_work(const Job& job) const;
  bool put_together(Ticks now);
  void start(Ticks now);
  void choose_drafts();
  void commit(Ticks now);
  void hand_out(Ticks now);
  void break_off(Ticks now);
  void balance_prompts();
  void show_first_tokens(Ticks when);
  /// The group has nothing to do before that iteration is over.
  bool quiet(std::size_t group, std::int64_t iteration) const { return iteration < state_.groups.quiet_until[group]; }
  Ticks prompt_iteration(bool decodes);
  Ticks prompt_launch(std::int64_t requests);

  ReplicaConfig config_;
  IterationPricer* pricer_;
  IterationPricer* next_pricer_ = nullptr;
  JobTable* jobs_;
  TokenPattern pattern_;
  ReplicaState state_;
  Outbox outbox_;
  Ticks launch_ = 0;            // by the host, of the iteration that runs or ran last
  Ticks ahead_ = 0;             // it had been done so long before that one ended
  Ticks late_ = 0;              // tokens of the one before had so long to wait for its launch
  Ticks submitted_ = 0;         // when the last request came
  std::deque<Batcher> groups_;  // which do not move
  DecodePacing pacing_;
  NicSharing nic_;
};

/// Of all attention groups.
KvCounters kv_counters(const Replica& replica);
std::int64_t pages_in_use(const Replica& replica);

}  // namespace flopcast
