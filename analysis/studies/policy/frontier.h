// Chips that a rule just allows, and what a workload makes of them.
//
// A chip is the scenario's GPU with some of computing rate, die area, I/O and memory bandwidth set to what a
// threshold of the rule leaves, never above the GPU's own figure (times `headroom`). Of all combinations that
// the rule allows those stay that no other one beats in every figure on a die that is no larger. Each is
// replayed.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "analysis/render/text_table.h"
#include "analysis/studies/compare/compare.h"
#include "scenarios/policy/export_rules.h"

namespace flopcast {

namespace report {
class FrontierReport;
}

struct FrontierQuestion {
  std::vector<const ExportRule*> rules;  ///< every one must leave the chip free
  std::vector<std::string> allowed;      ///< outcomes that count as free besides those that are
  double headroom = 1;                   ///< figures may be so many times the GPU's own
  /// Two fields of a lithography scanner, 26 mm x 33 mm each: as much as one package has had.
  double largest_area_mm2 = 1716;
  std::optional<Date> date;
};

struct FrontierChip {
  ChipFigures figures;
  std::vector<std::string> bound_by;  ///< thresholds it lies at
  Watts power;                        ///< estimated
  Seconds step;                       ///< of Frontier::work
  double slowdown = 1;                ///< against the scenario's own GPU
  /// Of the scenario's work, against that GPU: chips at the same price an hour, and at a price that follows
  /// die area.
  double cost_equal_price = 1, cost_by_area = 1;
  std::optional<Usd> cost;  ///< of a step, by area, where the scenario has a price
  bool fits = true;
  std::string fault;  ///< it cannot run the scenario
};

struct Frontier {
  std::string scenario, gpu;
  std::string work;  ///< what is timed: "a step", "10^6 output tokens"
  std::vector<std::string> rules;
  bool base_allowed = false;
  FrontierChip base;
  std::vector<FrontierChip> chips;  ///< the fastest first
  std::optional<std::size_t> fastest, cheapest;
  std::size_t candidates = 0;
  std::vector<std::string> assumptions;
};

/// @param scenario has `training` or `serving`. @throws InputError.
Frontier frontier(const Scenario& scenario, const ChipFigures& gpu, const FrontierQuestion& question,
                  const RuleBook& book, const CompareOptions& options);

std::string to_text(const Frontier& frontier, const TextStyle& style);
std::string to_csv(const Frontier& frontier);
report::FrontierReport to_message(const Frontier& frontier);

}  // namespace flopcast
