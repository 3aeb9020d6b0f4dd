// What a scenario says about money, resolved. What it left open is looked up in dated prices later: analysis/money/.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scenarios/read/text/date.h"
#include "sim/base/fields.h"
#include "sim/base/units.h"

namespace flopcast {

enum class PriceModel { stated, rental, owned, amortised };
constexpr std::array<std::string_view, 4> enum_names(PriceModel) { return {"stated", "rental", "owned", "amortised"}; }

struct RentalConfig {
  std::string term = "on demand";
  std::string provider;  ///< empty: the middle of all

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("term", &RentalConfig::term, {"money"});
    field("provider", &RentalConfig::provider, {"money"});
  }
};

/// Prices are of one GPU and its share of the rest.
struct OwnedConfig {
  std::optional<Usd> server, network;
  Usd other;
  double life_years = 0;
  double interest = 0;    ///< per year
  double residual = 0;    ///< of the price
  double operations = 0;  ///< of the price, per year
  std::optional<double> power_share;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("server", &OwnedConfig::server, {"money"});
    field("network", &OwnedConfig::network, {"money"});
    field("other", &OwnedConfig::other, {"money"});
    field("life_years", &OwnedConfig::life_years, {"money"});
    field("interest", &OwnedConfig::interest, {"money"});
    field("residual", &OwnedConfig::residual, {"money"});
    field("operations", &OwnedConfig::operations, {"money"});
    field("power_share", &OwnedConfig::power_share, {"money"});
  }
};

struct AmortisedConfig {
  std::optional<Usd> server;
  std::optional<Date> available;
  double progress = 0;       ///< orders of magnitude per year
  double network_share = 0;  ///< of the cluster's price
  double power_share = 0;    ///< average draw over rated power

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("server", &AmortisedConfig::server, {"money"});
    field("available", &AmortisedConfig::available, {"money"});
    field("progress", &AmortisedConfig::progress, {"money"});
    field("network_share", &AmortisedConfig::network_share, {"money"});
    field("power_share", &AmortisedConfig::power_share, {"money"});
  }
};

struct SiteConfig {
  std::optional<double> electricity_usd_per_kwh, colocation_usd_per_kw_month;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("electricity_usd_per_kwh", &SiteConfig::electricity_usd_per_kwh, {"money"});
    field("colocation_usd_per_kw_month", &SiteConfig::colocation_usd_per_kw_month, {"money"});
  }
};

struct PriceConfig {
  UsdPerSecond gpu;  ///< per GPU, of the chosen model
  std::string source;
  double pue = 1.0;         ///< facility power over IT power
  bool pue_stated = false;  ///< it stands in the file
  PriceModel model = PriceModel::stated;
  bool stated = false;  ///< `gpu` stands in the file
  RentalConfig rental;
  OwnedConfig owned;
  AmortisedConfig amortised;
  SiteConfig site;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("gpu", &PriceConfig::gpu, {"money"});
    field("source", &PriceConfig::source, {kLabel});
    field("pue", &PriceConfig::pue, {"money"});
    field("pue_stated", &PriceConfig::pue_stated, {.cause = "money", .resolved = true});
    field("model", &PriceConfig::model, {"money"});
    field("stated", &PriceConfig::stated, {.cause = "money", .resolved = true});
    field("rental", &PriceConfig::rental);
    field("owned", &PriceConfig::owned);
    field("amortised", &PriceConfig::amortised);
    field("site", &PriceConfig::site);
  }
};

/// GPU-hours or money, for something with a name.
struct Spending {
  std::string name;
  double gpu_hours = 0;
  Usd cost;
  std::string source;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("name", &Spending::name, {"money"});
    field("gpu_hours", &Spending::gpu_hours, {"money"});
    field("cost", &Spending::cost, {"money"});
    field("source", &Spending::source, {kLabel});
  }
};

struct StaffConfig {
  double people = 0, usd_per_year = 0, years = 0;
  std::string source;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("people", &StaffConfig::people, {"money"});
    field("usd_per_year", &StaffConfig::usd_per_year, {"money"});
    field("years", &StaffConfig::years, {"money"});
    field("source", &StaffConfig::source, {kLabel});
  }
};

struct ProgrammeConfig {
  double experiments = 0, failed_runs = 0;  ///< over the GPU-hours of the final run
  double idle = 0;                          ///< of the GPU-hours paid for
  std::vector<Spending> predecessors, data, other;
  StaffConfig staff;
  std::string source;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("experiments", &ProgrammeConfig::experiments, {"money"});
    field("failed_runs", &ProgrammeConfig::failed_runs, {"money"});
    field("idle", &ProgrammeConfig::idle, {"money"});
    field("predecessor", &ProgrammeConfig::predecessors, {.cause = "money", .resolved = true});
    field("data", &ProgrammeConfig::data, {.cause = "money", .resolved = true});
    field("other", &ProgrammeConfig::other, {.cause = "money", .resolved = true});
    field("staff", &ProgrammeConfig::staff);
    field("source", &ProgrammeConfig::source, {kLabel});
  }
};

/// One day of a service, as published or measured.
struct GivenServiceConfig {
  double nodes = 0;
  double input_tokens = 0;  ///< cached ones included
  double cached_tokens = 0, output_tokens = 0;
  double prefill_share = 0;  ///< of the GPU-hours
  double cached_work = 0;    ///< of a cached input token, over that of another
  std::string source;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("nodes", &GivenServiceConfig::nodes, {"money"});
    field("input_tokens", &GivenServiceConfig::input_tokens, {"money"});
    field("cached_tokens", &GivenServiceConfig::cached_tokens, {"money"});
    field("output_tokens", &GivenServiceConfig::output_tokens, {"money"});
    field("prefill_share", &GivenServiceConfig::prefill_share, {"money"});
    field("cached_work", &GivenServiceConfig::cached_work, {"money"});
    field("source", &GivenServiceConfig::source, {kLabel});
  }
};

struct MarketConfig {
  std::string vendor, model;
  std::optional<double> input, cached, output;  ///< USD per million tokens
  double elasticity = 0;
  std::string source;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("vendor", &MarketConfig::vendor, {"money"});
    field("model", &MarketConfig::model, {"money"});
    field("input", &MarketConfig::input, {"money"});
    field("cached", &MarketConfig::cached, {"money"});
    field("output", &MarketConfig::output, {"money"});
    field("elasticity", &MarketConfig::elasticity, {"money"});
    field("source", &MarketConfig::source, {kLabel});
  }
};

/// A distribution as it was stated; analysis/money/sums/distribution.h draws from it.
struct SpreadConfig {
  enum class Kind { normal, log_normal, triangular, uniform, empirical };
  Kind kind = Kind::normal;
  double a = 0, b = 0, c = 0;  ///< mean, sd; 5 %, 95 %; low, mode, high; low, high
  std::vector<double> values;  ///< empirical

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("kind", &SpreadConfig::kind, {.cause = "money", .resolved = true});
    field("a", &SpreadConfig::a, {.cause = "money", .resolved = true});
    field("b", &SpreadConfig::b, {.cause = "money", .resolved = true});
    field("c", &SpreadConfig::c, {.cause = "money", .resolved = true});
    field("values", &SpreadConfig::values, {.cause = "money", .resolved = true});
  }
};

struct UncertainConfig {
  std::string input;
  SpreadConfig spread;
  bool relative = false;  ///< factors on the input
  std::string source;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("input", &UncertainConfig::input, {"money"});
    field("spread", &UncertainConfig::spread, {.resolved = true});
    field("relative", &UncertainConfig::relative, {"money"});
    field("source", &UncertainConfig::source, {kLabel});
  }
};

struct CorrelatedConfig {
  std::string first, second;
  double rank = 0;  ///< Spearman's coefficient

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("input", &CorrelatedConfig::first, {.cause = "money", .shown = "first", .resolved = true});
    field("input", &CorrelatedConfig::second, {.cause = "money", .shown = "second", .resolved = true});
    field("rank", &CorrelatedConfig::rank, {"money"});
  }
};

struct UncertaintyConfig {
  std::vector<UncertainConfig> uncertain;
  std::vector<CorrelatedConfig> correlated;
  bool usual_spreads = true;
  int draws = 0;
  std::uint64_t seed = 0;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("uncertain", &UncertaintyConfig::uncertain, {.cause = "money", .resolved = true});
    field("correlated", &UncertaintyConfig::correlated, {.cause = "money", .resolved = true});
    field("usual_spreads", &UncertaintyConfig::usual_spreads, {"money"});
    field("draws", &UncertaintyConfig::draws, {"money"});
    field("seed", &UncertaintyConfig::seed, {"money"});
  }
};

}  // namespace flopcast
