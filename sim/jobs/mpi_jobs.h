// Jobs over the ranks of MPI: rank 0 hands them out and gets the results, the others work.
#pragma once
#include <chrono>
#include <deque>
#include <memory>
#include <vector>

#include "sim/jobs/mpi/module.h"
#include "sim/jobs/worker_pool.h"

namespace flopcast {

/// Whether this process was started by mpirun, by what it and its like put into the environment.
bool started_by_mpi();
/// Of this process, by the same; 0 where nobody says.
int mpi_rank_of_environment();

/// On rank 0: its own workers and those of the other ranks. A rank that falls silent has died: what it was working on
/// is given to others.
class MpiJobHost final : public JobHost {
 public:
  MpiJobHost(std::unique_ptr<MpiPort> port, std::unique_ptr<WorkerPool> own);
  ~MpiJobHost() override;  ///< sends the other ranks home
  MpiJobHost(const MpiJobHost&) = delete;
  MpiJobHost& operator=(const MpiJobHost&) = delete;

  std::size_t idle() const override;
  std::size_t busy() const override;
  void give(std::uint64_t job) override;
  std::vector<FinishedJob> wait(int milliseconds) override;

 private:
  using Clock = std::chrono::steady_clock;
  struct Rank {
    std::size_t places = 0;  ///< jobs that it takes at once
    std::vector<std::uint64_t> jobs;
    Clock::time_point heard;
    bool alive = true;
  };
  void hear(int from, const std::string& message, std::vector<FinishedJob>& out);
  void find_dead();
  void hand_out();

  std::unique_ptr<MpiPort> port_;
  std::unique_ptr<WorkerPool> own_;
  std::vector<Rank> ranks_;
  std::deque<std::uint64_t> orphans_;  ///< of ranks that have died
};

/// On the other ranks: works on what rank 0 sends, until it says that all is done.
void serve_jobs(std::unique_ptr<MpiPort> port, std::unique_ptr<WorkerPool> own);

}  // namespace flopcast
