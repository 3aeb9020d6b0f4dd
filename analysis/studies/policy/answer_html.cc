#include <algorithm>

#include <fmt/format.h>

#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"
#include "analysis/studies/policy/answer.h"
#include "analysis/studies/policy/policy.h"

namespace flopcast {
namespace {

std::string short_count(double value) { return value >= 100 ? format_count(value) : fmt::format("{:.3g}", value); }

std::string axis_of(const AnsweredWork& w) {
  if (!w.training) return "GPU-hours per 10^6 output tokens";
  const double tokens = w.rows.front().work.tokens;
  return fmt::format("GPU-hours for {} tokens", format_count(tokens > 0 ? tokens : 1e12));
}

void add_bars(const PolicyAnswer& a, const AnsweredWork& w, Page& page) {
  BarChart chart;
  chart.title = headline(a, w);
  chart.axis = axis_of(w);
  chart.caption = "GPU-hours with plan and batch searched again on each chip; whiskers hold nine cases in ten.";
  chart.tick = short_count;
  chart.key = {{Tone::good, "free"},
               {Tone::bad, "caught"},
               {Tone::third, "needs a licence, decided case by case"},
               {Tone::bubble, "cannot be said, or not to be bought then"}};
  chart.table.header = {"chip", "rule says", "time", "GPU-hours", "5 %", "95 %"};
  chart.table.align = {Align::left, Align::left, Align::right, Align::right, Align::right, Align::right};
  for (const AnswerRow& row : w.rows) {
    if (!row.work.fault.empty()) continue;
    const Ranged& hours = row.work.gpu_hours;
    const Tone tone = row.to_be_had()                  ? Tone::good
                      : row.later || row.free != false ? Tone::bubble
                      : row.by_case.empty()            ? Tone::bad
                                                       : Tone::third;
    ChartRow bar;
    bar.label = row.chip;
    bar.value = fmt::format("{} ({} to {})", short_count(hours.value), short_count(hours.low), short_count(hours.high));
    bar.segments.push_back({0, hours.value, tone, bar.value});
    bar.range = std::pair{hours.low, hours.high};
    chart.rows.push_back(std::move(bar));
    chart.table.rows.push_back({row.chip, rule_says(row), time_text(w, row), short_count(hours.value),
                                short_count(hours.low), short_count(hours.high)});
  }
  page.figure(drawing_of(chart));
}

void add_curves(const AnsweredWork& w, Page& page) {
  for (const AnswerCurve& curve : w.curves) {
    LineChart chart;
    ChartLine searched{"plan searched again", {}, true, true, {}}, stated{"plan as stated", {}, true, true, {}};
    for (const AnswerCurve::Point& p : curve.points) {
      if (!p.work.fault.empty()) continue;
      ChartPoint point{p.factor * curve.own, p.work.gpu_hours.value, p.work.plan, true, "", {}};
      point.range = std::pair{p.work.gpu_hours.low, p.work.gpu_hours.high};
      searched.points.push_back(point);
      if (p.work.own_gpu_hours > 0)
        stated.points.push_back({p.factor * curve.own, p.work.own_gpu_hours, "", false, "", {}});
    }
    if (searched.points.empty()) continue;
    const double least = searched.points.front().y, own = [&] {
      for (const AnswerCurve::Point& p : curve.points) {
        if (p.factor == 1 && p.work.fault.empty()) return p.work.gpu_hours.value;
      }
      return searched.points.back().y;
    }();
    chart.title = fmt::format("{} of {} cut to {:.3g} {}: {:.2f} times the GPU-hours", name_of(curve.limit), w.gpu,
                              searched.points.front().x, curve.unit, least / own);
    chart.title.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(chart.title.front())));
    chart.caption = "The scenario's chip with one figure cut or raised. Whiskers hold nine cases in ten.";
    chart.x_title = fmt::format("{}, {}", name_of(curve.limit), curve.unit);
    chart.y_title = axis_of(w);
    chart.x_text = chart.y_text = short_count;
    chart.lines = {searched, stated};
    page.figure(drawing_of(chart));
  }
}

void add_work(const PolicyAnswer& a, const AnsweredWork& w, Page& page) {
  page.heading(w.title);
  add_bars(a, w, page);
  std::vector<std::vector<std::string>> rows;
  for (const AnswerRow& row : w.rows) {
    if (!row.work.fault.empty()) {
      rows.push_back({row.chip, rule_says(row), "", "", "", row.work.fault});
      continue;
    }
    const auto usd = [](const std::optional<Ranged>& r) {
      const auto text = [](double v) { return v < 100 ? fmt::format("${:.3g}", v) : format_usd(Usd(v)); };
      return r ? fmt::format("{} ({} to {})", text(r->value), text(r->low), text(r->high)) : std::string();
    };
    rows.push_back({row.chip, rule_says(row), time_text(w, row), usd(row.usd_equal), usd(row.usd_parts),
                    row.work.plan + (row.work.remark.empty() ? "" : "; " + row.work.remark)});
  }
  page.table({"chip", "rule says", w.training ? "days" : "ms per output token", "$ at one price", "$ by parts", "plan"},
             rows, {Align::left, Align::left, Align::right, Align::right, Align::right, Align::left});
  std::vector<std::string> binds;
  for (const AnswerRow& row : w.rows) {
    const std::string text = what_binds(w, row);
    if (!text.empty() && (row.to_be_had() || !row.by_case.empty() || &row == &w.rows.front())) binds.push_back(text);
  }
  page.list(binds);
  add_curves(w, page);
  for (const std::string& text : w.left_out) page.note(text);
}

void add_margins(const PolicyAnswer& a, Page& page) {
  std::vector<std::vector<std::string>> rows;
  for (const JudgedChip& c : a.chips) {
    if (c.later) continue;
    const auto figure = [&](ChipFigure f) {
      const auto value = figure_of(c.figures, f);
      return value ? figure_number(*value, bounds_on(a.bounds, f)) : std::string("?");
    };
    rows.push_back({c.figures.name, figure(ChipFigure::tpp), figure(ChipFigure::performance_density),
                    figure(ChipFigure::io_bandwidth), figure(ChipFigure::memory_bandwidth),
                    c.nearest ? threshold_text(c.nearest->threshold) : "",
                    c.nearest ? format_error(c.nearest->share()) : "", outcome_of(c)});
  }
  page.table(
      {"chip", "TPP", "TPP per mm2", "I/O GB/s, both directions", "DRAM GB/s", "nearest", "margin", "outcome"}, rows,
      {Align::left, Align::right, Align::right, Align::right, Align::right, Align::left, Align::right, Align::left});
}

}  // namespace

std::string to_html(const PolicyAnswer& a) {
  Page page("What " + a.asked + (a.date ? " leave" : " leaves"));
  for (const AnsweredWork& w : a.works) page.headline(headline(a, w));
  page.heading("What the rule says");
  if (!a.read_note.empty()) page.note(a.read_note);
  std::vector<std::string> limbs;
  for (const ExportRule* rule : a.rules) {
    limbs.push_back(fmt::format("{}: {}; {}", rule->id, rule->title, days_of(*rule)));
    for (const RuleLimb& limb : rule->limbs)
      limbs.push_back(fmt::format("{}: {} if {}", rule->id, limb.outcome, limb_text(limb)));
    limbs.push_back(fmt::format("{}: {}", rule->id, rule->licence));
  }
  for (const ExportRule* rule : a.also) {
    std::vector<std::string> says;
    for (const auto& [what, chips] : chips_by_saying(a, *rule))
      says.push_back(fmt::format("{}: {}", what, fmt::join(chips, ", ")));
    limbs.push_back(fmt::format("also in force: {}: {} ({}; {}){}{}", rule->id, rule->title, rule->kind, days_of(*rule),
                                says.empty() ? "" : "; ", fmt::join(says, "; ")));
  }
  page.list(limbs);
  for (const AnsweredWork& w : a.works) add_work(a, w, page);
  page.heading("Chips that exist, by margin");
  add_margins(a, page);
  if (const std::string later = later_chips(a); !later.empty()) page.note(later);
  page.heading("Assumed");
  page.list(a.assumptions);
  for (const ExportRule* rule : a.rules) {
    for (const Source& source : rule->sources)
      page.note(fmt::format("Source of {}: {}, {}", rule->id, source.text, source.date));
  }
  return page.str();
}

}  // namespace flopcast
