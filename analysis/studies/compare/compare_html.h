// A comparison as a page: a waterfall per pair, and the tables behind it.
#pragma once
#include <string>

#include "analysis/studies/compare/compare.h"

namespace flopcast {

std::string to_html(const ScenarioComparison& comparison);

}  // namespace flopcast
