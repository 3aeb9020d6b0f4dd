#include "analysis/studies/plan/plan_conditions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "analysis/runs/metrics.h"
#include "analysis/studies/figure_names.h"
#include "sim/base/diagnostic.h"

namespace flopcast {

NameLookup screened_lookup(const Scenario& scenario, const PlanChoice& choice, const StepEstimate& estimate) {
  return [&scenario, choice, estimate](std::string_view name) -> std::optional<NamedValue> {
    if (name == "training.peak_memory_bytes") return NamedValue{estimate.memory.value(), "bytes"};
    for (const PlanField& field : plan_fields()) {
      if (field.path != name) continue;
      const std::string value = field.value(choice);
      if (field.is_switch) return NamedValue{value == "true"};
      char* end = nullptr;
      const double number = std::strtod(value.c_str(), &end);
      if (!value.empty() && *end == '\0') return NamedValue{number, "count"};
      return NamedValue{value, "text"};
    }
    return hardware_value(scenario, name);
  };
}

std::vector<MetricExpression> conditions_of(const Scenario& scenario, const std::vector<std::string>& where) {
  std::vector<MetricExpression> conditions;
  std::vector<Diagnostic> faults;
  FigureNames names;
  names.add(expected_metrics(scenario));
  std::vector<std::string> fields;
  for (const PlanField& field : plan_fields()) fields.emplace_back(field.path);
  PlanChoice any;
  any.schedule = 0;
  names.add(fields, screened_lookup(scenario, any, {}));
  for (const std::string& text : where) {
    const auto condition = names.checked(text, [&](const ExpressionFault& fault) {
      faults.push_back({"", 0, 0, "--where", fault.found, fault.expected, fault.suggestion});
    });
    if (!condition) continue;
    conditions.push_back(*condition);
    if (!condition->is_condition())
      faults.push_back({"", 0, 0, "--where", text, "a condition, such as training.peak_memory_bytes < 0.9 hbm", ""});
  }
  if (!faults.empty()) throw InputError(std::move(faults));
  if (const auto both = contradiction(conditions, names.kinds())) {
    const std::string& first = where[both->first];
    const std::string& second = where[both->second];
    throw InputError(Diagnostic{"", 0, 0, "--where", first == second ? first : first + " and " + second,
                                "conditions that something can meet", ""});
  }
  return conditions;
}

std::optional<bool> all_hold(std::span<const MetricExpression> where, const NameLookup& lookup) {
  std::optional<bool> all = true;
  for (const MetricExpression& condition : where) {
    const std::optional<bool> holds = condition.holds(lookup);
    if (holds == false) return false;
    if (!holds) all = std::nullopt;
  }
  return all;
}

bool asks_for_projection(std::span<const MetricExpression> where) {
  for (const MetricExpression& condition : where) {
    for (const std::string& name : condition.names()) {
      if (name.starts_with("projection.") || name.starts_with("cost.")) return true;
    }
  }
  return false;
}

std::vector<std::string> unmet_conditions(std::span<const MetricExpression> where,
                                          const std::vector<ReplayedPlan>& plans) {
  std::vector<std::string> out;
  for (std::size_t c = 0; c < where.size(); ++c) {
    const bool met = std::any_of(plans.begin(), plans.end(), [&](const ReplayedPlan& plan) {
      return plan.fits && plan.conditions[c].holds != std::optional<bool>(false);
    });
    if (met) continue;
    std::vector<std::string> seen;
    for (std::size_t n = 0; n < where[c].names().size(); ++n) {
      double low = std::numeric_limits<double>::infinity(), high = -low;
      for (const ReplayedPlan& plan : plans) {
        const double value = plan.conditions[c].figures[n];
        if (!plan.fits || !std::isfinite(value)) continue;
        low = std::min(low, value);
        high = std::max(high, value);
      }
      if (low <= high) seen.push_back(fmt::format("{} from {:.4g} to {:.4g}", where[c].names()[n], low, high));
    }
    out.push_back(fmt::format("no plan meets {}{}", where[c].text(),
                              seen.empty() ? "" : fmt::format(" ({})", fmt::join(seen, ", "))));
  }
  if (out.empty()) out.emplace_back("each is met by some plan, all of them by none");
  return out;
}

}  // namespace flopcast
