// How rows become metrics: for files that hold rows (../metrics.h says which).
#pragma once
#include <array>
#include <cmath>
#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analysis/runs/parts/run_facts.h"
#include "flopcast/metrics.h"

namespace flopcast {

/// A metric of reports' parts of type `Part`.
template <class Part>
struct MetricRow {
  std::string_view name;  ///< below the part: "step_time_s"
  std::string_view unit;
  std::string_view title;
  std::string_view meaning;
  MetricValue (*value)(const Part&);
  std::string (*text)(double);
};

/// Several values of one figure, such as its quantiles: each is a metric, "ttft_s.p90".
struct MetricQuantile {
  std::string_view name;   ///< "p90"
  std::string_view title;  ///< after the row's: " p90"
  std::string_view meaning;
};
/// Of a figure that is off by a known error.
constexpr std::array<MetricQuantile, 3> kErrorQuantiles{
    {{"p5", ", low", "5 % lie below"}, {"p50", ", median", "half lie below"}, {"p95", ", high", "95 % lie below"}}};

template <class Part, std::size_t N>
struct QuantileRow {
  std::string_view name;
  std::string_view unit;
  std::string_view title;
  std::string_view meaning;
  /// @param at index into the quantiles
  MetricValue (*value)(const Part&, std::size_t at);
  std::string (*text)(double);
};

// Values.

namespace metric_value {
/// A number that is none (a share of nothing, say) is absent.
inline MetricValue number(double value) {
  if (std::isfinite(value)) return value;
  return Absent{"not a finite number"};
}
template <class Quantity>
requires requires(Quantity quantity) {
  { quantity.value() } -> std::convertible_to<double>;
}
MetricValue number(Quantity quantity) { return number(static_cast<double>(quantity.value())); }
template <std::integral Whole>
MetricValue count(Whole value) {
  return static_cast<std::uint64_t>(value);
}
/// Empty texts are absent.
inline MetricValue word(const std::string& text) {
  if (text.empty()) return Absent{"not stated"};
  return text;
}
inline MetricValue yes_or_no(bool value) { return value; }
/// Without a price nothing is known of dollars, which is not the same as $0.
inline MetricValue dollars(Usd value) {
  if (value <= Usd(0)) return Absent{"no price of a GPU-hour is stated"};
  return number(value);
}

}  // namespace metric_value

// For people.

namespace metric_text {
std::string seconds(double value);    ///< "19.926 s"
std::string time(double value);       ///< "4.36 ms"
std::string share(double value);      ///< "38.94 %"
std::string bytes(double value);      ///< "61.2 GB"
std::string rate(double value);       ///< "48.7 GB/s"
std::string tflops(double value);     ///< "385 TFLOPS"
std::string hours(double value);      ///< "2,664,000 h"
std::string days(double value);       ///< "54.8"
std::string usd(double value);        ///< "$5.576 M"
std::string small_usd(double value);  ///< "$0.352"
std::string energy(double value);     ///< "1.93 GWh"
std::string billions(double value);   ///< "272.8 B"
std::string whole(double value);      ///< "14,800"
std::string plain(double value);      ///< four significant digits
}  // namespace metric_text

// Lists.

/// Collects the metrics of a report part by part.
class MetricList {
 public:
  /// @param prefix path of the part with its dot: "training."
  /// @param part null: the report has no such part, for the reason given
  template <class Part>
  void add(const std::string& prefix, std::span<const MetricRow<Part>> rows, const Part* part,
           std::string_view why_absent = {}) {
    for (const MetricRow<Part>& row : rows) {
      MetricValue value = part ? row.value(*part) : missing(why_absent);
      list_.push_back({prefix + std::string(row.name), std::string(row.unit), std::string(row.title),
                       std::string(row.meaning), std::move(value), row.text});
    }
  }

  template <class Part, std::size_t N>
  void add(const std::string& prefix, std::span<const QuantileRow<Part, N>> rows,
           const std::array<MetricQuantile, N>& quantiles, const Part* part, std::string_view why_absent = {}) {
    for (const QuantileRow<Part, N>& row : rows) {
      for (std::size_t at = 0; at < N; ++at) {
        const MetricQuantile& quantile = quantiles[at];
        list_.push_back({prefix + std::string(row.name) + "." + std::string(quantile.name), std::string(row.unit),
                         std::string(row.title) + std::string(quantile.title),
                         std::string(row.meaning) + ": " + std::string(quantile.meaning),
                         part ? row.value(*part, at) : missing(why_absent), row.text});
      }
    }
  }

  std::vector<Metric> take() { return std::move(list_); }

 private:
  static MetricValue missing(std::string_view why) { return Absent{std::string(why), true}; }
  std::vector<Metric> list_;
};

/// Keys of a list's entries, each its own: their names, or their places where a name is empty, a number or not the only
/// one of its kind.
std::vector<std::string> entry_keys(const std::vector<std::string>& names);

// Parts that reports of every kind have.
void add_scenario_metrics(MetricList& list, const Scenario* scenario);
void add_run_metrics(MetricList& list, const RunFacts* run);

}  // namespace flopcast
