// A cost report as text, JSON, CSV and a page.
#pragma once
#include <string>

#include "analysis/money/study/cost_study.h"
#include "analysis/render/text/text_table.h"

namespace flopcast {

namespace report {
class CostReport;
}

std::string to_text(const CostReport& report, const TextStyle& style);
report::CostReport to_message(const CostReport& report);
/// One figure per row: scenario, price model, what, part, value, 5 %, 50 %, 95 %.
std::string to_csv(const CostReport& report);
/// A self-contained HTML page with the parts, the programme and the tornado as pictures.
std::string to_html(const CostReport& report);

/// The inputs that can be spread, with units.
std::string money_inputs_text(const TextStyle& style);

/// "5.576 M", "0.27": an amount of money with as many digits as it takes.
std::string money_text(double usd);

}  // namespace flopcast
