// `rl { ... }` of a scenario: typed values and the laws across its fields. Internal to scenarios/.
#pragma once
#include <memory>
#include <string>

#include "scenarios/read/libraries/libraries.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/rl/rl_scenario.h"

namespace flopcast {

namespace proto {
class Rl;
}

struct RlContext {
  const ModelConfig* model = nullptr;        ///< null: not known, laws that need it stay silent
  const ClusterSpec* cluster = nullptr;      ///< likewise
  const TrainingConfig* training = nullptr;  ///< null: none is stated, or it is unsound
  bool training_stated = false;
  std::string file;
  const Places* places = nullptr;
  const Libraries* libraries = nullptr;
  bool open = false;  ///< plan and replicas are still to be chosen: nothing is said of GPUs and memory
};

/// What is wrong is added to `faults`.
std::shared_ptr<RlScenario> load_rl(const proto::Rl& rl, const RlContext& context, Diagnostics& faults);

}  // namespace flopcast
