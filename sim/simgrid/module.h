// What the module that is linked to SimGrid shows of itself.
#pragma once
#include <span>

#include "sim/contention.h"

// Looked up by name, so it has one that no compiler mangles; both sides are built together.
extern "C" __attribute__((visibility("default"))) flopcast::ContentionSolver* flopcast_new_simgrid_solver(
    const flopcast::Network& network, std::span<const flopcast::RouteId> routes);
