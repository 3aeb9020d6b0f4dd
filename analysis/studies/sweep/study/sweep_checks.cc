#include "analysis/studies/sweep/study/sweep_checks.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "analysis/studies/figure_names.h"
#include "analysis/studies/sweep/study/field_values.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/proto/study.pb.h"

namespace flopcast {

void check_once(const SweepAxis& axis, const AxisPlace& at, const Places& places, Diagnostics& faults) {
  // Neither may tables show two candidates that nothing tells apart.
  std::set<std::pair<std::string, std::vector<std::string>>> seen;
  std::set<std::string> names;
  for (std::size_t i = 0; i < axis.values.size(); ++i) {
    const AxisValue& value = axis.values[i];
    const bool named_once = names.insert(value.cells.front()).second;
    if (seen.insert({value.scenario, value.sets}).second && named_once) continue;
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

std::vector<std::string> axis_columns(const SweepStudy& study) {
  std::vector<std::string> names;
  for (const SweepAxis& axis : study.axes)
    for (const AxisColumn& column : axis.columns) names.push_back(column.name);
  return names;
}

void check_conditions(const proto::Study& in, const SweepStudy& study, const std::vector<Metric>& metrics,
                      const Places& places, Diagnostics& faults) {
  // Kinds are not known yet: any name that there is will do, and any at all where metrics are not known.
  FigureNames names;
  const std::vector<std::string> columns = axis_columns(study);
  names.add(columns, [&](std::string_view name) -> std::optional<NamedValue> {
    const bool there = metrics.empty() || std::find(columns.begin(), columns.end(), name) != columns.end() ||
                       field_at(*proto::Scenario::descriptor(), name) != nullptr;
    return there ? std::optional(NamedValue{}) : std::nullopt;
  });
  const std::vector<std::string> figures = usable_names(metrics);
  names.add(figures, [&](std::string_view name) -> std::optional<NamedValue> {
    const bool there = std::find(figures.begin(), figures.end(), name) != figures.end();
    return there ? std::optional(NamedValue{}) : std::nullopt;
  });
  const auto look = [&](const std::string& text, const std::string& place) {
    names.checked(text, [&](const ExpressionFault& f) {
      faults.push_back(places.fault(place, f.found, f.expected, f.suggestion));
    });
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
