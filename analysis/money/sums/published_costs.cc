#include "analysis/money/sums/published_costs.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/money/sums/cost.h"
#include "analysis/render/text/csv.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/date.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

// Cottier et al. 2024.
constexpr double kProgress = 0.14, kNetworkShare = 0.19;

double years_between(const CsvTable& table, std::size_t row, const char* from, const char* to) {
  const auto first = parse_date(table.text(row, from)), last = parse_date(table.text(row, to));
  if (!first || !last)
    throw InputError(Diagnostic{"published_run_costs.csv", 0, 0, from, quoted(table.text(row, "run")),
                                "days such as 2022-05-12", ""});
  return std::max(0.0, static_cast<double>(last->days_since(*first)) / 365.25);
}

}  // namespace

std::vector<PublishedCost> published_costs(const Libraries& libraries) {
  const std::string file = required_file(libraries, "analysis/data/money/published_run_costs.csv");
  const CsvTable table = parse_csv(read_text_file(file), file);
  std::vector<PublishedCost> out;
  for (std::size_t row = 0; row < table.size(); ++row) {
    MoneyInputs in;
    in.run_gpu_hours = table.number(row, "chip_hours");
    in.amortised_server_usd = table.number(row, "server_usd");
    in.amortised_age_years = years_between(table, row, "available", "start");
    in.amortised_progress = kProgress;
    in.amortised_network_share = kNetworkShare;
    in.amortised_power_share = table.number(row, "power_share");
    in.site_rated_kw = table.number(row, "rated_kw");
    in.site_pue = table.number(row, "pue");
    in.site_electricity_usd_per_kwh = table.number(row, "electricity");
    const Cost run = final_run(gpu_hour(PriceModel::amortised, in), in);
    out.push_back({table.text(row, "run"), fmt::format("Epoch AI; {}", table.text(row, "chip_hours_source")),
                   run.usd() * table.number(row, "price_level"), table.number(row, "published_usd")});
  }
  return out;
}

}  // namespace flopcast
