// How requests of a serving run end.
#pragma once
#include <cstdint>

namespace flopcast {

/// How a request left the system. The numbers are those of the column `outcome` in Python.
enum class RequestOutcome : std::uint8_t {
  completed = 0,
  rejected = 1,  ///< never admitted: too long, or the queue is full
  lost = 2,      ///< admitted, then failed for good
  expired = 3,   ///< dropped at its deadline
};

}  // namespace flopcast
