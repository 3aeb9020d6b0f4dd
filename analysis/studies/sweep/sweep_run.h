// Runs the candidates of a study and keeps what they give.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "analysis/studies/sweep/store/store.h"
#include "sim/jobs/job_host.h"

namespace flopcast {

struct SweepProgress {
  std::uint64_t done = 0;  ///< by this call
  std::uint64_t all = 0;   ///< that this call has to do; an estimate where there are too many to count
  StoreCounts counts;      ///< of what was done
};

/// Makes whoever is to work on jobs. Called once, before the store is opened.
using MakeJobHost = std::function<std::unique_ptr<JobHost>(std::function<std::string(std::uint64_t)> work)>;

struct SweepOptions {
  std::string file;           ///< the store
  int workers = 1;            ///< processes of this machine
  int shard = 1, shards = 1;  ///< only the shard-th of `shards` parts, from 1
  bool retry = false;         ///< what did not go well is run again
  bool fresh = false;         ///< all is run again
  /// Called now and then; false stops the sweep. May be empty.
  std::function<bool(const SweepProgress&)> progress;
  MakeJobHost host;  ///< empty: a WorkerPool of `workers`
};

struct SweepSummary {
  std::uint64_t wanted = 0;  ///< candidates of this shard; what conditions over fields leave
  std::uint64_t kept = 0;    ///< of them there were results before
  SweepProgress run;
  StoreCounts stored;  ///< in the whole table afterwards
  bool interrupted = false;
  bool other_build = false;  ///< results of another build of the program were kept
};

/// Results are equal, byte for byte in to_csv(), whoever works on them and however often it is interrupted.
/// @throws InputError when the store cannot be used; what is stored stays.
SweepSummary run_sweep(const SweepStudy& study, const Environment& environment, const SweepOptions& options);

/// Whether a candidate is of the shard-th of `shards` parts, from 1.
/// @param place among those that are wanted, from 0; of studies that are too large to count it is not asked for.
bool in_shard(const SweepStudy& study, std::uint64_t place, std::uint64_t number, int shard, int shards);

/// Everything that a process needs to work on candidates: tables are read, so that forked copies share them.
std::function<std::string(std::uint64_t)> sweep_work(const SweepStudy& study, const Environment& environment);

}  // namespace flopcast
