#include "analysis/studies/compare/compare_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/metrics.h"

namespace flopcast {
namespace {

std::string seconds_text(double seconds) { return format_time(Seconds(seconds)); }
std::string milliseconds_text(double ms) { return format_time(Seconds(ms / 1e3)); }
std::string dollars_text(double usd) { return fmt::format("${:.4g}", usd); }

ValueText value_text(const Waterfall& waterfall) {
  if (waterfall.unit == "s") return seconds_text;
  if (waterfall.unit == "ms") return milliseconds_text;
  if (waterfall.unit == "USD") return dollars_text;
  const double most = std::max(std::abs(waterfall.start), std::abs(waterfall.end));
  if (most >= 100) return [](double hours) { return format_count(hours) + " GPU-h"; };
  // As many decimals for small causes as for the sums: four figures of the larger one.
  const int places = most > 0 ? std::clamp(3 - static_cast<int>(std::floor(std::log10(most))), 0, 6) : 3;
  return [places](double hours) { return fmt::format("{:.{}f} GPU-h", hours, places); };
}

std::string signed_text(double value, const ValueText& text) { return (value < 0 ? "−" : "+") + text(std::abs(value)); }

WaterfallChart chart_of(const Waterfall& waterfall, const ScenarioComparison& comparison) {
  WaterfallChart chart;
  chart.text = value_text(waterfall);
  const double change = waterfall.start != 0 ? waterfall.end / waterfall.start - 1 : 0;
  const auto largest = std::max_element(
      waterfall.causes.begin(), waterfall.causes.end(),
      [](const CauseShare& a, const CauseShare& b) { return std::abs(a.mean()) < std::abs(b.mean()); });
  chart.title = fmt::format("{}: {} to {}{}{}", waterfall.measure, chart.text(waterfall.start),
                            chart.text(waterfall.end), waterfall.start != 0 ? " (" + format_error(change) + ")" : "",
                            largest == waterfall.causes.end() ? "" : "; most of it is " + largest->title);
  chart.caption = "What each cause adds: the mean of turning them on in the order shown and in the reverse.";
  chart.steps.push_back({comparison.scenarios[waterfall.from].name, waterfall.start, true});
  for (const CauseShare& cause : waterfall.causes) chart.steps.push_back({cause.title, cause.mean(), false});
  if (waterfall.unexplained != 0) chart.steps.push_back({"not covered by any cause", waterfall.unexplained, false});
  chart.steps.push_back({comparison.scenarios[waterfall.to].name, waterfall.end, true});
  return chart;
}

void add_services(const ScenarioComparison& comparison, Page& page) {
  std::vector<std::vector<std::string>> rows;
  const auto number = [](double value, const char* format) {
    return value > 0 ? fmt::format(fmt::runtime(format), value) : std::string();
  };
  for (const ComparedScenario& s : comparison.scenarios) {
    const ServedFigures& f = *s.service;
    rows.push_back({s.name, number(f.output_per_gpu, "{:.0f}"), number(f.answers_per_gpu(), "{:.0f}"),
                    f.tpot > Seconds(0) ? format_time(f.tpot) : "", format_time(f.ttft),
                    number(f.under_way_per_gpu, "{:.1f}"), format_percent(f.kv_share), f.state,
                    number(f.answer_hours(), "{:.3f}"), number(f.per_million_output.value(), "${:.3f}")});
  }
  page.table({"scenario", "output/s per GPU", "per GPU that answers", "TPOT", "TTFT", "answers under way on each",
              "KV in use", "state", "GPU-h that answer, per 10^6 output", "$ per 10^6 output"},
             rows,
             {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right,
              Align::left, Align::right, Align::right});
  for (const ComparedScenario& s : comparison.scenarios) page.note(s.name + ": " + s.hardware);
}

void add_steps(const ScenarioComparison& comparison, Page& page) {
  std::vector<std::vector<std::string>> rows;
  for (const ComparedScenario& s : comparison.scenarios) {
    rows.push_back({s.name, s.hardware, seconds_text(s.step.value()), format_percent(s.mfu), format_percent(s.bubble),
                    format_percent(s.exposed), format_bytes(s.memory) + (s.fits() ? "" : ", too much"),
                    s.run_gpu_hours ? format_count(*s.run_gpu_hours) : "", s.run_cost ? format_usd(*s.run_cost) : ""});
  }
  page.table({"scenario", "hardware", "step", "MFU", "bubble", "exposed", "memory", "GPU-hours", "cost"}, rows,
             {Align::left, Align::left, Align::right, Align::right, Align::right, Align::right, Align::right,
              Align::right, Align::right});
}

/// A column per loop: the step and its parts, and whatever else any of them has.
void add_loops(const ScenarioComparison& comparison, Page& page) {
  std::vector<std::string> header{"metric"};
  std::vector<Align> columns{Align::left};
  for (const ComparedScenario& s : comparison.scenarios) {
    header.push_back(s.name);
    columns.push_back(Align::right);
  }
  std::vector<std::vector<std::string>> rows;
  for (const LoopFigure& figure : comparison.scenarios.front().loop) {
    const std::optional<Metric> metric = describe_metric(figure.name);
    std::vector<std::string> cells{metric ? metric->title : figure.name};
    bool any = false;
    for (const ComparedScenario& s : comparison.scenarios) {
      const auto found =
          std::find_if(s.loop.begin(), s.loop.end(), [&](const LoopFigure& f) { return f.name == figure.name; });
      const bool there = found != s.loop.end() && found->value != 0;
      any = any || there;
      cells.push_back(!there                              ? ""
                      : metric && metric->text != nullptr ? metric->text(found->value)
                                                          : fmt::format("{:.5g} {}", found->value, found->unit));
    }
    if (any) rows.push_back(std::move(cells));
  }
  page.table(header, rows, columns);
  for (const ComparedScenario& s : comparison.scenarios) page.note(s.name + ": " + s.hardware);
}

void add_scenarios(const ScenarioComparison& comparison, Page& page) {
  page.heading("Side by side");
  if (comparison.scenarios.front().service)
    add_services(comparison, page);
  else if (!comparison.scenarios.front().loop.empty())
    add_loops(comparison, page);
  else
    add_steps(comparison, page);
  for (const ComparedScenario& s : comparison.scenarios) {
    for (const std::string& remark : s.remarks) page.note(s.name + ": " + remark);
  }
}

void add_waterfall(const Waterfall& waterfall, const ScenarioComparison& comparison, Page& page) {
  const ValueText text = value_text(waterfall);
  page.heading(
      fmt::format("From {} to {}", comparison.scenarios[waterfall.from].name, comparison.scenarios[waterfall.to].name));
  page.figure(drawing_of(chart_of(waterfall, comparison)));
  std::vector<std::vector<std::string>> rows;
  for (const CauseShare& cause : waterfall.causes) {
    rows.push_back({cause.title, cause.change, signed_text(cause.forward, text), signed_text(cause.reverse, text),
                    signed_text(cause.alone, text), signed_text(cause.interaction(), text)});
  }
  page.table({"cause", "change", "in this order", "in reverse", "alone", "interaction"}, rows,
             {Align::left, Align::left, Align::right, Align::right, Align::right, Align::right});
  page.note(fmt::format("The causes alone sum to {}; interaction among them is {}.",
                        signed_text(waterfall.sum_alone(), text), signed_text(waterfall.interaction(), text)));
  for (const std::string& remark : waterfall.remarks) page.note(remark);
}

}  // namespace

std::string to_html(const ScenarioComparison& comparison) {
  std::string title = comparison.title;
  for (const ComparedScenario& s : comparison.scenarios) {
    if (comparison.title.empty()) title += (title.empty() ? "" : " beside ") + s.name;
  }
  Page page(title);
  add_scenarios(comparison, page);
  for (const Waterfall& waterfall : comparison.waterfalls) add_waterfall(waterfall, comparison, page);
  for (const std::string& note : comparison.notes) page.note(note);
  return page.str();
}

}  // namespace flopcast
