// A fleet as a ledger: what was bought and rented, what it took to run it, what its hours were used for, and so what a
// run, a programme and the whole have cost. Held against what others have estimated.
//
// Every GPU-hour is paid once: owned hours through purchase, power and site, rented ones through the rent; a use names
// the lot whose hours it took. What counts an hour twice is refused with what would be right.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/money/prices/price_book.h"
#include "analysis/render/text/text_table.h"
#include "scenarios/read/libraries/libraries.h"
#include "scenarios/read/text/date.h"

namespace flopcast {

namespace report {
class FleetReport;
}

/// A figure known within bounds: triangular with `likely` on top, flat without. Money in USD.
struct FleetFigure {
  double low = 0, high = 0;
  std::optional<double> likely;
  double middle() const { return likely ? *likely : (low + high) / 2; }
  /// p from 0 to 1.
  double quantile(double p) const;
  bool known() const { return low == high; }
  bool operator==(const FleetFigure&) const = default;
};

enum class Pays { cluster, server, chip };

struct FleetPurchase {
  std::string name, gpu;
  Date bought;
  FleetFigure count, price;
  Pays pays = Pays::server;
  FleetFigure server, network;
  double tariff = 0;
  bool tariff_in_price = false;
  double revenue_share = 0, life_years = 5;
  double rated_kw = 0;  ///< of a GPU with its share of the server
  std::string source;
  bool confirmed = true;
};

struct FleetRental {
  std::string name, gpu;
  Date day;
  FleetFigure gpu_hours, usd_per_hour;
  std::string source;
};

enum class UseKind { final_run, failed_runs, experiments, predecessor, serving, other };
std::string_view name_of(UseKind kind);

struct FleetUse {
  std::string name, on;
  UseKind kind = UseKind::other;
  FleetFigure gpu_hours;
  std::optional<Date> from, until;
  std::string source;
};

struct FleetSpending {
  std::string name;
  FleetFigure cost;
  std::string source;
};

struct Fleet {
  std::string name, title;
  Date begins, ends;
  std::vector<FleetPurchase> purchases;
  std::vector<FleetRental> rentals;
  std::vector<FleetUse> uses;
  FleetFigure electricity, pue, colocation;  ///< USD per kWh; ratio; USD per kW and month
  double power_share = 0.75, operations = 0.02;
  std::string site_source;
  FleetFigure people, per_year;
  double staff_years = 0;
  std::string staff_source;
  std::vector<FleetSpending> other;
  std::vector<std::string> assumptions;
  int draws = 10000;
  std::uint64_t seed = 1;
};

/// The text of a fleet, or the name of one of the program's. @throws InputError with every fault, among them hours that
/// are counted twice.
Fleet load_fleet(const std::string& file_or_name, const std::vector<std::string>& sets, const Libraries& libraries,
                 const PriceBook& prices);
/// Of the program.
std::vector<std::string> fleet_names(const Libraries& libraries);

// What it comes to.

/// A figure of the whole ledger.
enum class FleetOutcome {
  chips_usd,  ///< prices paid for GPUs, as far as they are priced apart or with their servers
  network_usd,
  tariff_usd,
  capital_usd,  ///< everything bought
  electricity_usd,
  colocation_usd,
  operations_usd,
  rent_usd,
  staff_usd,
  other_usd,
  spent_usd,        ///< all of it, as cash to the end of the ledger
  written_off_usd,  ///< of the capital, by then
  consumed_usd,     ///< written off and running costs: what the ledger's years have used up
  running_4y_usd,   ///< power, site and operations of everything owned, over four years
  gpus,
  gpu_hours,  ///< owned and rented
  used_hours,
  idle_share,               ///< of them
  run_hours,                ///< of the final runs
  run_share,                ///< final runs, of all hours
  run_usd,                  ///< their hours at what an hour of their lot costs
  programme_usd,            ///< final and failed runs, experiments, predecessors, staff
  programme_with_idle_usd,  ///< the same with the idle hours of those lots
};
constexpr int kFleetOutcomes = 23;
struct FleetOutcomeRow {
  FleetOutcome outcome;
  std::string_view id, unit, title;
};
std::span<const FleetOutcomeRow> fleet_outcomes();

struct FleetSpread {
  double value = 0;  ///< with every input at its middle
  double p5 = 0, p50 = 0, p95 = 0;
};

struct LotResult {
  FleetSpread gpus, price, capital, tariff, passed_on, hours, used_share;
};
struct UseResult {
  FleetSpread hours, share, usd;
};

/// What somebody has said of it (analysis/data/money/fleet_estimates.csv).
struct FleetEstimate {
  std::string id, said_by, what;
  FleetOutcome compared = FleetOutcome::capital_usd;
  double low = 0, high = 0;  ///< USD; high infinite: "well over"
  std::string date, source, verdict;
};

struct FleetResult {
  Fleet fleet;
  std::vector<FleetSpread> figures;  ///< by FleetOutcome
  std::vector<LotResult> lots;       ///< of the purchases, in their order
  std::vector<UseResult> uses;       ///< in the order of the uses
  std::vector<FleetEstimate> estimates;
  const FleetSpread& of(FleetOutcome outcome) const { return figures[static_cast<std::size_t>(outcome)]; }
};

/// @param estimates of this fleet, without verdicts.
FleetResult fleet_ledger(Fleet fleet, std::vector<FleetEstimate> estimates);
/// @throws InputError when the table is malformed.
std::vector<FleetEstimate> fleet_estimates(const Libraries& libraries, const std::string& fleet);

/// The ledger in a sentence.
std::string headline(const FleetResult& result);
std::string to_text(const FleetResult& result, const TextStyle& style);
std::string to_csv(const FleetResult& result);
std::string to_html(const FleetResult& result);
report::FleetReport to_message(const FleetResult& result);

}  // namespace flopcast
