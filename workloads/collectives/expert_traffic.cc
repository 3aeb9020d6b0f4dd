#include <algorithm>
#include <cassert>
#include <cmath>
#include <map>
#include <numeric>

#include "workloads/collectives/collectives.h"

namespace flopcast {
namespace {

/// Experts [begin, end) that a node or rank holds.
struct ExpertRange {
  int begin, end;
};

/// Contiguous placement: part `i` of `parts` equal ones.
ExpertRange part(int experts, int parts, int i) {
  return {static_cast<int>(static_cast<std::int64_t>(experts) * i / parts),
          static_cast<int>(static_cast<std::int64_t>(experts) * (i + 1) / parts)};
}

double choose(int n, int k) {
  if (k < 0 || k > n) return 0.0;
  return std::exp(std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0));
}

/// Probability that `draws` of `pool` experts, drawn without repetition, miss all `marked` ones:
/// C(pool - marked, draws) / C(pool, draws).
double probability_of_missing(int pool, int marked, int draws) {
  double p = 1.0;
  for (int i = 0; i < draws; ++i) {
    if (pool - marked - i <= 0) return 0.0;
    p *= static_cast<double>(pool - marked - i) / (pool - i);
  }
  return p;
}

/// How many experts of `range` lie in groups that a token kept, with the probability of each count. Groups
/// are kept uniformly, without repetition: walk the groups that overlap the range and count the ways to keep
/// j of them.
std::map<int, double> kept_experts(const RoutingRequest& r, ExpertRange range) {
  const int group_size = r.experts / r.groups;
  std::map<std::pair<int, int>, double> ways{{{0, 0}, 1.0}};  // (groups kept, experts of the range in them)
  int overlapping = 0;
  for (int g = range.begin / group_size; g * group_size < range.end; ++g, ++overlapping) {
    const int inside = std::min(range.end, (g + 1) * group_size) - std::max(range.begin, g * group_size);
    auto next = ways;
    for (const auto& [state, count] : ways) next[{state.first + 1, state.second + inside}] += count;
    ways = std::move(next);
  }
  std::map<int, double> result;
  const double all = choose(r.groups, r.groups_per_token);
  for (const auto& [state, count] : ways)
    result[state.second] += count * choose(r.groups - overlapping, r.groups_per_token - state.first) / all;
  return result;
}

/// The same of a range of `inside` experts within one group, which is kept or not.
double reach_within_group(const RoutingRequest& r, int inside) {
  const int pool = r.experts / r.groups * r.groups_per_token;
  const double all = choose(r.groups, r.groups_per_token);
  const double left_out = choose(r.groups - 1, r.groups_per_token) / all;
  const double kept = choose(r.groups - 1, r.groups_per_token - 1) / all;
  return 1.0 - (left_out * probability_of_missing(pool, 0, r.experts_per_token) +
                kept * probability_of_missing(pool, inside, r.experts_per_token));
}

/// Probability that a token needs at least one expert of `range`.
double reach_probability(const RoutingRequest& r, ExpertRange range) {
  const int pool = r.experts / r.groups * r.groups_per_token;
  double missed = 0.0;
  for (const auto& [marked, probability] : kept_experts(r, range))
    missed += probability * probability_of_missing(pool, marked, r.experts_per_token);
  return 1.0 - missed;
}

std::vector<double> reach_probabilities(const RoutingRequest& r, int parts) {
  // Groups are alike: parts that lie alike in them are reached alike, and of parts within one group only the size
  // counts.
  const int group = r.experts / std::max(1, r.groups);
  struct Known {
    int begin, size;  // begin: in its group; below zero: within one group
    double reach;
  };
  std::vector<Known> known;
  std::vector<double> p;
  p.reserve(static_cast<std::size_t>(parts));
  for (int i = 0; i < parts; ++i) {
    const ExpertRange range = part(r.experts, parts, i);
    const int size = range.end - range.begin, place = range.begin % group;
    const bool within = size > 0 && place + size <= group;
    const int begin = within ? -1 : place;
    auto found = std::find_if(known.begin(), known.end(),
                              [&](const Known& one) { return one.begin == begin && one.size == size; });
    if (found == known.end())
      found =
          known.insert(known.end(), {begin, size, within ? reach_within_group(r, size) : reach_probability(r, range)});
    p.push_back(found->reach);
  }
  return p;
}

int node_count(const RoutingRequest& r) { return std::max(1, r.ranks / r.ranks_per_node); }

/// Experts that draw `load` times the mean number of tokens are missed as often as if a token had `load`
/// times as many picks: miss^load. Saturates at one copy per token, as the routing does.
double under_load(double reach, double load) { return 1.0 - (load == 1.0 ? 1.0 - reach : std::pow(1.0 - reach, load)); }

std::vector<double> normalised(std::vector<double> load, int ranks) {
  if (load.empty()) return std::vector<double>(static_cast<std::size_t>(ranks), 1.0);
  const double mean = std::accumulate(load.begin(), load.end(), 0.0) / static_cast<double>(load.size());
  for (double& l : load) l /= mean;
  return load;
}

double sum(const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0); }

}  // namespace

double expected_nodes(const RoutingRequest& r) { return sum(reach_probabilities(r, node_count(r))); }
double expected_ranks(const RoutingRequest& r) { return sum(reach_probabilities(r, r.ranks)); }

/// A token goes once to each node it needs: over the network to the GPU there with the sender's own index,
/// and from that GPU over NVLink to every rank of the node that holds one of its experts (no hop when that is
/// the GPU itself). Tokens for the sender's own node start with the NVLink hop. (DeepSeek-V3 report, 3.2.2.)
std::vector<ExpertTraffic> expert_traffic(const RoutingRequest& r) {
  assert(r.experts % r.groups == 0 && r.ranks <= r.experts);
  const int nodes = node_count(r), local = r.ranks / nodes;
  assert(local * nodes == r.ranks);
  const std::vector<double> load = normalised(r.rank_load, r.ranks);
  std::vector<double> to_node = reach_probabilities(r, nodes);
  std::vector<double> to_rank = reach_probabilities(r, r.ranks);
  std::vector<double> into_ranks_of(static_cast<std::size_t>(nodes), 0.0);
  for (int n = 0; n < nodes; ++n) {
    double node_load = 0.0;
    for (int i = n * local; i < (n + 1) * local; ++i) {
      const auto rank = static_cast<std::size_t>(i);
      node_load += load[rank] / local;
      to_rank[rank] = under_load(to_rank[rank], load[rank]);
      into_ranks_of[static_cast<std::size_t>(n)] += to_rank[rank];
    }
    to_node[static_cast<std::size_t>(n)] = under_load(to_node[static_cast<std::size_t>(n)], node_load);
  }

  const Bytes sent = r.bytes_per_token * static_cast<double>(r.tokens_per_rank);
  const double everywhere = sum(to_node);
  std::vector<ExpertTraffic> traffic;
  for (int i = 0; i < r.ranks; ++i) {
    const auto rank = static_cast<std::size_t>(i), node = static_cast<std::size_t>(i / local);
    // Each GPU of a node passes on the tokens of its `nodes` namesakes, itself among them.
    traffic.push_back({.nic_out = sent * (everywhere - to_node[node]),
                       .nic_in = sent * (to_node[node] * (nodes - 1)),
                       .nvlink_out = sent * ((into_ranks_of[node] - to_rank[rank]) * nodes),
                       .nvlink_in = sent * (to_rank[rank] * nodes * (local - 1))});
  }
  return traffic;
}

std::vector<double> rank_loads(std::span<const double> expert_loads, int ranks) {
  const int experts = static_cast<int>(expert_loads.size());
  std::vector<double> load;
  for (int i = 0; i < ranks; ++i) {
    const ExpertRange held = part(experts, ranks, i);
    load.push_back(std::accumulate(expert_loads.begin() + held.begin, expert_loads.begin() + held.end, 0.0));
  }
  return normalised(std::move(load), ranks);
}

double most_of_mean(int experts, int experts_per_token) {
  return experts_per_token > 0 ? static_cast<double>(experts) / experts_per_token : 1;
}

std::vector<double> cut_loads(std::vector<double> loads, double most) {
  const double whole = std::accumulate(loads.begin(), loads.end(), 0.0);
  const double cap = std::max(1.0, most) * whole / static_cast<double>(loads.size());
  const auto above = [&](double load) { return load > cap * (1 + 1e-12); };
  if (std::none_of(loads.begin(), loads.end(), above)) return loads;
  // Those that are cut first stay at the cap; what was above it may lift others over it.
  while (std::any_of(loads.begin(), loads.end(), above)) {
    for (double& load : loads) load = std::min(load, cap);
    double full = 0, others = 0;
    std::size_t below = 0;
    for (const double load : loads) {
      if (load >= cap) {
        full += load;
      } else {
        others += load;
        ++below;
      }
    }
    for (double& load : loads)
      if (load < cap)
        load = others > 0 ? load * ((whole - full) / others) : (whole - full) / static_cast<double>(below);
  }
  return loads;
}

}  // namespace flopcast
