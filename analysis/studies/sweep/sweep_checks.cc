#include "analysis/studies/sweep/sweep_checks.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "analysis/studies/constraints.h"
#include "analysis/studies/sweep/field_values.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/proto/study.pb.h"

namespace flopcast {

void check_once(const SweepAxis& axis, const AxisPlace& at, const Places& places, Diagnostics& faults) {
  std::set<std::pair<std::string, std::vector<std::string>>> seen;
  for (std::size_t i = 0; i < axis.values.size(); ++i) {
    const AxisValue& value = axis.values[i];
    if (seen.insert({value.scenario, value.sets}).second) continue;
    const std::string field = at.axis->value_size() > 0   ? fmt::format("{}.value[{}]", at.path, i)
                              : at.axis->point_size() > 0 ? fmt::format("{}.point[{}]", at.path, i)
                                                          : at.path;
    faults.push_back(places.fault(field, quoted(value.cells.front()) + " twice", "each value once"));
  }
}

void check_settings(const SweepStudy& study, std::size_t own, const std::vector<std::string>& places_of_axes,
                    const Places& places, Diagnostics& faults) {
  std::map<std::string, std::size_t> varied;  // by the axis that varies it
  for (std::size_t a = 0; a < study.axes.size(); ++a) {
    for (const AxisValue& value : study.axes[a].values) {
      for (const std::string& set : value.sets) {
        const std::string path = set.substr(0, set.find('='));
        const auto [known, fresh] = varied.try_emplace(path, a);
        if (fresh || known->second == a) continue;
        faults.push_back(places.fault(places_of_axes[a], path + ", which another axis varies too",
                                      "one axis over a field, or joint axes"));
        known->second = a;  // said once
      }
    }
  }
  for (std::size_t i = 0; i < study.sets.size(); ++i) {
    const std::string path = study.sets[i].substr(0, study.sets[i].find('='));
    if (!varied.contains(path)) continue;
    const std::string found = path + ", which an axis varies", expected = "a setting of a field that no axis varies";
    if (i < own)
      faults.push_back(places.fault(fmt::format("set[{}]", i), found, expected));
    else
      faults.push_back({"", 0, 0, "--set", found, expected, ""});
  }
}

std::vector<std::string> names_in_conditions(const SweepStudy& study, std::span<const Metric> metrics) {
  std::vector<std::string> names = usable_names(metrics);
  for (const SweepAxis& axis : study.axes)
    for (const AxisColumn& column : axis.columns) names.push_back(column.name);
  return names;
}

void check_conditions(const proto::Study& in, const SweepStudy& study, const std::vector<Metric>& metrics,
                      const Places& places, Diagnostics& faults) {
  const std::vector<std::string> known = names_in_conditions(study, metrics);
  const auto look = [&](const std::string& text, const std::string& place) {
    try {
      const MetricExpression expression(text);
      for (const std::string& name : expression.names()) {
        const bool is_field = field_at(*proto::Scenario::descriptor(), name) != nullptr;
        if (metrics.empty() || is_field || std::find(known.begin(), known.end(), name) != known.end()) continue;
        faults.push_back(places.fault(place, quoted(name), "a name that a figure has", nearest_name(name, known)));
      }
    } catch (const InputError& error) {
      for (const Diagnostic& d : error.diagnostics())
        faults.push_back(places.fault(place, d.found, d.expected, d.suggestion));
    }
  };
  for (int i = 0; i < in.constraint_size(); ++i) look(in.constraint(i), fmt::format("constraint[{}]", i));
  for (int i = 0; i < in.goal_size(); ++i) {
    const std::string& text = in.goal(i);
    const std::string place = fmt::format("goal[{}]", i);
    if (const std::optional<StatedGoal> stated = stated_goal(text)) {
      look(stated->figure, place);
    } else {
      faults.push_back(
          places.fault(place, quoted(text), "\"min\" or \"max\" and a figure, such as \"min training.step_time_s\""));
    }
  }
}

}  // namespace flopcast
