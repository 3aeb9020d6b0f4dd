// What stored results are known by: digests of the data files, of a scenario's text, of the program.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "sim/base/fnv.h"

namespace flopcast {

class Libraries;

/// Two lanes of FNV-1a, each word of which goes through a finaliser (SplitMix64's).
class WideHash {
 public:
  void add(std::string_view text) {
    for (std::size_t lane = 0; lane < 2; ++lane) {
      std::uint64_t h = lanes_[lane] ^ text.size();
      for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * (lane == 0 ? kFnvPrime : 0x10000000233);
      h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
      h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
      lanes_[lane] = h ^ (h >> 31);
    }
  }
  std::string text() const { return fmt::format("{:016x}{:016x}", lanes_[0], lanes_[1]); }

 private:
  std::uint64_t lanes_[2] = {kFnvStart, 0x6c62272e07bb0142};
};

/// Names and contents of the data files, wherever they lie.
std::string digest_of_data(const Libraries& libraries);

/// A scenario's text, and the files that it names, seen from `folder`: traces, tables of schedules.
std::string digest_of_text(const std::string& text, const std::string& folder);

/// The running program, byte for byte: two builds of one version differ.
std::string digest_of_program();

}  // namespace flopcast
