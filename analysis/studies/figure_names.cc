#include "analysis/studies/figure_names.h"

#include <utility>

#include "analysis/runs/metrics.h"
#include "sim/base/diagnostic.h"

namespace flopcast {

void FigureNames::add(const std::vector<std::string>& names, NameLookup kinds) {
  known_.insert(known_.end(), names.begin(), names.end());
  kinds_.push_back(std::move(kinds));
}

void FigureNames::add(std::span<const Metric> metrics) {
  add(usable_names(metrics), in_turn(metric_kinds_lookup(metrics), hardware_kind));
}

std::optional<NamedValue> FigureNames::kind(std::string_view name) const {
  for (const NameLookup& lookup : kinds_)
    if (auto found = lookup(name)) return found;
  return std::nullopt;
}

NameLookup FigureNames::kinds() const {
  return [this](std::string_view name) { return kind(name); };
}

std::optional<MetricExpression> FigureNames::checked(const std::string& text,
                                                     const std::function<void(const ExpressionFault&)>& fault) const {
  try {
    MetricExpression expression(text);
    const std::vector<ExpressionFault> faults = faults_of(expression, kinds(), known_);
    for (const ExpressionFault& one : faults) fault(one);
    if (faults.empty()) return expression;
  } catch (const InputError& error) {
    for (const Diagnostic& d : error.diagnostics()) fault({d.found, d.expected, d.suggestion});
  }
  return std::nullopt;
}

NameLookup in_turn(NameLookup first, NameLookup second) {
  return [first = std::move(first), second = std::move(second)](std::string_view name) {
    auto found = first(name);
    return found ? found : second(name);
  };
}

}  // namespace flopcast
