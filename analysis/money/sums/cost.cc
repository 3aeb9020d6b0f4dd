#include "analysis/money/sums/cost.h"

#include <cmath>

namespace flopcast {
namespace {

constexpr double kHoursPerMonth = kHoursPerYear / 12;

double energy_usd_per_hour(const MoneyInputs& in, double power_share) {
  return in.site_rated_kw * power_share * in.site_pue * in.site_electricity_usd_per_kwh;
}

/// Yearly payment that repays 1 over `years` at `interest`.
double annuity(double interest, double years) {
  if (interest < 1e-9) return 1 / years;
  return interest / (1 - std::pow(1 + interest, -years));
}

Cost owned_hour(const MoneyInputs& in) {
  const double price = in.owned_server_usd + in.owned_network_usd + in.owned_other_usd;
  const double written_off = (1 - in.owned_residual) / in.owned_life_years;  // per year, of the price
  // The residual comes back at the end, so only its interest is paid.
  const double discount = std::pow(1 + in.owned_interest, -in.owned_life_years);
  const double paid = (1 - in.owned_residual * discount) * annuity(in.owned_interest, in.owned_life_years);
  const auto hourly = [](double per_year) { return per_year / kHoursPerYear; };
  return {{{"servers", hourly(in.owned_server_usd * written_off)},
           {"network", hourly(in.owned_network_usd * written_off)},
           {"other equipment", hourly(in.owned_other_usd * written_off)},
           {"interest", hourly(price * (paid - written_off))},
           {"electricity", energy_usd_per_hour(in, in.owned_power_share)},
           {"colocation", in.site_rated_kw * in.site_colocation_usd_per_kw_month / kHoursPerMonth},
           {"operations", hourly(price * in.owned_operations)}}};
}

Cost amortised_hour(const MoneyInputs& in) {
  const double worth = in.amortised_server_usd * std::pow(10.0, -in.amortised_progress * in.amortised_age_years);
  const double servers = worth * in.amortised_progress * std::log(10.0) / kHoursPerYear;
  const double network = servers * in.amortised_network_share / (1 - in.amortised_network_share);
  return {
      {{"servers", servers}, {"network", network}, {"electricity", energy_usd_per_hour(in, in.amortised_power_share)}}};
}

double per_million(double usd, double tokens) { return tokens > 0 ? usd / tokens * 1e6 : 0; }

}  // namespace

double Cost::usd() const {
  double sum = 0;
  for (const CostPart& part : parts) sum += part.usd;
  return sum;
}

Cost gpu_hour(PriceModel model, const MoneyInputs& in) {
  switch (model) {
    case PriceModel::stated:
      return {{{"stated price", in.stated_usd_per_hour}}};
    case PriceModel::rental:
      return {{{"rent", in.rental_usd_per_hour}}};
    case PriceModel::owned:
      return owned_hour(in);
    case PriceModel::amortised:
      return amortised_hour(in);
  }
  return {};
}

Cost final_run(const Cost& gpu_hour, const MoneyInputs& in) {
  Cost out = gpu_hour;
  for (CostPart& part : out.parts) part.usd *= in.run_gpu_hours;
  return out;
}

Cost programme(const Cost& gpu_hour, const MoneyInputs& in) {
  const double price = gpu_hour.usd();
  const double experiments = in.programme_experiments * in.run_gpu_hours;
  const double failed = in.programme_failed_runs * in.run_gpu_hours;
  const double busy = in.run_gpu_hours + experiments + failed + in.programme_predecessor_gpu_hours +
                      in.programme_data_gpu_hours + in.programme_other_gpu_hours;
  return {{{"final run", in.run_gpu_hours * price},
           {"failed runs", failed * price},
           {"experiments", experiments * price},
           {"predecessors", in.programme_predecessor_gpu_hours * price + in.programme_predecessor_usd},
           {"data", in.programme_data_gpu_hours * price + in.programme_data_usd},
           {"other", in.programme_other_gpu_hours * price + in.programme_other_usd},
           {"idle time", busy * in.programme_idle / (1 - in.programme_idle) * price},
           {"staff", in.programme_people * in.programme_usd_per_person_year * in.programme_years}}};
}

ServiceCost service_cost(const Cost& gpu_hour, const MoneyInputs& in) {
  ServiceCost out;
  out.usd_per_day = in.service_gpu_hours * gpu_hour.usd();
  const double fresh = in.service_input_tokens - in.service_cached_tokens;
  const double reading = out.usd_per_day * in.service_prefill_share;
  out.usd_per_million_input = per_million(reading, fresh + in.service_cached_work * in.service_cached_tokens);
  out.usd_per_million_cached = in.service_cached_work * out.usd_per_million_input;
  out.usd_per_million_output = per_million(out.usd_per_day - reading, in.service_output_tokens);
  out.revenue_per_day = (fresh * in.market_input + in.service_cached_tokens * in.market_cached +
                         in.service_output_tokens * in.market_output) /
                        1e6;
  out.margin = out.usd_per_day > 0 ? out.revenue_per_day / out.usd_per_day - 1 : 0;
  return out;
}

DemandPoint demand(const ServiceCost& today, const MoneyInputs& in, double price, double unit_cost) {
  DemandPoint out;
  out.price = price;
  out.unit_cost = unit_cost;
  out.tokens = std::pow(price, -in.market_elasticity);
  out.gpu_hours = in.service_gpu_hours * out.tokens * unit_cost;
  out.usd_per_day = today.usd_per_day * out.tokens * unit_cost;
  out.revenue_per_day = today.revenue_per_day * out.tokens * price;
  return out;
}

std::string_view name_of(PriceModel model) {
  switch (model) {
    case PriceModel::stated:
      return "stated";
    case PriceModel::rental:
      return "rental";
    case PriceModel::owned:
      return "owned";
    case PriceModel::amortised:
      break;
  }
  return "amortised";
}

}  // namespace flopcast
