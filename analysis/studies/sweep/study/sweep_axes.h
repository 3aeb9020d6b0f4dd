// From an axis as a file describes it to its values. Internal to the reading of studies.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "analysis/studies/sweep/study/sweep_study.h"
#include "scenarios/proto/study.pb.h"
#include "scenarios/read/libraries/libraries.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {

/// The path of an axis over what candidates start from.
inline constexpr const char* kScenarioPath = "scenario";

/// What all axes of a study share.
struct AxisContext {
  const Libraries& libraries;
  const Places& places;
  std::uint64_t seed;
  int draws;          ///< 0: not stated
  std::string study;  ///< its file
};

/// Where one axis stands.
struct AxisPlace {
  const proto::Axis* axis;
  std::string path;  ///< "axis[2]", "axis[2].joint[0]"
};

/// The values of an axis that is no `joint` one. Empty when something is wrong with it, which joins `faults`.
SweepAxis expanded(const AxisPlace& at, const AxisContext& context, Diagnostics& faults);

/// Axes of equal length as one. @pre not empty
SweepAxis zipped(const std::vector<SweepAxis>& axes, const std::string& name);

/// Whether axes may go over this kind of library.
bool known_entries(const std::string& kind);
/// Entries of a library of which `where` holds, sorted by name.
std::vector<std::string> entries_where(const proto::AxisEntries& entries, const std::string& path,
                                       const AxisContext& context, Diagnostics& faults);

}  // namespace flopcast
