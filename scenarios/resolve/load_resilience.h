// From `resilience { ... }` to what failures and checkpoints take, and whether they leave time to train.
#pragma once
#include <string>

#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

namespace proto {
class Resilience;
}

/// @pre every quantity of the message is one.
/// @param nodes, gpus of the job, which may leave some of the cluster's alone.
ResilienceConfig resilience_of(const proto::Resilience& r, int nodes, int gpus);

/// Whether a default, "resilience.repair = ...", is one that a statement elsewhere puts out of force.
bool resilience_default_idle(const proto::Resilience& r, const std::string& setting);

/// Whether anything is said of how the job is interrupted, not only of how that is replayed.
bool states_interruptions(const proto::Resilience& resilience);

/// Times of checkpoints are stated, or their size and the storage's rate.
void check_checkpoint_fields(const proto::Resilience& r, const Places& places, Diagnostics& faults);

/// Checkpoints and failures must leave time to train.
void check_time_to_train(const proto::Resilience& stated, const ResilienceConfig& r, int gpus, const Places& places,
                         Diagnostics& faults);

}  // namespace flopcast
