// Forked copies of this process that work on one job after the other and keep what they have learnt in between, such as
// tables that were read and prices that were worked out.
#pragma once
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "sim/jobs/job_host.h"

namespace flopcast {

/// When a worker dies, its job comes back as one that died, and another worker takes its place. Workers ignore Ctrl-C
/// (this process decides) and die with this process, however it ends.
class WorkerPool final : public JobHost {
 public:
  /// Returns what is to be sent back; what it throws is sent back as a job that died, with the message.
  using Work = std::function<std::string(std::uint64_t job)>;
  /// @pre workers > 0
  WorkerPool(int workers, Work work);
  ~WorkerPool() override;  ///< kills those that are at work
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  std::size_t idle() const override;
  std::size_t busy() const override;
  void give(std::uint64_t job) override;
  std::vector<FinishedJob> wait(int milliseconds) override;

 private:
  struct Worker {
    pid_t pid = -1;
    int to = -1, from = -1;  ///< pipes
    bool at_work = false;
    std::uint64_t job = 0;
    std::string received;
  };
  void start(Worker& worker);
  [[noreturn]] void serve(int in, int out) const;
  void collect(Worker& worker, std::vector<FinishedJob>& out);
  void end(Worker& worker);

  Work work_;
  std::vector<Worker> workers_;
};

}  // namespace flopcast
