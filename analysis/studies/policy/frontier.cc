#include "analysis/studies/policy/frontier.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "analysis/money/prices/chip_cost.h"
#include "analysis/runs/serving/served_figures.h"
#include "analysis/studies/policy/design_scenario.h"
#include "analysis/studies/policy/policy.h"
#include "scenarios/resolve/change_work.h"
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
  std::string of_others;
  for (const ChipFigures& chip : q.sold) of_others += (of_others.empty() ? "" : ", ") + chip.name;
  if (!of_others.empty()) of_others = ", or what one of these has, which are free: " + of_others;
  std::vector<std::string> out{
      fmt::format("no chip exceeds {} times the figures of {}{}; SMs, peaks and FP32 "
                  "are scaled together, clock, caches and "
                  "memory size stay",
                  q.headroom, scenario.cluster.node.gpu.name, of_others),
      fmt::format("die area: between what the computing rate needs at the GPU's own "
                  "density and {:.0f} mm2; spare area is "
                  "dark silicon that only lowers performance density",
                  q.largest_area_mm2),
      "power: 49.6 % of the GPU's rating and the rest in proportion to its "
      "computing rate (the line through H100 and H20)",
      "I/O is PCIe, unchanged, and the links between GPUs; communication takes at most a quarter of the SMs",
      "cost: an hour costs what building and running the chip does (die by area and yield, memory, package, test, "
      "the mark-up of an H100, its share of server and network over four years, power: "
      "analysis/data/money/chip_build_costs.csv), in proportion to the GPU's own; equal price: an hour costs the "
      "same; both for the same number of GPUs",
      "allowed chips that exist run the scenario on the node of the library that has them, whatever their area; "
      "fastest "
      "and cheapest are named of the designs and of them apart"};
  return out;
}

ChipToBuild to_build(const FrontierChip& chip, const Frontier& f, const GpuSpec& own) {
  // Faster memory than the GPU's own takes more stacks of it.
  const double faster = *chip.figures.memory_bandwidth / *f.base.figures.memory_bandwidth;
  return {*chip.figures.die_area_mm2, own.hbm_capacity * std::max(1.0, chip.name.empty() ? faster : 1.0),
          chip.figures.hbm, chip.power};
}

/// @param steps of `scenarios`: the base's, then one for each chip.
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

/// Where requests come whatever becomes of the earlier ones, a faster chip gives no more tokens, it only idles more: of
/// such traffic as many users ask in turn as there are requests under way on the scenario's own GPU, waiting for their
/// first token or for the rest.
/// @return how many users; 0: the traffic is as it was.
int ask_in_turn(Scenario& scenario, const PowerModel& power) {
  double all = 0;
  for (const TrafficClass& c : scenario.serving->traffic.classes) {
    const auto* open = std::get_if<OpenLoop>(&c.arrivals);
    if (!open || c.sessions || !std::holds_alternative<DrawnLengths>(c.lengths)) return 0;
    all += open->rate.mean().value();
  }
  const ServedFigures own = serve(scenario, power);
  const double under_way = all * own.ttft.value() + own.under_way_per_gpu * own.answer_gpus;  // Little's law
  int users = 0;
  change_serving(scenario, [&](ServingScenario& s) {
    for (TrafficClass& c : s.traffic.classes) {
      const double rate = std::get<OpenLoop>(c.arrivals).rate.mean().value();
      ClosedLoop loop;
      loop.users = std::max(1, static_cast<int>(std::lround(under_way * rate / all)));
      loop.ramp = Seconds(loop.users / rate);
      users += loop.users;
      c.arrivals = loop;
    }
  });
  return users;
}

template <class Measure>
std::optional<std::size_t> best(const std::vector<FrontierChip>& chips, bool real, Measure measure) {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < chips.size(); ++i) {
    const bool runs = chips[i].fault.empty() && chips[i].name.empty() != real;
    if (runs && (!found || measure(chips[i]) < measure(chips[*found]))) found = i;
  }
  return found;
}

double cost_of_parts(const FrontierChip& chip) { return chip.cost_by_parts(); }

class Walk {
 public:
  Walk(const Scenario& scenario, const ChipFigures& gpu, const FrontierQuestion& question, const RuleBook& book,
       const ChipCosts& costs, const CompareOptions& options, Frontier& out)
      : base_(scenario), gpu_(gpu), question_(question), book_(book), costs_(costs), options_(options), out_(out) {
    scenarios_.push_back(scenario);
    put_on_design(design_of(gpu), gpu, scenarios_.back());
    rules_ = with_required(question.rules, book);
  }

  void add(const ChipDesign& design) {
    const GpuSpec& spec = base_.cluster.node.gpu;
    if (design.io * 1e9 / 2 <= spec.pcie_bandwidth.value()) return;  // no link is left
    FrontierChip chip;
    chip.figures = figures_of(design, gpu_);
    chip.bound_by = thresholds_at(chip.figures, rules_);
    chip.power = power_of_design(design.tpp / *gpu_.tpp, spec);
    Scenario scenario = base_;
    put_on_design(design, gpu_, scenario);
    add(std::move(chip), std::move(scenario));
  }

  void add(const RealChip& real) {
    FrontierChip chip;
    chip.name = real.figures.name;
    chip.figures = real.figures;
    chip.bound_by = thresholds_at(real.figures, rules_);
    chip.power = real.scenario.cluster.node.gpu.tdp;
    add(std::move(chip), real.scenario);
  }

  /// Replays what was added since the last time.
  void replay() {
    const std::vector<Scenario> fresh(scenarios_.begin() + static_cast<std::ptrdiff_t>(steps_.size()),
                                      scenarios_.end());
    const std::vector<QuickStep> found = quick_steps(fresh, options_);
    steps_.insert(steps_.end(), found.begin(), found.end());
    if (!steps_.front().fault.empty()) {
      throw InputError(Diagnostic{base_.file, 0, 0, "", steps_.front().fault, "a scenario whose step can run", ""});
    }
    fill_results(out_, steps_, scenarios_, costs_);
  }

  /// Between the steps of designs a cheaper one may lie: sought until no neighbour is cheaper by a thousandth.
  void refine_cheapest() {
    constexpr int kRounds = 2;
    const std::size_t walked = out_.chips.size();
    for (int round = 0; round < kRounds; ++round) {
      const auto at = best(out_.chips, false, cost_of_parts);
      if (!at) return;
      const double before = cost_of_parts(out_.chips[*at]);
      const std::size_t known = out_.chips.size();
      for (const ChipDesign& d : free_neighbours(design_of(out_.chips[*at].figures), gpu_, question_, book_)) {
        if (!is_known(d)) add(d);
      }
      if (out_.chips.size() == known) break;
      replay();
      if (cost_of_parts(out_.chips[*best(out_.chips, false, cost_of_parts)]) > 0.999 * before) break;
    }
    // What was tried on the way is no corner: only what it led to stays.
    const auto cheapest = best(out_.chips, false, cost_of_parts);
    if (cheapest && *cheapest >= walked) std::swap(out_.chips[*cheapest], out_.chips[walked]);
    out_.chips.resize(walked + (cheapest && *cheapest >= walked ? 1 : 0));
  }

 private:
  bool is_known(const ChipDesign& design) const {
    return std::any_of(out_.chips.begin(), out_.chips.end(), [&](const FrontierChip& chip) {
      return chip.name.empty() && design_of(chip.figures) == design;
    });
  }

  void add(FrontierChip chip, Scenario scenario) {
    keep_some_sms(scenario);
    out_.chips.push_back(std::move(chip));
    scenarios_.push_back(std::move(scenario));
  }

  const Scenario& base_;
  const ChipFigures& gpu_;
  const FrontierQuestion& question_;
  const RuleBook& book_;
  const ChipCosts& costs_;
  const CompareOptions& options_;
  Frontier& out_;
  std::vector<const ExportRule*> rules_;
  std::vector<Scenario> scenarios_;  // the base's, then one for each chip
  std::vector<QuickStep> steps_;     // of the first of them
};

}  // namespace

Frontier frontier(const Scenario& stated, const ChipFigures& gpu, const FrontierQuestion& question,
                  const RuleBook& book, const ChipCosts& costs, const std::vector<RealChip>& stated_real,
                  const CompareOptions& options) {
  require_figures(gpu);
  check_allowed(question);
  Scenario scenario = stated;
  std::vector<RealChip> real = stated_real;
  const int users = scenario.serving ? ask_in_turn(scenario, options.run.power) : 0;
  if (users > 0) {
    for (RealChip& chip : real)
      change_serving(chip.scenario, [&](ServingScenario& s) { s.traffic = scenario.serving->traffic; });
  }
  const GpuSpec& spec = scenario.cluster.node.gpu;
  Frontier out;
  out.scenario = scenario.name;
  out.work = scenario.training ? "a step" : "10^6 tokens";
  out.gpu = gpu.name;
  for (const ExportRule* rule : question.rules) out.rules.push_back(rule->id);
  for (const ChipFigure figure :
       {ChipFigure::tpp, ChipFigure::performance_density, ChipFigure::io_bandwidth, ChipFigure::memory_bandwidth})
    out.bounds[figure] = bounds_on(with_required(question.rules, book), figure);
  out.assumptions = assumptions_of(question, scenario);
  if (users > 0) {
    out.assumptions.push_back(
        fmt::format("requests that the scenario lets come at a rate are asked in turn by {} users, as many as wait for "
                    "an answer on {} at once: at a rate every chip gives the same tokens",
                    users, gpu.name));
  }
  out.base_allowed = is_free(gpu, question, book);
  out.base.figures = gpu;
  out.base.power = spec.tdp;

  const FreeDesigns designs = free_designs(gpu, question, book);
  out.candidates = designs.tried;
  Walk walk(scenario, gpu, question, book, costs, options, out);
  for (const ChipDesign& d : designs.unbeaten) walk.add(d);
  for (const RealChip& chip : real) {
    const ChipFigures& f = chip.figures;
    const bool known = f.tpp && f.die_area_mm2 && f.io && f.memory_bandwidth;
    if (known && is_free(f, question, book)) walk.add(chip);
  }
  walk.replay();
  walk.refine_cheapest();
  std::stable_sort(out.chips.begin(), out.chips.end(), [](const FrontierChip& a, const FrontierChip& b) {
    if (a.fault.empty() != b.fault.empty()) return a.fault.empty();
    return a.step != b.step ? a.step < b.step : a.cost_by_parts() < b.cost_by_parts();
  });
  const auto time = [](const FrontierChip& c) { return c.step.value(); };
  out.fastest = best(out.chips, false, time);
  out.cheapest = best(out.chips, false, cost_of_parts);
  out.fastest_real = best(out.chips, true, time);
  out.cheapest_real = best(out.chips, true, cost_of_parts);
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
