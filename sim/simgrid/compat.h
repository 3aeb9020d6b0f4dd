// One spelling for what SimGrid calls differently between 3.32 and 4.1.
#pragma once
#include <simgrid/version.h>
#include <simgrid/kernel/resource/Model.hpp>
#include <simgrid/s4u.hpp>

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#ifndef SIMGRID_VERSION
#define SIMGRID_VERSION (100 * (100 * SIMGRID_VERSION_MAJOR + SIMGRID_VERSION_MINOR) + SIMGRID_VERSION_PATCH)
#endif
#define FLOPCAST_SIMGRID_AT_LEAST(major, minor) (SIMGRID_VERSION >= 100 * (100 * (major) + (minor)))

namespace flopcast::simgrid_compat {

/// Plain max-min sharing: latency neither added nor weighed in, reverse traffic and TCP windows left out.
inline void choose_network_model() {
  using simgrid::s4u::Engine;
#if FLOPCAST_SIMGRID_AT_LEAST(3, 36)
  Engine::set_config("network/model:raw");
#else
  Engine::set_config("network/model:CM02");
#endif
  Engine::set_config("network/crosstraffic:no");
  Engine::set_config("network/TCP-gamma:1e30");
}

/// Dates closer than `seconds` are one date; shares smaller than `fraction` of a link are zero.
inline void set_precision(const std::string& seconds, const std::string& fraction) {
  using simgrid::s4u::Engine;
#if FLOPCAST_SIMGRID_AT_LEAST(3, 34)
  Engine::set_config("precision/timing:" + seconds);
  Engine::set_config("precision/work-amount:" + fraction);
#else
  Engine::set_config("surf/precision:" + seconds);
  Engine::set_config("maxmin/precision:" + fraction);
#endif
}

inline simgrid::s4u::NetZone* add_star_zone(simgrid::s4u::Engine& engine, const std::string& name) {
#if FLOPCAST_SIMGRID_AT_LEAST(4, 0)
  return engine.get_netzone_root()->add_netzone_star(name);
#else
  (void)engine;  // the first zone of a process becomes its root
  return simgrid::s4u::create_star_zone(name);
#endif
}

inline simgrid::s4u::Host* add_host(simgrid::s4u::NetZone* zone, const std::string& name, double speed) {
#if FLOPCAST_SIMGRID_AT_LEAST(4, 0)
  return zone->add_host(name, speed);
#else
  return zone->create_host(name, speed);
#endif
}

inline simgrid::s4u::Link* add_link(simgrid::s4u::NetZone* zone, const std::string& name, double bandwidth) {
#if FLOPCAST_SIMGRID_AT_LEAST(4, 0)
  return zone->add_link(name, bandwidth);
#else
  return zone->create_link(name, bandwidth);
#endif
}

enum class Ways { out, out_and_in };

/// What a host's traffic crosses on its way out of the star, or also on its way in.
inline void add_star_route(simgrid::s4u::NetZone* zone, simgrid::s4u::Host* host,
                           const std::vector<simgrid::s4u::LinkInRoute>& links, Ways ways) {
#if FLOPCAST_SIMGRID_AT_LEAST(3, 36)
  zone->add_route(host, nullptr, links, ways == Ways::out_and_in);
#else
  zone->add_route(host->get_netpoint(), nullptr, nullptr, nullptr, links, ways == Ways::out_and_in);
#endif
}

/// Called for every communication that ends. Never taken back: install it once per process.
inline void on_comm_completion(std::function<void(const simgrid::s4u::Comm&)> callback) {
#if FLOPCAST_SIMGRID_AT_LEAST(3, 34)
  simgrid::s4u::Comm::on_completion_cb(std::move(callback));
#else
  simgrid::s4u::Activity::on_completion_cb([callback = std::move(callback)](const simgrid::s4u::Activity& activity) {
    if (const auto* comm = dynamic_cast<const simgrid::s4u::Comm*>(&activity)) callback(*comm);
  });
#endif
}

/// The date of the next end of an activity, as long as SimGrid has looked at all changes since its clock last moved;
/// `now` when that is not known.
inline double next_end(const simgrid::s4u::Engine& engine, double now) {
  double next = std::numeric_limits<double>::infinity();
  for (simgrid::kernel::resource::Model* model : engine.get_all_models()) {
    const bool undecided = !model->get_finished_action_set()->empty() || !model->get_failed_action_set()->empty();
    const bool unordered = !model->is_update_lazy() && !model->get_started_action_set()->empty();
    if (undecided || unordered) return now;
    if (!model->get_action_heap().empty()) next = std::min(next, model->get_action_heap().top_date());
  }
  return next;
}

}  // namespace flopcast::simgrid_compat
