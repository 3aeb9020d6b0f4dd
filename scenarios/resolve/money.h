// What a scenario says about money, resolved. What it left open is looked up in dated prices later: analysis/money/.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "scenarios/read/date.h"
#include "sim/base/units.h"

namespace flopcast {

enum class PriceModel { stated, rental, owned, amortised };

struct RentalConfig {
  std::string term = "on demand";
  std::string provider;  ///< empty: the middle of all
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
};

struct AmortisedConfig {
  std::optional<Usd> server;
  std::optional<Date> available;
  double progress = 0;       ///< orders of magnitude per year
  double network_share = 0;  ///< of the cluster's price
  double power_share = 0;    ///< average draw over rated power
};

struct SiteConfig {
  std::optional<double> electricity_usd_per_kwh, colocation_usd_per_kw_month;
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
};

/// GPU-hours or money, for something with a name.
struct Spending {
  std::string name;
  double gpu_hours = 0;
  Usd cost;
  std::string source;
};

struct StaffConfig {
  double people = 0, usd_per_year = 0, years = 0;
  std::string source;
};

struct ProgrammeConfig {
  double experiments = 0, failed_runs = 0;  ///< over the GPU-hours of the final run
  double idle = 0;                          ///< of the GPU-hours paid for
  std::vector<Spending> predecessors, data, other;
  StaffConfig staff;
  std::string source;
};

/// One day of a service, as published or measured.
struct GivenServiceConfig {
  double nodes = 0;
  double input_tokens = 0;  ///< cached ones included
  double cached_tokens = 0, output_tokens = 0;
  double prefill_share = 0;  ///< of the GPU-hours
  double cached_work = 0;    ///< of a cached input token, over that of another
  std::string source;
};

struct MarketConfig {
  std::string vendor, model;
  std::optional<double> input, cached, output;  ///< USD per million tokens
  double elasticity = 0;
  std::string source;
};

/// A distribution as it was stated; analysis/money/distribution.h draws from it.
struct SpreadConfig {
  enum class Kind { normal, log_normal, triangular, uniform, empirical };
  Kind kind = Kind::normal;
  double a = 0, b = 0, c = 0;  ///< mean, sd; 5 %, 95 %; low, mode, high; low, high
  std::vector<double> values;  ///< empirical
};

struct UncertainConfig {
  std::string input;
  SpreadConfig spread;
  bool relative = false;  ///< factors on the input
  std::string source;
};

struct CorrelatedConfig {
  std::string first, second;
  double rank = 0;  ///< Spearman's coefficient
};

struct UncertaintyConfig {
  std::vector<UncertainConfig> uncertain;
  std::vector<CorrelatedConfig> correlated;
  bool usual_spreads = true;
  int draws = 0;
  std::uint64_t seed = 0;
};

}  // namespace flopcast
