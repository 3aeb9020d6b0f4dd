// One number that stands for all that a scenario says.
#pragma once
#include <cstdint>
#include <string>

#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// A hash over every described field with its name: equal for equal scenarios, on every machine and in every run,
/// whatever file they come from; another where any field differs. Calibrations are no part of it, and of a trace only
/// its path and the statements about it are. A new field, or a new name, changes it.
std::uint64_t fingerprint(const Scenario& scenario);

/// As 16 hexadecimal digits.
std::string fingerprint_text(const Scenario& scenario);

}  // namespace flopcast
