// From a scenario and its work to a report on what it costs: prices of the day looked up, each price model
// applied, inputs spread.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/money/prices/price_book.h"
#include "analysis/money/sums/cost.h"
#include "analysis/money/sums/uncertainty.h"
#include "analysis/runs/parts/energy.h"
#include "analysis/runs/training/projection.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// GPU-hours of a part of the run.
struct PhaseHours {
  std::string name;
  double gpu_hours = 0;
  bool given = false;  ///< stated by the scenario, not predicted
  std::string source;
};

/// What one day of a service takes and gives. The serving engine fills it from a replay at its service
/// levels; a scenario may state it.
struct ServiceWork {
  double gpu_hours_per_day = 0;
  double prefill_share = 0;  ///< of the GPU-hours: reading prompts; the rest writes answers
  double cached_work = 0;    ///< work of a cached input token over that of another
  double input_tokens = 0;   ///< cached ones included
  double cached_tokens = 0, output_tokens = 0;
  std::string source;
};

/// GPU-hours that 90 % of the runs take: failures fall at random, steps are known to some percent, and runs whose
/// interruptions nobody stated lose what published ones lost.
struct HoursRange {
  double p5 = 0, p95 = 0;
  std::vector<double> quantiles;  ///< evenly spaced; empty: log-normal
  std::string source = {};        ///< empty: as a training run's
};

/// What is to be priced. Both may be there, at least one is.
struct PricedWork {
  std::vector<PhaseHours> phases;
  std::optional<HoursRange> range;  ///< of all phases together, where it was replayed
  std::optional<ServiceWork> service;
  std::vector<std::string> notes;  ///< how it came about
  /// At the wall of the site, of all that was replayed; none: nothing was.
  std::optional<double> kwh_per_gpu_hour;
  double gpu_hours() const;
};
/// The phases of a projected run.
PricedWork work_of(const Projection& projection);
/// What the scenario states without a replay: a given run or a given service. Nothing when it has to be
/// replayed.
std::optional<PricedWork> given_work(const Scenario& scenario);

/// Carbon intensity of a grid in a year: a row of analysis/data/money/grid_carbon.csv.
struct GridCarbon {
  std::string grid, source;
  int year = 0;
  double kg_per_kwh = 0;
};
/// Of the year, or the nearest one that is known. @throws InputError for an unknown grid, with the nearest.
GridCarbon grid_carbon(const Libraries& libraries, const std::string& grid, std::optional<int> year);

/// A price that went in, for the reader to check.
struct UsedPrice {
  std::string what;  ///< "server, per GPU"
  double value = 0;
  std::string unit;    ///< "USD", "USD/kWh"
  std::string source;  ///< with its date
};

/// What the electricity emits where the site stands: kg CO2e.
struct CarbonReport {
  std::string grid, source;
  int year = 0;
  double kg_per_kwh = 0;
  double kwh_per_gpu_hour = 0;
  std::string energy_source;     ///< "replayed", or how it was estimated
  std::optional<double> run_kg;  ///< of the phases
  std::optional<double> day_kg;  ///< of a service
  std::optional<double> kg_per_million_output;
};

struct ModelCost {
  PriceModel model = PriceModel::stated;
  Cost gpu_hour, run, programme;
  std::optional<ServiceCost> service;
  std::vector<UsedPrice> prices;
  UncertaintyResult uncertainty;
};

struct CostReport {
  std::string scenario, title, gpu;
  int gpus = 0;
  std::optional<Date> date;
  PricedWork work;
  MoneyInputs inputs;
  std::vector<ModelCost> models;  ///< the scenario's own, or the one asked for, first
  bool has_programme = false;
  std::optional<TokenPrices> market;
  std::vector<DemandPoint> demand_follows_cost;  ///< price and unit cost fall together
  std::vector<DemandPoint> demand_price_only;    ///< the price falls alone
  std::vector<DemandPoint> demand_curve;         ///< as the first of them, at many prices
  std::optional<CarbonReport> carbon;            ///< where the grid is stated
  std::vector<std::string> notes;
};

struct CostQuestion {
  /// Empty: the scenario's own. More than one: those whose prices the day lacks are left out with a note,
  /// unless none remains.
  std::vector<PriceModel> models;
  std::optional<Date> date;  ///< instead of the scenario's
  std::optional<int> draws;  ///< instead of the scenario's
  int workers = 1;
  double rent_quantile = 0.5;              ///< of the offers of the day, for rented GPU-hours
  std::optional<GridCarbon> grid;          ///< the site's
  std::optional<PowerModel> engine_power;  ///< of the chip of rl.rollout_cluster; none: as the cluster's
};

/// Spreads that scenarios do not state: analysis/data/money/uncertainty.csv.
struct UsualSpread {
  std::string input, kind, source;
  bool relative = false;
  double p5 = 0, p95 = 0;
};
std::vector<UsualSpread> load_usual_spreads(const Libraries& libraries);

/// @throws InputError when a price does not exist on the day, or an input is unknown.
CostReport cost_study(const Scenario& scenario, const PricedWork& work, const PriceBook& book, const PowerModel& power,
                      std::span<const UsualSpread> usual, const CostQuestion& question);

/// What the tokens of a service are sold for: the scenario's market on its date, or the prices that it states
/// for its service. Nothing where it says neither. @throws as above.
std::optional<TokenPrices> market_prices(const Scenario& scenario, const PriceBook& book,
                                         const std::optional<Date>& date);

/// The price of a GPU-hour under the scenario's own model, for reports that only multiply; of a loop on two kinds of
/// GPU, of the mean one. @throws as above.
UsdPerSecond price_of_gpu(const Scenario& scenario, const PriceBook& book, const PowerModel& power,
                          const std::optional<PowerModel>& engine_power = {});

}  // namespace flopcast
