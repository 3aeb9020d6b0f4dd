#include "analysis/studies/policy/frontier.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "analysis/studies/compare/scenario_fields.h"
#include "analysis/studies/policy/policy.h"
#include "scenarios/resolve/serving_scenario.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

/// The figures that are varied.
struct Design {
  double tpp = 0, area = 0, io = 0, memory = 0;  // TPP, mm2, GB/s, GB/s
};

// ------------------------------------------------------------------------------------------- candidates

/// How far below a threshold the nearest chip stays that anyone would build.
double step_below(ChipFigure figure) { return figure == ChipFigure::performance_density ? 0.01 : 1.0; }

/// The values at and just below every threshold of the rules on a figure.
std::set<double> values_at(const std::vector<const ExportRule*>& rules, ChipFigure figure) {
  std::set<double> out;
  for (const ExportRule* rule : rules) {
    for (const RuleLimb& limb : rule->limbs) {
      for (const Threshold& term : limb.terms) {
        if (term.figure != figure) continue;
        out.insert(term.value);
        out.insert(term.value - step_below(figure));
      }
    }
  }
  return out;
}

/// Those of `values` that are positive and at most `most`, and `most` itself.
std::vector<double> up_to(const std::set<double>& values, double most) {
  std::vector<double> out;
  for (const double value : values) {
    if (value > 0 && value < most) out.push_back(value);
  }
  out.push_back(most);
  return out;
}

/// Areas for a computing rate: the die of the GPU with a part of it switched off, one that shrinks with the
/// rate, and those at which performance density comes to a threshold.
std::vector<double> areas_for(double tpp, const ChipFigures& gpu, const FrontierQuestion& q) {
  const double own = *gpu.die_area_mm2;
  std::set<double> areas{own, own * tpp / *gpu.tpp};
  for (const double density : values_at(q.rules, ChipFigure::performance_density)) {
    if (density > 0) areas.insert(tpp / density);
  }
  std::vector<double> out;
  for (const double area : areas) {
    if (area >= own * tpp / *gpu.tpp * (1 - 1e-9) && area <= std::max(q.largest_area_mm2, own)) out.push_back(area);
  }
  return out;
}

ChipFigures figures_of(const Design& d, const ChipFigures& gpu) {
  ChipFigures chip = gpu;
  chip.tpp = d.tpp;
  chip.die_area_mm2 = d.area;
  chip.density = d.tpp / d.area;
  chip.io = BytesPerSecond(d.io * 1e9);
  chip.memory_bandwidth = BytesPerSecond(d.memory * 1e9);
  return chip;
}

bool is_free(const ChipFigures& chip, const FrontierQuestion& q, const RuleBook& book) {
  return std::all_of(q.rules.begin(), q.rules.end(), [&](const ExportRule* rule) {
    const Classification verdict = classify(chip, *rule, book, q.date);
    const bool allowed = std::find(q.allowed.begin(), q.allowed.end(), verdict.outcome) != q.allowed.end();
    return allowed || (verdict.controlled && !*verdict.controlled);
  });
}

std::vector<Design> candidates(const ChipFigures& gpu, const FrontierQuestion& q) {
  const double tpp = *gpu.tpp * q.headroom, io = gpu.io->value() / 1e9 * q.headroom,
               memory = gpu.memory_bandwidth->value() / 1e9 * q.headroom;
  const auto sums = values_at(q.rules, ChipFigure::memory_plus_io);
  std::vector<Design> out;
  for (const double t : up_to(values_at(q.rules, ChipFigure::tpp), tpp)) {
    for (const double area : areas_for(t, gpu, q)) {
      for (const double i : up_to(values_at(q.rules, ChipFigure::io_bandwidth), io)) {
        std::set<double> memories = values_at(q.rules, ChipFigure::memory_bandwidth);
        for (const double sum : sums) memories.insert(sum - i);
        for (const double m : up_to(memories, memory)) out.push_back({t, area, i, m});
      }
    }
    // Less I/O may buy memory bandwidth where their sum is bounded.
    for (const double sum : sums) {
      for (const double m : up_to(values_at(q.rules, ChipFigure::memory_bandwidth), memory)) {
        if (sum - m > 0 && sum - m < io) {
          for (const double area : areas_for(t, gpu, q)) out.push_back({t, area, sum - m, m});
        }
      }
    }
  }
  return out;
}

/// No worse in anything, on a die that is no larger.
bool beats(const Design& a, const Design& b) {
  const bool no_worse = a.tpp >= b.tpp && a.io >= b.io && a.memory >= b.memory && a.area <= b.area;
  const bool better = a.tpp > b.tpp || a.io > b.io || a.memory > b.memory || a.area < b.area;
  return no_worse && better;
}

bool same(const Design& a, const Design& b) {
  return a.tpp == b.tpp && a.area == b.area && a.io == b.io && a.memory == b.memory;
}

std::vector<Design> unbeaten(const std::vector<Design>& designs) {
  std::vector<Design> out;
  for (const Design& d : designs) {
    const auto worse = [&](const Design& other) { return beats(other, d); };
    const auto equal = [&](const Design& other) { return same(other, d); };
    if (std::none_of(designs.begin(), designs.end(), worse) && std::none_of(out.begin(), out.end(), equal))
      out.push_back(d);
  }
  return out;
}

// ------------------------------------------------------------------------------------------- replay

// Half of a GPU's power goes with its computing rate: the line through the H100 (TPP 15,832, 700 W) and the
// H20 (2,368, 400 W), which share die and process (hwmodels/data/gpus), meets zero TPP at 347 W = 0.496 x 700
// W.
constexpr double kPowerWithoutCompute = 0.496;

Watts power_of(double tpp_ratio, const GpuSpec& gpu) {
  return gpu.tdp * (kPowerWithoutCompute + (1 - kPowerWithoutCompute) * tpp_ratio);
}

/// The scenario on such a chip. I/O is what PCIe leaves to the links between GPUs.
Scenario scenario_on(const Design& d, const Scenario& scenario, const ChipFigures& gpu) {
  Scenario out = scenario;
  GpuSpec& chip = out.cluster.node.gpu;
  const double ratio = d.tpp / *gpu.tpp;
  chip.bf16_peak *= ratio;
  chip.fp8_peak *= ratio;
  chip.fp32_peak *= ratio;
  chip.sms = std::max(1, static_cast<int>(std::lround(chip.sms * ratio)));
  chip.hbm_bandwidth = BytesPerSecond(d.memory * 1e9);
  chip.tdp = power_of(ratio, scenario.cluster.node.gpu);
  const double per_direction = d.io * 1e9 / 2 - chip.pcie_bandwidth.value();
  const double own = gpu.io->value() / 2 - chip.pcie_bandwidth.value();
  const BytesPerSecond link = out.cluster.node.nvlink_bandwidth * (own > 0 ? per_direction / own : 1.0);
  out.cluster.node.nvlink_bandwidth = link;
  chip.nvlink_bandwidth = link;
  return out;
}

/// SMs that communication takes stay fewer than the chip has.
void keep_some_sms(Scenario& scenario) {
  const int most = scenario.cluster.node.gpu.sms / 4;
  if (scenario.training) {
    scenario.training->communication_sms = std::min(scenario.training->communication_sms, most);
    return;
  }
  change_serving(scenario, [&](ServingScenario& serving) {
    for (PoolSpec& pool : serving.pools) pool.engine.communication_sms = std::min(pool.engine.communication_sms, most);
  });
}

std::vector<std::string> thresholds_at(const ChipFigures& chip, const std::vector<const ExportRule*>& rules) {
  std::vector<std::string> out;
  for (const ExportRule* rule : rules) {
    for (const RuleLimb& limb : rule->limbs) {
      for (const Threshold& term : limb.terms) {
        const auto value = figure_of(chip, term.figure);
        const std::string text = threshold_text(term);
        // Only what would be crossed by going up binds.
        const bool upward = term.bound == Bound::at_least || term.bound == Bound::more_than;
        const bool binds =
            value && upward && !is_met(term, *value) && term.value - *value <= 1.01 * step_below(term.figure);
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
      "cost by area: the price of an hour follows die area; equal price: it is that "
      "of the GPU itself; both for the same "
      "number of GPUs, without what the longer time costs elsewhere"};
  return out;
}

void fill_results(Frontier& out, const std::vector<QuickStep>& steps, const Scenario& scenario, double own_area) {
  const Seconds own = steps.front().step;
  const int gpus = scenario.cluster.gpus();
  const auto fill = [&](FrontierChip& chip, const QuickStep& step) {
    chip.fault = step.fault;
    if (!step.fault.empty()) return;
    chip.step = step.step;
    chip.slowdown = step.step / own;
    chip.cost_equal_price = chip.slowdown;
    chip.cost_by_area = chip.slowdown * *chip.figures.die_area_mm2 / own_area;
    chip.fits = step.memory <= scenario.cluster.node.gpu.hbm_usable();
    if (scenario.price.gpu > UsdPerSecond(0)) chip.cost = gpus * (own * scenario.price.gpu) * chip.cost_by_area;
  };
  fill(out.base, steps.front());
  for (std::size_t i = 0; i < out.chips.size(); ++i) fill(out.chips[i], steps[i + 1]);
}

template <class Measure>
std::optional<std::size_t> best(const std::vector<FrontierChip>& chips, Measure measure) {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < chips.size(); ++i) {
    if (chips[i].fault.empty() && (!found || measure(chips[i]) < measure(chips[*found]))) found = i;
  }
  return found;
}

}  // namespace

Frontier frontier(const Scenario& scenario, const ChipFigures& gpu, const FrontierQuestion& question,
                  const RuleBook& book, const CompareOptions& options) {
  require_figures(gpu);
  const GpuSpec& spec = scenario.cluster.node.gpu;
  Frontier out;
  out.scenario = scenario.name;
  out.work = scenario.training ? "a step" : "10^6 tokens";
  out.gpu = gpu.name;
  for (const ExportRule* rule : question.rules) out.rules.push_back(rule->id);
  out.assumptions = assumptions_of(question, scenario);
  out.base_allowed = is_free(gpu, question, book);
  const Design own{*gpu.tpp, *gpu.die_area_mm2, gpu.io->value() / 1e9, gpu.memory_bandwidth->value() / 1e9};
  out.base.figures = gpu;
  out.base.power = spec.tdp;

  std::vector<Design> free_designs;
  const std::vector<Design> all = candidates(gpu, question);
  out.candidates = all.size();
  for (const Design& d : all) {
    const bool link_left = d.io * 1e9 / 2 > spec.pcie_bandwidth.value();
    if (link_left && is_free(figures_of(d, gpu), question, book)) free_designs.push_back(d);
  }
  std::vector<Scenario> scenarios{scenario_on(own, scenario, gpu)};
  for (const Design& d : unbeaten(free_designs)) {
    FrontierChip chip;
    chip.figures = figures_of(d, gpu);
    chip.bound_by = thresholds_at(chip.figures, question.rules);
    chip.power = power_of(d.tpp / own.tpp, spec);
    out.chips.push_back(std::move(chip));
    scenarios.push_back(scenario_on(d, scenario, gpu));
    keep_some_sms(scenarios.back());
  }
  const std::vector<QuickStep> steps = quick_steps(scenarios, options);
  if (!steps.front().fault.empty())
    throw InputError(Diagnostic{scenario.file, 0, 0, "", steps.front().fault, "a scenario whose step can run", ""});
  fill_results(out, steps, scenario, own.area);
  std::stable_sort(out.chips.begin(), out.chips.end(), [](const FrontierChip& a, const FrontierChip& b) {
    if (a.fault.empty() != b.fault.empty()) return a.fault.empty();
    return a.step != b.step ? a.step < b.step : a.cost_by_area < b.cost_by_area;
  });
  out.fastest = best(out.chips, [](const FrontierChip& c) { return c.step.value(); });
  out.cheapest = best(out.chips, [](const FrontierChip& c) { return c.cost_by_area; });
  return out;
}

}  // namespace flopcast
