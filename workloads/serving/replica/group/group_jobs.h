// The requests of an attention group, by what they wait for, and what of them its replica sees.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "workloads/serving/cache/kv_cache.h"
#include "workloads/serving/replica/group/deadlines.h"
#include "workloads/serving/replica/group/decode_batch.h"
#include "workloads/serving/replica/group/fifo.h"
#include "workloads/serving/replica/group/prompt_batch.h"
#include "workloads/serving/replica/group/waiting_queue.h"

namespace flopcast {

/// Open to those who move requests on: Admission, which gives places, and Batcher.
struct GroupJobs {
  /// @param number of the group in the replica
  GroupJobs(const ReplicaConfig& config, JobTable& table, const TokenPattern& pattern, ReplicaState& state,
            std::size_t number);
  GroupJobs(const GroupJobs&) = delete;
  GroupJobs& operator=(const GroupJobs&) = delete;

  Job& operator[](JobId id) { return (*table)[id]; }
  /// All: those that wait, in the order of their coming, then the others.
  void list(std::vector<JobId>& out) const;
  /// One leaves, wherever it stands. False: it is not here.
  bool take_out(JobId job);
  /// Everything is gone, and what the cache held with it.
  void clear();
  /// One whose pages are given back.
  void leave(KvSequence sequence, Ticks reckoned);
  /// One that waited.
  void leave_queue(const Job& job);
  /// When the next prompt is back in HBM.
  Ticks next_restored() const { return restoring.empty() ? kNeverTick : restoring.front().first; }
  /// Nobody is to be put together with those that decode.
  bool only_decodes() const {
    return arrived.empty() && waiting.empty() && swapped.empty() && prompting.empty() && restoring.empty();
  }
  /// Another request may have a place.
  bool has_slot() const {
    const auto taken = static_cast<std::size_t>(decode.size() + placed) + prompting.size() + restoring.size();
    return taken < static_cast<std::size_t>(config->scheduler.max_batch);
  }
  /// Of a decoding request that leaves the batch: the tokens it has got in it.
  void count_generated(Job& job) const {
    job.generated += static_cast<std::int32_t>(pattern.tokens(job.joined, state->iteration - job.joined));
  }
  /// Jobs that the next iteration may be put together of will be looked at soon.
  void fetch_next() const;
  /// What the replica sees of the group without looking into it.
  void publish();
  void archive(StateArchive& archive) {
    archive(pattern, cache, waiting, deadlines, swapped, prompting, arrived, fresh, just_shown, placed);
    archive(restoring, restored_at, decode, prompts);
  }

  const ReplicaConfig* config;
  JobTable* table;
  TokenPattern pattern;
  ReplicaState* state;
  std::size_t number;
  std::int64_t& requests;  ///< that decode, wait, are swapped out, placed or have arrived
  Ticks& work;             ///< what the prompts of its jobs take alone
  KvCache cache;
  WaitingQueue waiting;
  Deadlines deadlines;
  Fifo<JobId> swapped;
  std::vector<JobId> prompting;             ///< admitted, context not yet computed; in order of admission
  std::vector<JobId> arrived;               ///< decode replicas: to join at the next boundary
  std::vector<JobId> fresh;                 ///< of those: their first token is still to be shown
  std::vector<JobId> just_shown;            ///< first tokens of the iteration that has just ended
  std::int64_t placed = 0;                  ///< decode replicas: caches on their way
  Fifo<std::pair<Ticks, JobId>> restoring;  ///< caches on their way up from lower tiers, one after the other
  Ticks restored_at = 0;                    ///< when the last of them is there
  DecodeBatch decode;
  PromptBatch prompts;

 private:
  void leave_prompting(const Job& job);
};

}  // namespace flopcast
