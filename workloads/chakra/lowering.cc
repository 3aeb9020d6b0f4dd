#include "workloads/chakra/lowering.h"

#include <algorithm>

#include "workloads/collectives/nccl.h"

namespace flopcast {
namespace {

/// The ranks turned so that the root stands first, or last.
std::vector<RankId> turned(const std::vector<RankId>& ranks, std::size_t root, bool last) {
  std::vector<RankId> order = ranks;
  std::rotate(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(root), order.end());
  if (last) std::rotate(order.begin(), order.begin() + 1, order.end());
  return order;
}

std::vector<CollectivePhase> turned_back(std::vector<CollectivePhase> phases, std::size_t root, bool last) {
  for (CollectivePhase& phase : phases) {
    if (last) std::rotate(phase.begin(), phase.end() - 1, phase.end());
    std::rotate(phase.begin(), phase.end() - static_cast<std::ptrdiff_t>(root), phase.end());
  }
  return phases;
}

/// The root's own messages with everybody else, all at once.
CollectivePhase with_root(Topology& topology, const std::vector<RankId>& ranks, std::size_t root, Bytes each,
                          bool outwards, const LinkCalibration* links) {
  CollectivePhase phase(ranks.size());
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (i == root) continue;
    const RankId from = outwards ? ranks[root] : ranks[i], to = outwards ? ranks[i] : ranks[root];
    phase[i] = point_to_point(topology, from, to, each, links);
  }
  return phase;
}

std::vector<CollectivePhase> row(std::string_view name, Topology& topology, const std::vector<RankId>& ranks,
                                 Bytes bytes, const LinkCalibration* links) {
  return find_collective(name)->lower(topology, {ranks, bytes, links});
}

}  // namespace

std::vector<CollectivePhase> lower_chakra_collective(Topology& topology, CommKind kind,
                                                     const std::vector<RankId>& ranks, Bytes bytes, std::size_t root,
                                                     const LinkCalibration* links) {
  const auto count = static_cast<double>(ranks.size());
  if (ranks.size() < 2) return {};
  constexpr Bytes kFlag(4);  // a barrier is an all-reduce of one number
  if (kind == CommKind::barrier) bytes = kFlag;
  if (bytes <= Bytes(0)) return {};
  switch (kind) {
    case CommKind::barrier:
    case CommKind::all_reduce:
      return row("nccl_all_reduce", topology, ranks, bytes, links);
    case CommKind::all_gather:  // a rank hands in its share
      return row("nccl_all_gather", topology, ranks, bytes * count, links);
    case CommKind::reduce_scatter:
      return row("nccl_reduce_scatter", topology, ranks, bytes, links);
    case CommKind::all_to_all:
      return row("nccl_all_to_all", topology, ranks, bytes, links);
    case CommKind::broadcast:
      return turned_back(row("nccl_broadcast", topology, turned(ranks, root, false), bytes, links), root, false);
    case CommKind::reduce:  // a broadcast backwards: the root is the last of the chain
      return turned_back(row("nccl_broadcast", topology, turned(ranks, root, true), bytes, links), root, true);
    case CommKind::gather:
      return {with_root(topology, ranks, root, bytes, false, links)};
    case CommKind::scatter:
      return {with_root(topology, ranks, root, bytes / count, true, links)};
  }
  return {};
}

Seconds time_alone(const Network& network, const PortTransfer& transfer) {
  Seconds longest;
  for (const Flow& flow : transfer.flows) longest = std::max(longest, flow.bytes / network.bottleneck(flow.route));
  return transfer.latency + longest;
}

const LoweredCollective& JobLowering::of(const MatchedCollective& collective) {
  const auto key = std::tuple(collective.group, collective.kind, collective.root, collective.bytes.value());
  std::unique_ptr<LoweredCollective>& lowered = lowered_[key];
  if (lowered) return *lowered;
  lowered = std::make_unique<LoweredCollective>();
  std::vector<RankId> ranks;
  for (const int rank : job_.groups[collective.group].ranks) ranks.push_back(RankId::at(job_.gpu_of(rank)));
  lowered->phases =
      lower_chakra_collective(topology_, collective.kind, ranks, collective.bytes, collective.root, links_);
  for (const CollectivePhase& phase : lowered->phases) {
    Seconds longest;
    for (const PortTransfer& own : phase) longest = std::max(longest, time_alone(topology_.network(), own));
    lowered->alone += longest;
  }
  return *lowered;
}

PortTransfer JobLowering::of(const MatchedMessage& message) {
  const RankId ends[] = {RankId::at(job_.gpu_of(message.send.rank)), RankId::at(job_.gpu_of(message.receive.rank))};
  if (links_ == nullptr) return point_to_point(topology_, ends[0], ends[1], message.bytes, nullptr);
  if (message.bytes <= Bytes(0)) return {topology_.latency(ends[0], ends[1]), {}};
  const NcclTime time =
      choose_nccl(NcclOp::send_recv, flopcast::group_of(topology_, ends), message.bytes, topology_.cluster(), *links_);
  return lower_nccl(topology_, NcclOp::send_recv, ends, message.bytes, time)[0];
}

}  // namespace flopcast
