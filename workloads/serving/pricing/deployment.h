// From engines, a cluster and calibrations to the pools of a session: what fits into memory, what iterations take.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "hwmodels/fabric/cluster.h"
#include "hwmodels/kernels/kernels.h"
#include "workloads/serving/config/pool_spec.h"
#include "workloads/serving/pools.h"
#include "workloads/serving/pricing/replica_memory.h"

namespace flopcast {

struct EngineConstants;
struct LinkCalibration;

/// What prices are made of; shared by all pools.
struct PriceSources {
  ClusterSpec cluster;
  std::shared_ptr<const KernelModel> kernels;
  std::shared_ptr<const LinkCalibration> links;
  std::shared_ptr<const EngineConstants> constants;
};

/// Kernels as an engine has them, at full clock (what the board's limit leaves, iterations ask: under_limit). Of a
/// model that PyTorch compiles without an engine round it, attention is cuDNN's.
std::shared_ptr<const KernelModel> engine_kernels(const EngineConfig& engine, const GpuSpec& gpu,
                                                  std::shared_ptr<const KernelCalibration> calibration);

/// A pool and what prices its iterations.
struct BuiltPool {
  PoolConfig config;
  ReplicaMemory memory;
  std::vector<std::shared_ptr<IterationPricer>> pricers;            ///< one per level of expert load
  std::vector<double> levels;                                       ///< the busiest GPU's rows over the mean
  std::vector<ReplicaSpeed> speeds;                                 ///< kinds of slow replicas (PoolConfig::slow)
  std::vector<std::vector<std::shared_ptr<IterationPricer>>> slow;  ///< their pricers, level by level
  PoolPricers prices() const;
};
/// @param first_gpu where its replicas stand. @param busiest load of the busiest GPU's experts over the mean, period by
/// period (busiest_rank_loads()); empty: alike.
BuiltPool build_pool(const PoolSpec& spec, const PriceSources& sources, int first_gpu,
                     std::span<const double> busiest = {}, Seconds period = Seconds(1));

}  // namespace flopcast
