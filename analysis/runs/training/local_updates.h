// Local-update training: what one worker does, and what the workers tell each other.
#pragma once
#include <string>

#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// What one worker trains: its share of nodes, replicas and sequences, in a site of its own where there are several.
/// @pre training.local.workers > 1
/// @throws InputError where the workers cannot share them out evenly, or do not fill the sites.
Scenario worker_scenario(const Scenario& scenario);

/// The exchange between workers after every `inner_steps`.
struct OuterExchange {
  Seconds time;      ///< of one, alone
  Seconds per_step;  ///< by which an inner step takes longer in the mean
};

/// All-reduce of what every worker has learnt, on a ring of workers: 2 (W-1)/W of the parameters leave each worker,
/// over the links of its site, or over all its NICs within one site. Streaming, it hides behind the inner steps as far
/// as they last.
OuterExchange outer_exchange(const Scenario& scenario, Seconds inner_step);

/// "4 workers exchange 2.7 TB every 100 steps, which takes 3 min, of which 1.8 s per step is waited for"
std::string local_updates_note(const Scenario& scenario, const OuterExchange& exchange);

}  // namespace flopcast
