// Data files of the program by their path below a library's root.
#pragma once
#include <string>

#include "scenarios/read/libraries/libraries.h"

namespace flopcast {

/// @throws std::runtime_error when no root has the file.
std::string required_file(const Libraries& libraries, const std::string& path_below_root);

}  // namespace flopcast
