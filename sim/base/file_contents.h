// A file as it is.
#pragma once
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace flopcast {

/// All its bytes; none where it cannot be read.
inline std::string contents_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace flopcast
