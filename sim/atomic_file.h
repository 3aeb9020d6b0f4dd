// Files that are there whole or not at all.
#pragma once
#include <filesystem>
#include <string_view>

namespace flopcast {

/// Writes `contents` to a temporary file in the same folder, then renames it over `path`. Readers see the old file or the
/// new one, never half of it; on failure nothing is left behind and std::runtime_error says why.
void write_file_atomically(const std::filesystem::path& path, std::string_view contents);

}  // namespace flopcast
