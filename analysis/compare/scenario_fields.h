// The fields of a resolved training scenario on which its time depends, in groups that a person would name.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "scenarios/scenario.h"

namespace flopcast {

struct ScenarioField {
  std::string_view group;  ///< id of a FieldGroup
  std::string_view name;   ///< as in scenario files
  bool (*same)(const Scenario&, const Scenario&);
  void (*copy)(const Scenario& from, Scenario& to);
  std::string (*text)(const Scenario&);  ///< the value for people; empty: not worth showing
};
/// Every one needs `training`.
std::span<const ScenarioField> scenario_fields();

struct FieldGroup {
  std::string_view id;
  std::string_view title;
  bool structure;  ///< model, plan, batch or schedule, which lean on each other
};
/// In the order in which causes are turned on: hardware from the inside out, then the work.
std::span<const FieldGroup> field_groups();

}  // namespace flopcast
