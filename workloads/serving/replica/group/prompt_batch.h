// The pieces of prompts that an attention group computes in an iteration.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/replica/group/job.h"
#include "workloads/serving/replica/group/replica_config.h"

namespace flopcast {

struct PromptPiece {
  JobId job;
  std::int32_t tokens;
};

class PromptBatch {
 public:
  PromptBatch(const JobTable& jobs, ReplicaLoad& load) : jobs_(&jobs), replica_(&load) {}

  bool empty() const { return pieces_.empty(); }
  std::span<const PromptPiece> pieces() const { return pieces_; }
  std::int64_t tokens() const;
  PromptLoad load() const;  ///< as it is priced

  /// What is left of a job's context goes in, or as much of it as `room` holds where prompts may be cut (`chunked`); a
  /// prompt that is longer than the room and may not be cut goes in first or not at all. Takes its tokens off `room`.
  /// False when nothing more goes in.
  /// @param earlier so many of the pieces were there when the policy asked: one of them may be this job's, and grows
  bool take(JobId job, std::int64_t& room, bool chunked, std::size_t earlier = 0);
  /// Cuts the youngest pieces until no more query-key pairs are left than half of `twice_pairs`, and one token at
  /// least.
  void cut_to(std::int64_t twice_pairs);
  void clear() { pieces_.clear(); }
  /// Its jobs will be looked at soon.
  void fetch_jobs() const {
    for (const PromptPiece& piece : pieces_) jobs_->fetch_job(piece.job);
  }
  void archive(StateArchive& state) { state(pieces_); }

 private:
  const JobTable* jobs_;
  ReplicaLoad* replica_;
  std::vector<PromptPiece> pieces_;
};

}  // namespace flopcast
