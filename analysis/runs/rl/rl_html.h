// The report of a loop of reinforcement learning as one HTML file.
#pragma once
#include <string>

#include "analysis/runs/rl/rl_report.h"
#include "analysis/runs/rl/rl_run.h"

namespace flopcast {

std::string to_html(const RlReport& report);
/// What a step would save without each of its parts. @param title of the scenario
std::string to_html(const RlExplanation& explanation, const std::string& title);

}  // namespace flopcast
