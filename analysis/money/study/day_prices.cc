#include "analysis/money/study/day_prices.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "scenarios/resolve/rl/rl_scenario.h"

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
    constexpr long kStale = 90;  // days; rents halve within a year or two
    const long age = day().days_since(quote.newest);
    const std::string stale =
        age <= kStale ? ""
                      : fmt::format(
                            "; the newest of them is {} days older than {}: rents fall, and one of the day may "
                            "be stated (--set price.gpu=...)",
                            age, to_string(day()));
    use(fmt::format("GPU-hour, {}", price_.rental.term), quote.usd_per_hour, "USD", where + quote.source + stale);
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

/// The mean of two, of which `share` is the second.
struct Mean {
  double share;
  double of(double a, double b) const { return a + share * (b - a); }

  /// What enters a GPU-hour as a product or a power is set so that the hour is the mean of both hours.
  MoneyInputs of(const MoneyInputs& a, const MoneyInputs& b) const {
    MoneyInputs out = a;
    for (double MoneyInputs::*linear :
         {&MoneyInputs::stated_usd_per_hour, &MoneyInputs::rental_usd_per_hour, &MoneyInputs::owned_server_usd,
          &MoneyInputs::owned_network_usd, &MoneyInputs::amortised_server_usd, &MoneyInputs::site_rated_kw})
      out.*linear = of(a.*linear, b.*linear);
    const double drawn = of(a.site_rated_kw * a.owned_power_share, b.site_rated_kw * b.owned_power_share);
    if (out.site_rated_kw > 0) out.owned_power_share = drawn / out.site_rated_kw;
    const auto worth = [](const MoneyInputs& in) {
      return in.amortised_server_usd * std::pow(10.0, -in.amortised_progress * in.amortised_age_years);
    };
    const double left = of(worth(a), worth(b));
    out.amortised_age_years = left > 0 && a.amortised_progress > 0
                                  ? std::log10(out.amortised_server_usd / left) / a.amortised_progress
                                  : of(a.amortised_age_years, b.amortised_age_years);
    return out;
  }

  /// Both markets move together.
  RentQuote of(const RentQuote& a, const RentQuote& b) const {
    RentQuote out = a;
    out.usd_per_hour = of(a.usd_per_hour, b.usd_per_hour);
    out.source = a.source + "; " + b.source;
    const auto low = [](const RentQuote& q) {
      return q.observed.size() > 1 ? q.observed.front() : q.low_factor * q.usd_per_hour;
    };
    const auto high = [](const RentQuote& q) {
      return q.observed.size() > 1 ? q.observed.back() : q.high_factor * q.usd_per_hour;
    };
    out.low_factor = of(low(a), low(b)) / out.usd_per_hour;
    out.high_factor = of(high(a), high(b)) / out.usd_per_hour;
    const std::size_t offers =
        std::min(a.observed.size(), b.observed.size()) > 1 ? std::max(a.observed.size(), b.observed.size()) : 1;
    out.observed.assign(offers, out.usd_per_hour);
    const auto quantile = [&](const RentQuote& q, std::size_t i) {
      const double at =
          static_cast<double>(i) / static_cast<double>(offers - 1) * static_cast<double>(q.observed.size() - 1);
      const auto below = std::min(static_cast<std::size_t>(at), q.observed.size() - 2);
      return q.observed[below] + (at - static_cast<double>(below)) * (q.observed[below + 1] - q.observed[below]);
    };
    for (std::size_t i = 0; offers > 1 && i < offers; ++i) out.observed[i] = of(quantile(a, i), quantile(b, i));
    return out;
  }
};

/// Prices of both kinds; those that are the same are said once.
std::vector<UsedPrice> of_both(std::vector<UsedPrice> own, const std::vector<UsedPrice>& elsewhere,
                               const std::string& own_gpu, const std::string& other_gpu) {
  std::vector<UsedPrice> out;
  for (std::size_t i = 0; i < own.size(); ++i) {
    const UsedPrice& other = elsewhere[i];
    const bool same = own[i].value == other.value && own[i].what == other.what;
    out.push_back(own[i]);
    if (same) continue;
    out.back().what = own_gpu + ": " + own[i].what;
    out.push_back(other);
    out.back().what = other_gpu + ": " + other.what;
  }
  return out;
}

}  // namespace

std::vector<UsedPrice> look_up_prices(PriceModel model, const Scenario& scenario, const PricesAsked& asked,
                                      MoneyInputs& in, std::optional<RentQuote>* rent) {
  Pricer pricer(scenario, asked.book, asked.power, asked.date, asked.rent_quantile);
  std::vector<UsedPrice> used = pricer.look_up(model, in);
  std::optional<RentQuote> offers = pricer.rent();
  if (scenario.rl && scenario.rl->rollout_cluster && model != PriceModel::stated) {
    const RlScenario& rl = *scenario.rl;
    Scenario engine = scenario;
    engine.cluster = *rl.rollout_cluster;
    engine.cluster.fabric = scenario.cluster.fabric;  // both hang on it
    Pricer other(engine, asked.book, asked.engine_power ? *asked.engine_power : asked.power, asked.date,
                 asked.rent_quantile);
    MoneyInputs elsewhere = in;
    const std::vector<UsedPrice> more = other.look_up(model, elsewhere);
    const Mean mean{static_cast<double>(rl.gpus_elsewhere()) / rl.gpus()};
    in = mean.of(in, elsewhere);
    if (offers && other.rent()) offers = mean.of(*offers, *other.rent());
    used = of_both(std::move(used), more, scenario.cluster.node.gpu.name, engine.cluster.node.gpu.name);
  }
  if (rent && offers) *rent = offers;
  return used;
}

}  // namespace flopcast
