#include "scenarios/read/text/file_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

/// Where both really are: links lead elsewhere, and so does "..".
bool lies_below(const fs::path& path, const fs::path& folder) {
  std::error_code unknown, no_folder;
  const fs::path at = fs::weakly_canonical(fs::absolute(path, unknown), unknown);
  const fs::path top = fs::canonical(folder, no_folder);
  if (unknown || no_folder) return false;
  const auto [end, rest] = std::mismatch(top.begin(), top.end(), at.begin(), at.end());
  return end == top.end() && rest != at.end();
}

}  // namespace

void FileRule::check(const std::string& path, const Diagnostic& stated) const {
  if (!confined_) return;
  for (const std::string& folder : folders_)
    if (lies_below(path, folder)) return;
  Diagnostic fault = stated;
  fault.found = "the file " + quoted(path);
  fault.expected = folders_.empty() ? "no file: there is no folder of scenarios"
                                    : fmt::format("a file below {}", fmt::join(folders_, " or "));
  fault.suggestion.clear();
  throw InputError(std::move(fault));
}

}  // namespace flopcast
