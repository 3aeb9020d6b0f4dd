#include "workloads/chakra/matching.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

constexpr std::size_t kMostMatchFaults = 50;
constexpr std::uint32_t kUnmatched = ~std::uint32_t{0};

std::string in_words(const TraceNode& node) {
  return fmt::format("{} of {:.0f} bytes", name(node.comm), node.bytes.value());
}

/// Ranks of an all-to-all may send different amounts.
bool may_differ(CommKind kind) { return kind == CommKind::all_to_all || kind == CommKind::all_gather; }

class Matcher {
 public:
  explicit Matcher(const ChakraJob& job) : job_(job) {}

  MatchedJob match() && {
    collect();
    stop_at_faults();
    for (std::uint32_t group = 0; group < members_.size(); ++group) match_group(group);
    match_messages();
    stop_at_faults();
    return std::move(result_);
  }

 private:
  using Nodes = std::vector<std::uint32_t>;  // of one rank, in order

  const TraceNode& node(int rank, std::uint32_t position) const { return job_.trace(rank).nodes[position]; }

  void add(int rank, const TraceNode* node, const std::string& found, const std::string& expected,
           const std::string& remedy = "") {
    if (faults_.size() >= kMostMatchFaults) return;
    Diagnostic fault;
    fault.file = job_.trace(rank).file;
    if (node != nullptr) fault.field = place_of(*node);
    fault.found = found;
    fault.expected = expected;
    fault.remedy = remedy;
    faults_.push_back(std::move(fault));
  }
  void stop_at_faults() {
    if (!faults_.empty()) throw InputError(std::move(faults_));
  }

  void collect() {
    members_.resize(job_.groups.size());
    for (std::size_t g = 0; g < members_.size(); ++g) members_[g].resize(job_.groups[g].ranks.size());
    result_.of_node.resize(static_cast<std::size_t>(job_.ranks));
    for (int rank = 0; rank < job_.ranks; ++rank) {
      const std::vector<TraceNode>& nodes = job_.trace(rank).nodes;
      result_.of_node[static_cast<std::size_t>(rank)].assign(nodes.size(), kUnmatched);
      for (std::uint32_t i = 0; i < nodes.size(); ++i) {
        if (nodes[i].kind == NodeKind::collective) collect_collective(rank, i);
        if (nodes[i].kind == NodeKind::send) collect_message(rank, i, true);
        if (nodes[i].kind == NodeKind::receive) collect_message(rank, i, false);
      }
    }
  }

  void collect_collective(int rank, std::uint32_t position) {
    const TraceNode& own = node(rank, position);
    const std::int32_t group = job_.group_of[own.group];
    const std::vector<int>& ranks = job_.groups[static_cast<std::size_t>(group)].ranks;
    const auto found = std::lower_bound(ranks.begin(), ranks.end(), rank);
    if (found == ranks.end() || *found != rank) {
      return add(rank, &own, fmt::format("a collective of group \"{}\" on rank {}", job_.texts.text(own.group), rank),
                 fmt::format("a rank of that group: {}", shown(ranks)));
    }
    members_[static_cast<std::size_t>(group)][static_cast<std::size_t>(found - ranks.begin())].push_back(position);
  }

  static std::string shown(const std::vector<int>& ranks) {
    constexpr std::size_t kShown = 16;
    std::string text;
    for (std::size_t i = 0; i < std::min(ranks.size(), kShown); ++i)
      text += (i > 0 ? ", " : "") + std::to_string(ranks[i]);
    return ranks.size() > kShown ? text + ", ..." : text;
  }

  void collect_message(int rank, std::uint32_t position, bool sends) {
    const TraceNode& own = node(rank, position);
    const int peer = peer_of(job_, rank, own);
    if (peer < 0 || peer >= job_.ranks) {
      return add(rank, &own, fmt::format("a message {} rank {}", sends ? "to" : "from", peer),
                 fmt::format("one of the {} ranks", job_.ranks));
    }
    auto& ends = ends_[{sends ? rank : peer, sends ? peer : rank, own.tag}];
    (sends ? ends.first : ends.second).push_back(position);
  }

  void match_group(std::uint32_t group) {
    const std::vector<int>& ranks = job_.groups[group].ranks;
    std::vector<Nodes>& lists = members_[group];
    if (lists.empty()) return;
    for (std::size_t m = 1; m < lists.size(); ++m) {
      if (lists[m].size() == lists[0].size()) continue;
      const std::size_t more = lists[m].size() > lists[0].size() ? m : 0, fewer = more == m ? 0 : m;
      const TraceNode& lone = node(ranks[more], lists[more][lists[fewer].size()]);
      return add(ranks[more], &lone,
                 fmt::format("collective {} of group \"{}\" ({}), of which rank {} has {}", lists[fewer].size() + 1,
                             job_.groups[group].name, in_words(lone), ranks[fewer], lists[fewer].size()),
                 "as many on every rank of the group", "see that all ranks' files are of one run");
    }
    if (!agree(group)) {
      for (std::size_t m = 0; m < lists.size(); ++m) sort_by_what(ranks[m], lists[m]);
      if (!agree(group)) return report_difference(group);
    }
    for (std::size_t k = 0; k < lists[0].size(); ++k) add_collective(group, k);
  }

  static bool alike(const TraceNode& a, const TraceNode& b) {
    return a.comm == b.comm && (a.bytes == b.bytes || may_differ(a.comm));
  }

  bool agree(std::uint32_t group) const {
    const std::vector<int>& ranks = job_.groups[group].ranks;
    const std::vector<Nodes>& lists = members_[group];
    for (std::size_t m = 1; m < lists.size(); ++m)
      for (std::size_t k = 0; k < lists[0].size(); ++k)
        if (!alike(node(ranks[0], lists[0][k]), node(ranks[m], lists[m][k]))) return false;
    return true;
  }

  void sort_by_what(int rank, Nodes& list) const {
    std::stable_sort(list.begin(), list.end(), [&](std::uint32_t x, std::uint32_t y) {
      const TraceNode &a = node(rank, x), &b = node(rank, y);
      if (a.comm != b.comm) return a.comm < b.comm;
      if (a.bytes != b.bytes && !may_differ(a.comm)) return a.bytes < b.bytes;
      return a.name != b.name && job_.texts.text(a.name) < job_.texts.text(b.name);
    });
  }

  void report_difference(std::uint32_t group) {
    const std::vector<int>& ranks = job_.groups[group].ranks;
    const std::vector<Nodes>& lists = members_[group];
    for (std::size_t m = 1; m < lists.size(); ++m) {
      for (std::size_t k = 0; k < lists[0].size(); ++k) {
        const TraceNode &first = node(ranks[0], lists[0][k]), &other = node(ranks[m], lists[m][k]);
        if (alike(first, other)) continue;
        return add(ranks[m], &other, in_words(other),
                   fmt::format("{}, as rank {} has it ({} of {})", in_words(first), ranks[0], place_of(first),
                               job_.trace(ranks[0]).file));
      }
    }
  }

  void add_collective(std::uint32_t group, std::size_t k) {
    const std::vector<int>& ranks = job_.groups[group].ranks;
    const std::vector<Nodes>& lists = members_[group];
    const auto index = static_cast<std::uint32_t>(result_.collectives.size());
    MatchedCollective& collective = result_.collectives.emplace_back();
    const TraceNode& first = node(ranks[0], lists[0][k]);
    collective.kind = first.comm;
    collective.group = group;
    if (const auto root = std::lower_bound(ranks.begin(), ranks.end(), first.peer);
        root != ranks.end() && *root == first.peer)
      collective.root = static_cast<std::uint32_t>(root - ranks.begin());
    for (std::size_t m = 0; m < lists.size(); ++m) {
      collective.nodes.push_back(lists[m][k]);
      collective.bytes = std::max(collective.bytes, node(ranks[m], lists[m][k]).bytes);
      result_.of_node[static_cast<std::size_t>(ranks[m])][lists[m][k]] = index;
    }
  }

  void match_messages() {
    for (const auto& [key, ends] : ends_) {
      const auto& [from, to, tag] = key;
      const auto& [sends, receives] = ends;
      const std::size_t both = std::min(sends.size(), receives.size());
      if (sends.size() > both)
        add(from, &node(from, sends[both]), fmt::format("a message to rank {}, tag {}, that nobody receives", to, tag),
            fmt::format("a node of rank {} that receives it", to));
      if (receives.size() > both)
        add(to, &node(to, receives[both]), fmt::format("a message from rank {}, tag {}, that nobody sends", from, tag),
            fmt::format("a node of rank {} that sends it", from));
      for (std::size_t k = 0; k < both; ++k) add_message({from, sends[k]}, {to, receives[k]});
    }
  }

  void add_message(NodeRef send, NodeRef receive) {
    const TraceNode &sender = node(send.rank, send.node), &receiver = node(receive.rank, receive.node);
    if (sender.bytes != receiver.bytes) {
      return add(receive.rank, &receiver, fmt::format("{:.0f} bytes to receive", receiver.bytes.value()),
                 fmt::format("{:.0f}, which rank {} sends ({} of {})", sender.bytes.value(), send.rank,
                             place_of(sender), job_.trace(send.rank).file));
    }
    const auto index = static_cast<std::uint32_t>(result_.messages.size());
    result_.messages.push_back({send, receive, sender.bytes});
    result_.of_node[static_cast<std::size_t>(send.rank)][send.node] = index;
    result_.of_node[static_cast<std::size_t>(receive.rank)][receive.node] = index;
  }

  const ChakraJob& job_;
  MatchedJob result_;
  std::vector<std::vector<Nodes>> members_;                            // by group and position in it
  std::map<std::tuple<int, int, int>, std::pair<Nodes, Nodes>> ends_;  // (from, to, tag): sends, receives
  std::vector<Diagnostic> faults_;
};

}  // namespace

MatchedJob match_communication(const ChakraJob& job) { return Matcher(job).match(); }

int peer_of(const ChakraJob& job, int rank, const TraceNode& node) {
  if (!job.alike) return node.peer;
  const int away = node.peer - job.traces[0].rank;
  return ((rank + away) % job.ranks + job.ranks) % job.ranks;
}

std::string place_of(const TraceNode& node) { return fmt::format("node {} (byte {})", node.id, node.offset); }

}  // namespace flopcast
