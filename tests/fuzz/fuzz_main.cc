// The fuzzer's entry: libFuzzer calls it with bytes of its own making (FLOPCAST_FUZZ). Which target is meant says
// $FLOPCAST_FUZZ_TARGET; words and lines are changed by our own mutations besides libFuzzer's bytes.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/targets.h"

namespace {

const flopcast::fuzz::Target& target() {
  static const flopcast::fuzz::Target* const kChosen = [] {
    const char* const name = std::getenv("FLOPCAST_FUZZ_TARGET");
    const auto* const found = flopcast::fuzz::find_target(name == nullptr ? "run" : name);
    if (found == nullptr) {
      std::fprintf(stderr, "FLOPCAST_FUZZ_TARGET: no such target\n");
      std::exit(2);
    }
    return found;
  }();
  return *kChosen;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  target().run({reinterpret_cast<const char*>(data), size});  // a Finding that nobody catches ends the process
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  if (seed % 4 == 0) return LLVMFuzzerMutate(data, size, most);
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string text = flopcast::fuzz::mutated(input, input, seed).substr(0, most);
  std::memcpy(data, text.data(), text.size());
  return text.size();
}
