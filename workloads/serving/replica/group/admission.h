// Who gets a place in the next iteration of an attention group, and who gives one up.
//
// What an iteration is made of is the batching policy's word (policies/), who gets a place the admission policy's, and
// where the cache of one that gives way goes the preemption policy's.
#pragma once
#include <cstdint>
#include <vector>

#include "workloads/serving/replica/group/group_jobs.h"

namespace flopcast {

class Admission final : private IterationPlan {
 public:
  Admission(GroupJobs& jobs, ReplicaListener& listener) : jobs_(&jobs), listener_(&listener) {}

  /// Puts the next iteration together: whoever may join the decoding batch, and pieces of prompts.
  void compose(Ticks now);
  /// Pages that iterations below `before` need; where they run out, requests give way.
  void provide_pages(std::int64_t before);

 private:
  // IterationPlan
  std::int64_t continue_prompts(std::int64_t tokens) override;
  std::int64_t admit_waiting(std::int64_t tokens) override;

  void drop_late();
  void take_in();
  void bring_back();
  void place();
  bool admit(JobId job);
  bool make_way(JobId job);
  void preempt(JobId job, bool keep);

  GroupJobs* jobs_;
  ReplicaListener* listener_;
  Ticks now_ = 0;  // of the iteration that is being put together
};

}  // namespace flopcast
