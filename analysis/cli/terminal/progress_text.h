// What the progress line says.
#pragma once
#include <cstdint>
#include <string>

namespace flopcast {

/// "replaying the step: 12 %", "searching plans: 7 %": a stage that says itself what is done is not replayed.
/// @param all 0: nobody knows how much there is, and no share is said.
std::string progress_text(const std::string& stage, std::uint64_t done, std::uint64_t all);

}  // namespace flopcast
