// MPI is behind a module that is loaded in programs that mpirun has started (sim/jobs/mpi/module.h).
#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "sim/base/module_file.h"
#include "sim/jobs/mpi/module.h"

namespace flopcast {
namespace {

constexpr const char* kMpiModule = "libflopcast_mpi.so";

}  // namespace

bool mpi_module_exists() { return !module_file(kMpiModule).empty(); }

std::unique_ptr<MpiPort> start_mpi() {
  // MPI implementations load further modules, which look for symbols of this one: hence RTLD_GLOBAL.
  void* const module = ::dlopen(module_file(kMpiModule).c_str(), RTLD_NOW | RTLD_GLOBAL);
  void* const symbol = module ? ::dlsym(module, "flopcast_new_mpi_port") : nullptr;
  if (!symbol) throw std::runtime_error(std::string("MPI cannot be loaded: ") + ::dlerror());
  return std::unique_ptr<MpiPort>(reinterpret_cast<decltype(&flopcast_new_mpi_port)>(symbol)());
}

}  // namespace flopcast
