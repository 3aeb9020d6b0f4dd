// Preloaded into the program by the tests: makes one call of the system fail. FLOPCAST_FAULT=NAME:N:ERRNO lets the Nth
// call of NAME fail; FLOPCAST_FAULT_LOG names a file to which a line is added when that happened.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct Plan {
  char name[32] = "";
  long when = 0;
  int error = EIO;
};

const Plan& plan() {
  static const Plan kPlan = [] {
    Plan out;
    if (const char* const text = std::getenv("FLOPCAST_FAULT"))
      std::sscanf(text, "%31[a-z]:%ld:%d", out.name, &out.when, &out.error);
    return out;
  }();
  return kPlan;
}

std::atomic<long> calls{0};

// What libraries do before main() (Protobuf makes 9,000 allocations) is not the program's to answer for.
std::atomic<bool> main_began{false};
int (*program_main)(int, char**, char**) = nullptr;

int marked_main(int argc, char** argv, char** environment) {
  main_began = true;
  return program_main(argc, argv, environment);
}

bool fails(const char* name) {
  if (!main_began) return false;
  const Plan& p = plan();
  if (p.when == 0 || std::strcmp(p.name, name) != 0 || ++calls != p.when) return false;
  if (const char* const log = std::getenv("FLOPCAST_FAULT_LOG")) {
    const long file = ::syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::syscall(SYS_write, file, "failed\n", 7);
    ::syscall(SYS_close, file);
  }
  errno = p.error;
  return true;
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*init)(), void (*fini)(),
                      void (*rtld_fini)(), void* stack_end) {
  using Start = int(int (*)(int, char**, char**), int, char**, void (*)(), void (*)(), void (*)(), void*);
  program_main = main;
  return next<Start>("__libc_start_main")(marked_main, argc, argv, init, fini, rtld_fini, stack_end);
}

ssize_t write(int file, const void* bytes, size_t count) {
  static auto* const real = next<ssize_t(int, const void*, size_t)>("write");
  return fails("write") ? -1 : real(file, bytes, count);
}
ssize_t read(int file, void* bytes, size_t count) {
  static auto* const real = next<ssize_t(int, void*, size_t)>("read");
  return fails("read") ? -1 : real(file, bytes, count);
}
int fsync(int file) {
  static auto* const real = next<int(int)>("fsync");
  return fails("fsync") ? -1 : real(file);
}
int rename(const char* from, const char* to) {
  static auto* const real = next<int(const char*, const char*)>("rename");
  return fails("rename") ? -1 : real(from, to);
}
int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) {
  static auto* const real = next<int(int, const char*, int, const char*, int)>("linkat");
  return fails("linkat") ? -1 : real(from_folder, from, to_folder, to, flags);
}
int fchmod(int file, mode_t mode) {
  static auto* const real = next<int(int, mode_t)>("fchmod");
  return fails("fchmod") ? -1 : real(file, mode);
}
int open(const char* path, int flags, ...) {
  static auto* const real = next<int(const char*, int, ...)>("open");
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return fails("open") ? -1 : real(path, flags, mode);
}
pid_t fork() {
  static auto* const real = next<pid_t()>("fork");
  return fails("fork") ? -1 : real();
}
int pipe2(int ends[2], int flags) {
  static auto* const real = next<int(int*, int)>("pipe2");
  return fails("pipe") ? -1 : real(ends, flags);
}
int poll(struct pollfd* files, unsigned long count, int timeout) {
  static auto* const real = next<int(struct pollfd*, unsigned long, int)>("poll");
  return fails("poll") ? -1 : real(files, count, timeout);
}
pid_t waitpid(pid_t pid, int* status, int options) {
  static auto* const real = next<pid_t(pid_t, int*, int)>("waitpid");
  return fails("waitpid") ? -1 : real(pid, status, options);
}
void* malloc(size_t size) {
  static auto* const real = next<void*(size_t)>("malloc");
  return fails("malloc") ? nullptr : real(size);
}

}  // extern "C"
