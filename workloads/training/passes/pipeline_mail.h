// Messages between the stages of a pipeline.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "sim/graph.h"
#include "workloads/schedules/ids.h"

namespace flopcast {

/// Activations and gradients on their way between stages, by (pipeline copy, stage, micro-batch, direction). Receivers
/// may be built before senders; `connect` ties them together at the end.
class PipelineMail {
 public:
  PipelineMail(int copies, int stages, int micro_batches);
  enum class Kind { activation, gradient };
  void sent(CopyId copy, StageId stage, MicroBatchId micro_batch, Kind kind, OpId op);
  void awaited(CopyId copy, StageId from, MicroBatchId micro_batch, Kind kind, OpId by);
  /// @pre everything awaited was sent.
  void connect(GraphBuilder& graph) const;
  /// Nothing was sent, and nobody waits.
  void clear();

 private:
  std::size_t slot(CopyId copy, StageId stage, MicroBatchId micro_batch, Kind kind) const;
  int stages_, micro_batches_;
  std::vector<OpId> sent_;
  std::vector<std::pair<OpId, std::size_t>> awaited_;
};

}  // namespace flopcast
