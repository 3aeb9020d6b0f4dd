// The configuration of a replica, and the state that it shows to others.
#pragma once
#include <cstdint>
#include <memory>

#include "sim/base/state_archive.h"
#include "workloads/serving/base/clock.h"
#include "workloads/serving/cache/kv_cache.h"
#include "workloads/serving/config/class_rules.h"
#include "workloads/serving/config/replica_role.h"
#include "workloads/serving/pricing/engine.h"
#include "workloads/serving/replica/group/counters.h"
#include "workloads/serving/replica/group/listener.h"

namespace flopcast {

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
  /// The first iteration with prompts waits so long for kernels that are still to be compiled.
  Ticks cold_prompts = 0;
  NicLoad nic;
  std::shared_ptr<const ClassRules> classes;  ///< null: all alike, without deadlines
  bool jump = true;
  /// Tokens of an iteration and attention group: as many parts as there are stages, each within the budget.
  std::int64_t tokens_under_way() const { return std::int64_t{scheduler.token_budget} * stages; }
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
  ReplicaState(std::uint32_t replica, std::size_t count) : id(replica), groups(count) {}
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
    explicit Groups(std::size_t count)
        : requests(count), work(count), quiet_until(count), decoding(count), kv_base(count) {}
    /// The group has nothing to do before that iteration is over.
    bool quiet(std::size_t group, std::int64_t iteration) const { return iteration < quiet_until[group]; }
    void archive(StateArchive& state) { state(requests, work, quiet_until, decoding, kv_base); }
  };
  Groups groups;
  void archive(StateArchive& state) {
    state(iteration, debt, batch_changed, drafts, seen_until, joined, admissions, load, counters, groups);
  }
};

}  // namespace flopcast
