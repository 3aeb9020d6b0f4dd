// Records of single operations and requests, kept for whoever asks.
#pragma once
#include <memory>
#include <vector>

#include "flopcast/report.h"
#include "sim/timeline.h"
#include "workloads/serving/metrics/metrics.h"
#include "workloads/training/step/training_step.h"

namespace flopcast {

/// Fills a Timeline while a step is replayed.
class TimelineRecorder final : public TimelineSink {
 public:
  /// @param gpus to be recorded, by global index; empty: all that are replayed. @param out outlives the recorder.
  TimelineRecorder(const TrainingStep& step, const std::vector<int>& gpus, Timeline& out);
  void finished(const OperationGraph& graph, const OpSpan& span) override;

 private:
  std::vector<bool> recorded_;  // by lane
  Timeline& out_;
};

/// Collects what became of requests.
class RequestRecorder {
 public:
  void add(const RequestResult& result) { results_.push_back(result); }
  /// In order of arrival.
  std::shared_ptr<const Requests> requests(std::vector<std::string> class_names) &&;

 private:
  std::vector<RequestResult> results_;
};

}  // namespace flopcast
