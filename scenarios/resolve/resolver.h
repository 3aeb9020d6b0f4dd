// From what a text states to the scenario that runs: files and libraries are read, defaults filled in, laws checked.
#pragma once
#include <optional>
#include <string>

#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/libraries/libraries.h"
#include "scenarios/read/text/file_rule.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// What a text says, with the overrides, and the faults found in reading it.
struct StatedScenario {
  proto::Scenario scenario;
  Places places;
  Diagnostics faults;
  bool run_changed = false;  ///< Scenario::run_changed
  /// As the text has it, where an override touches the cluster and none the price.
  std::optional<proto::Cluster> priced;
};

/// Whether the plan is still to be chosen: nothing is said of it then.
enum class Openness { settled, open };

/// @param file that the scenario is named after; other files are looked for beside it.
/// @param rule says which files the scenario may open.
/// @throws InputError with all faults, those of `stated` too.
Scenario resolve_message(StatedScenario stated, const std::string& file, const Libraries& libraries,
                         const FileRule& rule, Openness openness);

}  // namespace flopcast
