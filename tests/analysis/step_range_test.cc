// How sure figures are: ranges follow from what a step is made of, are the same every time, and hold what was
// published.
#include <algorithm>
#include <cmath>

#include "analysis/face/environment_data.h"
#include "analysis/money/study/cost_study.h"
#include "analysis/runs/training/run.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"
#include "tests/paths.h"

using namespace flopcast;
using Catch::Matchers::ContainsSubstring;

namespace {

const EnvironmentData& data() { return testing::environment().data(); }

TrainingReport report_of(const std::string& scenario, std::vector<std::string> sets = {}) {
  RunOptions options;
  options.errors = data().step_errors();
  return run_training(testing::resolved(scenario, sets), options);
}

StepErrors errors_from(const std::string& rows) {
  return StepErrors(parse_csv("name,title,log_sd,source\n" + rows, "t"));
}

constexpr const char* kRanged = "h100_nemotron_4_15b_bf16_16";

}  // namespace

TEST_CASE("a step's range holds the prediction, is the same every time, and is made of named inputs") {
  const TrainingReport report = report_of(kRanged);
  REQUIRE(report.range);
  const StepRange& range = *report.range;
  CHECK(range.step_s.p5 < report.step_time.value());
  CHECK(range.step_s.p95 > report.step_time.value());
  CHECK(range.step_s.p50 == Approx(report.step_time.value()).epsilon(0.01));
  const double memory = report.fullest_memory().total().value();
  CHECK(range.memory_bytes.p5 < memory);
  CHECK(range.memory_bytes.p95 > memory);
  double shares = 0;
  for (const RangeInput& input : range.inputs) shares += input.variance_share;
  CHECK(shares == Approx(1));
  CHECK(range.inputs.size() >= 3);
  CHECK(report_of(kRanged).range->step_s.p5 == range.step_s.p5);
}

TEST_CASE("what runs were published to lose is in the range of a run that says nothing of it") {
  const auto losses = [](const std::string& rows) {
    return RunLosses(parse_csv("run,share,gpus,source,date\n" + rows, "t"));
  };
  CHECK(odds_within(log_normal_range(10, 0.2), 10) == Approx(0.5));
  CHECK(odds_within({5, 10, 40}, 40) == Approx(0.95));  // each side as wide as the range says
  CHECK(odds_within({5, 10, 40}, 5) == Approx(0.05));
  CHECK(odds_within({10, 10, 10}, 9.9) == 0);
  const FigureRange half = losses("a,0.5,,,\n").over_predicted(1, 0);
  CHECK(half.p5 == Approx(2));
  CHECK(half.p95 == Approx(2));
  // Of two runs that lost nothing and half, each is as likely.
  const FigureRange either = losses("a,0.5,,,\nb,1,,,\n").over_predicted(0.9, 0.01);
  CHECK(either.p5 == Approx(0.9).epsilon(0.02));
  CHECK(either.p95 == Approx(1.8).epsilon(0.02));
  const FigureRange none = losses("a,1,,,\n").over_predicted(1, 0.1), known = log_normal_range(1, 0.1);
  CHECK(none.p5 == Approx(known.p5));
  CHECK(none.p95 == Approx(known.p95));
  const std::vector<double> all = losses("a,1,,,\n").quantiles(1, 0.1, 100);
  REQUIRE(all.size() == 100);
  CHECK(all[49] < 1);
  CHECK(all[50] > 1);
  CHECK(std::is_sorted(all.begin(), all.end()));
  CHECK_THROWS_AS(losses("a,1.2,,,\n"), InputError);
  CHECK_THROWS_AS(losses(""), InputError);

  RunOptions options;
  options.errors = data().step_errors();
  options.losses = data().run_losses();
  const std::string run = "llama_3_1_8b_64_h100";
  const TrainingReport silent = run_training(testing::resolved(run, {}), options);
  const TrainingReport stated =
      run_training(testing::resolved(run, std::vector<std::string>{"resilience.restart=10 min"}), options);
  CHECK(silent.projection->lost_as_published);
  CHECK_FALSE(stated.projection->lost_as_published);
  CHECK(silent.projection->gpu_hours == Approx(stated.projection->gpu_hours));
  CHECK(silent.projection->spread->p95 > 1.2 * stated.projection->spread->p95);
  // As unsure as the step, and by what the stated interruptions differ from replay to replay.
  CHECK(stated.projection->spread->p95 == Approx(stated.range->step_s.p95 / stated.step_time.value()).epsilon(0.01));
}

TEST_CASE("a collective's range is wide where launches decide, and widest on GPUs that nobody measured") {
  const auto range_of = [](const std::string& node, const std::string& bytes) {
    const std::string text =
        "title: \"c\"\ncluster { node: \"" + node +
        "\" nodes: 1 fabric: \"rail-ft2\" }\ncollective { operation: \"nccl_all_reduce\" bytes: \"" + bytes +
        "\" ranks: 8 }\n";
    RunOptions options;
    options.errors = data().step_errors();
    const CollectiveReport report =
        run_collective(resolve_text(text, "c.textproto", testing::environment(), {}).value(), options);
    REQUIRE(report.range);
    CHECK(report.range->p5 < report.time.value());
    CHECK(report.range->p95 > report.time.value());
    return report.range->p95 / report.range->p5;
  };
  for (const char* node : {"hgx-h200", "hgx-a100", "hgx-b200"})
    CHECK(range_of(node, "1 MiB") > range_of(node, "8 GiB"));
  CHECK(range_of("hgx-h200", "8 GiB") < 1.25);
  for (const char* node : {"hgx-a100", "hgx-b200"}) {
    CHECK(range_of(node, "1 MiB") > 1.5 * range_of("hgx-h200", "1 MiB"));
    CHECK(range_of(node, "8 GiB") > range_of("hgx-h200", "8 GiB"));
  }
}

TEST_CASE("an error in what a step is made of widens its range by as much as the step spends there") {
  const Scenario scenario = testing::resolved(kRanged, {});
  std::string rows;
  for (const char* name : {"gemm",
                           "gemm_fp8",
                           "expert_gemm",
                           "attention_forward",
                           "attention_backward",
                           "memory_bound",
                           "launches",
                           "layer_exchange",
                           "expert_exchange",
                           "data_exchange",
                           "pipeline",
                           "host",
                           "other",
                           "memory_states",
                           "memory_kept",
                           "memory_logits",
                           "memory_libraries",
                           "die_gemm",
                           "die_gemm_fp8",
                           "die_expert_gemm",
                           "die_attention_forward",
                           "die_attention_backward",
                           "die_memory_bound",
                           "die_of_architecture",
                           "memory_buffers",
                           "memory_software",
                           "software",
                           "loop",
                           "loop_unknown",
                           "collective_rate",
                           "collective_start",
                           "collective_start_network",
                           "collective_start_unmeasured",
                           "collective_caller"})
    rows += std::string(name) + ",t,0,s\n";
  SoftwareProfile exact;
  exact.error = 0;
  exact.seen = SeenRuns::all;
  const TrainingReport report = report_of(kRanged);
  StepOrigins origins;
  origins.step = report.step_time;
  origins.path = &*report.path;
  origins.sources = &report.sources;
  origins.memory = &report.fullest_memory();
  origins.software = &exact;
  const StepRange none = step_range(origins, errors_from(rows + "clock,t,0,s\n"));
  CHECK(none.step_s.p5 == Approx(report.step_time.value()));
  CHECK(none.step_s.p95 == Approx(report.step_time.value()));
  CHECK(none.inputs.empty());
  exact.error = 0.1;
  const StepRange whole = step_range(origins, errors_from(rows + "clock,t,0,s\n"));
  CHECK(whole.step_s.p95 / report.step_time.value() == Approx(std::exp(1.645 * 0.1)).epsilon(0.02));
  exact.error = 0;
  const StepRange clock = step_range(origins, errors_from(rows + "clock,t,0.1,s\n"));
  CHECK(clock.log_error > 0.05);
  CHECK(clock.log_error < whole.log_error);
  CHECK_THROWS_AS(errors_from(rows), InputError);
  CHECK_THROWS_AS(errors_from(rows + "clock,t,-1,s\n"), InputError);
}

TEST_CASE("memory of software whose peaks nobody held against predictions has a range that says so") {
  const auto width = [](const char* software) {
    const TrainingReport report = report_of(
        kRanged, {std::string("training.software=") + software, "cluster.node=hgx-h200"});  // where eager FSDP fits
    return report.range->memory_bytes.p95 / report.range->memory_bytes.p5;
  };
  CHECK(width("megatron-core-2025.09") < 1.15);
  CHECK(width("pytorch-fsdp-eager") > 1.5);
  // "No framework in particular" may be any of them.
  CHECK(width("generic") > 1.5);
  CHECK(width("deepseek-2024.12") > 1.5);
}

TEST_CASE("a published run had room in its GPUs; the same with another plan may not") {
  const char* const v3 = "deepseek_v3_2048_h800";
  const auto largest = [&](std::vector<std::string> sets) {
    const TrainingReport report = report_of(v3, std::move(sets));
    return report.range->memory_bytes.p95 / report.scenario.cluster.node.gpu.hbm_usable().value();
  };
  CHECK(largest({}) <= 1);
  CHECK(largest({"price.gpu=3 USD/h"}) <= 1);
  // What the file says already, or what its node has.
  CHECK(largest({"cluster.node=hgx-h800"}) <= 1);
  CHECK(largest({"cluster.node_override.nic_bandwidth=50 GB/s per direction"}) <= 1);
  CHECK(largest({"training.batch.sequences=7680"}) > 1);
  CHECK(largest({"cluster.node=hgx-h100"}) > 1);
}

TEST_CASE("software of which no such run was seen has what lies between profiles for its error") {
  const StepErrors& errors = *data().step_errors();
  const double between = errors.of("software").log_sd;
  SoftwareProfile profile;
  profile.error = 0.01;
  profile.seen = SeenRuns::dense;
  CHECK(software_error(profile, false, false, errors) == 0.01);
  CHECK(software_error(profile, true, false, errors) == between);
  CHECK(software_error(profile, false, true, errors) == between);
  profile.seen = SeenRuns::all;
  CHECK(software_error(profile, true, false, errors) == 0.01);
  CHECK(software_error(profile, true, true, errors) == between);
  profile.seen = SeenRuns::nothing;
  profile.error = 0.5;
  CHECK(software_error(profile, false, false, errors) == 0.5);

  const auto width = [](std::vector<std::string> sets) { return report_of(kRanged, std::move(sets)).range->log_error; };
  const std::string seen = "training.software=megatron-core-2025.02";
  CHECK(width({seen}) < width({"training.software=nanotron-2025"}));
  CHECK(width({seen}) < width({seen, "training.adapter_rank=16"}));
}

TEST_CASE("the range of the memory holds what is left open") {
  const auto memory = [](std::vector<std::string> sets) {
    return report_of(kRanged, std::move(sets)).fullest_memory().total().value();
  };
  const StepRange stated = *report_of(kRanged).range;
  const double as_stated = memory({});
  for (const auto& [open, other] : {std::pair{"recompute", "training.recompute.full_layer=true"},
                                    std::pair{"micro_batch_sequences", "training.batch.micro_batch_sequences=1"}}) {
    const StepRange range = *report_of(kRanged, {std::string("training.open[0]=") + open}).range;
    const double otherwise = memory({other});
    CAPTURE(open, as_stated, otherwise);
    CHECK(otherwise != as_stated);
    CHECK(range.memory_bytes.p5 < std::min(as_stated, otherwise));
    CHECK(range.memory_bytes.p95 > std::max(as_stated, otherwise));
    CHECK(range.memory_bytes.p95 / range.memory_bytes.p5 > stated.memory_bytes.p95 / stated.memory_bytes.p5);
    CHECK(std::any_of(range.memory_inputs.begin(), range.memory_inputs.end(),
                      [](const RangeInput& input) { return input.title.find("which is open") != std::string::npos; }));
  }
}

TEST_CASE("the range of the step goes into days, GPU-hours and money") {
  const TrainingReport report = report_of("deepseek_v3_2048_h800");
  REQUIRE(report.projection);
  CHECK(report.projection->spread->p95 == Approx(report.range->step_s.p95 / report.step_time.value()).epsilon(0.01));
  const PricedWork work = work_of(*report.projection);
  REQUIRE(work.range);
  CHECK(work.range->p5 < work.gpu_hours());
  CHECK(work.range->p95 > work.gpu_hours());
  // What the run was published to take, 2.788 M GPU-hours, lies within.
  CHECK(work.range->p5 < 2.788e6);
  CHECK(work.range->p95 > 2.788e6);
}

TEST_CASE("a range does not depend on whether every GPU was replayed") {
  const TrainingReport folded = report_of(kRanged), unfolded = report_of(kRanged, {"training.unfolded=true"});
  REQUIRE(folded.run.folded);
  REQUIRE_FALSE(unfolded.run.folded);
  CHECK(unfolded.range->step_s.p5 == Approx(folded.range->step_s.p5));
  CHECK(unfolded.range->step_s.p95 == Approx(folded.range->step_s.p95));
}

TEST_CASE("nor on slow parts or leaves that the steps themselves do not hang on") {
  for (const char* slow : {"cluster.slow[0].nic=9", "cluster.slow[0].gpu=9", "cluster.slow[0].nvlink=9"}) {
    CAPTURE(slow);
    const std::vector<std::string> sets{"training.plan.zero_stage=3", slow, "cluster.slow[0].speed=0.2"};
    std::vector<std::string> all = sets;
    all.push_back("training.unfolded=true");
    const TrainingReport folded = report_of(kRanged, sets), unfolded = report_of(kRanged, all);
    REQUIRE(folded.step_time.value() == Approx(unfolded.step_time.value()));
    CHECK(unfolded.range->step_s.p5 == Approx(folded.range->step_s.p5));
    CHECK(unfolded.range->step_s.p95 == Approx(folded.range->step_s.p95));
  }
}

TEST_CASE("kernels of a die that nobody measured are less sure, and the report says so") {
  const auto of = [](const char* node) {
    return report_of("h100_llama_3_1_8b_bf16_8", {std::string("cluster.node_override.gpu=") + node});
  };
  const TrainingReport h100 = report_of("h100_llama_3_1_8b_bf16_8"), mi300x = of("mi300x"), b300 = of("b300-sxm");
  CHECK(mi300x.range->log_error > 1.5 * h100.range->log_error);
  CHECK(b300.range->log_error > h100.range->log_error);
  CHECK(b300.range->log_error < mi300x.range->log_error);
  CHECK_THAT(mi300x.range->inputs.front().title, ContainsSubstring("of a die that nobody measured"));
  CHECK_THAT(h100.range->inputs.front().title, !ContainsSubstring("nobody measured"));
}

TEST_CASE("a published run took no more memory than its GPUs have") {
  const TrainingReport report = report_of("deepseek_v3_2048_h800");
  CHECK(report.range->memory_bytes.p95 <= report.scenario.cluster.node.gpu.hbm_usable().value());
  CHECK(report.range->memory_bytes.p5 < report.fullest_memory().total().value());
}
