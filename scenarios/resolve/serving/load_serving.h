// `serving { ... }` of a scenario: typed values and the laws across its fields. Internal to scenarios/.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "hwmodels/fabric/cluster.h"
#include "scenarios/read/libraries/libraries.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {

namespace proto {
class Replicas;
class Serving;
class Speculation;
}  // namespace proto

class FileRule;

struct ServingContext {
  const ModelConfig* model = nullptr;  ///< null: not known, laws that need it stay silent
  const ClusterSpec* cluster = nullptr;
  std::string file;  ///< of the scenario: traces are relative to it
  const Places* places = nullptr;
  const Libraries* libraries = nullptr;  ///< where engines' profiles are
  std::string root = "serving.";         ///< path of the section, for diagnostics
  bool open = false;                     ///< replicas are still to be chosen: whether they are possible nobody asks
  const FileRule* files = nullptr;       ///< that traces have to keep; null: none
};

/// What is wrong is added to `faults`. Null when the traffic could not be made.
std::shared_ptr<ServingScenario> load_serving(const proto::Serving& serving, const ServingContext& context,
                                              Diagnostics& faults);

/// Replicas that stand alone, such as the engine of a reinforcement learning loop: the same laws, without traffic.
/// @param path below ServingContext::root. @param speculation may be null.
std::optional<PoolSpec> load_replicas(const proto::Replicas& replicas, const proto::Speculation* speculation,
                                      const std::string& path, const ServingContext& context, Diagnostics& faults);

/// Fills in pool.slow: a replica is as slow as its slowest GPU, and its NICs and NVLink as theirs.
/// @param first_gpu of the pool, within the cluster. @param last_on_first so many replicas, the last, stand on the
/// cluster's first GPUs instead.
void set_slow_replicas(PoolSpec& pool, std::span<const SlowPart> slow_parts, int first_gpu, int last_on_first);

}  // namespace flopcast
