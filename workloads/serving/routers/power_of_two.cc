// The less busy of two replicas drawn at random: nearly as even as looking at all of them.
// Mitzenmacher 2001, "The power of two choices in randomized load balancing".
#include <algorithm>

#include "sim/base/random.h"
#include "workloads/serving/routers/rows.h"

namespace flopcast::rows {
namespace {

class PowerOfTwo final : public Router {
 public:
  explicit PowerOfTwo(std::uint64_t seed) : random_(seed) {}
  std::size_t choose(const Request&, std::span<const ReplicaView> replicas) override {
    const auto accepting = std::ranges::count_if(replicas, &ReplicaView::accepting);
    if (accepting == 0) return kNoReplica;
    const auto all = static_cast<std::uint64_t>(accepting);
    const std::uint64_t first = random_.next() % all;
    if (all == 1) return nth_accepting(replicas, first);
    const std::uint64_t second = (first + 1 + random_.next() % (all - 1)) % all;
    const std::size_t a = nth_accepting(replicas, first), b = nth_accepting(replicas, second);
    return replicas[b].outstanding < replicas[a].outstanding ? b : a;
  }

  bool archive(StateArchive& state) override {
    state(random_);
    return true;
  }

 private:
  static std::size_t nth_accepting(std::span<const ReplicaView> replicas, std::uint64_t n) {
    std::size_t at = 0;
    while (!replicas[at].accepting || n-- > 0) ++at;
    return at;
  }
  RandomStream random_;
};

}  // namespace

RouterRow power_of_two() {
  return {.name = "power_of_two",
          .title = "the less busy of two drawn at random",
          .source = "Mitzenmacher 2001, IEEE TPDS 12(10)",
          .make = [](std::uint64_t seed) -> std::unique_ptr<Router> { return std::make_unique<PowerOfTwo>(seed); }};
}

}  // namespace flopcast::rows
