// What a replayed service took: power, energy, dollars.
#pragma once
#include "analysis/runs/serving/serving_run.h"
#include "workloads/serving/pricing/deployment.h"

namespace flopcast {

/// Mean power of a GPU of the pool: its decoding iterations at their mean batch and cache, its iterations with prompts
/// at their mean size.
Watts gpu_power(const PoolTotals& totals, const PoolReport& pool, const BuiltPool& built);

/// GPUs draw what their kernels ask for over idle power (hwmodels/chips/power.h); where no power is known, a measured
/// share of the rated power while at work. Broken ones idle; nodes draw their part beside.
Joules energy_of(const ServingReport& report, const PowerModel& power);

/// Prefill replicas and those before them are paid by prompts, decode replicas by answers; where one does both, prompts
/// pay for what they add to the time of iterations, and both for the idle time in that proportion. Tokens are those of
/// the steady span.
ServingCostReport cost_of(const ServingReport& report, BuiltPool& prompt_pool);

}  // namespace flopcast
