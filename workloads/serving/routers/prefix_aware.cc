// The replica with the least work for this request and the least load: prompt tokens that it would have to
// compute, those that wait there included, and KV tokens that its running requests read in every iteration.
// Weights of both are 1, as in NVIDIA Dynamo's KV router at its defaults (docs.nvidia.com/dynamo, "Router
// Design", cost function; read 2026-11-21).
#include "workloads/serving/routers/least.h"
#include "workloads/serving/routers/rows.h"

namespace flopcast::rows {
namespace {

class PrefixAware final : public CircleRouter {
 public:
  std::size_t choose(const Request& request, std::span<const ReplicaView> replicas) override {
    return next_least(replicas, [&](const ReplicaView& view) {
      const std::int64_t to_compute = request.input_tokens - view.prefix_match_tokens;
      return to_compute + view.queued_tokens + view.kv_tokens;
    });
  }
};

}  // namespace

RouterRow prefix_aware() {
  return {.name = "prefix_aware",
          .title = "the least to compute and to read, cached prefixes taken off",
          .source = "NVIDIA Dynamo documentation, Router Design, 2026",
          .sees_prefix_match = true,
          .sees_kv = true,
          .make = [](std::uint64_t) -> std::unique_ptr<Router> { return std::make_unique<PrefixAware>(); }};
}

}  // namespace flopcast::rows
