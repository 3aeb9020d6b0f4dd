// One replica after the other, whatever their load.
#include "workloads/serving/routers/least.h"
#include "workloads/serving/routers/rows.h"

namespace flopcast::rows {
namespace {

class RoundRobin final : public CircleRouter {
 public:
  std::size_t choose(const Request&, std::span<const ReplicaView> replicas) override {
    const std::size_t chosen = least(replicas, begin_, [](const ReplicaView&) { return 0; });
    if (chosen != kNoReplica) begin_ = chosen + 1;
    return chosen;
  }
};

}  // namespace

RouterRow round_robin() {
  return {.name = "round_robin",
          .title = "one replica after the other",
          .source = "textbook",
          .make = [](std::uint64_t) -> std::unique_ptr<Router> { return std::make_unique<RoundRobin>(); }};
}

}  // namespace flopcast::rows
