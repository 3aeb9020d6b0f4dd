// Completing scenarios, for the library itself.
#pragma once
#include "analysis/face/environment_data.h"
#include "flopcast/scenario.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// Fills in what comes from calibrations and the price book. @throws InputError.
ResolvedScenario completed(Scenario scenario, const EnvironmentData& data);

}  // namespace flopcast
