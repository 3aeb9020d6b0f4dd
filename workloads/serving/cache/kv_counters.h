// Where KV caches lie, and what is counted of them.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "sim/base/ids.h"

namespace flopcast {

enum class KvTier : std::uint8_t { hbm, host, storage };
inline constexpr int kKvTiers = 3;
inline constexpr KvTier kKvTierList[] = {KvTier::hbm, KvTier::host, KvTier::storage};

/// A number per tier.
template <class Number>
struct PerTier {
  std::array<Number, kKvTiers> values{};
  Number& operator[](KvTier tier) { return values[static_cast<std::size_t>(tier)]; }
  Number operator[](KvTier tier) const { return values[static_cast<std::size_t>(tier)]; }
  Number total() const { return values[0] + values[1] + values[2]; }
  bool operator==(const PerTier&) const = default;
};

/// All in tokens: times kv_bytes_per_token they are bytes.
struct KvCounters {
  std::int64_t sequences = 0;
  std::int64_t prompt_tokens = 0;          ///< of all sequences started
  PerTier<std::int64_t> hit_tokens;        ///< of those, found in each tier
  PerTier<std::int64_t> offloaded_tokens;  ///< written to each lower tier, swapped sequences included
  PerTier<std::int64_t> restored_tokens;   ///< read back from each lower tier, swapped sequences included
  std::int64_t dropped_tokens = 0;         ///< evicted from the last tier
  std::int64_t peak_used_tokens = 0;       ///< most that sequences held at a time, whole pages
  KvCounters& operator+=(const KvCounters& other);
};

/// A sequence that has pages in a cache.
using KvSequence = Id<struct KvSequenceTag>;

}  // namespace flopcast
