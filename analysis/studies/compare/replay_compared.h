// The replays that a comparison is made of, each in a process of its own: whole scenarios, and the states that causes
// lead to.
#pragma once
#include <string>
#include <vector>

#include "analysis/studies/compare/compare.h"

namespace flopcast {

/// What a comparison shows of each scenario, in their order. Does not mind what does not fit: a remark says so.
std::vector<ComparedScenario> replay_all(const std::vector<Scenario>& scenarios, const CompareOptions& options);

/// One state replayed.
struct StateResult {
  std::string fault;      ///< why it cannot run; empty: it ran
  QuickStep step;         ///< of training, or of a loop
  ServedFigures service;  ///< or of serving
  int gpus = 0;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("fault", &StateResult::fault);
    field("step", &StateResult::step);
    field("service", &StateResult::service);
    field("gpus", &StateResult::gpus);
  }
};
/// All of one kind, as the first.
std::vector<StateResult> replay_states(const std::vector<Scenario>& scenarios, const CompareOptions& options);

}  // namespace flopcast
