#include "analysis/runs/training/show/life_page.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "analysis/render/chart/chart.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/training/show/goodput_text.h"

namespace flopcast {

void add_life(const JobLife& life, int gpus, Page& page) {
  const Goodput& closed = life.closed;
  struct Part {
    const char* name;
    Seconds closed;
    Spread ReplayedGoodput::*replayed;
    Tone tone;
  };
  const Part parts[] = {
      {"work lost to failures", closed.lost_work, &ReplayedGoodput::lost_work_hours, Tone::bad},
      {"restarting after them", closed.restarts, &ReplayedGoodput::restart_hours, Tone::communication},
      {"writing checkpoints", closed.checkpoints, &ReplayedGoodput::checkpoint_hours, Tone::optimizer},
      {"waiting for repairs", closed.repair_waits, &ReplayedGoodput::repair_wait_hours, Tone::bubble},
      {"planned standstill", closed.planned, &ReplayedGoodput::planned_hours, Tone::weight},
  };
  BarChart chart;
  chart.title = fmt::format("{} of the time is left for training: {} interruptions and checkpoints take {} GPU-hours",
                            format_percent(closed.effective(), 2), format_integer(closed.interruptions()),
                            format_count(in_hours(closed.elapsed() - closed.useful) * gpus));
  chart.caption = "Hours of the whole job, " + life_caption(life) + "; whiskers: 5 to 95 % of the replays.";
  chart.axis = "hours of the job";
  chart.tick = [](double h) { return fmt::format("{:g}", h); };
  chart.table = {{"", "expected, h", "share", "5 to 95 % of replays, h"},
                 {},
                 {Align::left, Align::right, Align::right, Align::right}};
  for (const Part& part : parts) {
    const double expected = in_hours(part.closed);
    std::optional<std::pair<double, double>> range;
    if (life.replayed) range.emplace(((*life.replayed).*part.replayed).low, ((*life.replayed).*part.replayed).high);
    if (expected <= 0 && (!range || range->second <= 0)) continue;
    const std::string value = fmt::format("{:.3g} h, {}", expected, format_percent(part.closed / closed.elapsed(), 2));
    chart.rows.push_back({part.name, value, {{0, expected, part.tone, value}}, range});
    chart.table.rows.push_back({part.name, fmt::format("{:.3f}", expected),
                                format_percent(part.closed / closed.elapsed(), 2),
                                range ? fmt::format("{:.3f} to {:.3f}", range->first, range->second) : ""});
  }
  page.figure(drawing_of(chart));
}

}  // namespace flopcast
