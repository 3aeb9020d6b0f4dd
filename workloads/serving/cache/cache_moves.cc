#include "workloads/serving/cache/cache_moves.h"

#include <algorithm>
#include <cmath>

namespace flopcast {
namespace {

/// Round up, so that a flow's end is never reported before it happens.
Ticks tick_after(Seconds time) { return static_cast<Ticks>(std::ceil(time.value() * kTicksPerSecond)); }

}  // namespace

std::uint32_t CacheMoves::new_flight() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(flights_.size()));
    flights_.emplace_back();
  }
  const std::uint32_t flight = free_.back();
  free_.pop_back();
  return flight;
}

Bytes CacheMoves::sent_early(const CacheMove& move) const {
  if (move.parts <= 1) return Bytes(0);
  const Network& network = topology_->network();
  BytesPerSecond rate = network.link(links_.front()).bandwidth;
  for (const LinkId link : links_) rate = std::min(rate, network.link(link).bandwidth);
  const bool by_nic = !topology_->same_node(move.sender, move.receiver);
  const Bytes possible = rate * pace_.efficiency * (by_nic ? 1 - move.from_busy / 2 : 1.0) * to_seconds(move.computing);
  return std::min(possible, move.bytes * (1 - 1.0 / move.parts));
}

void CacheMoves::start(const CacheMove& move, Ticks now) {
  const Seconds at = to_seconds(now);
  topology_->links_between(move.sender, move.receiver, links_);
  if (!topology_->same_node(move.sender, move.receiver)) {
    const Network& network = topology_->network();
    const auto share = [&](RankId gpu, Topology::Side side, double busy) {
      const LinkId nic = topology_->nic(gpu, side);
      fabric_.set_background(at, nic, network.link(nic).bandwidth * (busy / 2));
    };
    share(topology_->exit_gpu(move.sender, move.receiver), Topology::Side::egress, move.from_busy);
    share(move.receiver, Topology::Side::ingress, move.to_busy);
  }
  const std::uint32_t index = new_flight();
  Flight& flight = flights_[index];
  flight.move = move;
  const Bytes early = sent_early(move);
  flight.flow = fabric_.start(at, links_, (move.bytes - early) / pace_.efficiency);
  flight.begin = now;
  flight.latency = to_ticks(topology_->latency(move.sender, move.receiver) + pace_.setup);
  flight.state = State::flowing;
  if (flight.flow >= flight_of_flow_.size()) flight_of_flow_.resize(flight.flow + 1);
  flight_of_flow_[flight.flow] = index;
}

Ticks CacheMoves::next(Ticks now) {
  Ticks next = landings_.empty() ? kNeverTick : landings_.top().at;
  const Seconds end = fabric_.next_end();
  if (end < kNever) next = std::min(next, std::max(now, tick_after(end)));
  return next;
}

void CacheMoves::end_flows(Ticks now) {
  const Seconds end = fabric_.next_end();
  if (end == kNever || tick_after(end) > now) return;
  for (const FairShare::Flow flow : fabric_.ended_by(std::max(end, to_seconds(now)))) {
    Flight& flight = flights_[flight_of_flow_[flow]];
    flight.state = State::landing;
    delivered_ += flight.move.bytes * flight.move.lanes;
    landings_.push({now + flight.latency, flight_of_flow_[flow]});
  }
}

const std::vector<CacheMove>& CacheMoves::landed(Ticks now) {
  landed_.clear();
  end_flows(now);
  while (!landings_.empty() && landings_.top().at <= now) {
    const std::uint32_t index = landings_.top().flight;
    landings_.pop();
    Flight& flight = flights_[index];
    if (flight.state == State::landing) {
      ++count_;
      time_ += now - flight.begin;
      landed_.push_back(flight.move);
    }
    flight.state = State::free;
    free_.push_back(index);
  }
  return landed_;
}

std::vector<CacheMove> CacheMoves::cancel(std::uint32_t replica, Ticks now) {
  std::vector<CacheMove> cancelled;
  for (std::uint32_t i = 0; i < flights_.size(); ++i) {
    Flight& flight = flights_[i];
    if (flight.state != State::flowing && flight.state != State::landing) continue;
    if (flight.move.from != replica && flight.move.to != replica) continue;
    cancelled.push_back(flight.move);
    // One whose last byte is under way keeps its number until that moment.
    const bool flowing = flight.state == State::flowing;
    flight.state = flowing ? State::free : State::cancelled;
    if (!flowing) continue;
    fabric_.cancel(to_seconds(now), flight.flow);
    free_.push_back(i);
  }
  return cancelled;
}

}  // namespace flopcast
