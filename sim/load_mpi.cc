// MPI is behind a module that is loaded in programs that mpirun has started (sim/mpi/module.h).
#include <dlfcn.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

#include "sim/base/own_file.h"
#include "sim/mpi/module.h"

namespace flopcast {
namespace {

/// Where SimGrid's module lies, too (load_simgrid.cc). Empty: nowhere.
std::filesystem::path mpi_module_file() {
  namespace fs = std::filesystem;
  const fs::path own = own_file().parent_path();
  for (const fs::path& folder :
       {own, own.parent_path(), own / "flopcast", own.parent_path() / FLOPCAST_LIBDIR / "flopcast"}) {
    const fs::path file = folder / "libflopcast_mpi.so";
    std::error_code error;
    if (fs::exists(file, error)) return file;
  }
  return {};
}

}  // namespace

bool mpi_module_exists() { return !mpi_module_file().empty(); }

std::unique_ptr<MpiPort> start_mpi() {
  // MPI implementations load further modules, which look for symbols of this one: hence RTLD_GLOBAL.
  void* const module = ::dlopen(mpi_module_file().c_str(), RTLD_NOW | RTLD_GLOBAL);
  void* const symbol = module ? ::dlsym(module, "flopcast_new_mpi_port") : nullptr;
  if (!symbol) throw std::runtime_error(std::string("MPI cannot be loaded: ") + ::dlerror());
  return std::unique_ptr<MpiPort>(reinterpret_cast<decltype(&flopcast_new_mpi_port)>(symbol)());
}

}  // namespace flopcast
