// The cost of scenarios that have nothing to replay, for commands other than `cost`.
#pragma once
#include <string>

#include "analysis/money/cost_study.h"
#include "scenarios/read/libraries.h"

namespace flopcast {

/// Prints what the scenario's given work costs under its own price model, or writes it as JSON.
/// @param json path; empty: text.
void present_given_cost(const Scenario& scenario, const Libraries& libraries, const std::string& json);

}  // namespace flopcast
