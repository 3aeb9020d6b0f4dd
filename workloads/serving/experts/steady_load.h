// How much more the busiest GPU has of experts' rows than the mean where what is asked does not change.
#pragma once
#include <cstdint>

#include "workloads/serving/experts/expert_pace.h"

namespace flopcast {

/// Load of the busiest rank over the mean, mean over `layers` whose loads are drawn independently: a coefficient of
/// variation `variation` among experts; copies, where the group has any, placed by loads that correlate by `alike` with
/// those of iterations, else experts in order.
double steady_busiest_load(double variation, double alike, const ExpertGroup& group, int layers, std::uint64_t seed);

}  // namespace flopcast
