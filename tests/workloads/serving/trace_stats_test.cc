// Does `trace stats` say what a trace is like?
#include "workloads/serving/metrics/trace_stats.h"

#include <cmath>
#include <string>

#include "sim/base/random.h"
#include "tests/catch.h"
#include "tests/temporary.h"
#include "workloads/serving/traffic/arrivals.h"

namespace flopcast {
namespace {

TEST_CASE("rates, lengths and reuse of a small trace are those worked out by hand", "[workloads][serving]") {
  const test::TemporaryFile file(
      "{\"timestamp\": 0, \"input_length\": 1024, \"output_length\": 5, \"hash_ids\": [0, 1]}\n"
      "{\"timestamp\": 30000, \"input_length\": 1124, \"output_length\": 15, \"hash_ids\": [0, 1, 3]}\n"
      "{\"timestamp\": 90000, \"input_length\": 600, \"output_length\": 10, \"hash_ids\": [0, 4]}\n");
  const TraceStats stats = trace_stats({.path = file.path()});
  CHECK(stats.requests == 3);
  CHECK(stats.mean_rate().value() == Approx(2.0 / 90));
  CHECK(stats.arrivals.peak_minute() == 2);
  CHECK(stats.arrivals.gap_cv() == Approx(15.0 / 45));
  CHECK(stats.input.sum() == 2748);
  CHECK(stats.output.quantile(0.5) == 10);
  CHECK(stats.context.max() == 1139);
  CHECK(stats.blocks == 5);
  CHECK(stats.reuse.distinct() == 2);
  CHECK(stats.hit_bound() == Approx(3 * 512.0 / 2748));
}

TEST_CASE("a Poisson process has both measures of burstiness at 1, quiet minutes counted", "[workloads][serving]") {
  ArrivalStats stats;
  ArrivalProcess process(RateCurve::constant(Hertz(0.05)), Spacing::exponential, 1, RandomStream(2));
  for (int i = 0; i < 100'000; ++i) stats.add(process.next());
  CHECK(stats.gap_cv() == Approx(1).epsilon(0.01));
  CHECK(stats.minute_dispersion() == Approx(1).epsilon(0.03));
}

TEST_CASE("reuse of more blocks than fit is found from a sample", "[workloads][serving]") {
  // Blocks come once, twice or three times, a third each: half of all come again.
  BlockReuse reuse;
  constexpr std::uint64_t kBlocks = 1'500'000;
  for (std::uint64_t times = 0; times < 3; ++times) {
    for (std::uint64_t id = 0; id < kBlocks; ++id) {
      if (times <= id % 3) reuse.see(id);
    }
  }
  CHECK(reuse.sampled());
  CHECK(reuse.reused_share() == Approx(0.5).epsilon(0.01));
  CHECK(reuse.distinct() == Approx(static_cast<double>(kBlocks)).epsilon(0.01));
}

}  // namespace
}  // namespace flopcast
