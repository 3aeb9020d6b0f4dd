// Index types of a pipeline: a stage is not a micro-batch, and neither is a rank.
#pragma once
#include "sim/base/ids.h"

namespace flopcast {

using StageId = Id<struct StageTag>;            ///< a piece of the model, 0 .. stages-1 in forward order
using MicroBatchId = Id<struct MicroBatchTag>;  ///< of a step and pipeline, 0 .. micro_batches-1
using CopyId = Id<struct CopyTag>;              ///< a replayed copy of the pipeline

}  // namespace flopcast
