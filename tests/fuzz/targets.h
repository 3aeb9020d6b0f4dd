// What is fuzzed: every reader, and "load, run small, look at the result". A target takes any bytes; it returns, or
// throws a Finding. Faults of the input are no findings: they are what a reader is for.
#pragma once
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace flopcast::fuzz {

/// Something that no input may bring about.
struct Finding : std::logic_error {
  using std::logic_error::logic_error;
};

struct Target {
  std::string_view name;  ///< also of its folder in corpus/
  void (*run)(std::string_view input);
};

std::span<const Target> targets();
/// Null: there is none of that name.
const Target* find_target(std::string_view name);

/// `input` changed a little, as people and programs get texts wrong: a number or word replaced, a line left out,
/// doubled or moved, a byte changed, a piece of `other` put in. The same seed gives the same text.
std::string mutated(std::string_view input, std::string_view other, std::uint64_t seed);

}  // namespace flopcast::fuzz
