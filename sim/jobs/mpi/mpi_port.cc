// All that knows MPI. Plain point-to-point messages, so that any implementation of MPI 3 will do.
#include <mpi.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <vector>

#include "sim/jobs/mpi/module.h"

namespace flopcast {
namespace {

constexpr int kTag = 1;

class MpiWorldPort final : public MpiPort {
 public:
  MpiWorldPort() {
    MPI_Init(nullptr, nullptr);
    // A rank that is gone is no reason to end the others: whoever waits for it finds out by its silence.
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void send(int to, std::string_view message) override {
    drop_sent();
    sent_.push_back({std::vector<char>(message.begin(), message.end()), MPI_REQUEST_NULL});
    Sent& sent = sent_.back();
    MPI_Isend(sent.bytes.data(), static_cast<int>(sent.bytes.size()), MPI_CHAR, to, kTag, MPI_COMM_WORLD,
              &sent.request);
  }

  std::optional<std::pair<int, std::string>> receive() override {
    drop_sent();
    int there = 0, size = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, kTag, MPI_COMM_WORLD, &there, &status) != MPI_SUCCESS || there == 0)
      return std::nullopt;
    MPI_Get_count(&status, MPI_CHAR, &size);
    std::string message(static_cast<std::size_t>(size), '\0');
    if (MPI_Recv(message.data(), size, MPI_CHAR, status.MPI_SOURCE, kTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE) !=
        MPI_SUCCESS)
      return std::nullopt;
    return std::pair(status.MPI_SOURCE, std::move(message));
  }

  void finish(bool all_here) override {
    if (all_here) {
      for (Sent& sent : sent_) MPI_Wait(&sent.request, MPI_STATUS_IGNORE);
      MPI_Finalize();
      return;
    }
    // MPI_Finalize would wait for those that are gone, and so would what MPI has registered for the program's end. The
    // program itself goes on: it has results to write and to tell.
    constexpr int kPatienceUs = 300'000;
    ::usleep(kPatienceUs);  // what was sent last is on its way
    drop_sent();
    ::on_exit(
        [](int status, void*) {
          std::fflush(nullptr);
          ::_exit(status);
        },
        nullptr);
  }

 private:
  struct Sent {
    std::vector<char> bytes;
    MPI_Request request;
  };
  void drop_sent() {
    while (!sent_.empty()) {
      int done = 0;
      if (MPI_Test(&sent_.front().request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done == 0) return;
      sent_.pop_front();
    }
  }
  int rank_ = 0, size_ = 1;
  std::deque<Sent> sent_;
};

}  // namespace
}  // namespace flopcast

extern "C" __attribute__((visibility("default"))) flopcast::MpiPort* flopcast_new_mpi_port() {
  return new flopcast::MpiWorldPort();
}
