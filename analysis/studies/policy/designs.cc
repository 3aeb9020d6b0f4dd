#include "analysis/studies/policy/designs.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "scenarios/read/text_file.h"

namespace flopcast {
namespace {

/// Points on the edge where memory bandwidth and I/O share a bound.
constexpr int kPointsOfAnEdge = 16;
/// Rates between the corners, each so many times the next one down. The fastest chip is a corner; the cheapest one may
/// be any small die, and cost is flat enough round it for steps of this size.
constexpr double kStepOfRates = 1.4142135623730951;
constexpr int kStepsOfRates = 9;
/// Designs that differ by no more than this in anything are one.
constexpr double kSame = 2e-4;

std::vector<Threshold> terms_on(const FrontierQuestion& question, ChipFigure figure) {
  std::vector<Threshold> out;
  for (const ExportRule* rule : question.rules) {
    for (const RuleLimb& limb : rule->limbs) {
      for (const Threshold& term : limb.terms) {
        if (term.figure == figure) out.push_back(term);
      }
    }
  }
  return out;
}

/// Values at and just below every bound of a figure, as far as they are positive and below `most`; and `most`.
std::set<double> levels_of(const FrontierQuestion& question, ChipFigure figure, double most) {
  std::set<double> out{most};
  for (const Threshold& bound : terms_on(question, figure)) {
    for (const double value : {bound.value, bound.value - step_below(bound)}) {
      if (value > 0 && value < most) out.insert(value);
    }
  }
  return out;
}

/// Densities at and just below every bound.
std::set<double> densities_of(const FrontierQuestion& question) {
  std::set<double> out;
  for (const Threshold& bound : terms_on(question, ChipFigure::performance_density)) {
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

std::set<double> rates(const ChipFigures& gpu, const FrontierQuestion& question, const Areas& areas) {
  const double most = *gpu.tpp * question.headroom;
  std::set<double> out = levels_of(question, ChipFigure::tpp, most);
  for (const double density : densities_of(question)) {
    for (const double area : {areas.largest, *gpu.die_area_mm2}) {
      if (density * area < most) out.insert(density * area);
    }
  }
  double rate = most;
  for (int step = 0; step < kStepsOfRates; ++step) out.insert(rate /= kStepOfRates);
  return out;
}

std::set<double> areas_at(double tpp, const ChipFigures& gpu, const FrontierQuestion& question, const Areas& areas) {
  const double least = areas.smallest(tpp);
  std::set<double> out{least, areas.largest};
  std::set<double> wanted{*gpu.die_area_mm2};
  for (const double density : densities_of(question)) wanted.insert(tpp / density);
  for (const double area : wanted) {
    if (area >= least && area <= areas.largest) out.insert(area);
  }
  return out;
}

struct Bandwidths {
  double io, memory;
};

/// Every corner of the region of I/O and memory bandwidth, and points on the edges that bound their sum.
std::vector<Bandwidths> bandwidths(const ChipFigures& gpu, const FrontierQuestion& question) {
  const double most_io = gpu.io->value() / 1e9 * question.headroom;
  const double most_memory = gpu.memory_bandwidth->value() / 1e9 * question.headroom;
  const std::set<double> ios = levels_of(question, ChipFigure::io_bandwidth, most_io);
  const std::set<double> memories = levels_of(question, ChipFigure::memory_bandwidth, most_memory);
  std::vector<Bandwidths> out;
  for (const double io : ios) {
    for (const double memory : memories) out.push_back({io, memory});
  }
  for (const Threshold& bound : terms_on(question, ChipFigure::memory_plus_io)) {
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

bool at_least_as_good(const ChipDesign& a, const ChipDesign& b, double slack = 0) {
  const double all_but = 1 - slack;
  return a.tpp >= b.tpp * all_but && a.io >= b.io * all_but && a.memory >= b.memory * all_but &&
         a.area * all_but <= b.area;
}

void keep_unbeaten(std::vector<ChipDesign>& kept, const ChipDesign& design) {
  for (const ChipDesign& other : kept) {
    if (at_least_as_good(other, design)) return;
  }
  std::erase_if(kept, [&](const ChipDesign& other) { return at_least_as_good(design, other); });
  kept.push_back(design);
}

/// Without those that are as good as beaten by a faster one.
std::vector<ChipDesign> distinct(std::vector<ChipDesign> designs) {
  std::stable_sort(designs.begin(), designs.end(), [](const ChipDesign& a, const ChipDesign& b) {
    return std::tie(a.tpp, a.memory, a.io) > std::tie(b.tpp, b.memory, b.io);
  });
  std::vector<ChipDesign> out;
  for (const ChipDesign& design : designs) {
    const auto as_good = [&](const ChipDesign& other) { return at_least_as_good(other, design, kSame); };
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
  const Areas areas{*gpu.tpp / *gpu.die_area_mm2, std::max(question.largest_area_mm2, *gpu.die_area_mm2)};
  const std::vector<Bandwidths> corners = bandwidths(gpu, question);
  FreeDesigns out;
  for (const double tpp : rates(gpu, question, areas)) {
    for (const double area : areas_at(tpp, gpu, question, areas)) {
      for (const Bandwidths& b : corners) {
        const ChipDesign design{tpp, area, b.io, b.memory};
        ++out.tried;
        if (is_free(figures_of(design, gpu), question, book)) keep_unbeaten(out.unbeaten, design);
      }
    }
  }
  out.unbeaten = distinct(std::move(out.unbeaten));
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
