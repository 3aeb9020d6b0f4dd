// Steps of very many micro-batches, of which few were built: what repeats, and how often.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "sim/timeline.h"
#include "workloads/training/step/training_step.h"

namespace flopcast {

/// How many operations of the whole step each stands for; empty where each is there once.
std::vector<std::uint32_t> operation_times(const TrainingStep& step);

/// The time after which everything repeats: how much longer the step takes with one more period. Nothing when start or
/// end of some operation of the passes up to the stretches, or beside them (RepeatedPasses), lies not as far behind the
/// same of the period before as all others do; then the pipeline has not come to rest yet, and more micro-batches have
/// to be built.
/// @param spans of a replay of the step. @pre step.repeated
std::optional<Seconds> steady_period(const TrainingStep& step, const SpanSink& spans);

}  // namespace flopcast
