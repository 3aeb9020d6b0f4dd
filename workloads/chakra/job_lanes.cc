#include "workloads/chakra/job_lanes.h"

#include <iterator>
#include <string_view>

#include <fmt/format.h>

namespace flopcast {

LaneId JobLanes::of(NodeRef ref) {
  const TraceNode& own = job_.trace(ref.rank).nodes[ref.node];
  if (stated_) return stated(ref.rank, own.stream);
  const Kind kind = own.kind == NodeKind::load || own.kind == NodeKind::store ? Kind::memory
                    : own.kind == NodeKind::storage                           ? Kind::storage
                    : own.on_host                                             ? Kind::host
                                                                              : Kind::compute;
  const bool streams = kind == Kind::compute || kind == Kind::host;
  const std::int64_t stream = streams ? own.stream : 0;
  const auto [found, fresh] = ids_.try_emplace({ref.rank, kind, stream});
  if (fresh) {
    constexpr std::string_view names[] = {"compute", "host", "memory", "storage"};
    std::string called(names[static_cast<std::size_t>(kind)]);
    if (stream != 0) called += fmt::format(", {} {}", kind == Kind::host ? "thread" : "stream", stream);
    found->second = add(ref.rank, std::move(called));
  }
  return found->second;
}

LaneId JobLanes::stated(int rank, std::int64_t stream) {
  const auto [found, fresh] = ids_.try_emplace({rank, Kind::compute, stream});
  if (fresh) {
    constexpr std::string_view names[] = {"compute", "communication", "pipeline", "gradients", "parameters"};
    found->second = add(rank, stream >= 0 && stream < static_cast<std::int64_t>(std::size(names))
                                  ? std::string(names[static_cast<std::size_t>(stream)])
                                  : fmt::format("stream {}", stream));
  }
  return found->second;
}

LaneId JobLanes::of_group(int rank, std::uint32_t group) {
  const auto [found, fresh] = ids_.try_emplace({rank, Kind::group, group});
  if (fresh) {
    found->second =
        add(rank, group == 0 ? std::string("collectives of all ranks") : "group " + job_.groups[group].name);
  }
  return found->second;
}

LaneId JobLanes::add(int rank, std::string called) {
  const LaneId lane = graph_.add_lane(RankId::at(job_.gpu_of(rank)), std::move(called));
  if (lane.index() >= lanes_.size()) lanes_.resize(lane.index() + 1);
  lanes_[lane.index()].rank = rank;
  return lane;
}

}  // namespace flopcast
