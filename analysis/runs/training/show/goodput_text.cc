#include "analysis/runs/training/show/goodput_text.h"

#include <fmt/format.h>

#include <vector>

#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

std::string hours_text(double value) {
  if (value >= 999.5) return format_integer(value) + " h";
  return value >= 9.995 ? fmt::format("{:.1f} h", value) : fmt::format("{:.2f} h", value);
}

std::string count_text(double value) { return value >= 99.5 ? format_integer(value) : fmt::format("{:.3g}", value); }

std::string percent_text(double value) { return format_percent(value); }

/// One figure of the table: of the closed form, and of the replays.
struct Line {
  std::string name;
  double expected;
  Spread ReplayedGoodput::*replayed;
  std::string (*text)(double);
  bool only_if_any;  // left out where it never happens
};

std::vector<Line> lines(const Goodput& closed) {
  using R = ReplayedGoodput;
  return {{"effective training time", closed.effective(), &R::effective, percent_text, false},
          {"elapsed", in_hours(closed.elapsed()), &R::elapsed_hours, hours_text, false},
          {"training that counts", in_hours(closed.useful), &R::useful_hours, hours_text, false},
          {"writing checkpoints", in_hours(closed.checkpoints), &R::checkpoint_hours, hours_text, false},
          {"work lost to interruptions", in_hours(closed.lost_work), &R::lost_work_hours, hours_text, false},
          {"restarting after them", in_hours(closed.restarts), &R::restart_hours, hours_text, false},
          {"waiting for repairs", in_hours(closed.repair_waits), &R::repair_wait_hours, hours_text, true},
          {"planned standstill", in_hours(closed.planned), &R::planned_hours, hours_text, true},
          {"unexpected interruptions", closed.failures, &R::failures, count_text, false},
          {"planned interruptions", closed.planned_interruptions, &R::planned_interruptions, count_text, true}};
}

// A span of time as people say it: "40 s", "4.2 min", "8.4 h", "12 d".
std::string span_text(Seconds time) {
  const double s = time.value();
  if (s < 120) return fmt::format("{:.3g} s", s);
  if (s < 7200) return fmt::format("{:.3g} min", s / 60);
  return s < 172800 ? fmt::format("{:.3g} h", s / 3600) : fmt::format("{:.3g} d", s / 86400);
}

}  // namespace

std::string life_caption(const JobLife& life) {
  if (!life.replayed) {
    return life.replays_asked > 0 ? "closed form only: even one replay has too many interruptions" : "closed form";
  }
  const int replays = life.replayed->replays;
  const std::string asked =
      replays < life.replays_asked ? fmt::format(" of {} asked for", format_integer(life.replays_asked)) : "";
  return fmt::format("closed form beside {}{} replays of random failures (seed {})", format_integer(replays), asked,
                     life.replayed->seed);
}

std::string life_table(const JobLife& life, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right});
  std::vector<std::string> header = {"", "closed form"};
  if (life.replayed) header.insert(header.end(), {"median", "5 %", "95 %"});
  table.header(header);
  for (const Line& line : lines(life.closed)) {
    if (line.only_if_any && line.expected <= 0) continue;
    std::vector<std::string> cells = {line.name, line.text(line.expected)};
    if (life.replayed) {
      const Spread& spread = (*life.replayed).*line.replayed;
      cells.insert(cells.end(), {line.text(spread.median), line.text(spread.low), line.text(spread.high)});
    }
    table.row(cells);
  }
  return table.render(style);
}

std::string habits_text(const ResilienceConfig& r, int gpus) {
  std::string text;
  if (r.failures_per_gpu_hour > 0)
    text = fmt::format("a failure every {} on average, ", span_text(hours(1 / (r.failures_per_gpu_hour * gpus))));
  text += fmt::format("a checkpoint every {}, {} to write", span_text(r.checkpoint_interval),
                      span_text(r.checkpoint_write));
  if (r.checkpoint_read > Seconds(0)) text += fmt::format(" and {} to read", span_text(r.checkpoint_read));
  text += fmt::format(", restarts of {}", span_text(r.restart));
  if (r.hot_spares) {
    text += fmt::format(", {} spare nodes for the {} of failures that break a node, repairs of {}",
                        format_integer(*r.hot_spares), format_percent(r.hardware_share, 0), span_text(r.repair));
  }
  if (r.planned_interruptions_per_day > 0) {
    text += fmt::format(", {:.3g} planned interruptions a day of {} each", r.planned_interruptions_per_day,
                        span_text(r.planned_pause));
  }
  return text;
}

}  // namespace flopcast
