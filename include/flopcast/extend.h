// Ideas of the caller's own in a scenario: an order of passes, a router, a batching policy, as functions.
#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "flopcast/export.h"
#include "flopcast/policies.h"
#include "flopcast/scenario.h"

namespace flopcast {

/// Routers and policies are called in the thread that called run(), and by several threads at once where several runs
/// share the scenario. What they throw ends the run and comes out of it; equal inputs give equal reports as long as
/// they answer equal questions alike.
struct Extensions {
  /// An order of passes, in the notation of `training.schedule_file`: a line per rank such as "0: F0 F1 B0 B1". Asked
  /// once, by extend(), for the sizes of the scenario's step. It takes the place of the scenario's schedule, which has
  /// to be a valid one all the same. As with a file, a batch ramp and phases of other sizes are not replayed with it;
  /// the report's notes say what became of them.
  std::function<std::string(const PipelineSizes&)> schedule;

  /// Index of a replica that accepts requests; none: the request is turned away.
  using Router = std::function<std::optional<std::size_t>(const RoutedRequest&, std::span<const ReplicaView>)>;
  std::map<std::string, Router> routers;  ///< by name of a pool; "": of every pool that is not named

  struct Batching {
    /// Puts the next iteration together. Where nothing decodes it has to take prompts if there are any.
    std::function<void(IterationPlan&)> compose;
    bool decodes_beside_prompts = true;  ///< else decoding requests stand still in iterations with prompts
  };
  std::map<std::string, Batching> batching;  ///< likewise
};

/// The scenario with these in place of its own. The functions live as long as scenario and reports do.
/// @throws InputError where the scenario has no use for one (a schedule without training, an unknown pool), and with
/// everything that is wrong with an order of passes; what `schedule` threw.
FLOPCAST_API ResolvedScenario extend(const ResolvedScenario& scenario, Extensions extensions);

/// The order of one of the library's schedules in the same notation: a start for one's own. @throws InputError when
/// there is none of that name, or it cannot serve these sizes.
FLOPCAST_API std::string order_of_passes(const std::string& schedule, const PipelineSizes& sizes);

}  // namespace flopcast
