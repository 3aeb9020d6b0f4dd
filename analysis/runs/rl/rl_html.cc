#include "analysis/runs/rl/rl_html.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/metrics.h"
#include "analysis/runs/page_parts.h"

namespace flopcast {
namespace {

Tone tone_of(RlPart part) {
  switch (part) {
    case RlPart::generation:
      return Tone::forward;
    case RlPart::update:
    case RlPart::critic_update:
      return Tone::backward;
    case RlPart::handover:
    case RlPart::sync:
      return Tone::communication;
    case RlPart::drain:
    case RlPart::reward:  // GPUs wait for it
      return Tone::bubble;
    case RlPart::host:
      return Tone::optimizer;
    default:  // passes forward of one model or another
      return Tone::forward;
  }
}

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
  page.heading("Where the time goes");
  page.figure(drawing_of(parts_chart(r)));
  page.heading("Memory");
  for (const PhaseMemory& phase : r.memory) {
    page.paragraph(fmt::format("{}: {} of {} on the fullest GPU", phase.phase, format_bytes(phase.total()),
                               format_bytes(phase.capacity)));
  }
  add_published(r.comparisons, {}, page);
  add_small_print(r.notes, {}, page);
  add_metrics(metrics(r), page);
  return page.str();
}

}  // namespace flopcast
