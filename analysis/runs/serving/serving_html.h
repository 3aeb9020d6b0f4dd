// A serving run as one HTML page: latencies, promises, what happened over time, what iterations are made of,
// cost.
#pragma once
#include <string>

#include "analysis/runs/serving/serving_explain.h"

namespace flopcast {

std::string to_html(const ServingReport& report, const ServingExplanation& explanation);
/// What its latencies and iterations consist of, alone.
std::string to_html(const ServingExplanation& explanation, const std::string& title);

}  // namespace flopcast
