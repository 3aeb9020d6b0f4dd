// Does a loop's report add up, and does it say what the work costs?
#include "analysis/runs/rl/rl_html.h"
#include "analysis/runs/rl/rl_run.h"

#include <cmath>

#include <fmt/format.h>

#include "analysis/runs/metrics.h"
#include "analysis/runs/rl/rl_machine.h"
#include "scenarios/read/text/text_file.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"
#include "workloads/model/weights.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinRel;

const std::string kReportedLoop = R"(cluster { node: "hgx-h100" nodes: 1 fabric: "single-switch" }
model: "llama-3.1-8b"
training {
  plan { data: 8 zero_stage: 2 }
  schedule: "1f1b"
  batch { sequences: 64 sequence_length: 4096 }
  recompute { full_layer: true }
}
rl {
  prompts: 16 group: 8
  prompt { mean: 100 }
  answer { mean: 400 shape: "log_normal" most: 2048 }
  rollout { count: 8 }
  replayed_steps: 1
}
price { gpu: "2 USD/h" }
)";

Scenario loop(const std::vector<std::string>& sets = {}) {
  return resolve_text(kReportedLoop, "loop.textproto", testing::environment(), sets).value();
}

RlOptions in_process(const Scenario& scenario) {
  RlOptions options;
  options.power = testing::power_of(scenario);
  return options;
}

RlReport run_loop(const std::vector<std::string>& sets = {}) {
  const Scenario scenario = loop(sets);
  return run_rl(scenario, in_process(scenario));
}

double number(const RlReport& report, const char* name) {
  const std::vector<Metric> found = metrics(report);
  const Metric* const metric = find_metric(found, name);
  REQUIRE(metric != nullptr);
  REQUIRE(metric->number().has_value());
  return *metric->number();
}

TEST_CASE("a loop fits into what a GPU offers to programs, as training does, and is not told to do what it does",
          "[rl]") {
  const Scenario scenario = loop();
  const Bytes usable = scenario.cluster.node.gpu.hbm_usable();
  CHECK(usable > scenario.cluster.node.gpu.hbm_capacity);  // 80 GB are sold, 79.6 GiB found
  const RlReport report = run_rl(scenario, in_process(scenario));
  for (const PhaseMemory& phase : report.memory) CHECK(phase.capacity == usable);
  const std::vector<Metric> figures = metrics(report);
  const Metric* capacity = find_metric(figures, "rl.memory.capacity_bytes");
  REQUIRE(capacity);
  CHECK(capacity->number() == usable.value());
  const auto refused = [](const std::string& recompute) {
    return testing::one_line(
        testing::flopcast(
            "run rl_llama_8b_16_h100 --set training.batch.sequence_length=60000 --set training.recompute." + recompute)
            .err);
  };
  CHECK_THAT(refused("full_layer=true"),
             ContainsSubstring("at most 85.5 GB") && !ContainsSubstring("training.recompute.full_layer"));
  CHECK_THAT(refused("full_layer=false"), ContainsSubstring("training.recompute.full_layer: true"));
}

TEST_CASE("parts of a step sum to it, and so do shares of GPUs' time", "[rl]") {
  using Sets = std::vector<std::string>;
  for (const Sets& sets :
       {Sets{}, Sets{"rl.placement=separate", "training.plan.data=4", "rl.rollout.count=4"},
        Sets{"rl.placement=separate", "training.plan.data=4", "rl.rollout.count=2", "rl.asynchrony.staleness=1"}}) {
    const RlReport report = run_loop(sets);
    double parts = 0;
    for (const Seconds& part : report.step.parts) parts += part.value();
    CHECK_THAT(parts, WithinRel(report.step.length.value(), 1e-9));
    const double gpus = number(report, "rl.gpu_busy") + number(report, "rl.idle_tail") +
                        number(report, "rl.idle_waiting") + number(report, "rl.idle_moving") +
                        number(report, "rl.idle_imbalance") + number(report, "rl.idle_host");
    CHECK_THAT(gpus, WithinRel(1.0, 1e-3));
    CHECK_THAT(number(report, "rl.tokens_per_s_per_gpu") * number(report, "rl.gpus"),
               WithinRel(number(report, "rl.tokens_per_s"), 1e-9));
  }
}

TEST_CASE("GPUs that wait for the host are not said to wait for weights", "[rl]") {
  const RlReport quick = run_loop({}), slow = run_loop({"rl.host_time=100 s"});
  const double host = slow.step.part(RlPart::host) / slow.step.length;
  CHECK_THAT(number(slow, "rl.idle_host"), WithinRel(host, 1e-6));
  CHECK(number(slow, "rl.idle_moving") < number(quick, "rl.idle_moving"));
}

TEST_CASE("models: 18 B per trained parameter, 2 B per frozen one; PPO trains two", "[rl]") {
  const double n = count_parameters(loop().rl->update.model).total;
  const RlReport grpo = run_loop();
  CHECK_THAT(number(grpo, "rl.memory.policy_bytes"), WithinRel(18 * n, 1e-12));
  CHECK_THAT(number(grpo, "rl.memory.models_bytes"), WithinRel((18 + 2) * n, 1e-12));
  const RlReport ppo = run_loop({"rl.algorithm=ppo", "rl.reward.kind=model", "training.precision.gradients=bf16"});
  CHECK_THAT(number(ppo, "rl.memory.models_bytes"), WithinRel((16 + 16 + 2 + 2) * n, 1e-12));
  CHECK(ppo.step.part(RlPart::critic_update) > Seconds(0));
  CHECK(ppo.step.part(RlPart::values) > Seconds(0));
  CHECK(ppo.step.part(RlPart::reward_model) > Seconds(0));
}

TEST_CASE("adapters: their own states beside matrices that are held once", "[rl]") {
  const double n = count_parameters(loop().rl->update.model).total;
  const double policy = number(run_loop({"training.adapter_rank=16"}), "rl.memory.policy_bytes");
  CHECK(policy > 2 * n);
  CHECK(policy < 2.2 * n);
}

TEST_CASE("frozen models have to fit for their pass, or beside the rest where they stay", "[rl]") {
  CHECK_THROWS_WITH(run_loop({"rl.reference_model=llama-3.1-405b"}),
                    ContainsSubstring("during pass of the reference model") && ContainsSubstring("rl.frozen"));
  CHECK_THROWS_WITH(run_loop({"rl.reward.kind=model", "rl.reward.model=llama-3.1-405b"}),
                    ContainsSubstring("during pass of the reward model"));
  CHECK_THROWS_WITH(run_loop({"rl.handover.reference=false", "rl.rollout.memory_share=0.9"}),
                    ContainsSubstring("during generation") && ContainsSubstring("reference model 16"));
  const RlReport stays = run_loop({"rl.handover.reference=false", "rl.rollout.memory_share=0.5"});
  for (const PhaseMemory& phase : stays.memory) {
    int rows = 0;
    for (const MemoryRow& row : phase.table.rows) rows += row.item == "reference model";
    CHECK(rows == 1);
  }
  // Each pays its own way from the host and back.
  const RlReport small = run_loop({"rl.reward.kind=model"}),
                 large = run_loop({"rl.reward.kind=model", "rl.reward.model=qwen2.5-32b"});
  CHECK(large.step.part(RlPart::reference) == small.step.part(RlPart::reference));
  CHECK(large.step.part(RlPart::reward_model) > small.step.part(RlPart::reward_model));
}

TEST_CASE("attention groups each take in all that is not experts", "[rl]") {
  const std::vector<std::string> experts{"model=qwen3-30b-a3b", "training.plan.expert=8", "rl.rollout.count=1"};
  const auto received = [&](std::vector<std::string> more) {
    more.insert(more.begin(), experts.begin(), experts.end());
    return run_loop(more).sync.received;
  };
  const Bytes tensor = received({"rl.rollout.tensor=4"});
  const Bytes apart = received({"rl.rollout.attention_data=4", "rl.rollout.expert=4"});
  const WeightBytes weights = weight_bytes(loop({"model=qwen3-30b-a3b", "training.plan.expert=8"}).rl->update.model,
                                           formats_of(Precision::bf16));
  CHECK_THAT((apart - tensor).value(), WithinRel(0.75 * weights.others.value(), 1e-9));
}

TEST_CASE("forward passes take less than a third of a step, and more than a fifth", "[rl]") {
  const RlReport report = run_loop();
  const double forward = report.trainer.forward.per_micro_batch / report.trainer.update.per_micro_batch;
  CHECK(forward < 1.0 / 3);
  CHECK(forward > 1.0 / 5);
}

TEST_CASE("weights: every GPU gets its part, changes less, by one sender more slowly", "[rl]") {
  const std::vector<std::string> apart{"rl.placement=separate", "training.plan.data=4", "rl.rollout.count=2",
                                       "rl.rollout.tensor=2"};
  const auto with = [&](const std::string& form) {
    std::vector<std::string> sets = apart;
    sets.push_back("rl.sync.form=" + form);
    return run_loop(sets).sync;
  };
  const SyncCost sharded = with("sharded"), delta = with("delta"), broadcast = with("broadcast"), host = with("host"),
                 storage = with("storage");
  CHECK_THAT(sharded.payload.value(), WithinRel(2 * count_parameters(loop().rl->update.model).total, 1e-3));
  CHECK_THAT(sharded.received.value(), WithinRel(sharded.payload.value() / 2, 1e-12));
  CHECK_THAT(sharded.sent.value(), WithinRel(2 * sharded.payload.value(), 1e-12));
  CHECK(sharded.network >= sharded.received / loop().cluster.node.nvlink_bandwidth);
  CHECK_THAT(delta.received.value(), WithinRel(0.03 * sharded.received.value(), 1e-12));
  CHECK(delta.network < sharded.network);
  CHECK_THAT(delta.gather.value(), WithinRel(delta.payload.value() / 4 / 1e9, 1e-9));  // on four trainers
  CHECK(broadcast.total() > sharded.total());
  CHECK(host.total() > sharded.total());
  CHECK_THAT(storage.network.value(), WithinRel(3 * storage.payload.value() / 50e9, 1e-9));
}

TEST_CASE("optimiser states go to the host no faster than they can be copied, tensors in no faster than one by one",
          "[rl]") {
  const RlReport plain = run_loop(), slow = run_loop({"rl.handover.copy_rate=2 GB/s"});
  const double states = 12 * count_parameters(loop().rl->update.model).total / 8;  // on eight GPUs
  const double pcie = loop().cluster.node.gpu.pcie_bandwidth.value();
  CHECK_THAT(number(slow, "rl.handover_s") - number(plain, "rl.handover_s"),
             WithinRel(states / 2e9 - states / pcie, 0.02));
  // Llama 3.1 8B: 9 tensors a layer, embedding, head and norm.
  CHECK(weight_tensors(loop().rl->update.model) == 32 * 9 + 3);
  CHECK_THAT((run_loop({"rl.sync.per_tensor=10 ms"}).sync.load - plain.sync.load).value(), WithinRel(2.91, 1e-9));
  // Gathered, sent and taken in beside one another: the longest counts.
  const SyncCost apart = run_loop({"rl.sync.form=broadcast"}).sync,
                 beside = run_loop({"rl.sync.form=broadcast", "rl.sync.overlapped=true"}).sync;
  CHECK(apart.total() - beside.total() == std::min(apart.gather, std::max(apart.network, apart.load)));
}

TEST_CASE("a run counts the times that the reference is replaced", "[rl]") {
  const RlReport never = run_loop({"rl.run.steps=100"}),
                 often = run_loop({"rl.run.steps=100", "rl.reference_every=10"});
  REQUIRE(often.run);
  const double weights = 2 * count_parameters(loop().rl->update.model).total;
  CHECK_THAT((often.run->time.steady - never.run->time.steady).value(),
             WithinRel(10 * weights / loop().cluster.node.gpu.pcie_bandwidth.value(), 0.02));
}

TEST_CASE("pools that overlap: GPUs are counted once, shares of their time sum to one, memory of both counts", "[rl]") {
  const std::vector<std::string> sets{
      "rl.placement=separate", "training.plan.data=4",      "rl.rollout.count=6",           "rl.overlap=2",
      "cluster.nodes=1",       "rl.asynchrony.staleness=1", "rl.handover.copy_rate=10 GB/s"};
  const RlReport report = run_loop(sets);
  CHECK(number(report, "rl.gpus") == 8);
  CHECK(number(report, "rl.engine_gpus") == 6);
  double shares = 0;
  for (const char* share :
       {"rl.gpu_busy", "rl.idle_tail", "rl.idle_waiting", "rl.idle_moving", "rl.idle_imbalance", "rl.idle_host"})
    shares += number(report, share);
  CHECK_THAT(shares, WithinRel(1.0, 1e-6));
  CHECK(number(report, "rl.handover_s") > 0);
  std::vector<std::string> kept = sets;
  kept.insert(kept.end(), {"rl.handover.optimizer=false", "rl.handover.parameters=false"});
  CHECK_THROWS_WITH(run_loop(kept), ContainsSubstring("during generation"));
}

TEST_CASE("tools within answers: engine and trainer read what they add", "[rl]") {
  const RlReport plain = run_loop(), tools = run_loop({"rl.tools.calls=2", "rl.tools.tokens=200", "rl.tools.time=3 s"});
  CHECK(number(tools, "rl.answer_tokens") == number(plain, "rl.answer_tokens"));
  CHECK(number(tools, "rl.tool_calls") > 250);  // two each of 128 answers
  CHECK_THAT(number(tools, "rl.prompt_tokens"),
             WithinRel(number(plain, "rl.prompt_tokens") + 200 * number(tools, "rl.tool_calls"), 1e-9));
  CHECK(number(tools, "rl.update_s") > number(plain, "rl.update_s"));
  CHECK(number(tools, "rl.generation_s") > number(plain, "rl.generation_s") + 5);
  CHECK(number(tools, "rl.timed_out_tools") == 0);
}

TEST_CASE("a loop in which every sandbox hangs says so", "[rl]") {
  const RlReport hangs =
      run_loop({"rl.tools.calls=1", "rl.tools.hanging=1", "rl.reward.kind=sandbox", "rl.reward.hanging=1"});
  CHECK(number(hangs, "rl.timed_out_tools") == number(hangs, "rl.tool_calls"));
  CHECK(number(hangs, "rl.timed_out_rewards") == number(hangs, "rl.answers"));
}

TEST_CASE("a phase that does not fit is named, with how much too much it takes", "[rl]") {
  const auto run_it = [](const std::vector<std::string>& sets) { run_loop(sets); };
  CHECK_THROWS_WITH(run_it({"rl.handover.optimizer=false", "rl.handover.parameters=false"}),
                    ContainsSubstring("during generation") && ContainsSubstring("too much"));
  CHECK_THROWS_WITH(run_it({"training.plan.zero_stage=0"}),
                    ContainsSubstring("training.plan") && ContainsSubstring("during update"));
}

TEST_CASE("one GPU and a thousand", "[rl]") {
  const std::vector<std::string> one{"model=deepseek-r1-distill-qwen-1.5b", "cluster.node_override.gpus=1",
                                     "training.plan.data=1", "rl.rollout.count=1"};
  const RlReport small = run_loop(one);
  CHECK(small.step.length > Seconds(0));
  CHECK(small.sync.network == Seconds(0));
  const RlReport large = run_loop({"cluster.nodes=125", "cluster.fabric=rail-ft2", "training.plan.data=1000",
                                   "rl.rollout.count=1000", "rl.prompts=1000", "training.batch.sequences=8000"});
  CHECK(large.step.answers == 8000);
  // The same work per GPU: what differs is that the longest of more answers is longer, and gradients go further.
  CHECK(large.step.part(RlPart::generation) >= run_loop().step.part(RlPart::generation) * 0.9);
}

TEST_CASE("a run goes along its curve of lengths", "[rl]") {
  const RlReport flat = run_loop({"rl.run.steps=100", "resilience.failure_rate=0 per GPU-hour"});
  REQUIRE(flat.run);
  CHECK_THAT(flat.run->time.steady.value(), WithinRel(100 * flat.step.length.value(), 1e-9));
  CHECK_THAT(flat.run->cost.value(), WithinRel(2 * flat.run->gpu_hours, 1e-9));
  CHECK_THAT(flat.run->gpu_hours, WithinRel(flat.run->time.total().value() * 8 / 3600, 1e-9));
  const std::string text =
      kReportedLoop.substr(0, kReportedLoop.rfind("price")) + "resilience { failure_rate: \"0 per GPU-hour\" }\n";
  const auto along = [&](const std::string& growth) {
    return text.substr(0, text.rfind("replayed_steps")) + "replayed_steps: 1 run { steps: 100 " + growth +
           " evaluation_every: 10 evaluation_answers: 64 } }\n";
  };
  const std::string grown = along("growth { step: 0 mean: 100 } growth { step: 50 mean: 400 }");
  const Scenario scenario = resolve_text(grown, "grown.textproto", testing::environment()).value();
  const RlReport growing = run_rl(scenario, in_process(scenario));
  // Points are added where lengths grow by more than half from one to the next.
  const std::vector<RlRunPoint>& points = growing.run->points;
  REQUIRE(points.size() == 5);
  double steps = (100 - points.back().step) * points.back().length.value();
  for (std::size_t i = 1; i < points.size(); ++i) {
    CHECK(points[i].mean <= 1.5 * points[i - 1].mean);
    CHECK_THAT(points[i].mean, WithinRel(100 + 6 * points[i].step, 1e-9));  // on the line that is stated
    steps += (points[i].step - points[i - 1].step) / 2 * (points[i].length + points[i - 1].length).value();
  }
  CHECK(points.front().length < points.back().length);
  CHECK_THAT((growing.run->time.steady - growing.run->evaluation).value(), WithinRel(steps, 1e-9));
  // Evaluations write answers of the length of their day: ten, the last five of 400 tokens.
  const std::string level = along("growth { step: 0 mean: 400 }");
  const Scenario even = resolve_text(level, "level.textproto", testing::environment()).value();
  CHECK(growing.run->evaluation < 0.95 * run_rl(even, in_process(even)).run->evaluation);
  CHECK(growing.run->evaluation > Seconds(0));
}

TEST_CASE("a loop in no framework has the range of software that nobody described, and says so") {
  const auto run_with = [](const std::vector<std::string>& sets) {
    const Scenario scenario = loop(sets);
    RlOptions options = in_process(scenario);
    options.errors = testing::environment().data().step_errors();
    return run_rl(scenario, options);
  };
  const RlReport known = run_with({"rl.framework=verl-0.7"}), none = run_with({});
  const double step = number(known, "rl.step_time_s");
  CHECK(number(known, "rl.step_time_range_s.p5") < 0.8 * step);
  CHECK(number(known, "rl.step_time_range_s.p95") > 1.25 * step);
  CHECK_THAT(testing::one_line(to_text(known, TextStyle(false))), ContainsSubstring("In 90 % of the cases"));
  // Wider, and longer in the middle: such steps took longer than predicted.
  const double alone = number(none, "rl.step_time_s");
  const auto range = [](const RlReport& report, const char* at) {
    return number(report, (std::string("rl.step_time_range_s.") + at).c_str());
  };
  CHECK(range(none, "p50") > 1.1 * alone);
  CHECK(range(none, "p95") > 2 * alone);
  CHECK(range(none, "p5") < alone);
  CHECK(range(none, "p95") / range(none, "p5") > range(known, "p95") / range(known, "p5"));
  CHECK_THAT(testing::one_line(to_text(none, TextStyle(false))), ContainsSubstring("no rl.framework is stated"));
}

TEST_CASE("an engine that hands out log-probabilities with its tokens writes them later", "[rl]") {
  const auto generation = [](std::vector<std::string> sets) {
    sets.emplace_back("rl.rollout.engine=vllm-0.11");
    return number(run_loop(sets), "rl.generation_s");
  };
  const double silent = generation({}), told = generation({"rl.token_time=20 us"});
  // 16 answers a replica at first, fewer later: at most 0.32 ms in each of some 2,000 iterations.
  CHECK(told > silent);
  CHECK(told < silent + 0.32e-3 * 2048);
}

TEST_CASE("a part of a loop is off by what its kind is off, the step by all of it and by what loops are off", "[rl]") {
  RlStepMeans step;
  step.length = Seconds(100);
  step.parts[static_cast<std::size_t>(RlPart::generation)] = Seconds(50);
  step.parts[static_cast<std::size_t>(RlPart::update)] = Seconds(30);
  step.parts[static_cast<std::size_t>(RlPart::sync)] = Seconds(5);
  const auto width = [](const FigureRange& range) { return std::log(range.p95 / range.p5) / (2 * 1.645); };
  LoopErrors errors;
  errors.whole.log_sd = 0.28;
  const LoopRanges alone = loop_ranges(step, false, errors);
  CHECK_THAT(width(alone.step_s), WithinRel(0.28, 0.05));
  CHECK_THAT(width(alone.generation_s), WithinRel(0.28, 0.05));
  CHECK_THAT(alone.step_s.p50, WithinRel(100, 0.02));
  errors.engine = {std::exp(-0.4 * 1.645), std::exp(0.4 * 1.645), 100};
  errors.trainer.log_sd = 0.1;
  const LoopRanges both = loop_ranges(step, false, errors);
  CHECK_THAT(width(both.step_s), WithinRel(0.28, 0.06));  // published steps have their parts' errors in them
  CHECK(width(both.generation_s) > 0.4);
  CHECK(width(both.training_s) < width(alone.training_s));
  CHECK(both.inputs.front().variance_share > 0.5);  // 0.2 of 0.28 are the engine's
  // Apart, an engine that nobody waits for may become one that is waited for, but never fewer than no seconds.
  step.parts[static_cast<std::size_t>(RlPart::generation)] = Seconds(0);
  step.length = Seconds(50);
  step.awake = Seconds(28);
  const LoopRanges apart = loop_ranges(step, true, errors);
  CHECK(apart.generation_s.p5 == 0);
  CHECK(apart.generation_s.p95 > 5);
  CHECK(loop_ranges(step, false, errors).generation_s.p95 == 0);
}

TEST_CASE("a loop that the program runs has the ranges of its engine's model, whatever else the scenario is", "[rl]") {
  const Scenario scenario = loop({"rl.framework=verl-0.7"});
  const Report report =
      run(resolve_text(kReportedLoop, "loop.textproto", testing::environment(), {}), testing::environment());
  CHECK(report.json().find("generation_range_s") != std::string::npos);
  RlOptions options = in_process(scenario);
  options.errors = testing::environment().data().step_errors();
  options.engine = testing::environment().data().serving_spreads(scenario).many.tpot;
  CHECK(options.engine.rows > 20);
  const RlReport found = run_rl(scenario, options);
  CHECK(number(found, "rl.generation_range_s.p5") < number(found, "rl.generation_s"));
  CHECK(number(found, "rl.generation_range_s.p95") > number(found, "rl.generation_s"));
  CHECK(number(found, "rl.tokens_per_s_per_gpu_range.p5") < number(found, "rl.tokens_per_s_per_gpu_range.p95"));
}

TEST_CASE("docs/rl.md says what loops of the library take", "[rl][docs]") {
  const std::string text = read_text_file(testing::source_dir() + "/docs/rl.md");
  const auto step = [](const std::string& name, const std::vector<std::string>& sets) {
    Scenario scenario = testing::resolved(name, sets);
    scenario.published.clear();  // of other sizes
    RlOptions options = in_process(scenario);
    options.project = false;
    return run_rl(scenario, options).step.length.value();
  };
  // The numbers behind a sentence's beginning, up to `count` of them.
  const auto numbers = [&](const std::string& begin, std::size_t count) {
    std::vector<double> out;
    std::size_t at = text.find(begin);
    REQUIRE(at != std::string::npos);
    at += begin.size();
    while (out.size() < count) {
      at = text.find_first_of("-+0123456789", at);
      std::size_t read = 0;
      out.push_back(std::stod(text.substr(at, 20), &read));
      at += read;
    }
    return out;
  };
  const std::vector<double> drafts = numbers("as below: a step of ", 3);
  const std::string llama = "rl_llama_8b_16_h100";
  std::vector<std::string> sets;
  CHECK_THAT(step(llama, sets), WithinRel(drafts[0], 0.02));
  sets = {"rl.speculation.kind=eagle", "rl.speculation.depth=3", "rl.speculation.acceptance=0.6"};
  CHECK_THAT(step(llama, sets), WithinRel(drafts[2], 0.02));
  sets.emplace_back("rl.speculation.most_batch=32");
  CHECK_THAT(step(llama, sets), WithinRel(drafts[1], 0.02));
  const std::vector<double> off = numbers("H20 (verl) | ", 3);
  const std::string dapo = "rl_dapo_qwen_7b_64_h20";
  const auto on = [&](int gpus) {
    return step(dapo, {fmt::format("cluster.nodes={}", gpus / 8), fmt::format("training.plan.data={}", gpus / 4),
                       fmt::format("rl.rollout.count={}", gpus / 4)});
  };
  CHECK(std::abs(100 * (on(32) / 790 - 1) - off[0]) < 2);
  CHECK(std::abs(100 * (on(64) / 365.28 - 1) - off[1]) < 2);
  CHECK(std::abs(100 * (on(128) / 356 - 1) - off[2]) < 2);
}

TEST_CASE("explain: free parts save no more than they take where nothing is hidden", "[rl]") {
  const Scenario scenario = loop();
  const RlExplanation explanation = explain_rl(scenario, in_process(scenario));
  CHECK(explanation.parts.size() >= 5);
  for (const RlSaving& saving : explanation.parts) {
    INFO(name(saving.part));
    CHECK(saving.saves.value() <= saving.takes.value() + 1e-6);
    CHECK(saving.saves.value() >= -1e-6);
  }
  const std::string page = to_html(explanation, "a loop");
  CHECK_THAT(page, ContainsSubstring("took no time, a step would take") && ContainsSubstring("a loop"));
}

TEST_CASE("R1-Zero's loop: a step of 8,192 answers and 16 updates, and its words", "[rl]") {
  const Scenario scenario = testing::resolved("rl_r1_zero_512_h800");
  RlOptions options = in_process(scenario);
  options.project = false;
  const RlReport report = run_rl(scenario, options);
  CHECK(report.step.answers == 8192);
  CHECK(number(report, "rl.updates_per_step") == 16);
  const std::string text = to_text(report, TextStyle(false));
  CHECK_THAT(text, ContainsSubstring("One step of 8,192 answers"));
  CHECK_THAT(text, ContainsSubstring("per update"));
  CHECK_THAT(to_html(report), ContainsSubstring("Timeline of the loop"));
}

}  // namespace
}  // namespace flopcast
