#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/money/study/cost_output.h"
#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

/// What cheaper tokens do to the fleet and to what is spent, all over today's.
LineChart demand_chart(const CostReport& report) {
  LineChart chart;
  ChartLine fleet{"fleet, with a cost per token that falls with the price", {}, false, true, {}};
  ChartLine spent{"customers' spending, and total cost", {}, false, true, {}};
  ChartLine idle{"fleet, with a cost per token as today", {}, false, true, {}};
  const DemandPoint& today = report.demand_follows_cost.front();
  for (const DemandPoint& p : report.demand_curve) {
    fleet.points.push_back({p.price, p.gpu_hours / today.gpu_hours, "", false, "", {}});
    spent.points.push_back({p.price, p.price * p.tokens, "", false, "", {}});
    idle.points.push_back({p.price, p.tokens, "", false, "", {}});
  }
  const double tenth = std::pow(10.0, report.inputs.market_elasticity - 1);
  chart.title = fmt::format("Tokens at a tenth of the price: {:.3g} times the spending", tenth);
  chart.caption = fmt::format("Demand grows by price to the power of -{:g}; everything against today.",
                              report.inputs.market_elasticity);
  chart.x_title = "price of tokens, of today's";
  chart.y_title = "times today's";
  chart.x_text = chart.y_text = [](double value) { return fmt::format("{:.3g} x", value); };
  chart.x_scale = chart.y_scale = AxisScale::logarithmic;
  chart.x_from_zero = chart.y_from_zero = false;
  chart.lines = {fleet, spent, idle};
  return chart;
}

std::string percent_text(double share) { return fmt::format("{:.4g} %", 100 * share); }

/// Of round numbers on an axis: no trailing zeros.
std::string tick_text(double usd) {
  const double size = std::abs(usd);
  if (size >= 1e9) return fmt::format("${:.4g} B", usd / 1e9);
  if (size >= 1e6) return fmt::format("${:.4g} M", usd / 1e6);
  return size >= 1000 ? "$" + format_integer(usd) : fmt::format("${:.4g}", usd);
}

std::optional<std::pair<double, double>> range_of(const UncertaintyResult& u, Outcome outcome) {
  if (u.draws == 0 || u.of(outcome).p5 == u.of(outcome).p95) return std::nullopt;
  return std::pair(u.of(outcome).p5, u.of(outcome).p95);
}

std::string range_text(const UncertaintyResult& u, Outcome outcome) {
  if (u.draws == 0 || u.of(outcome).p5 == u.of(outcome).p95) return "";
  return money_text(u.of(outcome).p5) + " to " + money_text(u.of(outcome).p95);
}

StackedChart parts_chart(const CostReport& report, Cost ModelCost::*cost, Outcome outcome) {
  StackedChart chart;
  chart.rows_are = "price model";
  chart.text = money_text;
  chart.tick = tick_text;
  for (const ModelCost& model : report.models) {
    for (const CostPart& part : (model.*cost).parts) {
      const std::string name(part.name);
      if (part.usd > 0 && std::find(chart.parts.begin(), chart.parts.end(), name) == chart.parts.end())
        chart.parts.push_back(name);
    }
  }
  for (const ModelCost& model : report.models) {
    StackedBar bar{std::string(name_of(model.model)), std::vector<double>(chart.parts.size()),
                   range_text(model.uncertainty, outcome), range_of(model.uncertainty, outcome)};
    for (const CostPart& part : (model.*cost).parts) {
      const auto at = std::find(chart.parts.begin(), chart.parts.end(), part.name);
      if (at != chart.parts.end() && part.usd > 0)
        bar.parts[static_cast<std::size_t>(at - chart.parts.begin())] += part.usd;
    }
    chart.bars.push_back(std::move(bar));
  }
  return chart;
}

/// What the price models say, from the least to the most.
std::string spread_text(const CostReport& report, Cost ModelCost::*cost) {
  double least = (report.models.front().*cost).usd(), most = least;
  for (const ModelCost& model : report.models) {
    least = std::min(least, (model.*cost).usd());
    most = std::max(most, (model.*cost).usd());
  }
  if (least == most) return money_text(least);
  return fmt::format("{} to {}, by who pays for what", money_text(least), money_text(most));
}

WaterfallChart programme_chart(const Cost& programme) {
  WaterfallChart chart;
  chart.text = money_text;
  chart.tick = tick_text;
  for (const CostPart& part : programme.parts) {
    if (part.usd != 0) chart.steps.push_back({std::string(part.name), part.usd, chart.steps.empty()});
  }
  chart.steps.push_back({"the programme", programme.usd(), true});
  return chart;
}

std::string input_text(double value, std::string_view unit) {
  const std::string number = std::abs(value) >= 1000 ? format_integer(value) : fmt::format("{:.3g}", value);
  if (unit == "USD") return "$" + number;
  return unit.empty() || unit == "share" ? number : number + " " + std::string(unit);
}

TornadoChart tornado_chart(const UncertaintyResult& u) {
  TornadoChart chart;
  chart.centre = u.at_medians;
  chart.tick = u.headline == Outcome::margin ? percent_text : tick_text;
  for (const TornadoRow& row : u.tornado) {
    chart.bars.push_back({std::string(row.input->what), input_text(row.low_input, row.input->unit),
                          input_text(row.high_input, row.input->unit), row.at_low, row.at_high});
  }
  return chart;
}

std::string headline_phrase(Outcome outcome) {
  switch (outcome) {
    case Outcome::programme_usd:
      return "the programme's cost";
    case Outcome::usd_per_million_output:
      return "the cost of a million output tokens";
    case Outcome::margin:
      return "the margin";
    default:
      return "the cost of the final run";
  }
}

void add_work(const CostReport& report, Page& page) {
  if (report.work.phases.empty()) return;
  page.heading("GPU-hours");
  std::vector<std::vector<std::string>> rows;
  for (const PhaseHours& phase : report.work.phases)
    rows.push_back({phase.name, format_integer(phase.gpu_hours), phase.given ? "given" : "predicted", phase.source});
  if (rows.size() > 1) rows.push_back({"all", format_integer(report.work.gpu_hours()), "", ""});
  page.table({"", "GPU-hours", "", "source"}, rows, {Align::left, Align::right, Align::left, Align::left});
}

void add_service(const CostReport& report, Page& page) {
  if (!report.work.service) return;
  page.heading("One day of service");
  std::vector<std::vector<std::string>> rows;
  for (const ModelCost& model : report.models) {
    const ServiceCost& s = *model.service;
    rows.push_back({std::string(name_of(model.model)), "$" + format_integer(s.usd_per_day),
                    money_text(s.usd_per_million_input), money_text(s.usd_per_million_cached),
                    money_text(s.usd_per_million_output), report.market ? "$" + format_integer(s.revenue_per_day) : "",
                    report.market ? format_percent(s.margin) : ""});
  }
  page.table({"price model", "cost", "M input", "M cached", "M output", "revenue", "margin"}, rows,
             {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right});
  if (report.market)
    page.note(fmt::format("Market: {} {}; {}", report.market->vendor, report.market->model, report.market->source));
  if (report.demand_follows_cost.empty()) return;
  rows.clear();
  for (std::size_t i = 0; i < report.demand_follows_cost.size(); ++i) {
    const DemandPoint& follows = report.demand_follows_cost[i];
    const DemandPoint& alone = report.demand_price_only[i];
    rows.push_back({fmt::format("x {:g}", follows.price), fmt::format("x {:.2f}", follows.tokens),
                    "$" + format_integer(follows.usd_per_day), "$" + format_integer(alone.usd_per_day),
                    "$" + format_integer(alone.revenue_per_day)});
  }
  page.paragraph(
      fmt::format("When tokens get cheaper, demand grows by price to the power of -{:g}: cost per token and total "
                  "cost move apart.",
                  report.inputs.market_elasticity));
  page.figure(drawing_of(demand_chart(report)));
  page.table({"price of tokens", "tokens sold", "a day, cost falls with the price", "a day, cost as today", "revenue"},
             rows, {Align::right, Align::right, Align::right, Align::right, Align::right});
}

void add_uncertainty(const ModelCost& model, Page& page) {
  const UncertaintyResult& u = model.uncertainty;
  if (u.tornado.empty()) return;
  page.heading(fmt::format("What matters most: {}", name_of(model.model)));
  TornadoChart tornado = tornado_chart(u);
  tornado.title = fmt::format("{} moves {} the most", u.tornado.front().input->what, headline_phrase(u.headline));
  tornado.caption =
      fmt::format("What {} becomes with one input at its 5 % and 95 % quantiles and all others at their medians.",
                  headline_phrase(u.headline));
  page.figure(drawing_of(tornado));
  page.note(fmt::format("{} draws, seed {}.", format_integer(u.draws), u.seed));
  std::vector<std::vector<std::string>> rows;
  for (const TornadoRow& row : u.tornado) {
    rows.push_back({std::string(row.input->name), input_text(row.low_input, row.input->unit),
                    input_text(row.high_input, row.input->unit), fmt::format("{:+.2f}", row.rank_correlation),
                    row.source});
  }
  page.table({"input", "5 %", "95 %", "rank correlation", "spread from"}, rows,
             {Align::left, Align::right, Align::right, Align::right, Align::left});
}

}  // namespace

std::string to_html(const CostReport& report) {
  Page page("What it costs: " + report.title);
  page.lead(fmt::format("{} {}{}", format_integer(report.gpus), report.gpu,
                        report.date ? ", prices of " + to_string(*report.date) : ""));
  page.heading("A GPU-hour");
  StackedChart hour = parts_chart(report, &ModelCost::gpu_hour, Outcome::usd_per_gpu_hour);
  hour.title = fmt::format("A GPU-hour costs {}", spread_text(report, &ModelCost::gpu_hour));
  hour.caption = "By what it is made of; whiskers and brackets: the range of 90 % of the cases.";
  page.figure(drawing_of(hour));
  if (!report.work.phases.empty()) {
    page.heading("The final run");
    StackedChart run = parts_chart(report, &ModelCost::run, Outcome::run_usd);
    run.title = fmt::format("The final run costs {}", spread_text(report, &ModelCost::run));
    run.caption = "All its GPU-hours; whiskers and brackets: the range of 90 % of the cases.";
    page.figure(drawing_of(run));
  }
  if (report.has_programme) {
    const ModelCost& model = report.models.front();
    page.heading("The programme");
    WaterfallChart programme = programme_chart(model.programme);
    programme.title = fmt::format("The programme costs {}", money_text(model.programme.usd()));
    programme.caption =
        fmt::format("From the final run to all that it took, at the price model `{}`.", name_of(model.model));
    page.figure(drawing_of(programme));
    if (model.uncertainty.draws > 0) {
      page.paragraph(fmt::format("90 % of the cases lie between {}.",
                                 money_text(model.uncertainty.of(Outcome::programme_usd).p5) + " and " +
                                     money_text(model.uncertainty.of(Outcome::programme_usd).p95)));
    }
  }
  add_service(report, page);
  for (const ModelCost& model : report.models) add_uncertainty(model, page);
  add_work(report, page);
  page.heading("Prices used");
  for (const ModelCost& model : report.models) {
    std::vector<std::vector<std::string>> rows;
    for (const UsedPrice& price : model.prices)
      rows.push_back(
          {price.what,
           fmt::format("{} {}",
                       std::abs(price.value) >= 1000 ? format_integer(price.value) : fmt::format("{:.4g}", price.value),
                       price.unit),
           price.source});
    page.table({std::string(name_of(model.model)), "", "source"}, rows, {Align::left, Align::right, Align::left});
  }
  for (const std::string& note : report.notes) page.note(note);
  return page.str();
}

}  // namespace flopcast
