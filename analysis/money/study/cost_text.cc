#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/money/study/cost_output.h"
#include "analysis/money/study/spread_inputs.h"
#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

std::string percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

std::string paragraph(const std::string& text, const TextStyle& style) {
  return "  " + wrap(text, style.width() - 2, "  ") + "\n";
}

std::string head(const CostReport& report, const TextStyle& style) {
  std::string out = style.bold(wrap(report.title, style.width(), "")) + "\n";
  std::string line = fmt::format("{} {}", format_integer(report.gpus), report.gpu);
  if (report.date) line += ", prices of " + to_string(*report.date);
  return out + paragraph(line, style);
}

std::string work_table(const PricedWork& work, const TextStyle& style) {
  if (work.phases.empty()) return "";
  TextTable table({Align::left, Align::right, Align::left});
  table.header({"GPU-hours", "", ""});
  for (const PhaseHours& phase : work.phases)
    table.row({phase.name, format_integer(phase.gpu_hours),
               (phase.given ? "given" : "predicted") + (phase.source.empty() ? "" : "; " + phase.source)});
  if (work.phases.size() > 1) table.row({"all", format_integer(work.gpu_hours()), ""});
  return "\n" + table.render(style);
}

/// Parts of every model side by side: rows are the union of their names, in order of appearance.
std::string parts_table(const std::string& title, const CostReport& report, Cost ModelCost::*cost,
                        const TextStyle& style) {
  std::vector<std::string_view> names;
  for (const ModelCost& model : report.models) {
    for (const CostPart& part : (model.*cost).parts) {
      if (part.usd != 0 && std::find(names.begin(), names.end(), part.name) == names.end()) names.push_back(part.name);
    }
  }
  std::vector<Align> columns(1 + report.models.size(), Align::right);
  columns.front() = Align::left;
  TextTable table(columns);
  std::vector<std::string> header{title};
  for (const ModelCost& model : report.models) header.emplace_back(name_of(model.model));
  table.header(header);
  for (const std::string_view name : names) {
    std::vector<std::string> row{std::string(name)};
    for (const ModelCost& model : report.models) {
      std::string cell;
      for (const CostPart& part : (model.*cost).parts) {
        if (part.name == name && part.usd != 0) cell = money_text(part.usd);
      }
      row.push_back(cell);
    }
    table.row(row);
  }
  std::vector<std::string> sum{"together"};
  for (const ModelCost& model : report.models) sum.push_back(money_text((model.*cost).usd()));
  if (names.size() > 1 || report.models.size() > 1) table.row(sum);
  return "\n" + table.render(style);
}

std::string service_table(const CostReport& report, const TextStyle& style) {
  std::vector<Align> columns(1 + report.models.size(), Align::right);
  columns.front() = Align::left;
  TextTable table(columns);
  std::vector<std::string> header{"one day of service"};
  for (const ModelCost& model : report.models) header.emplace_back(name_of(model.model));
  table.header(header);
  const auto row = [&](const std::string& name, auto get) {
    std::vector<std::string> cells{name};
    for (const ModelCost& model : report.models) cells.push_back(get(*model.service));
    table.row(cells);
  };
  row("cost", [](const ServiceCost& s) { return "$" + format_integer(s.usd_per_day); });
  // What nobody asked for has no price.
  const ServiceWork& work = *report.work.service;
  const auto of = [](double tokens, double usd) { return tokens > 0 ? money_text(usd) : std::string("no tokens"); };
  row("per million computed input tokens",
      [&](const ServiceCost& s) { return of(work.input_tokens, s.usd_per_million_input); });
  row("per million cached tokens", [](const ServiceCost& s) { return money_text(s.usd_per_million_cached); });
  row("per million output tokens",
      [&](const ServiceCost& s) { return of(work.output_tokens, s.usd_per_million_output); });
  if (report.market) {
    row("revenue at the market's prices", [](const ServiceCost& s) { return "$" + format_integer(s.revenue_per_day); });
    row("margin, of the cost", [](const ServiceCost& s) { return format_percent(s.margin); });
  }
  std::string out = "\n" + table.render(style);
  if (report.market) {
    const TokenPrices& m = *report.market;
    std::string prices = fmt::format("market: {} per million input tokens, {} cached, {} output", money_text(m.input),
                                     money_text(m.cached.value_or(m.input)), money_text(m.output));
    if (!m.model.empty()) prices += fmt::format("; {} {}, {}", m.vendor, m.model, m.tier);
    out += style.dim(paragraph(prices + "; " + m.source + (m.confirmed ? "" : " (unconfirmed)"), style));
  }
  return out;
}

std::string demand_table(const CostReport& report, const TextStyle& style) {
  if (report.demand_follows_cost.empty()) return "";
  TextTable table({Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.header({"price of tokens", "tokens", "cost falls too:", "$ a day", "cost stays:", "$ a day", "margin"});
  for (std::size_t i = 0; i < report.demand_follows_cost.size(); ++i) {
    const DemandPoint& follows = report.demand_follows_cost[i];
    const DemandPoint& alone = report.demand_price_only[i];
    table.row({fmt::format("x {:g}", follows.price), fmt::format("x {:.2f}", follows.tokens),
               format_integer(follows.gpu_hours) + " GPU-h", format_integer(follows.usd_per_day),
               format_integer(alone.gpu_hours) + " GPU-h", format_integer(alone.usd_per_day),
               format_percent(alone.usd_per_day > 0 ? alone.revenue_per_day / alone.usd_per_day - 1 : 0, 0)});
  }
  return "\n" + table.render(style) +
         style.dim(paragraph(fmt::format("demand: tokens grow by price^-{:g} (price {})",
                                         report.inputs.market_elasticity, name_of(report.models.front().model)),
                             style));
}

std::string spread_text(const ResultSpread& s) {
  if (s.p5 == s.p95) return money_text(s.p50);
  return fmt::format("{}, 90 % of cases {} to {}", money_text(s.p50), money_text(s.p5), money_text(s.p95));
}

std::string result_text(double value, Outcome outcome) {
  return outcome == Outcome::margin ? percent(value) : money_text(value);
}

std::string headline_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::programme_usd:
      return "the programme";
    case Outcome::usd_per_million_output:
      return "a million output tokens";
    case Outcome::margin:
      return "the margin";
    default:
      return "the final run";
  }
}

std::string uncertainty_text(const CostReport& report, const ModelCost& model, const TextStyle& style) {
  const UncertaintyResult& u = model.uncertainty;
  if (u.draws == 0) return "";
  std::string out = "\n" +
                    style.bold(fmt::format("How sure: {}, {} draws, seed {}", name_of(model.model),
                                           format_integer(u.draws), u.seed)) +
                    "\n";
  out += paragraph("GPU-hour: " + spread_text(u.of(Outcome::usd_per_gpu_hour)), style);
  if (!report.work.phases.empty()) out += paragraph("final run: " + spread_text(u.of(Outcome::run_usd)), style);
  if (report.has_programme) out += paragraph("programme: " + spread_text(u.of(Outcome::programme_usd)), style);
  if (report.work.service) {
    out += paragraph("a day: " + spread_text(u.of(Outcome::service_usd_per_day)), style);
    out += paragraph("a million output tokens: " + spread_text(u.of(Outcome::usd_per_million_output)), style);
    const ResultSpread& m = u.of(Outcome::margin);
    if (report.market)
      out += paragraph(fmt::format("margin: {}, 90 % of cases {} to {}", percent(m.p50), percent(m.p5), percent(m.p95)),
                       style);
  }
  if (u.tornado.empty()) return out;
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right, Align::left});
  table.header({"what matters most for " + headline_name(u.headline), "5 %", "95 %", "result", "to", "rank corr."});
  for (const TornadoRow& row : u.tornado) {
    table.row({std::string(row.input->name), input_text(row.low_input, ""), input_text(row.high_input, row.input->unit),
               result_text(row.at_low, u.headline), result_text(row.at_high, u.headline),
               fmt::format("{:+.2f}", row.rank_correlation)});
  }
  return out + table.render(style);
}

/// The other price models' ranges in a line each: their tornados are in the JSON and the page.
std::string ranges_table(const CostReport& report, const TextStyle& style) {
  if (report.models.size() < 2) return "";
  const bool service = report.work.service.has_value();
  const Outcome total = service                ? Outcome::usd_per_million_output
                        : report.has_programme ? Outcome::programme_usd
                                               : Outcome::run_usd;
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.header({"90 % of cases", "GPU-hour", "median", "to",
                service                ? "M output"
                : report.has_programme ? "programme"
                                       : "run",
                "median", "to"});
  for (const ModelCost& model : report.models) {
    if (model.uncertainty.draws == 0) continue;
    const ResultSpread& hour = model.uncertainty.of(Outcome::usd_per_gpu_hour);
    const ResultSpread& sum = model.uncertainty.of(total);
    table.row({std::string(name_of(model.model)), money_text(hour.p5), money_text(hour.p50), money_text(hour.p95),
               money_text(sum.p5), money_text(sum.p50), money_text(sum.p95)});
  }
  return table.empty() ? "" : "\n" + table.render(style);
}

std::string carbon_text(const CostReport& report, const TextStyle& style) {
  if (!report.carbon) return "";
  const CarbonReport& c = *report.carbon;
  const auto kg = [](double value) {
    return value >= 1e4 ? format_integer(value / 1000) + " t" : fmt::format("{:.3g} kg", value);
  };
  std::vector<std::string> said;
  if (c.run_kg) said.push_back(kg(*c.run_kg) + " CO2e for the run");
  if (c.day_kg) said.push_back(kg(*c.day_kg) + " CO2e a day");
  if (c.kg_per_million_output) said.push_back(kg(*c.kg_per_million_output) + " CO2e per million output tokens");
  return "\n" +
         paragraph(fmt::format("Carbon: {}; grid {} of {}, {:.3f} kg CO2e per kWh ({}); {:.3g} kWh per GPU-hour ({})",
                               fmt::join(said, ", "), c.grid, c.year, c.kg_per_kwh, c.source, c.kwh_per_gpu_hour,
                               c.energy_source),
                   style);
}

std::string prices_table(const ModelCost& model, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::left});
  table.header({fmt::format("{}: from", name_of(model.model)), "", ""});
  for (const UsedPrice& price : model.prices)
    table.row({price.what, input_text(price.value, price.unit), price.source});
  return "\n" + table.render(style);
}

}  // namespace

std::string money_text(double usd) {
  const double size = std::abs(usd);
  const auto scaled = [&](double unit, const char* name) { return fmt::format("${:#.4g} {}", usd / unit, name); };
  if (size >= 999.95e9) return scaled(1e12, "T");
  if (size >= 999.95e6) return scaled(1e9, "B");
  if (size >= 999.95e3) return scaled(1e6, "M");
  if (size >= 1000) return "$" + format_integer(usd);
  if (size >= 1 || size == 0) return fmt::format("${:.2f}", usd);
  return fmt::format("${:#.3g}", usd);
}

std::string to_text(const CostReport& report, const TextStyle& style) {
  std::string out = head(report, style) + work_table(report.work, style);
  out += parts_table("a GPU-hour", report, &ModelCost::gpu_hour, style);
  if (!report.work.phases.empty()) out += parts_table("the final run", report, &ModelCost::run, style);
  if (report.has_programme) out += parts_table("the programme", report, &ModelCost::programme, style);
  if (report.work.service) out += service_table(report, style) + demand_table(report, style);
  // The first model's; a price that is sure says nothing of what matters, so it gives way to the next.
  const auto unsure = std::find_if(report.models.begin(), report.models.end(),
                                   [](const ModelCost& model) { return model.uncertainty.draws > 0; });
  if (unsure != report.models.end()) out += uncertainty_text(report, *unsure, style);
  out += ranges_table(report, style);
  for (const ModelCost& model : report.models) out += prices_table(model, style);
  out += carbon_text(report, style);
  if (!report.notes.empty()) out += "\n";
  for (const std::string& note : report.notes) out += paragraph(note, style);
  return out;
}

std::string money_inputs_text(const TextStyle& style) {
  TextTable table({Align::left, Align::left, Align::left});
  table.header({"input", "unit", "what"});
  for (const MoneyInput& input : money_inputs())
    table.row({std::string(input.name), std::string(input.unit), std::string(input.what)});
  return table.render(style);
}

}  // namespace flopcast
