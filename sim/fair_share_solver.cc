// Flows that meet, shared max-min fairly by this process itself (sim/fair_share.h): no module, no child, no state that
// outlives the replay. Any number of them may work at once, each in a thread of its own.
#include <algorithm>
#include <cassert>
#include <limits>
#include <memory>
#include <vector>

#include "sim/contention.h"
#include "sim/fair_share.h"

namespace flopcast {
namespace {

constexpr Seconds kNoEnd{std::numeric_limits<double>::infinity()};
/// As of SimGrid's clock (simgrid/simgrid_solver.cc).
constexpr Seconds kResolution{1e-12};

class FairShareSolver final : public ContentionSolver {
 public:
  explicit FairShareSolver(const Network& network) : share_(network, kResolution) {}

  void start(FlowSlot slot, RouteId route, Bytes bytes) override {
    const FairShare::Flow flow = share_.start(now_, route, bytes);
    if (flow >= slot_of_.size()) slot_of_.resize(flow + 1);
    slot_of_[flow] = slot;
  }
  Seconds quiet_until() override { return share_.next_end(); }
  void run(ContentionClient& client, Seconds date) override {
    for (;;) {
      const Seconds next = std::min(date, share_.next_end());
      if (next == kNoEnd) return;
      assert(next >= now_);
      now_ = next;
      ended_.clear();
      for (const FairShare::Flow flow : share_.ended_by(now_)) ended_.push_back(slot_of_[flow]);
      date = client.wake(now_, ended_);
    }
  }

 private:
  FairShare share_;
  Seconds now_;
  std::vector<FlowSlot> slot_of_;  // by FairShare::Flow
  std::vector<FlowSlot> ended_;
};

}  // namespace

std::unique_ptr<ContentionSolver> make_fair_share_solver(const Network& network) {
  return std::make_unique<FairShareSolver>(network);
}

}  // namespace flopcast
