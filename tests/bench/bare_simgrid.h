// The yardstick of the engine rate: the least one can write on SimGrid for kernels that alternate with transfers.
#pragma once
#include <cstdint>

namespace flopcast::bench {

/// As sim_bench.cc's Ring: every round of a rank is a timer (kernel), a timer (latency) and two communications.
struct BareRing {
  int ranks;
  int rounds;
  int sharers;
};

/// Runs it; to be called in a process of its own. Returns the number of operations: a kernel is one, a transfer is one.
std::int64_t run_bare(const BareRing& ring);

}  // namespace flopcast::bench
