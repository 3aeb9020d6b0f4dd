#include "workloads/training/passes/pipeline_mail.h"

#include <cassert>

namespace flopcast {

PipelineMail::PipelineMail(int copies, int stages, int micro_batches)
    : stages_(stages),
      micro_batches_(micro_batches),
      sent_(static_cast<std::size_t>(copies) * stages * micro_batches * 2) {}

std::size_t PipelineMail::slot(CopyId copy, StageId stage, MicroBatchId micro_batch, Kind kind) const {
  return ((std::size_t{copy.index()} * stages_ + stage.index()) * micro_batches_ + micro_batch.index()) * 2 +
         (kind == Kind::gradient ? 1 : 0);
}

void PipelineMail::sent(CopyId copy, StageId stage, MicroBatchId micro_batch, Kind kind, OpId op) {
  sent_[slot(copy, stage, micro_batch, kind)] = op;
}

void PipelineMail::awaited(CopyId copy, StageId from, MicroBatchId micro_batch, Kind kind, OpId by) {
  awaited_.emplace_back(by, slot(copy, from, micro_batch, kind));
}

void PipelineMail::connect(GraphBuilder& graph) const {
  for (const auto& [op, from] : awaited_) {
    assert(sent_[from].valid());
    graph.after(op, sent_[from]);
  }
}

void PipelineMail::clear() {
  sent_.assign(sent_.size(), OpId());
  awaited_.clear();
}

}  // namespace flopcast
