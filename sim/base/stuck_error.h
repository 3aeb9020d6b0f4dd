// The fault of a graph that cannot be finished.
#pragma once
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "flopcast/export.h"
#include "sim/base/ids.h"

namespace flopcast {

/// The graph could not be finished: its dependencies contain a cycle. Names up to ten of the stuck operations.
class FLOPCAST_API StuckError : public std::runtime_error {
 public:
  StuckError(std::string message, std::vector<OpId> stuck)
      : std::runtime_error(std::move(message)), stuck_(std::move(stuck)) {}
  const std::vector<OpId>& stuck() const { return stuck_; }

 private:
  std::vector<OpId> stuck_;
};

}  // namespace flopcast
