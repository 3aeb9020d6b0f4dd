#include "sim/fair_share.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace flopcast {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();
/// Rates and loads that differ by less are the same: sums over some thousand flows round by a tenth of it.
constexpr double kSame = 1e-12;
/// Group grown so often: what belongs to it is spread over the network, and all of that is taken in at once.
constexpr int kMostRounds = 8;

}  // namespace

std::vector<FairShare::Flow>& FairShare::on_link(LinkId link) {
  if (link.index() >= on_link_.size()) on_link_.resize(network_.link_count());
  return on_link_[link.index()];
}

/// Networks grow while flows run.
void FairShare::know_links() {
  for (std::size_t i = capacity_.size(); i < network_.link_count(); ++i) {
    const Link& link = network_.link(LinkId::at(i));
    bandwidth_.push_back(link.bandwidth.value());
    capacity_.push_back(link.bandwidth.value());
    shares_.push_back(link.shared);
  }
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
  state.links.clear();
  state.cap = kNoLimit;
  know_links();
  for (const LinkId id : links) {
    if (shares_[id.index()]) {
      state.links.push_back(id);
      on_link(id).push_back(flow);
    } else {
      state.cap = std::min(state.cap, bandwidth_[id.index()]);
    }
  }
  state.bytes = state.left = bytes.value();
  state.rate = 0;
  state.bottleneck = LinkId();
  state.since = now.value();
  state.active = true;
  state.met = false;
  ++started_;
  touched_.push_back(flow);
  return flow;
}

void FairShare::set_background(Seconds now, LinkId link, BytesPerSecond taken) {
  assert(taken < network_.link(link).bandwidth);
  know_links();
  const double left = bandwidth_[link.index()] - taken.value();
  if (capacity_[link.index()] == left) return;
  touch_at(now.value());
  capacity_[link.index()] = left;
  changed_.push_back(link);
}

/// What happens at one moment is dealt with together.
void FairShare::touch_at(double now) {
  if (now > touched_at_) settle();
  touched_at_ = now;
}

/// Finds the rates that change by what happened since.
void FairShare::settle() {
  if (touched_.empty() && freed_.empty() && changed_.empty()) return;
  begin_group();
  if (group_.size() == 1 && is_alone(group_.front())) return set_rates();
  for (int round = 0; !group_.empty(); ++round) {
    if (round == kMostRounds) add_all_met();
    share();
    const bool grown = add_unsettled();
    for (const Port& port : ports_) port_of_link_[port.link.index()] = kNoPort;
    if (!grown) break;
  }
  set_rates();
}

void FairShare::add(Flow flow) {
  if (in_group(flow)) return;
  mark_[flow] = round_;
  group_.push_back(flow);
}

/// Those whose rates cannot stay, to begin with: who started, whom the link held up that an ended flow has left, and
/// everybody on a link that has got wider or narrower.
void FairShare::begin_group() {
  group_.clear();
  ++round_;
  port_of_link_.resize(network_.link_count(), kNoPort);
  link_mark_.resize(network_.link_count());
  for (const Flow flow : touched_) {
    if (!flows_[flow].active) continue;
    note_meetings(flow);
    add(flow);
  }
  for (const LinkId link : freed_)
    for (const Flow flow : on_link(link))
      if (flows_[flow].bottleneck == link) add(flow);
  for (const LinkId link : changed_)
    for (const Flow flow : on_link(link)) add(flow);
  touched_.clear();
  freed_.clear();
  changed_.clear();
}

/// A flow that shares no link has a rate without more ado.
bool FairShare::is_alone(Flow flow) {
  State& state = flows_[flow];
  state.next_rate = state.cap;
  state.bottleneck = LinkId();
  for (const LinkId link : state.links) {
    if (on_link_[link.index()].size() > 1) return false;
    const double all = capacity(link);
    if (all >= state.next_rate) continue;
    state.next_rate = all;
    state.bottleneck = link;
  }
  return true;
}

void FairShare::note_meetings(Flow flow) {
  for (const LinkId link : flows_[flow].links) {
    const std::vector<Flow>& here = on_link_[link.index()];
    if (here.size() < 2) continue;
    for (const Flow other : here) {
      shared_ += flows_[other].met ? 0 : 1;
      flows_[other].met = true;
    }
  }
}

/// Everything that the group shares links with, directly or over others.
void FairShare::add_all_met() {
  for (std::size_t next = 0; next < group_.size(); ++next)
    for (const LinkId link : flows_[group_[next]].links) {
      if (link_mark_[link.index()] == round_) continue;  // all its flows were added
      link_mark_[link.index()] = round_;
      for (const Flow other : on_link_[link.index()]) add(other);
    }
}

/// Ports of the group with what its other flows leave of them and how many of its own are open; own caps of flows,
/// smallest first.
void FairShare::list_ports() {
  ports_.clear();
  caps_.clear();
  for (const Flow flow : group_) {
    State& state = flows_[flow];
    state.next_rate = -1;
    for (const LinkId link : state.links) {
      std::uint32_t& at = port_of_link_[link.index()];
      if (at != kNoPort) continue;
      at = static_cast<std::uint32_t>(ports_.size());
      Port port{link, capacity(link), kNoLimit, 0};
      for (const Flow other : on_link_[link.index()]) {
        if (in_group(other)) {
          ++port.open;
        } else {
          port.left -= flows_[other].rate;
        }
      }
      port.left = std::max(0.0, port.left);
      ports_.push_back(port);
    }
    if (state.cap < kNoLimit) caps_.emplace_back(state.cap, flow);
  }
  std::sort(caps_.begin(), caps_.end());
}

/// Takes a flow's rate off the ports that it crosses.
void FairShare::fix_rate(Flow flow, double rate, LinkId bottleneck) {
  State& state = flows_[flow];
  state.next_rate = rate;
  state.bottleneck = bottleneck;
  for (const LinkId link : state.links) {
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

/// Progressive filling of the group in what the other flows leave: the port that gives its flows least fixes their
/// rate; what is left is shared by the others. Flows that cannot go as fast keep their own cap.
void FairShare::share() {
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
      fix_rate(caps_[next_cap].second, caps_[next_cap].first, LinkId());
      continue;
    }
    if (least == nullptr) break;
    const double rate = least->left / least->open;
    const LinkId link = least->link;
    ports_[port_of_link_[link.index()]].level = rate;
    for (const Flow flow : on_link_[link.index()])
      if (in_group(flow) && flows_[flow].next_rate < 0) fix_rate(flow, rate, link);
  }
}

/// Takes in the flows on the group's ports whose rates cannot stay beside the group's new ones: who has lost its
/// bottleneck, and who is faster than those that a port holds up. False: nobody.
bool FairShare::add_unsettled() {
  const std::size_t before = group_.size();
  const std::uint32_t solved = round_;
  for (const Port& port : ports_) {
    const std::vector<Flow>& here = on_link_[port.link.index()];
    double load = 0, fastest = 0;
    std::size_t others = 0;
    for (const Flow flow : here) {
      const bool ours = mark_[flow] == solved && flows_[flow].next_rate >= 0;
      const double rate = ours ? flows_[flow].next_rate : flows_[flow].rate;
      load += rate;
      fastest = std::max(fastest, rate);
      others += ours ? 0 : 1;
    }
    if (others == 0) continue;
    const bool full = load >= capacity(port.link) * (1 - kSame);
    for (const Flow flow : here) {
      const State& state = flows_[flow];
      if (mark_[flow] == solved) continue;
      const bool holds = state.bottleneck != port.link || (full && fastest <= state.rate * (1 + kSame));
      const bool stays = holds && state.rate * (1 - kSame) <= port.level;
      if (!stays) {
        flows_[flow].next_rate = -1;
        add(flow);
      }
    }
  }
  return group_.size() > before;
}

void FairShare::set_rates() {
  for (const Flow flow : group_) {
    State& state = flows_[flow];
    if (state.next_rate == state.rate) continue;
    state.left = std::max(0.0, state.left - state.rate * (touched_at_ - state.since));
    state.since = touched_at_;
    state.rate = state.next_rate;
    ends_.set(flow, touched_at_ + state.left / state.rate);
  }
}

Seconds FairShare::next_end() {
  settle();
  return Seconds(ends_.empty() ? kNoLimit : ends_.first_time());
}

void FairShare::remove(Flow flow) {
  State& state = flows_[flow];
  state.active = false;
  ends_.erase(flow);
  for (const LinkId link : state.links) {
    std::vector<Flow>& here = on_link_[link.index()];
    here.erase(std::find(here.begin(), here.end(), flow));
    if (!here.empty()) freed_.push_back(link);
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
    const double end = ends_.first_time();
    touch_at(end);
    for (; !ends_.empty() && ends_.first_time() <= end + resolution_;) {
      const Flow flow = ends_.first();
      delivered_ += Bytes(flows_[flow].bytes);
      remove(flow);
      ended.push_back(flow);
    }
  }
  return ended;
}

}  // namespace flopcast
