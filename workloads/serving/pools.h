// A pool of replicas as a session works with it, and what prices its iterations.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "workloads/serving/config/autoscale_config.h"
#include "workloads/serving/replica/group/replica_config.h"

namespace flopcast {

class IterationPricer;
struct RouterRow;

/// Replicas of one kind, on consecutive GPUs.
struct PoolConfig {
  std::string name;  ///< "replicas", "prefill", "decode"
  ReplicaConfig replica;
  std::optional<std::size_t> next;  ///< pool that requests go on to; none: they are answered here (gives_answers())
  ServingPlan plan;
  int replicas = 1;
  std::string router = "least_outstanding";
  std::shared_ptr<const RouterRow> own_router;  ///< of the caller (flopcast/extend.h), instead
  int first_gpu = 0;
  std::vector<std::size_t>
      pace;  ///< level of expert load, period by period, from the beginning again at the end; empty: the first
  Seconds pace_period;
  Bytes kv_bytes_per_token;  ///< all GPUs of an attention group together, each byte once; what moves to the next pool
  Seconds tokenise;          ///< per token of a prompt, before it is queued; of the first pool
  AutoscaleConfig autoscale;
  /// Of each replica from the first on, which kind of slow ones (PoolPricers::slow) it is; -1, and those beyond: none.
  std::vector<int> slow;
};

/// What prices the iterations of a pool: one pricer, or one per level of expert load, which PoolConfig::pace chooses
/// from; and the same for each kind of replica that is slower than its data sheet (PoolConfig::slow).
struct PoolPricers {
  PoolPricers(IterationPricer* only) : levels{only} {}
  explicit PoolPricers(std::vector<IterationPricer*> all) : levels(std::move(all)) {}
  std::vector<IterationPricer*> levels;
  std::vector<std::vector<IterationPricer*>> slow;
};

}  // namespace flopcast
