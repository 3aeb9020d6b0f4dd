#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/evidence/validate/validate.h"
#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

// Checks beyond this many stand in the table alone.
constexpr std::size_t kMostRows = 40;
constexpr double kMostShown = 1, kMostShare = 3;

const char* check_verdict(const Check& check) {
  if (check.is_off()) return check.has_bar() ? "miss" : "off";
  return check.has_bar() ? "ok" : "";
}

bool has_check_error(const Check& check) { return check.published != 0; }

/// Checks that say how large an error may be at the most: how much of that the error takes up.
void add_bounds(const std::string& group, const std::vector<const Check*>& checks, Page& page) {
  BarChart chart;
  chart.axis = "of what is allowed, %";
  chart.tick = [](double share) { return fmt::format("{:g}", 100 * share); };
  chart.key = {{Tone::first, "within what is allowed"}, {Tone::bad, "beyond it"}};
  chart.table = {{"", "predictions are off by", "allowed", "", "source"},
                 {},
                 {Align::left, Align::right, Align::right, Align::left, Align::left}};
  std::size_t kept = 0;
  for (const Check* check : checks) {
    const std::string off = predicted_text(*check), allowed = published_text(*check);
    kept += check->is_off() ? 0 : 1;
    chart.table.rows.push_back({check->what, off, "at most " + allowed, check_verdict(*check), check->source});
    if (check->published <= 0) continue;
    const double share = std::min(check->predicted / check->published, kMostShare);
    chart.rows.push_back({check->what,
                          off + " of " + allowed,
                          {{0, share, check->is_off() ? Tone::bad : Tone::first, check->what + ": " + off}},
                          {}});
  }
  chart.title = fmt::format("{}: {} of {} errors are within what is allowed", group, kept, checks.size());
  chart.caption = "Errors over many points, each beside the most that it may be.";
  chart.marks = {{1, "allowed"}};
  page.figure(drawing_of(chart));
}

void add_group(const std::string& group, const std::vector<const Check*>& all, Page& page) {
  page.heading(group);
  std::vector<const Check*> bounds, checks;
  for (const Check* check : all) (check->upper_bound ? bounds : checks).push_back(check);
  if (!bounds.empty()) add_bounds(group, bounds, page);
  if (checks.empty()) return;
  BarChart chart;
  chart.axis = "error of the prediction, %";
  chart.tick = [](double error) { return fmt::format("{:g}", 100 * error); };
  chart.table = {{"", "predicted", "published", "error", "bar", "", "source"},
                 {},
                 {Align::left, Align::right, Align::right, Align::right, Align::right, Align::left, Align::left}};
  chart.key = {{Tone::first, "within its bar, or without one"}, {Tone::bad, "off"}};
  std::vector<double> errors;
  double most = 0.02;
  for (const Check* check : checks) {
    const std::string error = has_check_error(*check) ? format_error(check->error()) : "";
    if (has_check_error(*check)) {
      errors.push_back(std::abs(check->error()));
      const double shown = std::clamp(check->error(), -kMostShown, kMostShown);
      if (chart.rows.size() < kMostRows) {
        most = std::max({most, std::abs(shown), std::min(check->tolerance, kMostShown)});
        std::optional<std::pair<double, double>> bar;
        if (check->tolerance > 0)
          bar.emplace(-std::min(check->tolerance, kMostShown), std::min(check->tolerance, kMostShown));
        chart.rows.push_back(
            {check->what, error, {{0, shown, check->is_off() ? Tone::bad : Tone::first, check->what}}, bar});
      }
    }
    chart.table.rows.push_back(
        {check->what, predicted_text(*check), !check->has_bar() && check->published == 0 ? "" : published_text(*check),
         error, check->tolerance > 0 ? format_percent(check->tolerance) : "", check_verdict(*check), check->source});
  }
  if (errors.empty()) return page.table(chart.table.header, chart.table.rows, chart.table.align);
  std::sort(errors.begin(), errors.end());
  chart.title = fmt::format("{}: half of the predictions lie within {}, all within {}", group,
                            format_percent(errors[errors.size() / 2]), format_percent(errors.back()));
  chart.caption = "Whiskers: the bar that a check has to keep.";
  if (errors.size() > chart.rows.size())
    chart.caption += fmt::format(" The first {} of {}; the table has all of them.", chart.rows.size(), errors.size());
  chart.low = -most;
  chart.high = most;
  page.figure(drawing_of(chart));
}

}  // namespace

std::string to_html(const std::vector<Check>& checks) {
  Page page("Predicted beside measured and published");
  std::size_t bars = 0, kept = 0;
  std::vector<std::string> misses;
  for (const Check& check : checks) {
    bars += check.has_bar() ? 1 : 0;
    kept += check.has_bar() && !check.is_off() ? 1 : 0;
    if (check.is_off())
      misses.push_back(fmt::format("{}: {}{}{}", check.group, check.what, check.why.empty() ? "" : " - ", check.why));
  }
  page.headline(fmt::format("{} of {} checks keep their bars.", kept, bars));
  page.lead(
      "Kernels, links and collectives are fitted on measurements of those; steps, runs and services are predicted.");
  for (std::size_t i = 0; i < checks.size();) {
    std::vector<const Check*> group;
    const std::string& name = checks[i].group;
    for (; i < checks.size() && checks[i].group == name; ++i) group.push_back(&checks[i]);
    add_group(name, group, page);
  }
  if (!misses.empty()) page.heading("Misses and what they come from, as far as that is known");
  page.list(misses);
  return page.str();
}

}  // namespace flopcast
