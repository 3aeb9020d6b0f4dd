#include "workloads/chakra/node_prices.h"

#include <fmt/format.h>

#include <algorithm>

namespace flopcast {
namespace {

constexpr std::uint16_t kFirstCollective = 7;

}  // namespace

const std::vector<std::string>& job_op_names() {
  static const std::vector<std::string> names{
      "COMPUTE", "HOST",       "LOAD",   "STORE",   "STORAGE",   "MESSAGE",    "JOIN",           "ALL-REDUCE",
      "REDUCE",  "ALL-GATHER", "GATHER", "SCATTER", "BROADCAST", "ALL-TO-ALL", "REDUCE-SCATTER", "BARRIER"};
  return names;
}

JobOp job_op(const Label& label) {
  return label.kind >= kFirstCollective ? JobOp::collective : static_cast<JobOp>(label.kind);
}

std::uint16_t job_label(CommKind kind) {
  return static_cast<std::uint16_t>(kFirstCollective + static_cast<std::uint16_t>(kind));
}

JobOp work_of(const TraceNode& own) {
  switch (own.kind) {
    case NodeKind::load:
      return JobOp::load;
    case NodeKind::store:
      return JobOp::store;
    case NodeKind::storage:
      return JobOp::storage;
    default:
      return own.on_host ? JobOp::host : JobOp::compute;
  }
}

Seconds node_time(const TraceNode& own, const JobPrices& prices, const GpuSpec& gpu, double speed) {
  const bool stated = own.bytes > Bytes(0) || own.operations > Flop(0);
  const bool modelled = prices.pricing == NodePricing::roofline ||
                        (prices.pricing == NodePricing::automatic && own.recorded <= Seconds(0));
  switch (own.kind) {
    case NodeKind::nothing:
      return Seconds(0);
    case NodeKind::load:
    case NodeKind::store:
      return modelled && stated && gpu.pcie_bandwidth > BytesPerSecond(0) ? own.bytes / gpu.pcie_bandwidth
                                                                          : own.recorded;
    case NodeKind::compute:
      if (own.on_host) return own.recorded;
      if (!modelled || !stated) return own.recorded / speed;
      return std::max(own.operations / gpu.peak(prices.precision), own.bytes / gpu.hbm_bandwidth) / speed;
    default:
      return own.recorded;
  }
}

std::vector<std::string> pricing_notes(const ChakraJob& job, const JobPrices& prices) {
  std::vector<std::string> notes;
  std::size_t bare = 0, recorded = 0;
  for (const RankTrace& trace : job.traces) {
    for (const TraceNode& own : trace.nodes) {
      if (own.kind != NodeKind::compute || own.on_host) continue;
      const bool stated = own.bytes > Bytes(0) || own.operations > Flop(0);
      bare += own.recorded <= Seconds(0) && (!stated || prices.pricing == NodePricing::recorded);
      recorded += prices.pricing == NodePricing::roofline && !stated && own.recorded > Seconds(0);
    }
  }
  if (bare > 0) notes.push_back(fmt::format("{} GPU nodes have neither a time nor a size: they take none", bare));
  if (recorded > 0) {
    notes.push_back(
        fmt::format("{} GPU nodes state neither FLOP nor bytes and take as long as was recorded", recorded));
  }
  return notes;
}

}  // namespace flopcast
