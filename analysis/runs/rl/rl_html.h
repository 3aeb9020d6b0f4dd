// The report of a loop of reinforcement learning as one HTML file.
#pragma once
#include <string>

#include "analysis/runs/rl/rl_report.h"

namespace flopcast {

std::string to_html(const RlReport& report);

}  // namespace flopcast
