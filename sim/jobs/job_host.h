// Whoever works on jobs: processes of this machine (worker_pool.h), or of others.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace flopcast {

/// What became of a job.
struct FinishedJob {
  std::uint64_t job = 0;
  bool died = false;   ///< whoever worked on it ended before it was done
  std::string result;  ///< what the work returned; else why there is none
};

class JobHost {
 public:
  virtual ~JobHost() = default;
  /// How many more jobs it can take now.
  virtual std::size_t idle() const = 0;
  /// Jobs that are being worked on.
  virtual std::size_t busy() const = 0;
  /// @pre idle() > 0
  virtual void give(std::uint64_t job) = 0;
  /// Waits until a job has ended, a signal has come or `milliseconds` are over.
  virtual std::vector<FinishedJob> wait(int milliseconds) = 0;
};

}  // namespace flopcast
