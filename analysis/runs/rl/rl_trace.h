// A replayed loop over time: what engine and trainer do, one below the other; for trace viewers and for pages.
#pragma once
#include <string>

#include "analysis/render/palette.h"
#include "analysis/render/timeline_view.h"
#include "analysis/runs/rl/rl_report.h"

namespace flopcast {

/// The colour of a part of a step, the same in pages and traces.
Tone tone_of(RlPart part);
/// In the Chrome trace format, times to the nanosecond.
std::string chrome_trace(const RlReport& report);
/// In Perfetto's own format.
std::string perfetto_trace(const RlReport& report);
/// For a page: a row each for engine and trainer. Loops in turn have the same GPUs in both.
TimelineView timeline_view(const RlReport& report);

}  // namespace flopcast
