// Flows that come and go while a simulation is driven by events: max-min fair sharing, as the graph replay
// has it from SimGrid, without a solver's own clock. For simulations where what starts next depends on what
// ended (serving).
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "sim/base/state_archive.h"
#include "sim/flow_ends.h"
#include "sim/network.h"

namespace flopcast {

/// The flows of one network. A flow that meets no other costs two heap operations. When one starts or ends, rates are
/// found anew by progressive filling (Bertsekas and Gallager, Data Networks, 6.5.2) for it and for those others only
/// whose rates cannot stay. They can as long as every flow has a bottleneck: a full link on which none is faster, or
/// its own cap. Rates with that property are the max-min fair ones, and there is one set of them (6.5.1), so that whom
/// this leaves alone would get the same rate again. Tests hold it against SimGrid.
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
  /// Flows that have ended by `now` and were not reported before, in order of their end.
  std::vector<Flow> ended_by(Seconds now);

  std::uint64_t started() const { return started_; }
  std::uint64_t shared() const { return shared_; }  ///< that met another flow on a link
  Bytes delivered() const { return delivered_; }
  void archive(StateArchive& state) {
    state(ways_, flows_, free_, ends_, touched_, freed_, changed_, touched_at_, mark_, round_, started_, shared_,
          delivered_);
  }

 private:
  static constexpr std::uint32_t kNoPort = ~std::uint32_t{0};
  /// Most routes cross a few shared links.
  class Links {
   public:
    void clear() {
      count_ = 0;
      more_.clear();
    }
    void push_back(LinkId link) {
      if (count_ < kFew) few_[count_] = link;
      if (count_ == kFew) more_.assign(few_.begin(), few_.end());
      if (count_++ >= kFew) more_.push_back(link);
    }
    const LinkId* begin() const { return count_ > kFew ? more_.data() : few_.data(); }
    const LinkId* end() const { return begin() + count_; }
    void archive(StateArchive& state) { state(few_, count_, more_); }

   private:
    static constexpr std::size_t kFew = 6;
    std::array<LinkId, kFew> few_;
    std::size_t count_ = 0;
    std::vector<LinkId> more_;  // all of them, when they are more than a few
  };
  /// Active flows on a link, in the order in which they came. Few on most: those stand in the link itself.
  class Crossing {
   public:
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    const Flow* begin() const { return more_ ? more_->data() : few_.data(); }
    const Flow* end() const { return begin() + size_; }
    void archive(StateArchive& state) {
      bool many = more_ != nullptr;
      state(many, size_, few_);
      if (many && !more_) more_ = std::make_unique<std::vector<Flow>>();
      if (many) state(*more_);
    }
    void push_back(Flow flow) {
      if (size_ == kFew && !more_) more_ = std::make_unique<std::vector<Flow>>(few_.begin(), few_.end());
      if (more_) {
        more_->push_back(flow);
      } else {
        few_[size_] = flow;
      }
      ++size_;
    }
    void erase(Flow flow) {
      Flow* const first = more_ ? more_->data() : few_.data();
      Flow* const last = first + size_;
      std::move(std::find(first, last, flow) + 1, last, std::find(first, last, flow));
      if (more_) more_->pop_back();
      if (--size_ == 0) more_.reset();
    }

   private:
    static constexpr std::size_t kFew = 6;
    std::unique_ptr<std::vector<Flow>> more_;  // all of them, once they have been more than a few
    std::uint32_t size_ = 0;
    std::array<Flow, kFew> few_{};
  };
  /// All that is asked of a link, side by side: a flow crosses links that none has crossed for a while.
  struct alignas(64) Way {
    double capacity = 0;           // what others leave of its bandwidth
    std::uint32_t port = kNoPort;  // of ports_, while rates are found
    std::uint32_t mark = 0;        // the round in which all its flows were added
    Crossing flows;
    bool shared = true;  // by flows; else a cap of each
    void archive(StateArchive& state) { state(capacity, mark, flows, shared); }
  };
  struct State {
    Links links;     // shared ones
    double cap = 0;  // of its own: the narrowest pipe that it shares with nobody
    double bytes = 0, left = 0, rate = 0, since = 0;
    double next_rate = 0;  // while rates are found; below zero: open
    LinkId bottleneck;     // on which nobody is faster; invalid: its own cap
    bool active = false, met = false;
    void archive(StateArchive& state) {
      state(links, cap, bytes, left, rate, since, next_rate, bottleneck, active, met);
    }
  };
  struct Port {
    LinkId link;
    double left = 0;   // bandwidth that no fixed flow takes
    double level = 0;  // what flows get that this port holds up; infinity: none
    int open = 0;      // flows whose rate is not fixed
  };
  struct Offer {
    double rate;  // to each open flow
    std::uint32_t port;
  };
  void touch_at(double now);
  void settle();
  void begin_group();
  void add(Flow flow);
  void add_all_met();
  bool in_group(Flow flow) const { return mark_[flow] == round_; }
  bool is_alone(Flow flow);
  void note_meetings(Flow flow);
  void know_links();
  void list_ports();
  void fix_rate(Flow flow, double rate, LinkId bottleneck);
  static bool wider(const Offer& a, const Offer& b);
  double offered(const Port& port) const { return port.left / port.open; }
  void offer_all();
  const Port* narrowest();
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
  std::vector<Flow> group_;  // flows whose rates are being found
  std::vector<Port> ports_;  // that they cross
  std::vector<std::pair<double, Flow>> caps_;
  std::vector<Offer> narrowest_;  // heap
  std::vector<std::uint32_t> mark_;
  std::uint32_t round_ = 0;
  std::uint64_t started_ = 0, shared_ = 0;
  Bytes delivered_;
};

}  // namespace flopcast
