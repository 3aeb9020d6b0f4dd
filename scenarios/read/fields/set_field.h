// `--set training.plan.data=64`: one field of a scenario changed from the command line.
#pragma once
#include <string>

#include "scenarios/read/text/text_file.h"

namespace flopcast {

/// Applies `path=value`. Repeated fields take an index (`cluster.slow[0].speed=0.8`; one past the last adds
/// an entry) or a list (`training.plan.stage_layers=4,4,3`). An empty value takes the field's statement back.
/// Faults carry the file "--set".
void set_field(const std::string& assignment, google::protobuf::Message& message, Places& places, Diagnostics& faults);

}  // namespace flopcast
