// Flows that come and go while a simulation is driven by events: max-min fair sharing, as the graph replay
// has it from SimGrid, without a solver's own clock. For simulations where what starts next depends on what
// ended (serving).
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "sim/calendar.h"
#include "sim/network.h"

namespace flopcast {

/// The flows of one network. A flow that meets no other costs two heap operations; when one starts or ends,
/// rates are found anew by progressive filling for those flows only that it meets, directly or over others
/// (Bertsekas and Gallager, Data Networks, 6.5.2). Tests hold it against SimGrid.
class FairShare {
 public:
  using Flow = std::uint32_t;
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
  /// Flows that have ended by `now` and had not been told; in order of their end.
  std::vector<Flow> ended_by(Seconds now);

  std::uint64_t started() const { return started_; }
  std::uint64_t shared() const { return shared_; }  ///< that met another flow on a link
  Bytes delivered() const { return delivered_; }

 private:
  static constexpr std::uint32_t kNoPort = ~std::uint32_t{0};
  struct State {
    std::vector<LinkId> links;
    double bytes = 0, left = 0, rate = 0, since = 0;
    double next_rate = 0;  ///< while rates are found; below zero: open
    std::uint32_t version = 0;
    bool active = false, met = false;
  };
  struct Port {
    LinkId link;
    double left = 0;  ///< bandwidth that no fixed flow takes
    int open = 0;     ///< flows whose rate is not fixed
  };
  struct Offer {
    double rate;  ///< to each open flow
    std::uint32_t port;
  };
  void touch_at(double now);
  void settle();
  void collect(Flow first);
  void list_ports();
  void fix_rate(Flow flow, double rate);
  static bool wider(const Offer& a, const Offer& b);
  void offer(std::uint32_t port);
  const Port* narrowest();
  void share(double now);
  void remove(Flow flow);
  void drop_stale();
  std::vector<Flow>& on_link(LinkId link);

  const Network& network_;
  double resolution_;
  std::vector<double> background_;  // per link; empty: none
  std::vector<State> flows_;
  std::vector<Flow> free_;
  std::vector<std::vector<Flow>> on_link_;  // active flows per shared link
  Calendar ends_;                           // key: flow and version; entries of older versions are stale
  std::vector<Flow> touched_;               // whose rates may have changed at touched_at_
  double touched_at_ = 0;
  std::vector<Flow> group_;  // flows whose rates are being found
  std::vector<Port> ports_;  // that they cross
  std::vector<std::pair<double, Flow>> caps_;
  std::vector<Offer> narrowest_;  // heap
  std::vector<std::uint32_t> port_of_link_, mark_, link_mark_;
  std::uint32_t round_ = 0;
  std::uint64_t started_ = 0, shared_ = 0;
  Bytes delivered_;
};

}  // namespace flopcast
