// One replica of a serving engine: queues, batches, a KV cache per attention group, iterations one after the
// other.
//
// Attention groups (data-parallel attention) have requests of their own and run their iterations in step; the
// slowest sets the pace. While a decoding batch does not change, its iterations are jumped over in closed
// form up to the next finish, arrival or lack of pages; the results are, to the last bit, those of single
// iterations (ReplicaConfig::jump switches it off).
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "workloads/serving/cache/page_demand.h"
#include "workloads/serving/pricing/engine.h"
#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/replica/gap_histogram.h"
#include "workloads/serving/replica/job.h"

namespace flopcast {

enum class ReplicaRole : std::uint8_t {
  unified,  ///< prompts and answers
  prefill,  ///< prompts, up to the first token; the cache then moves to a decoding replica
  decode,   ///< answers, from caches that arrive
};

/// What crosses the NIC of each GPU, as the time it takes there.
struct NicLoad {
  double prompt_token = 0;  ///< ticks of exchange between experts, per token of a prompt
  double request = 0;       ///< per decoding request and iteration
  double cached_token = 0;  ///< of a KV cache that leaves or arrives
  bool overlapped = false;  ///< exchange has the whole iteration to hide in (two micro-batches)
};

struct ReplicaConfig {
  ReplicaRole role = ReplicaRole::unified;
  SchedulerConfig scheduler;
  SpeculationConfig speculation;
  int groups = 1;               ///< attention groups
  bool experts_shared = false;  ///< by all groups, which then wait for each other's tokens
  KvCacheConfig cache;          ///< of one group
  /// Time to bring one cached token back from host memory and from storage, per attention group.
  PerTier<Ticks> restore_ticks_per_token;
  /// Decode replicas take a cache in when so many tokens are left for each request that is there.
  int reserved_tokens = 0;
  NicLoad nic;
  bool jump = true;
};

/// Told of what happens on a replica, at the moment `now` of the boundary between two iterations.
class ReplicaListener {
 public:
  virtual ~ReplicaListener() = default;
  /// A prefill replica computed the prompt; the job keeps its pages there until release().
  virtual void prefilled(JobId job, Ticks now) = 0;
  /// A decode replica has room for the job's cache: join() it when the cache has arrived.
  virtual void placed(JobId job, Ticks now) = 0;
  virtual void finished(JobId job, Ticks now) = 0;
};

struct ReplicaCounters {
  std::int64_t iterations = 0;         ///< decoding or with prompts
  std::int64_t prompt_iterations = 0;  ///< of those, with prompts
  std::int64_t prompt_tokens = 0;      ///< computed, recomputation included
  std::int64_t recomputed_tokens = 0;  ///< computed again after a preemption
  std::int64_t decode_tokens = 0;      ///< sum over decoding iterations of tokens given
  std::int64_t decode_requests = 0;    ///< sum over decoding iterations of the batch
  std::int64_t preemptions = 0, swaps = 0;
  std::int64_t steps = 0;               ///< events it took
  Ticks busy = 0;                       ///< time in iterations
  Ticks prompt_time = 0;                ///< of it, what prompts added to iterations
  std::int64_t prompts_done = 0;        ///< prompts that gave their first token
  std::int64_t prompt_tokens_done = 0;  ///< of those, cached tokens included
  ReplicaCounters& operator+=(const ReplicaCounters& o);
  ReplicaCounters operator-(const ReplicaCounters& o) const;  ///< what happened since
};

class Replica {
 public:
  Replica(std::uint32_t id, const ReplicaConfig& config, IterationPricer& pricer, JobTable& jobs, GapHistogram& gaps,
          ReplicaListener& listener);

  /// Whether the job could ever run here: its whole context fits into a group's cache.
  bool fits(const Request& request) const;
  bool queue_full() const { return waiting_ >= static_cast<std::size_t>(config_.scheduler.max_waiting); }
  /// Queues a job, on the group with least to do.
  void submit(JobId job, Ticks now);
  /// Decode replicas: the cache of a placed job is here. `busy`: the share of its time in which it met the exchange of
  /// experts.
  void join(JobId job, Ticks now, double busy);
  /// Prefill replicas: the cache of a prefilled job (Job::source) has left, or is not wanted any more (`busy` 0).
  void release(JobId job, Ticks now, double busy);
  /// Decode replicas: the cache of a placed job does not arrive.
  void unplace(JobId job, Ticks now);
  /// Decode replicas: jobs in the queue whose cache is on that prefill replica leave it.
  std::vector<JobId> withdraw(std::uint32_t source);
  /// All jobs it has, in order of their number; the replica is empty then. For failures.
  std::vector<JobId> abandon(Ticks now);

  /// Other prices from the next iteration on.
  void set_pricer(IterationPricer& pricer, Ticks now);

  /// When something happens next: running iterations end, or a cached prompt is back in HBM.
  Ticks next_event() const;
  /// It happens (`now` = next_event()).
  void advance(Ticks now);
  /// Starts iterations if it stands still and there is something to do.
  void wake(Ticks now);

  std::int64_t outstanding() const { return outstanding_; }
  std::int64_t queued_tokens() const { return queued_tokens_; }
  std::int64_t waiting() const { return static_cast<std::int64_t>(waiting_); }
  std::int64_t running() const { return outstanding_ - static_cast<std::int64_t>(waiting_); }
  std::int64_t kv_tokens(Ticks now) const;  ///< held by its requests
  std::int64_t kv_capacity_tokens() const;
  /// Tokens of answers that it has given by now, whole iterations.
  std::int64_t tokens_given(Ticks now) const;
  /// Time in iterations by now, the one that runs included.
  Ticks busy(Ticks now) const { return counters_.busy + (running_ ? now - begin_ : Ticks{0}); }
  std::int32_t match(const Request& request) const;  ///< most that a group's cache has of its prompt
  const ReplicaCounters& counters() const { return counters_; }
  /// With the iterations of a running jump that are over by now, and the time in the running one.
  ReplicaCounters counters_at(Ticks now) const;
  /// Share of an iteration in which the exchange of experts has the NICs at work, as batches are now.
  double exchange_share() const;
  /// An iteration whose prompts fill the token budget, each of so many tokens to compute behind `cached` ones.
  Ticks full_prompt_iteration(std::int64_t computed, std::int64_t cached) const;
  KvCounters kv_counters() const;
  std::int64_t pages_in_use() const;
  const ReplicaConfig& config() const { return config_; }
  std::uint32_t id() const { return id_; }

 private:
  /// Something happens to a decoding job before iteration `at`.
  struct Event {
    std::int64_t at;
    JobId job;
    std::uint32_t epoch;
    friend bool operator>(const Event& a, const Event& b) { return a.at != b.at ? a.at > b.at : a.job > b.job; }
  };
  /// Least first.
  class EventHeap {
   public:
    bool empty() const { return events_.empty(); }
    const Event& top() const { return events_.front(); }
    void push(Event event);
    void pop();
    void clear() { events_.clear(); }

   private:
    std::vector<Event> events_;
  };
  struct Piece {
    JobId job;
    std::int32_t tokens;
  };
  struct Group {
    explicit Group(const KvCacheConfig& config) : cache(config), demand(config.page_tokens) {}
    KvCache cache;
    std::deque<JobId> waiting;
    std::deque<JobId> swapped;
    std::vector<JobId> prompting;  ///< admitted, context not yet computed; in order of admission
    std::vector<JobId> decoding;
    std::vector<JobId> arrived;  ///< decode replicas: to join at the next boundary
    std::vector<Piece> pieces;   ///< of prompts, in the running iteration
    EventHeap finishes;
    EventHeap page_needs;                           ///< of requests that hold more or less than their tokens fill
    PageDemand demand;                              ///< of the others
    std::int64_t provided = 0;                      ///< all have the pages that iterations below need
    std::deque<std::pair<Ticks, JobId>> restoring;  ///< caches on their way up from lower tiers, one after the other
    Ticks restored_at = 0;                          ///< when the last of them is there
    std::int64_t placed = 0;                        ///< decode replicas: caches on their way
    std::int64_t kv = 0;                            ///< cached tokens of decoding jobs at the next iteration
    double lost = 0;  ///< ticks of exchange, to caches that left or came since the last iteration began
    Ticks load = 0;   ///< what the prompts of its jobs take alone: where the next one goes
    std::int64_t batch() const { return static_cast<std::int64_t>(decoding.size()); }
  };

  // Ending iterations.
  void boundary(Ticks now);
  void keep_what_is_over(Ticks now);
  Ticks next_restored() const;
  std::int64_t iterations_passed(Ticks now) const;
  Ticks work_of(const Job& job) const;
  void commit(Ticks now);
  void commit_decode(std::int64_t n, Ticks now);
  void commit_pieces(Group& group, Ticks now);
  void finish_due(Group& group, Ticks now);
  void provide_pages(Group& group, std::int64_t before);
  bool provide_at_once(Group& group, std::int64_t before);
  void provide_in_turn(Group& group, std::int64_t iteration);
  std::vector<Event> take_page_needs(Group& group, std::int64_t before);
  bool alive(const Event& event) const;
  // Starting iterations.
  void start(Ticks now);
  void admit_arrivals(Group& group, Ticks now);
  void take_pieces(Group& group, Ticks now);
  bool take_piece(Group& group, JobId job, std::int64_t& budget);
  std::int64_t twice_pairs(const Group& group) const;
  void balance_pieces();
  bool admit(Group& group, JobId job, Ticks now);
  void place(Group& group, Ticks now);
  void bring_back(Group& group);
  bool has_slot(const Group& group) const;
  std::int32_t reserve_of(const Job& job) const;
  double mean_tokens() const;
  Ticks prompt_ticks();
  Ticks decode_ticks();
  void find_pace();
  std::int64_t jump_length() const;
  void truncate(Ticks now);
  void run_for(Ticks now, Ticks duration);
  double lost_exchange(const Job& job, double busy) const;
  Ticks slowed_exchange(Ticks duration);
  void forget_moves();
  double exchange_ticks() const;
  // Jobs.
  void begin_decoding(Group& group, JobId job);
  void leave_decoding(Group& group, JobId job);
  void preempt(Group& group, JobId job);
  JobId youngest(const Group& group) const;
  void count_pages(Group& group, JobId job, std::int64_t at);
  std::int64_t page_offset(const Job& job) const { return job.base - pattern_.tokens(job.joined); }
  std::int64_t next_page_need(const Group& group) const;
  std::int64_t length_at(const Job& job, std::int64_t iteration) const {
    return job.base + pattern_.tokens(job.joined, iteration - job.joined);
  }
  std::int64_t group_of(const Job& job) const;
  void note_tokens(std::int64_t n, Ticks now);
  void note_gaps(std::int64_t from, std::int64_t n, std::int64_t requests);
  Ticks iteration_ticks(std::int64_t i) const;

  std::uint32_t id_;
  ReplicaConfig config_;
  IterationPricer* pricer_;
  IterationPricer* next_pricer_ = nullptr;
  JobTable* jobs_;
  GapHistogram* gaps_;
  ReplicaListener* listener_;
  TokenPattern pattern_;
  std::vector<Group> groups_;

  bool running_ = false;
  bool truncated_ = false;  // something has happened that the next iteration may heed: end_ is its boundary
  bool prompts_ = false;    // the running iteration has prompts
  bool decodes_ = false;    // and decoding requests advance in it
  Ticks begin_ = 0, end_ = 0;
  Ticks debt_ = 0;                     // transfers that the next iteration waits for
  std::int64_t prompt_tokens_ = 0;     // of the running iteration, on the group with most
  double prompt_share_ = 0;            // exchange_share() of prompts
  std::int64_t iteration_ = 0;         // decoding iterations so far: index of the next
  std::int64_t jump_ = 0;              // iterations until end_
  std::size_t pace_group_ = 0;         // sets the pace of decoding until a batch changes
  const DecodeCurve* pace_ = nullptr;  // its times; null when a batch has changed
  Ticks last_tokens_ = 0;              // end of the last decoding iteration
  std::int64_t fresh_ = 0;             // decoding requests that joined since
  std::uint64_t next_order_ = 0;
  std::int64_t outstanding_ = 0, queued_tokens_ = 0;
  std::int64_t decoding_ = 0;  // requests that decode, and their cached tokens at the next iteration
  std::int64_t decoding_tokens_ = 0;
  std::int64_t prompting_tokens_ = 0;  // cached tokens of the others
  std::size_t waiting_ = 0;
  ReplicaCounters counters_;
};

}  // namespace flopcast
