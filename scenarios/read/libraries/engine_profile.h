// Profiles of serving engines: what a version does by default, laid under what a scenario states of its replicas.
#pragma once
#include <string>
#include <vector>

#include "scenarios/read/libraries/libraries.h"
#include "scenarios/read/text/text_file.h"
#include "workloads/serving/pricing/engine.h"

namespace flopcast {

namespace proto {
class Replicas;
}  // namespace proto

/// What replicas run, as far as their engine's habits depend on it.
struct EngineLoad {
  bool latent = false;                             ///< a model with latent attention
  bool drafts = false;                             ///< speculation
  bool states = false;                             ///< a model with states of layers
  bool prefixes = true;                            ///< a prefix cache
  const struct BenchmarkRun* benchmark = nullptr;  ///< that asks them; null: none
};

/// A benchmark that asks the replicas: what it states when it starts their engine depends on it.
struct BenchmarkRun {
  std::string client;  ///< ClientRow::name
  std::string model, gpu;
  std::string weights;           ///< as the model's files have them, where replicas state nothing
  double users = 0, prompt = 0;  ///< all its users, tokens of a prompt
};

/// Fills in what `replicas.engine` does by default, where the file states nothing; between both lies what a benchmark
/// starts it with (EngineProfile.started).
/// @param path of the replicas, such as "serving.replicas", for diagnostics.
/// @param used gets a line per habit that came from the profile.
/// @throws InputError for a profile that cannot be read.
void lay_over_engine(proto::Replicas& replicas, const std::string& path, const EngineLoad& load,
                     const Libraries& libraries, const Places& places, std::vector<std::string>& used,
                     Diagnostics& faults);

/// What replicas do not state and their engine's profile says of itself: host times, what it refuses, what it was
/// calibrated on. @throws InputError.
void take_profile(EngineConfig& engine, const Libraries& libraries);

}  // namespace flopcast
