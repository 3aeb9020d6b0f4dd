// Does one step become the right number of GPU-hours? Against integrals and closed forms.
#include "analysis/runs/training/projection.h"

#include <cmath>

#include "analysis/runs/training/run.h"
#include "sim/base/diagnostic.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

// A job whose step takes 2 s + 0.1 s per micro-batch.
constexpr StepTimeLine kLine{2_s, 0.1_s};

Scenario dense_scenario() {
  Scenario scenario;
  scenario.cluster.nodes = 1;
  scenario.cluster.node.gpus = 8;
  scenario.cluster.node.gpu.bf16_peak = 1000_TFLOPS;
  scenario.price.gpu = usd_per_hour(2);
  TrainingConfig config;
  config.plan.data = 8;
  config.batch.sequences = 800;  // 100 micro-batches
  config.batch.sequence_length = 1000;
  config.schedule = "1f1b";
  scenario.training = config;
  TrainingPhase phase;
  phase.name = "main";
  phase.tokens = 8e8;  // 1,000 steps
  phase.batch = config.batch;
  phase.plan = config.plan;
  scenario.phases.push_back(phase);
  return scenario;
}

Seconds line_timer(const TrainingConfig& config) { return kLine.at(config.micro_batches()); }

const ReplayedStep kReplayed{kLine.at(100), 0.4, {Watts(700), Watts(100)}};

TEST_CASE("a line through two replays gives both back", "[analysis]") {
  const StepTimeLine line = StepTimeLine::through(32, kLine.at(32), 120, kLine.at(120));
  CHECK(line.fixed.value() == Approx(2));
  CHECK(line.per_micro_batch.value() == Approx(0.1));
}

TEST_CASE("the ramp integrates the step time over a growing batch", "[analysis]") {
  const double tokens = 1e6, tokens_per_micro_batch = 100;
  double by_hand = 0;  // midpoint rule over the tokens of the ramp
  constexpr int kSteps = 100000;
  for (int i = 0; i < kSteps; ++i) {
    const double micro_batches = 24 + (120 - 24) * (i + 0.5) / kSteps;
    by_hand += tokens / kSteps / (micro_batches * tokens_per_micro_batch) * kLine.at(micro_batches).value();
  }
  CHECK(ramp_time(kLine, 24, 120, tokens, tokens_per_micro_batch).value() == Approx(by_hand).epsilon(1e-6));
}

TEST_CASE("a ramp that does not grow takes as long as the same tokens without one", "[analysis]") {
  const Seconds steady = 1e6 / (120 * 100.0) * kLine.at(120);
  CHECK(ramp_time(kLine, 120, 120, 1e6, 100).value() == Approx(steady.value()));
}

TEST_CASE("interruptions: elapsed time satisfies its own balance", "[analysis]") {
  ResilienceConfig resilience;
  resilience.failures_per_gpu_hour = 2e-5;
  resilience.checkpoint_interval = hours(0.5);
  resilience.checkpoint_write = 30_s;
  resilience.restart = 600_s;
  PhaseTime useful;
  useful.steady = hours(1000);
  const PhaseTime time = with_interruptions(useful, 2048, resilience);
  CHECK(time.checkpoints.value() == Approx(hours(1000).value() * 30 / 1800));
  // A failure loses half an interval with its write and costs a restart, to first order in failures per interval (2 %).
  const double failures = 2e-5 * 2048 * in_hours(time.total());
  CHECK(time.lost_work.value() == Approx(failures * 915).epsilon(0.02));
  CHECK(time.restarts.value() == Approx(failures * 600).epsilon(0.02));
}

TEST_CASE("a job that fails faster than it recovers is refused", "[analysis]") {
  ResilienceConfig resilience;
  resilience.failures_per_gpu_hour = 0.01;
  resilience.checkpoint_interval = hours(4);
  PhaseTime useful;
  useful.steady = hours(1);
  CHECK_THROWS_AS(with_interruptions(useful, 2048, resilience), InputError);
}

TEST_CASE("without ramp and failures, GPU-hours are steps times step time", "[analysis]") {
  const Projection projection = project(dense_scenario(), kReplayed, line_timer);
  REQUIRE(projection.phases.size() == 1);
  CHECK(projection.phases[0].steps == Approx(1000));
  CHECK(projection.gpu_hours == Approx(1000 * kLine.at(100).value() * 8 / 3600));
  CHECK(projection.cost.value() == Approx(2 * projection.gpu_hours));
  CHECK(projection.energy.value() == Approx(8 * 700 * 1000 * kLine.at(100).value()));
  CHECK(projection.goodput == Approx(1));
}

TEST_CASE("a ramp costs what the fixed part of its many small steps costs", "[analysis]") {
  Scenario scenario = dense_scenario();
  scenario.phases[0].ramp_from_sequences = 200;  // 25 micro-batches
  scenario.phases[0].ramp_tokens = 4e8;
  const Projection projection = project(scenario, kReplayed, line_timer);
  const double steps_of_ramp = 4e8 / 8000 * std::log(100.0 / 25) / 75;
  const double extra = 2 * (steps_of_ramp - 500);
  CHECK(projection.phases[0].time.ramp.value() == Approx(extra));
}

TEST_CASE("a phase that cannot be replayed is scaled by FLOP and says so", "[analysis]") {
  Scenario scenario = dense_scenario();
  scenario.training->model.layers = 2;
  scenario.training->model.hidden = 64;
  scenario.training->model.vocabulary = 100;
  scenario.training->model.ffn_width = 128;
  scenario.training->model.attention.heads = scenario.training->model.attention.kv_heads = 1;
  scenario.training->model.attention.head_dim = 64;
  scenario.training->model.mtp_depth = 1;
  scenario.phases[0].plan.context = 2;
  scenario.phases[0].plan.data = 4;
  const auto refuse = [](const TrainingConfig&) -> Seconds {
    Diagnostic diagnostic;
    diagnostic.found = "a context-parallel plan";
    throw InputError(diagnostic);
  };
  const Projection projection = project(scenario, kReplayed, refuse);
  CHECK(projection.phases[0].scaled);
  const double flop = 8e8 * training_flop_per_token(scenario.training->model, 1000, true, false);  // as the MFU
  CHECK(projection.gpu_hours == Approx(flop / (0.4 * 1000e12) / 3600));
  REQUIRE(projection.notes.size() == 1);
  CHECK(projection.notes[0].find("a context-parallel plan") != std::string::npos);
}

TEST_CASE("a phase that does not fit is refused by name, not scaled", "[analysis]") {
  Scenario scenario = dense_scenario();
  scenario.phases[0].plan.data = 4;
  const auto refuse = [](const TrainingConfig&) -> Seconds {
    throw MemoryRefused("training.plan", MemoryTable{0, {{"activations", 90_GB, ""}}}, 80_GB, {});
  };
  try {
    project(scenario, kReplayed, refuse);
    FAIL("not refused");
  } catch (const MemoryRefused& refused) {
    CHECK(refused.diagnostics().front().field == "run.phase[main].plan");
  }
}

TEST_CASE("GPU-hours that were given are taken over, not predicted", "[analysis]") {
  Scenario scenario = dense_scenario();
  TrainingPhase phase;
  phase.name = "after";
  phase.given_gpu_hours = 80;
  scenario.phases.push_back(phase);
  const Projection projection = project(scenario, kReplayed, line_timer);
  CHECK(projection.phases[1].given);
  CHECK(projection.phases[1].gpu_hours == Approx(80));
  CHECK(projection.gpu_hours == Approx(projection.predicted_gpu_hours + 80));
}

}  // namespace
}  // namespace flopcast
