#include "hwmodels/fabric/fabric_graph.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

/// Taller trees are not built.
constexpr int kMostLayers = 4;

/// One tree of switches: sizes of its groups of endpoints that do not share leaves (the rails), and how many layers it
/// has.
struct Tree {
  std::vector<std::vector<RankId>> rails;
  int layers = 2;
  int plane = 0;  ///< trees of one plane are joined where sites are
};

/// Ranks of one site, [begin, end).
struct Site {
  int begin = 0, end = 0;
};

std::vector<Site> sites_of(const ClusterSpec& cluster) {
  std::vector<Site> sites(static_cast<std::size_t>(cluster.fabric.sites));
  for (int node = 0; node < cluster.nodes; ++node) {
    Site& site = sites[static_cast<std::size_t>(cluster.site_of(node * cluster.node.gpus))];
    if (site.end == 0) site.begin = node * cluster.node.gpus;
    site.end = (node + 1) * cluster.node.gpus;
  }
  return sites;
}

template <class A>
A ceil_div(A a, int b) {
  return (a + static_cast<A>(b) - 1) / static_cast<A>(b);
}

std::vector<std::vector<RankId>> ranks_by_gpu_index(const ClusterSpec& cluster, const Site& site) {
  std::vector<std::vector<RankId>> rails(static_cast<std::size_t>(cluster.node.gpus));
  for (int rank = site.begin; rank < site.end; ++rank)
    rails[static_cast<std::size_t>(rank % cluster.node.gpus)].push_back(RankId::at(rank));
  return rails;
}

std::vector<RankId> all_ranks(const Site& site) {
  std::vector<RankId> ranks;
  for (int rank = site.begin; rank < site.end; ++rank) ranks.push_back(RankId::at(rank));
  return ranks;
}

/// Endpoints that fit below one leaf: its ports are shared out so that down : up = oversubscription.
int endpoints_per_leaf(const ClusterSpec& cluster) {
  const double share = cluster.fabric.oversubscription / (1.0 + cluster.fabric.oversubscription);
  const int down_ports = std::max(1, static_cast<int>(std::floor(cluster.fabric.switch_ports * share + 1e-9)));
  return std::max(1, static_cast<int>(std::floor(down_ports / cluster.node.nics_per_gpu + 1e-9)));
}

int leaves_needed(const ClusterSpec& cluster, const std::vector<std::vector<RankId>>& rails) {
  int leaves = 0;
  for (const auto& rail : rails) leaves += static_cast<int>(ceil_div(rail.size(), endpoints_per_leaf(cluster)));
  return leaves;
}

/// Half of a switch's ports lead upwards below the top.
int half_of_ports(const ClusterSpec& cluster) { return std::max(1, cluster.fabric.switch_ports / 2); }

/// Leaves that a tree of `layers` holds.
std::int64_t most_leaves(const ClusterSpec& cluster, int layers) {
  std::int64_t most = layers > 1 ? cluster.fabric.switch_ports : 1;
  for (int layer = 3; layer <= layers; ++layer) most *= half_of_ports(cluster);
  return most;
}

/// What the fabric says, or else at least `usual` layers and as many more as the size takes, up to `most`.
int layers_for(const ClusterSpec& cluster, const std::vector<std::vector<RankId>>& rails, int usual, int most) {
  if (cluster.fabric.layers > 0) return cluster.fabric.layers;
  const int needed = leaves_needed(cluster, rails);
  int layers = usual;
  while (layers < most && needed > most_leaves(cluster, layers)) ++layers;
  return layers;
}

std::vector<Tree> trees_of(const ClusterSpec& cluster, const Site& site) {
  std::vector<Tree> trees;
  const auto add = [&](std::vector<std::vector<RankId>> rails, int usual, int most) {
    const int layers = layers_for(cluster, rails, usual, most);
    trees.push_back({std::move(rails), layers, static_cast<int>(trees.size())});
  };
  switch (cluster.fabric.kind) {
    case FabricKind::single_switch:
      break;  // no tree: one ideal switch
    case FabricKind::rail_fat_tree_2:
    case FabricKind::multi_rail:
      add(ranks_by_gpu_index(cluster, site), 2, 2);
      break;
    case FabricKind::rail_fat_tree_3:
      add(ranks_by_gpu_index(cluster, site), 3, 3);
      break;
    case FabricKind::multi_plane:
      for (auto& plane : ranks_by_gpu_index(cluster, site)) add({std::move(plane)}, 2, kMostLayers);
      break;
    case FabricKind::nvlink_rack:
      add({all_ranks(site)}, 2, kMostLayers);
      break;
  }
  return trees;
}

[[noreturn]] void refuse_size(const ClusterSpec& cluster, const Tree& tree, int leaves) {
  Diagnostic d;
  d.field = "cluster.fabric";
  d.found = cluster.fabric.name + " under " + std::to_string(cluster.nodes) + " nodes, which takes " +
            std::to_string(leaves) + " leaf switches in one tree";
  d.expected = "at most " + std::to_string(most_leaves(cluster, tree.layers)) + " leaves with " +
               std::to_string(tree.layers) + " layers of switches of " + std::to_string(cluster.fabric.switch_ports) +
               " ports";
  d.remedy = tree.layers < kMostLayers ? "fabric_override { layers: " + std::to_string(tree.layers + 1) +
                                             " }, switches with more ports, fewer nodes, or a fabric with more planes"
                                       : "switches with more ports, fewer nodes, or a fabric with more planes";
  throw InputError(std::move(d));
}

/// Deals the uplinks of the switches below out in turn to as many switches as they fill: cables down of each.
std::vector<int> deal(const std::vector<int>& uplinks, int down_ports) {
  int cables = 0;
  for (const int each : uplinks) cables += each;
  const int count = ceil_div(cables, down_ports);
  std::vector<int> upper;
  for (int i = 0; i < count; ++i) upper.push_back(cables / count + (i < cables % count ? 1 : 0));
  return upper;
}

}  // namespace

BytesPerSecond endpoint_bandwidth(const ClusterSpec& cluster) {
  const BytesPerSecond nic = cluster.node.nic_bandwidth;
  const BytesPerSecond port = cluster.fabric.port_bandwidth;
  const bool port_is_slower = port > BytesPerSecond(0) && port < nic;
  return (port_is_slower ? port : nic) * cluster.node.nics_per_gpu;
}

ClusterSpec at_full_rates(ClusterSpec cluster) {
  cluster.node.nic_efficiency = cluster.node.nvlink_efficiency = 1;
  return cluster;
}

BytesPerSecond nic_pace(const ClusterSpec& cluster) {
  return endpoint_bandwidth(cluster) * (cluster.node.nic_efficiency / kMeasuredNicEfficiency);
}

BytesPerSecond node_link_pace(const NodeSpec& node) {
  return node_link_bandwidth(node) * (node.nvlink_efficiency / kMeasuredNvlinkEfficiency);
}

BytesPerSecond node_link_bandwidth(const NodeSpec& node) {
  if (node.nvlink_bandwidth > BytesPerSecond(0)) return node.nvlink_bandwidth;
  if (node.gpu.nvlink_bandwidth > BytesPerSecond(0)) return node.gpu.nvlink_bandwidth;
  return node.gpu.pcie_bandwidth;  // no NVLink: GPUs of a node talk over PCIe
}

struct FabricGraph::Impl {
  explicit Impl(const ClusterSpec& c) : cluster(c), leaf_of(static_cast<std::size_t>(c.gpus())) {}

  const ClusterSpec cluster;
  std::vector<int> leaf_of;                                 // by rank
  std::vector<int> tree_of;                                 // by leaf
  std::vector<int> plane_of, height_of;                     // by tree
  std::vector<BytesPerSecond> down;                         // by leaf
  std::vector<std::vector<int>> group_of{kMostLayers + 1};  // [layer][leaf], from layer 2
  std::vector<int> groups = std::vector<int>(kMostLayers + 1);
  int trees = 0, layers = 1, switches = 0, switch_links = 0;

  int add_leaf(const std::vector<RankId>& rail, std::size_t begin, std::size_t end);
  std::vector<int> add_leaves(const Tree& tree);
  void add_tree(const Tree& tree);
  void add_single_switch(const Site& site);
  void end_tree(int plane, int height);
};

/// Returns its uplinks.
int FabricGraph::Impl::add_leaf(const std::vector<RankId>& rail, std::size_t begin, std::size_t end) {
  const int leaf = static_cast<int>(tree_of.size());
  const double ports = std::ceil(static_cast<double>(end - begin) * cluster.node.nics_per_gpu - 1e-9);
  for (std::size_t i = begin; i < end; ++i) leaf_of[rail[i].index()] = leaf;
  tree_of.push_back(trees);
  down.push_back(endpoint_bandwidth(cluster) * static_cast<double>(end - begin));
  ++switches;
  return static_cast<int>(std::ceil(ports / cluster.fabric.oversubscription - 1e-9));
}

/// Fills the leaves of each rail evenly, so that none is left nearly empty. Returns the uplinks of each.
std::vector<int> FabricGraph::Impl::add_leaves(const Tree& tree) {
  std::vector<int> uplinks;
  for (const auto& rail : tree.rails) {
    const std::size_t leaves = ceil_div(rail.size(), endpoints_per_leaf(cluster));
    for (std::size_t i = 0; i < leaves; ++i)
      uplinks.push_back(add_leaf(rail, rail.size() * i / leaves, rail.size() * (i + 1) / leaves));
  }
  return uplinks;
}

/// Layer by layer, sets of switches that reach the same leaves are joined by the layer above: switch j of every set
/// hangs below group j there, so that one spine layer joins leaves, and core group j the spines number j of all pods.
void FabricGraph::Impl::add_tree(const Tree& tree) {
  const int needed = leaves_needed(cluster, tree.rails);
  if (needed > most_leaves(cluster, tree.layers)) refuse_size(cluster, tree, needed);
  std::vector<std::vector<int>> sets;  // uplinks of a set's top switches
  for (const int uplinks : add_leaves(tree)) sets.push_back({uplinks});
  const std::size_t first_leaf = tree_of.size() - sets.size();

  std::size_t leaves_per_set = 1;
  int height = 1;
  for (int layer = 2; layer <= kMostLayers; ++layer) {
    const bool top = layer >= tree.layers;
    const std::size_t width = static_cast<std::size_t>(top ? cluster.fabric.switch_ports : half_of_ports(cluster));
    const bool last = sets.size() <= width;
    std::vector<std::vector<int>> joined;
    for (std::size_t begin = 0; sets.size() > 1 && begin < sets.size(); begin += width) {
      const std::size_t end = std::min(sets.size(), begin + width);
      std::size_t most = 0;
      for (std::size_t s = begin; s < end; ++s) most = std::max(most, sets[s].size());
      std::vector<int>& upper = joined.emplace_back();
      for (std::size_t j = 0; j < most; ++j) {
        std::vector<int> below;
        for (std::size_t s = begin; s < end; ++s)
          if (j < sets[s].size()) below.push_back(sets[s][j]);
        for (const int uplinks : below) switch_links += uplinks;
        for (const int cables : deal(below, last ? cluster.fabric.switch_ports : half_of_ports(cluster)))
          upper.push_back(cables);  // above the leaves the tree is non-blocking: as many ports up as down
      }
      switches += static_cast<int>(upper.size());
    }
    if (!joined.empty()) {
      sets = std::move(joined);
      leaves_per_set *= width;
      height = layer;
    }
    // A tree that ends below this layer is one group of it.
    std::vector<int>& group = group_of[static_cast<std::size_t>(layer)];
    for (std::size_t leaf = first_leaf; leaf < tree_of.size(); ++leaf)
      group.push_back(groups[static_cast<std::size_t>(layer)] +
                      static_cast<int>(sets.size() > 1 ? (leaf - first_leaf) / leaves_per_set : 0));
    groups[static_cast<std::size_t>(layer)] += static_cast<int>(sets.size());
  }
  end_tree(tree.plane, height);
}

/// A switch for all of a site.
void FabricGraph::Impl::add_single_switch(const Site& site) {
  const std::vector<RankId> all = all_ranks(site);
  add_leaf(all, 0, all.size());
  for (int layer = 2; layer <= kMostLayers; ++layer)
    group_of[static_cast<std::size_t>(layer)].push_back(groups[static_cast<std::size_t>(layer)]++);
  end_tree(0, 1);
}

void FabricGraph::Impl::end_tree(int plane, int height) {
  plane_of.push_back(plane);
  height_of.push_back(height);
  layers = std::max(layers, height);
  ++trees;
}

FabricGraph::FabricGraph(const ClusterSpec& cluster) : impl_(std::make_unique<Impl>(cluster)) {
  for (const Site& site : sites_of(cluster)) {
    if (cluster.fabric.kind == FabricKind::single_switch) impl_->add_single_switch(site);
    for (const Tree& tree : trees_of(cluster, site)) impl_->add_tree(tree);
  }
}

FabricGraph::~FabricGraph() = default;
FabricGraph::FabricGraph(FabricGraph&&) noexcept = default;

int FabricGraph::leaves() const { return static_cast<int>(impl_->tree_of.size()); }
int FabricGraph::leaf_of(RankId rank) const { return impl_->leaf_of[rank.index()]; }
int FabricGraph::layers() const { return impl_->layers; }
BytesPerSecond FabricGraph::down_bandwidth(int leaf) const { return impl_->down[static_cast<std::size_t>(leaf)]; }
int FabricGraph::switches() const { return impl_->switches; }
int FabricGraph::switch_links() const { return impl_->switch_links; }

int FabricGraph::group_of(int leaf, int layer) const {
  if (layer <= 1) return leaf;
  return impl_->group_of[static_cast<std::size_t>(std::min(layer, kMostLayers))][static_cast<std::size_t>(leaf)];
}

int FabricGraph::groups(int layer) const {
  return layer <= 1 ? leaves() : impl_->groups[static_cast<std::size_t>(std::min(layer, kMostLayers))];
}

std::optional<int> FabricGraph::climb(int from_leaf, int to_leaf) const {
  const auto from = static_cast<std::size_t>(impl_->tree_of[static_cast<std::size_t>(from_leaf)]);
  const auto to = static_cast<std::size_t>(impl_->tree_of[static_cast<std::size_t>(to_leaf)]);
  if (impl_->plane_of[from] != impl_->plane_of[to]) return std::nullopt;
  if (from != to) return std::max(impl_->height_of[from], impl_->height_of[to]) - 1;
  int layer = 1;
  while (group_of(from_leaf, layer) != group_of(to_leaf, layer)) ++layer;
  return layer - 1;
}

}  // namespace flopcast
