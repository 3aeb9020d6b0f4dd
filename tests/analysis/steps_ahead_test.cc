// Do steps that threads replay ahead come out as if they had been replayed when asked for?
#include "analysis/runs/training/steps_ahead.h"

#include <atomic>
#include <string>

#include "flopcast/flopcast.h"
#include "sim/base/diagnostic.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

TrainingConfig of_batch(int sequences) {
  TrainingConfig config;
  config.batch.sequences = sequences;
  return config;
}

TimedStep as_long_as_its_batch(const TrainingConfig& config, const std::stop_token&) {
  return {Seconds(static_cast<double>(config.batch.sequences)), Bytes(1), {std::to_string(config.batch.sequences)}};
}

constexpr auto kPatient = [] {};

// Whether a thread or the asker replays a step is chance.
double time_of(StepsAhead& ahead, int sequences) {
  const std::optional<TimedStep> step = ahead.take(of_batch(sequences), kPatient);
  return step ? step->time.value() : sequences;
}

TEST_CASE("a step is the same whoever replays it, and however often it is asked for", "[analysis]") {
  for (const int threads : {0, 1, 3}) {
    StepsAhead ahead({of_batch(1), of_batch(2), of_batch(1), of_batch(3)}, as_long_as_its_batch, threads);
    for (const int sequences : {3, 1, 2, 1, 3}) CHECK(time_of(ahead, sequences) == sequences);
    CHECK_FALSE(ahead.take(of_batch(4), kPatient));
    if (threads == 0) CHECK_FALSE(ahead.take(of_batch(1), kPatient));
  }
}

TEST_CASE("what a step throws is thrown to who asks for it, and nothing else is lost", "[analysis]") {
  std::atomic<bool> begun = false;
  StepsAhead ahead(
      {of_batch(1), of_batch(2)},
      [&](const TrainingConfig& config, const std::stop_token& stop) {
        begun = true;
        if (config.batch.sequences == 1) throw InputError(Diagnostic{"f", 1, 1, "batch", "1", "2", ""});
        return as_long_as_its_batch(config, stop);
      },
      1);
  while (!begun) std::this_thread::yield();
  CHECK_THROWS_AS(ahead.take(of_batch(1), kPatient), InputError);
  CHECK(time_of(ahead, 2) == 2);
}

TEST_CASE("who gives up waiting stops what is under way", "[analysis]") {
  std::atomic<bool> begun = false, stopped = false;
  {
    StepsAhead ahead(
        {of_batch(1)},
        [&](const TrainingConfig&, const std::stop_token& stop) -> TimedStep {
          begun = true;
          while (!stop.stop_requested()) std::this_thread::yield();
          stopped = true;
          throw Interrupted();
        },
        1);
    while (!begun) std::this_thread::yield();
    CHECK_THROWS_AS(ahead.take(of_batch(1), [] { throw Interrupted(); }), Interrupted);
  }
  CHECK(stopped);
}

TEST_CASE("a run with a ramp and two phases reports the same bytes on any number of threads", "[analysis]") {
  const Environment environment = load_environment();
  const ResolvedScenario scenario = resolve("deepseek_v3_2048_h800", environment);
  RunSettings settings;
  const std::string alone = run(scenario, environment, settings).json();
  for (const int threads : {0, 2, 5}) {
    settings.threads = threads;
    CHECK(run(scenario, environment, settings).json() == alone);
  }
}

}  // namespace
}  // namespace flopcast
