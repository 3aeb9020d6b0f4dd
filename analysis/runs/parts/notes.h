// Notes that reports of several kinds of work share.
#pragma once
#include <string>

#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// Says that kernels of a GPU's die were not measured, and of which dies they were; empty where they were, of all GPUs
/// that work.
std::string unmeasured_note(const Scenario& scenario);

/// Says that a board's limit is lower than its GPU draws at its lowest clock, so that times stop growing and power
/// stays above it; empty where all limits can be kept.
std::string unkept_limit_note(const Scenario& scenario);

/// Says that the host holds a step up whose kernels are launched one by one; empty where it hardly does.
/// @param waits inside the passes, of the step
std::string late_host_note(const Scenario& scenario, Seconds waits, Seconds step);

}  // namespace flopcast
