// The libraries of the source tree, which tests read.
#pragma once
#include "scenarios/read/libraries/libraries.h"
#include "tests/paths.h"

namespace flopcast::test {

inline Libraries libraries() { return Libraries({testing::source_dir()}); }

}  // namespace flopcast::test
