// `serving { ... }` of a scenario: typed values and the laws across its fields. Internal to scenarios/.
#pragma once
#include <memory>
#include <string>

#include "hwmodels/fabric/cluster.h"
#include "scenarios/read/text_file.h"
#include "scenarios/resolve/serving_scenario.h"

namespace flopcast {

namespace proto {
class Serving;
}

struct ServingContext {
  const ModelConfig* model = nullptr;  ///< null: not known, laws that need it stay silent
  const ClusterSpec* cluster = nullptr;
  std::string file;  ///< of the scenario: traces are relative to it
  const Places* places = nullptr;
};

/// What is wrong is added to `faults`. Null when the traffic could not be made.
std::shared_ptr<ServingScenario> load_serving(const proto::Serving& serving, const ServingContext& context,
                                              Diagnostics& faults);

}  // namespace flopcast
