// SimGrid is behind a module that is loaded when contention is first simulated (sim/contention.h).
#include <dlfcn.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

#include "sim/base/own_file.h"
#include "sim/simgrid/module.h"

namespace flopcast {
namespace {

using NewSolver = decltype(&flopcast_new_simgrid_solver);

constexpr const char* kModule = "libflopcast_simgrid.so";

/// The module beside this program or library (of the tests: one folder up), or where an installed one has it: in
/// lib/flopcast, seen from bin or lib, whatever prefix that is part of.
std::filesystem::path module_file() {
  namespace fs = std::filesystem;
  const fs::path own = own_file().parent_path();
  for (const fs::path& folder :
       {own, own.parent_path(), own / "flopcast", own.parent_path() / FLOPCAST_LIBDIR / "flopcast"}) {
    std::error_code error;
    if (fs::exists(folder / kModule, error)) return folder / kModule;
  }
  return kModule;  // wherever the system looks
}

NewSolver open_module() {
  void* const module = ::dlopen(module_file().c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const symbol = module ? ::dlsym(module, "flopcast_new_simgrid_solver") : nullptr;
  if (!symbol) throw std::runtime_error(std::string("SimGrid cannot be loaded: ") + ::dlerror());
  return reinterpret_cast<NewSolver>(symbol);
}

NewSolver new_solver() {
  static const NewSolver kNewSolver = open_module();
  return kNewSolver;
}

}  // namespace

void load_simgrid() { new_solver(); }

std::unique_ptr<ContentionSolver> make_simgrid_solver(const Network& network, std::span<const RouteId> routes) {
  return std::unique_ptr<ContentionSolver>(new_solver()(network, routes));
}

}  // namespace flopcast
