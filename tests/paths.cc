#include "tests/paths.h"

namespace flopcast::testing {

std::string source_dir() { return FLOPCAST_SOURCE_DIR; }
std::string program() { return FLOPCAST_BINARY; }

}  // namespace flopcast::testing
