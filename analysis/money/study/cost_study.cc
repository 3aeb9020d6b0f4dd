#include "analysis/money/study/cost_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/money/study/day_prices.h"
#include "analysis/money/study/spread_inputs.h"
#include "analysis/render/text/csv.h"
#include "scenarios/proto/money.pb.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/fault_text.h"

namespace flopcast {
namespace {

double sum_of(const std::vector<Spending>& items, double (*get)(const Spending&)) {
  double sum = 0;
  for (const Spending& item : items) sum += get(item);
  return sum;
}
double hours_of(const Spending& item) { return item.gpu_hours; }
double usd_of(const Spending& item) { return item.cost.value(); }

void set_programme(const ProgrammeConfig& p, MoneyInputs& in) {
  in.programme_experiments = p.experiments;
  in.programme_failed_runs = p.failed_runs;
  in.programme_idle = p.idle;
  in.programme_predecessor_gpu_hours = sum_of(p.predecessors, hours_of);
  in.programme_predecessor_usd = sum_of(p.predecessors, usd_of);
  in.programme_data_gpu_hours = sum_of(p.data, hours_of);
  in.programme_data_usd = sum_of(p.data, usd_of);
  in.programme_other_gpu_hours = sum_of(p.other, hours_of);
  in.programme_other_usd = sum_of(p.other, usd_of);
  in.programme_people = p.staff.people;
  in.programme_usd_per_person_year = p.staff.usd_per_year;
  in.programme_years = p.staff.years;
}

void set_service(const ServiceWork& s, MoneyInputs& in) {
  in.service_gpu_hours = s.gpu_hours_per_day;
  in.service_prefill_share = s.prefill_share;
  in.service_cached_work = s.cached_work;
  in.service_input_tokens = s.input_tokens;
  in.service_cached_tokens = s.cached_tokens;
  in.service_output_tokens = s.output_tokens;
}

TokenPrices prices_of(const MarketConfig& market, const PriceBook& book, const std::optional<Date>& date) {
  TokenPrices out;
  if (!market.model.empty()) out = book.tokens(market.vendor, market.model, required_date(date, "a token price"));
  if (market.input) out.input = *market.input;
  if (market.cached) out.cached = market.cached;
  if (market.output) out.output = *market.output;
  if (out.source.empty()) out.source = market.source.empty() ? "the scenario" : market.source;
  return out;
}

std::string outcome_number(double value, Outcome outcome) {
  if (outcome == Outcome::margin) return fmt::format("{:.0f} %", 100 * value);
  return std::abs(value) >= 1e6 ? fmt::format("${:.4g} M", value / 1e6) : fmt::format("${:.4g}", value);
}

/// Where the point and the median of the draws are not the same: which inputs are not spread about their points.
std::string median_against_point(const ModelCost& cost, const UncertaintyModel& model, const MoneyInputs& base) {
  constexpr double kSame = 0.02;
  const UncertaintyResult& u = cost.uncertainty;
  if (u.draws == 0 || u.point == 0) return "";
  const double median = u.of(u.headline).p50;
  if (std::abs(median / u.point - 1) <= kSame) return "";
  std::vector<std::string> why;
  for (const TornadoRow& row : u.tornado) {
    const auto input = std::find_if(model.inputs.begin(), model.inputs.end(),
                                    [&](const UncertainInput& i) { return i.input == row.input; });
    const double point = base.*row.input->value, middle = input->at(0.5, base);
    if (std::abs(middle - point) > kSame * std::abs(point))
      why.push_back(
          fmt::format("{} {} against {}", row.input->name, input_text(middle, ""), input_text(point, row.input->unit)));
  }
  return fmt::format("{}: {} as the median of the draws, {} with every input at its point; {}", name_of(cost.model),
                     outcome_number(median, u.headline), outcome_number(u.point, u.headline),
                     why.empty() ? std::string("the inputs' spreads are about their points, and their product is not")
                                 : fmt::format("medians of inputs against their points: {}", fmt::join(why, ", ")));
}

/// Spreads that the scenario states and that change nothing here.
std::vector<std::string> spreads_without_effect(const ModelCost& cost, const UncertaintyConfig& stated) {
  std::vector<std::string> out;
  if (cost.uncertainty.draws == 0) return out;
  for (const UncertainConfig& u : stated.uncertain) {
    const bool felt = std::any_of(cost.uncertainty.tornado.begin(), cost.uncertainty.tornado.end(),
                                  [&](const TornadoRow& row) { return row.input->name == u.input; });
    if (!felt)
      out.push_back(fmt::format("{}: the spread of {} changes nothing in {}", name_of(cost.model), u.input,
                                name_of(cost.uncertainty.headline)));
  }
  return out;
}

/// Energy as replayed, or a rated GPU at the share of its power that it draws on average; at the PUE that the scenario
/// states, or the one at which electricity is priced.
CarbonReport carbon_of(const CostReport& report, const Scenario& scenario, const GridCarbon& grid,
                       const PriceBook& book, const PowerModel& power) {
  CarbonReport out;
  out.grid = grid.grid;
  out.year = grid.year;
  out.kg_per_kwh = grid.kg_per_kwh;
  out.source = grid.source;
  const double pue = scenario.price.pue_stated ? scenario.price.pue : book.pue().usd;
  if (report.work.kwh_per_gpu_hour) {
    // Replayed at the scenario's own, which is 1 where none is stated.
    out.kwh_per_gpu_hour = *report.work.kwh_per_gpu_hour * pue / scenario.price.pue;
    out.energy_source = fmt::format("replayed, PUE {:.3g}", pue);
  } else {
    const NodeSpec& node = scenario.cluster.node;
    const double rated_kw = (node.gpu.tdp + node.overhead_power / node.gpus).value() / 1000;
    out.kwh_per_gpu_hour = rated_kw * power.busy_fraction * pue;
    out.energy_source = fmt::format("{:.3g} kW rated, {:.0f} % of it drawn on average, PUE {:.3g}", rated_kw,
                                    100 * power.busy_fraction, pue);
  }
  const double kg_per_hour = out.kwh_per_gpu_hour * out.kg_per_kwh;
  if (!report.work.phases.empty()) out.run_kg = report.work.gpu_hours() * kg_per_hour;
  if (report.work.service) {
    const ServiceWork& s = *report.work.service;
    out.day_kg = s.gpu_hours_per_day * kg_per_hour;
    if (s.output_tokens > 0) out.kg_per_million_output = *out.day_kg * (1 - s.prefill_share) / s.output_tokens * 1e6;
  }
  return out;
}

/// A loop that trains on one kind of GPU and writes on another.
std::string loop_prices_note(const Scenario& scenario) {
  const RlScenario& rl = *scenario.rl;
  const std::string kinds =
      fmt::format("{} x {} and {} x {}", rl.gpus() - rl.gpus_elsewhere(), scenario.cluster.node.gpu.name,
                  rl.gpus_elsewhere(), rl.rollout_cluster->node.gpu.name);
  return scenario.price.model == PriceModel::stated
             ? kinds + ": the stated price (price.gpu) is taken of both"
             : kinds + ": a GPU-hour is that of the mean GPU, each at the price of its kind";
}

Outcome headline_of(const CostReport& report) {
  if (report.work.service) return report.market ? Outcome::margin : Outcome::usd_per_million_output;
  return report.has_programme ? Outcome::programme_usd : Outcome::run_usd;
}

/// Prices of the day under every model asked for.
std::vector<PriceModel> models_of(const Scenario& scenario, const CostQuestion& question) {
  return question.models.empty() ? std::vector<PriceModel>{scenario.price.model} : question.models;
}

/// Factors on the price of tokens: from today's to a tenth of it.
constexpr double kDemandPrices[] = {1, 0.5, 0.2, 0.1};

void add_demand(CostReport& report) {
  if (!report.market || !report.models.front().service) return;
  const ServiceCost& today = *report.models.front().service;
  for (const double price : kDemandPrices) {
    report.demand_follows_cost.push_back(demand(today, report.inputs, price, price));
    report.demand_price_only.push_back(demand(today, report.inputs, price, 1));
  }
  // Ten steps a power of ten, from twice today's price to a twentieth.
  for (int step = -3; step <= 13; ++step) {
    const double price = std::pow(10.0, -step / 10.0);
    report.demand_curve.push_back(demand(today, report.inputs, price, price));
  }
}

}  // namespace

double PricedWork::gpu_hours() const {
  double sum = 0;
  for (const PhaseHours& phase : phases) sum += phase.gpu_hours;
  return sum;
}

PricedWork work_of(const Projection& projection) {
  PricedWork out;
  for (const PhaseProjection& phase : projection.phases)
    out.phases.push_back({phase.name, phase.gpu_hours, phase.given, phase.source});
  if (projection.predicted_gpu_hours > 0 && projection.energy > Joules(0) && projection.gpu_hours > 0)
    out.kwh_per_gpu_hour = projection.energy.value() / 3.6e6 / projection.gpu_hours;
  const Seconds expected = projection.life ? projection.life->closed.elapsed() : Seconds(0);
  // The range of a run, which has its failures in it; without errors of its step that of the failures alone.
  double low = 1, high = 1;
  if (projection.spread) {
    low = projection.spread->p5;
    high = projection.spread->p95;
  } else if (expected > Seconds(0) && projection.life->replayed) {
    const Spread& hours = projection.life->replayed->elapsed_hours;
    low = hours.low / in_hours(expected);
    high = hours.high / in_hours(expected);
  }
  if (low < high) {
    const double given = projection.gpu_hours - projection.predicted_gpu_hours;
    out.range =
        HoursRange{given + projection.predicted_gpu_hours * low, given + projection.predicted_gpu_hours * high, {}};
    for (const double factor : projection.quantiles)
      out.range->quantiles.push_back(given + projection.predicted_gpu_hours * factor);
  }
  return out;
}

std::optional<PricedWork> given_work(const Scenario& scenario) {
  PricedWork out;
  if (scenario.given_service) {
    const GivenServiceConfig& s = *scenario.given_service;
    out.service = ServiceWork{s.nodes * scenario.cluster.node.gpus * 24,
                              s.prefill_share,
                              s.cached_work,
                              s.input_tokens,
                              s.cached_tokens,
                              s.output_tokens,
                              s.source};
    return out;
  }
  if (scenario.training || scenario.phases.empty()) return std::nullopt;
  for (const TrainingPhase& phase : scenario.phases)
    out.phases.push_back({phase.name, phase.given_gpu_hours.value_or(0), true, phase.source});
  return out;
}

std::vector<UsualSpread> load_usual_spreads(const Libraries& libraries) {
  const std::string file = required_file(libraries, "analysis/data/money/uncertainty.csv");
  const CsvTable table = parse_csv(read_text_file(file), file);
  std::vector<UsualSpread> out;
  for (std::size_t i = 0; i < table.size(); ++i) {
    out.push_back({table.text(i, "input"), table.text(i, "kind"), table.text(i, "source"),
                   table.text(i, "relative") == "yes", table.number(i, "p5"), table.number(i, "p95")});
  }
  return out;
}

CostReport cost_study(const Scenario& scenario, const PricedWork& work, const PriceBook& book, const PowerModel& power,
                      std::span<const UsualSpread> usual, const CostQuestion& question) {
  CostReport report;
  report.scenario = scenario.name;
  report.title = scenario.title;
  report.gpu = scenario.cluster.node.gpu.name;
  report.gpus = work.service && scenario.serving ? static_cast<int>(std::lround(work.service->gpu_hours_per_day / 24))
                : scenario.rl                    ? scenario.rl->gpus()
                                                 : scenario.cluster.gpus();
  if (scenario.rl && scenario.rl->rollout_cluster) {
    const std::string& writes = scenario.rl->rollout_cluster->node.gpu.name;
    if (writes != report.gpu) {
      report.gpu = fmt::format("{} and {}", report.gpu, writes);
      report.notes.push_back(loop_prices_note(scenario));
    }
  }
  report.date = question.date ? question.date : scenario.date;
  report.work = work;
  report.has_programme = scenario.programme && !work.phases.empty();
  MoneyInputs& in = report.inputs;
  in.run_gpu_hours = work.gpu_hours();
  if (report.has_programme) set_programme(*scenario.programme, in);
  if (work.service) set_service(*work.service, in);
  report.notes.insert(report.notes.end(), work.notes.begin(), work.notes.end());
  if (work.service) report.market = market_prices(scenario, book, report.date);
  if (report.market) {
    in.market_input = report.market->input;
    in.market_cached = report.market->cached.value_or(report.market->input);
    in.market_output = report.market->output;
    in.market_elasticity = scenario.market ? scenario.market->elasticity : proto::Market().elasticity();
  }

  const PricesAsked asked{book, power, report.date, question.rent_quantile,
                          question.engine_power ? &*question.engine_power : nullptr};
  std::optional<RentQuote> rent;
  const std::vector<PriceModel> models = models_of(scenario, question);
  std::optional<InputError> refused;
  for (const PriceModel model : models) {
    ModelCost cost;
    cost.model = model;
    try {
      cost.prices = look_up_prices(model, scenario, asked, in, &rent);
    } catch (const InputError& error) {
      if (models.size() == 1) throw;
      report.notes.push_back(fmt::format("{}: left out; {}", name_of(model), first_of(error)));
      refused = error;
      continue;
    }
    report.models.push_back(std::move(cost));
  }
  if (report.models.empty()) throw *refused;
  for (ModelCost& cost : report.models) {
    cost.gpu_hour = gpu_hour(cost.model, in);
    cost.run = final_run(cost.gpu_hour, in);
    if (report.has_programme) cost.programme = programme(cost.gpu_hour, in);
    if (work.service) cost.service = service_cost(cost.gpu_hour, in);
    const int draws = question.draws.value_or(scenario.uncertainty.draws);
    const SpreadInputs spread = spread_inputs(scenario, in, cost.model, work.range, usual, rent, draws);
    cost.uncertainty = propagate(cost.model, in, spread.model, headline_of(report), question.workers);
    std::vector<std::string> said = draws > 0 ? spread.notes : std::vector<std::string>();
    for (std::string& text : spreads_without_effect(cost, scenario.uncertainty)) said.push_back(std::move(text));
    if (std::string text = median_against_point(cost, spread.model, in); !text.empty()) said.push_back(std::move(text));
    for (std::string& text : said) {
      if (std::find(report.notes.begin(), report.notes.end(), text) == report.notes.end())
        report.notes.push_back(std::move(text));
    }
  }
  add_demand(report);
  if (question.grid) report.carbon = carbon_of(report, scenario, *question.grid, book, power);
  return report;
}

GridCarbon grid_carbon(const Libraries& libraries, const std::string& grid, std::optional<int> year) {
  const std::string file = required_file(libraries, "analysis/data/money/grid_carbon.csv");
  const CsvTable table = parse_csv(read_text_file(file), file);
  std::vector<std::string> known;
  std::optional<GridCarbon> found;
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (known.empty() || known.back() != table.text(i, "grid")) known.push_back(table.text(i, "grid"));
    if (table.text(i, "grid") != grid) continue;
    const GridCarbon row{grid, table.text(i, "source"), static_cast<int>(table.number(i, "year")),
                         table.number(i, "kg_per_kwh")};
    const int wanted = year.value_or(row.year);
    if (!found || std::abs(row.year - wanted) < std::abs(found->year - wanted) || (!year && row.year > found->year))
      found = row;
  }
  if (!found)
    throw InputError(Diagnostic{"", 0, 0, "--grid", quoted(grid), fmt::format("one of {}", fmt::join(known, ", ")),
                                nearest_name(grid, known)});
  return *found;
}

std::optional<TokenPrices> market_prices(const Scenario& scenario, const PriceBook& book,
                                         const std::optional<Date>& date) {
  if (scenario.market) return prices_of(*scenario.market, book, date);
  if (!scenario.serving) return std::nullopt;
  const TokenPriceTable& own = scenario.serving->token_prices;
  if (own.input <= Usd(0) && own.output <= Usd(0)) return std::nullopt;
  TokenPrices out;
  out.input = own.input.value();
  out.cached = own.cached.value();
  out.output = own.output.value();
  out.source = own.source.empty() ? "the scenario" : own.source;
  return out;
}

UsdPerSecond price_of_gpu(const Scenario& scenario, const PriceBook& book, const PowerModel& power,
                          const std::optional<PowerModel>& engine_power) {
  MoneyInputs in;
  look_up_prices(scenario.price.model, scenario,
                 {book, power, scenario.date, 0.5, engine_power ? &*engine_power : nullptr}, in);
  return usd_per_hour(gpu_hour(scenario.price.model, in).usd());
}

}  // namespace flopcast
