#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "analysis/money/fleet/fleet.h"
#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/page.h"
#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "analysis/runs/parts/text_parts.h"
#include "scenarios/proto/fleet_report.pb.h"

namespace flopcast {
namespace {

using Show = std::string (*)(double);

std::string usd_short(double usd) { return format_usd(Usd(usd)); }
std::string count_short(double count) { return format_count(count); }
std::string share_short(double share) { return format_percent(share); }

Show shown_as(std::string_view unit) { return unit == "USD" ? usd_short : unit == "share" ? share_short : count_short; }

std::string ranged_words(const FleetSpread& s, Show show) {
  return s.p5 < s.p95 ? fmt::format("{} ({} to {})", show(s.value), show(s.p5), show(s.p95)) : show(s.value);
}

bool is_sum(FleetOutcome outcome) {
  return outcome == FleetOutcome::capital_usd || outcome == FleetOutcome::spent_usd ||
         outcome == FleetOutcome::consumed_usd;
}

std::string estimate_range(const FleetEstimate& e) {
  if (std::isinf(e.high)) return "over " + usd_short(e.low);
  return e.low == e.high ? usd_short(e.low) : fmt::format("{} to {}", usd_short(e.low), usd_short(e.high));
}

std::string_view title_of(FleetOutcome outcome) {
  for (const FleetOutcomeRow& row : fleet_outcomes()) {
    if (row.outcome == outcome) return row.title;
  }
  return "";
}

/// Where the point and the middle of the draws are not the same, and why.
std::string point_and_median(const FleetResult& r) {
  const FleetSpread& spent = r.of(FleetOutcome::spent_usd);
  if (spent.value <= 0 || std::abs(spent.p50 / spent.value - 1) < 0.02) return "";
  return fmt::format(
      "spent: {} with every figure at its likeliest or its middle, {} as the middle of the draws, since figures are "
      "not "
      "spread evenly about their likeliest value",
      usd_short(spent.value), usd_short(spent.p50));
}

std::vector<std::string> remarks_of(const FleetResult& r) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < r.fleet.purchases.size(); ++i) {
    const FleetPurchase& p = r.fleet.purchases[i];
    if (p.tariff > 0)
      out.push_back(fmt::format("{}: a tariff of {} is {}", p.name, format_percent(p.tariff, 0),
                                p.tariff_in_price ? "part of the price" : "added to the price"));
    if (p.revenue_share > 0)
      out.push_back(fmt::format("{}: {} of the price, {}, goes to the US government; it is part of the price", p.name,
                                format_percent(p.revenue_share, 0), usd_short(r.lots[i].passed_on.value)));
  }
  if (const std::string text = point_and_median(r); !text.empty()) out.push_back(text);
  out.insert(out.end(), r.fleet.assumptions.begin(), r.fleet.assumptions.end());
  out.emplace_back(
      "an hour of a lot costs its price over its life, power, site and operations; ranges hold nine draws in ten; a "
      "figure's low and high are the ends of its spread");
  return out;
}

StackedChart spent_chart(const FleetResult& r) {
  StackedChart chart;
  chart.title = headline(r);
  chart.caption =
      "Whiskers hold nine draws in ten. Spent: cash up to the end of the ledger. Consumed: what was bought, "
      "as far as it is written off by then, and running costs.";
  chart.axis = "USD";
  chart.text = chart.tick = usd_short;
  chart.parts = {"GPUs and servers", "network", "tariffs", "power and site", "rent", "staff", "other"};
  const auto v = [&](FleetOutcome o) { return r.of(o).value; };
  const double running =
      v(FleetOutcome::electricity_usd) + v(FleetOutcome::colocation_usd) + v(FleetOutcome::operations_usd);
  const double capital = v(FleetOutcome::capital_usd);
  const double written = capital > 0 ? v(FleetOutcome::written_off_usd) / capital : 0;
  const auto bar = [&](const std::string& name, double share, FleetOutcome total) {
    const FleetSpread& s = r.of(total);
    chart.bars.push_back(
        {name,
         {share * v(FleetOutcome::chips_usd), share * v(FleetOutcome::network_usd), share * v(FleetOutcome::tariff_usd),
          running, v(FleetOutcome::rent_usd), v(FleetOutcome::staff_usd), v(FleetOutcome::other_usd)},
         "",
         std::pair{s.p5, s.p95}});
  };
  bar("spent", 1, FleetOutcome::spent_usd);
  bar("consumed", written, FleetOutcome::consumed_usd);
  return chart;
}

BarChart estimates_chart(const FleetResult& r) {
  BarChart chart;
  std::size_t agree = 0;
  for (const FleetEstimate& e : r.estimates) {
    if (!e.verdict.starts_with("above") && !e.verdict.starts_with("below")) ++agree;
  }
  chart.title = fmt::format("{} of {} published figures lie within what the ledger comes to or overlap it", agree,
                            r.estimates.size());
  chart.caption = "Bars: what was said, like held against like. Whiskers: what the ledger comes to, nine draws in ten.";
  chart.axis = "USD";
  chart.tick = usd_short;
  chart.table.header = {"who", "what", "said", "ledger", "verdict"};
  chart.table.align = {Align::left, Align::left, Align::right, Align::right, Align::left};
  for (const FleetEstimate& e : r.estimates) {
    const FleetSpread& ours = r.of(e.compared);
    const bool open = std::isinf(e.high);
    const double end = open ? std::max(e.low, ours.p95) : e.high;
    const bool off = e.verdict.starts_with("above") || e.verdict.starts_with("below");
    ChartRow row;
    row.label = e.said_by + ": " + e.what;
    row.value = estimate_range(e);
    row.segments.push_back({e.low == end ? 0 : e.low, end, off ? Tone::bad : Tone::good, e.verdict});
    row.range = std::pair{ours.p5, ours.p95};
    chart.rows.push_back(std::move(row));
    chart.table.rows.push_back({e.said_by, e.what, estimate_range(e), ranged_words(ours, usd_short), e.verdict});
  }
  return chart;
}

void set_figure(const FleetSpread& s, const std::string& name, std::string_view title, std::string_view unit,
                report::FleetFigure& out) {
  out.set_name(name);
  out.set_title(std::string(title));
  out.set_unit(std::string(unit));
  out.set_value(s.value);
  out.set_p5(s.p5);
  out.set_p50(s.p50);
  out.set_p95(s.p95);
}

std::string lots_table(const FleetResult& r, const TextStyle& style) {
  TextTable lots({Align::left, Align::left, Align::left, Align::right, Align::right, Align::right, Align::right});
  lots.header({"lot", "GPU", "bought", "GPUs", "$ each", "capital", "hours used"});
  for (std::size_t i = 0; i < r.lots.size(); ++i) {
    const FleetPurchase& p = r.fleet.purchases[i];
    const LotResult& lot = r.lots[i];
    lots.row({p.name, p.gpu, to_string(p.bought), ranged_words(lot.gpus, count_short),
              ranged_words(lot.price, usd_short), ranged_words(lot.capital, usd_short),
              format_percent(lot.used_share.value)});
  }
  return lots.render(style);
}

std::string rents_table(const FleetResult& r, const TextStyle& style) {
  TextTable rents({Align::left, Align::left, Align::right, Align::right});
  rents.header({"rental", "GPU", "GPU-hours", "$ an hour"});
  for (const FleetRental& rental : r.fleet.rentals)
    rents.row({rental.name, rental.gpu, format_count(rental.gpu_hours.middle()),
               fmt::format("{:.2f} to {:.2f}", rental.usd_per_hour.low, rental.usd_per_hour.high)});
  return rents.render(style);
}

std::string outcomes_table(const FleetResult& r, const TextStyle& style) {
  TextTable figures({Align::left, Align::right, Align::right, Align::right});
  figures.header({"", "point", "5 %", "95 %"});
  for (const FleetOutcomeRow& row : fleet_outcomes()) {
    const FleetSpread& s = r.of(row.outcome);
    if (s.value == 0 && s.p95 == 0) continue;
    const Show show = shown_as(row.unit);
    const std::string title(row.title);
    figures.row({is_sum(row.outcome) ? style.bold(title) : title, show(s.value), show(s.p5), show(s.p95)});
  }
  return figures.render(style);
}

std::string uses_table(const FleetResult& r, const TextStyle& style) {
  TextTable uses({Align::left, Align::left, Align::left, Align::right, Align::right, Align::right});
  uses.header({"use", "kind", "on", "GPU-hours", "of its lot", "cost"});
  for (std::size_t i = 0; i < r.uses.size(); ++i) {
    const FleetUse& u = r.fleet.uses[i];
    uses.row({u.name, std::string(name_of(u.kind)), u.on, ranged_words(r.uses[i].hours, count_short),
              format_percent(r.uses[i].share.value), ranged_words(r.uses[i].usd, usd_short)});
  }
  return uses.render(style);
}

std::string estimates_text(const FleetResult& r, const TextStyle& style) {
  std::string out;
  for (const FleetEstimate& e : r.estimates) {
    out += "  " +
           wrap(fmt::format("{}: {}, {}. Against {}: {}.", e.said_by, e.what, estimate_range(e), title_of(e.compared),
                            e.verdict),
                style.width() - 4, "    ") +
           "\n";
  }
  return out;
}

std::string sources_text(const FleetResult& r, const TextStyle& style) {
  std::string out;
  const auto source = [&](const std::string& what, const std::string& text) {
    if (!text.empty()) out += style.dim("  " + wrap(what + ": " + text, style.width() - 4, "    ")) + "\n";
  };
  for (const FleetPurchase& p : r.fleet.purchases) source(p.name, p.source + (p.confirmed ? "" : " (unconfirmed)"));
  for (const FleetRental& rental : r.fleet.rentals) source(rental.name, rental.source);
  for (const FleetUse& u : r.fleet.uses) source(u.name, u.source);
  source("site", r.fleet.site_source);
  source("staff", r.fleet.staff_source);
  for (const FleetEstimate& e : r.estimates) source(e.said_by + " " + e.date, e.source);
  return out;
}

}  // namespace

std::string headline(const FleetResult& r) {
  const auto usd = [&](FleetOutcome o) {
    const FleetSpread& s = r.of(o);
    if (s.p5 >= s.p95) return usd_short(s.value);  // nothing was drawn
    return fmt::format("{} to {}", usd_short(s.p5), usd_short(s.p95));
  };
  return fmt::format(
      "{} was spent by {}, {} of it on what was bought; final runs took {} of the GPU-hours and cost {}, the programme "
      "round them {}",
      usd(FleetOutcome::spent_usd), to_string(r.fleet.ends), usd(FleetOutcome::capital_usd),
      format_percent(r.of(FleetOutcome::run_share).value), usd_short(r.of(FleetOutcome::run_usd).value),
      usd(FleetOutcome::programme_usd));
}

std::string to_text(const FleetResult& r, const TextStyle& style) {
  const auto section = [&](const char* title) { return "\n" + style.bold(title) + "\n"; };
  std::string out = style.bold(wrap(r.fleet.title, style.width(), "")) + "\n";
  out += wrap(fmt::format("From {} to {}. {}.", to_string(r.fleet.begins), to_string(r.fleet.ends), headline(r)),
              style.width(), "") +
         "\n";
  out += section("Bought") + lots_table(r, style);
  if (!r.fleet.rentals.empty()) out += section("Rented") + rents_table(r, style);
  out += section("What it came to") + outcomes_table(r, style);
  out += section("What the hours went to") + uses_table(r, style);
  if (!r.estimates.empty()) out += section("What others have said, like held against like") + estimates_text(r, style);
  out += section("Assumed");
  out += bullets(remarks_of(r), style);
  return out + section("Sources") + sources_text(r, style);
}

std::string to_csv(const FleetResult& r) {
  std::string out = csv_line({"section", "name", "figure", "unit", "value", "p5", "p50", "p95", "note"});
  const auto line = [&](const std::string& section, const std::string& name, const std::string& figure,
                        const std::string& unit, const FleetSpread& s, const std::string& note) {
    out += csv_line(
        {section, name, figure, unit, shortest(s.value), shortest(s.p5), shortest(s.p50), shortest(s.p95), note});
  };
  for (const FleetOutcomeRow& row : fleet_outcomes())
    line("ledger", std::string(row.id), std::string(row.title), std::string(row.unit), r.of(row.outcome), "");
  for (std::size_t i = 0; i < r.lots.size(); ++i) {
    const FleetPurchase& p = r.fleet.purchases[i];
    line("lot", p.name, "gpus", "", r.lots[i].gpus, p.source);
    line("lot", p.name, "price", "USD", r.lots[i].price, p.source);
    line("lot", p.name, "capital", "USD", r.lots[i].capital, "");
    line("lot", p.name, "tariff", "USD", r.lots[i].tariff, "");
    line("lot", p.name, "passed on to the US government", "USD", r.lots[i].passed_on, "part of the price");
    line("lot", p.name, "hours", "h", r.lots[i].hours, "");
    line("lot", p.name, "used", "share", r.lots[i].used_share, "");
  }
  for (std::size_t i = 0; i < r.uses.size(); ++i) {
    const FleetUse& u = r.fleet.uses[i];
    line("use", u.name, "hours", "h", r.uses[i].hours, u.source);
    line("use", u.name, "share of " + u.on, "share", r.uses[i].share, "");
    line("use", u.name, "cost", "USD", r.uses[i].usd, "");
  }
  for (const FleetEstimate& e : r.estimates) {
    out += csv_line({"estimate", e.said_by, e.what, "USD", shortest(e.low), shortest(e.low), "",
                     std::isinf(e.high) ? "" : shortest(e.high), e.verdict + "; " + e.source});
  }
  return out;
}

std::string to_html(const FleetResult& r) {
  Page page(r.fleet.title);
  page.lead(fmt::format("From {} to {}", to_string(r.fleet.begins), to_string(r.fleet.ends)));
  page.headline(headline(r) + ".");
  page.heading("What it came to");
  page.figure(drawing_of(spent_chart(r)));
  std::vector<std::vector<std::string>> rows;
  for (const FleetOutcomeRow& row : fleet_outcomes()) {
    const FleetSpread& s = r.of(row.outcome);
    const Show show = shown_as(row.unit);
    if (s.value != 0 || s.p95 != 0)
      rows.push_back({std::string(row.title), show(s.value), show(s.p5), show(s.p50), show(s.p95)});
  }
  page.table({"", "point", "5 %", "median", "95 %"}, rows,
             {Align::left, Align::right, Align::right, Align::right, Align::right});
  page.heading("Bought");
  rows.clear();
  for (std::size_t i = 0; i < r.lots.size(); ++i) {
    const FleetPurchase& p = r.fleet.purchases[i];
    rows.push_back({p.name, p.gpu, to_string(p.bought), ranged_words(r.lots[i].gpus, count_short),
                    ranged_words(r.lots[i].price, usd_short), ranged_words(r.lots[i].capital, usd_short),
                    format_percent(r.lots[i].used_share.value), p.source});
  }
  page.table(
      {"lot", "GPU", "bought", "GPUs", "$ each", "capital", "hours used", "source"}, rows,
      {Align::left, Align::left, Align::left, Align::right, Align::right, Align::right, Align::right, Align::left});
  page.heading("What the hours went to");
  rows.clear();
  for (std::size_t i = 0; i < r.uses.size(); ++i) {
    const FleetUse& u = r.fleet.uses[i];
    rows.push_back({u.name, std::string(name_of(u.kind)), u.on, ranged_words(r.uses[i].hours, count_short),
                    format_percent(r.uses[i].share.value), ranged_words(r.uses[i].usd, usd_short), u.source});
  }
  page.table({"use", "kind", "on", "GPU-hours", "of its lot", "cost", "source"}, rows,
             {Align::left, Align::left, Align::left, Align::right, Align::right, Align::right, Align::left});
  if (!r.estimates.empty()) {
    page.heading("What others have said");
    page.figure(drawing_of(estimates_chart(r)));
    for (const FleetEstimate& e : r.estimates) page.note(fmt::format("{}, {}: {}", e.said_by, e.date, e.source));
  }
  page.heading("Assumed");
  page.list(remarks_of(r));
  return page.str();
}

report::FleetReport to_message(const FleetResult& r) {
  report::FleetReport out;
  out.set_title(r.fleet.title);
  out.set_begins(to_string(r.fleet.begins));
  out.set_ends(to_string(r.fleet.ends));
  out.set_draws(r.fleet.draws);
  for (std::size_t i = 0; i < r.lots.size(); ++i) {
    const FleetPurchase& p = r.fleet.purchases[i];
    const LotResult& lot = r.lots[i];
    report::FleetLot& m = *out.add_lots();
    m.set_name(p.name);
    m.set_gpu(p.gpu);
    m.set_bought(to_string(p.bought));
    set_figure(lot.gpus, "gpus", "GPUs", "", *m.mutable_gpus());
    set_figure(lot.price, "usd_per_gpu", "price", "USD", *m.mutable_usd_per_gpu());
    set_figure(lot.capital, "capital_usd", "capital", "USD", *m.mutable_capital_usd());
    set_figure(lot.tariff, "tariff_usd", "tariff", "USD", *m.mutable_tariff_usd());
    set_figure(lot.passed_on, "passed_to_government_usd", "of the price, to the US government", "USD",
               *m.mutable_passed_to_government_usd());
    set_figure(lot.hours, "gpu_hours", "GPU-hours", "h", *m.mutable_gpu_hours());
    set_figure(lot.used_share, "used_share", "used", "share", *m.mutable_used_share());
    m.set_source(p.source);
    m.set_confirmed(p.confirmed);
  }
  for (std::size_t i = 0; i < r.uses.size(); ++i) {
    const FleetUse& u = r.fleet.uses[i];
    report::FleetUse& m = *out.add_uses();
    m.set_name(u.name);
    m.set_on(u.on);
    m.set_kind(std::string(name_of(u.kind)));
    set_figure(r.uses[i].hours, "gpu_hours", "GPU-hours", "h", *m.mutable_gpu_hours());
    set_figure(r.uses[i].share, "share_of_lot", "of its lot", "share", *m.mutable_share_of_lot());
    set_figure(r.uses[i].usd, "usd", "cost", "USD", *m.mutable_usd());
    m.set_source(u.source);
  }
  for (const FleetOutcomeRow& row : fleet_outcomes())
    set_figure(r.of(row.outcome), std::string(row.id), row.title, row.unit, *out.add_figures());
  for (const FleetEstimate& e : r.estimates) {
    report::FleetEstimate& m = *out.add_estimates();
    m.set_id(e.id);
    m.set_said_by(e.said_by);
    m.set_what(e.what);
    m.set_compared_with(std::string(title_of(e.compared)));
    m.set_low_usd(e.low);
    if (!std::isinf(e.high)) m.set_high_usd(e.high);
    m.set_verdict(e.verdict);
    m.set_date(e.date);
    m.set_source(e.source);
  }
  for (const std::string& text : remarks_of(r)) out.add_assumptions(text);
  return out;
}

}  // namespace flopcast
