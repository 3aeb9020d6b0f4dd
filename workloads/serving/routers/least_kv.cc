// The replica whose KV cache is emptiest, counting the prompts that wait for it: requests differ in length by
// orders of magnitude, so that a count of requests says little about memory.
#include "workloads/serving/routers/least.h"
#include "workloads/serving/routers/rows.h"

namespace flopcast::rows {
namespace {

double filled(const ReplicaView& view) {
  const auto tokens = static_cast<double>(view.kv_tokens + view.queued_tokens);
  return tokens / static_cast<double>(view.kv_capacity_tokens > 0 ? view.kv_capacity_tokens : 1);
}

class LeastKv final : public CircleRouter {
 public:
  std::size_t choose(const Request&, std::span<const ReplicaView> replicas) override {
    return next_least(replicas, filled);
  }
};

}  // namespace

RouterRow least_kv() {
  return {.name = "least_kv",
          .title = "the emptiest KV cache, waiting prompts counted",
          .source = "Llumnix, Sun et al. 2024, arXiv 2406.03243 (load as memory in use and asked for)",
          .sees_kv = true,
          .make = [](std::uint64_t) -> std::unique_ptr<Router> { return std::make_unique<LeastKv>(); }};
}

}  // namespace flopcast::rows
