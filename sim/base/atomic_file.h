// Files that are there whole or not at all.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace flopcast {

/// Where a result goes. A file is written under a temporary name in the folder that holds it and takes its
/// own when it is complete: readers see the old file or the new one, never half of it. Links are followed, so
/// that it is their target that is replaced. What is no file (a device, a pipe) or what stdout or stderr lead
/// to is written to as it grows.
class AtomicFile {
 public:
  /// @throws std::runtime_error when it cannot be written.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();  ///< without commit(): a file is as it was before
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::string_view text);
  void commit();

 private:
  [[noreturn]] void fail(int error) const;
  std::filesystem::path path_, target_;
  std::string temporary_;  // empty: written in place
  int descriptor_ = -1;
};

/// `contents` in an AtomicFile; on failure nothing is left behind and std::runtime_error says why.
void write_file_atomically(const std::filesystem::path& path, std::string_view contents);

/// Why an AtomicFile could not be written here; empty when it could. Found out by making a temporary file
/// where a file would be replaced; opens no device and no pipe.
std::string write_obstacle(const std::filesystem::path& path);

/// Whether both names lead to one file. Never of what is written in place.
bool same_file(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace flopcast
