#include "sim/base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <stdexcept>

namespace flopcast {
namespace {

namespace fs = std::filesystem;

std::optional<struct stat> stat_of(const fs::path& path) {
  struct stat found = {};
  if (::stat(path.c_str(), &found) != 0) return std::nullopt;
  return found;
}

bool same(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// stdout or stderr, when that is where `found` leads; else -1. A file behind them must keep what they wrote
// to it.
int standard_stream(const struct stat& found) {
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    struct stat own = {};
    if (::fstat(stream, &own) == 0 && same(own, found)) return stream;
  }
  return -1;
}

// What a chain of links ends at, also when nothing is there yet.
fs::path follow_links(fs::path path) {
  constexpr int kLongestChain = 40;  // as Linux has it
  std::error_code none;
  for (int i = 0; i < kLongestChain && fs::is_symlink(path, none); ++i) {
    const fs::path next = fs::read_symlink(path, none);
    path = next.is_absolute() ? next : path.parent_path() / next;
  }
  return path;
}

// The file to replace; none when `path` is something to write to as it is.
std::optional<fs::path> replaceable(const fs::path& path) {
  const fs::path target = follow_links(path);
  const std::optional<struct stat> found = stat_of(path);
  if (!found) return target;
  if (!S_ISREG(found->st_mode) || standard_stream(*found) >= 0) return std::nullopt;
  const std::optional<struct stat> at_target = stat_of(target);
  if (!at_target || !same(*found, *at_target)) return std::nullopt;  // open, but its name is gone
  return target;
}

int open_in_place(const fs::path& path) {
  const std::optional<struct stat> found = stat_of(path);
  const int stream = found ? standard_stream(*found) : -1;
  if (stream < 0) return ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  std::fflush(stream == STDOUT_FILENO ? stdout : stderr);
  return ::dup(stream);
}

std::string temporary_name(const fs::path& target) { return target.string() + ".XXXXXX"; }

// mkstemp makes files that only their owner may read; results are ordinary files, or what they were.
mode_t mode_of_result(const fs::path& target) {
  if (const std::optional<struct stat> before = stat_of(target)) return before->st_mode & 07777;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : path_(path) {
  if (const std::optional<fs::path> file = replaceable(path)) {
    target_ = *file;
    temporary_ = temporary_name(target_);
    descriptor_ = ::mkstemp(temporary_.data());
  } else {
    descriptor_ = open_in_place(path);
  }
  if (descriptor_ < 0) fail(errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view rest) {
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) fail(errno);
    if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

void AtomicFile::commit() {
  if (temporary_.empty()) return;
  const bool stored = ::fchmod(descriptor_, mode_of_result(target_)) == 0 && ::fsync(descriptor_) == 0;
  if (!stored || ::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
  temporary_.clear();
}

void AtomicFile::fail(int error) const {
  throw std::runtime_error("cannot write " + path_.string() + ": " + std::strerror(error));
}

void write_file_atomically(const fs::path& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

std::string write_obstacle(const fs::path& path) {
  std::error_code none;
  if (fs::is_directory(path, none)) return std::strerror(EISDIR);
  if (fs::exists(path, none) && ::access(path.c_str(), W_OK) != 0) return std::strerror(errno);
  const std::optional<fs::path> file = replaceable(path);
  if (!file) return {};
  std::string trial = temporary_name(*file);
  const int descriptor = ::mkstemp(trial.data());
  if (descriptor < 0) return std::strerror(errno);
  ::close(descriptor);
  ::unlink(trial.c_str());
  return {};
}

bool same_file(const fs::path& a, const fs::path& b) {
  const std::optional<fs::path> first = replaceable(a), second = replaceable(b);
  if (!first || !second) return false;
  std::error_code none;
  return fs::weakly_canonical(*first, none) == fs::weakly_canonical(*second, none);
}

}  // namespace flopcast
