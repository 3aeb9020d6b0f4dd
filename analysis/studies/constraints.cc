#include "analysis/studies/constraints.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "analysis/studies/constraint_form.h"
#include "flopcast/metrics.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/scenario.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

using Node = MetricExpression::Node;
using NodePointer = std::shared_ptr<const Node>;
using Kind = Node::Kind;

// Evaluating.

/// A number in SI base units beside the unit that its figures are counted in, a text, a switch, or nothing.
struct Figure {
  std::variant<std::monostate, double, bool, std::string> value;
  ExpressionUnit unit = {};
  bool bare = false;
  std::string stated = {};  ///< the unit as the metrics table has it, of a figure that goes by one name
  bool known() const { return value.index() != 0; }
  double number() const { return std::get<double>(value); }
};

[[noreturn]] void refuse(std::string found, std::string expected) {
  throw InputError(Diagnostic{"", 0, 0, "", std::move(found), std::move(expected), ""});
}

std::string kind_of(const Figure& figure) {
  if (std::holds_alternative<std::string>(figure.value)) return "a text";
  if (std::holds_alternative<bool>(figure.value)) return "yes or no";
  return figure.bare ? "a plain number" : words_for(figure.unit.powers);
}

class Evaluation {
 public:
  /// @param whole also looks at what cannot change the result any more.
  Evaluation(const NameLookup& lookup, bool whole = false) : lookup_(lookup), whole_(whole) {}

  std::optional<bool> truth(const Node& node) const {
    switch (node.kind) {
      case Kind::both:
      case Kind::either: {
        const bool decides = node.kind == Kind::either;
        const std::optional<bool> left = truth(*node.parts[0]);
        if (left == decides && !whole_) return left;
        const std::optional<bool> right = truth(*node.parts[1]);
        if (left == decides || right == decides) return decides;
        return left && right ? std::optional(!decides) : std::nullopt;
      }
      case Kind::negation: {
        const std::optional<bool> inner = truth(*node.parts[0]);
        return inner ? std::optional(!*inner) : std::nullopt;
      }
      case Kind::compare:
        return compared(node.word, figure(*node.parts[0]), figure(*node.parts[1]));
      default: {
        const Figure one = figure(node);
        if (!one.known()) return std::nullopt;
        if (!std::holds_alternative<bool>(one.value)) refuse(node.word + ", " + kind_of(one), "a condition");
        return std::get<bool>(one.value);
      }
    }
  }

  Figure figure(const Node& node) const {
    switch (node.kind) {
      case Kind::number:
        return literal(node);
      case Kind::text:
        return {node.word};
      case Kind::truth:
        return {node.number != 0};
      case Kind::name:
        return named(node.word);
      case Kind::call:
        return called(node);
      default:
        return calculated(node.kind, figure(*node.parts[0]), figure(*node.parts[1]));
    }
  }

 private:
  static Figure literal(const Node& node) {
    if (node.bare) return {node.number, {}, true};
    return {node.number, literal_unit(node.unit)};
  }

  Figure named(const std::string& name) const {
    const std::optional<NamedValue> found = lookup_(name);
    if (!found) return {};
    const ExpressionUnit unit = table_unit(found->unit);
    if (const double* number = std::get_if<double>(&found->value))
      return {*number * unit.factor, unit, false, found->unit};
    if (const bool* yes = std::get_if<bool>(&found->value)) return {*yes};
    if (const std::string* text = std::get_if<std::string>(&found->value)) return {*text};
    return {{}, unit, false, found->unit};
  }

  static void check_number(const Figure& figure) {
    if (figure.known() && !std::holds_alternative<double>(figure.value))
      refuse(kind_of(figure), "a number to calculate with");
  }

  /// A bare number beside a figure that is counted counts in the figure's unit. Beside time, data, money, energy or
  /// FLOP it has to say its own, as in --set: "training.peak_memory_bytes < 80" never means 80 bytes. Zero is zero of
  /// each.
  static void adopt(Figure& a, Figure& b) {
    for (auto [bare, other] : {std::pair{&a, &b}, {&b, &a}}) {
      if (!bare->bare || other->bare) continue;
      if (other->unit.powers != UnitPowers{} && bare->known() && bare->number() != 0)
        refuse_bare(bare->number(), *other);
      if (bare->known()) bare->value = bare->number() * other->unit.factor;
      bare->unit = other->unit;
      bare->bare = false;
    }
    if (!(a.unit.powers == b.unit.powers)) refuse(kind_of(a) + " beside " + kind_of(b), "figures of one kind");
  }

  [[noreturn]] static void refuse_bare(double number, const Figure& beside) {
    const std::string unit = beside.stated.empty() ? words_for(beside.unit.powers) : beside.stated;
    // Who leaves it out seldom means bytes.
    const std::string likely = beside.stated == "bytes" ? "GB" : beside.stated == "bytes/s" ? "GB/s" : beside.stated;
    throw InputError(Diagnostic{"", 0, 0, "", fmt::format("{:g} without a unit beside {}", number, unit),
                                "a number with its unit",
                                likely.empty() ? "" : fmt::format("{:g} {}", number, likely)});
  }

  static Figure calculated(Kind kind, Figure a, Figure b) {
    check_number(a);
    check_number(b);
    const bool known = a.known() && b.known();
    if (kind == Kind::add || kind == Kind::subtract) {
      adopt(a, b);
      Figure out{{}, a.unit, a.bare};
      if (known) out.value = kind == Kind::add ? a.number() + b.number() : a.number() - b.number();
      return out;
    }
    const int sign = kind == Kind::multiply ? 1 : -1;
    Figure out{{},
               {sign > 0 ? a.unit.factor * b.unit.factor : a.unit.factor / b.unit.factor,
                combined(a.unit.powers, b.unit.powers, sign)},
               a.bare && b.bare};
    // What is divided by 0 has no value, and decides nothing.
    if (known && (sign > 0 || b.number() != 0))
      out.value = sign > 0 ? a.number() * b.number() : a.number() / b.number();
    return out;
  }

  Figure called(const Node& node) const {
    Figure a = figure(*node.parts[0]);
    check_number(a);
    if (node.parts.size() == 1) {
      if (a.known()) a.value = node.word == "abs" ? std::abs(a.number()) : std::log2(a.number() / a.unit.factor);
      if (node.word == "log2") a.unit = {}, a.bare = true;
      return a;
    }
    Figure b = figure(*node.parts[1]);
    check_number(b);
    adopt(a, b);
    Figure out{{}, a.unit, a.bare};
    if (!a.known() || !b.known()) return out;
    out.value = node.word == "min"   ? std::min(a.number(), b.number())
                : node.word == "max" ? std::max(a.number(), b.number())
                                     : std::fmod(a.number(), b.number());
    return out;
  }

  static std::optional<bool> compared(const std::string& sign, Figure a, Figure b) {
    const bool numbers = std::holds_alternative<double>(a.value) && std::holds_alternative<double>(b.value);
    if (numbers) {
      adopt(a, b);
      return by_sign(sign, a.number(), b.number());
    }
    if (!a.known() || !b.known()) return std::nullopt;
    if (a.value.index() != b.value.index() || (sign != "==" && sign != "!="))
      refuse(fmt::format("{} {} {}", kind_of(a), sign, kind_of(b)), "numbers, or equal kinds with == or !=");
    return (a.value == b.value) == (sign == "==");
  }

  /// Equal within what the last digits of a conversion of units may differ by.
  static bool by_sign(const std::string& sign, double a, double b) {
    const bool equal = a == b || std::abs(a - b) <= 1e-12 * std::max(std::abs(a), std::abs(b));
    if (sign == "==") return equal;
    if (sign == "!=") return !equal;
    if (sign == "<=") return a < b || equal;
    if (sign == ">=") return a > b || equal;
    return !equal && (sign == "<" ? a < b : a > b);
  }

  const NameLookup& lookup_;
  bool whole_;
};

// Contradictions.

/// What conditions leave of one figure, in its own unit.
struct Allowed {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;
  std::optional<std::string> text;
  bool empty = false;

  bool meets(const Allowed& other) const {
    if (empty || other.empty) return false;
    if (text && other.text) return *text == *other.text;
    const double from = std::max(low, other.low), to = std::min(high, other.high);
    if (from < to) return true;
    const bool open = (low_open && low == from) || (other.low_open && other.low == from) || (high_open && high == to) ||
                      (other.high_open && other.high == to);
    return from == to && !open;
  }
};

using AllowedByName = std::map<std::string, Allowed>;

void narrow(Allowed& allowed, const Allowed& more) {
  if (!allowed.meets(more)) allowed.empty = true;
  if (more.low > allowed.low || (more.low == allowed.low && more.low_open))
    allowed.low = more.low, allowed.low_open = more.low_open;
  if (more.high < allowed.high || (more.high == allowed.high && more.high_open))
    allowed.high = more.high, allowed.high_open = more.high_open;
  if (more.text) allowed.text = more.text;
}

/// One comparison of a name with a plain value.
void read_comparison(const Node& node, const NameLookup& kinds, AllowedByName& out) {
  const bool swapped = node.parts[1]->kind == Kind::name;
  const Node &name = *node.parts[swapped ? 1 : 0], &value = *node.parts[swapped ? 0 : 1];
  if (name.kind != Kind::name) return;
  Allowed allowed;
  if (value.kind == Kind::text) {
    if (node.word != "==") return;
    allowed.text = value.word;
  } else if (value.kind == Kind::number) {
    const std::optional<NamedValue> kind = kinds(name.word);
    const double factor = kind && !value.bare ? table_unit(kind->unit).factor : 1;
    const double number = value.number / factor;
    const char sign = node.word == "!=" ? '!' : node.word == "==" ? '=' : (node.word[0] == '<') != swapped ? '<' : '>';
    const bool open = node.word.size() == 1;
    if (sign == '!') return;
    if (sign != '>') allowed.high = number, allowed.high_open = open && sign == '<';
    if (sign != '<') allowed.low = number, allowed.low_open = open && sign == '>';
  } else {
    return;
  }
  narrow(out[name.word], allowed);
}

void read_conditions(const Node& node, const NameLookup& kinds, AllowedByName& out) {
  if (node.kind == Kind::both) {
    for (const NodePointer& part : node.parts) read_conditions(*part, kinds, out);
  } else if (node.kind == Kind::compare) {
    read_comparison(node, kinds, out);
  }
}

}  // namespace

MetricExpression::MetricExpression(const std::string& text) : text_(text) {
  std::vector<std::string> names;
  root_ = parse_expression(text_, names);
  names_ = std::make_shared<const std::vector<std::string>>(std::move(names));
}

const std::string& MetricExpression::text() const { return text_; }
const std::vector<std::string>& MetricExpression::names() const { return *names_; }
bool MetricExpression::is_condition() const { return root_->condition() || root_->kind == Kind::truth; }

std::optional<bool> MetricExpression::holds(const NameLookup& lookup) const { return Evaluation(lookup).truth(*root_); }

std::optional<double> MetricExpression::number(const NameLookup& lookup) const {
  const Figure figure = Evaluation(lookup).figure(*root_);
  if (!figure.known()) return std::nullopt;
  if (!std::holds_alternative<double>(figure.value)) refuse(kind_of(figure), "a number");
  const double value = figure.number() / figure.unit.factor;
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

namespace {

/// The nearest name; one that only lacks what stands before a point is nearer than any other: plan.tensor is
/// training.plan.tensor.
std::string nearest_figure(const std::string& name, const std::vector<std::string>& known) {
  const auto whole =
      std::find_if(known.begin(), known.end(), [&](const std::string& k) { return k.ends_with("." + name); });
  return whole == known.end() ? nearest_name(name, known) : *whole;
}

}  // namespace

std::vector<ExpressionFault> faults_of(const MetricExpression& expression, const NameLookup& kinds,
                                       const std::vector<std::string>& known) {
  std::vector<ExpressionFault> faults;
  for (const std::string& name : expression.names()) {
    if (!kinds(name)) faults.push_back({quoted(name), "a name that a figure has", nearest_figure(name, known)});
  }
  if (!faults.empty()) return faults;
  try {
    const Evaluation all(kinds, true);
    if (expression.is_condition())
      all.truth(expression.root());
    else
      all.figure(expression.root());
  } catch (const InputError& error) {
    for (const Diagnostic& d : error.diagnostics()) faults.push_back({d.found, d.expected, d.suggestion});
  }
  return faults;
}

std::optional<std::pair<std::size_t, std::size_t>> contradiction(std::span<const MetricExpression> conditions,
                                                                 const NameLookup& kinds) {
  std::vector<AllowedByName> allowed(conditions.size());
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    read_conditions(conditions[i].root(), kinds, allowed[i]);
    for (const auto& [name, range] : allowed[i])
      if (range.empty) return std::pair(i, i);
    for (std::size_t j = 0; j < i; ++j) {
      for (const auto& [name, range] : allowed[i]) {
        const auto other = allowed[j].find(name);
        if (other != allowed[j].end() && !range.meets(other->second)) return std::pair(j, i);
      }
    }
  }
  return std::nullopt;
}

NameLookup metric_lookup(std::span<const Metric> metrics) {
  auto by_name = std::make_shared<std::map<std::string, NamedValue, std::less<>>>();
  for (const Metric& metric : metrics) {
    NamedValue& value = (*by_name)[metric.name];
    value.unit = metric.unit;
    if (const auto number = metric.number()) value.value = *number;
    if (const bool* yes = std::get_if<bool>(&metric.value)) value.value = *yes;
    if (const std::string* text = std::get_if<std::string>(&metric.value)) value.value = *text;
  }
  return [by_name](std::string_view name) -> std::optional<NamedValue> {
    const auto found = by_name->find(name);
    return found == by_name->end() ? std::nullopt : std::optional(found->second);
  };
}

NameLookup metric_kinds_lookup(std::span<const Metric> metrics) {
  std::vector<Metric> filled(metrics.begin(), metrics.end());
  for (Metric& metric : filled) {
    if (metric.unit == "text")
      metric.value = std::string();
    else if (metric.unit == "yes/no")
      metric.value = true;
    else
      metric.value = 1.0;
  }
  return metric_lookup(filled);
}

namespace {

struct HardwareRow {
  std::string_view name, unit;
  double (*value)(const ClusterSpec&);
};
constexpr HardwareRow kHardwareRows[] = {
    // What is fitted into, not what the data sheet sells: training.memory_capacity_bytes.
    {"hbm", "bytes", [](const ClusterSpec& c) { return c.node.gpu.hbm_usable().value(); }},
    {"hbm_bandwidth", "bytes/s", [](const ClusterSpec& c) { return c.node.gpu.hbm_bandwidth.value(); }},
    {"nvlink_bandwidth", "bytes/s", [](const ClusterSpec& c) { return c.node.nvlink_bandwidth.value(); }},
    {"nic_bandwidth", "bytes/s", [](const ClusterSpec& c) { return c.node.nic_bandwidth.value(); }},
    {"bf16_peak", "FLOPS", [](const ClusterSpec& c) { return c.node.gpu.bf16_peak.value(); }},
    {"gpus", "count", [](const ClusterSpec& c) { return static_cast<double>(c.gpus()); }},
    {"nodes", "count", [](const ClusterSpec& c) { return static_cast<double>(c.nodes); }},
};

}  // namespace

std::vector<std::string> usable_names(std::span<const Metric> metrics) {
  std::vector<std::string> names;
  for (const HardwareRow& row : kHardwareRows) names.emplace_back(row.name);
  for (const Metric& metric : metrics) names.push_back(metric.name);
  return names;
}

std::optional<NamedValue> hardware_value(const Scenario& scenario, std::string_view name) {
  for (const HardwareRow& row : kHardwareRows)
    if (row.name == name) return NamedValue{row.value(scenario.cluster), std::string(row.unit)};
  return std::nullopt;
}

std::optional<NamedValue> hardware_kind(std::string_view name) {
  for (const HardwareRow& row : kHardwareRows)
    if (row.name == name) return NamedValue{1.0, std::string(row.unit)};
  return std::nullopt;
}

}  // namespace flopcast
