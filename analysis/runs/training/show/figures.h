// Figures of a report for people: what a field is called and how its value is written.
#pragma once
#include <optional>
#include <string>

#include "analysis/runs/training/projection.h"

namespace flopcast {

struct Figure {
  std::string name;             ///< "step", "GPU-hours, pre-training"
  std::string (*text)(double);  ///< 19.926 -> "19.926 s"
};

/// @param field path in the report, such as `training.step_time_s` or `projection.phases[0].gpu_hours`.
/// @param projection to name phases that are given by index; may be empty.
Figure find_figure(const std::string& field, const std::optional<Projection>& projection);

}  // namespace flopcast
