// Messages of a pipeline for which both of their ranks stop (SoftwareProfile::blocking_messages): when one may travel,
// and which passes wait until it has.
#pragma once
#include <cstddef>
#include <vector>

#include "workloads/schedules/schedule.h"
#include "workloads/training/passes/pipeline_mail.h"

namespace flopcast {

/// One message between two ranks. It waits for the pass that makes it and for the pass of the receiver before `held`;
/// the pass of the sender behind the one that makes it, and `held`, wait for it.
struct PipelineMeeting {
  int sender = 0;
  std::size_t made_by = 0;  ///< in the sender's order
  PipelineMail::Kind kind = PipelineMail::Kind::activation;
  int receiver = 0;
  std::size_t held = 0;  ///< in the receiver's order; its length: no pass comes any more
};

/// 1F1B and GPipe: a rank receives what a pass needs right before that pass (PyTorch's Schedule1F1B, nanotron).
/// All other orders march in step, as PyTorch's PipelineScheduleMulti runs them: every pass has a place on a grid of
/// steps (interleaved 1F1B: that of PyTorch; else the earliest that its inputs allow when each pass takes one), and
/// what neighbours have made in a step is exchanged before either goes on. Nothing waits for a later step, so that no
/// order gets stuck.
std::vector<PipelineMeeting> pipeline_meetings(const Schedule& schedule);

}  // namespace flopcast
