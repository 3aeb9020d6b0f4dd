// A serving deployment at work: requests from their arrival through routers, replicas and the fabric to their
// last token.
//
// Driven by events on a clock of whole picoseconds. A session can be started, fed request by request or from
// a source, run up to a moment, and stopped; a larger simulation (reinforcement learning) does just that.
//
// Pools form a chain: a request enters the first and moves on to the next until one answers it. What it takes along (KV
// caches from prefill to decode, an encoder's output) is a flow on the cluster's links (sim/fair_share.h): where flows
// meet they share max-min fairly.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <vector>

#include "hwmodels/fabric/topology.h"
#include "workloads/serving/autoscale.h"
#include "workloads/serving/cache/cache_moves.h"
#include "workloads/serving/failures.h"
#include "workloads/serving/metrics/metrics.h"
#include "workloads/serving/metrics/time_series.h"
#include "workloads/serving/replica/backlog.h"
#include "workloads/serving/replica/replica.h"
#include "workloads/serving/router.h"

namespace flopcast {

/// Replicas of one kind, on consecutive GPUs.
struct PoolConfig {
  std::string name;  ///< "replicas", "prefill", "decode"
  ReplicaConfig replica;
  std::optional<std::size_t> next;  ///< pool that requests go on to; none: they are answered here (gives_answers())
  ServingPlan plan;
  int replicas = 1;
  std::string router = "least_outstanding";
  std::shared_ptr<const RouterRow> own_router;  ///< of the caller (flopcast/extend.h), instead
  int first_gpu = 0;
  std::vector<std::size_t>
      pace;  ///< level of expert load, period by period, from the beginning again at the end; empty: the first
  Seconds pace_period;
  Bytes kv_bytes_per_token;  ///< all GPUs of an attention group together, each byte once; what moves to the next pool
  Seconds tokenise;          ///< per token of a prompt, before it is queued; of the first pool
  AutoscaleConfig autoscale;
  /// Of each replica from the first on, which kind of slow ones (PoolPricers::slow) it is; -1, and those beyond: none.
  std::vector<int> slow;
};

/// What prices the iterations of a pool: one pricer, or one per level of expert load, which PoolConfig::pace chooses
/// from; and the same for each kind of replica that is slower than its data sheet (PoolConfig::slow).
struct PoolPricers {
  PoolPricers(IterationPricer* only) : levels{only} {}
  explicit PoolPricers(std::vector<IterationPricer*> all) : levels(std::move(all)) {}
  std::vector<IterationPricer*> levels;
  std::vector<std::vector<IterationPricer*>> slow;
};

struct SessionConfig {
  std::vector<PoolConfig> pools;  ///< requests enter the first
  std::vector<ServiceLevel> levels;
  FailureConfig failures;
  std::shared_ptr<const ClassRules> classes;  ///< null: all alike, without deadlines
  /// A prefill replica sends a cache in so many equal parts while the prompt is computed (layers); 1: after it.
  int send_in_parts = 1;
  CachePace cache_pace;
  Seconds warm_up;  ///< after the first arrival: rates are taken from then on, to the last arrival
  std::uint64_t seed = 1;
};

struct PoolTotals {
  std::string name;
  ReplicaRole role = ReplicaRole::unified;
  int replicas = 0;
  int gpus = 0;  ///< of one replica
  ReplicaCounters counters;
  KvCounters kv;
  TimeSeries kv_share, running, waiting, up;
  TimeSeries busy;  ///< share of the time of replicas that are up, in iterations
  double mean_kv_share = 0, mean_replicas = 0;
  std::int64_t kv_capacity_tokens = 0;
  std::int64_t pages_in_use = 0;                ///< at the end: 0 when nothing leaked
  Seconds up_time;                              ///< summed over replicas, starting ones included
  Seconds starting_time;                        ///< of that, until they took requests
  Seconds broken_time;                          ///< failed or restarting, until they are back
  Seconds standby_time;                         ///< given back by autoscaling, but paid for (AutoscaleConfig::standby)
  std::int64_t scaled_up = 0, scaled_down = 0;  ///< replicas that autoscaling started, and gave back
  Seconds idle_time() const { return broken_time + standby_time; }
  Seconds paid_time() const { return up_time + idle_time(); }
};

/// Tokens handled up to a moment, those of requests on replicas that then failed left out.
struct TokenSnapshot {
  Seconds at;
  std::int64_t prompts = 0;  ///< tokens of prompts that gave their first token, cached ones included
  std::int64_t answers = 0;
};

struct SessionTotals {
  ServingMetrics metrics{std::vector<ServiceLevel>{}};
  GapHistogram gaps;
  BacklogCurve backlog;
  std::vector<PoolTotals> pools;
  TokenSnapshot steady_begin, steady_end;  ///< between warm-up and the last arrival; equal where the run was too short
  Seconds begin, end;                      ///< first arrival, last event of a request
  std::int64_t transfers = 0, contended_transfers = 0, failures = 0, retried = 0;
  std::int64_t retried_tokens = 0;  ///< of prompts, that had been computed when their replica failed
  Bytes transferred;
  Seconds transfer_time;  ///< sum over transfers
  /// Integral over time of the requests in the system, and sum of their times in it: the same number (Little's law).
  WideTicks in_system = 0, sojourns = 0;
  std::uint64_t events = 0;
  std::uint64_t too_long = 0;  ///< rejected because no replica could ever hold them
  bool cut = false;       ///< the session met the end of its clock, kLongestSession, with requests inside or to come
  std::int64_t live = 0;  ///< requests inside
  /// Of a request of each class, how many of its class came at the very moment, on average, itself included; those that
  /// came with the first of all left out. Users who march in step come together.
  std::vector<double> together;
  Seconds duration() const { return end - begin; }
};

/// A request that was taken out before it was answered.
struct Unfinished {
  Request request;
  std::int32_t generated = 0;  ///< tokens of its answer
};

/// Told of every request that has left.
using ResultSink = std::function<void(const Request&, const RequestResult&)>;

class ServingSession final : private ReplicaListener {
 public:
  /// @param pricers one per pool. @param topology may be null where no pool hands on. @param source may be
  /// null: then requests come by submit().
  ServingSession(SessionConfig config, std::vector<PoolPricers> pricers, Topology* topology, RequestSource* source);
  ~ServingSession() override;

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
  void stop() { source_ = nullptr; }
  Seconds now() const { return to_seconds(now_); }
  bool idle() const { return live_ == 0; }
  void on_result(ResultSink sink) { sink_ = std::move(sink); }

  SessionTotals totals() const;

 private:
  struct Pool {
    PoolConfig config;
    std::unique_ptr<Router> router;
    bool router_sees_prefix = false, router_sees_kv = false;
    std::unique_ptr<PoolScaler> scaler;
    std::vector<ReplicaView> views;
    std::vector<IterationPricer*> levels;
    Ticks next_pace = kNeverTick;
    std::size_t period = 0;  ///< of its pace
    std::vector<std::vector<IterationPricer*>> slow;
    std::int64_t scaled_up = 0, scaled_down = 0;
    std::size_t first = 0;  ///< of replicas_
    TimeSeries kv_share, running, waiting, up, busy;
    WideTicks busy_sampled = 0;           ///< of all its units, at the last sample
    double sum_kv_share = 0, sum_up = 0;  ///< over samples, weighted by their period in seconds
    bool archive(StateArchive& state);
  };
  enum class State : std::uint8_t {
    up,
    starting,
    draining,  ///< answers what it has, and goes
    down,      ///< given back by autoscaling
    broken,    ///< failed, being repaired
  };
  struct Unit {
    std::unique_ptr<Replica> replica;
    std::size_t pool = 0;
    State state = State::up;
    Ticks changes = kNeverTick;                         ///< a starting or failed one is up then
    Ticks since = 0;                                    ///< it has been up, broken or down
    Ticks up_time = 0, broken_time = 0, down_time = 0;  ///< before
    Ticks starts = 0;                                   ///< it has been starting since,
    Ticks starting_time = 0;                            ///< and has been before
    int slow = -1;                                      ///< kind of slow replica that it is
    Ticks next = kNeverTick;                            ///< its event in the queue
    std::int64_t coming = 0;                            ///< requests sent on to it, without a place there yet
    Ticks restarts = 0;                                 ///< 0, or what a restart takes once it is empty
    bool dirty = false;
    void archive(StateArchive& state, std::span<IterationPricer* const> pricers);
    bool empty() const { return replica->load().outstanding + coming == 0; }
  };
  struct Due {
    Ticks at;
    std::uint32_t what;
    friend bool operator>(const Due& a, const Due& b) { return a.at != b.at ? a.at > b.at : a.what > b.what; }
  };
  using DueQueue = std::priority_queue<Due, std::vector<Due>, std::greater<>>;

  // ReplicaListener
  void handed_on(JobId job, Ticks now) override;
  void placed(JobId job, Ticks now) override;
  void finished(JobId job, Ticks now) override;
  void expired(JobId job, Ticks now) override;

  Ticks next_tick();
  void advance_to(Ticks now);
  void take_arrivals();
  void enqueue(const Request& request);
  void note_company(std::uint16_t request_class, Ticks arrival);
  void route(JobId job, std::size_t pool);
  RankId first_gpu(const Pool& pool, std::size_t unit, std::uint32_t group) const;
  void send(JobId job, std::size_t unit);
  void land_caches();
  void cancel_moves(std::size_t unit, std::vector<JobId>& homeless);
  void advance_replicas();
  void control();
  void change_pace(std::size_t pool);
  void sample();
  TokenSnapshot snapshot() const;
  bool in_time(const Job& job, Ticks shown) const;
  void fail(std::size_t unit, Seconds repair);
  void take_down(std::size_t unit, Seconds repair, std::vector<JobId>& homeless);
  void recover_all(std::vector<JobId> homeless);
  Ticks next_fault() const;
  void stated_faults();
  void restart(std::size_t unit, Seconds repair);
  void slow_down(std::size_t unit, int kind);
  void withdraw_waiting(std::size_t source, std::vector<JobId>& homeless);
  void recover(JobId job);
  std::vector<Unfinished> take_out(std::vector<JobId> jobs);
  void autoscale(Pool& pool);
  void change_at(Unit& unit, Ticks when);
  void set_state(Unit& unit, State state);
  /// Of a span, what lies behind the first arrival: a report begins there.
  Ticks counted_since(Ticks from, Ticks to) const {
    return first_arrival_ < 0 ? 0 : std::max<Ticks>(0, to - std::max(from, first_arrival_));
  }
  void touch(std::size_t unit);
  void wake_dirty();
  void refresh(std::size_t unit);
  void leave(JobId job, RequestOutcome outcome) { leave(job, outcome, now_); }
  void leave(JobId job, RequestOutcome outcome, Ticks shown);

  SessionConfig config_;
  RequestSource* source_;
  Topology* topology_;
  std::unique_ptr<CacheMoves> moves_;  // none where no pool hands on
  ResultSink sink_;
  JobTable jobs_;
  GapHistogram gaps_;
  ServingMetrics metrics_;
  std::vector<Pool> pools_;
  std::vector<Unit> units_;
  DueQueue queue_;                                // of replicas
  std::deque<std::pair<Ticks, JobId>> incoming_;  // being read and tokenised; in the order of time
  Ticks request_overhead_ = 0, tokenise_ = 0;
  /// Requests of a class that came at the same moment.
  struct Company {
    Ticks at = -1;
    std::int64_t here = 0, requests = 0, sum_of_squares = 0;
    void end() {
      requests += here;
      sum_of_squares += here * here;
      here = 0;
    }
  };
  std::vector<Company> company_;  // by class
  std::vector<std::uint32_t> dirty_;
  Ticks sample_period_ = 0;
  Ticks now_ = 0, first_arrival_ = -1, last_event_ = 0, next_sample_ = 0;
  Ticks next_change_ = kNeverTick;  // not after the first Unit::changes
  FailureProcess failing_;
  struct Restart {
    Ticks at;
    std::size_t fault, next;  ///< place in its list of replicas
  };
  std::size_t next_stated_ = 0;    // of config_.failures.stated
  std::vector<Restart> restarts_;  // rolling ones that are under way
  struct Recovery {
    Ticks at;
    std::size_t unit;
    int slow;  ///< as it was before
  };
  std::vector<Recovery> recoveries_;  // of replicas that were slow for a while
  double sampled_seconds_ = 0;
  TokenSnapshot steady_begin_, steady_end_;
  TokenSnapshot wasted_;  // handled by replicas that then failed
  std::uint64_t requests_at_sample_ = 0;
  BacklogCurve backlog_;
  std::int64_t live_ = 0, failures_ = 0, retried_ = 0, retried_tokens_ = 0;
  WideTicks in_system_ = 0, sojourns_ = 0;
  std::uint64_t events_ = 0, requests_ = 0, too_long_ = 0;
  bool cut_ = false;
};

}  // namespace flopcast
