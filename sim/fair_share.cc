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

/// Networks grow while flows run.
void FairShare::know_links() {
  for (std::size_t i = ways_.size(); i < network_.link_count(); ++i) {
    const Link& link = network_.link(LinkId::at(i));
    Way& way = ways_.emplace_back();
    way.capacity = link.bandwidth.value();
    way.shared = link.shared;
  }
}

FairShare::Flow FairShare::start(Seconds now, std::span<const LinkId> links, Bytes bytes) {
  assert(bytes > Bytes(0));
  touch_at(now.value());
  if (free_.empty()) {
    free_.push_back(static_cast<Flow>(flows_.size()));
    flows_.emplace_back();
    group_.know(free_.back());
  }
  const Flow flow = free_.back();
  free_.pop_back();
  State& state = flows_[flow];
  state.links.clear();
  state.cap = kNoLimit;
  know_links();
  for (const LinkId id : links) {
    Way& on = way(id);
    if (on.shared) {
      state.links.push_back(id);
      on.flows.push_back(flow);
    } else {
      state.cap = std::min(state.cap, on.capacity);
    }
  }
  state.bytes = state.left = bytes.value();
  state.rate = 0;
  state.bottleneck = LinkId();
  state.since = now.value();
  state.active = true;
  state.met = false;
  touched_.push_back(flow);
  return flow;
}

void FairShare::set_background(Seconds now, LinkId link, BytesPerSecond taken) {
  assert(taken < network_.link(link).bandwidth);
  know_links();
  const double left = (network_.link(link).bandwidth - taken).value();
  if (way(link).capacity == left) return;
  touch_at(now.value());
  way(link).capacity = left;
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
  if (group_.flows().size() == 1 && is_alone(group_.flows().front())) return set_rates();
  for (int round = 0; !group_.flows().empty(); ++round) {
    if (round == kMostRounds) add_all_met();
    share();
    const bool grown = add_unsettled();
    for (const FlowPort& port : ports_.ports()) way(port.link).port = PortOffers::kNoPort;
    if (!grown) break;
  }
  set_rates();
}

/// Those whose rates cannot stay, to begin with: who started, whom the link held up that an ended flow has left, and
/// everybody on a link that has got wider or narrower.
void FairShare::begin_group() {
  group_.begin();
  for (const Flow flow : touched_) {
    if (!flows_[flow].active) continue;
    note_meetings(flow);
    group_.add(flow);
  }
  for (const LinkId link : freed_)
    for (const Flow flow : way(link).flows)
      if (flows_[flow].bottleneck == link) group_.add(flow);
  for (const LinkId link : changed_)
    for (const Flow flow : way(link).flows) group_.add(flow);
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
    if (way(link).flows.size() > 1) return false;
    const double all = way(link).capacity;
    if (all >= state.next_rate) continue;
    state.next_rate = all;
    state.bottleneck = link;
  }
  return true;
}

void FairShare::note_meetings(Flow flow) {
  for (const LinkId link : flows_[flow].links) {
    const LinkFlows& here = way(link).flows;
    if (here.size() < 2) continue;
    for (const Flow other : here) {
      shared_ += flows_[other].met ? 0 : 1;
      flows_[other].met = true;
    }
  }
}

/// Everything that the group shares links with, directly or over others.
void FairShare::add_all_met() {
  for (std::size_t next = 0; next < group_.flows().size(); ++next)
    for (const LinkId link : flows_[group_.flows()[next]].links) {
      Way& on = way(link);
      if (on.mark == group_.number()) continue;
      on.mark = group_.number();
      for (const Flow other : on.flows) group_.add(other);
    }
}

/// Ports of the group with what its other flows leave of them and how many of its own are open; own caps of flows,
/// smallest first.
void FairShare::list_ports() {
  ports_.clear();
  caps_.clear();
  for (const Flow flow : group_.flows()) {
    State& state = flows_[flow];
    state.next_rate = -1;
    for (const LinkId link : state.links) {
      Way& on = way(link);
      if (on.port != PortOffers::kNoPort) continue;
      FlowPort port{link, on.capacity};
      for (const Flow other : on.flows) {
        if (group_.has(other)) {
          ++port.open;
        } else {
          port.left -= flows_[other].rate;
          ++port.others;
        }
      }
      port.left = std::max(0.0, port.left);
      on.port = ports_.add(port);
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
    ports_[way(link).port].fix(rate);
  }
}

/// What each port gives its open flows. Of ports that one flow has for itself only the narrowest counts, the first of
/// equal ones: the flow is fixed before any other of them could be the narrowest of all.
void FairShare::offer_all() {
  for (std::uint32_t i = 0; i < ports_.ports().size(); ++i)
    if (ports_[i].open > 1) ports_.offer({ports_[i].offered(), i});
  for (const Flow flow : group_.flows()) {
    PortOffers::Offer own;
    for (const LinkId link : flows_[flow].links) {
      const std::uint32_t number = way(link).port;
      const FlowPort& port = ports_[number];
      if (port.open == 1 && PortOffers::Offer{port.left, number} < own) own = {port.left, number};
    }
    if (own.port != PortOffers::kNoPort) ports_.offer(own);
  }
}

/// Progressive filling of the group in what the other flows leave: the port that gives its flows least fixes their
/// rate; what is left is shared by the others. Flows that cannot go as fast keep their own cap.
void FairShare::share() {
  list_ports();
  offer_all();
  std::size_t next_cap = 0;
  for (;;) {
    const FlowPort* least = ports_.narrowest();
    while (next_cap < caps_.size() && flows_[caps_[next_cap].second].next_rate >= 0) ++next_cap;
    const bool capped = next_cap < caps_.size() && (least == nullptr || caps_[next_cap].first <= least->offered());
    if (capped) {
      fix_rate(caps_[next_cap].second, caps_[next_cap].first, LinkId());
      continue;
    }
    if (least == nullptr) break;
    const double rate = least->offered();
    const LinkId link = least->link;
    Way& on = way(link);
    ports_[on.port].level = rate;
    for (const Flow flow : on.flows)
      if (group_.has(flow) && flows_[flow].next_rate < 0) fix_rate(flow, rate, link);
  }
}

/// Takes in the flows on the group's ports whose rates cannot stay beside the group's new ones: who has lost its
/// bottleneck, and who is faster than those that a port holds up. False: nobody.
bool FairShare::add_unsettled() {
  const std::size_t before = group_.flows().size();
  for (const FlowPort& port : ports_.ports()) {
    if (port.others == 0) continue;  // most: all on it are in the group
    const Way& on = way(port.link);
    const LinkFlows& here = on.flows;
    double load = 0, fastest = 0;
    for (const Flow flow : here) {
      const bool ours = group_.has(flow) && flows_[flow].next_rate >= 0;
      const double rate = ours ? flows_[flow].next_rate : flows_[flow].rate;
      load += rate;
      fastest = std::max(fastest, rate);
    }
    const bool full = load >= on.capacity * (1 - kSame);
    for (const Flow flow : here) {
      const State& state = flows_[flow];
      if (group_.has(flow)) continue;
      const bool holds = state.bottleneck != port.link || (full && fastest <= state.rate * (1 + kSame));
      const bool stays = holds && state.rate * (1 - kSame) <= port.level;
      if (!stays) {
        flows_[flow].next_rate = -1;
        group_.add(flow);
      }
    }
  }
  return group_.flows().size() > before;
}

void FairShare::set_rates() {
  for (const Flow flow : group_.flows()) {
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
    LinkFlows& here = way(link).flows;
    here.erase(flow);
    if (!here.empty()) freed_.push_back(link);
  }
  free_.push_back(flow);
}

void FairShare::cancel(Seconds now, Flow flow) {
  touch_at(now.value());
  remove(flow);
}

const std::vector<FairShare::Flow>& FairShare::ended_by(Seconds now) {
  ended_.clear();
  while (next_end() <= now) {
    const double end = ends_.first_time();
    touch_at(end);
    for (; !ends_.empty() && ends_.first_time() <= end + resolution_;) {
      const Flow flow = ends_.first();
      delivered_ += Bytes(flows_[flow].bytes);
      remove(flow);
      ended_.push_back(flow);
    }
  }
  return ended_;
}

}  // namespace flopcast
