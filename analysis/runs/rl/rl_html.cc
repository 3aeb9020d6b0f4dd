#include "analysis/runs/rl/rl_html.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/parts/page_parts.h"
#include "analysis/runs/rl/rl_metrics.h"
#include "analysis/runs/rl/rl_trace.h"

namespace flopcast {
namespace {

BarChart parts_chart(const RlReport& r) {
  BarChart chart;
  RlPart longest = RlPart::generation;
  for (std::size_t i = 0; i < kRlParts; ++i) {
    const auto part = static_cast<RlPart>(i);
    const Seconds time = r.step.part(part);
    if (time > r.step.part(longest)) longest = part;
    if (time <= Seconds(0)) continue;
    chart.rows.push_back({std::string(name(part)), format_time(time), {{0, time.value(), tone_of(part), {}}}, {}});
    chart.table.rows.push_back(
        {std::string(name(part)), fmt::format("{:.4g}", time.value()), format_percent(time / r.step.length, 1)});
  }
  chart.title =
      fmt::format("{} takes {} of a step", name(longest), format_percent(r.step.part(longest) / r.step.length, 0));
  chart.caption = "What a step waits for, part by part; the parts add up to it.";
  chart.description = chart.title;
  chart.axis = "seconds";
  chart.tick = [](double s) { return fmt::format("{:g}", s); };
  chart.table.header = {"part", "s", "share"};
  chart.table.align = {Align::left, Align::right, Align::right};
  return chart;
}

void add_timeline(const RlReport& r, Page& page) {
  const TimelineView view = timeline_view(r);
  if (view.size() == 0) return;
  Drawing drawing;
  drawing.title = r.rl().generates() ? fmt::format("The engine is awake {} of the time",
                                                   format_percent(r.step.awake / r.step.length, 0))
                                     : "What the trainer does, one thing after the other";
  drawing.caption =
      "Above the engine that writes answers, below the trainer; the first step, which starts from nothing, too. Zoom "
      "in, point at a block.";
  drawing.after = view.html("Timeline of the loop", 28, "");
  page.heading("Timeline");
  page.figure(drawing);
  page.need_viewer();
}

void add_memory(const RlReport& r, Page& page) {
  if (r.memory.empty()) return;
  std::vector<MemoryBar> bars;
  const PhaseMemory* fullest = &r.memory.front();
  for (const PhaseMemory& phase : r.memory) {
    bars.push_back({phase.phase, &phase.table, phase.capacity});
    if (phase.total() / phase.capacity > fullest->total() / fullest->capacity) fullest = &phase;
  }
  StackedChart chart = memory_chart(bars, "while");
  chart.title = fmt::format("The loop {} the memory: {} of {} during the {}",
                            fullest->total() > fullest->capacity ? "does not fit into" : "fits into",
                            format_bytes(fullest->total()), format_bytes(fullest->capacity), fullest->phase);
  chart.caption = "The fullest GPU in each phase of a step.";
  page.heading("Memory");
  page.figure(drawing_of(chart));
}

void add_run(const RlReport& r, Page& page) {
  if (!r.run || r.run->points.size() < 2) return;
  LineChart chart;
  const RlRunPoint &first = r.run->points.front(), &last = r.run->points.back();
  chart.title = fmt::format("A step takes {} at the start of the run and {} at its end", format_time(first.length),
                            format_time(last.length));
  chart.caption = "Answers change their length along the run, and with it the step. Points were replayed.";
  chart.x_title = "step of the run";
  chart.y_title = "a step takes, s";
  ChartLine line{"step", {}, true, true, Tone::first};
  for (const RlRunPoint& point : r.run->points)
    line.points.push_back({point.step, point.length.value(),
                           fmt::format("step {}: {} tokens a mean answer, {}", format_integer(point.step),
                                       format_integer(point.mean), format_time(point.length))});
  chart.lines.push_back(std::move(line));
  chart.x_text = chart.y_text = [](double value) { return fmt::format("{:g}", value); };
  page.heading("The run");
  page.figure(drawing_of(chart));
}

}  // namespace

std::string to_html(const RlExplanation& explanation, const std::string& title) {
  Page page("What a step of the loop consists of: " + title);
  BarChart chart;
  const RlSaving* most = nullptr;
  for (const RlSaving& part : explanation.parts) {
    const std::string saves = format_time(part.saves), share = format_percent(part.saves / explanation.step);
    chart.rows.push_back({std::string(name(part.part)),
                          saves + ", " + share,
                          {{0, std::max(0.0, part.saves.value()), tone_of(part.part), saves}},
                          {}});
    chart.table.rows.push_back({std::string(name(part.part)), format_time(part.takes), saves, share});
    if (most == nullptr || part.saves > most->saves) most = &part;
  }
  page.headline(fmt::format("One step takes {}.", format_time(explanation.step)));
  if (most == nullptr) return page.str();
  chart.title = fmt::format("If {} took no time, a step would take {} less: {} of it", name(most->part),
                            format_time(most->saves), format_percent(most->saves / explanation.step));
  chart.caption =
      "What a step would save if one part of it took no time; what is hidden behind other work saves less than it "
      "takes.";
  chart.description = chart.title;
  chart.axis = "seconds that a step would save";
  chart.tick = [](double s) { return fmt::format("{:g}", s); };
  chart.table.header = {"if this took no time", "it takes", "the step saves", "of the step"};
  chart.table.align = {Align::left, Align::right, Align::right, Align::right};
  page.figure(drawing_of(chart));
  return page.str();
}

std::string to_html(const RlReport& r) {
  Page page(r.scenario.title);
  page.headline(fmt::format("A step takes {}: {} answers, {} tokens of answers", format_time(r.step.length),
                            format_count(r.step.answers), format_count(r.step.answer_tokens)));
  if (r.ranges) page.lead(range_sentence(r));
  page.heading("Where the time goes");
  page.figure(drawing_of(parts_chart(r)));
  add_timeline(r, page);
  add_memory(r, page);
  add_run(r, page);
  const std::vector<Metric> metrics = rl_metrics(&r);
  add_published(r.comparisons, metrics, page);
  add_small_print(r.notes, {}, page);
  add_metrics(metrics, page);
  return page.str();
}

}  // namespace flopcast
