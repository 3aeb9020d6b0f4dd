#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "analysis/money/fleet/fleet.h"
#include "analysis/money/sums/distribution.h"
#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

using O = FleetOutcome;
constexpr double kDaysOfYear = 365.25, kHoursOfYear = 24 * kDaysOfYear;
constexpr double kYearsOfRunning = 4;

constexpr FleetOutcomeRow kOutcomeRows[kFleetOutcomes] = {
    {O::chips_usd, "chips_usd", "USD", "GPUs and servers"},
    {O::network_usd, "network_usd", "USD", "network"},
    {O::tariff_usd, "tariff_usd", "USD", "tariffs on top of prices"},
    {O::capital_usd, "capital_usd", "USD", "everything bought"},
    {O::electricity_usd, "electricity_usd", "USD", "electricity"},
    {O::colocation_usd, "colocation_usd", "USD", "colocation"},
    {O::operations_usd, "operations_usd", "USD", "operations on site"},
    {O::rent_usd, "rent_usd", "USD", "rented hours"},
    {O::staff_usd, "staff_usd", "USD", "staff"},
    {O::other_usd, "other_usd", "USD", "other"},
    {O::spent_usd, "spent_usd", "USD", "spent up to the end of the ledger"},
    {O::written_off_usd, "written_off_usd", "USD", "of what was bought, written off by then"},
    {O::consumed_usd, "consumed_usd", "USD", "written off, and running costs"},
    {O::running_4y_usd, "running_4y_usd", "USD", "power, site and operations over four years"},
    {O::gpus, "gpus", "", "GPUs bought"},
    {O::gpu_hours, "gpu_hours", "h", "GPU-hours, owned and rented"},
    {O::used_hours, "used_hours", "h", "of them with a known use"},
    {O::idle_share, "idle_share", "share", "without a known use: idle, or nobody says"},
    {O::run_hours, "run_hours", "h", "final runs"},
    {O::run_share, "run_share", "share", "final runs, of all GPU-hours"},
    {O::run_usd, "run_usd", "USD", "final runs, at what an hour of their lot costs"},
    {O::programme_usd, "programme_usd", "USD", "final and failed runs, experiments, predecessors, staff"},
    {O::programme_with_idle_usd, "programme_with_idle_usd", "USD", "the same with the unused hours of those lots"},
};

/// The uncertain figures of a ledger, each with a place in a draw.
struct Inputs {
  std::vector<const FleetFigure*> figures;
  std::size_t add(const FleetFigure& figure) {
    figures.push_back(&figure);
    return figures.size() - 1;
  }
};

struct LotInputs {
  std::size_t count, price, server, network;
};
struct RentInputs {
  std::size_t hours, rent;
};

/// What one draw, or the middles, come to.
struct Tally {
  std::vector<double> totals = std::vector<double>(kFleetOutcomes, 0.0);
  struct Lot {
    double gpus = 0, price = 0, capital = 0, tariff = 0, passed_on = 0, hours = 0, used = 0, hour_usd = 0;
  };
  std::vector<Lot> lots;
  struct Use {
    double hours = 0, share = 0, usd = 0;
  };
  std::vector<Use> uses;
  double& of(O outcome) { return totals[static_cast<std::size_t>(outcome)]; }
};

class Ledger {
 public:
  explicit Ledger(const Fleet& fleet) : f_(fleet) {
    for (const FleetPurchase& p : f_.purchases)
      lots_.push_back({in_.add(p.count), in_.add(p.price), in_.add(p.server), in_.add(p.network)});
    for (const FleetRental& r : f_.rentals) rents_.push_back({in_.add(r.gpu_hours), in_.add(r.usd_per_hour)});
    for (const FleetUse& u : f_.uses) uses_.push_back(in_.add(u.gpu_hours));
    for (const FleetSpending& s : f_.other) other_.push_back(in_.add(s.cost));
    electricity_ = in_.add(f_.electricity);
    pue_ = in_.add(f_.pue);
    colocation_ = in_.add(f_.colocation);
    people_ = in_.add(f_.people);
    per_year_ = in_.add(f_.per_year);
  }

  std::size_t inputs() const { return in_.figures.size(); }
  const FleetFigure& figure(std::size_t i) const { return *in_.figures[i]; }

  Tally tally(const std::vector<double>& x) const {
    Tally t;
    std::map<std::string, std::size_t> by_name;
    for (std::size_t i = 0; i < f_.purchases.size(); ++i) {
      by_name[f_.purchases[i].name] = i;
      t.lots.push_back(bought(f_.purchases[i], lots_[i], x, t));
    }
    for (std::size_t i = 0; i < f_.rentals.size(); ++i) {
      by_name[f_.rentals[i].name] = t.lots.size();
      Tally::Lot lot;
      lot.hours = x[rents_[i].hours];
      lot.hour_usd = x[rents_[i].rent];
      t.of(O::rent_usd) += lot.hours * lot.hour_usd;
      t.of(O::gpu_hours) += lot.hours;
      t.lots.push_back(lot);
    }
    use(by_name, x, t);
    t.of(O::staff_usd) = x[people_] * x[per_year_] * f_.staff_years;
    for (const std::size_t i : other_) t.of(O::other_usd) += x[i];
    const double running = t.of(O::electricity_usd) + t.of(O::colocation_usd) + t.of(O::operations_usd);
    const double rest = t.of(O::rent_usd) + t.of(O::staff_usd) + t.of(O::other_usd);
    t.of(O::spent_usd) = t.of(O::capital_usd) + running + rest;
    t.of(O::consumed_usd) = t.of(O::written_off_usd) + running + rest;
    t.of(O::programme_usd) += t.of(O::staff_usd);
    t.of(O::programme_with_idle_usd) += t.of(O::staff_usd);
    return t;
  }

 private:
  Tally::Lot bought(const FleetPurchase& p, const LotInputs& in, const std::vector<double>& x, Tally& t) const {
    Tally::Lot lot;
    lot.gpus = x[in.count];
    lot.price = x[in.price];
    // A tariff inside the price is shown and not added.
    const double untaxed = p.tariff_in_price ? lot.price / (1 + p.tariff) : lot.price;
    const double tariff = untaxed * p.tariff;
    const double paid = untaxed + tariff + x[in.server] + x[in.network];
    lot.tariff = lot.gpus * tariff;
    lot.passed_on = lot.gpus * untaxed * p.revenue_share;
    lot.capital = lot.gpus * paid;
    const double days = static_cast<double>(f_.ends.days_since(std::max(p.bought, f_.begins)));
    const double years = days / kDaysOfYear;
    lot.hours = lot.gpus * days * 24;
    const double owned_years = static_cast<double>(f_.ends.days_since(p.bought)) / kDaysOfYear;
    const double written_off = lot.capital * std::min(1.0, owned_years / p.life_years);
    const double electricity = p.rated_kw * f_.power_share * x[pue_] * x[electricity_] * kHoursOfYear;  // a year
    const double colocation = p.rated_kw * x[colocation_] * 12;
    const double operations = paid * f_.operations;
    t.of(O::gpus) += lot.gpus;
    t.of(O::chips_usd) += lot.gpus * (untaxed + x[in.server]);
    t.of(O::network_usd) += lot.gpus * x[in.network];
    t.of(O::tariff_usd) += lot.tariff;
    t.of(O::capital_usd) += lot.capital;
    t.of(O::written_off_usd) += written_off;
    t.of(O::electricity_usd) += lot.gpus * electricity * years;
    t.of(O::colocation_usd) += lot.gpus * colocation * years;
    t.of(O::operations_usd) += lot.gpus * operations * years;
    t.of(O::running_4y_usd) += lot.gpus * (electricity + colocation + operations) * kYearsOfRunning;
    t.of(O::gpu_hours) += lot.hours;
    // An hour: the price over its life, and what it takes to run.
    lot.hour_usd = (paid / p.life_years + electricity + colocation + operations) / kHoursOfYear;
    return lot;
  }

  void use(const std::map<std::string, std::size_t>& by_name, const std::vector<double>& x, Tally& t) const {
    std::vector<double> wanted(t.lots.size(), 0.0);
    for (std::size_t i = 0; i < f_.uses.size(); ++i) wanted[by_name.at(f_.uses[i].on)] += x[uses_[i]];
    std::vector<double> programme(t.lots.size(), 0.0);
    for (std::size_t i = 0; i < f_.uses.size(); ++i) {
      const FleetUse& use = f_.uses[i];
      const std::size_t at = by_name.at(use.on);
      Tally::Lot& lot = t.lots[at];
      // In a draw with few GPUs no more hours are used than there are.
      const double fits = wanted[at] > lot.hours && wanted[at] > 0 ? lot.hours / wanted[at] : 1.0;
      Tally::Use out;
      out.hours = x[uses_[i]] * fits;
      out.share = lot.hours > 0 ? out.hours / lot.hours : 0;
      out.usd = out.hours * lot.hour_usd;
      lot.used += out.hours;
      t.of(O::used_hours) += out.hours;
      if (use.kind == UseKind::final_run) {
        t.of(O::run_hours) += out.hours;
        t.of(O::run_usd) += out.usd;
      }
      if (use.kind != UseKind::serving && use.kind != UseKind::other) {
        t.of(O::programme_usd) += out.usd;
        programme[at] += out.hours;
      }
      t.uses.push_back(out);
    }
    for (std::size_t at = 0; at < t.lots.size(); ++at) {
      const Tally::Lot& lot = t.lots[at];
      // Unused hours are the programme's in proportion to what it used of the used ones.
      if (lot.used > 0) t.of(O::programme_with_idle_usd) += programme[at] / lot.used * lot.hours * lot.hour_usd;
    }
    const double all = t.of(O::gpu_hours);
    t.of(O::idle_share) = all > 0 ? 1 - t.of(O::used_hours) / all : 0;
    t.of(O::run_share) = all > 0 ? t.of(O::run_hours) / all : 0;
  }

  const Fleet& f_;
  Inputs in_;
  std::vector<LotInputs> lots_;
  std::vector<RentInputs> rents_;
  std::vector<std::size_t> uses_, other_;
  std::size_t electricity_ = 0, pue_ = 0, colocation_ = 0, people_ = 0, per_year_ = 0;
};

FleetSpread spread_over(std::vector<double> values, double middle) {
  FleetSpread out{middle, middle, middle, middle};
  if (values.empty()) return out;
  std::sort(values.begin(), values.end());
  out.p5 = quantile_of_sorted(values, 0.05);
  out.p50 = quantile_of_sorted(values, 0.5);
  out.p95 = quantile_of_sorted(values, 0.95);
  return out;
}

FleetOutcome outcome_named(const std::string& id, const std::string& file) {
  std::vector<std::string> known;
  for (const FleetOutcomeRow& row : kOutcomeRows) {
    if (row.id == id) return row.outcome;
    known.emplace_back(row.id);
  }
  throw InputError(Diagnostic{file, 0, 0, "compared_with", quoted(id), fmt::format("one of {}", fmt::join(known, ", ")),
                              nearest_name(id, known)});
}

/// Estimates are judged by the range that holds nine draws in ten.
std::string verdict_on(const FleetEstimate& e, const FleetSpread& ours) {
  const bool single = e.low == e.high;
  // Without draws there is no range.
  const std::string range = ours.p5 < ours.p95
                                ? fmt::format("{} to {}", format_usd(Usd(ours.p5)), format_usd(Usd(ours.p95)))
                                : format_usd(Usd(ours.p5));
  if (e.low > ours.p95) return fmt::format("above the {} that the ledger comes to", range);
  if (e.high < ours.p5) return fmt::format("below the {} that the ledger comes to", range);
  if (std::isinf(e.high)) {
    return e.low <= ours.p5 ? fmt::format("agrees: {}", range) : fmt::format("possible: the ledger comes to {}", range);
  }
  if (single) return fmt::format("within {}", range);
  if (e.low >= ours.p5 && e.high <= ours.p95) return fmt::format("within {}", range);
  return fmt::format("overlaps {}", range);
}

}  // namespace

std::string_view name_of(UseKind kind) {
  constexpr std::string_view kNames[] = {"final run", "failed runs", "experiments", "predecessor", "serving", "other"};
  return kNames[static_cast<std::size_t>(kind)];
}

double FleetFigure::quantile(double p) const {
  if (low == high) return low;
  const double mode = likely.value_or(low);
  if (!likely) return low + p * (high - low);
  const double split = (mode - low) / (high - low);
  if (p <= split) return low + std::sqrt(p * (high - low) * (mode - low));
  return high - std::sqrt((1 - p) * (high - low) * (high - mode));
}

std::span<const FleetOutcomeRow> fleet_outcomes() { return kOutcomeRows; }

FleetResult fleet_ledger(Fleet fleet, std::vector<FleetEstimate> estimates) {
  FleetResult out;
  out.fleet = std::move(fleet);
  const Ledger ledger(out.fleet);
  const std::size_t n = ledger.inputs();
  std::vector<double> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = ledger.figure(i).middle();
  const Tally middle = ledger.tally(x);
  std::vector<Tally> draws;
  std::vector<std::uint64_t> ids(n);
  for (std::size_t i = 0; i < n; ++i) ids[i] = i + 1;
  const Copula copula(ids, {}, out.fleet.seed);
  std::vector<double> p(n);
  for (int d = 0; d < out.fleet.draws; ++d) {
    copula.draw(static_cast<std::uint64_t>(d), p);
    for (std::size_t i = 0; i < n; ++i) x[i] = ledger.figure(i).quantile(p[i]);
    draws.push_back(ledger.tally(x));
  }
  const auto spread = [&](auto get) {
    std::vector<double> values;
    values.reserve(draws.size());
    for (const Tally& draw : draws) values.push_back(get(draw));
    return spread_over(std::move(values), get(middle));
  };
  for (std::size_t o = 0; o < kFleetOutcomes; ++o)
    out.figures.push_back(spread([o](const Tally& t) { return t.totals[o]; }));
  for (std::size_t i = 0; i < out.fleet.purchases.size(); ++i) {
    const auto of = [&](double Tally::Lot::*member) {
      return spread([i, member](const Tally& t) { return t.lots[i].*member; });
    };
    LotResult lot{of(&Tally::Lot::gpus),
                  of(&Tally::Lot::price),
                  of(&Tally::Lot::capital),
                  of(&Tally::Lot::tariff),
                  of(&Tally::Lot::passed_on),
                  of(&Tally::Lot::hours),
                  {}};
    lot.used_share =
        spread([i](const Tally& t) { return t.lots[i].hours > 0 ? t.lots[i].used / t.lots[i].hours : 0.0; });
    out.lots.push_back(lot);
  }
  for (std::size_t i = 0; i < out.fleet.uses.size(); ++i) {
    const auto of = [&](double Tally::Use::*member) {
      return spread([i, member](const Tally& t) { return t.uses[i].*member; });
    };
    out.uses.push_back({of(&Tally::Use::hours), of(&Tally::Use::share), of(&Tally::Use::usd)});
  }
  for (FleetEstimate& e : estimates) e.verdict = verdict_on(e, out.of(e.compared));
  out.estimates = std::move(estimates);
  return out;
}

std::vector<FleetEstimate> fleet_estimates(const Libraries& libraries, const std::string& fleet) {
  const std::string file = required_file(libraries, "analysis/data/money/fleet_estimates.csv");
  const CsvTable table = parse_csv(read_text_file(file), file);
  std::vector<FleetEstimate> out;
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table.text(i, "fleet") != fleet) continue;
    FleetEstimate e;
    e.id = table.text(i, "id");
    e.said_by = table.text(i, "said_by");
    e.what = table.text(i, "what");
    e.compared = outcome_named(table.text(i, "compared_with"), file);
    e.low = table.number(i, "low_usd");
    e.high = table.text(i, "high_usd").empty() ? std::numeric_limits<double>::infinity() : table.number(i, "high_usd");
    e.date = table.text(i, "date");
    e.source = table.text(i, "source");
    out.push_back(std::move(e));
  }
  return out;
}

}  // namespace flopcast
