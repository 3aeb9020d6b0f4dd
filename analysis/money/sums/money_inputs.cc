#include "analysis/money/sums/money_inputs.h"

#include <algorithm>
#include <vector>

#include "scenarios/read/text/text_file.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

constexpr double kMost = 1e20;
using M = MoneyInputs;

constexpr MoneyInput kInputs[] = {
    {"run.gpu_hours", "h", "GPU-hours of the final run", &M::run_gpu_hours, 0, kMost},
    {"stated.price", "USD/h", "stated price of a GPU-hour", &M::stated_usd_per_hour, 0, kMost},
    {"rental.price", "USD/h", "rent of a GPU-hour", &M::rental_usd_per_hour, 0, kMost},
    {"owned.server", "USD", "server, per GPU", &M::owned_server_usd, 0, kMost},
    {"owned.network", "USD", "network, per GPU", &M::owned_network_usd, 0, kMost},
    {"owned.other", "USD", "storage, racks and the like, per GPU", &M::owned_other_usd, 0, kMost},
    {"owned.life_years", "a", "useful life", &M::owned_life_years, 0.1, 100},
    {"owned.interest", "1/a", "interest", &M::owned_interest, 0, 10},
    {"owned.residual", "share", "worth at the end of life", &M::owned_residual, 0, 0.99},
    {"owned.operations", "1/a", "staff on site, spares, support, of the price", &M::owned_operations, 0, 10},
    {"owned.power_share", "share", "average draw over rated power", &M::owned_power_share, 0, 2},
    {"amortised.server", "USD", "server when new, per GPU", &M::amortised_server_usd, 0, kMost},
    {"amortised.age_years", "a", "since it became available", &M::amortised_age_years, 0, 100},
    {"amortised.progress", "1/a", "progress of chips, powers of ten", &M::amortised_progress, 0, 5},
    {"amortised.network_share", "share", "network, of the cluster's price", &M::amortised_network_share, 0, 0.99},
    {"amortised.power_share", "share", "average draw over rated power", &M::amortised_power_share, 0, 2},
    {"site.rated_power", "kW", "rated power, per GPU", &M::site_rated_kw, 0, 1000},
    {"site.pue", "", "power of the site over that of its computers", &M::site_pue, 1, 10},
    {"site.electricity", "USD/kWh", "electricity", &M::site_electricity_usd_per_kwh, 0, 100},
    {"site.colocation", "USD/kW/month", "colocation", &M::site_colocation_usd_per_kw_month, 0, 1e6},
    {"programme.experiments", "x run", "experiments", &M::programme_experiments, 0, 1e6},
    {"programme.failed_runs", "x run", "failed runs", &M::programme_failed_runs, 0, 1e6},
    {"programme.idle", "share", "idle GPU-hours, of those paid for", &M::programme_idle, 0, 0.99},
    {"programme.predecessor_gpu_hours", "h", "GPU-hours of predecessors", &M::programme_predecessor_gpu_hours, 0,
     kMost},
    {"programme.predecessor", "USD", "predecessors", &M::programme_predecessor_usd, 0, kMost},
    {"programme.data_gpu_hours", "h", "GPU-hours for data", &M::programme_data_gpu_hours, 0, kMost},
    {"programme.data", "USD", "data", &M::programme_data_usd, 0, kMost},
    {"programme.other_gpu_hours", "h", "other GPU-hours", &M::programme_other_gpu_hours, 0, kMost},
    {"programme.other", "USD", "other spending", &M::programme_other_usd, 0, kMost},
    {"programme.people", "", "people", &M::programme_people, 0, 1e7},
    {"programme.usd_per_person_year", "USD", "a person's year", &M::programme_usd_per_person_year, 0, 1e9},
    {"programme.years", "a", "years of staff", &M::programme_years, 0, 1000},
    {"service.gpu_hours", "h/d", "GPU-hours of a day", &M::service_gpu_hours, 0, kMost},
    {"service.prefill_share", "share", "GPU-hours that read prompts", &M::service_prefill_share, 0, 1},
    {"service.cached_work", "share", "work of a cached token over another", &M::service_cached_work, 0, 1},
    {"service.input_tokens", "1/d", "input tokens of a day", &M::service_input_tokens, 0, kMost},
    {"service.cached_tokens", "1/d", "cached ones among them", &M::service_cached_tokens, 0, kMost},
    {"service.output_tokens", "1/d", "output tokens of a day", &M::service_output_tokens, 0, kMost},
    {"market.input", "USD/M", "price of a million input tokens", &M::market_input, 0, 1e6},
    {"market.cached", "USD/M", "price of a million cached tokens", &M::market_cached, 0, 1e6},
    {"market.output", "USD/M", "price of a million output tokens", &M::market_output, 0, 1e6},
    {"market.elasticity", "", "elasticity of demand", &M::market_elasticity, 0, 100},
};

}  // namespace

std::span<const MoneyInput> money_inputs() { return kInputs; }

const MoneyInput& find_money_input(const std::string& name, const std::string& field) {
  const auto found =
      std::find_if(std::begin(kInputs), std::end(kInputs), [&](const MoneyInput& i) { return i.name == name; });
  if (found != std::end(kInputs)) return *found;
  std::vector<std::string> names;
  for (const MoneyInput& input : kInputs) names.emplace_back(input.name);
  throw InputError(Diagnostic{"", 0, 0, field, quoted(name), "an input that `flopcast cost --inputs` lists",
                              nearest_name(name, names)});
}

}  // namespace flopcast
