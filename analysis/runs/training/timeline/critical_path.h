// The chain of operations that decided how long a step took: from the last operation backwards, each time to
// the predecessor that ended last, which is the one that was waited for.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "sim/timeline.h"
#include "workloads/training/step/training_step.h"

namespace flopcast {

struct CriticalPath {
  struct Share {
    std::string name;  ///< of the operations, as in training_op_names()
    Seconds time;
    std::size_t operations = 0;
  };
  struct Visit {
    int pipeline_rank = 0;
    Seconds time;
  };
  Seconds length;  ///< equals the step time
  std::size_t operations = 0;
  int rank_changes = 0;        ///< how often the path moves to another GPU
  std::vector<Share> by_name;  ///< longest first
  std::vector<Visit> by_rank;  ///< by pipeline rank; only ranks it visits
};

CriticalPath critical_path(const TrainingStep& step, const SpanSink& spans);

/// The path's times by name, longest first, with what the GPU waits for its host as an entry of its own: within its
/// compute, and of communication what the host takes anyway. They sum to the path.
std::vector<CriticalPath::Share> shares_with_host(const CriticalPath& path, const SourceShare& sources);

/// The operations of the path, first to last. Of a step of which few micro-batches were built, the path of the whole:
/// it goes through the stretch as often as that comes.
std::vector<OpId> critical_operations(const TrainingStep& step, const SpanSink& spans);

}  // namespace flopcast
