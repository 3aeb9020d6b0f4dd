#include "sim/jobs/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include "flopcast/errors.h"
#include "sim/base/diagnostic.h"
#include "sim/base/stuck_error.h"

namespace flopcast {
namespace {

constexpr std::size_t kPipeBuffer = 1 << 16;

[[noreturn]] void throw_errno(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

/// Exceptions as bytes: a letter for the type, then fields, each preceded by its length and a space.
class FieldWriter {
 public:
  explicit FieldWriter(char type) : text_(1, type) {}
  FieldWriter& operator<<(std::string_view field) {
    text_ += std::to_string(field.size()) + ' ';
    text_ += field;
    return *this;
  }
  FieldWriter& operator<<(long long number) { return *this << std::to_string(number); }
  std::string text() && { return std::move(text_); }

 private:
  std::string text_;
};

class FieldReader {
 public:
  explicit FieldReader(std::string_view text) : text_(text) {}
  bool done() const { return text_.empty(); }
  std::string field() {
    std::size_t size = 0;
    const char* end = std::from_chars(text_.data(), text_.data() + text_.size(), size).ptr;
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()) + 1);
    std::string result(text_.substr(0, size));
    text_.remove_prefix(size);
    return result;
  }
  long long number() { return std::stoll(field()); }

 private:
  std::string_view text_;
};

std::string encode(const InputError& error) {
  FieldWriter out('I');
  for (const Diagnostic& d : error.diagnostics())
    out << d.file << d.line << d.column << d.field << d.found << d.expected << d.suggestion << d.remedy;
  return std::move(out).text();
}

std::string encode(const StuckError& error) {
  FieldWriter out('S');
  out << error.what();
  for (OpId op : error.stuck()) out << static_cast<long long>(op.index());
  return std::move(out).text();
}

/// The exception being handled, as bytes. Never empty.
std::string encode_current_exception() {
  try {
    throw;
  } catch (const InputError& error) {
    return encode(error);
  } catch (const StuckError& error) {
    return encode(error);
  } catch (const Interrupted&) {
    return std::move(FieldWriter('C')).text();
  } catch (const std::exception& error) {
    return std::move(FieldWriter('R') << error.what()).text();
  } catch (...) {
    return std::move(FieldWriter('R') << "an exception of an unknown type").text();
  }
}

InputError decode_input_error(FieldReader in) {
  std::vector<Diagnostic> diagnostics;
  while (!in.done()) {
    Diagnostic& d = diagnostics.emplace_back();
    d.file = in.field();
    d.line = static_cast<int>(in.number());
    d.column = static_cast<int>(in.number());
    d.field = in.field();
    d.found = in.field();
    d.expected = in.field();
    d.suggestion = in.field();
    d.remedy = in.field();
  }
  return InputError(std::move(diagnostics));
}

StuckError decode_stuck_error(FieldReader in) {
  std::string message = in.field();
  std::vector<OpId> stuck;
  while (!in.done()) stuck.push_back(OpId::at(in.number()));
  return StuckError(std::move(message), std::move(stuck));
}

[[noreturn]] void rethrow(std::string_view encoded) {
  FieldReader fields(encoded.substr(1));
  switch (encoded.front()) {
    case 'I':
      throw decode_input_error(fields);
    case 'S':
      throw decode_stuck_error(fields);
    case 'C':
      throw Interrupted();
    default:
      throw std::runtime_error(fields.field());
  }
}

void close_quietly(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("cannot open a pipe");
    read_end = ends[0];
    write_end = ends[1];
  }
  ~Pipe() {
    close_quietly(read_end);
    close_quietly(write_end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int read_end = -1;
  int write_end = -1;
};

/// Waits for the end of a child; its status as waitpid gives it.
int reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) throw_errno("cannot wait for a child process");
  return status;
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) return std::string("was ended by signal: ") + ::strsignal(WTERMSIG(status));
  return "ended with status " + std::to_string(WEXITSTATUS(status));
}

/// However the parent ends, killed included, this process ends with it, and so do its own children.
void end_with_parent(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(2);  // it ended before we asked
}

/// Ctrl-C is the parent's to decide.
void own_signals() {
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGPIPE, SIG_DFL);  // when the parent is gone, so should we be
  // The parent reports how a child died; its own handlers (a test framework's, say) would only speak twice.
  for (int fatal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM}) std::signal(fatal, SIG_DFL);
}

}  // namespace

PipeWriter::PipeWriter(int descriptor) : descriptor_(descriptor) { buffer_.reserve(kPipeBuffer); }

void PipeWriter::write(std::string_view bytes) {
  buffer_ += bytes;
  if (buffer_.size() >= kPipeBuffer) flush();
}

void PipeWriter::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) throw_errno("cannot write to a pipe");
    if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  }
  buffer_.clear();
}

ChildProcess::ChildProcess(const std::function<void(PipeWriter&)>& body) {
  Pipe data, failure;
  std::fflush(nullptr);  // or the child would print what we have not yet printed a second time
  const pid_t parent = ::getpid();
  // The child must not run this process's handlers before it has its own.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_ = ::fork();
  if (pid_ == 0) {
    end_with_parent(parent);
    own_signals();
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::close(data.read_end);
    ::close(failure.read_end);
    run_child(body, data.write_end, failure.write_end);
  }
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  if (pid_ < 0) throw_errno("cannot start a child process");
  data_ = std::exchange(data.read_end, -1);
  failure_ = std::exchange(failure.read_end, -1);
}

void ChildProcess::run_child(const std::function<void(PipeWriter&)>& body, int data, int failure) {
  std::string error;
  try {
    PipeWriter writer(data);
    body(writer);
    writer.flush();
  } catch (...) {
    error = encode_current_exception();
  }
  // The parent reads the data to its end before it looks for an error.
  ::close(data);
  try {
    PipeWriter writer(failure);
    writer.write(error);
    writer.flush();
  } catch (...) {
    ::_exit(2);
  }
  ::_exit(error.empty() ? 0 : 1);
}

ChildProcess::~ChildProcess() {
  close_quietly(data_);
  close_quietly(failure_);
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
}

std::size_t ChildProcess::read(std::span<char> space, const std::function<void()>& interrupted) {
  while (true) {
    const ssize_t count = ::read(data_, space.data(), space.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) throw_errno("cannot read from a child process");
    if (interrupted) interrupted();
  }
}

void ChildProcess::join() {
  assert(pid_ >= 0);
  close_quietly(data_);
  std::swap(data_, failure_);  // from here on we read what went wrong
  std::string error;
  std::array<char, 4096> space;
  while (const std::size_t count = read(space)) error.append(space.data(), count);
  const int status = reap(std::exchange(pid_, -1));
  if (!error.empty()) rethrow(error);
  if (status != 0) throw std::runtime_error("a child process " + describe(status));
}

std::string run_isolated(const std::function<std::string()>& body) {
  ChildProcess child([&](PipeWriter& out) { out.write(body()); });
  std::string result;
  std::array<char, kPipeBuffer> space;
  while (const std::size_t count = child.read(space)) result.append(space.data(), count);
  child.join();
  return result;
}

namespace {

/// A job that is being worked on.
struct RunningJob {
  std::size_t index;
  std::unique_ptr<ChildProcess> child;
};

/// Reads once from every child that has something to say, after waiting for at least one.
/// Returns the positions of those that are at their end.
std::vector<std::size_t> read_some(const std::vector<RunningJob>& running, std::vector<std::string>& results) {
  std::vector<pollfd> waiting;
  for (const RunningJob& job : running) waiting.push_back({job.child->descriptor(), POLLIN, 0});
  while (::poll(waiting.data(), static_cast<nfds_t>(waiting.size()), -1) < 0)
    if (errno != EINTR) throw_errno("cannot wait for child processes");
  std::vector<std::size_t> at_end;
  std::array<char, kPipeBuffer> space;
  for (std::size_t i = 0; i < running.size(); ++i) {
    if (waiting[i].revents == 0) continue;
    const std::size_t count = running[i].child->read(space);
    if (count == 0) at_end.push_back(i);
    results[running[i].index].append(space.data(), count);
  }
  return at_end;
}

}  // namespace

int workers_or_cores(int asked) {
  return asked > 0 ? asked : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

std::vector<std::string> parallel_map(std::size_t jobs, int workers,
                                      const std::function<std::string(std::size_t)>& job) {
  const std::size_t at_once = static_cast<std::size_t>(std::max(1, workers));
  std::vector<std::string> results(jobs);
  std::vector<RunningJob> running;
  std::exception_ptr failure;
  std::size_t failed = jobs;
  std::size_t next = 0;
  while (next < jobs || !running.empty()) {
    // Jobs start in their order, so every job below the first that fails has been started and is waited for.
    for (; next < jobs && running.size() < at_once && !failure; ++next)
      running.push_back(
          {next, std::make_unique<ChildProcess>([&job, next](PipeWriter& out) { out.write(job(next)); })});
    if (running.empty()) break;
    const std::vector<std::size_t> at_end = read_some(running, results);
    for (auto i = at_end.rbegin(); i != at_end.rend(); ++i) {
      const RunningJob ended = std::move(running[*i]);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(*i));
      try {
        ended.child->join();
      } catch (...) {
        if (ended.index < failed) failure = std::current_exception();
        failed = std::min(failed, ended.index);
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
  return results;
}

}  // namespace flopcast
