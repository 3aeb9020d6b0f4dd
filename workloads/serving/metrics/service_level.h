// What was promised to requests of a class.
#pragma once
#include "sim/base/fields.h"
#include "sim/base/units.h"
#include "workloads/serving/base/clock.h"

namespace flopcast {

/// What was promised to requests of a class; what is not limited is infinite.
struct ServiceLevel {
  Seconds ttft = kNever;
  Seconds tpot = kNever;
  Seconds end_to_end = kNever;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("ttft", &ServiceLevel::ttft, {"traffic"});
    field("tpot", &ServiceLevel::tpot, {"traffic"});
    field("end_to_end", &ServiceLevel::end_to_end, {"traffic"});
  }
};

}  // namespace flopcast
