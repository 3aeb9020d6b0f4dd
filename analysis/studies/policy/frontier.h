// Chips that a rule just allows, and what a workload makes of them.
//
// A chip is the scenario's GPU with some of computing rate, die area, I/O and memory bandwidth set to what a
// threshold of the rule leaves, never above the GPU's own figure (times `headroom`). Of all combinations that
// the rule allows those stay that no other one beats in every figure on a die that is no larger. Each is
// replayed, beside the allowed chips that exist; the cheapest is sought further between its neighbours.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analysis/money/prices/chip_cost.h"
#include "analysis/render/text/text_table.h"
#include "analysis/studies/compare/compare.h"
#include "analysis/studies/policy/designs.h"
#include "scenarios/policy/export_rules.h"

namespace flopcast {

namespace report {
class FrontierReport;
}

struct FrontierChip {
  std::string name;  ///< of a chip that exists; empty: a design
  ChipFigures figures;
  std::vector<std::string> bound_by;  ///< thresholds it lies at
  Watts power;                        ///< estimated
  Seconds step;                       ///< of Frontier::work
  double slowdown = 1;                ///< against the scenario's own GPU
  double hour = 1;                    ///< what an hour of it costs against one of that GPU, by what it is made of
  /// Cost of the scenario's work against that GPU: at the same price an hour, and by what the chip is made of.
  double cost_equal_price() const { return slowdown; }
  double cost_by_parts() const { return slowdown * hour; }
  std::optional<Usd> cost;  ///< of the work, by parts, where the scenario has a price
  bool fits = true;
  std::string fault;  ///< it cannot run the scenario
};

struct Frontier {
  std::string scenario, gpu;
  std::string work;  ///< what is timed: "a step", "10^6 tokens"
  std::vector<std::string> rules;
  /// Bounds of those rules on a figure: what its digits must tell apart.
  std::map<ChipFigure, std::vector<double>> bounds;
  bool base_allowed = false;
  FrontierChip base;
  std::vector<FrontierChip> chips;               ///< the fastest first
  std::optional<std::size_t> fastest, cheapest;  ///< of the designs
  /// Of the chips that exist, of which one may be the better buy.
  std::optional<std::size_t> fastest_real, cheapest_real;
  std::size_t candidates = 0;
  std::vector<std::string> assumptions;
};

/// A chip that exists, and the scenario on a node that has it.
struct RealChip {
  ChipFigures figures;
  Scenario scenario;
};

/// @param scenario has `training` or `serving`. @throws InputError.
/// @param real those of them that are allowed are shown beside the designs.
Frontier frontier(const Scenario& scenario, const ChipFigures& gpu, const FrontierQuestion& question,
                  const RuleBook& book, const ChipCosts& costs, const std::vector<RealChip>& real,
                  const CompareOptions& options);

/// No other chip that runs is at least as fast and at least as cheap, and better in one of the two.
bool on_front(const Frontier& frontier, std::size_t index);
/// Those worth a row: on that front, the fastest and the cheapest, and all that exist.
std::vector<std::size_t> chips_to_show(const Frontier& frontier);

/// A figure of a chip as it reads beside the bounds; "?" where it is unknown.
std::string figure_text(const Frontier& frontier, const FrontierChip& chip, ChipFigure figure);

std::string to_text(const Frontier& frontier, const TextStyle& style);
std::string to_csv(const Frontier& frontier);
report::FrontierReport to_message(const Frontier& frontier);

}  // namespace flopcast
