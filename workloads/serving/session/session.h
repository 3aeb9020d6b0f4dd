// A serving deployment at work: requests from their arrival through routers, replicas and the fabric to their
// last token.
//
// Driven by events on a clock of whole picoseconds. A session can be started, fed request by request or from
// a source, run up to a moment, and stopped; a larger simulation (reinforcement learning) does just that. Its parts:
//   ReplicaFleet        which replicas are up, and what wakes them (fleet.h)
//   RequestFlow  where requests are: frontend, routers, transfers between pools (request_flow.h)
//   FaultPlan    what fails, restarts or slows down, and when (fault_plan.h)
//   scaling.h    how many replicas a load asks for; drift of expert load
//   RequestBooks, Sampler  what is counted (books.h), and looked at every so often (sampler.h)
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "workloads/serving/session/books.h"
#include "workloads/serving/session/fault_plan.h"
#include "workloads/serving/session/fleet.h"
#include "workloads/serving/session/request_flow.h"
#include "workloads/serving/session/sampler.h"
#include "workloads/serving/session/session_config.h"
#include "workloads/serving/session/totals.h"

namespace flopcast {

class ServingSession {
 public:
  /// @param pricers one per pool. @param topology may be null where no pool hands on. @param source may be
  /// null: then requests come by submit().
  ServingSession(SessionConfig config, std::vector<PoolPricers> pricers, Topology* topology, RequestSource* source);
  ServingSession(const ServingSession&) = delete;
  ServingSession& operator=(const ServingSession&) = delete;

  /// A request that arrives at `request.arrival`, not before now().
  void submit(const Request& request);
  /// Everything up to and including `until`.
  void run_until(Seconds until);
  /// What happens next, if it happens by `until`. False: nothing does, and the clock stands where it stood.
  bool step(Seconds until);
  /// Takes out every request that has not left (counted as lost; the sink does not hear of it), in the order of their
  /// numbers: weights are replaced, and caches with them. @pre no pool hands on.
  std::vector<Unfinished> withdraw();
  /// The first pool's replicas from `first` on stop: they take no requests until start_from(), and what they had is
  /// taken out as by withdraw(). @pre no pool hands on, and a replica before them is up.
  std::vector<Unfinished> stop_from(std::size_t first);
  void start_from(std::size_t first);
  /// Where a replica of the first pool has nothing to do, and another more than its share of what is left: what that
  /// one has above it is taken out as by withdraw(), the youngest first. @pre no pool hands on.
  std::vector<Unfinished> even_out();
  /// Until the source is dry and every request has left, or the clock is at its end (SessionTotals::cut). False when
  /// `keep_going`, asked now and then, said stop.
  bool run(const std::function<bool(std::uint64_t requests)>& keep_going = {});
  /// All that changes while it runs, written (between two events: inside keep_going) or read into a session of the same
  /// configuration, which then goes on as the written one would have. False: the source or a router has a state of its
  /// own that cannot be kept.
  bool archive(StateArchive& state);
  /// No more requests from the source; those inside go on.
  void stop() { flow_.stop(); }
  Seconds now() const { return to_seconds(now_); }
  bool idle() const { return books_.live() == 0; }
  void on_result(ResultSink sink) { flow_.on_result(std::move(sink)); }

  SessionTotals totals() const;
  /// Of the first pool's replicas up to now: of iterations under way what is over.
  ReplicaCounters counters() const;

 private:
  Ticks next_tick();
  void advance_to(Ticks now);
  /// What goes on beside requests.
  void control();
  Ticks next_control() const;

  SessionConfig config_;
  Ticks now_ = 0;
  RequestBooks books_;
  JobTable jobs_;
  GapHistogram gaps_;
  RequestFlow flow_;
  ReplicaFleet fleet_;
  FaultPlan faults_;
  Sampler sampler_;
  Ticks next_control_ = 0;  // not after the next thing that goes on beside requests, but that replicas come up
  std::uint64_t events_ = 0;
  bool cut_ = false;
};

}  // namespace flopcast
