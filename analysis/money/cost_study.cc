#include "analysis/money/cost_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/money/distribution.h"
#include "analysis/render/csv.h"
#include "scenarios/proto/money.pb.h"
#include "scenarios/read/data_file.h"
#include "scenarios/read/text_file.h"
#include "scenarios/resolve/serving_scenario.h"

namespace flopcast {
namespace {

/// Hardware can be bought in numbers so long after launch (Cottier et al. 2024).
constexpr long kDaysToMarket = 90;

std::string dated(const PriceQuote& quote) {
  return fmt::format("{}, {}{}", quote.source, to_string(quote.date), quote.confirmed ? "" : " (unconfirmed)");
}

/// Looks the prices of one day up and lays them over what the scenario states.
class Pricer {
 public:
  Pricer(const Scenario& scenario, const PriceBook& book, const PowerModel& power, std::optional<Date> date,
         double rent_quantile = 0.5)
      : scenario_(scenario),
        price_(scenario.price),
        book_(book),
        power_(power),
        date_(date),
        rent_quantile_(rent_quantile) {}

  /// Fills in the inputs of the model. @throws InputError
  std::vector<UsedPrice> look_up(PriceModel model, MoneyInputs& in) {
    used_.clear();
    switch (model) {
      case PriceModel::stated:
        stated(in);
        break;
      case PriceModel::rental:
        rental(in);
        break;
      case PriceModel::owned:
        owned(in);
        break;
      case PriceModel::amortised:
        amortised(in);
        break;
    }
    return std::move(used_);
  }

  const std::optional<RentQuote>& rent() const { return rent_; }

 private:
  const GpuSpec& gpu() const { return scenario_.cluster.node.gpu; }
  Date day() const { return required_date(date_, "this price"); }

  void use(std::string what, double value, std::string unit, std::string source) {
    used_.push_back({std::move(what), value, std::move(unit), std::move(source)});
  }

  void stated(MoneyInputs& in) {
    if (!price_.stated) {
      throw InputError(Diagnostic{scenario_.file, 0, 0, "price.gpu", "nothing",
                                  "the price of a GPU-hour such as \"2 USD/h\"", "",
                                  "--price-model rental, owned or amortised"});
    }
    in.stated_usd_per_hour = price_.gpu.value() * 3600;
    use("GPU-hour", in.stated_usd_per_hour, "USD", price_.source.empty() ? "the scenario" : price_.source);
  }

  void rental(MoneyInputs& in) {
    const RentQuote quote = book_.rent(gpu().name, price_.rental, day(), rent_quantile_);
    in.rental_usd_per_hour = quote.usd_per_hour;
    const std::string where =
        quote.observed.size() == 1 ? "the only offer: "
        : rent_quantile_ == 0.5    ? fmt::format("middle of {}: ", quote.observed.size())
                                : fmt::format("{:.0f} % quantile of {}: ", 100 * rent_quantile_, quote.observed.size());
    use(fmt::format("GPU-hour, {}", price_.rental.term), quote.usd_per_hour, "USD", where + quote.source);
    rent_ = quote;
  }

  void site(MoneyInputs& in, double power_share) {
    const NodeSpec& node = scenario_.cluster.node;
    in.site_rated_kw = (node.gpu.tdp + node.overhead_power / node.gpus).value() / 1000;
    use("rated power, per GPU", in.site_rated_kw, "kW", fmt::format("{} with {}", node.name, node.gpu.name));
    use("average draw over rated power", power_share, "", "");
    if (price_.pue_stated) {
      in.site_pue = price_.pue;
      use("PUE, site over computers", in.site_pue, "", "the scenario");
    } else {
      const PriceQuote usual = book_.pue();
      in.site_pue = usual.usd;
      use("PUE, site over computers", in.site_pue, "", dated(usual) + "; not stated (price.pue)");
    }
    if (price_.site.electricity_usd_per_kwh) {
      in.site_electricity_usd_per_kwh = *price_.site.electricity_usd_per_kwh;
      use("electricity", in.site_electricity_usd_per_kwh, "USD/kWh", "the scenario");
    } else {
      const PriceQuote quote = book_.electricity(day());
      in.site_electricity_usd_per_kwh = quote.usd;
      use("electricity", quote.usd, "USD/kWh", dated(quote));
    }
  }

  /// A stated price, or the one of the day.
  template <class LookUp>
  double stated_or(const std::optional<Usd>& stated, const char* what, LookUp look_up) {
    if (stated) {
      use(what, stated->value(), "USD", "the scenario");
      return stated->value();
    }
    const PriceQuote quote = look_up();
    use(what, quote.usd, "USD", dated(quote));
    return quote.usd;
  }

  void owned(MoneyInputs& in) {
    const OwnedConfig& o = price_.owned;
    in.owned_server_usd = stated_or(o.server, "server, per GPU", [&] { return book_.server(gpu().name, day()); });
    in.owned_network_usd =
        stated_or(o.network, "network, per GPU", [&] { return book_.network(scenario_.cluster.fabric.kind, day()); });
    in.owned_other_usd = o.other.value();
    in.owned_life_years = o.life_years;
    in.owned_interest = o.interest;
    in.owned_residual = o.residual;
    in.owned_operations = o.operations;
    in.owned_power_share = o.power_share.value_or(power_.busy_fraction);
    use("useful life", o.life_years, "years", "");
    use("interest", o.interest, "per year", "");
    use("operations, of the price", o.operations, "per year", "");
    site(in, in.owned_power_share);
    if (price_.site.colocation_usd_per_kw_month) {
      in.site_colocation_usd_per_kw_month = *price_.site.colocation_usd_per_kw_month;
      use("colocation", in.site_colocation_usd_per_kw_month, "USD/kW/month", "the scenario");
    } else {
      const PriceQuote quote = book_.colocation(day());
      in.site_colocation_usd_per_kw_month = quote.usd;
      use("colocation", quote.usd, "USD/kW/month", dated(quote));
    }
  }

  /// When the hardware began to lose value: as stated, or when its price was seen, but not before it could be
  /// bought in numbers.
  Date available(const PriceQuote* quote) const {
    if (price_.amortised.available) return *price_.amortised.available;
    const auto launch = parse_date(gpu().launch_date);
    if (launch && day() < *launch) {
      throw InputError(Diagnostic{"", 0, 0, "date",
                                  fmt::format("{}, before {} was launched", to_string(day()), gpu().name),
                                  "a day on which it could be bought", to_string(*launch)});
    }
    const Date market = launch ? launch->plus_days(kDaysToMarket) : quote ? quote->date : day();
    return quote ? std::max(market, quote->date) : market;
  }

  void amortised(MoneyInputs& in) {
    const AmortisedConfig& a = price_.amortised;
    std::optional<PriceQuote> quote;
    if (!a.server) quote = book_.first_server(gpu().name);
    in.amortised_server_usd = a.server ? a.server->value() : quote->usd;
    const Date since = available(quote ? &*quote : nullptr);
    in.amortised_age_years = static_cast<double>(std::max(0L, day().days_since(since))) / 365.25;
    in.amortised_progress = a.progress;
    in.amortised_network_share = a.network_share;
    in.amortised_power_share = a.power_share;
    use("server when new, per GPU", in.amortised_server_usd, "USD", quote ? dated(*quote) : "the scenario");
    use("age", in.amortised_age_years, "years", fmt::format("from {} to {}", to_string(since), to_string(day())));
    use("progress of chips", a.progress, "powers of ten a year", "");
    use("network, of the cluster's price", a.network_share, "", "");
    site(in, a.power_share);
  }

  const Scenario& scenario_;
  const PriceConfig& price_;
  const PriceBook& book_;
  const PowerModel& power_;
  std::optional<Date> date_;
  std::vector<UsedPrice> used_;
  std::optional<RentQuote> rent_;
  double rent_quantile_;
};

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

/// Spreads: what the scenario states, then the usual ones of inputs that it does not name.
class Spreads {
 public:
  Spreads(const Scenario& scenario, const MoneyInputs& base) : scenario_(scenario), base_(base) {}

  /// Failures that fall at random, as the replays of the job's life have them.
  void add_range(const std::optional<HoursRange>& range) {
    if (range && range->p5 < range->p95) range_ = *range;
  }

  UncertaintyModel build(PriceModel model, std::span<const UsualSpread> usual, const std::optional<RentQuote>& rent,
                         int draws) {
    const UncertaintyConfig& config = scenario_.uncertainty;
    for (std::size_t i = 0; i < config.uncertain.size(); ++i) {
      const UncertainConfig& u = config.uncertain[i];
      const std::string field = fmt::format("uncertainty.uncertain[{}].input", i);
      const MoneyInput& input = find_money_input(u.input, field);
      if (input.value == &MoneyInputs::market_elasticity) refuse_elasticity(input, field);
      add(input, u.spread, u.relative, u.source, field);
    }
    if (config.usual_spreads) {
      for (const UsualSpread& u : usual) add_usual(u, model);
      if (range_) {
        add_unless_there("run.gpu_hours", {SpreadConfig::Kind::log_normal, range_->p5, range_->p95}, false,
                         "failures at random, replayed");
      }
      if (model == PriceModel::rental && rent) add_rents(*rent);
    }
    for (std::size_t i = 0; i < config.correlated.size(); ++i) correlate(config.correlated[i], i, model);
    out_.seed = config.seed;
    out_.draws = draws;
    return std::move(out_);
  }

  /// What was done to spreads, and which say nothing.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  /// One offer is not the market: it may be off by as much as offers of other GPUs are.
  void add_rents(const RentQuote& rent) {
    if (rent.observed.size() > 1) {
      add_unless_there("rental.price", {SpreadConfig::Kind::empirical, 0, 0, 0, rent.observed}, false,
                       "the offers of the year");
    } else if (rent.low_factor < rent.high_factor) {
      add_unless_there("rental.price", {SpreadConfig::Kind::log_normal, rent.low_factor, rent.high_factor}, true,
                       "as offers of one GPU lie round their middle");
      notes_.push_back(
          fmt::format("one offer alone is known: its range, {:.2f} to {:.2f} times it, is how offers of one GPU lie "
                      "round the middle "
                      "of theirs",
                      rent.low_factor, rent.high_factor));
    }
  }

  /// It bends the curve of demand, which shows price by price what would be; none of the results that have a range.
  [[noreturn]] void refuse_elasticity(const MoneyInput& input, const std::string& field) const {
    throw InputError(
        Diagnostic{scenario_.file, 0, 0, field, std::string(input.name) + ", which no result with a range depends on",
                   "an input of a cost or a margin", "", "another market.elasticity for another curve of demand"});
  }

  void add(const MoneyInput& input, const SpreadConfig& spread, bool relative, std::string source,
           const std::string& field) {
    UncertainInput row{&input, Distribution(spread), relative, std::move(source)};
    const double low = row.at(0, base_), high = row.at(1, base_);
    if (low < input.min || high > input.max) {
      throw InputError(Diagnostic{scenario_.file, 0, 0, field,
                                  fmt::format("{} from {:.4g} to {:.4g}", input.name, low, high),
                                  fmt::format("from {:g} to {:g}", input.min, input.max), "",
                                  "a log_normal, triangular or uniform spread, which ends where it should"});
    }
    keep_about_the_point(row);
    out_.inputs.push_back(std::move(row));
  }

  /// A range is about its point. A spread that was stated for another point, and that leaves this one outside of nine
  /// cases in ten, moves with it, its shape kept.
  void keep_about_the_point(UncertainInput& row) {
    const double point = base_.*row.input->value;
    const double low = row.at(0.05, base_), middle = row.at(0.5, base_), high = row.at(0.95, base_);
    if (low <= point && point <= high) return;
    if (row.relative) {
      if (point != 0)
        notes_.push_back(
            fmt::format("{}: its factors, {:.3g} to {:.3g}, leave out 1, so that its range does not hold the point",
                        row.input->name, low / point, high / point));
      return;
    }
    if (middle == 0) return;
    row.move_to(point, base_);
    notes_.push_back(
        fmt::format("{}: the spread from {:.4g} to {:.4g} is of another point than {:.4g}, and was moved with it to "
                    "{:.4g} to {:.4g}",
                    row.input->name, low, high, point, row.at(0.05, base_), row.at(0.95, base_)));
  }

  int find(std::string_view name) const {
    for (std::size_t i = 0; i < out_.inputs.size(); ++i) {
      if (out_.inputs[i].input->name == name) return static_cast<int>(i);
    }
    return -1;
  }

  void add_unless_there(const std::string& name, const SpreadConfig& spread, bool relative, const std::string& source) {
    if (find(name) >= 0) return;
    add(find_money_input(name, "uncertainty.csv"), spread, relative, source, "uncertainty.csv");
  }

  void add_usual(const UsualSpread& u, PriceModel model) {
    const std::string prefix = u.input.substr(0, u.input.find('.'));
    const bool of_site = prefix == "site" && (model == PriceModel::owned || model == PriceModel::amortised);
    if (prefix != name_of(model) && !of_site) return;
    SpreadConfig spread;
    if (u.kind == "log_normal") spread = {SpreadConfig::Kind::log_normal, u.p5, u.p95};
    if (u.kind == "normal") spread = {SpreadConfig::Kind::normal, (u.p5 + u.p95) / 2, (u.p95 - u.p5) / 2 / kNormal95};
    if (u.kind == "triangular") {
      const double own = u.relative ? 1 : base_.*find_money_input(u.input, "uncertainty.csv").value;
      spread = {SpreadConfig::Kind::triangular, u.p5, std::clamp(own, u.p5, u.p95), u.p95};
    }
    add_unless_there(u.input, spread, u.relative, u.source);
  }

  void correlate(const CorrelatedConfig& c, std::size_t index, PriceModel model) {
    const std::string field = fmt::format("uncertainty.correlated[{}].input", index);
    const int first = find(find_money_input(c.first, field).name),
              second = find(find_money_input(c.second, field).name);
    if (first >= 0 && second >= 0) {
      out_.correlations.push_back({first, second, c.rank});
      return;
    }
    // An input of another price model is not spread here, so there is nothing to move together.
    notes_.push_back(fmt::format("{}: the correlation of {} with {} says nothing, since {} is not spread",
                                 name_of(model), c.first, c.second,
                                 first < 0 && second < 0 ? "neither"
                                 : first < 0             ? c.first
                                                         : c.second));
  }

  const Scenario& scenario_;
  const MoneyInputs& base_;
  std::optional<HoursRange> range_;
  std::vector<std::string> notes_;
  UncertaintyModel out_;
};

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
      why.push_back(fmt::format("{} {:.4g} against {:.4g}", row.input->name, middle, point));
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

/// Energy as replayed, or a rated GPU at the share of its power that it draws on average.
CarbonReport carbon_of(const CostReport& report, const Scenario& scenario, const GridCarbon& grid,
                       const PriceBook& book, const PowerModel& power) {
  CarbonReport out;
  out.grid = grid.grid;
  out.year = grid.year;
  out.kg_per_kwh = grid.kg_per_kwh;
  out.source = grid.source;
  if (report.work.kwh_per_gpu_hour) {
    out.kwh_per_gpu_hour = *report.work.kwh_per_gpu_hour;
    out.energy_source = "replayed";
  } else {
    const NodeSpec& node = scenario.cluster.node;
    const double rated_kw = (node.gpu.tdp + node.overhead_power / node.gpus).value() / 1000;
    const double pue = scenario.price.pue_stated ? scenario.price.pue : book.pue().usd;
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
  // Failures and the error of a step are independent: their logarithms add up as squares.
  double low = 0, high = 0;
  if (expected > Seconds(0) && projection.life->replayed) {
    const Spread& hours = projection.life->replayed->elapsed_hours;
    low = std::log(in_hours(expected) / hours.low);
    high = std::log(hours.high / in_hours(expected));
  }
  const double step = kNormal95 * projection.log_error;
  if (const double both = std::hypot(low, step) + std::hypot(high, step); both > 0) {
    const double given = projection.gpu_hours - projection.predicted_gpu_hours;
    out.range = HoursRange{given + projection.predicted_gpu_hours * std::exp(-std::hypot(low, step)),
                           given + projection.predicted_gpu_hours * std::exp(std::hypot(high, step))};
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
                                                 : scenario.cluster.gpus();
  report.date = question.date ? question.date : scenario.date;
  report.work = work;
  report.has_programme = scenario.programme && !work.phases.empty();
  MoneyInputs& in = report.inputs;
  in.run_gpu_hours = work.gpu_hours();
  if (report.has_programme) set_programme(*scenario.programme, in);
  if (work.service) set_service(*work.service, in);
  report.notes = work.notes;
  if (work.service) report.market = market_prices(scenario, book, report.date);
  if (report.market) {
    in.market_input = report.market->input;
    in.market_cached = report.market->cached.value_or(report.market->input);
    in.market_output = report.market->output;
    in.market_elasticity = scenario.market ? scenario.market->elasticity : proto::Market().elasticity();
  }

  Pricer pricer(scenario, book, power, report.date, question.rent_quantile);
  const std::vector<PriceModel> models = models_of(scenario, question);
  std::optional<InputError> refused;
  for (const PriceModel model : models) {
    ModelCost cost;
    cost.model = model;
    try {
      cost.prices = pricer.look_up(model, in);
    } catch (const InputError& error) {
      if (models.size() == 1) throw;
      report.notes.push_back(fmt::format("{}: left out; {}", name_of(model), to_string(error.diagnostics().front())));
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
    Spreads spreads(scenario, in);
    spreads.add_range(work.range);
    const UncertaintyModel uncertainty = spreads.build(cost.model, usual, pricer.rent(), draws);
    cost.uncertainty = propagate(cost.model, in, uncertainty, headline_of(report), question.workers);
    std::vector<std::string> said = draws > 0 ? spreads.notes() : std::vector<std::string>();
    for (std::string& text : spreads_without_effect(cost, scenario.uncertainty)) said.push_back(std::move(text));
    if (std::string text = median_against_point(cost, uncertainty, in); !text.empty()) said.push_back(std::move(text));
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

UsdPerSecond price_of_gpu(const Scenario& scenario, const PriceBook& book, const PowerModel& power) {
  MoneyInputs in;
  Pricer(scenario, book, power, scenario.date).look_up(scenario.price.model, in);
  return usd_per_hour(gpu_hour(scenario.price.model, in).usd());
}

}  // namespace flopcast
