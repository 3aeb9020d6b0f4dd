#include "analysis/studies/policy/frontier.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "analysis/money/chip_cost.h"
#include "analysis/studies/compare/scenario_fields.h"
#include "analysis/studies/policy/design_scenario.h"
#include "analysis/studies/policy/policy.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

std::vector<std::string> thresholds_at(const ChipFigures& chip, const std::vector<const ExportRule*>& rules) {
  std::vector<std::string> out;
  for (const ExportRule* rule : rules) {
    for (const RuleLimb& limb : rule->limbs) {
      for (const Threshold& term : limb.terms) {
        const auto value = figure_of(chip, term.figure);
        const std::string text = threshold_text(term);
        // Only what would be crossed by going up binds.
        const bool upward = term.bound == Bound::at_least || term.bound == Bound::more_than;
        const bool binds = value && upward && !is_met(term, *value) && term.value - *value <= 1.01 * step_below(term);
        if (binds && std::find(out.begin(), out.end(), text) == out.end()) out.push_back(text);
      }
    }
  }
  return out;
}

void require_figures(const ChipFigures& gpu) {
  std::vector<std::string> missing;
  if (!gpu.tpp) missing.emplace_back("TPP");
  if (!gpu.die_area_mm2) missing.emplace_back("die area");
  if (!gpu.io) missing.emplace_back("I/O");
  if (!gpu.memory_bandwidth) missing.emplace_back("memory bandwidth");
  if (missing.empty()) return;
  throw InputError(Diagnostic{"", 0, 0, "",
                              fmt::format("{}, of which {} is not known", gpu.name, fmt::join(missing, ", ")),
                              "a GPU whose figures are known", ""});
}

std::vector<std::string> assumptions_of(const FrontierQuestion& q, const Scenario& scenario) {
  std::vector<std::string> out{
      fmt::format("no chip exceeds {} times the figures of {}; SMs, peaks and FP32 "
                  "are scaled together, clock, caches and "
                  "memory size stay",
                  q.headroom, scenario.cluster.node.gpu.name),
      fmt::format("die area: between what the computing rate needs at the GPU's own "
                  "density and {:.0f} mm2; spare area is "
                  "dark silicon that only lowers performance density",
                  std::max(q.largest_area_mm2, 0.0)),
      "power: 49.6 % of the GPU's rating and the rest in proportion to its "
      "computing rate (the line through H100 and H20)",
      "I/O is PCIe, unchanged, and the links between GPUs; communication takes at most a quarter of the SMs",
      "cost: an hour costs what building and running the chip does (die by area and yield, memory, package, test, "
      "the mark-up of an H100, its share of server and network over four years, power: "
      "analysis/data/money/chip_build_costs.csv), in proportion to the GPU's own; equal price: an hour costs the "
      "same; both for the same number of GPUs",
      "allowed chips that exist run the scenario on the node of the library that has them"};
  return out;
}

ChipToBuild to_build(const FrontierChip& chip, const Frontier& f, const GpuSpec& own) {
  // Faster memory than the GPU's own takes more stacks of it.
  const double faster = *chip.figures.memory_bandwidth / *f.base.figures.memory_bandwidth;
  return {*chip.figures.die_area_mm2, own.hbm_capacity * std::max(1.0, chip.name.empty() ? faster : 1.0),
          chip.figures.hbm, chip.power};
}

void fill_results(Frontier& out, const std::vector<QuickStep>& steps, const std::vector<Scenario>& scenarios,
                  const ChipCosts& costs) {
  const Scenario& scenario = scenarios.front();
  const FabricKind fabric = scenario.cluster.fabric.kind;
  const Seconds own = steps.front().step;
  const int gpus = scenario.cluster.gpus();
  const double own_hour = costs.usd_per_hour(to_build(out.base, out, scenario.cluster.node.gpu), fabric);
  const auto fill = [&](FrontierChip& chip, std::size_t i) {
    const QuickStep& step = steps[i];
    const GpuSpec& gpu = scenarios[i].cluster.node.gpu;
    chip.fault = step.fault;
    if (!step.fault.empty()) return;
    chip.step = step.step;
    chip.slowdown = step.step / own;
    chip.hour = costs.usd_per_hour(to_build(chip, out, gpu), fabric) / own_hour;
    chip.fits = step.memory <= gpu.hbm_usable();
    if (scenario.price.gpu > UsdPerSecond(0)) chip.cost = gpus * (own * scenario.price.gpu) * chip.cost_by_parts();
  };
  fill(out.base, 0);
  for (std::size_t i = 0; i < out.chips.size(); ++i) fill(out.chips[i], i + 1);
}

template <class Measure>
std::optional<std::size_t> best(const std::vector<FrontierChip>& chips, Measure measure) {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < chips.size(); ++i) {
    const bool runs = chips[i].fault.empty() && chips[i].name.empty();
    if (runs && (!found || measure(chips[i]) < measure(chips[*found]))) found = i;
  }
  return found;
}

}  // namespace

Frontier frontier(const Scenario& scenario, const ChipFigures& gpu, const FrontierQuestion& question,
                  const RuleBook& book, const ChipCosts& costs, const std::vector<RealChip>& real,
                  const CompareOptions& options) {
  require_figures(gpu);
  check_allowed(question);
  const GpuSpec& spec = scenario.cluster.node.gpu;
  Frontier out;
  out.scenario = scenario.name;
  out.work = scenario.training ? "a step" : "10^6 tokens";
  out.gpu = gpu.name;
  for (const ExportRule* rule : question.rules) out.rules.push_back(rule->id);
  for (const ChipFigure figure :
       {ChipFigure::tpp, ChipFigure::performance_density, ChipFigure::io_bandwidth, ChipFigure::memory_bandwidth})
    out.bounds[figure] = bounds_on(question.rules, figure);
  out.assumptions = assumptions_of(question, scenario);
  out.base_allowed = is_free(gpu, question, book);
  const ChipDesign own = design_of(gpu);
  out.base.figures = gpu;
  out.base.power = spec.tdp;

  const FreeDesigns designs = free_designs(gpu, question, book);
  out.candidates = designs.tried;
  std::vector<Scenario> scenarios{scenario};
  put_on_design(own, gpu, scenarios.back());
  for (const ChipDesign& d : designs.unbeaten) {
    if (d.io * 1e9 / 2 <= spec.pcie_bandwidth.value()) continue;  // no link is left
    FrontierChip chip;
    chip.figures = figures_of(d, gpu);
    chip.bound_by = thresholds_at(chip.figures, question.rules);
    chip.power = power_of_design(d.tpp / own.tpp, spec);
    out.chips.push_back(std::move(chip));
    scenarios.push_back(scenario);
    put_on_design(d, gpu, scenarios.back());
    keep_some_sms(scenarios.back());
  }
  for (const RealChip& chip : real) {
    const ChipFigures& f = chip.figures;
    if (!f.tpp || !f.die_area_mm2 || !f.io || !f.memory_bandwidth || !is_free(f, question, book)) continue;
    FrontierChip shown;
    shown.name = f.name;
    shown.figures = f;
    shown.bound_by = thresholds_at(f, question.rules);
    shown.power = chip.scenario.cluster.node.gpu.tdp;
    out.chips.push_back(std::move(shown));
    scenarios.push_back(chip.scenario);
    keep_some_sms(scenarios.back());
  }
  const std::vector<QuickStep> steps = quick_steps(scenarios, options);
  if (!steps.front().fault.empty())
    throw InputError(Diagnostic{scenario.file, 0, 0, "", steps.front().fault, "a scenario whose step can run", ""});
  fill_results(out, steps, scenarios, costs);
  std::stable_sort(out.chips.begin(), out.chips.end(), [](const FrontierChip& a, const FrontierChip& b) {
    if (a.fault.empty() != b.fault.empty()) return a.fault.empty();
    return a.step != b.step ? a.step < b.step : a.cost_by_parts() < b.cost_by_parts();
  });
  out.fastest = best(out.chips, [](const FrontierChip& c) { return c.step.value(); });
  out.cheapest = best(out.chips, [](const FrontierChip& c) { return c.cost_by_parts(); });
  return out;
}

std::string figure_text(const Frontier& f, const FrontierChip& chip, ChipFigure figure) {
  const auto value = figure_of(chip.figures, figure);
  const auto bounds = f.bounds.find(figure);
  if (!value) return "?";
  return figure_number(*value, bounds == f.bounds.end() ? std::vector<double>() : bounds->second);
}

bool on_front(const Frontier& f, std::size_t index) {
  const FrontierChip& chip = f.chips[index];
  return chip.fault.empty() && std::none_of(f.chips.begin(), f.chips.end(), [&](const FrontierChip& other) {
           const bool no_worse = other.slowdown <= chip.slowdown && other.cost_by_parts() <= chip.cost_by_parts();
           return other.fault.empty() && no_worse &&
                  (other.slowdown < chip.slowdown || other.cost_by_parts() < chip.cost_by_parts());
         });
}

std::vector<std::size_t> chips_to_show(const Frontier& f) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < f.chips.size(); ++i) {
    if (f.fastest == i || f.cheapest == i || !f.chips[i].name.empty() || on_front(f, i)) out.push_back(i);
  }
  return out;
}

}  // namespace flopcast
