#include "workloads/training/prices/step_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "sim/base/random.h"
#include "workloads/collectives/collectives.h"
#include "workloads/collectives/eplb.h"

namespace flopcast {

namespace {

/// Which expert is hot is arbitrary, so experts are shuffled; of this many shuffles the one with the median
/// hottest rank is taken, so that the result is typical and not the luck of one seed.
constexpr int kShuffles = 33;

/// Log-normal loads with the given coefficient of variation: its quantiles, dealt to the experts in a
/// shuffle.
std::vector<double> skewed_loads(int experts, double coefficient_of_variation, std::uint64_t shuffle) {
  const double sigma = std::sqrt(std::log1p(coefficient_of_variation * coefficient_of_variation));
  std::vector<double> loads(experts);
  for (int e = 0; e < experts; ++e) loads[e] = std::exp(sigma * normal_quantile((e + 0.5) / experts));
  RandomStream random(shuffle);
  for (int e = experts - 1; e > 0; --e) {
    std::swap(loads[e], loads[static_cast<int>(random.uniform() * (e + 1))]);
  }
  return loads;
}

/// Loads of expert-parallel ranks as they were measured, log-normal: the first has most.
std::vector<double> skewed_ranks(int ranks, double coefficient_of_variation, double most) {
  const double sigma = std::sqrt(std::log1p(coefficient_of_variation * coefficient_of_variation));
  std::vector<double> loads(ranks);
  double sum = 0;
  for (int r = 0; r < ranks; ++r) sum += loads[r] = std::exp(-sigma * normal_quantile((r + 0.5) / ranks));
  for (double& load : loads) load *= ranks / sum;
  return cut_loads(std::move(loads), most);
}

std::vector<double> typical_skewed_loads(const TrainingConfig& config) {
  const int experts = config.model.moe.experts;
  std::vector<std::pair<double, std::vector<double>>> tried;
  for (int shuffle = 0; shuffle < kShuffles; ++shuffle) {
    std::vector<double> loads = cut_loads(skewed_loads(experts, config.expert_load.coefficient_of_variation, shuffle),
                                          most_of_mean(experts, config.model.moe.experts_per_token));
    const std::vector<double> ranks = rank_loads(loads, config.plan.expert);
    tried.emplace_back(*std::max_element(ranks.begin(), ranks.end()), std::move(loads));
  }
  std::nth_element(tried.begin(), tried.begin() + kShuffles / 2, tried.end());
  return tried[kShuffles / 2].second;
}

std::vector<double> expert_loads(const TrainingConfig& config) {
  const ExpertLoad& load = config.expert_load;
  const int experts = config.model.moe.experts;
  switch (load.kind) {
    case ExpertLoad::Kind::balanced:
      return std::vector<double>(experts, 1.0);
    case ExpertLoad::Kind::skewed:
      return typical_skewed_loads(config);
    case ExpertLoad::Kind::given:
      return load.shares;
  }
  assert(false);
  return {};
}

/// A block's position with slow parts, when there is exactly one such position: it stands for the block in
/// every stage.
struct SlowPosition {
  int position = -1;
  bool several = false;
};

std::map<int, SlowPosition> slow_positions(const JobGrid& grid, const ClusterSpec& cluster) {
  std::map<int, SlowPosition> by_block;
  for (const SlowPart& part : cluster.slow_parts) {
    const RankId gpu = RankId::at(part.rank);
    if (grid.pipeline_rank(gpu) >= grid.pipeline) continue;  // not part of the job
    SlowPosition& slow = by_block[grid.position(gpu) / grid.block()];
    slow.several |= slow.position >= 0 && slow.position != grid.position(gpu);
    slow.position = grid.position(gpu);
  }
  return by_block;
}

double gpu_speed(const ClusterSpec& cluster, RankId gpu) {
  double speed = 1;
  for (const SlowPart& part : cluster.slow_parts) {
    if (part.kind == SlowPart::Kind::gpu && part.rank == static_cast<int>(gpu.index())) speed *= part.speed;
  }
  return speed;
}

ReplayPlan every_gpu(const JobGrid& grid, const ClusterSpec& cluster) {
  ReplayPlan plan;
  plan.folded = false;
  for (int p = 0; p < grid.pipeline; ++p) {
    for (int position = 0; position < grid.per_stage(); ++position) {
      const RankId gpu = grid.gpu(p, position);
      plan.gpus.push_back({gpu, 1.0, gpu_speed(cluster, gpu)});
    }
  }
  return plan;
}

/// How a group of GPUs lies on nodes: of equal shapes all take the same time for the same bytes.
struct GroupShape {
  int nodes = 0, fewest = 0;  ///< nodes, ranks in the one that has the fewest
  auto operator<=>(const GroupShape&) const = default;
};

/// What a replica's passes wait for, by how it lies on nodes, in every stage: the groups that share matrices, a
/// sequence, experts or (hybrid sharding) parameters, and the way to the next stage. What straddles nodes takes longer
/// than what does not, so only replicas alike in all of it stand for each other.
class PlacementKinds {
 public:
  PlacementKinds(const ParallelPlan& plan, const JobGrid& grid, int gpus_per_node)
      : grid_(grid), gpus_per_node_(gpus_per_node) {
    if (plan.zero_stage > 0 && plan.shards() < grid.replicas) shards_ = plan.shards();
    const auto fits = [&](int gpus) { return gpus_per_node % gpus == 0 || gpus % gpus_per_node == 0; };
    alike_ = shards_ == 0 && fits(grid.per_stage()) && fits(grid.tensor) && fits(grid.tensor * grid.context) &&
             fits(grid.expert_group()) && fits(grid.block());
  }

  /// Equal ones are alike.
  std::vector<GroupShape> of(int position) {
    std::vector<GroupShape> shapes;
    if (alike_) return shapes;
    const int tensor = grid_.tensor, sequence = tensor * grid_.context, experts = grid_.expert_group();
    const int of_tensor = position / tensor * tensor;
    const int of_sequence = position / sequence * sequence + position % tensor;
    const int of_experts = position / experts * experts + position % grid_.expert_tensor;
    for (int p = 0; p < grid_.pipeline; ++p) {
      shapes.push_back(shape(p, of_tensor, 1, tensor));
      shapes.push_back(shape(p, of_sequence, tensor, grid_.context));
      shapes.push_back(shape(p, of_experts, grid_.expert_tensor, grid_.expert));
      shapes.push_back({node(p, position) == node((p + 1) % grid_.pipeline, position) ? 1 : 2, 1});
      if (shards_ == 0) continue;
      const int replica = grid_.replica(position), rank = grid_.tensor_rank(position);
      shapes.push_back(shape(p, replica / shards_ * shards_ * tensor + rank, tensor, shards_));
      shapes.push_back(shape(p, replica % shards_ * tensor + rank, shards_ * tensor, grid_.replicas / shards_));
    }
    return shapes;
  }

 private:
  int node(int pipeline_rank, int position) const {
    return static_cast<int>(grid_.gpu(pipeline_rank, position).index()) / gpus_per_node_;
  }

  const GroupShape& shape(int pipeline_rank, int first, int stride, int size) {
    const auto [found, fresh] = known_.try_emplace({pipeline_rank, first, stride, size});
    if (!fresh) return found->second;
    std::map<int, int> ranks;  // by node
    for (int i = 0; i < size; ++i) ++ranks[node(pipeline_rank, first + i * stride)];
    GroupShape& shape = found->second;
    shape = {static_cast<int>(ranks.size()), size};
    for (const auto& [node, here] : ranks) shape.fewest = std::min(shape.fewest, here);
    return shape;
  }

  const JobGrid& grid_;
  int gpus_per_node_;
  int shards_ = 0;      ///< replicas of a shard group; 0: parameters are not sharded in groups
  bool alike_ = false;  ///< whatever a group is, nodes hold whole ones, or it holds whole nodes
  std::map<std::tuple<int, int, int, int>, GroupShape> known_;  // by stage, first position, stride, size
};

/// Whether GPUs of a node do the same at the same time on links that are alike, whatever contends elsewhere: every
/// index has leaves of its own below the same nodes, stages hold whole nodes, and nobody is slow or has busier experts.
bool indices_are_alike(const JobGrid& grid, const ClusterSpec& cluster, const std::vector<double>& rank_loads) {
  const FabricKind kind = cluster.fabric.kind;
  const bool rails = kind == FabricKind::multi_plane || kind == FabricKind::multi_rail ||
                     kind == FabricKind::rail_fat_tree_2 || kind == FabricKind::rail_fat_tree_3;
  const bool balanced =
      std::all_of(rank_loads.begin(), rank_loads.end(), [&](double load) { return load == rank_loads.front(); });
  return rails && balanced && cluster.slow_parts.empty() && grid.per_stage() % cluster.node.gpus == 0;
}

/// The first GPU of every node stands for the node.
ReplayPlan one_of_each_node(const JobGrid& grid, const ClusterSpec& cluster) {
  ReplayPlan plan;
  for (int p = 0; p < grid.pipeline; ++p)
    for (int position = 0; position < grid.per_stage(); position += cluster.node.gpus)
      plan.gpus.push_back({grid.gpu(p, position), static_cast<double>(cluster.node.gpus), 1.0});
  plan.notes.push_back(fmt::format(
      "one GPU of every node is replayed: the fabric is oversubscribed, so nodes below one leaf switch contend "
      "for its uplinks, the {} indices alike",
      cluster.node.gpus));
  return plan;
}

}  // namespace

std::vector<double> expert_rank_loads(const TrainingConfig& config, int gpus_per_node) {
  const int ranks = config.plan.expert;
  if (config.model.moe.experts == 0 || ranks == 1) return std::vector<double>(ranks, 1.0);
  const ExpertLoad& load = config.expert_load;
  if (load.capacity_factor) return std::vector<double>(ranks, *load.capacity_factor);
  if (load.kind == ExpertLoad::Kind::skewed && load.level == ExpertLoad::Level::rank)
    return skewed_ranks(ranks, load.coefficient_of_variation,
                        most_of_mean(config.model.moe.experts, config.model.moe.experts_per_token));
  const std::vector<double> loads = expert_loads(config);
  if (config.expert_load.placement != ExpertLoad::Placement::eplb) return rank_loads(loads, ranks);
  return eplb_rank_loads(loads, config.expert_load.redundant_experts, config.model.moe.groups, ranks,
                         std::min(gpus_per_node, ranks));
}

ReplayPlan choose_replayed(const TrainingConfig& config, const ClusterSpec& cluster,
                           const std::vector<double>& rank_loads) {
  const JobGrid grid(config.plan);
  if (config.unfolded) return every_gpu(grid, cluster);
  const auto unfold = [&](std::string why) {
    ReplayPlan plan = every_gpu(grid, cluster);
    plan.notes.push_back(fmt::format("every GPU is replayed: {}", why));
    return plan;
  };
  if (cluster.fabric.sites > 1) return unfold("GPUs of a site share its links to the others");
  if (cluster.fabric.oversubscription > 1.0 && cluster.nodes > 1) {
    if (cluster.node.gpus > 1 && indices_are_alike(grid, cluster, rank_loads)) return one_of_each_node(grid, cluster);
    return unfold("the fabric is oversubscribed, so GPUs under one leaf switch contend for its uplinks");
  }
  const int hottest = static_cast<int>(std::max_element(rank_loads.begin(), rank_loads.end()) - rank_loads.begin());
  const bool skewed = config.model.moe.experts > 0 && config.expert_load.kind != ExpertLoad::Kind::balanced;
  const std::map<int, SlowPosition> slow = slow_positions(grid, cluster);
  for (const auto& [block, part] : slow) {
    if (part.several) return unfold("several GPUs that wait for each other in every layer are slow");
    if (skewed && grid.expert_rank(part.position) != hottest) {
      return unfold("the slow GPU of a group is not the one with the hottest experts");
    }
  }

  // Blocks with slow parts stand for themselves; of the others the first of each kind for all of its kind.
  struct Chosen {
    int position;
    double blocks;
  };
  std::vector<Chosen> chosen;
  PlacementKinds placements(config.plan, grid, cluster.node.gpus);
  std::map<std::vector<GroupShape>, std::size_t> kinds;  // positions in `chosen`
  for (int block = 0; block < grid.blocks(); ++block) {
    if (const auto found = slow.find(block); found != slow.end()) {
      chosen.push_back({found->second.position, 1});
      continue;
    }
    const int position = block * grid.block() + hottest * grid.expert_tensor;
    const auto [kind, fresh] = kinds.try_emplace(placements.of(position), chosen.size());
    if (fresh) chosen.push_back({position, 0});
    chosen[kind->second].blocks += 1;
  }
  ReplayPlan plan;
  for (int p = 0; p < grid.pipeline; ++p) {
    for (const Chosen& c : chosen) {
      const RankId gpu = grid.gpu(p, c.position);
      plan.gpus.push_back({gpu, c.blocks * grid.block(), gpu_speed(cluster, gpu)});
    }
  }
  plan.folded = static_cast<int>(plan.gpus.size()) < grid.pipeline * grid.per_stage();
  return plan;
}

ExchangeTimes::GroupSpeeds port_speeds(const JobGrid& grid, const ClusterSpec& cluster, RankId gpu) {
  ExchangeTimes::GroupSpeeds speeds;
  if (cluster.slow_parts.empty()) return speeds;
  const int position = grid.position(gpu);
  // In a group: the same position but for its rank there.
  const auto among = [&](int stride, int ranks) {
    ExchangeTimes::PortSpeed slowest;
    const int first = position - position / stride % ranks * stride;
    for (int rank = 0; rank < ranks; ++rank) {
      const int member = static_cast<int>(grid.gpu(grid.pipeline_rank(gpu), first + rank * stride).index());
      ExchangeTimes::PortSpeed speed;
      for (const SlowPart& part : cluster.slow_parts) {
        if (part.rank != member) continue;
        if (part.kind == SlowPart::Kind::nvlink) speed.nvlink *= part.speed;
        if (part.kind == SlowPart::Kind::nic) speed.nic *= part.speed;
      }
      slowest.nvlink = std::min(slowest.nvlink, speed.nvlink);
      slowest.nic = std::min(slowest.nic, speed.nic);
    }
    return slowest;
  };
  speeds.tensor = among(1, grid.tensor);
  speeds.expert_tensor = among(1, grid.expert_tensor);
  speeds.context = among(grid.tensor, grid.context);
  return speeds;
}

double spread_factor(const TrainingConfig& config) {
  const int waiting = config.plan.replicas() * config.plan.tensor;
  if (waiting < 2 || config.gpu_speed_spread() <= 0) return 1.0;
  return 1.0 + config.gpu_speed_spread() * expected_largest_normal(waiting);
}

}  // namespace flopcast
