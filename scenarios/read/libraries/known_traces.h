// Public request traces that scenarios of the library name: not shipped, but with the place to get each.
#pragma once
#include <string>
#include <string_view>

namespace flopcast {

struct KnownTrace {
  std::string_view file;   ///< its name where it is published
  std::string_view where;  ///< to fetch it from
};

/// Null where a file of this name (its folders left out) is not known.
const KnownTrace* find_known_trace(const std::string& path);

}  // namespace flopcast
