#include "sim/jobs/worker_pool.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <system_error>

namespace flopcast {
namespace {

// A job goes out as its number; a result comes back as one byte (done or thrown), its length, its bytes.
constexpr std::size_t kHead = 1 + sizeof(std::uint64_t);

bool write_all(int descriptor, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(descriptor, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

bool read_all(int descriptor, char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t count = ::read(descriptor, bytes, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

std::string framed(bool thrown, const std::string& result) {
  std::string out(kHead, thrown ? '\1' : '\0');
  const std::uint64_t size = result.size();
  std::memcpy(out.data() + 1, &size, sizeof size);
  return out + result;
}

std::string cause_of_death(int status) {
  if (WIFSIGNALED(status)) return std::string("the process was ended by signal: ") + ::strsignal(WTERMSIG(status));
  return "the process ended with status " + std::to_string(WEXITSTATUS(status));
}

/// While it lives, writing to a process that is gone is an error and no signal.
class NoBrokenPipes {
 public:
  NoBrokenPipes() {
    struct sigaction ignore = {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore, &before_);
  }
  ~NoBrokenPipes() { sigaction(SIGPIPE, &before_, nullptr); }
  NoBrokenPipes(const NoBrokenPipes&) = delete;
  NoBrokenPipes& operator=(const NoBrokenPipes&) = delete;

 private:
  struct sigaction before_ = {};
};

}  // namespace

WorkerPool::WorkerPool(int workers, Work work) : work_(std::move(work)) {
  assert(workers > 0);
  workers_.resize(static_cast<std::size_t>(workers));
  for (Worker& worker : workers_) start(worker);
}

WorkerPool::~WorkerPool() {
  for (Worker& worker : workers_) {
    if (worker.pid > 0) ::kill(worker.pid, SIGKILL);
    end(worker);
  }
}

void WorkerPool::start(Worker& worker) {
  int jobs[2], results[2];
  if (::pipe(jobs) != 0) throw std::system_error(errno, std::generic_category(), "cannot open a pipe");
  if (::pipe(results) != 0) {
    ::close(jobs[0]);
    ::close(jobs[1]);
    throw std::system_error(errno, std::generic_category(), "cannot open a pipe");
  }
  std::fflush(nullptr);  // or the child would print what we have not yet printed a second time
  const pid_t parent = ::getpid();
  worker = Worker{.pid = ::fork(), .to = jobs[1], .from = results[0]};
  if (worker.pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);  // it was gone before we asked
    for (const Worker& other : workers_) {
      if (other.to >= 0) ::close(other.to);
      if (other.from >= 0) ::close(other.from);
    }
    serve(jobs[0], results[1]);
  }
  ::close(jobs[0]);
  ::close(results[1]);
  if (worker.pid < 0) {
    const int error = errno;
    ::close(worker.to);
    ::close(worker.from);
    worker = Worker{};
    throw std::system_error(error, std::generic_category(), "cannot start a process");
  }
}

void WorkerPool::serve(int in, int out) const {
  std::signal(SIGINT, SIG_IGN);
  for (int fatal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM, SIGPIPE}) std::signal(fatal, SIG_DFL);
  std::uint64_t job = 0;
  while (read_all(in, reinterpret_cast<char*>(&job), sizeof job)) {
    std::string reply;
    try {
      reply = framed(false, work_(job));
    } catch (const std::exception& error) {
      reply = framed(true, error.what());
    } catch (...) {
      reply = framed(true, "something that is no std::exception was thrown");
    }
    if (!write_all(out, reply.data(), reply.size())) break;
  }
  ::_exit(0);
}

void WorkerPool::end(Worker& worker) {
  if (worker.to >= 0) ::close(worker.to);
  if (worker.from >= 0) ::close(worker.from);
  worker.to = worker.from = -1;
  int status = 0;
  if (worker.pid > 0)
    while (::waitpid(worker.pid, &status, 0) < 0 && errno == EINTR) continue;
  worker.pid = -1;
}

std::size_t WorkerPool::idle() const {
  return static_cast<std::size_t>(
      std::count_if(workers_.begin(), workers_.end(), [](const Worker& worker) { return !worker.at_work; }));
}

std::size_t WorkerPool::busy() const { return workers_.size() - idle(); }

void WorkerPool::give(std::uint64_t job) {
  const auto worker = std::find_if(workers_.begin(), workers_.end(), [](const Worker& w) { return !w.at_work; });
  assert(worker != workers_.end());
  const NoBrokenPipes guard;
  worker->at_work = true;
  worker->job = job;
  // When it has just died, wait() finds its results at their end, and the job with it.
  write_all(worker->to, reinterpret_cast<const char*>(&job), sizeof job);
}

std::vector<FinishedJob> WorkerPool::wait(int milliseconds) {
  std::vector<pollfd> waiting;
  for (const Worker& worker : workers_) waiting.push_back({worker.from, POLLIN, 0});
  std::vector<FinishedJob> out;
  if (::poll(waiting.data(), static_cast<nfds_t>(waiting.size()), milliseconds) <= 0) return out;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (waiting[i].revents != 0) collect(workers_[i], out);
  }
  return out;
}

void WorkerPool::collect(Worker& worker, std::vector<FinishedJob>& out) {
  char space[1 << 16];
  const ssize_t count = ::read(worker.from, space, sizeof space);
  if (count < 0 && errno == EINTR) return;
  if (count > 0) {
    worker.received.append(space, static_cast<std::size_t>(count));
    if (worker.received.size() < kHead) return;
    std::uint64_t size = 0;
    std::memcpy(&size, worker.received.data() + 1, sizeof size);
    if (worker.received.size() < kHead + size) return;
    out.push_back({worker.job, worker.received[0] != '\0', worker.received.substr(kHead)});
    worker.received.clear();
    worker.at_work = false;
    return;
  }
  ::close(worker.to);
  ::close(worker.from);
  worker.to = worker.from = -1;
  int status = 0;
  while (::waitpid(worker.pid, &status, 0) < 0 && errno == EINTR) continue;
  if (worker.at_work) out.push_back({worker.job, true, cause_of_death(status)});
  start(worker);
}

}  // namespace flopcast
