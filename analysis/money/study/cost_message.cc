#include <fmt/format.h>

#include "analysis/money/study/cost_metrics.h"
#include "analysis/money/study/cost_output.h"
#include "analysis/render/text/csv.h"
#include "analysis/render/text/json.h"
#include "analysis/runs/parts/message_parts.h"
#include "scenarios/proto/cost_report.pb.h"

namespace flopcast {
namespace {

template <class Parts>
void set_parts(const Cost& cost, Parts add) {
  for (const CostPart& part : cost.parts) {
    report::CostPart& out = *add();
    out.set_name(std::string(part.name));
    out.set_usd(part.usd);
  }
}

/// Results that this report has anything to say about.
bool concerns(const CostReport& report, Outcome outcome) {
  switch (outcome) {
    case Outcome::usd_per_gpu_hour:
      return true;
    case Outcome::run_usd:
      return !report.work.phases.empty();
    case Outcome::programme_usd:
      return report.has_programme;
    case Outcome::margin:
      return report.market.has_value();
    default:
      return report.work.service.has_value();
  }
}

void set_uncertainty(const CostReport& report, const UncertaintyResult& u, report::CostUncertainty& out) {
  out.set_draws(u.draws);
  out.set_seed(u.seed);
  for (int o = 0; o < kOutcomes; ++o) {
    if (!concerns(report, static_cast<Outcome>(o))) continue;
    report::CostSpread& spread = *out.add_results();
    spread.set_result(std::string(name_of(static_cast<Outcome>(o))));
    spread.set_p5(u.spreads[o].p5);
    spread.set_median(u.spreads[o].p50);
    spread.set_p95(u.spreads[o].p95);
    spread.set_mean(u.spreads[o].mean);
  }
  out.set_headline(std::string(name_of(u.headline)));
  out.set_at_medians(u.at_medians);
  for (const TornadoRow& row : u.tornado) {
    report::TornadoRow& bar = *out.add_tornado();
    bar.set_input(std::string(row.input->name));
    bar.set_unit(std::string(row.input->unit));
    bar.set_low_input(row.low_input);
    bar.set_high_input(row.high_input);
    bar.set_at_low(row.at_low);
    bar.set_at_high(row.at_high);
    bar.set_rank_correlation(row.rank_correlation);
    bar.set_source(row.source);
  }
}

void set_model(const CostReport& report, const ModelCost& model, report::ModelCost& out) {
  out.set_model(std::string(name_of(model.model)));
  set_parts(model.gpu_hour, [&] { return out.add_gpu_hour_parts(); });
  if (!report.work.phases.empty()) set_parts(model.run, [&] { return out.add_final_run_parts(); });
  if (report.has_programme) set_parts(model.programme, [&] { return out.add_programme_parts(); });
  for (const UsedPrice& price : model.prices) {
    report::UsedPrice& used = *out.add_prices();
    used.set_what(price.what);
    used.set_value(price.value);
    used.set_unit(price.unit);
    used.set_source(price.source);
  }
  if (model.uncertainty.draws > 0) set_uncertainty(report, model.uncertainty, *out.mutable_uncertainty());
}

void set_demand(const DemandPoint& point, report::Demand& out) {
  out.set_price_factor(point.price);
  out.set_unit_cost_factor(point.unit_cost);
  out.set_tokens_factor(point.tokens);
  out.set_gpu_hours_per_day(point.gpu_hours);
  out.set_usd_per_day(point.usd_per_day);
  out.set_revenue_usd_per_day(point.revenue_per_day);
}

/// Rows of one price model.
class CsvRows {
 public:
  CsvRows(const CostReport& report, const ModelCost& model) : report_(report), model_(model) {}

  std::string rows() {
    parts("gpu_hour", model_.gpu_hour, Outcome::usd_per_gpu_hour);
    if (!report_.work.phases.empty()) parts("final_run", model_.run, Outcome::run_usd);
    if (report_.has_programme) parts("programme", model_.programme, Outcome::programme_usd);
    if (model_.service) service(*model_.service);
    for (const TornadoRow& row : model_.uncertainty.tornado) {
      line("tornado", std::string(row.input->name), shortest(row.at_high - row.at_low), shortest(row.at_low), "",
           shortest(row.at_high));
    }
    return out_;
  }

 private:
  void line(const std::string& what, const std::string& part, const std::string& value, const std::string& p5,
            const std::string& p50, const std::string& p95) {
    out_ += csv_line({report_.scenario, std::string(name_of(model_.model)), what, part, value, p5, p50, p95});
  }

  void sum(const std::string& what, double value, Outcome outcome) {
    const UncertaintyResult& u = model_.uncertainty;
    if (u.draws == 0) return line(what, "", shortest(value), "", "", "");
    const ResultSpread& s = u.of(outcome);
    line(what, "", shortest(value), shortest(s.p5), shortest(s.p50), shortest(s.p95));
  }

  void parts(const std::string& what, const Cost& cost, Outcome outcome) {
    sum(what, cost.usd(), outcome);
    for (const CostPart& part : cost.parts) line(what, std::string(part.name), shortest(part.usd), "", "", "");
  }

  void service(const ServiceCost& s) {
    sum("usd_per_day", s.usd_per_day, Outcome::service_usd_per_day);
    sum("usd_per_million_input_tokens", s.usd_per_million_input, Outcome::usd_per_million_input);
    sum("usd_per_million_cached_tokens", s.usd_per_million_cached, Outcome::usd_per_million_cached);
    sum("usd_per_million_output_tokens", s.usd_per_million_output, Outcome::usd_per_million_output);
    if (!report_.market) return;
    line("revenue_usd_per_day", "", shortest(s.revenue_per_day), "", "", "");
    sum("margin", s.margin, Outcome::margin);
  }

  const CostReport& report_;
  const ModelCost& model_;
  std::string out_;
};

}  // namespace

report::CostReport to_message(const CostReport& report) {
  report::CostReport out;
  fill(metrics(report), out);
  for (std::size_t i = 0; i < report.work.phases.size(); ++i) {
    report::CostPhase& phase = *out.mutable_phases(static_cast<int>(i));
    phase.set_name(report.work.phases[i].name);
    phase.set_source(report.work.phases[i].source);
  }
  for (std::size_t i = 0; i < report.models.size(); ++i)
    set_model(report, report.models[i], *out.mutable_models(static_cast<int>(i)));
  for (const DemandPoint& point : report.demand_follows_cost) set_demand(point, *out.add_demand_follows_cost());
  for (const DemandPoint& point : report.demand_price_only) set_demand(point, *out.add_demand_price_only());
  for (const std::string& note : report.notes) out.add_notes(note);
  if (report.carbon) {
    const CarbonReport& c = *report.carbon;
    report::Carbon& carbon = *out.add_carbon();
    carbon.set_grid(c.grid);
    carbon.set_year(c.year);
    carbon.set_kg_co2e_per_kwh(c.kg_per_kwh);
    carbon.set_kwh_per_gpu_hour(c.kwh_per_gpu_hour);
    carbon.set_energy_source(c.energy_source);
    carbon.set_run_kg(c.run_kg.value_or(0));
    carbon.set_kg_per_day(c.day_kg.value_or(0));
    carbon.set_kg_per_million_output_tokens(c.kg_per_million_output.value_or(0));
    carbon.set_source(c.source);
  }
  return out;
}

std::string to_csv(const CostReport& report) {
  std::string out = csv_line({"scenario", "price_model", "what", "part", "value", "p5", "p50", "p95"});
  for (const ModelCost& model : report.models) out += CsvRows(report, model).rows();
  const std::string model(name_of(report.models.front().model));
  const auto demand_rows = [&](const char* what, const std::vector<DemandPoint>& points) {
    for (const DemandPoint& point : points) {
      out += csv_line(
          {report.scenario, model, what, "price x " + shortest(point.price), shortest(point.usd_per_day), "", "", ""});
    }
  };
  demand_rows("demand_follows_cost_usd_per_day", report.demand_follows_cost);
  demand_rows("demand_price_only_usd_per_day", report.demand_price_only);
  if (report.carbon) {
    const auto carbon = [&](const char* what, const std::optional<double>& kg) {
      if (kg) out += csv_line({report.scenario, "", what, report.carbon->grid, shortest(*kg), "", "", ""});
    };
    carbon("carbon_run_kg_co2e", report.carbon->run_kg);
    carbon("carbon_kg_co2e_per_day", report.carbon->day_kg);
    carbon("carbon_kg_co2e_per_million_output_tokens", report.carbon->kg_per_million_output);
  }
  return out;
}

}  // namespace flopcast
