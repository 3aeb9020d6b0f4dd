// A scenario's day: whether its GPU was on sale, and what the rules of that day say of it.
#pragma once
#include <string>
#include <vector>

#include "hwmodels/fabric/cluster.h"
#include "scenarios/read/libraries/libraries.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {

/// What a scenario says of time: `date` and `under_rule`, each empty when it is not stated.
struct Timing {
  std::string date;
  std::string under_rule;
};

/// The GPU must have been launched by the day; the rule must hold then and leave the GPU free. Faults offer
/// the nearest day. `notes` gain the rules of the day that ask for a licence. That the date is one is checked
/// where it is read.
void check_availability(const Timing& timing, const GpuSpec& gpu, const Libraries& libraries, const Places& places,
                        Diagnostics& faults, std::vector<std::string>& notes);

}  // namespace flopcast
