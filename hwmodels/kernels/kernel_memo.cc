#include "hwmodels/kernels/kernel_memo.h"

#include <bit>

namespace flopcast {

namespace {

/// Small numbers side by side, eight bits each.
template <class... Numbers>
std::uint64_t packed(Numbers... numbers) {
  std::uint64_t word = 0;
  ((word = word << 8 | static_cast<std::uint8_t>(numbers)), ...);
  return word;
}

std::uint64_t both(int high, int low) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(high)) << 32 | static_cast<std::uint32_t>(low);
}

}  // namespace

std::size_t KernelMemo::Hash::operator()(const Key& key) const {
  std::uint64_t hash = 0x9e3779b97f4a7c15;
  for (const std::uint64_t word : key) {
    hash = (hash ^ word) * 0xff51afd7ed558ccd;
    hash ^= hash >> 32;
  }
  return hash;
}

template <class Price>
KernelTime KernelMemo::known(const Key& key, Price price) {
  const auto [found, fresh] = known_.try_emplace(key);
  if (fresh) found->second = price();
  return found->second;
}

KernelTime KernelMemo::gemm(const GemmShape& s, int sms) {
  const Key key{packed(1, s.kind, s.precision, s.scaling, s.output, s.vendor_library),
                static_cast<std::uint64_t>(s.m),
                static_cast<std::uint64_t>(s.n),
                static_cast<std::uint64_t>(s.k),
                both(s.groups, sms),
                std::bit_cast<std::uint64_t>(s.weight_bytes),
                std::bit_cast<std::uint64_t>(s.skew)};
  return known(key, [&] { return kernels_.gemm(s, sms); });
}

KernelTime KernelMemo::attention(const AttentionShape& s, int sms) {
  const Key key{packed(2, s.kind, s.causal, s.precision, s.kv_precision, s.latent),
                static_cast<std::uint64_t>(s.batch),
                static_cast<std::uint64_t>(s.query_length),
                static_cast<std::uint64_t>(s.kv_length),
                both(s.query_heads, s.kv_heads),
                both(s.qk_dim, s.v_dim),
                static_cast<std::uint64_t>(sms)};
  return known(key, [&] { return kernels_.attention(s, sms); });
}

KernelTime KernelMemo::memory_bound(MemoryKernel kernel, Bytes traffic, int sms, KernelOrigin origin) {
  const Key key{packed(3, kernel, origin), std::bit_cast<std::uint64_t>(traffic.value()), both(0, sms), 0, 0, 0, 0};
  return known(key, [&] { return kernels_.memory_bound(kernel, traffic, sms, origin); });
}

}  // namespace flopcast
