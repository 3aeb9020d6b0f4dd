#include "analysis/studies/policy/designs.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

/// Points on the edge where memory bandwidth and I/O share a bound.
constexpr int kPointsOfAnEdge = 16;
/// Rates between the corners, each this factor above the next one down, counted from the GPU's own so that more
/// headroom only adds some. The fastest chip is a corner; the cheapest one may be any small die, and is sought between
/// these (free_neighbours()).
constexpr double kStepOfRates = 1.4142135623730951;
constexpr int kStepsOfRates = 9;
/// Memory faster than the GPU's own, in such steps.
constexpr double kStepOfMemory = 1.189207115002721;
/// Designs that differ by no more than this in anything are one.
constexpr double kSame = 2e-4;

/// What a question's rules bound, and those that they ask about first.
struct Bounded {
  const FrontierQuestion& question;
  std::vector<const ExportRule*> rules;
};

std::vector<Threshold> terms_on(const Bounded& bounded, ChipFigure figure) {
  std::vector<Threshold> out;
  for (const ExportRule* rule : bounded.rules) {
    for (const RuleLimb& limb : rule->limbs) {
      for (const Threshold& term : limb.terms) {
        if (term.figure == figure) out.push_back(term);
      }
    }
  }
  return out;
}

/// Values at and just below every bound of a figure, as far as they are positive and below `most`; and `most`.
std::set<double> levels_of(const Bounded& bounded, ChipFigure figure, double most) {
  std::set<double> out{most};
  for (const Threshold& bound : terms_on(bounded, figure)) {
    for (const double value : {bound.value, bound.value - step_below(bound)}) {
      if (value > 0 && value < most) out.insert(value);
    }
  }
  return out;
}

/// Densities at and just below every bound.
std::set<double> densities_of(const Bounded& bounded) {
  std::set<double> out;
  for (const Threshold& bound : terms_on(bounded, ChipFigure::performance_density)) {
    out.insert(bound.value);
    out.insert(bound.value - step_below(bound));
  }
  return out;
}

/// Smallest and largest area of a die with this computing rate.
struct Areas {
  double own_density, largest;
  double smallest(double tpp) const { return tpp / own_density; }
};

std::set<double> rates(const ChipFigures& gpu, const Bounded& bounded, const Areas& areas) {
  // No die that is allowed holds more.
  const double most = std::min(most_of(gpu, bounded.question).tpp, areas.own_density * areas.largest);
  std::set<double> out = levels_of(bounded, ChipFigure::tpp, most);
  for (const double density : densities_of(bounded)) {
    for (const double area : {areas.largest, *gpu.die_area_mm2}) {
      if (density * area < most) out.insert(density * area);
    }
  }
  const double least = std::min(most, *gpu.tpp) / std::pow(kStepOfRates, kStepsOfRates);
  for (double rate = *gpu.tpp; rate < most; rate *= kStepOfRates) out.insert(rate);
  for (double rate = *gpu.tpp / kStepOfRates; rate >= 0.999 * least; rate /= kStepOfRates) {
    if (rate < most) out.insert(rate);
  }
  return out;
}

std::set<double> areas_at(double tpp, const ChipFigures& gpu, const Bounded& bounded, const Areas& areas) {
  constexpr double kRounding = 1 + 1e-12;
  if (areas.smallest(tpp) > areas.largest * kRounding) return {};
  const double least = std::min(areas.smallest(tpp), areas.largest);
  std::set<double> out{least, areas.largest};
  std::set<double> wanted{*gpu.die_area_mm2};
  for (const double density : densities_of(bounded)) wanted.insert(tpp / density);
  for (const double area : wanted) {
    if (area >= least && area <= areas.largest) out.insert(area);
  }
  return out;
}

struct Bandwidths {
  double io, memory;
};

/// Every corner of the region of I/O and memory bandwidth, points on the edges that bound their sum, and memory between
/// the GPU's own and the fastest.
std::vector<Bandwidths> bandwidths(const ChipFigures& gpu, const Bounded& bounded) {
  const double own_memory = gpu.memory_bandwidth->value() / 1e9;
  const ChipDesign most = most_of(gpu, bounded.question);
  const double most_io = most.io, most_memory = most.memory;
  const std::set<double> ios = levels_of(bounded, ChipFigure::io_bandwidth, most_io);
  std::set<double> memories = levels_of(bounded, ChipFigure::memory_bandwidth, most_memory);
  for (double memory = own_memory; memory < most_memory; memory *= kStepOfMemory) memories.insert(memory);
  std::vector<Bandwidths> out;
  for (const double io : ios) {
    for (const double memory : memories) out.push_back({io, memory});
  }
  for (const Threshold& bound : terms_on(bounded, ChipFigure::memory_plus_io)) {
    for (const double sum : {bound.value, bound.value - step_below(bound)}) {
      std::set<double> on_edge = ios;
      for (const double memory : memories) on_edge.insert(sum - memory);
      for (int k = 1; k < kPointsOfAnEdge; ++k) on_edge.insert(most_io * k / kPointsOfAnEdge);
      for (const double io : on_edge) {
        if (io > 0 && io <= most_io && sum - io > 0 && sum - io <= most_memory) out.push_back({io, sum - io});
      }
    }
  }
  return out;
}

/// Up to `own_memory`, bandwidth takes no more stacks.
bool at_least_as_good(const ChipDesign& a, const ChipDesign& b, double own_memory, double slack = 0) {
  const double all_but = 1 - slack;
  return a.tpp >= b.tpp * all_but && a.io >= b.io * all_but && a.memory >= b.memory * all_but &&
         a.area * all_but <= b.area && std::max(a.memory, own_memory) * all_but <= std::max(b.memory, own_memory);
}

void keep_unbeaten(std::vector<ChipDesign>& kept, const ChipDesign& design, double own_memory) {
  for (const ChipDesign& other : kept) {
    if (at_least_as_good(other, design, own_memory)) return;
  }
  std::erase_if(kept, [&](const ChipDesign& other) { return at_least_as_good(design, other, own_memory); });
  kept.push_back(design);
}

/// Without those that are as good as beaten by a faster one.
std::vector<ChipDesign> distinct(std::vector<ChipDesign> designs, double own_memory) {
  std::stable_sort(designs.begin(), designs.end(), [](const ChipDesign& a, const ChipDesign& b) {
    return std::tie(a.tpp, a.memory, a.io) > std::tie(b.tpp, b.memory, b.io);
  });
  std::vector<ChipDesign> out;
  for (const ChipDesign& design : designs) {
    const auto as_good = [&](const ChipDesign& other) { return at_least_as_good(other, design, own_memory, kSame); };
    if (std::none_of(out.begin(), out.end(), as_good)) out.push_back(design);
  }
  return out;
}

std::vector<std::string> outcomes_of(const FrontierQuestion& question) {
  std::vector<std::string> out;
  const auto add = [&](const std::string& outcome) {
    if (!outcome.empty() && std::find(out.begin(), out.end(), outcome) == out.end()) out.push_back(outcome);
  };
  for (const ExportRule* rule : question.rules) {
    for (const RuleLimb& limb : rule->limbs) add(limb.outcome);
    add(rule->otherwise);
  }
  return out;
}

}  // namespace

ChipDesign design_of(const ChipFigures& chip) {
  return {*chip.tpp, *chip.die_area_mm2, chip.io->value() / 1e9, chip.memory_bandwidth->value() / 1e9};
}

ChipDesign most_of(const ChipFigures& gpu, const FrontierQuestion& question) {
  ChipDesign most = design_of(gpu);
  for (double* figure : {&most.tpp, &most.io, &most.memory}) *figure *= question.headroom;
  most.area = question.largest_area_mm2;
  for (const ChipFigures& chip : question.sold) {
    most.tpp = std::max(most.tpp, chip.tpp.value_or(0));
    if (chip.io) most.io = std::max(most.io, chip.io->value() / 1e9);
    if (chip.memory_bandwidth) most.memory = std::max(most.memory, chip.memory_bandwidth->value() / 1e9);
  }
  return most;
}

double step_below(const Threshold& bound) {
  return bound.figure == ChipFigure::performance_density ? 1e-5 * bound.value : std::min(0.1, 1e-4 * bound.value);
}

ChipFigures figures_of(const ChipDesign& design, const ChipFigures& gpu) {
  ChipFigures chip = gpu;
  chip.tpp = design.tpp;
  chip.die_area_mm2 = design.area;
  chip.density = design.tpp / design.area;
  chip.io = BytesPerSecond(design.io * 1e9);
  chip.memory_bandwidth = BytesPerSecond(design.memory * 1e9);
  // A rule that names the GPU does not name what is made in its place.
  if (!(design == design_of(gpu))) chip.name.clear();
  return chip;
}

bool is_free(const ChipFigures& chip, const FrontierQuestion& question, const RuleBook& book) {
  return std::all_of(question.rules.begin(), question.rules.end(), [&](const ExportRule* rule) {
    const Classification verdict = classify(chip, *rule, book, question.date);
    const auto& allowed = question.allowed;
    const bool let_pass = std::find(allowed.begin(), allowed.end(), verdict.outcome) != allowed.end();
    return let_pass || (verdict.controlled && !*verdict.controlled);
  });
}

FreeDesigns free_designs(const ChipFigures& gpu, const FrontierQuestion& question, const RuleBook& book) {
  const Areas areas{*gpu.tpp / *gpu.die_area_mm2, question.largest_area_mm2};
  const double own_memory = gpu.memory_bandwidth->value() / 1e9;
  const Bounded bounded{question, with_required(question.rules, book)};
  const std::vector<Bandwidths> corners = bandwidths(gpu, bounded);
  FreeDesigns out;
  for (const double tpp : rates(gpu, bounded, areas)) {
    for (const double area : areas_at(tpp, gpu, bounded, areas)) {
      for (const Bandwidths& b : corners) {
        const ChipDesign design{tpp, area, b.io, b.memory};
        ++out.tried;
        if (is_free(figures_of(design, gpu), question, book)) keep_unbeaten(out.unbeaten, design, own_memory);
      }
    }
  }
  out.unbeaten = distinct(std::move(out.unbeaten), own_memory);
  return out;
}

std::vector<ChipDesign> free_neighbours(const ChipDesign& design, const ChipFigures& gpu,
                                        const FrontierQuestion& question, const RuleBook& book) {
  const Areas areas{*gpu.tpp / *gpu.die_area_mm2, question.largest_area_mm2};
  const Bounded bounded{question, with_required(question.rules, book)};
  const double own_memory = gpu.memory_bandwidth->value() / 1e9;
  const ChipDesign most = most_of(gpu, question);
  std::set<double> memories{design.memory};
  for (const double by : {1 / std::sqrt(kStepOfMemory), std::sqrt(kStepOfMemory)}) {
    const double memory = design.memory * by;
    if (design.memory * 1.0001 > own_memory && memory >= own_memory && memory <= most.memory) memories.insert(memory);
  }
  std::vector<ChipDesign> out;
  for (const int eighths : {-3, -2, -1, 0, 1, 2, 3}) {
    const double tpp = design.tpp * std::pow(kStepOfRates, eighths / 4.0);
    if (tpp > most.tpp) continue;
    for (const double area : areas_at(tpp, gpu, bounded, areas)) {
      // Spare area is only worth its money where a bound on density asks for it.
      if (area > 1.5 * design.area) continue;
      for (const double memory : memories) {
        const ChipDesign other{tpp, area, design.io, memory};
        if (!(other == design) && is_free(figures_of(other, gpu), question, book)) out.push_back(other);
      }
    }
  }
  return out;
}

void check_allowed(const FrontierQuestion& question) {
  const std::vector<std::string> known = outcomes_of(question);
  Diagnostics faults;
  for (const std::string& outcome : question.allowed) {
    if (std::find(known.begin(), known.end(), outcome) != known.end()) continue;
    faults.push_back({"", 0, 0, "--allow", quoted(outcome),
                      fmt::format("an outcome of the rules in question: {}", fmt::join(known, "; ")),
                      nearest_name(outcome, known)});
  }
  if (!faults.empty()) throw InputError(faults);
}

}  // namespace flopcast
