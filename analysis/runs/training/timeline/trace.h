// A timeline in the Chrome trace format, which ui.perfetto.dev and chrome://tracing open: a process per GPU,
// a thread per lane, an event per operation, arrows from senders to receivers.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "analysis/render/text/trace_time.h"
#include "analysis/runs/training/timeline/link_use.h"
#include "analysis/runs/training/timeline/trace_arrows.h"
#include "sim/timeline.h"
#include "workloads/training/step/training_step.h"

namespace flopcast {

/// Where the trace goes, piece by piece.
using TraceOutput = std::function<void(std::string_view)>;

/// Writes while the replay runs; holds the arrows of pipeline transfers, what the links of shown GPUs carry, and a
/// small buffer. Times: analysis/render/text/trace_time.h. Call close() after the replay; a trace without it is not
/// valid JSON.
class ChromeTraceSink final : public TimelineSink {
 public:
  /// @param gpus the GPUs to show, by global index; empty: all that are replayed.
  ChromeTraceSink(const TrainingStep& step, std::set<int> gpus, TraceOutput output);
  void finished(const OperationGraph& graph, const OpSpan& span) override;
  void close();

 private:
  bool shown(LaneId lane) const { return lane.valid() && shown_[lane.index()]; }
  void name_processes();
  void event(std::string_view text);
  std::string place(LaneId lane) const;

  const TrainingStep& step_;
  TraceOutput output_;
  std::vector<bool> shown_;  // by lane
  TraceArrows arrows_;
  std::unordered_map<std::size_t, ViewerTime> sent_;  // when: operations whose arrow has no end yet
  std::optional<LinkUse> links_;
  std::string buffer_;
  bool first_ = true;
};

}  // namespace flopcast
