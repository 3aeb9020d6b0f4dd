// Violations with the place in the order where they show: verify() drops the place, the reader of a user's
// order turns it into a line and column.
#pragma once
#include <cstddef>
#include <optional>
#include <vector>

#include "workloads/schedules/schedule.h"

namespace flopcast {

struct PassPlace {
  int rank;
  std::size_t position;
};

struct Violation {
  std::optional<PassPlace> place;  ///< none: what is missing stands nowhere
  Diagnostic diagnostic;
};

inline constexpr std::size_t kMostViolations = 20;

/// At most kMostViolations of them.
std::vector<Violation> find_violations(const Schedule& schedule);

}  // namespace flopcast
