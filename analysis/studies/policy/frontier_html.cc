#include "analysis/studies/policy/frontier_html.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

std::string times_text(double factor) { return fmt::format("{:.3g} x", factor); }

std::string point_label(const Frontier& f, std::size_t index) {
  if (!f.chips[index].name.empty()) return f.chips[index].name;
  if (f.fastest == index) return f.cheapest == index ? "fastest and cheapest design" : "fastest design";
  return f.cheapest == index ? "cheapest design" : fmt::format("TPP {}", format_integer(*f.chips[index].figures.tpp));
}

FrontierChart chart_of(const Frontier& f) {
  FrontierChart chart;
  chart.x_title = "time of " + f.work + ", against " + f.gpu;
  chart.y_title = "cost of the work, by what the chips are made of, against " + f.gpu;
  chart.x_text = chart.y_text = times_text;
  chart.title = f.fastest && f.cheapest
                    ? fmt::format("The fastest allowed design takes {} the time of {}, the cheapest costs {}",
                                  times_text(f.chips[*f.fastest].slowdown), f.gpu,
                                  times_text(f.chips[*f.cheapest].cost_by_parts()))
                    : "Time and cost of the chips that the rules just allow";
  chart.caption = "Chips that the rules just allow. The line joins those that no other beats in both time and cost.";
  for (std::size_t i = 0; i < f.chips.size(); ++i) {
    const FrontierChip& chip = f.chips[i];
    if (!chip.fault.empty()) continue;
    chart.points.push_back({point_label(f, i), chip.slowdown, chip.cost_by_parts(), on_front(f, i), {}});
  }
  chart.points.push_back({f.gpu, 1, 1, false, {}});
  return chart;
}

std::vector<std::string> html_row_of(const std::string& name, const Frontier& f, const FrontierChip& chip) {
  std::vector<std::string> row{name,
                               figure_text(f, chip, ChipFigure::tpp),
                               figure_text(f, chip, ChipFigure::performance_density),
                               format_integer(*chip.figures.die_area_mm2),
                               figure_text(f, chip, ChipFigure::io_bandwidth),
                               figure_text(f, chip, ChipFigure::memory_bandwidth),
                               format_integer(chip.power.value())};
  if (!chip.fault.empty()) {
    row.insert(row.end(), {"", "", chip.fault});
    return row;
  }
  row.push_back(format_time(chip.step) + (chip.fits ? "" : ", memory too small"));
  row.push_back(times_text(chip.cost_by_parts()));
  row.push_back(fmt::format("{}", fmt::join(chip.bound_by, ", ")));
  return row;
}

}  // namespace

std::string to_html(const Frontier& f) {
  Page page(fmt::format("What {} leaves of {}", fmt::join(f.rules, ", "), f.gpu));
  page.lead(f.scenario + (f.base_allowed ? "; the chip itself is allowed" : ""));
  if (f.chips.empty()) {
    page.paragraph("No chip within these bounds is allowed.");
    return page.str();
  }
  page.heading("Time and cost");
  page.figure(drawing_of(chart_of(f)));
  page.heading("The chips");
  std::vector<std::vector<std::string>> rows{html_row_of(f.gpu, f, f.base)};
  for (const std::size_t i : chips_to_show(f)) rows.push_back(html_row_of(point_label(f, i), f, f.chips[i]));
  page.table({"", "TPP", "PD", "mm2", "I/O GB/s", "DRAM GB/s", "W", "step", "cost", "just below"}, rows,
             {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right,
              Align::right, Align::right, Align::left});
  page.heading("Assumed");
  for (const std::string& assumption : f.assumptions) page.paragraph(assumption);
  return page.str();
}

}  // namespace flopcast
