// The configuration of a replica, and the state that it shows to others.
#pragma once
#include <cstdint>
#include <memory>

#include "workloads/serving/base/clock.h"
#include "workloads/serving/pricing/engine.h"
#include "workloads/serving/replica/class_rules.h"
#include "workloads/serving/replica/job.h"

namespace flopcast {

/// What replicas of a pool do for a request. Pools form a chain (PoolConfig::next) along which requests move.
enum class ReplicaRole : std::uint8_t {
  unified,  ///< prompts and answers
  prefill,  ///< prompts, up to the first token; the cache then moves to the next pool
  decode,   ///< answers, from caches that arrive
  encode,   ///< something before the prompt (an encoder of images, a reranker); its output moves to the next pool
};
constexpr bool computes_prompts(ReplicaRole role) {
  return role == ReplicaRole::unified || role == ReplicaRole::prefill;
}
constexpr bool gives_answers(ReplicaRole role) { return role == ReplicaRole::unified || role == ReplicaRole::decode; }
/// Requests go on to another pool.
constexpr bool hands_on(ReplicaRole role) { return !gives_answers(role); }

/// What crosses the NIC of each GPU, as the time it takes there.
struct NicLoad {
  double prompt_token = 0;  ///< ticks of exchange between experts, per token of a prompt
  double request = 0;       ///< per decoding request and iteration
  double cached_token = 0;  ///< of a KV cache that leaves or arrives
  bool overlapped = false;  ///< exchange has the whole iteration to hide in (two micro-batches)
};

struct ReplicaConfig {
  ReplicaRole role = ReplicaRole::unified;
  SchedulerConfig scheduler;
  SpeculationConfig speculation;
  int groups = 1;               ///< attention groups
  int stages = 1;               ///< of a pipeline, each at work on a part of the batch of its own
  bool experts_shared = false;  ///< by all groups, which then wait for each other's tokens
  KvCacheConfig cache;          ///< of one group
  /// Time to bring one cached token back from host memory and from storage, per attention group.
  PerTier<Ticks> restore_ticks_per_token;
  Ticks restore_ticks_per_stated_token = 0;  ///< where traffic states a share that is cached, not which prefixes
  /// Decode replicas take a cache in when this many tokens are left for each request that is there.
  int reserved_tokens = 0;
  /// They show the first token after their own first iteration, not with the cache.
  bool first_step_token = false;
  /// An iteration is put together when the one before it begins.
  bool scheduled_ahead = false;
  /// Tokens of an iteration are handed out once the host has launched the next one.
  bool results_behind_launch = false;
  NicLoad nic;
  std::shared_ptr<const ClassRules> classes;  ///< null: all alike, without deadlines
  bool jump = true;
  /// Tokens of an iteration and attention group: as many parts as there are stages, each within the budget.
  std::int64_t tokens_under_way() const { return std::int64_t{scheduler.token_budget} * stages; }
};

/// Told of what happens on a replica, at the moment `now` of the boundary between two iterations.
class ReplicaListener {
 public:
  virtual ~ReplicaListener() = default;
  /// A replica has done its part of a job that goes on to another pool; the job keeps its pages there until release().
  virtual void handed_on(JobId job, Ticks now) = 0;
  /// A decode replica has room for the job's cache: join() it when the cache has arrived.
  virtual void placed(JobId job, Ticks now) = 0;
  /// @param shown when its user has the last token: `now`, or later
  virtual void finished(JobId job, Ticks shown) = 0;
  /// A job has not got what it wanted in time, and is not here any more.
  virtual void expired(JobId job, Ticks now) = 0;
};

/// What a replica has done.
struct ReplicaCounters {
  std::int64_t iterations = 0;         ///< decoding or with prompts
  std::int64_t prompt_iterations = 0;  ///< of those, with prompts
  std::int64_t prompt_tokens = 0;      ///< computed, recomputation included
  std::int64_t recomputed_tokens = 0;  ///< computed again after a preemption
  std::int64_t decode_tokens = 0;      ///< sum over decoding iterations of tokens given
  std::int64_t decode_requests = 0;    ///< sum over decoding iterations of the batch
  std::int64_t decode_iterations = 0;  ///< with a request that decodes
  std::int64_t preemptions = 0, swaps = 0;
  std::int64_t made_way = 0;            ///< of the preemptions, for requests of higher priority
  std::int64_t steps = 0;               ///< events it took
  WideTicks busy = 0;                   ///< time in iterations
  WideTicks prompt_time = 0;            ///< of it, what prompts added to iterations
  std::int64_t prompts_done = 0;        ///< prompts that gave their first token
  std::int64_t prompt_tokens_done = 0;  ///< of those, cached tokens included
  WideTicks prompt_waits = 0;           ///< of those, from arrival to the prompt's end, in sum
  std::int64_t tokens_given() const { return decode_tokens + prompts_done; }  ///< of answers
  ReplicaCounters& operator+=(const ReplicaCounters& o);
  ReplicaCounters operator-(const ReplicaCounters& o) const;  ///< what happened since
};

/// What a replica has to do now.
struct ReplicaLoad {
  std::int64_t outstanding = 0;       ///< requests that it has
  std::int64_t waiting = 0;           ///< of those, without a place in a batch,
  std::int64_t handed_on = 0;         ///< or in another pool by now: only their caches are here
  std::int64_t queued_tokens = 0;     ///< of prompts, still to be computed
  std::int64_t decoding = 0;          ///< requests that decode,
  std::int64_t decoding_tokens = 0;   ///< and their cached tokens at the next iteration
  std::int64_t prompting_tokens = 0;  ///< cached tokens of the others
  std::int64_t running() const { return outstanding - waiting - handed_on; }
};

/// What the attention groups of a replica share: they run their iterations in step.
struct ReplicaState {
  std::uint32_t id = 0;           ///< of the replica
  std::int64_t iteration = 0;     ///< decoding iterations so far: index of the next
  Ticks debt = 0;                 ///< transfers that the next iteration waits for
  bool batch_changed = true;      ///< a decoding batch, since its pace was found
  bool drafts = true;             ///< there are drafts, as far as the replica makes any (SpeculationConfig::most_batch)
  Ticks seen_until = kNeverTick;  ///< requests that were queued later are not in the next iteration
  std::int64_t joined = 0;        ///< decoding requests that came since the last decoding iteration
  std::uint64_t admissions = 0;
  ReplicaLoad load;
  ReplicaCounters counters;
  /// Of each attention group, side by side, for all are asked at every boundary and most have nothing to say.
  struct Groups {
    std::vector<std::int64_t> requests;     ///< that it has, or that are on their way to it (decode replicas)
    std::vector<Ticks> work;                ///< what the prompts of its jobs take alone
    std::vector<std::int64_t> quiet_until;  ///< before that iteration it has nothing to do but to decode
    std::vector<std::int64_t> decoding;     ///< requests that decode,
    std::vector<std::int64_t> kv_base;      ///< and their cached tokens, less `decoding` times those of all iterations
    void archive(StateArchive& state) { state(requests, work, quiet_until, decoding, kv_base); }
  };
  Groups groups;
  void archive(StateArchive& state) {
    state(iteration, debt, batch_changed, drafts, seen_until, joined, admissions, load, counters, groups);
  }
};

}  // namespace flopcast
