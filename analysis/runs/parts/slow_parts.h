// What the scenario states to be slower than its data sheet, for reports.
#pragma once
#include <string>

#include "scenarios/resolve/scenario.h"

namespace flopcast {

std::string slow_part_name(SlowPart::Kind kind);  ///< "GPU", "NIC", "NVLink"

/// Where a GPU sits in the pipeline of the job; -1: it takes no part in it.
int pipeline_rank_of(const TrainingConfig& config, int gpu);

/// "GPU 40 (pipeline rank 0) runs at 80 %, its NIC at 50 %; ...". Empty when nothing is slow.
std::string slow_parts_text(const Scenario& scenario);

/// Whether a slow part belongs to a GPU of this pipeline rank.
bool has_slow_part(const Scenario& scenario, int pipeline_rank);

}  // namespace flopcast
