#include "hwmodels/fabric/fabric_graph.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/breadth_first_search.hpp>
#include <boost/graph/filtered_graph.hpp>
#include <boost/graph/visitors.hpp>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

enum class Part : std::uint8_t { gpu, nvswitch, nic, leaf, spine, core };

struct Vertex {
  Part part;
  int index;  ///< among the parts of its kind
};

struct Edge {
  int cables;
  BytesPerSecond bandwidth;  ///< of all cables together, per direction
};

using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::undirectedS, Vertex, Edge>;
using VertexId = boost::graph_traits<Graph>::vertex_descriptor;

/// Keeps the switches between nodes: what a path from leaf to leaf may cross.
struct IsSwitch {
  const Graph* graph = nullptr;
  bool operator()(VertexId v) const { return (*graph)[v].part >= Part::leaf; }
};

/// One tree of switches: groups of endpoints that do not share leaves (the rails), and how many layers.
struct Tree {
  std::vector<std::vector<RankId>> rails;
  bool has_core = false;
};

/// A switch and how many of its ports lead upwards.
struct Uplinked {
  VertexId vertex;
  int uplinks;
};

constexpr std::int8_t kNoPath = -1;

template <class A>
A ceil_div(A a, int b) {
  return (a + static_cast<A>(b) - 1) / static_cast<A>(b);
}

std::vector<std::vector<RankId>> ranks_by_gpu_index(const ClusterSpec& cluster) {
  std::vector<std::vector<RankId>> rails(static_cast<std::size_t>(cluster.node.gpus));
  for (int rank = 0; rank < cluster.gpus(); ++rank)
    rails[static_cast<std::size_t>(rank % cluster.node.gpus)].push_back(RankId::at(rank));
  return rails;
}

std::vector<RankId> all_ranks(const ClusterSpec& cluster) {
  std::vector<RankId> ranks;
  for (int rank = 0; rank < cluster.gpus(); ++rank) ranks.push_back(RankId::at(rank));
  return ranks;
}

/// Endpoints that fit below one leaf: its ports are shared out so that down : up = oversubscription.
int endpoints_per_leaf(const ClusterSpec& cluster) {
  const double share = cluster.fabric.oversubscription / (1.0 + cluster.fabric.oversubscription);
  const int down_ports = std::max(1, static_cast<int>(std::floor(cluster.fabric.switch_ports * share + 1e-9)));
  return std::max(1, down_ports / cluster.node.nics_per_gpu);
}

int leaves_needed(const ClusterSpec& cluster, const Tree& tree) {
  int leaves = 0;
  for (const auto& rail : tree.rails) leaves += static_cast<int>(ceil_div(rail.size(), endpoints_per_leaf(cluster)));
  return leaves;
}

std::vector<Tree> trees_of(const ClusterSpec& cluster) {
  std::vector<Tree> trees;
  switch (cluster.fabric.kind) {
    case FabricKind::single_switch:
      break;  // no tree: one ideal switch
    case FabricKind::rail_fat_tree_2:
    case FabricKind::multi_rail:
      trees.push_back({ranks_by_gpu_index(cluster), false});
      break;
    case FabricKind::rail_fat_tree_3:
      trees.push_back({ranks_by_gpu_index(cluster), true});
      break;
    case FabricKind::multi_plane:
      for (auto& plane : ranks_by_gpu_index(cluster)) trees.push_back({{std::move(plane)}, false});
      break;
    case FabricKind::nvlink_rack: {
      Tree tree{{all_ranks(cluster)}, false};
      tree.has_core = leaves_needed(cluster, tree) > cluster.fabric.switch_ports;
      trees.push_back(std::move(tree));
      break;
    }
  }
  return trees;
}

[[noreturn]] void refuse_size(const ClusterSpec& cluster, int leaves, int most) {
  Diagnostic d;
  d.field = "cluster.fabric";
  d.found = cluster.fabric.name + " under " + std::to_string(cluster.nodes) + " nodes, which takes " +
            std::to_string(leaves) + " leaf switches in one tree";
  d.expected = "at most " + std::to_string(most) + " leaves with switches of " +
               std::to_string(cluster.fabric.switch_ports) + " ports";
  d.remedy = "fewer nodes, switches with more ports, or a fabric with more layers or planes";
  throw InputError(std::move(d));
}

}  // namespace

BytesPerSecond endpoint_bandwidth(const ClusterSpec& cluster) {
  const BytesPerSecond nic = cluster.node.nic_bandwidth;
  const BytesPerSecond port = cluster.fabric.port_bandwidth;
  const bool port_is_slower = port > BytesPerSecond(0) && port < nic;
  return (port_is_slower ? port : nic) * cluster.node.nics_per_gpu;
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
  Graph graph;
  std::vector<VertexId> nics;  // by rank
  std::vector<int> leaf_of;    // by rank
  std::vector<VertexId> leaf_vertex;
  std::vector<int> pod_of_leaf;
  std::vector<BytesPerSecond> down;  // by leaf
  int pods = 0, switches = 0, switch_links = 0;
  mutable std::vector<std::vector<std::int8_t>> climb_from;  // [leaf][leaf], a row is filled when first asked for

  void add_nodes();
  void add_tree(const Tree& tree);
  std::vector<Uplinked> add_leaves(const Tree& tree);
  Uplinked add_leaf(std::span<const RankId> endpoints);
  std::vector<Uplinked> join_above(std::span<const Uplinked> lower, Part part, int down_ports);
  void add_cores(std::span<const std::vector<Uplinked>> spines_of_pod);
  VertexId add_switch(Part part) { return boost::add_vertex(Vertex{part, switches++}, graph); }
  void add_cables(VertexId a, VertexId b, int cables, BytesPerSecond each) {
    boost::add_edge(a, b, Edge{cables, each * cables}, graph);
  }
  std::vector<std::int8_t> climbs(int from_leaf) const;
};

void FabricGraph::Impl::add_nodes() {
  for (int node = 0; node < cluster.nodes; ++node) {
    const VertexId nvswitch = boost::add_vertex(Vertex{Part::nvswitch, node}, graph);
    for (int g = 0; g < cluster.node.gpus; ++g) {
      const int rank = node * cluster.node.gpus + g;
      const VertexId gpu = boost::add_vertex(Vertex{Part::gpu, rank}, graph);
      nics.push_back(boost::add_vertex(Vertex{Part::nic, rank}, graph));
      add_cables(gpu, nvswitch, 1, node_link_bandwidth(cluster.node));
      add_cables(gpu, nics.back(), 1, cluster.node.gpu.pcie_bandwidth);
    }
  }
}

Uplinked FabricGraph::Impl::add_leaf(std::span<const RankId> endpoints) {
  const int leaf = static_cast<int>(leaf_vertex.size());
  const int ports = static_cast<int>(endpoints.size()) * cluster.node.nics_per_gpu;
  const BytesPerSecond each = endpoint_bandwidth(cluster);
  leaf_vertex.push_back(add_switch(Part::leaf));
  pod_of_leaf.push_back(pods);
  down.push_back(each * static_cast<double>(endpoints.size()));
  for (const RankId rank : endpoints) {
    leaf_of[rank.index()] = leaf;
    add_cables(nics[rank.index()], leaf_vertex.back(), 1, each);
  }
  return {leaf_vertex.back(), static_cast<int>(std::ceil(ports / cluster.fabric.oversubscription - 1e-9))};
}

/// Fills the leaves of each rail evenly, so that none is left nearly empty.
std::vector<Uplinked> FabricGraph::Impl::add_leaves(const Tree& tree) {
  std::vector<Uplinked> added;
  for (const auto& rail : tree.rails) {
    const std::size_t leaves = ceil_div(rail.size(), endpoints_per_leaf(cluster));
    for (std::size_t i = 0; i < leaves; ++i) {
      const std::size_t begin = rail.size() * i / leaves, end = rail.size() * (i + 1) / leaves;
      added.push_back(add_leaf(std::span(rail).subspan(begin, end - begin)));
    }
  }
  return added;
}

/// Puts as many switches above `lower` as its uplinks fill, and deals the uplinks out in turn.
std::vector<Uplinked> FabricGraph::Impl::join_above(std::span<const Uplinked> lower, Part part, int down_ports) {
  int uplinks = 0;
  for (const Uplinked& below : lower) uplinks += below.uplinks;
  std::vector<Uplinked> upper;
  for (int i = 0; i < ceil_div(uplinks, down_ports); ++i) upper.push_back({add_switch(part), 0});

  std::vector<int> cables(upper.size());
  std::size_t next = 0;
  for (const Uplinked& below : lower) {
    std::fill(cables.begin(), cables.end(), 0);
    for (int i = 0; i < below.uplinks; ++i, next = (next + 1) % upper.size()) ++cables[next];
    for (std::size_t u = 0; u < upper.size(); ++u) {
      if (cables[u] == 0) continue;
      add_cables(below.vertex, upper[u].vertex, cables[u], cluster.fabric.port_bandwidth);
      upper[u].uplinks += cables[u];  // above the leaves the tree is non-blocking: as many ports up as down
    }
  }
  switch_links += uplinks;
  return upper;
}

/// Spine j of every pod hangs below core group j.
void FabricGraph::Impl::add_cores(std::span<const std::vector<Uplinked>> spines_of_pod) {
  std::size_t spines = 0;
  for (const auto& pod : spines_of_pod) spines = std::max(spines, pod.size());
  for (std::size_t j = 0; j < spines; ++j) {
    std::vector<Uplinked> group;
    for (const auto& pod : spines_of_pod)
      if (j < pod.size()) group.push_back(pod[j]);
    join_above(group, Part::core, cluster.fabric.switch_ports);
  }
}

void FabricGraph::Impl::add_tree(const Tree& tree) {
  const int ports = cluster.fabric.switch_ports;
  const int needed = leaves_needed(cluster, tree);
  const int leaves_per_pod = tree.has_core ? std::max(1, ports / 2) : ports;
  const int most = tree.has_core ? leaves_per_pod * ports : ports;
  if (needed > most) refuse_size(cluster, needed, most);

  const int first_leaf = static_cast<int>(leaf_vertex.size());
  const std::vector<Uplinked> leaves = add_leaves(tree);
  if (leaves.size() == 1) {  // one switch holds them all: nothing above it
    ++pods;
    return;
  }
  const bool several_pods = needed > leaves_per_pod;
  std::vector<std::vector<Uplinked>> spines_of_pod;
  for (int begin = 0; begin < needed; begin += leaves_per_pod) {
    const int end = std::min(needed, begin + leaves_per_pod);
    for (int i = begin; i < end; ++i) pod_of_leaf[static_cast<std::size_t>(first_leaf + i)] = pods;
    ++pods;
    spines_of_pod.push_back(join_above(std::span(leaves).subspan(begin, end - begin), Part::spine,
                                       several_pods ? std::max(1, ports / 2) : ports));
  }
  if (several_pods) add_cores(spines_of_pod);
}

/// Shortest paths over switches only: a leaf at distance 2 is reached over a spine, at distance 4 over a
/// core.
std::vector<std::int8_t> FabricGraph::Impl::climbs(int from_leaf) const {
  const boost::filtered_graph switch_graph(graph, boost::keep_all{}, IsSwitch{&graph});
  std::vector<int> distance(boost::num_vertices(graph), -1);
  const VertexId root = leaf_vertex[static_cast<std::size_t>(from_leaf)];
  distance[root] = 0;
  boost::breadth_first_search(
      switch_graph, root,
      boost::visitor(boost::make_bfs_visitor(boost::record_distances(distance.data(), boost::on_tree_edge{}))));
  std::vector<std::int8_t> result;
  for (const VertexId leaf : leaf_vertex)
    result.push_back(distance[leaf] < 0 ? kNoPath : static_cast<std::int8_t>(distance[leaf] / 2));
  return result;
}

FabricGraph::FabricGraph(const ClusterSpec& cluster) : impl_(std::make_unique<Impl>(cluster)) {
  impl_->add_nodes();
  if (cluster.fabric.kind == FabricKind::single_switch) {
    impl_->add_leaf(all_ranks(cluster));
    impl_->pods = 1;
  }
  for (const Tree& tree : trees_of(cluster)) impl_->add_tree(tree);
  impl_->climb_from.resize(impl_->leaf_vertex.size());
}

FabricGraph::~FabricGraph() = default;
FabricGraph::FabricGraph(FabricGraph&&) noexcept = default;

int FabricGraph::leaves() const { return static_cast<int>(impl_->leaf_vertex.size()); }
int FabricGraph::leaf_of(RankId rank) const { return impl_->leaf_of[rank.index()]; }
int FabricGraph::pod_of(int leaf) const { return impl_->pod_of_leaf[static_cast<std::size_t>(leaf)]; }
int FabricGraph::pods() const { return impl_->pods; }
BytesPerSecond FabricGraph::down_bandwidth(int leaf) const { return impl_->down[static_cast<std::size_t>(leaf)]; }
int FabricGraph::switches() const { return impl_->switches; }
int FabricGraph::switch_links() const { return impl_->switch_links; }
std::size_t FabricGraph::vertices() const { return boost::num_vertices(impl_->graph); }
std::size_t FabricGraph::edges() const { return boost::num_edges(impl_->graph); }

std::optional<int> FabricGraph::climb(int from_leaf, int to_leaf) const {
  auto& row = impl_->climb_from[static_cast<std::size_t>(from_leaf)];
  if (row.empty()) row = impl_->climbs(from_leaf);
  const std::int8_t layers = row[static_cast<std::size_t>(to_leaf)];
  if (layers == kNoPath) return std::nullopt;
  return layers;
}

}  // namespace flopcast
