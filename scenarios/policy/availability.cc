#include "scenarios/policy/availability.h"

#include <fmt/format.h>

#include "scenarios/policy/export_rules.h"

namespace flopcast {
namespace {

/// Of a chip that overrides have changed, rules see the changed figures that a replay knows of.
ChipFigures figures_of(const GpuSpec& gpu, const Libraries& libraries) {
  ChipFigures chip = load_chip(libraries, gpu.name);
  if (chip.memory_bandwidth) chip.memory_bandwidth = gpu.hbm_bandwidth;
  if (chip.io) chip.io = 2 * (gpu.nvlink_bandwidth + gpu.pcie_bandwidth);
  const double tpp = std::max(16 * gpu.bf16_peak.value(), 8 * gpu.fp8_peak.value()) / 1e12;
  const GpuSpec as_sold = libraries.gpu(gpu.name);
  if (as_sold.bf16_peak != gpu.bf16_peak || as_sold.fp8_peak != gpu.fp8_peak) {
    chip.tpp = tpp;
    if (chip.die_area_mm2) chip.density = tpp / *chip.die_area_mm2;
  }
  return chip;
}

void check_launch(const Date& day, const GpuSpec& gpu, const Places& places, Diagnostics& faults) {
  const auto launch = parse_date(gpu.launch_date);
  if (!launch || *launch <= day) return;
  faults.push_back(places.fault("date", fmt::format("{}, when there was no {}", to_string(day), gpu.title),
                                "a day from its launch on", to_string(*launch)));
}

void check_rule(const Date& day, const std::string& id, const ChipFigures& chip, const RuleBook& book,
                const Places& places, Diagnostics& faults) {
  const ExportRule* rule = book.find(id);
  if (!rule || !rule->judges()) {
    std::vector<std::string> ids;
    for (const ExportRule& r : book.rules()) {
      if (r.judges()) ids.push_back(r.id);
    }
    faults.push_back(
        places.fault("under_rule", quoted(id), fmt::format("one of {}", fmt::join(ids, ", ")), nearest_name(id, ids)));
    return;
  }
  if (!rule->holds_on(day)) {
    faults.push_back(places.fault("under_rule", fmt::format("{} on {}, when it was not in force", id, to_string(day)),
                                  "a day on which it holds", to_string(nearest_day(*rule, day))));
    return;
  }
  const Classification verdict = classify(chip, *rule, book, day);
  if (verdict.controlled.value_or(false)) {
    faults.push_back(places.fault("under_rule", fmt::format("{}: {} is {}", id, chip.name, verdict.outcome),
                                  "a GPU that the rule leaves free (see `flopcast policy classify`)"));
  }
}

}  // namespace

void check_availability(const Timing& timing, const GpuSpec& gpu, const Libraries& libraries, const Places& places,
                        Diagnostics& faults, std::vector<std::string>& notes) {
  if (timing.date.empty() && !timing.under_rule.empty())
    faults.push_back(places.fault("under_rule", "a rule without a day", "date, the day whose rules hold"));
  const auto day = parse_date(timing.date);
  if (!day) return;
  check_launch(*day, gpu, places, faults);
  const RuleBook book = load_rule_book(libraries, {});
  const ChipFigures chip = figures_of(gpu, libraries);
  if (!timing.under_rule.empty()) check_rule(*day, timing.under_rule, chip, book, places, faults);
  for (const ExportRule& rule : book.rules()) {
    if (!rule.bites() || rule.kind == "tariff" || !rule.holds_on(*day)) continue;
    const Classification verdict = classify(chip, rule, book, *day);
    if (verdict.controlled.value_or(false))
      notes.push_back(fmt::format("on {}, {} to China: {} ({})", to_string(*day), gpu.name, verdict.outcome, rule.id));
  }
}

}  // namespace flopcast
