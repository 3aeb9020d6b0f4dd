// The prices of one day, laid over what the scenario states: the inputs of a price model, and where each came from.
#pragma once
#include <optional>
#include <vector>

#include "analysis/money/study/cost_study.h"

namespace flopcast {

struct PricesAsked {
  const PriceBook& book;
  const PowerModel& power;
  std::optional<Date> date;
  double rent_quantile = 0.5;                ///< of the offers of the day
  const PowerModel* engine_power = nullptr;  ///< of rl.rollout_cluster; null: `power`
};

/// Fills in the inputs of the model. A loop on two kinds of GPU holds both as long as it runs: its inputs are those of
/// the mean GPU, which costs what both cost together. @param rent the offers it came from, where the model is rental;
/// may be null.
/// @throws InputError where the scenario or the day lacks a price
std::vector<UsedPrice> look_up_prices(PriceModel model, const Scenario& scenario, const PricesAsked& asked,
                                      MoneyInputs& in, std::optional<RentQuote>* rent = nullptr);

}  // namespace flopcast
