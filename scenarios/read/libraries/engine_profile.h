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

/// Fills in what `replicas.engine` does by default, where the file states nothing.
/// @param path of the replicas, such as "serving.replicas", for diagnostics.
/// @param used gets a line per habit that came from the profile.
/// @throws InputError for a profile that cannot be read.
void lay_over_engine(proto::Replicas& replicas, const std::string& path, const Libraries& libraries,
                     const Places& places, std::vector<std::string>& used, Diagnostics& faults);

/// What the host of an engine takes. @throws InputError.
EngineHost engine_host(const std::string& engine, const Libraries& libraries);
/// The user's own measurements that it was fitted on; empty: none. @throws InputError.
std::string engine_calibrated_on(const std::string& engine, const Libraries& libraries);

/// Whether it takes no prompt beyond the tokens of an iteration where prompts are not cut.
bool engine_refuses_long_prompts(const std::string& engine, const Libraries& libraries);

}  // namespace flopcast
