#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"
#include "analysis/studies/policy/policy.h"

namespace flopcast {
namespace {

// Margins beyond this are written, not drawn to scale.
constexpr double kMostMargin = 3;

std::string chip_title(const ChipFigures& chip) { return chip.title.empty() ? chip.name : chip.title; }

std::string figure_or_dash(const std::optional<double>& value, int decimals = 0) {
  if (!value) return "-";
  return decimals > 0 ? fmt::format("{:.{}f}", *value, decimals) : format_integer(*value);
}

/// Chips by the two figures that rules look at.
void add_chips(std::span<const ChipVerdict> verdicts, Page& page) {
  LineChart chart;
  chart.x_title = "total processing performance (TPP)";
  chart.y_title = "performance density, TPP per mm2";
  chart.x_text = [](double v) { return format_integer(v); };
  chart.y_text = [](double v) { return fmt::format("{:.4g}", v); };
  chart.height = 360;
  ChartLine free{"no licence needed", {}, true, false, Tone::good},
      caught{"licence needed", {}, true, false, Tone::bad};
  DataTable table{{"chip", "TPP", "density", "die mm2", "licence"},
                  {},
                  {Align::left, Align::right, Align::right, Align::right, Align::left}};
  for (const ChipVerdict& v : verdicts) {
    const bool controlled = std::any_of(v.rules.begin(), v.rules.end(),
                                        [](const Classification& c) { return c.controlled.value_or(false); });
    const bool unknown =
        std::any_of(v.rules.begin(), v.rules.end(), [](const Classification& c) { return !c.controlled.has_value(); });
    table.rows.push_back({chip_title(v.chip), figure_or_dash(v.chip.tpp), figure_or_dash(v.chip.density, 2),
                          figure_or_dash(v.chip.die_area_mm2),
                          controlled ? "needed"
                          : unknown  ? "cannot compute"
                                     : "not needed"});
    if (!v.chip.tpp || !v.chip.density) continue;
    (controlled ? caught : free)
        .points.push_back({*v.chip.tpp, *v.chip.density, chip_title(v.chip), true, v.chip.name, {}});
  }
  const std::size_t shown = free.points.size() + caught.points.size();
  chart.title = fmt::format("{} of {} chips need a licence under a rule shown", caught.points.size(), shown);
  chart.lines = {free, caught};
  Drawing drawing = drawing_of(chart);
  drawing.table = table;
  page.heading("The chips");
  page.figure(drawing);
}

void add_chip(const ChipVerdict& v, Page& page) {
  page.heading(chip_title(v.chip));
  std::vector<KeyFigure> figures;
  if (v.chip.tpp) figures.push_back({"TPP", format_integer(*v.chip.tpp), v.chip.tpp_format});
  if (v.chip.density) figures.push_back({"density, TPP/mm2", fmt::format("{:.2f}", *v.chip.density), ""});
  if (v.chip.io) figures.push_back({"I/O, both directions", format_rate(*v.chip.io), ""});
  if (v.chip.memory_bandwidth) figures.push_back({"memory", format_rate(*v.chip.memory_bandwidth), ""});
  page.key_figures(figures);
  BarChart chart;
  chart.axis = "the chip's figure over the nearest threshold, %";
  chart.tick = [](double share) { return fmt::format("{:+g}", 100 * share); };
  chart.marks = {{0, "threshold"}};
  chart.key = {{Tone::bad, "licence needed"}, {Tone::good, "not controlled"}};
  chart.table = {{"rule", "in force", "outcome", "limb", "nearest threshold", "margin", ""},
                 {},
                 {Align::left, Align::left, Align::left, Align::left, Align::left, Align::right, Align::left}};
  std::size_t controlling = 0;
  double most = 0.1;
  for (const Classification& c : v.rules) {
    const bool caught = c.controlled.value_or(false);
    controlling += caught ? 1 : 0;
    const std::optional<Margin> decisive = c.decisive();
    const std::string margin = decisive ? format_error(decisive->share()) : "";
    chart.table.rows.push_back({c.rule->id, c.rule->in_force ? to_string(*c.rule->in_force) : "", c.outcome, c.limb,
                                decisive ? threshold_text(decisive->threshold) : "", margin, c.note});
    if (!decisive) continue;
    const double shown = std::clamp(decisive->share(), -1.0, kMostMargin);
    most = std::max(most, std::abs(shown));
    chart.rows.push_back({fmt::format("{}: {}", c.rule->id, c.outcome),
                          fmt::format("{}, {}", threshold_text(decisive->threshold), margin),
                          {{0, shown, caught ? Tone::bad : Tone::good, c.rule->title + ": " + margin}},
                          {}});
  }
  chart.low = -std::min(most, 1.0);
  chart.high = most;
  chart.title = fmt::format("{} of {} rules ask for a licence", controlling, v.rules.size());
  std::vector<std::string> periods;
  for (const ControlledPeriod& p : v.periods)
    periods.push_back(fmt::format("from {}{}", to_string(p.from), p.until ? " until " + to_string(*p.until) : ""));
  chart.caption = !periods.empty()    ? fmt::format("A licence is needed {}.", fmt::join(periods, ", and "))
                  : v.unknown.empty() ? "At no time was a licence needed."
                                      : "";
  std::vector<std::string> unknown;
  for (const ControlledPeriod& p : v.unknown)
    unknown.push_back(fmt::format("from {}{}", to_string(p.from), p.until ? " until " + to_string(*p.until) : ""));
  if (!unknown.empty()) {
    chart.caption += fmt::format("{}Whether one is needed cannot be computed {}: figures are missing.",
                                 chart.caption.empty() ? "" : " ", fmt::join(unknown, ", and "));
  }
  page.figure(drawing_of(chart));
  if (chart.rows.empty()) page.table(chart.table.header, chart.table.rows, chart.table.align);
  for (const std::string& note : v.chip.notes) page.note(note);
}

}  // namespace

std::string to_html(std::span<const ChipVerdict> verdicts, const PolicyQuestion& question, const RuleBook& book) {
  constexpr std::size_t kMostPages = 12;
  Page page(verdicts.size() == 1 ? "What export rules say of " + chip_title(verdicts.front().chip)
                                 : "What export rules say of chips");
  page.lead(question.date ? "Rules of " + to_string(*question.date) : "Rules of all days");
  if (const std::string note = reading_note(question, book); !note.empty()) page.note(note);
  if (!question.rule.empty()) page.lead("Only " + question.rule);
  if (verdicts.size() > 1) add_chips(verdicts, page);
  for (std::size_t i = 0; i < std::min(verdicts.size(), kMostPages); ++i) add_chip(verdicts[i], page);
  if (verdicts.size() > kMostPages)
    page.note(fmt::format("The first {} of {} chips are shown one by one; name chips to see others.", kMostPages,
                          verdicts.size()));
  return page.str();
}

}  // namespace flopcast
