// Results of a sweep in memory, as far as they are looked at: columns of axes and of goals, the rows that have figures.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/studies/sweep/store/store.h"

namespace flopcast {

/// A column of an axis: the row's value is one of the levels.
struct FrameAxis {
  std::string name;
  std::vector<std::string> levels;  ///< by size where all are numbers of one unit, else as they first appear
  std::vector<double> values;       ///< of the levels, in that unit; empty: they are no numbers
  std::string unit;
  std::vector<std::uint32_t> level_of_row;
};

struct FrameGoal {
  std::string text;   ///< "min training.step_time_s"
  std::string title;  ///< without the word before it
  std::string unit;   ///< where it is a metric by itself
  bool smallest = true;
  std::vector<double> of_row;
  bool better(double a, double b) const { return smallest ? a < b : a > b; }
};

struct SweepFrame {
  StoredSweep sweep;
  std::vector<std::uint64_t> number;
  std::vector<FrameAxis> axes;
  std::vector<FrameGoal> goals;  ///< at least one
  std::uint64_t left_out = 0;    ///< rows that have figures but break a condition, or lack a goal

  std::size_t rows() const { return number.size(); }
};

struct FrameOptions {
  std::vector<std::string> goals;  ///< instead of the study's
  std::string where;               ///< a condition on columns: only rows of which it holds
  bool infeasible = false;         ///< also rows that break the study's conditions
};

/// @throws InputError with everything wrong: unknown columns, nothing to look at.
SweepFrame load_frame(const SqliteFile& file, const StoredSweep& sweep, const FrameOptions& options);

/// A figure of a goal for people.
std::string shown_goal(const FrameGoal& goal, double value);

/// Rows by the first goal, best first; equal ones by their numbers.
std::vector<std::size_t> ranked_rows(const SweepFrame& frame);

/// Rows that no other row beats or equals in every goal, best in the first goal first.
std::vector<std::size_t> pareto_rows(const SweepFrame& frame);

/// What share of the variance of the (logarithm of the) first goal goes with an axis, or with a pair beyond what each
/// has alone. Where candidates are missing the shares overlap and need not add up.
struct AxisEffect {
  std::size_t axis = 0;
  std::optional<std::size_t> other;  ///< of an interaction
  double share = 0;
};
/// Largest first; pairs of the `pairs_of` largest axes.
std::vector<AxisEffect> axis_effects(const SweepFrame& frame, std::size_t pairs_of = 6);

/// Of one level, over the rows that have it.
struct LevelFigures {
  std::size_t count = 0;
  double best = 0, mean = 0, worst = 0;  ///< mean: geometric where all figures are positive
};
std::vector<LevelFigures> level_figures(const SweepFrame& frame, std::size_t axis);

}  // namespace flopcast
