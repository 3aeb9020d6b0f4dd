// The replica with the fewest requests under way ("least connections", join the shortest queue).
#include "workloads/serving/routers/least.h"
#include "workloads/serving/routers/rows.h"

namespace flopcast::rows {
namespace {

class LeastOutstanding final : public CircleRouter {
 public:
  std::size_t choose(const Request&, std::span<const ReplicaView> replicas) override {
    return next_least(replicas, [](const ReplicaView& view) { return view.outstanding; });
  }
};

}  // namespace

RouterRow least_outstanding() {
  return {.name = "least_outstanding",
          .title = "the fewest requests under way",
          .source = "Winston 1977, Optimality of the shortest line discipline",
          .make = [](std::uint64_t) -> std::unique_ptr<Router> { return std::make_unique<LeastOutstanding>(); }};
}

}  // namespace flopcast::rows
