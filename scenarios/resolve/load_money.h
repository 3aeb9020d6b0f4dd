// The money of a scenario file as typed values. Internal to scenarios/: resolver.cc calls it.
#pragma once
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// Fills in price, date, programme, service, market and uncertainty. Sections with faults so far are passed
/// over.
/// @pre single fields have been checked (field_rules.h)
void load_money(const proto::Scenario& in, const Places& places, Diagnostics& faults, Scenario& out);

/// A run whose phases all state their GPU-hours: nothing is replayed.
bool is_given_run(const proto::Scenario& in);

/// Its phases.
std::vector<TrainingPhase> given_phases(const proto::Run& run);

}  // namespace flopcast
