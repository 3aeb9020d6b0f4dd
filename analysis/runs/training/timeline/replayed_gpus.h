// Which GPUs of a step are replayed, for those who ask to see some of them.
#pragma once
#include <span>
#include <string>

#include "workloads/training/step/training_step.h"

namespace flopcast {

/// @throws InputError when one of `gpus` is not replayed, and so would be missing from what is shown of the step.
/// @param asked the option or argument that named them
void check_replayed(std::span<const int> gpus, const TrainingStep& step, const std::string& asked);

}  // namespace flopcast
