#include "analysis/studies/sweep/sweep_run.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "analysis/face/environment_data.h"
#include "sim/jobs/packed.h"
#include "sim/jobs/worker_pool.h"

namespace flopcast {
namespace {

/// Most numbers that are counted beforehand, for the progress.
constexpr std::uint64_t kCountedBeforehand = 5'000'000;

/// Whoever works on a candidate may die of something that has nothing to do with it; twice is no accident.
constexpr int kAttempts = 2;

bool too_many_to_count(const SweepStudy& study) { return study.product > kCountedBeforehand && !study.sample; }

/// Of too many to count, numbers are dealt out without any pattern (SplitMix64's finaliser).
std::uint64_t mixed(std::uint64_t h) {
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
  h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
  return h ^ (h >> 31);
}

}  // namespace

bool in_shard(const SweepStudy& study, std::uint64_t place, std::uint64_t number, int shard, int shards) {
  // Shards take turns at what is wanted, not at all numbers: a condition may leave a pattern of those.
  const std::uint64_t turn = too_many_to_count(study) ? mixed(number) : place;
  return shards == 1 || turn % static_cast<std::uint64_t>(shards) == static_cast<std::uint64_t>(shard - 1);
}

namespace {

/// The candidates that are still to be run, in the order of their numbers.
class Remaining {
 public:
  Remaining(const SweepStudy& study, const SweepOptions& options, std::vector<std::uint64_t> done)
      : study_(study), options_(options), done_(std::move(done)) {
    if (!too_many_to_count(study)) {
      std::uint64_t place = 0;
      for_each_wanted(study_, [&](const SweepCandidate& candidate) {
        if (!mine(place++, candidate.number)) return true;
        ++wanted_;
        if (!is_done(candidate.number)) numbers_.push_back(candidate.number);
        return true;
      });
      left_ = numbers_.size();
      return;
    }
    wanted_ = study.product / static_cast<std::uint64_t>(options.shards);
    left_ = wanted_ - std::min<std::uint64_t>(wanted_, done_.size());
    walk_ = 1;
  }

  std::uint64_t wanted() const { return wanted_; }
  std::uint64_t left() const { return left_; }

  std::optional<std::uint64_t> next() {
    if (!numbers_.empty()) {
      const std::uint64_t number = numbers_.front();
      numbers_.pop_front();
      return number;
    }
    for (; walk_ > 0 && walk_ <= study_.product; ++walk_) {
      if (mine(0, walk_) && !is_done(walk_) && flopcast::wanted(study_, candidate_at(study_, walk_))) return walk_++;
    }
    return std::nullopt;
  }

  void again(std::uint64_t number) { numbers_.push_front(number); }

 private:
  bool mine(std::uint64_t place, std::uint64_t number) const {
    return in_shard(study_, place, number, options_.shard, options_.shards);
  }
  bool is_done(std::uint64_t number) const { return std::binary_search(done_.begin(), done_.end(), number); }

  const SweepStudy& study_;
  const SweepOptions& options_;
  std::vector<std::uint64_t> done_;
  std::deque<std::uint64_t> numbers_;
  std::uint64_t wanted_ = 0, left_ = 0;
  std::uint64_t walk_ = 0;  // 0: `numbers_` has them all
};

class SweepLoop {
 public:
  SweepLoop(const SweepStudy& study, const SweepOptions& options, JobHost& host, SweepStore& store)
      : study_(study), options_(options), host_(host), store_(store) {}

  SweepSummary run() {
    if (options_.retry) store_.forget_faults();
    Remaining remaining(study_, options_, store_.done());
    out_.wanted = remaining.wanted();
    out_.kept = remaining.wanted() - std::min(remaining.wanted(), remaining.left());
    out_.run.all = remaining.left();
    out_.other_build = store_.other_build() && out_.kept > 0;
    bool more = true;
    while (more || host_.busy() > 0) {
      while (more && host_.idle() > 0) more = give_next(remaining);
      constexpr int kMilliseconds = 200;
      for (FinishedJob& job : host_.wait(kMilliseconds)) {
        if (finish(job)) continue;
        remaining.again(job.job);
        more = true;
      }
      store_.commit_if_due();
      if (options_.progress && !options_.progress(out_.run)) {
        out_.interrupted = true;
        break;
      }
    }
    store_.commit();
    out_.stored = store_.counts();
    return out_;
  }

 private:
  bool give_next(Remaining& remaining) {
    for (;;) {
      const std::optional<std::uint64_t> number = remaining.next();
      if (!number) return false;
      // Another sweep may share the file, and the study.
      if (store_.has(*number)) {
        ++out_.run.done;
        continue;
      }
      host_.give(*number);
      return true;
    }
  }

  /// False: it has to be run again.
  bool finish(FinishedJob& job) {
    SweepOutcome outcome;
    if (job.died) {
      if (++deaths_[job.job] < kAttempts) return false;
      outcome.status = SweepStatus::failed;
      outcome.error = std::move(job.result);
    } else {
      outcome = unpacked<SweepOutcome>(job.result);
    }
    const SweepCandidate candidate = candidate_at(study_, job.job);
    store_.put(candidate, outcome);
    ++out_.run.done;
    out_.run.all = std::max(out_.run.all, out_.run.done);
    StoreCounts& counts = out_.run.counts;
    ++(outcome.status == SweepStatus::ok        ? counts.ok
       : outcome.status == SweepStatus::refused ? counts.refused
                                                : counts.failed);
    return true;
  }

  const SweepStudy& study_;
  const SweepOptions& options_;
  JobHost& host_;
  SweepStore& store_;
  std::map<std::uint64_t, int> deaths_;
  SweepSummary out_;
};

}  // namespace

std::function<std::string(std::uint64_t)> sweep_work(const SweepStudy& study, const Environment& environment) {
  // Each entry of the libraries is read once per process, not once per candidate.
  const Environment own(std::make_shared<const EnvironmentData>(environment.data().libraries().remembering()));
  const EnvironmentData& data = own.data();
  data.kernels();
  data.links();
  data.training();
  data.engine();
  return [&study, own](std::uint64_t number) { return packed(evaluated(study, candidate_at(study, number), own)); };
}

SweepSummary run_sweep(const SweepStudy& study, const Environment& environment, const SweepOptions& options) {
  const auto work = sweep_work(study, environment);
  // Before the store is opened: no process but this one has to do with it.
  const std::unique_ptr<JobHost> host =
      options.host ? options.host(work) : std::make_unique<WorkerPool>(std::max(1, options.workers), work);
  const SweepFingerprints fingerprints(study, environment);
  SweepStore store(options.file, study, fingerprints, options.fresh);
  return SweepLoop(study, options, *host, store).run();
}

}  // namespace flopcast
