// SimGrid is behind a module that is loaded when contention is first simulated (sim/contention.h).
#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "sim/simgrid/module.h"

namespace flopcast {
namespace {

using NewSolver = decltype(&flopcast_new_simgrid_solver);

/// Found beside the program or in lib/flopcast, by the run path that the build gives it.
NewSolver open_module() {
  void* const module = ::dlopen("libflopcast_simgrid.so", RTLD_NOW | RTLD_LOCAL);
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
