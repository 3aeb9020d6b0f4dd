#include <fmt/format.h>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/runs/parts/text_parts.h"
#include "analysis/studies/policy/frontier.h"
#include "analysis/studies/policy/policy.h"
#include "scenarios/proto/policy_report.pb.h"

namespace flopcast {
namespace {

double gb_s(const std::optional<BytesPerSecond>& rate) { return rate.value_or(BytesPerSecond()).value() / 1e9; }

std::string describe(const Frontier& f, const FrontierChip& chip) {
  const auto text = [&](ChipFigure figure) { return figure_text(f, chip, figure); };
  return fmt::format("TPP {}, {} per mm2 on {} mm2, I/O {} GB/s both directions, DRAM {} GB/s, about {} W",
                     text(ChipFigure::tpp), text(ChipFigure::performance_density),
                     format_integer(*chip.figures.die_area_mm2), text(ChipFigure::io_bandwidth),
                     text(ChipFigure::memory_bandwidth), format_integer(chip.power.value()));
}

std::vector<std::string> row_of(const std::string& name, const Frontier& f, const FrontierChip& chip) {
  std::vector<std::string> row{name,
                               figure_text(f, chip, ChipFigure::tpp),
                               figure_text(f, chip, ChipFigure::performance_density),
                               format_integer(*chip.figures.die_area_mm2),
                               figure_text(f, chip, ChipFigure::io_bandwidth),
                               figure_text(f, chip, ChipFigure::memory_bandwidth)};
  if (!chip.fault.empty()) {
    row.insert(row.end(), {"-", "", "", chip.fault});
    return row;
  }
  row.push_back(format_time(chip.step) + (chip.fits ? "" : " (!)"));
  row.push_back(fmt::format("{:.2f}", chip.cost_equal_price()));
  row.push_back(fmt::format("{:.2f}", chip.cost_by_parts()));
  row.push_back(fmt::format("{}", fmt::join(chip.bound_by, ", ")));
  return row;
}

std::string sentence(const std::string& what, const Frontier& f, const std::optional<std::size_t>& index,
                     const TextStyle& style) {
  if (!index) return "";
  const FrontierChip& chip = f.chips[*index];
  std::string text = fmt::format(
      "{}: {}. The time of {} is {}, {:.2f} times that of {}; the work costs {:.2f} times as much by "
      "parts",
      what, describe(f, chip), f.work, format_time(chip.step), chip.slowdown, f.gpu, chip.cost_by_parts());
  if (chip.cost) text += fmt::format(" (${:.4g} for {})", chip.cost->value(), f.work);
  return wrap(text + ".", style.width() - 2, "  ") + "\n";
}

std::string name_of(const Frontier& f, std::size_t index) {
  std::string name = f.chips[index].name;
  if (f.fastest == index) name += "fastest";
  if (f.cheapest == index) name += name.empty() ? "cheapest" : ", cheapest";
  return f.chips[index].name.empty() && !name.empty() ? name + " design" : name;
}

/// What the chips that exist make of it, of which one may beat every design.
std::string real_sentence(const Frontier& f, const TextStyle& style) {
  if (!f.fastest_real) return "";
  const FrontierChip &fast = f.chips[*f.fastest_real], &cheap = f.chips[*f.cheapest_real];
  std::string text = fmt::format("Of the allowed chips that exist, {} is the fastest ({}, {:.2f} times that of {})",
                                 fast.name, format_time(fast.step), fast.slowdown, f.gpu);
  text += f.fastest_real == f.cheapest_real
              ? fmt::format(" and the cheapest ({:.2f} times as much by parts)", fast.cost_by_parts())
              : fmt::format(", {} the cheapest ({:.2f} times as much by parts)", cheap.name, cheap.cost_by_parts());
  if (f.fastest && fast.step < f.chips[*f.fastest].step) text += "; it is faster than any design of this chip";
  return wrap(text + ".", style.width() - 2, "  ") + "\n";
}

void set_chip(const FrontierChip& chip, report::FrontierChip& out) {
  const ChipFigures& f = chip.figures;
  out.set_tpp(*f.tpp);
  out.set_performance_density(*f.density);
  out.set_die_area_mm2(*f.die_area_mm2);
  out.set_io_gb_s(gb_s(f.io));
  out.set_memory_gb_s(gb_s(f.memory_bandwidth));
  out.set_power_w(chip.power.value());
  out.set_step_time_s(chip.step.value());
  out.set_slowdown(chip.slowdown);
  out.set_cost_at_equal_price(chip.cost_equal_price());
  out.set_cost_by_parts(chip.cost_by_parts());
  out.set_step_cost_usd(chip.cost.value_or(Usd()).value());
  out.set_fits(chip.fits);
  out.set_fault(chip.fault);
  out.set_chip(chip.name);
  for (const std::string& threshold : chip.bound_by) out.add_bound_by(threshold);
}

}  // namespace

std::string to_text(const Frontier& f, const TextStyle& style) {
  std::string out = style.bold(wrap(fmt::format("What {} leaves of {}, for {}",
                                                fmt::format("{}", fmt::join(f.rules, ", ")), f.gpu, f.scenario),
                                    style.width(), "")) +
                    "\n";
  out += f.base_allowed ? "The chip itself is allowed.\n" : "";
  if (f.chips.empty()) return out + "No chip within these bounds is allowed.\n";
  out += "\n";
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right,
                   Align::right, Align::right, Align::left});
  table.header(
      {"", "TPP", "PD", "mm2", "I/O", "DRAM", f.work == "a step" ? "step" : f.work, "cost", "by parts", "just below"});
  table.row(row_of(f.gpu, f, f.base));
  const std::vector<std::size_t> shown = chips_to_show(f);
  for (const std::size_t i : shown) table.row(row_of(name_of(f, i), f, f.chips[i]));
  out += table.render(style);
  if (f.chips.size() > shown.size()) {
    out += "  " +
           wrap(fmt::format("{} designs in all; those left out are beaten in time and cost (--csv lists them)",
                            f.chips.size()),
                style.width() - 2, "  ") +
           "\n";
  }
  out += "\n" + sentence("Fastest design", f, f.fastest, style) + sentence("Cheapest design", f, f.cheapest, style);
  if (!f.fastest) out += wrap("No design within these bounds is allowed.", style.width() - 2, "  ") + "\n";
  out += real_sentence(f, style);
  out += "\nAssumed\n";
  return out + style.dim(bullets(f.assumptions, style));
}

std::string to_csv(const Frontier& f) {
  std::string out =
      csv_line({"chip", "tpp", "performance_density", "die_area_mm2", "io_gb_s", "dram_gb_s", "power_w", "step_time_s",
                "slowdown", "cost_at_equal_price", "cost_by_parts", "fits", "just_below", "fault"});
  const auto line = [&](const std::string& name, const FrontierChip& chip) {
    const ChipFigures& g = chip.figures;
    out += csv_line({name, shortest(*g.tpp), shortest(*g.density), shortest(*g.die_area_mm2), shortest(gb_s(g.io)),
                     shortest(gb_s(g.memory_bandwidth)), shortest(chip.power.value()), shortest(chip.step.value()),
                     shortest(chip.slowdown), shortest(chip.cost_equal_price()), shortest(chip.cost_by_parts()),
                     chip.fits ? "yes" : "no", fmt::format("{}", fmt::join(chip.bound_by, "; ")), chip.fault});
  };
  line(f.gpu, f.base);
  for (std::size_t i = 0; i < f.chips.size(); ++i) line(name_of(f, i), f.chips[i]);
  return out;
}

report::FrontierReport to_message(const Frontier& f) {
  report::FrontierReport out;
  out.set_scenario(f.scenario);
  out.set_gpu(f.gpu);
  for (const std::string& rule : f.rules) out.add_rules(rule);
  out.set_gpu_allowed(f.base_allowed);
  set_chip(f.base, *out.add_base());
  for (const FrontierChip& chip : f.chips) set_chip(chip, *out.add_chips());
  out.set_fastest(f.fastest ? static_cast<int>(*f.fastest) : -1);
  out.set_cheapest(f.cheapest ? static_cast<int>(*f.cheapest) : -1);
  for (const std::string& assumption : f.assumptions) out.add_assumptions(assumption);
  return out;
}

}  // namespace flopcast
