// Flows that come and go while a simulation is driven by events: max-min fair sharing, as the graph replay
// has it from SimGrid, without a solver's own clock. For simulations where what starts next depends on what
// ended (serving).
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "sim/base/state_archive.h"
#include "sim/flow_ends.h"
#include "sim/flow_sets.h"
#include "sim/network.h"
#include "sim/port_offers.h"

namespace flopcast {

/// The flows of one network. A flow that meets no other costs two heap operations. When one starts or ends, rates are
/// found anew by progressive filling (Bertsekas and Gallager, Data Networks, 6.5.2) for it and for those others only
/// whose rates cannot stay. They can as long as every flow has a bottleneck: a full link on which none is faster, or
/// its own cap. Rates with that property are the max-min fair ones, and there is one set of them (6.5.1), so that whom
/// this leaves alone would get the same rate again. Tests hold it against SimGrid.
class FairShare {
 public:
  using Flow = FlowNumber;
  /// @param resolution flows whose ends lie less than so far apart end together, at the first of these dates: ends that
  /// should fall together differ by rounding, and rates would be found anew after each.
  explicit FairShare(const Network& network, Seconds resolution = Seconds(0))
      : network_(network), resolution_(resolution.value()) {}

  /// Starts a flow at `now`, not before the last call's time. `bytes` above zero.
  Flow start(Seconds now, std::span<const LinkId> links, Bytes bytes);
  Flow start(Seconds now, RouteId route, Bytes bytes) { return start(now, network_.route(route), bytes); }
  /// So much of a shared link is taken by others from now on; less than its bandwidth.
  void set_background(Seconds now, LinkId link, BytesPerSecond taken);
  /// Ends a flow before its time (its sender failed).
  void cancel(Seconds now, Flow flow);
  /// When the next flow ends, if none starts before; infinity when there is none.
  Seconds next_end();
  /// Flows that have ended by `now` and were not reported before, in order of their end; valid until the next call.
  const std::vector<Flow>& ended_by(Seconds now);

  std::uint64_t shared() const { return shared_; }  ///< that met another flow on a link
  Bytes delivered() const { return delivered_; }
  void archive(StateArchive& state) {
    state(ways_, flows_, free_, ends_, touched_, freed_, changed_, touched_at_, group_, shared_, delivered_);
  }

 private:
  /// All that is asked of a link, side by side: a flow crosses links that none has crossed for a while.
  struct alignas(64) Way {
    double capacity = 0;                       // what others leave of its bandwidth
    std::uint32_t port = PortOffers::kNoPort;  // of ports_, while rates are found
    std::uint32_t mark = 0;                    // the round in which all its flows were added
    LinkFlows flows;
    bool shared = true;  // by flows; else a cap of each
    void archive(StateArchive& state) { state(capacity, mark, flows, shared); }
  };
  struct State {
    FlowLinks links;  // shared ones
    double cap = 0;   // of its own: the narrowest pipe that it shares with nobody
    double bytes = 0, left = 0, rate = 0, since = 0;
    double next_rate = 0;  // while rates are found; below zero: open
    LinkId bottleneck;     // on which nobody is faster; invalid: its own cap
    bool active = false, met = false;
    void archive(StateArchive& state) {
      state(links, cap, bytes, left, rate, since, next_rate, bottleneck, active, met);
    }
  };
  void touch_at(double now);
  void settle();
  void begin_group();
  void add_all_met();
  bool is_alone(Flow flow);
  void note_meetings(Flow flow);
  void know_links();
  void list_ports();
  void fix_rate(Flow flow, double rate, LinkId bottleneck);
  void offer_all();
  void share();
  bool add_unsettled();
  void set_rates();
  void remove(Flow flow);
  Way& way(LinkId link) { return ways_[link.index()]; }

  const Network& network_;
  double resolution_;
  std::vector<Way> ways_;  // by link
  std::vector<State> flows_;
  std::vector<Flow> free_;
  FlowEnds ends_;
  // What happened at touched_at_ and has not been dealt with: flows that started, links that lost a flow, and links
  // whose background changed.
  std::vector<Flow> touched_;
  std::vector<LinkId> freed_, changed_;
  double touched_at_ = 0;
  FlowRound group_;   // flows whose rates are being found
  PortOffers ports_;  // that they cross
  std::vector<std::pair<double, Flow>> caps_;
  std::vector<Flow> ended_;  // reported last
  std::uint64_t shared_ = 0;
  Bytes delivered_;
};

}  // namespace flopcast
