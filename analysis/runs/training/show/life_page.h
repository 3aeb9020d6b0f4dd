// A job's life on a page.
#pragma once
#include "analysis/render/chart/page.h"
#include "analysis/runs/training/goodput.h"

namespace flopcast {

/// Where the time of a job goes, closed form beside the range of its replays.
void add_life(const JobLife& life, int gpus, Page& page);

}  // namespace flopcast
