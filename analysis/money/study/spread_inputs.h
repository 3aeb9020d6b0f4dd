// Which inputs of a price model are spread, and how: what the scenario states, then the usual spreads of inputs that it
// does not name.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/money/study/cost_study.h"

namespace flopcast {

struct SpreadInputs {
  UncertaintyModel model;
  std::vector<std::string> notes;  ///< what was done to spreads, and which say nothing
};

/// @param hours that failures spread, replayed. @param rent the offers of a rental model.
/// @throws InputError where a stated spread leaves the bounds of its input
SpreadInputs spread_inputs(const Scenario& scenario, const MoneyInputs& base, PriceModel model,
                           const std::optional<HoursRange>& hours, std::span<const UsualSpread> usual,
                           const std::optional<RentQuote>& rent, int draws);

/// "2,756,362 h", "0.088 USD/kWh"
std::string input_text(double value, std::string_view unit);

}  // namespace flopcast
