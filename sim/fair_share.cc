#include "sim/fair_share.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace flopcast {
namespace {

constexpr int kFlowBits = 32;
std::uint64_t event_key(std::uint32_t flow, std::uint32_t version) {
  return (static_cast<std::uint64_t>(flow) << kFlowBits) | version;
}

}  // namespace

std::vector<FairShare::Flow>& FairShare::on_link(LinkId link) {
  if (link.index() >= on_link_.size()) on_link_.resize(network_.link_count());
  return on_link_[link.index()];
}

FairShare::Flow FairShare::start(Seconds now, RouteId route, Bytes bytes) {
  assert(bytes > Bytes(0));
  if (free_.empty()) {
    free_.push_back(static_cast<Flow>(flows_.size()));
    flows_.emplace_back();
    mark_.push_back(0);
  }
  const Flow flow = free_.back();
  free_.pop_back();
  State& state = flows_[flow];
  state.route = route;
  state.bytes = state.left = bytes.value();
  state.rate = 0;
  state.since = now.value();
  state.active = true;
  state.met = false;
  ++started_;
  for (const LinkId link : network_.route(route))
    if (network_.link(link).shared) on_link(link).push_back(flow);
  group_.clear();
  ++round_;
  collect(flow);
  share(now.value());
  return flow;
}

/// Adds a flow and all that it shares links with, directly or over others.
void FairShare::collect(Flow first) {
  if (mark_[first] == round_) return;
  mark_[first] = round_;
  std::size_t next = group_.size();
  group_.push_back(first);
  for (; next < group_.size(); ++next) {
    for (const LinkId link : network_.route(flows_[group_[next]].route)) {
      if (!network_.link(link).shared) continue;
      for (const Flow other : on_link_[link.index()]) {
        if (mark_[other] == round_) continue;
        mark_[other] = round_;
        group_.push_back(other);
      }
    }
  }
}

/// Progressive filling: the link that gives its flows least fixes their rate; what is left is shared by the
/// others.
void FairShare::share(double now) {
  struct Port {
    double left = 0;
    int open = 0;
  };
  std::vector<std::pair<std::uint32_t, Port>> ports;
  const auto port = [&](LinkId link) -> Port& {
    const auto at = std::lower_bound(ports.begin(), ports.end(), link.index(),
                                     [](const auto& p, std::uint32_t i) { return p.first < i; });
    return at->second;
  };
  std::sort(group_.begin(), group_.end());
  for (const Flow flow : group_) {
    State& state = flows_[flow];
    state.left = std::max(0.0, state.left - state.rate * (now - state.since));
    state.since = now;
    state.rate = -1;
    if (group_.size() > 1 && !state.met) {
      state.met = true;
      ++shared_;
    }
    if (group_.size() > 1)
      for (const LinkId link : network_.route(state.route))
        if (network_.link(link).shared) ports.emplace_back(link.index(), Port{});
  }
  if (group_.size() == 1) {
    flows_[group_.front()].rate = network_.bottleneck(flows_[group_.front()].route).value();
  } else {
    std::sort(ports.begin(), ports.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    ports.erase(std::unique(ports.begin(), ports.end(),
                            [](const auto& a, const auto& b) { return a.first == b.first; }),
                ports.end());
    for (auto& [index, p] : ports) p.left = network_.link(LinkId(index)).bandwidth.value();
    for (const Flow flow : group_)
      for (const LinkId link : network_.route(flows_[flow].route))
        if (network_.link(link).shared) ++port(link).open;
    for (std::size_t fixed = 0; fixed < group_.size();) {
      double least = std::numeric_limits<double>::infinity();
      for (const auto& [index, p] : ports)
        if (p.open > 0) least = std::min(least, p.left / p.open);
      // Flows with a cap of their own (links that are not shared) below that level come first.
      for (const Flow flow : group_) {
        if (flows_[flow].rate >= 0) continue;
        for (const LinkId link : network_.route(flows_[flow].route))
          if (!network_.link(link).shared) least = std::min(least, network_.link(link).bandwidth.value());
      }
      constexpr double kTie = 1 + 1e-12;
      std::vector<Flow> settled;
      for (const Flow flow : group_) {
        if (flows_[flow].rate >= 0) continue;
        const auto route = network_.route(flows_[flow].route);
        const bool limited = std::any_of(route.begin(), route.end(), [&](LinkId link) {
          const Link& l = network_.link(link);
          if (!l.shared) return l.bandwidth.value() <= least * kTie;
          const Port& p = port(link);
          return p.left / p.open <= least * kTie;
        });
        if (limited) settled.push_back(flow);
      }
      assert(!settled.empty());
      for (const Flow flow : settled) {
        flows_[flow].rate = least;
        for (const LinkId link : network_.route(flows_[flow].route)) {
          if (!network_.link(link).shared) continue;
          Port& p = port(link);
          p.left = std::max(0.0, p.left - least);
          --p.open;
        }
      }
      fixed += settled.size();
    }
  }
  for (const Flow flow : group_) {
    State& state = flows_[flow];
    ++state.version;
    ends_.push({now + state.left / state.rate, event_key(flow, state.version)});
  }
}

void FairShare::drop_stale() const {
  while (!ends_.empty()) {
    const std::uint64_t key = ends_.top().key;
    const State& state = flows_[key >> kFlowBits];
    if (state.active && state.version == static_cast<std::uint32_t>(key)) return;
    ends_.pop();
  }
}

Seconds FairShare::next_end() const {
  drop_stale();
  return Seconds(ends_.empty() ? std::numeric_limits<double>::infinity() : ends_.top().time);
}

void FairShare::remove(double now, Flow flow) {
  State& state = flows_[flow];
  state.active = false;
  ++state.version;
  group_.clear();
  ++round_;
  mark_[flow] = round_;
  for (const LinkId link : network_.route(state.route)) {
    if (!network_.link(link).shared) continue;
    std::erase(on_link_[link.index()], flow);
    for (const Flow other : on_link_[link.index()]) collect(other);
  }
  if (!group_.empty()) share(now);
  free_.push_back(flow);
}

void FairShare::cancel(Seconds now, Flow flow) { remove(now.value(), flow); }

std::vector<FairShare::Flow> FairShare::ended_by(Seconds now) {
  std::vector<Flow> ended;
  while (next_end() <= now) {
    const CalendarEvent event = ends_.top();
    const auto flow = static_cast<Flow>(event.key >> kFlowBits);
    delivered_ += Bytes(flows_[flow].bytes);
    remove(event.time, flow);
    ended.push_back(flow);
  }
  return ended;
}

}  // namespace flopcast
