// What is found wrong while a scenario is built or replayed is said with the place of its field, as what reading it
// finds is.
#pragma once
#include <utility>
#include <vector>

#include "analysis/runs/training/run.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// work(), whose faults have places.
template <class Work>
auto with_places(const Scenario& scenario, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const MemoryRefused& refused) {
    if (!scenario.places) throw;
    throw refused.at(*scenario.places);
  } catch (const InputError& error) {
    if (!scenario.places) throw;
    std::vector<Diagnostic> faults;
    for (const Diagnostic& fault : error.diagnostics()) faults.push_back(placed(fault, *scenario.places));
    throw InputError(std::move(faults));
  }
}

}  // namespace flopcast
