// Who is batched in an attention group: requests from its queue into its KV cache and its iterations, and out again.
//
// A request waits, is admitted when its cache has room, brings back from lower tiers what they hold of its prompt,
// computes the rest piece by piece, decodes, and finishes; or it gives way to others on the way. What an iteration is
// made of is the batching policy's word (policies/), who gets a place the admission policy's, and where the cache of
// one that gives way goes the preemption policy's.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "workloads/serving/replica/deadlines.h"
#include "workloads/serving/replica/decode_batch.h"
#include "workloads/serving/replica/fifo.h"
#include "workloads/serving/replica/prompt_batch.h"
#include "workloads/serving/replica/waiting_queue.h"

namespace flopcast {

class Batcher final : private IterationPlan {
 public:
  /// @param group its number in the replica
  Batcher(const ReplicaConfig& config, JobTable& jobs, const TokenPattern& pattern, ReplicaState& state,
          std::size_t group, ReplicaListener& listener);
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  /// Queues a job; `work` is what its prompt takes alone.
  void submit(JobId job, Ticks work);
  /// Decode replicas: the cache of a placed job has arrived,
  void join(JobId job);
  /// or does not arrive.
  void unplace(JobId job);
  /// The cache of a job that was handed on has left.
  void release(JobId job);
  /// Decode replicas: jobs in the queue whose cache is on that replica leave it; they are added to `out`.
  void withdraw(std::uint32_t source, std::vector<JobId>& out);
  /// All jobs leave, and with them all that the cache holds; they are added to `out`.
  void abandon(std::vector<JobId>& out);

  /// All its jobs: those that wait, in the order of their coming, then the others.
  void list(std::vector<JobId>& out) const;
  /// One of them leaves.
  void give_away(JobId job);

  /// Puts the next iteration together: whoever may join the decoding batch, and pieces of prompts.
  void schedule(Ticks now);
  /// Requests that joined with a cache and wait for this engine's first iteration (ReplicaConfig::first_step_token).
  void show_first_tokens(Ticks when);
  /// First tokens of the iteration that has just ended are shown so much later than it.
  void delay_first_tokens(Ticks late);
  /// `iterations` of decoding are over; the pages that they needed are reserved. The replica counts their tokens.
  void decoded(std::int64_t iterations);
  /// Iterations give other numbers of tokens from the next one on.
  void set_pattern(const TokenPattern& pattern);
  /// Jobs that have all their tokens by the next iteration finish.
  void finish_due(Ticks now);
  /// The pieces of prompts are computed, in an iteration that began at `begin`.
  void prompts_computed(Ticks begin, Ticks now);

  /// When the next prompt is back in HBM.
  Ticks next_restored() const { return restoring_.empty() ? kNeverTick : restoring_.front().first; }
  /// When the next of its requests may be too late.
  Ticks next_deadline() const { return deadlines_.next(); }
  const KvCache& cache() const { return cache_; }
  const DecodeBatch& decode() const { return decode_; }
  const PromptBatch& prompts() const { return prompts_; }
  PromptBatch& prompts() { return prompts_; }
  void archive(StateArchive& state) {
    state(pattern_, cache_, waiting_, deadlines_, swapped_, prompting_, arrived_, fresh_, just_shown_, placed_);
    state(restoring_, restored_at_, now_, decode_, prompts_);
  }

 private:
  // IterationPlan
  std::int64_t continue_prompts(std::int64_t tokens) override;
  std::int64_t admit_waiting(std::int64_t tokens) override;

  void publish();
  void put_together(Ticks now);
  bool only_decodes() const {
    return arrived_.empty() && waiting_.empty() && swapped_.empty() && prompting_.empty() && restoring_.empty();
  }
  void provide_pages(std::int64_t before);
  void place(Ticks now);
  void bring_back();
  bool admit(JobId job);
  bool has_slot() const;
  void preempt(JobId job, bool keep);
  bool make_way(JobId job);
  void drop_late(Ticks now);
  bool take_out(JobId job);
  void leave_queue(const Job& job);
  void leave_prompting(const Job& job);
  void leave(KvSequence sequence, Ticks work);

  const ReplicaConfig* config_;
  JobTable* jobs_;
  TokenPattern pattern_;
  ReplicaState* state_;
  ReplicaListener* listener_;
  KvCache cache_;
  WaitingQueue waiting_;
  Deadlines deadlines_;
  Fifo<JobId> swapped_;
  std::vector<JobId> prompting_;   // admitted, context not yet computed; in order of admission
  std::vector<JobId> arrived_;     // decode replicas: to join at the next boundary
  std::vector<JobId> fresh_;       // of those: their first token is still to be shown
  std::vector<JobId> just_shown_;  // first tokens of the iteration that has just ended
  std::int64_t placed_ = 0;        // decode replicas: caches on their way
  std::size_t group_;
  std::int64_t& requests_;                   // that decode, wait, are swapped out, placed or have arrived
  Fifo<std::pair<Ticks, JobId>> restoring_;  // caches on their way up from lower tiers, one after the other
  Ticks restored_at_ = 0;                    // when the last of them is there
  Ticks& work_;                              // what the prompts of its jobs take alone
  Ticks now_ = 0;                            // of the iteration that is being put together
  DecodeBatch decode_;
  PromptBatch prompts_;
};

}  // namespace flopcast
