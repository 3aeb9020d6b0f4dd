// What fails, stops for a restart or runs slowly for a while, and when: GPUs at random, and what is stated.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "workloads/serving/session/failures.h"
#include "workloads/serving/session/request_flow.h"

namespace flopcast {

class FaultPlan {
 public:
  /// @param now the session's clock
  FaultPlan(const SessionConfig& config, ReplicaFleet& fleet, RequestFlow& flow, const Ticks& now);
  Ticks next() const;
  /// What happens now.
  void strike();
  std::int64_t failures() const { return failures_; }
  void archive(StateArchive& state) { state(failing_, next_stated_, restarts_, recoveries_, failures_); }

 private:
  /// A rolling restart that is under way.
  struct Restart {
    Ticks at;
    std::size_t fault, next;  ///< place in its list of replicas
  };
  /// A replica that was slow for a while.
  struct Recovery {
    Ticks at;
    std::size_t unit;
    int slow;  ///< as it was before
  };
  Ticks next_stated() const;
  void begin_stated();
  void end_slow();
  void go_on_restarting();
  void take_down(std::size_t unit, Seconds repair, std::vector<JobId>& homeless);
  void restart(std::size_t unit, Seconds repair);
  void slow_down(std::size_t unit, int kind);

  const FailureConfig& config_;
  ReplicaFleet& fleet_;
  RequestFlow& flow_;
  const Ticks& now_;
  FailureProcess failing_;
  std::size_t next_stated_ = 0;  // of config_.stated
  std::vector<Restart> restarts_;
  std::vector<Recovery> recoveries_;
  std::int64_t failures_ = 0;
};

}  // namespace flopcast
