// What a plan's source may leave open, and what else it may be: ranges hold all of it.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "workloads/training/training.h"

namespace flopcast {

struct OpenField {
  std::string_view name;   ///< in `training { open: "recompute" }`
  std::string_view title;  ///< for people
  /// What else it may be; empty where nothing else fits the plan.
  std::vector<TrainingConfig> (*alternatives)(const TrainingConfig& stated);
};
std::span<const OpenField> open_fields();
/// Null: there is none of that name.
const OpenField* find_open_field(std::string_view name);

}  // namespace flopcast
