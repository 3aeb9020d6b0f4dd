// Which parts of a file are free of faults, so that laws about them are worth asking.
#pragma once
#include <string>

#include "scenarios/read/text/text_file.h"

namespace flopcast {

/// No fault so far in the field of that path or within it. What parsing found is known by a path without indices. A dot
/// at the end is left out: "rl." is the section.
bool is_sound(const Diagnostics& faults, std::string path);

}  // namespace flopcast
