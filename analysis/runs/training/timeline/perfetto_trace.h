// The timeline of a step in Perfetto's format: a process per GPU with a track per lane, curves of how busy its ports
// are, arrows from senders to receivers; what each operation is stands in its arguments.
#pragma once
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "analysis/render/text/perfetto.h"
#include "analysis/runs/training/timeline/link_use.h"
#include "analysis/runs/training/timeline/trace_arrows.h"
#include "sim/timeline.h"
#include "workloads/training/step/training_step.h"

namespace flopcast {

/// What a trace shows of a run.
struct TraceChoice {
  std::set<int> gpus;  ///< by global index; empty: all that are replayed
  /// From, to: operations that run at least in part between them. Absent: all.
  std::optional<std::pair<Seconds, Seconds>> window;
  bool shows(Seconds start, Seconds end) const { return !window || (end > window->first && start < window->second); }
};

/// "1.5s..2s" -> the two times. @throws InputError
std::pair<Seconds, Seconds> parse_window(const std::string& text);

/// Writes while the replay runs. Holds the arrows of pipeline transfers, and of the links of the GPUs shown when and
/// how much they carry. Call close() after the replay.
class PerfettoTraceSink final : public TimelineSink {
 public:
  PerfettoTraceSink(const TrainingStep& step, TraceChoice choice, TracePieces output);
  void finished(const OperationGraph& graph, const OpSpan& span) override;
  void close();

 private:
  /// A slice whose arrow may have no end in the window, or that comes behind one.
  struct Waiting {
    PerfettoWriter::Slice slice;
    OpId op;
    bool undecided = false;
  };
  bool answered(OpId sender);
  void write_decided(LaneId lane);
  void add_lanes();
  bool shown(LaneId lane) const { return lane.valid() && lanes_[lane.index()].id != 0; }

  const TrainingStep& step_;
  TraceChoice choice_;
  PerfettoWriter writer_;
  std::vector<PerfettoWriter::Track> lanes_;        // by lane; 0: hidden
  std::map<int, PerfettoWriter::Track> processes_;  // by GPU
  std::optional<LinkUse> links_;
  TraceArrows arrows_;
  std::map<std::size_t, std::deque<Waiting>> waiting_;  // by lane; of windows alone
};

}  // namespace flopcast
