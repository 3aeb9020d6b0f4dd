#include "scenarios/read/libraries/data_file.h"

#include <stdexcept>

namespace flopcast {

std::string required_file(const Libraries& libraries, const std::string& path_below_root) {
  if (const auto file = libraries.find_file(path_below_root)) return *file;
  throw std::runtime_error(path_below_root + " is in none of the libraries' folders");
}

}  // namespace flopcast
