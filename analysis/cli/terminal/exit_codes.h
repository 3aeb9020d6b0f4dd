// How the program ends.
#pragma once

namespace flopcast {

constexpr int kExitInternal = 1;
constexpr int kExitBadInput = 2;
constexpr int kExitInterrupted = 130;  // 128 + SIGINT, as shells have it
constexpr int kExitReaderGone = 141;   // 128 + SIGPIPE: `flopcast run X | head -1`

}  // namespace flopcast
