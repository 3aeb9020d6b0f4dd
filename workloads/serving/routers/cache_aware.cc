// The replica whose caches hold most of the prompt, as long as replicas are about equally busy and it holds enough of
// it; else the one with the fewest requests. A conversation stays where it was said before. Thresholds are the defaults
// of SGLang's router, --policy cache_aware: --cache-threshold 0.3, --balance-abs-threshold 64,
// --balance-rel-threshold 1.5 (sgl-project/sglang, sgl-model-gateway; read 2026-11-27).
#include <algorithm>
#include <limits>

#include "workloads/serving/routers/least.h"
#include "workloads/serving/routers/rows.h"

namespace flopcast::rows {
namespace {

constexpr double kCacheThreshold = 0.3;  // of the prompt
constexpr std::int64_t kBalanceAbsolute = 64;
constexpr double kBalanceRelative = 1.5;

class CacheAware final : public CircleRouter {
 public:
  std::size_t choose(const Request& request, std::span<const ReplicaView> replicas) override {
    std::int64_t fewest = std::numeric_limits<std::int64_t>::max(), most = 0;
    std::int32_t longest = 0;
    for (const ReplicaView& view : replicas) {
      if (!view.accepting) continue;
      fewest = std::min(fewest, view.outstanding);
      most = std::max(most, view.outstanding);
      longest = std::max(longest, view.prefix_match_tokens);
    }
    const bool uneven =
        most - fewest > kBalanceAbsolute && static_cast<double>(most) > kBalanceRelative * static_cast<double>(fewest);
    const bool held = longest > kCacheThreshold * request.input_tokens;
    return next_least(replicas, [&](const ReplicaView& view) {
      // Of those that hold as much the one with the fewest requests.
      const std::int64_t misses = !uneven && held ? longest - view.prefix_match_tokens : 0;
      return std::pair(misses, view.outstanding);
    });
  }
};

}  // namespace

RouterRow cache_aware() {
  return {.name = "cache_aware",
          .title = "the most of the prompt in its caches, while replicas are about equally busy",
          .source = "SGLang router, --policy cache_aware, 2026",
          .sees_prefix_match = true,
          .make = [](std::uint64_t) -> std::unique_ptr<Router> { return std::make_unique<CacheAware>(); }};
}

}  // namespace flopcast::rows
