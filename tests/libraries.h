// The libraries of the source tree, which tests read.
#pragma once
#include "scenarios/read/libraries/libraries.h"
#include "tests/paths.h"

namespace flopcast::test {

inline const Libraries& libraries() {
  static const Libraries all({testing::source_dir()});
  return all;
}

}  // namespace flopcast::test
