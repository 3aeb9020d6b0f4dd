// The one door to the module that MPI is behind (libflopcast_mpi.so): loaded only in programs that mpirun has started.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flopcast {

/// Messages between the ranks of MPI_COMM_WORLD. From one rank to another they arrive in their order.
class MpiPort {
 public:
  virtual ~MpiPort() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual void send(int to, std::string_view message) = 0;
  /// The rank that it is from and the next message; nothing when none is there.
  virtual std::optional<std::pair<int, std::string>> receive() = 0;
  /// Ends MPI. Where ranks have died, waiting for them would take for ever: `all_here` says that none has.
  virtual void finish(bool all_here) = 0;
};

/// Whether the module is there.
bool mpi_module_exists();

/// Starts MPI. Once per process, and only before any thread. @throws std::runtime_error when the module cannot be
/// loaded.
std::unique_ptr<MpiPort> start_mpi();

}  // namespace flopcast

extern "C" flopcast::MpiPort* flopcast_new_mpi_port();
