// What became of one candidate: its figures, or what was wrong with it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "analysis/studies/sweep/study/candidates.h"
#include "sim/base/fields.h"

namespace flopcast {

/// A cell of the table of results.
using SweepCell = std::variant<std::monostate, double, std::int64_t, std::string>;

enum class SweepStatus {
  ok,
  refused,  ///< the scenario's own fault: laws across fields, memory, a schedule that gets stuck
  failed,   ///< ours: an exception, or a process that died twice
};
std::string_view name_of(SweepStatus status);

struct SweepOutcome {
  SweepStatus status = SweepStatus::ok;
  std::string error;             ///< every diagnostic, one a line
  std::vector<SweepCell> cells;  ///< in the order of SweepStudy::keep; empty unless ok
  double wall_s = 0;             ///< reading and replaying it took so long

  // In the order of the bytes that files of results hold.
  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("status", &SweepOutcome::status);
    field("wall_s", &SweepOutcome::wall_s);
    field("error", &SweepOutcome::error);
    field("cells", &SweepOutcome::cells);
  }
};

/// Reads, replays and reduces a candidate. What goes wrong is part of the outcome.
SweepOutcome evaluated(const SweepStudy& study, const SweepCandidate& candidate, const Environment& environment);

/// Whether the study's conditions over reports hold; absent: they rest on a figure that is not there.
std::optional<bool> feasible(const SweepStudy& study, const SweepCandidate& candidate, const SweepOutcome& outcome);

/// The cell as text, as CSV has it: numbers in their shortest form.
std::string text_of(const SweepCell& cell);

}  // namespace flopcast
