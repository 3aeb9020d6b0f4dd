// How far a long run is, in a file: killed at any moment, the same command goes on from there.
#pragma once
#include <chrono>
#include <string>

#include "analysis/runs/serving/serving_run.h"
#include "flopcast/scenario.h"

namespace flopcast {

/// Everything that a run's result depends on: the program, data files, the scenario with the files that it names, what
/// is set. Equal for equal runs.
std::string run_digest(const ResolvedScenario& scenario, const std::vector<std::string>& sets,
                       const Environment& environment);

/// A line that says whose state it is, a line with its size and digest, and the state (sim/base/state_archive.h). It is
/// written whole or not at all; one that is damaged, or of another run, is passed over with a word.
class ResumeFile {
 public:
  /// @param run its digest. @throws InputError when the file is something else, which must not be written over.
  ResumeFile(std::string path, std::string run);
  /// Goes on from the state in the file, and keeps further ones there. To be used while this lives.
  SessionKeeper keeper();
  void remove();  ///< the run is done

 private:
  using Clock = std::chrono::steady_clock;
  std::string read() const;
  void write(const std::string& state);
  std::string path_, run_;
  Clock::time_point next_;
};

}  // namespace flopcast
