// What the classes of a traffic ask of a replica's queue: who comes first, what share, and until when.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "workloads/serving/base/clock.h"

namespace flopcast {

struct ClassRule {
  int priority = 0;   ///< higher ones come first
  double weight = 1;  ///< share of the service among those of one priority, where they wait
  /// After a request's arrival: without its first token, without its last one by then it is dropped.
  Ticks first_token_deadline = kNeverTick, deadline = kNeverTick;
};

struct ClassRules {
  std::vector<ClassRule> of;  ///< by class
  /// Requests of lower priority that decode give way to one that waits.
  bool preempt = false;

  bool weights_stated = false;  ///< equal ones share too, where they are; else streams are served as they come

  bool ordered() const {
    if (weights_stated && of.size() > 1) return true;
    return std::any_of(of.begin(), of.end(), [&](const ClassRule& rule) {
      return rule.priority != of.front().priority || rule.weight != of.front().weight;
    });
  }
  bool deadlines() const {
    return std::any_of(of.begin(), of.end(), [](const ClassRule& rule) {
      return std::min(rule.first_token_deadline, rule.deadline) != kNeverTick;
    });
  }
};

}  // namespace flopcast
