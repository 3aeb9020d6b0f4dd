// Files that are there whole or not at all.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace flopcast {

/// Where a result goes. A file is written without a name (O_TMPFILE) and takes its own when it is complete: readers see
/// the old file or the new one, never half of it, and a process that is killed leaves nothing behind. Where the file
/// system knows no unnamed files, a hidden one next to the target stands in, `.NAME.flopcast-PID-N`; one that a killed
/// process left is removed by the next that writes the same file. Links are followed, so that it is their target that
/// is replaced. What is no file (a device, a pipe) or what stdout or stderr lead to is written to as it grows.
class AtomicFile {
 public:
  /// @throws std::runtime_error when it cannot be written.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();  ///< without commit(): a file is as it was before
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::string_view text);
  /// When it returns, file and name are on the disk (fsync of the file, then of its folder).
  void commit();

 private:
  [[noreturn]] void fail(int error) const;
  int open_unfinished();
  void take_name();
  std::filesystem::path path_, target_;
  bool in_place_ = false;
  std::string temporary_;  // empty: written in place, or without a name
  int descriptor_ = -1;
};

/// `contents` in an AtomicFile; on failure nothing is left behind and std::runtime_error says why.
void write_file_atomically(const std::filesystem::path& path, std::string_view contents);

/// Why an AtomicFile could not be written here; empty when it could. Found out by opening a file without a name (or
/// with a hidden one) where a file would be replaced; opens no device and no pipe.
std::string write_obstacle(const std::filesystem::path& path);

/// The same of a file whose folder will be made, should it not be there.
std::string write_obstacle_in_new_folder(const std::filesystem::path& path);

/// Whether both names lead to one file. Never of what is written in place.
bool same_file(const std::filesystem::path& a, const std::filesystem::path& b);

/// What a signal handler that ends the program calls: unlinks the hidden files of this process. Only functions that are
/// safe there.
void remove_unfinished_files() noexcept;

/// Whether this process has completed a file.
bool any_file_committed() noexcept;

}  // namespace flopcast
