// What laws are written with.
#pragma once
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "flopcast/metrics.h"
#include "flopcast/run.h"
#include "tests/laws/random_scenarios.h"

namespace flopcast::testing {

inline constexpr double kRounding = 1e-9;
using Sets = std::vector<std::string>;

// Each says nothing where it holds, else what is wrong.

inline std::string at_most(double a, double b, const char* what, double tolerance = kRounding) {
  return a <= b * (1 + tolerance) + 1e-15 ? "" : fmt::format("{}: {:.12g} > {:.12g}", what, a, b);
}
inline std::string equal(double a, double b, const char* what, double tolerance = kRounding) {
  return std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b)) + 1e-15
             ? ""
             : fmt::format("{}: {:.12g} is not {:.12g}", what, a, b);
}
inline std::string within(double low, double value, double high, const char* what) {
  return value >= low - kRounding && value <= high + kRounding
             ? ""
             : fmt::format("{}: {:.12g} is not within {:g} and {:g}", what, value, low, high);
}
inline std::string all_finite(const Report& report) {
  for (const Metric& metric : metrics(report)) {
    if (const auto number = metric.number(); number && !std::isfinite(*number)) return metric.name + " is not finite";
  }
  return {};
}
inline std::string same_bytes(const std::string& text, const RunSettings& settings = {}) {
  return run_text(text, {}, settings).json() == run_text(text, {}, settings).json() ? "" : "two runs differ";
}

/// The number that follows `key` in the text of a scenario, with a unit ("512 B") or without. Skips scenarios without
/// it.
inline int stated(const std::string& text, const std::string& key) {
  const std::size_t at = text.find(key + ": ");
  if (at == std::string::npos) throw Skip{};
  const char* const value = text.c_str() + at + key.size() + 2;
  return std::atoi(value + (*value == '"' ? 1 : 0));
}
inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

inline double figure(const std::string& text, const std::string& metric, const Sets& sets = {}) {
  return value_of(run_text(text, sets), metric);
}

}  // namespace flopcast::testing
