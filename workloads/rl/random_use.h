// What a loop of reinforcement learning draws random numbers for. Each use has a stream of its own.
#pragma once
#include <cstdint>

#include "sim/base/random.h"

namespace flopcast {

enum class LoopRandom : std::uint64_t {
  shuffles = 0x726c01,     ///< order of a step's prompts by difficulty
  places = 0x726c02,       ///< where in its slice of the distribution of lengths an answer lies
  prompts = 0x726c03,      ///< lengths of prompts
  rewards = 0x726c04,      ///< times of rewards
  signals = 0x726c05,      ///< whether the answers of a group differ in reward
  tools = 0x726c06,        ///< times of calls of tools
  calls = 0x726c07,        ///< how many tools an answer calls
  predictions = 0x726c08,  ///< errors of predicted lengths
};

inline RandomStream random_stream(std::uint64_t seed, LoopRandom use) {
  return RandomStream(seed, static_cast<std::uint64_t>(use));
}

}  // namespace flopcast
