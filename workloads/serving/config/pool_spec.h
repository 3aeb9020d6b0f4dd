// A pool of replicas as a deployment states it.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/fields.h"
#include "sim/base/units.h"
#include "workloads/serving/config/autoscale_config.h"
#include "workloads/serving/config/replica_role.h"
#include "workloads/serving/pricing/engine.h"

namespace flopcast {

struct RouterRow;

/// What a replica keeps of prompts and answers for those that begin alike.
struct PrefixCacheConfig {
  bool on = true;
  int block_tokens = 0;              ///< of the traffic's blocks; 0: it gives none
  Bytes host_memory;                 ///< for caches, per GPU
  Bytes storage;                     ///< per GPU
  BytesPerSecond storage_bandwidth;  ///< per GPU

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("on", &PrefixCacheConfig::on, {"prefix-cache"});
    field.aside(&PrefixCacheConfig::block_tokens, "page_tokens");
    field("host_memory", &PrefixCacheConfig::host_memory, {"prefix-cache"});
    field("storage", &PrefixCacheConfig::storage, {"prefix-cache"});
    field("storage_bandwidth", &PrefixCacheConfig::storage_bandwidth, {"prefix-cache"});
  }
};

/// A replica with parts slower than their data sheets: 0.8 runs at 80 %.
struct ReplicaSpeed {
  double gpu = 1, nic = 1, nvlink = 1;
  bool operator==(const ReplicaSpeed&) const = default;
};

struct PoolSpec {
  std::string name = "replicas";
  ReplicaRole role = ReplicaRole::unified;
  std::optional<std::size_t> next;  ///< pool of the deployment that requests go on to; none: they are answered here
  EngineConfig engine;
  int replicas = 1;
  std::string router = "least_outstanding";
  std::shared_ptr<const RouterRow> own_router;  ///< of the caller (flopcast/extend.h), instead
  PrefixCacheConfig prefix;
  int page_tokens = 64;
  int reserved_tokens = 0;        ///< ReplicaConfig
  bool first_step_token = false;  ///< ReplicaConfig
  int stream_interval = 1;        ///< tokens that users are sent at once
  double expert_variation = 0;    ///< of the experts' loads, beside what `busiest` says of ranks
  AutoscaleConfig autoscale;
  std::vector<ReplicaSpeed> slow;        ///< by replica; empty: all as their data sheets say
  std::vector<ReplicaSpeed> slow_later;  ///< further speeds that faults bring

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("name", &PoolSpec::name, {.cause = "plan", .shown = "pool", .resolved = true});
    field.aside(&PoolSpec::role, "name");
    field.aside(&PoolSpec::next, "the names of all pools");
    field("count", &PoolSpec::replicas, {"plan"});
    field("", &PoolSpec::engine);
    field("router", &PoolSpec::router, {"engine"});
    field.aside(&PoolSpec::own_router, "a function of the caller, which no file can state");
    field("prefix_cache", &PoolSpec::prefix, {.resolved = true});
    field("page_tokens", &PoolSpec::page_tokens, {"engine"});
    field("reserved_tokens", &PoolSpec::reserved_tokens, {"engine"});
    field("first_token", &PoolSpec::first_step_token, {.cause = "engine", .on = "first_step"});
    field("stream_interval", &PoolSpec::stream_interval, {"engine"});
    field.aside(&PoolSpec::expert_variation, "expert_skew");
    field("autoscale", &PoolSpec::autoscale, {.resolved = true});
    field.aside(&PoolSpec::slow, "cluster.slow");
    field.aside(&PoolSpec::slow_later, "fault");
  }
};

}  // namespace flopcast
