// KV caches (or what else a pool hands on) on their way to replicas of the next pool: flows on the cluster's links that
// share them max-min fairly with each other, beside what the experts' exchange takes of NICs.
#pragma once
#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "hwmodels/fabric/topology.h"
#include "sim/fair_share.h"
#include "workloads/serving/base/clock.h"
#include "workloads/serving/base/job_id.h"
#include "workloads/serving/cache/cache_pace.h"

namespace flopcast {

/// Between the first GPUs of two attention groups; where several GPUs share the heads, each pair carries its part at
/// the same time, and one of them stands for all.
struct CacheMove {
  JobId job;
  std::uint32_t from = 0, to = 0;  ///< replicas
  RankId sender, receiver;
  int lanes = 1;  ///< pairs of GPUs
  Bytes bytes;    ///< of one lane
  /// Share of the time that the exchange of experts has the sender's and the receiver's NIC at work. It counts as one
  /// flow there: caches have the NIC alone in the rest of the time and half of it in that.
  double from_busy = 0, to_busy = 0;
  /// Sent in so many parts, each as soon as it is computed. The last one is left when the prompt is, and of the others
  /// what the sender's ports could not carry in `computing`, its prompt's part of iterations. What they did carry is
  /// not seen to meet other caches; that NICs are not used twice for it holds for the sender.
  int parts = 1;
  Ticks computing = 0;
};

class CacheMoves {
 public:
  explicit CacheMoves(Topology& topology, const CachePace& pace = {})
      : topology_(&topology), pace_(pace), fabric_(topology.network()) {}

  void start(const CacheMove& move, Ticks now);
  /// When something happens next, not before `now`.
  Ticks next(Ticks now);
  /// Caches whose last byte is there by `now`, in order; valid until the next call.
  const std::vector<CacheMove>& landed(Ticks now);
  /// Those to or from a replica end before their time.
  std::vector<CacheMove> cancel(std::uint32_t replica, Ticks now);

  std::int64_t count() const { return count_; }  ///< that arrived
  Ticks time() const { return time_; }           ///< sum of the times they took
  std::uint64_t contended() const { return fabric_.shared(); }
  Bytes delivered() const { return delivered_; }  ///< all lanes
  void archive(StateArchive& state) {
    topology_->archive(state);
    state(fabric_, flights_, free_, flight_of_flow_, landings_, delivered_, count_, time_);
  }

 private:
  enum class State : std::uint8_t { free, flowing, landing, cancelled };
  struct Flight {
    CacheMove move;
    FairShare::Flow flow = 0;
    Ticks begin = 0, latency = 0;
    State state = State::free;
  };
  struct Landing {
    Ticks at;
    std::uint32_t flight;
    friend bool operator>(const Landing& a, const Landing& b) {
      return a.at != b.at ? a.at > b.at : a.flight > b.flight;
    }
  };
  std::uint32_t new_flight();
  void end_flows(Ticks now);
  Bytes sent_early(const CacheMove& move) const;

  Topology* topology_;
  CachePace pace_;
  FairShare fabric_;
  std::vector<Flight> flights_;
  std::vector<std::uint32_t> free_, flight_of_flow_;
  std::priority_queue<Landing, std::vector<Landing>, std::greater<>> landings_;  // flows that have ended
  std::vector<LinkId> links_;
  std::vector<CacheMove> landed_;
  Bytes delivered_;
  std::int64_t count_ = 0;
  Ticks time_ = 0;
};

}  // namespace flopcast
