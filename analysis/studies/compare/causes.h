// What makes two scenarios differ in time: groups of fields in which they differ, or named causes.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// Something that can be turned on by itself.
struct Cause {
  std::string id;      ///< "nvlink"
  std::string title;   ///< "links between GPUs of a node"
  std::string change;  ///< "nvlink_bandwidth 450 GB/s -> 200 GB/s"
  std::function<void(Scenario&)> apply;
};

/// The groups of fields in which two scenarios of a kind differ, each turning `from`'s values into `to`'s.
/// @param whole_structure model, plan, batch and schedule as one cause: where half a change makes no sound
/// scenario.
std::vector<Cause> differences(const Scenario& from, const Scenario& to, bool whole_structure);

/// A technique undone or a limit changed, whatever the scenario.
struct NamedCause {
  std::string_view id;
  std::string_view title;
  std::string_view topic;  ///< two causes of one topic exclude each other
  enum class Of : std::uint8_t { any, both, training, serving, loop } of;  ///< both: of training and serving
  /// What it changes in this scenario, as Cause::change; empty: nothing to change here.
  std::string (*change)(const Scenario&);
  void (*apply)(const Scenario& original, Scenario&);  ///< sizes are taken from the original
};
std::span<const NamedCause> named_causes();

/// @throws InputError for unknown names (with the nearest), two of one topic, and what does not apply to the
/// scenario.
std::vector<Cause> causes_by_name(std::span<const std::string> ids, const Scenario& scenario);

/// What a loader would refuse in a scenario that was put together from others; empty: it is sound.
std::string unsound(const Scenario& scenario);

}  // namespace flopcast
