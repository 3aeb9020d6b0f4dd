// Requests on their way: from their arrival through frontend, routers, replicas and the fabric to their last token.
//
// Pools form a chain: a request enters the first and moves on to the next until one answers it.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "workloads/serving/session/books.h"
#include "workloads/serving/session/fleet.h"
#include "workloads/serving/session/frontend.h"
#include "workloads/serving/session/pool_router.h"
#include "workloads/serving/session/transfers.h"

namespace flopcast {

/// A request that was taken out before it was answered.
struct Unfinished {
  Request request;
  std::int32_t generated = 0;  ///< tokens of its answer
};

class RequestFlow final : public ReplicaListener {
 public:
  /// @param fleet may be constructed after this. @param source may be null: then requests come by submit().
  /// @param now the session's clock
  RequestFlow(const SessionConfig& config, Ticks request_overhead, ReplicaFleet& fleet, JobTable& jobs,
              RequestBooks& books, Topology* topology, RequestSource* source, const Ticks& now);

  void submit(const Request& request);
  /// When the next request comes, is read, or lands on another pool.
  Ticks next();
  /// Requests that have come or been read by now.
  void take_arrivals();
  Transfers& transfers() { return transfers_; }
  const Transfers& transfers() const { return transfers_; }
  /// Requests whose replicas have failed start again from their prompts, or are given up.
  void recover(std::vector<JobId> homeless);
  /// All that are not on a replica yet are added to `out`, and are no longer here.
  void abandon_incoming(std::vector<JobId>& out) { frontend_.abandon(out); }
  /// These leave without an answer, in the order of their numbers; the sink does not hear of it.
  std::vector<Unfinished> take_out(std::vector<JobId> jobs);
  /// More requests are to come.
  bool more_to_come() const { return source_ && is_finite(source_->next_arrival()); }
  void stop() {
    source_ = nullptr;
    next_arrival_.reset();
  }
  void on_result(ResultSink sink) { sink_ = std::move(sink); }
  /// False: the source or a router has a state of its own that cannot be kept.
  bool archive(StateArchive& state);

  // ReplicaListener
  void handed_on(JobId job, Ticks now) override;
  void placed(JobId job, Ticks now) override;
  void finished(JobId job, Ticks shown) override;
  void expired(JobId job, Ticks now) override;

 private:
  Ticks next_arrival();
  void arrive(const Request& request);
  void route(JobId job, std::size_t pool);
  bool turn_away_for(const Job& job, std::size_t pool);
  void start_again(JobId job);
  void leave(JobId job, RequestOutcome outcome, Ticks shown);

  const SessionConfig& config_;
  ReplicaFleet& fleet_;
  JobTable& jobs_;
  RequestBooks& books_;
  RequestSource* source_;
  const Ticks& now_;
  std::optional<Ticks> next_arrival_;  // of the source, since it was asked last
  ResultSink sink_;
  Frontend frontend_;
  std::vector<PoolRouter> routers_;  // by pool
  Transfers transfers_;
};

}  // namespace flopcast
