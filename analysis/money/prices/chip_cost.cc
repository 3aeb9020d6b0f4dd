#include "analysis/money/prices/chip_cost.h"

#include <cmath>
#include <numbers>

#include "analysis/money/prices/price_book.h"
#include "analysis/render/text/csv.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

constexpr double kScannerField = 26 * 33;  // mm2: the largest die
constexpr double kWaferDiameter = 300;     // mm
constexpr double kH100Die = 814;           // mm2, hwmodels/data/gpus/h100-sxm.textproto
constexpr double kStackArea = 110;         // mm2 of a stack of HBM beside the die (HBM2E and HBM3: 110 to 121)
constexpr double kGbPerStack = 16;         // HBM2E and HBM3, eight high
constexpr double kH100Stacks = 5;
constexpr double kHoursOfLife = 4 * 365 * 24;  // as `owned` servers are written off by default
/// Power of everything else in a server, per accelerator: 10.2 kW of a DGX H100 less 8 x 700 W.
constexpr double kServerWatts = 575;

/// Whole dies on a wafer; the second term is what its edge costs.
double dies_per_wafer(double area) {
  const double radius = kWaferDiameter / 2;
  return std::numbers::pi * radius * radius / area - std::numbers::pi * kWaferDiameter / std::sqrt(2 * area);
}

double package_area(double die_area, double stacks) { return die_area + stacks * kStackArea; }

}  // namespace

ChipCosts ChipCosts::load(const Libraries& libraries) {
  const std::string file = required_file(libraries, "analysis/data/money/chip_build_costs.csv");
  const CsvTable table = parse_csv(read_text_file(file), file);
  const auto usd = [&](std::string_view item) {
    for (std::size_t row = 0; row < table.size(); ++row) {
      if (table.text(row, "item") == item) return table.number(row, "usd");
    }
    throw InputError(Diagnostic{file, 0, 0, "item", "no row " + quoted(std::string(item)), "one with its price", ""});
  };
  ChipCosts costs;
  costs.wafer_ = usd("wafer");
  costs.defects_ = std::log(usd("logic_die_h100") * dies_per_wafer(kH100Die) / costs.wafer_) / kH100Die;
  costs.hbm_per_gb_ = usd("hbm_per_gb");
  costs.gddr_per_gb_ = usd("gddr_per_gb");
  costs.package_per_mm2_ = usd("packaging_h100") / package_area(kH100Die, kH100Stacks);
  costs.test_ = usd("test_and_assembly");
  costs.server_rest_ = usd("server_rest");
  const ChipToBuild h100{kH100Die, 80_GB, true, Watts(700)};
  costs.markup_ = usd("price_h100") / costs.build(h100).total();
  const PriceBook book = PriceBook::load(libraries);
  const Date day = *parse_date("2025-06-01");  // one day for all, so that chips differ in what they are
  costs.kwh_ = book.electricity(day).usd * book.pue().usd;
  for (const FabricKind kind : {FabricKind::single_switch, FabricKind::rail_fat_tree_2, FabricKind::rail_fat_tree_3,
                                FabricKind::multi_plane, FabricKind::multi_rail, FabricKind::nvlink_rack})
    costs.network_[static_cast<std::size_t>(kind)] = book.network(kind, day).usd;
  return costs;
}

double ChipCosts::die(double area) const { return wafer_ / dies_per_wafer(area) * std::exp(defects_ * area); }

ChipBuild ChipCosts::build(const ChipToBuild& chip) const {
  const double gb = chip.memory.value() / 1e9;
  const double stacks = chip.hbm ? std::ceil(gb / kGbPerStack) : 0;
  const double dies = std::ceil(chip.die_area / kScannerField);
  ChipBuild out;
  out.dies = dies * die(chip.die_area / dies);
  out.memory = gb * (chip.hbm ? hbm_per_gb_ : gddr_per_gb_);
  out.package = chip.hbm ? package_per_mm2_ * package_area(chip.die_area, stacks) : 0;
  out.test = test_;
  return out;
}

double ChipCosts::usd_per_hour(const ChipToBuild& chip, FabricKind fabric) const {
  const double capital = build(chip).total() * markup_ + server_rest_ + network_[static_cast<std::size_t>(fabric)];
  return capital / kHoursOfLife + (chip.power.value() + kServerWatts) / 1000 * kwh_;
}

}  // namespace flopcast
