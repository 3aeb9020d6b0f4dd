#include "analysis/render/text/trace_time.h"

#include <fmt/format.h>

#include <cmath>

namespace flopcast {
namespace {

constexpr std::int64_t kPerMicrosecond = 8;

}  // namespace

ViewerTime trace_time(Seconds time) { return std::llround(time.value() * 1e6 * kPerMicrosecond); }

std::string microseconds(ViewerTime time) {
  const std::int64_t thousandths = time * 1000 / kPerMicrosecond;
  return fmt::format("{}.{:03}", thousandths / 1000, thousandths % 1000);
}

}  // namespace flopcast
