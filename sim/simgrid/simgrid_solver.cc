// Bandwidth sharing by SimGrid. Every route is a pseudo-host in one star zone whose way out consists of the route's
// links; all flows go to one sink in the middle of the star, which adds no link. So a host-to-host communication
// crosses exactly the links of its route, and the platform grows with the routes, not with their square.
#include <fmt/format.h>
#include <signal.h>
#include <simgrid/kernel/Timer.hpp>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <exception>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "sim/contention.h"
#include "sim/simgrid/compat.h"
#include "sim/simgrid/module.h"

namespace flopcast {
namespace {

namespace sg = simgrid::s4u;
using simgrid::kernel::timer::Timer;

// SimGrid counts payloads in whole units. Units of 2^-10 byte keep the remaining bytes of a flow that is handed over
// half-way; bandwidths are scaled alike, so that times stay what they are.
constexpr double kUnitsPerByte = 1024.0;
constexpr double kMostUnits = 0x1p63;
constexpr double kNever = std::numeric_limits<double>::infinity();

std::uint64_t payload(Bytes bytes) {
  const double units = std::round(bytes.value() * kUnitsPerByte);
  if (units >= kMostUnits) throw std::invalid_argument("a single flow of more than 9 PB cannot be simulated");
  return units < 1.0 ? 1 : static_cast<std::uint64_t>(units);
}

/// SimGrid's engine without its takeover of Ctrl-C.
class QuietEngine {
 public:
  sg::Engine& operator*() const { return *engine_; }
  sg::Engine* operator->() const { return engine_.get(); }

 private:
  static std::unique_ptr<sg::Engine> create() {
    struct sigaction ours;
    ::sigaction(SIGINT, nullptr, &ours);
    auto engine = std::make_unique<sg::Engine>("flopcast");
    ::sigaction(SIGINT, &ours, nullptr);
    xbt_log_control_set("root.thresh:warning");
    return engine;
  }
  std::unique_ptr<sg::Engine> engine_ = create();
};

class SimgridSolver final : public ContentionSolver {
 public:
  SimgridSolver(const Network& network, std::span<const RouteId> routes);
  void start(FlowSlot slot, RouteId route, Bytes bytes) override;
  Seconds quiet_until() override;
  void run(ContentionClient& client, Seconds date) override;

 private:
  void add_route(const Network& network, RouteId route);
  sg::Link* add_link(const std::string& name, const Link& model);
  void completed(const sg::Comm& comm);
  void report_ended();
  void wake(double now, std::span<const FlowSlot> ended);
  void arm(double date);
  void give_up(std::exception_ptr reason);

  QuietEngine engine_;
  sg::NetZone* zone_ = nullptr;
  sg::Host* sink_ = nullptr;
  std::vector<sg::Link*> link_;          // by LinkId; null for fat pipes and where no route needs it
  std::vector<sg::Host*> route_source_;  // by RouteId; null where no flow will start
  std::vector<sg::CommPtr> comm_;        // by FlowSlot; null when the slot is free
  std::vector<sg::CommPtr> graveyard_;   // ended, still referred to by SimGrid until its clock moves on
  std::vector<FlowSlot> ended_, reported_;
  ContentionClient* client_ = nullptr;
  Timer* timer_ = nullptr;
  double timer_date_ = kNever;
  bool rates_outdated_ = true;  // flows have started or ended since SimGrid last shared out its links
  std::exception_ptr failure_;
};

/// A fat pipe caps each flow on its own, so of several on a route only the narrowest matters, and none does where a
/// shared link is at least as narrow. Fewer links make the solver faster and change no time.
std::vector<LinkId> effective_links(const Network& network, RouteId route) {
  std::vector<LinkId> links;
  BytesPerSecond narrowest_shared{kNever};
  LinkId narrowest_pipe;
  for (LinkId id : network.route(route)) {
    const Link& link = network.link(id);
    if (link.shared) {
      links.push_back(id);
      narrowest_shared = std::min(narrowest_shared, link.bandwidth);
    } else if (!narrowest_pipe.valid() || link.bandwidth < network.link(narrowest_pipe).bandwidth) {
      narrowest_pipe = id;
    }
  }
  if (narrowest_pipe.valid() && network.link(narrowest_pipe).bandwidth < narrowest_shared)
    links.push_back(narrowest_pipe);
  return links;
}

SimgridSolver::SimgridSolver(const Network& network, std::span<const RouteId> routes) {
  simgrid_compat::choose_network_model();
  // A picosecond; and shares below 1e-11 of a link are rounding errors of sums over some thousand flows.
  simgrid_compat::set_precision("1e-12", "1e-11");
  zone_ = simgrid_compat::add_star_zone(*engine_, "network");
  sink_ = simgrid_compat::add_host(zone_, "sink", 1.0);
  link_.resize(network.link_count());
  route_source_.resize(network.route_count());
  simgrid_compat::add_star_route(zone_, sink_, {}, simgrid_compat::Ways::out_and_in);
  for (RouteId route : routes) add_route(network, route);
  zone_->seal();
  simgrid_compat::on_comm_completion([this](const sg::Comm& comm) { completed(comm); });
  sg::Engine::on_time_advance_cb([this](double) {
    graveyard_.clear();
    rates_outdated_ = false;
  });
}

sg::Link* SimgridSolver::add_link(const std::string& name, const Link& model) {
  sg::Link* const link = simgrid_compat::add_link(zone_, name, model.bandwidth.value() * kUnitsPerByte);
  link->set_latency(0.0);  // a latency would skew the sharing; the replay pays it before the flow starts
  link->set_sharing_policy(model.shared ? sg::Link::SharingPolicy::SHARED : sg::Link::SharingPolicy::FATPIPE);
  link->seal();
  return link;
}

/// A fat pipe takes nothing from others, so that each route may have its own: SimGrid goes through all flows on a pipe
/// whenever one of them changes, and half of a cluster's flows may be capped at one pace.
void SimgridSolver::add_route(const Network& network, RouteId route) {
  std::vector<sg::LinkInRoute> way_out;
  for (LinkId id : effective_links(network, route)) {
    const Link& model = network.link(id);
    if (!model.shared) {
      way_out.emplace_back(add_link(fmt::format("pipe of route {}", route.index()), model));
      continue;
    }
    sg::Link*& link = link_[id.index()];
    if (!link) link = add_link(fmt::format("link {}", id.index()), model);
    way_out.emplace_back(link);
  }
  sg::Host* source = simgrid_compat::add_host(zone_, fmt::format("route {}", route.index()), 1.0);
  source->seal();
  simgrid_compat::add_star_route(zone_, source, way_out, simgrid_compat::Ways::out);
  route_source_[route.index()] = source;
}

void SimgridSolver::start(FlowSlot slot, RouteId route, Bytes bytes) {
  if (slot >= comm_.size()) comm_.resize(slot + 1);
  assert(!comm_[slot] && route_source_[route.index()]);
  sg::CommPtr& comm = comm_[slot] = sg::Comm::sendto_init();
  // The slot travels in the pointer, one up because null means none. The last setter starts the communication.
  comm->set_data(reinterpret_cast<void*>(static_cast<std::uintptr_t>(slot) + 1));
  comm->set_payload_size(payload(bytes));
  comm->set_source(route_source_[route.index()]);
  comm->set_destination(sink_);
  rates_outdated_ = true;
}

Seconds SimgridSolver::quiet_until() {
  const double now = sg::Engine::get_clock();
  return Seconds(rates_outdated_ ? now : simgrid_compat::next_end(*engine_, now));
}

void SimgridSolver::run(ContentionClient& client, Seconds date) {
  client_ = &client;
  arm(date.value());
  engine_->run();
  client_ = nullptr;
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void SimgridSolver::completed(const sg::Comm& comm) {
  const auto tag = reinterpret_cast<std::uintptr_t>(comm.get_data<void>());
  if (tag == 0) return;
  const auto slot = static_cast<FlowSlot>(tag - 1);
  if (slot >= comm_.size() || comm_[slot].get() != &comm) return;  // a cancelled communication reports twice
  graveyard_.push_back(std::move(comm_[slot]));
  comm_[slot] = nullptr;
  rates_outdated_ = true;
  // The others that end at this date are still to come: hear them all first, then tell the client once.
  if (ended_.empty()) Timer::set(sg::Engine::get_clock(), [this] { report_ended(); });
  ended_.push_back(slot);
}

void SimgridSolver::report_ended() {
  reported_.swap(ended_);
  ended_.clear();
  wake(sg::Engine::get_clock(), reported_);
}

void SimgridSolver::wake(double now, std::span<const FlowSlot> ended) {
  if (failure_) return;
  // Exceptions must not fly through SimGrid's main loop: it would be left half-way through a step.
  try {
    arm(client_->wake(Seconds(now), ended).value());
  } catch (...) {
    give_up(std::current_exception());
  }
}

void SimgridSolver::arm(double date) {
  if (date == timer_date_) return;
  if (timer_) timer_->remove();
  timer_ = nullptr;
  timer_date_ = date;
  if (date == kNever) return;
  timer_ = Timer::set(date, [this] {
    timer_ = nullptr;
    wake(std::exchange(timer_date_, kNever), {});
  });
}

void SimgridSolver::give_up(std::exception_ptr reason) {
  failure_ = std::move(reason);
  arm(kNever);
  for (sg::CommPtr& comm : comm_)
    if (comm) {
      graveyard_.push_back(std::exchange(comm, nullptr));
      graveyard_.back()->cancel();
    }
}

}  // namespace

}  // namespace flopcast

flopcast::ContentionSolver* flopcast_new_simgrid_solver(const flopcast::Network& network,
                                                        std::span<const flopcast::RouteId> routes) {
  return new flopcast::SimgridSolver(network, routes);
}
