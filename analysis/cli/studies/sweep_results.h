// `flopcast sweep show`, `report`, `compare`, `export`: what is in the file that a sweep has left.
#pragma once
#include "analysis/cli/line/options.h"

namespace flopcast {

/// Adds them below `sweep`.
void add_sweep_results(Command& sweep);

}  // namespace flopcast
