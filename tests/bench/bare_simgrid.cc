#include "tests/bench/bare_simgrid.h"

#include <simgrid/kernel/Timer.hpp>

#include <vector>

#include "sim/base/random.h"
#include "sim/simgrid/compat.h"

namespace flopcast::bench {
namespace {

namespace sg = simgrid::s4u;
using simgrid::kernel::timer::Timer;

struct Rank {
  sg::Host* own = nullptr;
  sg::Host* common = nullptr;
  int rounds_left = 0;
  int flows_left = 0;
};

struct Loop {
  sg::Host* sink = nullptr;
  std::vector<Rank> ranks;
  std::vector<sg::CommPtr> live, graveyard;  // two per rank
  RandomStream random{1};
  std::int64_t operations = 0;

  void compute(std::size_t i) {
    Timer::set(sg::Engine::get_clock() + 1e-3 * (0.5 + random.uniform()), [this, i] {
      ++operations;
      Timer::set(sg::Engine::get_clock() + 5e-6, [this, i] { send(i); });
    });
  }
  void send(std::size_t i) {
    ranks[i].flows_left = 2;
    start(ranks[i].own, 2 * i);
    start(ranks[i].common, 2 * i + 1);
  }
  void start(sg::Host* from, std::size_t slot) {
    sg::CommPtr& comm = live[slot] = sg::Comm::sendto_init();
    comm->set_data(reinterpret_cast<void*>(slot + 1));
    comm->set_payload_size(20'000'000);
    comm->set_source(from);
    comm->set_destination(sink);
  }
  void ended(const sg::Comm& comm) {
    const std::size_t slot = reinterpret_cast<std::size_t>(comm.get_data<void>()) - 1;
    graveyard.push_back(std::move(live[slot]));
    Rank& rank = ranks[slot / 2];
    if (--rank.flows_left > 0) return;
    ++operations;
    if (--rank.rounds_left > 0) compute(slot / 2);
  }
};

sg::Host* add_source(sg::NetZone* zone, const std::string& name, const std::vector<sg::Link*>& links) {
  std::vector<sg::LinkInRoute> route;
  for (sg::Link* link : links) route.emplace_back(link);
  sg::Host* host = simgrid_compat::add_host(zone, name, 1.0);
  simgrid_compat::add_star_route(zone, host, route, simgrid_compat::Ways::out);
  return host;
}

}  // namespace

std::int64_t run_bare(const BareRing& ring) {
  sg::Engine engine("bare");
  xbt_log_control_set("root.thresh:warning");
  simgrid_compat::choose_network_model();
  simgrid_compat::set_precision("1e-12", "1e-11");
  sg::NetZone* zone = simgrid_compat::add_star_zone(engine, "network");
  Loop loop;
  loop.sink = simgrid_compat::add_host(zone, "sink", 1.0);
  simgrid_compat::add_star_route(zone, loop.sink, {}, simgrid_compat::Ways::out_and_in);
  loop.ranks.resize(static_cast<std::size_t>(ring.ranks));
  loop.live.resize(2 * loop.ranks.size());
  sg::Link* common = nullptr;
  const auto link = [&](const std::string& name, double bandwidth) {
    sg::Link* made = simgrid_compat::add_link(zone, name, bandwidth);
    made->set_latency(0.0);
    made->seal();
    return made;
  };
  for (std::size_t i = 0; i < loop.ranks.size(); ++i) {
    const std::string name = std::to_string(i);
    if (static_cast<int>(i) % ring.sharers == 0) common = link("common" + name, 40e9);
    loop.ranks[i].own = add_source(zone, "own" + name, {link("out" + name, 50e9), link("in" + name, 50e9)});
    loop.ranks[i].common = add_source(zone, "common" + name, {common});
    loop.ranks[i].rounds_left = ring.rounds;
  }
  zone->seal();
  simgrid_compat::on_comm_completion([&](const sg::Comm& comm) { loop.ended(comm); });
  sg::Engine::on_time_advance_cb([&](double) { loop.graveyard.clear(); });
  for (std::size_t i = 0; i < loop.ranks.size(); ++i) loop.compute(i);
  engine.run();
  return loop.operations;
}

}  // namespace flopcast::bench
