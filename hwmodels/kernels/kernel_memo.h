// Prices of kernels that one user asks for again and again. Not to be shared between threads.
#pragma once
#include <array>
#include <cstdint>
#include <unordered_map>
#include <utility>

#include "hwmodels/kernels/kernels.h"

namespace flopcast {

class KernelMemo {
 public:
  /// @param kernels outlives the memo.
  explicit KernelMemo(const KernelModel& kernels) : kernels_(kernels) {}

  /// As the model's.
  KernelTime gemm(const GemmShape& shape, int sms);
  KernelTime attention(const AttentionShape& shape, int sms);
  KernelTime memory_bound(MemoryKernel kernel, Bytes traffic, int sms, KernelOrigin origin);

  const KernelModel& kernels() const { return kernels_; }

 private:
  using Key = std::array<std::uint64_t, 7>;
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  template <class Price>
  KernelTime known(const Key& key, Price price);

  const KernelModel& kernels_;
  std::unordered_map<Key, KernelTime, Hash> known_;
};

}  // namespace flopcast
