#include "workloads/collectives/eplb.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace flopcast {
namespace {

using Loads = std::vector<double>;
using Indices = std::vector<int>;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// Heaviest item first, each into the lightest pack that still has room: equal numbers per pack, near-equal
/// loads.
/// @return the items of each pack, in the order in which they went in.
std::vector<Indices> pack_evenly(const Loads& load, int packs) {
  const int items = static_cast<int>(load.size());
  assert(items % packs == 0);
  const std::size_t room = at(items / packs);
  std::vector<Indices> pack(at(packs));
  if (room == 1) {
    for (int i = 0; i < items; ++i) pack[at(i)] = {i};
    return pack;
  }
  Indices heaviest_first(load.size());
  std::iota(heaviest_first.begin(), heaviest_first.end(), 0);
  std::stable_sort(heaviest_first.begin(), heaviest_first.end(),
                   [&](int a, int b) { return load[at(a)] > load[at(b)]; });
  Loads filled(at(packs), 0.0);
  for (const int item : heaviest_first) {
    int lightest = -1;
    for (int p = 0; p < packs; ++p)
      if (pack[at(p)].size() < room && (lightest < 0 || filled[at(p)] < filled[at(lightest)])) lightest = p;
    pack[at(lightest)].push_back(item);
    filled[at(lightest)] += load[at(item)];
  }
  return pack;
}

/// Experts 0 .. n-1 once each, then copies one at a time of the expert whose copies carry most.
Indices replicate(const Loads& load, int replicas) {
  const int experts = static_cast<int>(load.size());
  Indices expert_of(at(experts));
  std::iota(expert_of.begin(), expert_of.end(), 0);
  Indices copies(at(experts), 1);
  for (int i = experts; i < replicas; ++i) {
    int heaviest = 0;
    for (int e = 1; e < experts; ++e)
      if (load[at(e)] / copies[at(e)] > load[at(heaviest)] / copies[at(heaviest)]) heaviest = e;
    expert_of.push_back(heaviest);
    ++copies[at(heaviest)];
  }
  return expert_of;
}

/// Copies of one node's experts, packed onto its GPUs.
Indices place_in_node(const Loads& load, int replicas, int gpus) {
  const Indices expert_of = replicate(load, replicas);
  Indices copies(load.size(), 0);
  for (const int e : expert_of) ++copies[at(e)];
  Loads share;
  for (const int e : expert_of) share.push_back(load[at(e)] / copies[at(e)]);
  Indices placement;
  for (const Indices& gpu : pack_evenly(share, gpus))
    for (const int replica : gpu) placement.push_back(expert_of[at(replica)]);
  return placement;
}

}  // namespace

std::vector<int> place_experts(const EplbRequest& r) {
  const bool hierarchical = r.groups % r.nodes == 0;
  const int groups = hierarchical ? r.groups : 1, nodes = hierarchical ? r.nodes : 1;
  const int experts = static_cast<int>(r.expert_loads.size());
  assert(experts % groups == 0 && r.gpus % nodes == 0 && r.replicas % r.gpus == 0 && r.replicas >= experts);
  const int group_size = experts / groups;

  Loads group_load(at(groups), 0.0);
  for (int e = 0; e < experts; ++e) group_load[at(e / group_size)] += r.expert_loads[at(e)];
  Indices placement;
  for (const Indices& node : pack_evenly(group_load, nodes)) {
    Indices held;
    for (const int group : node)
      for (int e = 0; e < group_size; ++e) held.push_back(group * group_size + e);
    Loads load;
    for (const int e : held) load.push_back(r.expert_loads[at(e)]);
    for (const int local : place_in_node(load, r.replicas / nodes, r.gpus / nodes))
      placement.push_back(held[at(local)]);
  }
  return placement;
}

std::vector<double> placed_loads(std::span<const double> expert_loads, std::span<const int> placement, int gpus) {
  Indices copies(expert_loads.size(), 0);
  for (const int e : placement) ++copies[at(e)];
  Loads load(at(gpus), 0.0);
  const std::size_t fewer = placement.size() / load.size(), more = placement.size() % load.size();
  for (std::size_t i = 0; i < placement.size(); ++i) {
    const std::size_t gpu = i < more * (fewer + 1) ? i / (fewer + 1) : more + (i - more * (fewer + 1)) / fewer;
    load[gpu] += expert_loads[at(placement[i])] / copies[at(placement[i])];
  }
  const double mean = std::accumulate(load.begin(), load.end(), 0.0) / gpus;
  for (double& l : load) l /= mean;
  return load;
}

std::vector<double> eplb_rank_loads(std::span<const double> expert_loads, int redundant_experts, int groups, int ranks,
                                    int ranks_per_node) {
  EplbRequest request;
  request.expert_loads = expert_loads;
  request.replicas = static_cast<int>(expert_loads.size()) + redundant_experts;
  request.groups = groups;
  request.gpus = ranks;
  request.nodes = std::max(1, ranks / ranks_per_node);
  return placed_loads(expert_loads, place_experts(request), ranks);
}

}  // namespace flopcast
