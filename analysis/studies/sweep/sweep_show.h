// What a sweep has found, for people: the best, the front, what matters, what went wrong; two sweeps side by side.
#pragma once
#include <string>

#include "analysis/render/text/text_table.h"
#include "analysis/studies/sweep/sweep_frame.h"

namespace flopcast {

/// @param top rows of the list of the best
std::string to_text(const SqliteFile& file, const SweepFrame& frame, int top, const TextStyle& style);

/// One page: scatter, front, parallel coordinates, a heat map of two axes, a table that sorts.
std::string to_html(const SweepFrame& frame);

/// Candidates of two sweeps that have equal values in the columns of axes which both have.
struct SweepPair {
  std::string inputs;   ///< as a person reads them
  double a = 0, b = 0;  ///< of the first goal
};
struct SweepComparison {
  std::string title_a, title_b, goal;
  bool smallest = true;
  std::vector<std::string> shared_axes, other_axes;
  std::vector<SweepPair> pairs;                  ///< largest ratio first
  std::uint64_t only_a = 0, only_b = 0;          ///< without a counterpart
  std::uint64_t left_out_a = 0, left_out_b = 0;  ///< that are not looked at
};
/// @throws InputError where they share no axis, or a combination of its values stands in one of them several times.
SweepComparison compared_sweeps(const SweepFrame& a, const SweepFrame& b);
std::string to_text(const SweepComparison& comparison, const TextStyle& style);

}  // namespace flopcast
