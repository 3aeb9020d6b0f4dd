// Every number and word that a report gives on its own, each under one name: what docs/metrics.md lists.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "flopcast/export.h"

namespace flopcast {

class Report;

/// There is no value, and why.
struct Absent {
  std::string reason;
  /// So is everything else of this part of the report: JSON leaves the part out.
  bool whole_part = false;
};

/// Numbers are finite.
using MetricValue = std::variant<Absent, double, std::uint64_t, bool, std::string>;

struct Metric {
  /// Path of the field in the JSON report: "training.step_time_s", "projection.phases[pre-training].gpu_hours". An
  /// entry of a list goes by its name, or by its place in the list where it has none of its own.
  std::string name;
  std::string unit;     ///< "s", "bytes", "tokens/s"; "1" of shares and ratios, "count", "text", "yes/no"
  std::string title;    ///< as tables for people call it: "step"
  std::string meaning;  ///< for somebody who sees the metric for the first time
  MetricValue value;
  std::string (*text)(double) = nullptr;  ///< 19.926 -> "19.926 s"

  /// Of metrics that are numbers and have one.
  FLOPCAST_API std::optional<double> number() const;
  /// The value for people; empty where there is none.
  FLOPCAST_API std::string shown() const;
};

/// All metrics of the report, those without a value too, in the order of its JSON.
FLOPCAST_API std::vector<Metric> metrics(const Report& report);

}  // namespace flopcast
