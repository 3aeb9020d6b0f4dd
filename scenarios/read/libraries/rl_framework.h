// Profiles of frameworks of reinforcement learning: what a version does by default, laid under what a scenario states.
#pragma once
#include <string>
#include <vector>

#include "scenarios/read/libraries/libraries.h"

namespace flopcast {

namespace proto {
class Rl;
}  // namespace proto

/// Fills in what `rl.framework` does by default, where the file states nothing.
/// @param used gets a line per habit that came from the profile.
/// @return what trains; empty: the profile does not say. @throws InputError for a profile that cannot be read.
std::string lay_over_framework(proto::Rl& rl, const Libraries& libraries, std::vector<std::string>& used);

}  // namespace flopcast
