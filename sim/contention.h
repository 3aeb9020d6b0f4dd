// The narrow door between the replay and whatever shares bandwidth among flows that meet on a link.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sim/network.h"

namespace flopcast {

/// Numbers the flows given to a solver; chosen by the client and free again once the flow has ended.
using FlowSlot = std::uint32_t;

/// Who uses a solver. It decides how far the solver's clock may run.
class ContentionClient {
 public:
  virtual ~ContentionClient() = default;
  /// Called at the date that the client asked for, and whenever flows have ended (`ended`, in no particular order).
  /// Flows may be started in here. Returns the date at which to be called next, though no flow should have
  /// ended by then; infinity when there is none.
  virtual Seconds wake(Seconds now, std::span<const FlowSlot> ended) = 0;
};

class ContentionSolver {
 public:
  virtual ~ContentionSolver() = default;
  /// Starts a flow now; only from within ContentionClient::wake(). `bytes` is above zero.
  virtual void start(FlowSlot slot, RouteId route, Bytes bytes) = 0;
  /// A date before which no flow ends, if none is started; in wake(), the client may go about its own business up to
  /// it.
  virtual Seconds quiet_until() = 0;
  /// Calls the client first at `date`, then as wake() says, until no flow is left and no date is asked for.
  /// An exception thrown by the client ends the run.
  virtual void run(ContentionClient& client, Seconds date) = 0;
};

/// Max-min fair sharing by SimGrid. One per process, ever. `routes`: those on which flows will be started.
std::unique_ptr<ContentionSolver> make_simgrid_solver(const Network& network, std::span<const RouteId> routes);

/// The same sharing without SimGrid (sim/fair_share.h): as many as one likes, in as many threads. A test holds both
/// together over random networks.
std::unique_ptr<ContentionSolver> make_fair_share_solver(const Network& network);

/// SimGrid and what it brings along take 20 MB and as many milliseconds: they are loaded when first needed. Whoever
/// forks processes that will need them loads them before. @throws std::runtime_error when that fails.
void load_simgrid();

}  // namespace flopcast
