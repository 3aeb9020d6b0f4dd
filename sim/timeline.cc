#include "sim/timeline.h"

#include <cmath>

namespace flopcast {
namespace {

std::uint64_t scrambled(std::uint64_t z) {  // SplitMix64's finaliser
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// Picoseconds are finer than anything modelled and coarser than the rounding of a double within hours.
std::uint64_t picoseconds(Seconds time) { return static_cast<std::uint64_t>(std::llround(time.value() * 1e12)); }

}  // namespace

void FingerprintSink::finished(const OperationGraph&, const OpSpan& span) {
  std::uint64_t hash = scrambled(span.op.index() + 0x9e3779b97f4a7c15ULL);
  hash = scrambled(hash ^ picoseconds(span.start));
  hash = scrambled(hash + picoseconds(span.end));
  hash_ += hash;  // a sum, so that the order in which simultaneous operations are reported does not matter
}

void SpanSink::finished(const OperationGraph&, const OpSpan& span) {
  start_[span.op.index()] = span.start;
  end_[span.op.index()] = span.end;
}

}  // namespace flopcast
