// Conditions and goals over the figures of a scenario and its report, as people write them: "training.peak_memory_bytes
// < 0.9 hbm", "cost.total_usd < $8 M and projection.days <= 60", "training.plan.tensor * training.plan.pipeline >= 8",
// "serving.slo_attainment >= 99 %", "training.schedule == 'dualpipe'". Searches and sweeps share them.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace flopcast {

struct Metric;
struct Scenario;

/// What a name stands for.
struct NamedValue {
  /// monostate: there is no value here, so that nothing can be said of a condition that rests on it.
  std::variant<std::monostate, double, bool, std::string> value;
  /// Of a number: a unit of the metrics table ("s", "bytes", "days", "USD/h", "TFLOPS", ...); "" and "1" have none.
  std::string unit = {};
};

/// Asks for the value of a name; absent where there is no such name.
using NameLookup = std::function<std::optional<NamedValue>(std::string_view name)>;

/// Parsed once, evaluated often. Immutable; copies share the parsed form.
///
///     condition  = condition ("or" | "and") condition | "not" condition | comparison
///     comparison = sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)...        a < b < c is both
///     sum        = the usual + - * /, parentheses, min(a, b), max(a, b), mod(a, b), abs(a), log2(a)
///     value      = number with its unit ("80 GB", "50 ms", "14.8 T", "2 USD/h", "$8 M", "40 %"), name, 'text', true
///
/// A number before a name multiplies it: "0.9 hbm". A number without a unit beside a figure is in the figure's own
/// unit: "projection.days < 60". Figures whose units do not fit together are refused.
class MetricExpression {
 public:
  /// @throws InputError with one diagnostic that says where it goes wrong.
  explicit MetricExpression(const std::string& text);

  const std::string& text() const;
  /// Those that it asks for, in the order in which they first stand there.
  const std::vector<std::string>& names() const;
  /// Whether it is true or false rather than a number.
  bool is_condition() const;

  /// @pre is_condition(). Absent: a name that decides has no value, or there is none of that name.
  /// @throws InputError where texts, numbers or units are compared that cannot be.
  std::optional<bool> holds(const NameLookup& lookup) const;
  /// @pre not is_condition(). In the unit of its figures: "projection.days * 24" is a number of days.
  std::optional<double> number(const NameLookup& lookup) const;

  struct Node;  ///< of the parsed form
  const Node& root() const { return *root_; }

 private:
  std::shared_ptr<const Node> root_;
  std::shared_ptr<const std::vector<std::string>> names_;
  std::string text_;
};

/// What is wrong with an expression, in the words of a Diagnostic.
struct ExpressionFault {
  std::string found, expected, suggestion;
};
/// Everything wrong with an expression beyond its form, given what each name will be (any value of the right kind, with
/// its unit): unknown names with the nearest of `known`, texts compared with numbers, seconds with bytes.
std::vector<ExpressionFault> faults_of(const MetricExpression& expression, const NameLookup& kinds,
                                       const std::vector<std::string>& known);

/// Two conditions of which each leaves one figure a range, and the ranges do not meet; or one that leaves none. Looks
/// at comparisons of a name with a plain value that are joined by "and"; what it does not find may still contradict.
/// @param kinds units of names, as above. @return indices (equal: the one by itself).
std::optional<std::pair<std::size_t, std::size_t>> contradiction(std::span<const MetricExpression> conditions,
                                                                 const NameLookup& kinds);

/// Names from a report's metrics.
NameLookup metric_lookup(std::span<const Metric> metrics);
/// The same for metrics without values, each as some value of its kind: for faults_of().
NameLookup metric_kinds_lookup(std::span<const Metric> metrics);

/// Figures of the hardware that conditions may name beside metrics, such as hbm, the memory of a GPU that programs may
/// use. @{
std::optional<NamedValue> hardware_value(const Scenario& scenario, std::string_view name);
/// As some value of its kind.
std::optional<NamedValue> hardware_kind(std::string_view name);
/// @}

/// Names that a condition on these metrics may use, those of hardware among them: a fault names the nearest.
std::vector<std::string> usable_names(std::span<const Metric> metrics);

}  // namespace flopcast
