#include "sim/base/atomic_file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
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

// What a chain of links ends at, also when nothing is there yet; nothing for a chain that goes round in a circle.
std::optional<fs::path> follow_links(fs::path path) {
  constexpr int kLongestChain = 40;  // as Linux has it
  std::error_code none;
  for (int i = 0; i <= kLongestChain; ++i) {
    if (!fs::is_symlink(path, none)) return path;
    const fs::path next = fs::read_symlink(path, none);
    path = next.is_absolute() ? next : path.parent_path() / next;
  }
  return std::nullopt;
}

// Where a result goes: a file to replace, something to write to as it is (no file, no error), or nowhere.
struct Place {
  std::optional<fs::path> file;
  int error = 0;
};

Place place_of(const fs::path& path) {
  const std::optional<fs::path> target = follow_links(path);
  if (!target) return {std::nullopt, ELOOP};
  const std::optional<struct stat> found = stat_of(path);
  if (!found) return {target, 0};
  if (!S_ISREG(found->st_mode) || standard_stream(*found) >= 0) return {};
  const std::optional<struct stat> at_target = stat_of(*target);
  if (!at_target || !same(*found, *at_target)) return {};  // open, but its name is gone
  return {target, 0};
}

int open_in_place(const fs::path& path) {
  const std::optional<struct stat> found = stat_of(path);
  const int stream = found ? standard_stream(*found) : -1;
  if (stream < 0) return ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  std::fflush(stream == STDOUT_FILENO ? stdout : stderr);
  return ::fcntl(stream, F_DUPFD_CLOEXEC, 0);
}

fs::path folder_of(const fs::path& target) {
  const fs::path folder = target.parent_path();
  return folder.empty() ? fs::path(".") : folder;
}

// A file without a name in the folder of `target`; -1 with errno ENOTSUP where there are none.
int open_unnamed(const fs::path& target) {
  // Without /proc there is no way to give it a name later.
  const bool nameable = ::access("/proc/self/fd", X_OK) == 0;
  const int descriptor =
      nameable ? ::open(folder_of(target).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666) : (errno = ENOTSUP, -1);
  // What file systems and kernels without unnamed files say.
  if (descriptor < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) errno = ENOTSUP;
  return descriptor;
}

// ".NAME.flopcast-": what the hidden stand-ins of a target begin with.
std::string hidden_prefix(const fs::path& target) {
  constexpr std::size_t kLongestName = 200;  // of the 255 bytes that a name may have
  return "." + target.filename().string().substr(0, kLongestName) + ".flopcast-";
}

std::string hidden_name(const fs::path& target) {
  static std::atomic<unsigned> made{0};
  return (folder_of(target) / (hidden_prefix(target) + std::to_string(::getpid()) + "-" + std::to_string(made++)))
      .string();
}

// Whether the process that made this hidden file is gone. Processes of other machines show by their lock.
bool is_abandoned(const fs::path& hidden, std::string_view process) {
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(process.data(), process.data() + process.size(), pid);
  if (error != std::errc() || *end != '-' || pid <= 0) return false;
  if (pid == ::getpid() || ::kill(pid, 0) == 0 || errno != ESRCH) return false;
  const int descriptor = ::open(hidden.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return false;
  const bool unlocked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  ::close(descriptor);
  return unlocked;
}

// Removes what killed processes left of this target.
void remove_abandoned(const fs::path& target) {
  const std::string prefix = hidden_prefix(target);
  std::error_code none;
  for (fs::directory_iterator entry(folder_of(target), none), end; entry != end && !none; entry.increment(none)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(prefix) && is_abandoned(entry->path(), name.c_str() + prefix.size()))
      ::unlink(entry->path().c_str());
  }
}

// The hidden files that exist now, for remove_unfinished_files(): a signal handler may neither allocate nor lock, so
// they stand in a table of fixed size. A file that finds no room in it is cleaned up by the next process instead.
struct HiddenFile {
  std::atomic<int> state{0};  // 0 free, 1 being filled in, 2 exists
  char path[PATH_MAX];
};
std::array<HiddenFile, 16> hidden_files;
std::atomic<bool> file_committed{false};

void remember_hidden(const std::string& path) {
  if (path.size() >= PATH_MAX) return;
  for (HiddenFile& file : hidden_files) {
    int free = 0;
    if (!file.state.compare_exchange_strong(free, 1)) continue;
    std::memcpy(file.path, path.c_str(), path.size() + 1);
    file.state = 2;
    return;
  }
}

void forget_hidden(const std::string& path) {
  for (HiddenFile& file : hidden_files) {
    if (file.state == 2 && path == file.path) {
      file.state = 0;
      return;
    }
  }
}

// Between giving a file its name and its being in the right place, no signal is to end us.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_;
};

// A name is on the disk when its folder is. Folders that one may not read, or that cannot be synced, are left to the
// system. @return 0 or errno.
int sync_folder(const fs::path& target) {
  const int folder = ::open(folder_of(target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return 0;
  const int error = ::fsync(folder) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS ? 0 : errno;
  ::close(folder);
  return error;
}

std::string failure_prefix(const fs::path& path) { return "cannot write " + path.string() + ": "; }

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : path_(path) {
  const Place place = place_of(path);
  if (place.error != 0) fail(place.error);
  in_place_ = !place.file;
  if (place.file) target_ = *place.file;
  descriptor_ = in_place_ ? open_in_place(path) : open_unfinished();
  if (descriptor_ < 0) fail(errno);
}

int AtomicFile::open_unfinished() {
  remove_abandoned(target_);
  const int unnamed = open_unnamed(target_);
  if (unnamed >= 0 || errno != ENOTSUP) return unnamed;
  const std::string name = hidden_name(target_);
  remember_hidden(name);
  const int named = ::open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
  if (named >= 0) {
    temporary_ = name;
    ::flock(named, LOCK_EX | LOCK_NB);  // says to others that we live; where there are no locks the number has to do
  } else {
    const int error = errno;
    forget_hidden(name);
    errno = error;
  }
  return named;
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (temporary_.empty()) return;
  ::unlink(temporary_.c_str());
  forget_hidden(temporary_);
}

void AtomicFile::write(std::string_view rest) {
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) fail(errno);
    if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

void AtomicFile::commit() {
  // A file that is replaced keeps who may read it.
  const std::optional<struct stat> before = in_place_ ? std::nullopt : stat_of(target_);
  if (before && ::fchmod(descriptor_, before->st_mode & 07777) != 0) fail(errno);
  const bool stored = ::fsync(descriptor_) == 0;
  // Pipes, terminals and most devices have nothing to sync.
  if (!stored && !(in_place_ && (errno == EINVAL || errno == ENOTSUP || errno == EROFS))) fail(errno);
  {
    const SignalsHeld held;
    if (!in_place_) take_name();
    file_committed = true;
  }
  if (in_place_) return;
  if (const int error = sync_folder(target_); error != 0) fail(error);
}

// From now on the file is at its place. What fails leaves the old one there.
void AtomicFile::take_name() {
  if (temporary_.empty()) {
    const std::string open_file = "/proc/self/fd/" + std::to_string(descriptor_);
    // Nothing to replace: straight to its name.
    if (::linkat(AT_FDCWD, open_file.c_str(), AT_FDCWD, target_.c_str(), AT_SYMLINK_FOLLOW) == 0) return;
    if (errno != EEXIST) fail(errno);
    const std::string name = hidden_name(target_);
    if (::linkat(AT_FDCWD, open_file.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0) fail(errno);
    temporary_ = name;
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
  forget_hidden(temporary_);
  temporary_.clear();
}

void AtomicFile::fail(int error) const { throw std::runtime_error(failure_prefix(path_) + std::strerror(error)); }

void write_file_atomically(const fs::path& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

std::string write_obstacle(const fs::path& path) {
  std::error_code none;
  if (fs::is_directory(path, none)) return std::strerror(EISDIR);
  if (fs::exists(path, none) && ::access(path.c_str(), W_OK) != 0) return std::strerror(errno);
  const Place place = place_of(path);
  if (place.error != 0) return std::strerror(place.error);
  if (!place.file) return {};
  if (place.file->filename().string().size() > NAME_MAX) return std::strerror(ENAMETOOLONG);
  try {
    const AtomicFile trial(path);
  } catch (const std::runtime_error& error) {
    return std::string(error.what()).substr(failure_prefix(path).size());
  }
  return {};
}

std::string write_obstacle_in_new_folder(const fs::path& path) {
  std::error_code none;
  fs::path folder = folder_of(path);
  if (fs::exists(folder, none)) return write_obstacle(path);
  while (!fs::exists(folder, none) && !fs::is_symlink(folder, none) && folder != folder_of(folder))
    folder = folder_of(folder);
  if (!fs::is_directory(folder, none)) return std::strerror(ENOTDIR);
  return ::access(folder.c_str(), W_OK | X_OK) == 0 ? std::string() : std::strerror(errno);
}

bool same_file(const fs::path& a, const fs::path& b) {
  const Place first = place_of(a), second = place_of(b);
  if (!first.file || !second.file) return false;
  std::error_code none;
  return fs::weakly_canonical(*first.file, none) == fs::weakly_canonical(*second.file, none);
}

void remove_unfinished_files() noexcept {
  for (HiddenFile& file : hidden_files)
    if (file.state == 2) ::unlink(file.path);
}

bool any_file_committed() noexcept { return file_committed; }

}  // namespace flopcast
