// Every number that a cost depends on, in one flat value, so that any of them can be looked up by name,
// spread and drawn.
//
// Plain doubles, with the unit in the name: a draw replaces them one by one through the table below, which
// typed quantities would not allow. Prices are of one GPU and its share of the rest.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace flopcast {

struct MoneyInputs {
  // What is priced.
  double run_gpu_hours = 0;
  // Prices of a GPU-hour.
  double stated_usd_per_hour = 0;
  double rental_usd_per_hour = 0;
  double owned_server_usd = 0, owned_network_usd = 0, owned_other_usd = 0;
  double owned_life_years = 1, owned_interest = 0, owned_residual = 0, owned_operations = 0, owned_power_share = 0;
  double amortised_server_usd = 0, amortised_age_years = 0, amortised_progress = 0, amortised_network_share = 0;
  double amortised_power_share = 0;
  double site_rated_kw = 0, site_pue = 1, site_electricity_usd_per_kwh = 0, site_colocation_usd_per_kw_month = 0;
  // Besides the final run.
  double programme_experiments = 0, programme_failed_runs = 0, programme_idle = 0;
  double programme_predecessor_gpu_hours = 0, programme_predecessor_usd = 0;
  double programme_data_gpu_hours = 0, programme_data_usd = 0;
  double programme_other_gpu_hours = 0, programme_other_usd = 0;
  double programme_people = 0, programme_usd_per_person_year = 0, programme_years = 0;
  // One day of a service.
  double service_gpu_hours = 0, service_prefill_share = 0, service_cached_work = 0;
  double service_input_tokens = 0, service_cached_tokens = 0, service_output_tokens = 0;
  double market_input = 0, market_cached = 0, market_output = 0, market_elasticity = 0;
};

/// A row of the table: what `uncertain { input: "owned.server" }` names.
struct MoneyInput {
  std::string_view name;
  std::string_view unit;  ///< "USD", "share", "1/a", ...
  std::string_view what;
  double MoneyInputs::*value;
  double min, max;  ///< that make sense
};
std::span<const MoneyInput> money_inputs();

/// @param field for the diagnostic. @throws InputError with the nearest name.
const MoneyInput& find_money_input(const std::string& name, const std::string& field);

}  // namespace flopcast
