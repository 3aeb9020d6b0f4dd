// SimGrid is behind a module that is loaded when contention is first simulated (sim/contention.h).
#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "sim/base/module_file.h"
#include "sim/simgrid/module.h"

namespace flopcast {
namespace {

using NewSolver = decltype(&flopcast_new_simgrid_solver);

constexpr const char* kSimgridModule = "libflopcast_simgrid.so";

NewSolver open_module() {
  const std::filesystem::path file = module_file(kSimgridModule);
  // Where it is in none of our places, wherever the system looks.
  void* const module = ::dlopen(file.empty() ? kSimgridModule : file.c_str(), RTLD_NOW | RTLD_LOCAL);
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
