#include "analysis/render/trace_time.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

namespace flopcast {
namespace {

// Microseconds as a reader of the text has them.
double as_read(std::int64_t ns) { return std::strtod(microseconds(ns).c_str(), nullptr); }

}  // namespace

std::int64_t nanoseconds(Seconds time) { return std::llround(time.value() * 1e9); }

std::string microseconds(std::int64_t ns) { return fmt::format("{}.{:03}", ns / 1000, ns % 1000); }

std::int64_t duration_within(std::int64_t start, std::int64_t end) {
  std::int64_t duration = end - start;
  while (duration > 0 && as_read(start) + as_read(duration) > as_read(end)) --duration;
  return duration;
}

}  // namespace flopcast
