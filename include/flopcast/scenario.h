// A scenario: a cluster and work on it, read, looked up, checked and complete.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flopcast/environment.h"
#include "flopcast/export.h"

namespace flopcast {

struct Scenario;

/// What a scenario asks for, and so what its report holds.
enum class Work {
  training,    ///< a step is replayed, and projected to a run
  serving,     ///< requests are replayed
  collective,  ///< one collective is replayed
  rl,          ///< a loop of reinforcement learning is replayed, and projected to a run
  life,        ///< failures, checkpoints and restarts of a job on a cluster
  given,       ///< nothing to replay: GPU-hours or a service that the scenario states, to be priced
};
FLOPCAST_API std::string_view name_of(Work work);

/// Immutable, complete and cheap to copy. May be used by several threads at once.
class FLOPCAST_API ResolvedScenario {
 public:
  explicit ResolvedScenario(std::shared_ptr<const Scenario> scenario) : scenario_(std::move(scenario)) {}

  const std::string& name() const;
  const std::string& title() const;
  const std::string& file() const;  ///< that it was read from, or the label of its text
  Work work() const;
  int gpus() const;  ///< of its cluster
  /// What the reader of a report should know about the inputs.
  const std::vector<std::string>& notes() const;
  /// Settings that the scenario left open, as `path = value`.
  const std::vector<std::string>& defaults_used() const;

  const Scenario& value() const { return *scenario_; }  ///< for the library itself
  const std::shared_ptr<const Scenario>& shared() const { return scenario_; }

 private:
  std::shared_ptr<const Scenario> scenario_;
};

/// @param name_or_file a scenario of the libraries, or a file.
/// @param overrides `path=value`, such as "training.batch.sequences=7680", applied before anything is looked up.
/// @throws InputError with everything that is wrong, each at its place.
FLOPCAST_API ResolvedScenario resolve(const std::string& name_or_file, const Environment& environment,
                                      const std::vector<std::string>& overrides = {});

/// The same of a text in memory. @param label stands for the file in diagnostics, and gives the scenario its name;
/// files that the text names (a table of a schedule, a trace) are looked for in the label's folder.
FLOPCAST_API ResolvedScenario resolve_text(const std::string& text, const std::string& label,
                                           const Environment& environment,
                                           const std::vector<std::string>& overrides = {});

/// Builds what would be replayed and looks whether it fits, without replaying it. Returns a few words on it, such as
/// "60 micro-batches per step, 70.1 GB of 80.0 GB on the fullest GPU"; empty where there is nothing to say.
/// @throws InputError when a plan is refused or does not fit into memory.
FLOPCAST_API std::string check(const ResolvedScenario& scenario);

}  // namespace flopcast
