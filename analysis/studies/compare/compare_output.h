// A comparison for people, for spreadsheets and for programs.
#pragma once
#include <string>

#include "analysis/render/text/text_table.h"
#include "analysis/studies/compare/compare.h"

namespace flopcast {

namespace report {
class ComparisonReport;
}

std::string to_text(const ScenarioComparison& comparison, const TextStyle& style);
/// Scenarios, then an empty line, then the causes of every waterfall.
std::string to_csv(const ScenarioComparison& comparison);
report::ComparisonReport to_message(const ScenarioComparison& comparison);

}  // namespace flopcast
