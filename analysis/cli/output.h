// Files that commands write: whole or not at all.
#pragma once
#include <cstdio>
#include <string>
#include <string_view>

namespace flopcast {

/// @throws InputError when `path` could not be written: better before an hour of replay than after. `-`
/// always can.
void check_writable(const std::string& path, const std::string& option);

/// Writes text to a file, or to stdout for `-`.
void write_text(const std::string& path, std::string_view text);

/// A file that grows piece by piece under a temporary name and takes its own when it is complete.
class GrowingFile {
 public:
  explicit GrowingFile(std::string path);
  ~GrowingFile();  ///< without commit(): removed
  GrowingFile(const GrowingFile&) = delete;
  GrowingFile& operator=(const GrowingFile&) = delete;
  void append(std::string_view text);
  void commit();

 private:
  [[noreturn]] void fail(const char* what) const;
  std::string path_, temporary_;
  std::FILE* file_;
};

}  // namespace flopcast
