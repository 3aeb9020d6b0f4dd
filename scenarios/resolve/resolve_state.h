// What the parts of a scenario share while they are resolved. Internal to scenarios/resolve.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/fields/section.h"
#include "scenarios/read/libraries/libraries.h"
#include "scenarios/read/text/file_rule.h"
#include "scenarios/resolve/scenario.h"
#include "sim/base/diagnostic.h"

namespace flopcast {

inline constexpr std::string_view kGradientsField = "training.precision.gradients";

struct ResolveState {
  proto::Scenario in_;
  Places places_;
  std::string file_;
  Diagnostics faults_;
  const Libraries& libraries_;
  const FileRule& rule_;
  bool open_;                               // the plan is still to be chosen: nothing is said of it
  std::vector<std::string> habits_used_{};  // of engines' profiles
  std::vector<std::string> decided_{};      // fields that something else than their default decides: said as habits
  Scenario out_{};
  ModelConfig model_{};
  bool cluster_known_ = false;
  bool model_known_ = false;

  bool sound(const std::string& path) const { return is_sound(faults_, path); }
  void add(const std::string& path, std::string found, std::string expected, std::string suggestion = "") {
    faults_.push_back(places_.fault(path, std::move(found), std::move(expected), std::move(suggestion)));
  }
  /// Runs `body`; faults of library files that it meets join the list.
  template <class Body>
  bool gather(Body body) {
    const std::size_t before = faults_.size();
    try {
      body();
    } catch (const InputError& error) {
      faults_.insert(faults_.end(), error.diagnostics().begin(), error.diagnostics().end());
    }
    return faults_.size() == before;
  }
};

/// `training { ... }`. @post out_.training
void resolve_training(ResolveState& state);
/// The phases of a run. After resolve_training().
void resolve_phases(ResolveState& state);

}  // namespace flopcast
