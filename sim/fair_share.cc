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
    mark_.push_back(0);
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
  ++started_;
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
  if (group_.size() == 1 && is_alone(group_.front())) return set_rates();
  for (int round = 0; !group_.empty(); ++round) {
    if (round == kMostRounds) add_all_met();
    share();
    const bool grown = add_unsettled();
    for (const Port& port : ports_) way(port.link).port = kNoPort;
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
  for (const Flow flow : touched_) {
    if (!flows_[flow].active) continue;
    note_meetings(flow);
    add(flow);
  }
  for (const LinkId link : freed_)
    for (const Flow flow : way(link).flows)
      if (flows_[flow].bottleneck == link) add(flow);
  for (const LinkId link : changed_)
    for (const Flow flow : way(link).flows) add(flow);
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
    const Crossing& here = way(link).flows;
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
      Way& on = way(link);
      if (on.mark == round_) continue;
      on.mark = round_;
      for (const Flow other : on.flows) add(other);
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
      Way& on = way(link);
      if (on.port != kNoPort) continue;
      on.port = static_cast<std::uint32_t>(ports_.size());
      Port port{link, on.capacity, kNoLimit, 0};
      for (const Flow other : on.flows) {
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
    Port& port = ports_[way(link).port];
    port.left = std::max(0.0, port.left - rate);
    --port.open;
  }
}

bool FairShare::wider(const Offer& a, const Offer& b) { return a.rate != b.rate ? a.rate > b.rate : a.port > b.port; }

/// What each port gives its open flows. Of ports that one flow has for itself only the narrowest counts, the first of
/// equal ones: the flow is fixed before any other of them could be the narrowest of all.
void FairShare::offer_all() {
  narrowest_.clear();
  for (std::uint32_t i = 0; i < ports_.size(); ++i)
    if (ports_[i].open > 1) narrowest_.push_back({offered(ports_[i]), i});
  for (const Flow flow : group_) {
    Offer own{kNoLimit, kNoPort};
    for (const LinkId link : flows_[flow].links) {
      const Offer offer{0, way(link).port};
      const Port& port = ports_[offer.port];
      if (port.open == 1 && wider(own, {port.left, offer.port})) own = {port.left, offer.port};
    }
    if (own.port != kNoPort) narrowest_.push_back(own);
  }
  std::make_heap(narrowest_.begin(), narrowest_.end(), wider);
}

/// The port that gives its open flows least; null when none has any. What a port gives does not fall while rates are
/// fixed, so that the heap's top needs no more than a second look.
const FairShare::Port* FairShare::narrowest() {
  while (!narrowest_.empty()) {
    const Offer top = narrowest_.front();
    const Port& port = ports_[top.port];
    if (port.open > 0 && offered(port) == top.rate) return &port;
    std::pop_heap(narrowest_.begin(), narrowest_.end(), wider);
    if (port.open > 0) {
      narrowest_.back().rate = offered(port);
      std::push_heap(narrowest_.begin(), narrowest_.end(), wider);
    } else {
      narrowest_.pop_back();
    }
  }
  return nullptr;
}

/// Progressive filling of the group in what the other flows leave: the port that gives its flows least fixes their
/// rate; what is left is shared by the others. Flows that cannot go as fast keep their own cap.
void FairShare::share() {
  list_ports();
  offer_all();
  std::size_t next_cap = 0;
  for (;;) {
    const Port* least = narrowest();
    while (next_cap < caps_.size() && flows_[caps_[next_cap].second].next_rate >= 0) ++next_cap;
    const bool capped = next_cap < caps_.size() && (least == nullptr || caps_[next_cap].first <= offered(*least));
    if (capped) {
      fix_rate(caps_[next_cap].second, caps_[next_cap].first, LinkId());
      continue;
    }
    if (least == nullptr) break;
    const double rate = offered(*least);
    const LinkId link = least->link;
    Way& on = way(link);
    ports_[on.port].level = rate;
    for (const Flow flow : on.flows)
      if (in_group(flow) && flows_[flow].next_rate < 0) fix_rate(flow, rate, link);
  }
}

/// Takes in the flows on the group's ports whose rates cannot stay beside the group's new ones: who has lost its
/// bottleneck, and who is faster than those that a port holds up. False: nobody.
bool FairShare::add_unsettled() {
  const std::size_t before = group_.size();
  const std::uint32_t solved = round_;
  for (const Port& port : ports_) {
    const Way& on = way(port.link);
    const Crossing& here = on.flows;
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
    const bool full = load >= on.capacity * (1 - kSame);
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
    Crossing& here = way(link).flows;
    here.erase(flow);
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
