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

FairShare::Flow FairShare::start(Seconds now, std::span<const LinkId> links, Bytes bytes) {
  assert(bytes > Bytes(0));
  touch_at(now.value());
  if (free_.empty()) {
    free_.push_back(static_cast<Flow>(flows_.size()));
    flows_.emplace_back();
    mark_.push_back(0);
  }
  const Flow flow = free_.back();
  free_.pop_back();
  State& state = flows_[flow];
  state.links.assign(links.begin(), links.end());
  state.bytes = state.left = bytes.value();
  state.rate = 0;
  state.since = now.value();
  state.active = true;
  state.met = false;
  ++started_;
  for (const LinkId link : links)
    if (network_.link(link).shared) on_link(link).push_back(flow);
  touched_.push_back(flow);
  return flow;
}

void FairShare::set_background(Seconds now, LinkId link, BytesPerSecond taken) {
  assert(taken < network_.link(link).bandwidth);
  if (background_.empty()) {
    if (taken == BytesPerSecond(0)) return;
    background_.resize(network_.link_count());
  }
  if (background_[link.index()] == taken.value()) return;
  touch_at(now.value());
  background_[link.index()] = taken.value();
  const std::vector<Flow>& flows = on_link(link);
  touched_.insert(touched_.end(), flows.begin(), flows.end());
}

/// Flows that start or end at one moment are dealt with together.
void FairShare::touch_at(double now) {
  if (!touched_.empty() && now > touched_at_) settle();
  touched_at_ = now;
}

/// Finds the rates of all flows that what started or ended since meets.
void FairShare::settle() {
  if (touched_.empty()) return;
  group_.clear();
  ++round_;
  link_mark_.resize(network_.link_count());
  for (const Flow flow : touched_)
    if (flows_[flow].active) collect(flow);
  touched_.clear();
  if (!group_.empty()) share(touched_at_);
}

/// Adds a flow and all that it shares links with, directly or over others.
void FairShare::collect(Flow first) {
  if (mark_[first] == round_) return;
  mark_[first] = round_;
  std::size_t next = group_.size();
  group_.push_back(first);
  for (; next < group_.size(); ++next) {
    for (const LinkId link : flows_[group_[next]].links) {
      if (!network_.link(link).shared || link_mark_[link.index()] == round_) continue;
      link_mark_[link.index()] = round_;
      for (const Flow other : on_link_[link.index()]) {
        if (mark_[other] == round_) continue;
        mark_[other] = round_;
        group_.push_back(other);
      }
    }
  }
}

/// Ports of the group with how many of its flows are open on each; own caps of flows, smallest first.
void FairShare::list_ports() {
  ports_.clear();
  caps_.clear();
  port_of_link_.resize(network_.link_count(), kNoPort);
  for (const Flow flow : group_) {
    State& state = flows_[flow];
    state.next_rate = -1;
    double cap = std::numeric_limits<double>::infinity();
    for (const LinkId link : state.links) {
      const Link& l = network_.link(link);
      if (!l.shared) {
        cap = std::min(cap, l.bandwidth.value());
        continue;
      }
      std::uint32_t& at = port_of_link_[link.index()];
      if (at == kNoPort) {
        at = static_cast<std::uint32_t>(ports_.size());
        const double taken = background_.empty() ? 0 : background_[link.index()];
        ports_.push_back({link, l.bandwidth.value() - taken, 0});
      }
      ++ports_[at].open;
      if (on_link_[link.index()].size() > 1 && !state.met) {
        state.met = true;
        ++shared_;
      }
    }
    if (cap < std::numeric_limits<double>::infinity()) caps_.emplace_back(cap, flow);
  }
  std::sort(caps_.begin(), caps_.end());
}

/// Takes a flow's rate off the ports that it crosses.
void FairShare::fix_rate(Flow flow, double rate) {
  flows_[flow].next_rate = rate;
  for (const LinkId link : flows_[flow].links) {
    if (!network_.link(link).shared) continue;
    Port& port = ports_[port_of_link_[link.index()]];
    port.left = std::max(0.0, port.left - rate);
    --port.open;
  }
}

bool FairShare::wider(const Offer& a, const Offer& b) { return a.rate != b.rate ? a.rate > b.rate : a.port > b.port; }

void FairShare::offer(std::uint32_t port) {
  narrowest_.push_back({ports_[port].left / ports_[port].open, port});
  std::push_heap(narrowest_.begin(), narrowest_.end(), wider);
}

/// The port that gives its open flows least; null when none has any. What a port gives does not fall while rates are
/// fixed, so that the heap's top needs no more than a second look.
const FairShare::Port* FairShare::narrowest() {
  while (!narrowest_.empty()) {
    const Offer top = narrowest_.front();
    const Port& port = ports_[top.port];
    if (port.open > 0 && port.left / port.open == top.rate) return &port;
    std::pop_heap(narrowest_.begin(), narrowest_.end(), wider);
    narrowest_.pop_back();
    if (port.open > 0) offer(top.port);
  }
  return nullptr;
}

/// Progressive filling: the port that gives its flows least fixes their rate; what is left is shared by the others.
/// Flows that cannot go as fast keep their own cap.
void FairShare::share(double now) {
  list_ports();
  narrowest_.clear();
  for (std::uint32_t i = 0; i < ports_.size(); ++i) offer(i);
  std::size_t next_cap = 0;
  for (;;) {
    const Port* least = narrowest();
    while (next_cap < caps_.size() && flows_[caps_[next_cap].second].next_rate >= 0) ++next_cap;
    const bool capped =
        next_cap < caps_.size() && (least == nullptr || caps_[next_cap].first <= least->left / least->open);
    if (capped) {
      fix_rate(caps_[next_cap].second, caps_[next_cap].first);
      continue;
    }
    if (least == nullptr) break;
    const double rate = least->left / least->open;
    const LinkId link = least->link;
    for (const Flow flow : on_link_[link.index()])
      if (flows_[flow].next_rate < 0) fix_rate(flow, rate);
  }
  for (const Port& port : ports_) port_of_link_[port.link.index()] = kNoPort;
  for (const Flow flow : group_) {
    State& state = flows_[flow];
    if (state.next_rate == state.rate) continue;
    state.left = std::max(0.0, state.left - state.rate * (now - state.since));
    state.since = now;
    state.rate = state.next_rate;
    ++state.version;
    ends_.push({now + state.left / state.rate, event_key(flow, state.version)});
  }
}

void FairShare::drop_stale() {
  while (!ends_.empty()) {
    const std::uint64_t key = ends_.top().key;
    const State& state = flows_[key >> kFlowBits];
    if (state.active && state.version == static_cast<std::uint32_t>(key)) return;
    ends_.pop();
  }
}

Seconds FairShare::next_end() {
  settle();
  drop_stale();
  return Seconds(ends_.empty() ? std::numeric_limits<double>::infinity() : ends_.top().time);
}

void FairShare::remove(Flow flow) {
  State& state = flows_[flow];
  state.active = false;
  ++state.version;
  for (const LinkId link : state.links) {
    if (!network_.link(link).shared) continue;
    std::erase(on_link_[link.index()], flow);
    touched_.insert(touched_.end(), on_link_[link.index()].begin(), on_link_[link.index()].end());
  }
  free_.push_back(flow);
}

void FairShare::cancel(Seconds now, Flow flow) {
  touch_at(now.value());
  remove(flow);
}

std::vector<FairShare::Flow> FairShare::ended_by(Seconds now) {
  std::vector<Flow> ended;
  while (next_end() <= now) {
    const double end = ends_.top().time;
    touch_at(end);
    for (; !ends_.empty() && ends_.top().time <= end + resolution_; drop_stale()) {
      const auto flow = static_cast<Flow>(ends_.top().key >> kFlowBits);
      delivered_ += Bytes(flows_[flow].bytes);
      remove(flow);
      ended.push_back(flow);
    }
  }
  return ended;
}

}  // namespace flopcast
