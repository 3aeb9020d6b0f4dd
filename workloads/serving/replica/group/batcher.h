// Who is batched in an attention group: requests from its queue into its KV cache and its iterations, and out again.
//
// A request waits, is admitted when its cache has room (admission.h), brings back from lower tiers what they hold of
// its prompt, computes the rest piece by piece, decodes, and finishes; or it gives way to others on the way.
#pragma once
#include <cstdint>
#include <vector>

#include "workloads/serving/replica/group/admission.h"
#include "workloads/serving/replica/group/group_jobs.h"

namespace flopcast {

class Batcher {
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
  /// One of them leaves.
  void give_away(JobId job);

  /// Puts the next iteration together: whoever may join the decoding batch, and pieces of prompts.
  void schedule(Ticks now);
  /// Requests that joined with a cache and wait for this engine's first iteration (ReplicaConfig::first_step_token).
  void show_first_tokens(Ticks when);
  /// First tokens of the iteration that has just ended are shown so much later than it.
  void delay_first_tokens(Ticks late);
  /// `iterations` of decoding are over; the pages that they needed are reserved. The replica counts their tokens, and
  /// asks who finishes.
  void decoded(std::int64_t iterations);
  /// Iterations give other numbers of tokens from the next one on.
  void set_pattern(const TokenPattern& pattern);
  /// Jobs that have all their tokens by the next iteration finish.
  void finish_due(Ticks now);
  /// The pieces of prompts are computed, in an iteration that began at `begin`.
  void prompts_computed(Ticks begin, Ticks now);

  const GroupJobs& jobs() const { return jobs_; }
  const DecodeBatch& decode() const { return jobs_.decode; }
  const PromptBatch& prompts() const { return jobs_.prompts; }
  PromptBatch& prompts() { return jobs_.prompts; }
  void archive(StateArchive& state) { state(jobs_); }

 private:
  GroupJobs jobs_;
  Admission admission_;
  ReplicaListener* listener_;
};

}  // namespace flopcast
