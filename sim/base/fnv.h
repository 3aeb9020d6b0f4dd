// FNV-1a, 64 bits (Fowler, Noll, Vo): a hash whose value is the same on every machine, for names and fingerprints.
#pragma once
#include <cstdint>
#include <string_view>

namespace flopcast {

inline constexpr std::uint64_t kFnvStart = 0xcbf29ce484222325;
inline constexpr std::uint64_t kFnvPrime = 0x100000001b3;

/// The hash with one more byte, or one more word where words are hashed.
constexpr std::uint64_t fnv1a(std::uint64_t hash, std::uint64_t next) { return (hash ^ next) * kFnvPrime; }

/// @param start where it goes on from: another start gives another, independent hash.
constexpr std::uint64_t fnv1a(std::string_view text, std::uint64_t start = kFnvStart) {
  std::uint64_t hash = start;
  for (const char c : text) hash = fnv1a(hash, static_cast<unsigned char>(c));
  return hash;
}

}  // namespace flopcast
