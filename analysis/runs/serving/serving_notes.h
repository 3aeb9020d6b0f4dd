// What a reader of a serving report has to know beside its figures.
#pragma once
#include "analysis/runs/serving/serving_run.h"

namespace flopcast {

void add_notes(ServingReport& report);

}  // namespace flopcast
