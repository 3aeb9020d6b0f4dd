// Work done in forked copies of this process: isolated from it and from each other, results sent back through pipes.
// SimGrid allows one platform per process, hence replays with contention and sweeps over scenarios run this way.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flopcast {

/// The writing end of a pipe, buffered.
class PipeWriter {
 public:
  explicit PipeWriter(int descriptor);
  void write(std::string_view bytes);
  void flush();

 private:
  int descriptor_;
  std::string buffer_;
};

/// A forked copy of this process that sends bytes back while it works. It ends when `body` returns or throws, without
/// running destructors of static objects, and it ignores Ctrl-C: this process decides. When this process ends, killed
/// or not, it is killed too.
class ChildProcess {
 public:
  explicit ChildProcess(const std::function<void(PipeWriter&)>& body);
  ~ChildProcess();  ///< kills the child if it has not been joined
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Waits for bytes and puts as many as are there into `space`; 0 when the child has closed its end.
  /// `interrupted` is called when a signal cuts the wait short; it may throw.
  std::size_t read(std::span<char> space, const std::function<void()>& interrupted = {});
  /// Waits for the end of the child, whose bytes have all been read. Throws what `body` threw: InputError,
  /// StuckError and Interrupted as such, any other as std::runtime_error with its message; also when the child
  /// died otherwise.
  void join();
  int descriptor() const { return data_; }

 private:
  [[noreturn]] void run_child(const std::function<void(PipeWriter&)>& body, int data, int failure);

  pid_t pid_ = -1;
  int data_ = -1;
  int failure_ = -1;
};

/// So many workers as were asked for; 0: one per core.
int workers_or_cores(int asked = 0);

/// Runs `body` in a child process and returns what it returned, or throws what it threw (see ChildProcess::join).
std::string run_isolated(const std::function<std::string()>& body);

/// Runs job(0) .. job(jobs - 1), each in a child process of its own, at most `workers` at a time. The results come in
/// the order of the jobs, whatever the number of workers. When jobs throw, no further ones are started and the
/// exception of the lowest-numbered is thrown.
std::vector<std::string> parallel_map(std::size_t jobs, int workers,
                                      const std::function<std::string(std::size_t)>& job);

}  // namespace flopcast
