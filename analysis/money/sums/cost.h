// What things cost, as pure functions of MoneyInputs: a GPU-hour under each price model, a run, a programme,
// a day of a service.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "analysis/money/sums/money_inputs.h"
#include "scenarios/resolve/money.h"
#include "sim/base/units.h"

namespace flopcast {

struct CostPart {
  std::string_view name;  ///< of static storage: parts are made thousands of times
  double usd = 0;
};

/// Parts and their sum.
struct Cost {
  std::vector<CostPart> parts;
  double usd() const;
};

/// A GPU-hour, in USD.
///
/// stated, rental: one part. owned: price less residual over the life (servers, network), interest as an
/// annuity, electricity of the average draw, colocation of the rated power, operations. amortised (Cottier et
/// al. 2024): with progress of r orders of magnitude a year, a server worth S when available is worth S
/// 10^(-r t) after t years and loses r ln(10) of that a year; the network is a share s of the cluster's
/// price, s / (1 - s) of the servers'; energy on top.
Cost gpu_hour(PriceModel model, const MoneyInputs& in);

/// The run's GPU-hours at such a price, part by part.
Cost final_run(const Cost& gpu_hour, const MoneyInputs& in);

/// The final run and what else it took. Idle hours are paid beside all the others.
Cost programme(const Cost& gpu_hour, const MoneyInputs& in);

/// One day.
struct ServiceCost {
  double usd_per_day = 0;
  double usd_per_million_input = 0;  ///< not cached
  double usd_per_million_cached = 0;
  double usd_per_million_output = 0;
  double revenue_per_day = 0;  ///< every token at the market's price
  double margin = 0;           ///< (revenue - cost) / cost: 5.45 is a margin of 545 %
};
/// Prompts are read by one share of the GPU-hours and answers written by the rest; a cached token takes
/// `cached_work` of the work of another input token.
ServiceCost service_cost(const Cost& gpu_hour, const MoneyInputs& in);

/// Demand when the price of tokens is multiplied by `price`: tokens grow by price^-elasticity.
struct DemandPoint {
  double price = 1;      ///< factor
  double unit_cost = 1;  ///< factor on GPU-hours per token
  double tokens = 1;     ///< factor
  double gpu_hours = 0;  ///< of a day
  double usd_per_day = 0, revenue_per_day = 0;
};
DemandPoint demand(const ServiceCost& today, const MoneyInputs& in, double price, double unit_cost);

constexpr double kHoursPerYear = 24 * 365.25;

std::string_view name_of(PriceModel model);

}  // namespace flopcast
