// The fields of a resolved scenario on which its time depends, in groups that a person would name. Which there are, and
// the group of each, is what the structs themselves say of their fields (sim/base/fields.h).
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "scenarios/resolve/scenario.h"
#include "sim/base/fields.h"

namespace flopcast {

struct ScenarioField {
  std::string group;  ///< id of a FieldGroup
  std::string name;   ///< as in scenario files
  std::function<bool(const Scenario&, const Scenario&)> same;
  std::function<void(const Scenario& from, Scenario& to)> copy;
  std::function<std::string(const Scenario&)> text;  ///< the value for people; empty: not worth showing
};
/// Of scenarios with `training`, of those with `serving`, or of those with `rl`.
std::span<const ScenarioField> training_fields();
std::span<const ScenarioField> serving_fields();
std::span<const ScenarioField> rl_fields();

struct FieldGroup {
  std::string_view id;
  std::string_view title;
  bool structure;  ///< model, plan, batch or schedule, which lean on each other
};
/// In the order in which causes are turned on: hardware from the inside out, then the work.
std::span<const FieldGroup> field_groups();

/// Groups of fields that no time depends on: words, watts, and dollars.
inline constexpr std::string_view kUntimedGroups[] = {kLabel, "power", "money"};

}  // namespace flopcast
