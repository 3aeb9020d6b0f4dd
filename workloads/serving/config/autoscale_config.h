// How the number of replicas of a pool follows its load, as it is stated.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/fields.h"
#include "sim/base/units.h"

namespace flopcast {

/// What the number of replicas follows.
enum class ScaleBy : std::uint8_t {
  load,      ///< what they do over the most they can
  queue,     ///< requests that wait
  slo,       ///< latencies over the strictest promised
  schedule,  ///< the time of the day
};
constexpr std::array<std::string_view, 4> enum_names(ScaleBy) { return {"load", "queue", "slo", "schedule"}; }

/// Replicas from a time of the day on.
struct ScaleStep {
  Seconds at;
  int replicas = 1;
};

/// Replicas follow the load of their pool. A new one takes `startup` to load its weights; a surplus one gets no further
/// requests and goes when it has answered those it has.
struct AutoscaleConfig {
  bool on = false;
  int minimum = 1;
  Seconds interval{60};  ///< between decisions
  Seconds startup{300};
  double target = 0.7;  ///< load of a replica that is wanted
  ScaleBy by = ScaleBy::load;
  double queue = 4;  ///< requests that wait, per replica: more ask for another
  Seconds hold{0};   ///< a replica goes only when it was not wanted for so long
  bool standby = false;
  std::vector<ScaleStep> steps{};  ///< in the order of time
  Seconds day{86400};              ///< after which the steps begin again
  std::string steps_text{};        ///< as the file has them

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("on", &AutoscaleConfig::on, {.cause = "upkeep", .shown = "autoscale", .resolved = true});
    field("minimum", &AutoscaleConfig::minimum, {"upkeep"});
    field("interval", &AutoscaleConfig::interval, {"upkeep"});
    field("startup", &AutoscaleConfig::startup, {"upkeep"});
    field("target", &AutoscaleConfig::target, {"upkeep"});
    field("by", &AutoscaleConfig::by, {"upkeep"});
    field("queue", &AutoscaleConfig::queue, {"upkeep"});
    field("hold", &AutoscaleConfig::hold, {"upkeep"});
    field("standby", &AutoscaleConfig::standby, {"upkeep"});
    field("step", &AutoscaleConfig::steps_text, {.cause = "upkeep", .shown = "steps", .resolved = true});
    field.aside(&AutoscaleConfig::steps, "step");
    field.aside(&AutoscaleConfig::day, "haste of the replay");
  }
};

}  // namespace flopcast
