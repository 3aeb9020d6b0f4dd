// A job's life as a table: closed form beside replays.
#pragma once
#include <string>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/training/goodput.h"

namespace flopcast {

/// "closed form beside 200 replays of random failures (seed 1)"
std::string life_caption(const JobLife& life);
std::string life_table(const JobLife& life, const TextStyle& style);

/// What the job lives with: "a checkpoint every 4.2 min (2.84 s to write, 2.84 s to read); ..."
std::string habits_text(const ResilienceConfig& resilience, int gpus);

}  // namespace flopcast
