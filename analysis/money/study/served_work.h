// A replayed service as work to be priced.
#pragma once
#include "analysis/money/study/cost_study.h"
#include "analysis/runs/serving/serving_run.h"

namespace flopcast {

/// One day at the steady pace of the replay; cached tokens at the work that finding them leaves.
PricedWork work_of(const ServingReport& report);

}  // namespace flopcast
