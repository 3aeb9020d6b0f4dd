// A critic on GPUs of its own, replicas that take over from others, orders by predicted lengths, models that draft:
// what they save, and what they leave as it was.
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "analysis/runs/metrics.h"
#include "analysis/runs/rl/rl_machine.h"
#include "analysis/runs/rl/rl_run.h"
#include "analysis/runs/serving/serving_explain.h"
#include "analysis/runs/serving/serving_run.h"
#include "flopcast/flopcast.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"
#include "workloads/serving/pricing/deployment.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinRel;

const std::string kPpo = R"(cluster { node: "hgx-h100" nodes: 2 fabric: "rail-ft2" }
model: "qwen2.5-1.5b"
training {
  plan { data: 8 zero_stage: 2 }
  schedule: "1f1b"
  batch { sequences: 64 sequence_length: 4096 }
  recompute { full_layer: true }
}
rl {
  algorithm: "ppo"
  placement: "separate"
  prompts: 16 group: 8
  prompt { mean: 100 }
  answer { mean: 400 shape: "log_normal" most: 2048 }
  rollout { count: 4 }
  replayed_steps: 1
}
price { gpu: "2 USD/h" }
)";

RlReport ran_pools(const std::vector<std::string>& sets, const std::string& text = kPpo) {
  const Scenario scenario = resolve_text(text, "loop.textproto", testing::environment(), sets).value();
  RlOptions options;
  options.power = testing::power_of(scenario);
  return run_rl(scenario, options);
}

std::string refused_pools(const std::vector<std::string>& sets) {
  try {
    ran_pools(sets);
  } catch (const InputError& error) {
    return testing::one_line(error.what());
  }
  return "taken";
}

double parts_of(const RlReport& report) {
  double sum = 0;
  for (const Seconds part : report.step.parts) sum += part.value();
  return sum;
}

TEST_CASE("A critic on GPUs of its own works while the policy does", "[rl]") {
  const RlReport together = ran_pools({}), apart = ran_pools({"rl.critic.gpus=4"}),
                 wide = ran_pools({"rl.critic.gpus=2"});
  CHECK(together.rl().gpus() == 12);
  CHECK(apart.rl().gpus() == 16);
  for (const RlReport* report : {&together, &apart, &wide})
    CHECK_THAT(parts_of(*report), WithinRel(report->step.length.value(), 1e-9));
  CHECK(apart.step.answer_tokens == together.step.answer_tokens);
  CHECK(apart.step.length < together.step.length);
  CHECK(together.step.critic_busy == Seconds(0));
  CHECK(apart.step.critic_busy > Seconds(0));
  // Four GPUs have twice the critic's work of eight, beside the policy's log-probabilities, reference and updates.
  const auto critic = [](const RlReport& r) {
    return r.step.part(RlPart::values) + r.step.part(RlPart::critic_update);
  };
  CHECK(critic(apart) < critic(together));
  CHECK(apart.step.critic_busy > critic(together));
  // Half of those GPUs take twice as long, and what the policy does not hide is waited for.
  CHECK_THAT(wide.step.critic_busy / apart.step.critic_busy, WithinRel(2.0, 0.15));
  CHECK(critic(wide) > critic(apart));
  const auto rows = [](const RlReport& r, const std::string& phase, const std::string& item) {
    int found = 0;
    for (const PhaseMemory& p : r.memory)
      for (const MemoryRow& row : p.table.rows) found += p.phase == phase && row.item.find(item) != std::string::npos;
    return found;
  };
  CHECK(rows(together, "update", "critic's") == 2);
  CHECK(rows(apart, "update", "critic's") == 0);
  CHECK(rows(apart, "critic", "optimiser states") == 1);
}

TEST_CASE("A critic of another size takes its own time and memory, on the trainer's GPUs and on its own", "[rl]") {
  // The same model under another name is the same step.
  const std::string policy = ran_pools({}).rl().model().name;
  const RlReport same = ran_pools({"rl.critic.model=" + policy}), own = ran_pools({});
  CHECK(same.step.length == own.step.length);
  CHECK(same.states.critic == own.states.critic);
  // An override leaves the policy its name: a critic of that name is the whole model all the same.
  const RlReport half = ran_pools({"model_override.layers=14", "rl.critic.model=" + policy});
  CHECK(half.step.part(RlPart::critic_update) == own.step.part(RlPart::critic_update));
  CHECK(half.step.part(RlPart::update) < 0.7 * own.step.part(RlPart::update));
  const RlReport small = ran_pools({"rl.critic.model=mpt-350m"});
  CHECK(small.step.part(RlPart::critic_update) < 0.5 * own.step.part(RlPart::critic_update));
  CHECK(small.step.part(RlPart::values) < 0.5 * own.step.part(RlPart::values));
  CHECK(small.step.part(RlPart::update) == own.step.part(RlPart::update));
  CHECK(small.states.critic < 0.5 * small.states.policy);
  CHECK(small.memory.front().total() < own.memory.front().total());
  const RlReport apart = ran_pools({"rl.critic.gpus=4", "rl.critic.model=mpt-350m"}),
                 wide = ran_pools({"rl.critic.gpus=4"});
  CHECK(apart.step.critic_busy < 0.5 * wide.step.critic_busy);
  const RlReport reference = ran_pools({"rl.reference_model=mpt-350m"});
  CHECK(reference.step.part(RlPart::reference) < 0.5 * own.step.part(RlPart::reference));
  CHECK(reference.states.reference < 0.5 * own.states.reference);
  CHECK_THAT(refused_pools({"rl.reference=false", "rl.reference_model=mpt-350m"}),
             ContainsSubstring("there is no reference"));
  CHECK_THAT(refused_pools({"rl.algorithm=grpo", "rl.critic.model=mpt-350m"}), ContainsSubstring("grpo has no critic"));
  CHECK_THAT(refused_pools({"rl.critic.model=mpt-350m", "rl.critic.tensor=2"}), ContainsSubstring("gpus of its own"));
}

TEST_CASE("A critic's pool that cannot be is refused", "[rl]") {
  CHECK_THAT(refused_pools({"rl.algorithm=grpo", "rl.critic.gpus=4"}), ContainsSubstring("grpo has no critic"));
  CHECK_THAT(refused_pools({"rl.critic.gpus=3", "rl.critic.tensor=2"}),
             ContainsSubstring("a multiple of the 2 of a copy"));
  CHECK_THAT(refused_pools({"rl.critic.gpus=5"}), ContainsSubstring("beside 5 of rl.critic"));
  CHECK_THAT(refused_pools({"model=llama-3.1-8b", "rl.critic.gpus=2"}),
             ContainsSubstring("during critic") && ContainsSubstring("rl.critic"));
  CHECK_THAT(refused_pools({"rl.prediction=0.5"}), ContainsSubstring("order: \"predicted\""));
  CHECK_THAT(refused_pools({"rl.take_over=true", "rl.rollout.count=1"}), ContainsSubstring("several replicas"));
}

TEST_CASE("Replicas without work take over answers of a slow one, and nothing else changes", "[rl]") {
  const std::vector<std::string> slow = {"cluster.slow[0].gpu=8", "cluster.slow[0].speed=0.4"};
  const auto with = [&](const char* set) {
    std::vector<std::string> sets = slow;
    sets.push_back(set);
    return ran_pools(sets);
  };
  const RlReport as_it_is = with("rl.take_over=false"), helped = with("rl.take_over=true");
  CHECK(as_it_is.step.taken_over == 0);
  CHECK(helped.step.taken_over > 0);
  CHECK(helped.step.length < 0.95 * as_it_is.step.length);
  CHECK(helped.step.answers == as_it_is.step.answers);
  CHECK(helped.step.answer_tokens == as_it_is.step.answer_tokens);
  CHECK_THAT(parts_of(helped), WithinRel(helped.step.length.value(), 1e-9));
}

TEST_CASE("Prompts in the order of predicted lengths: between as drawn and known", "[rl]") {
  const std::vector<std::string> sets = {"rl.group=2", "rl.prompts=64", "rl.rollout.max_batch=4",
                                         "rl.answer.variation=1.2", "rl.algorithm=rloo"};
  const auto generation = [&](const std::string& order, const std::string& prediction) {
    std::vector<std::string> all = sets;
    all.push_back("rl.order=" + order);
    if (!prediction.empty()) all.push_back("rl.prediction=" + prediction);
    return ran_pools(all).step.part(RlPart::generation).value();
  };
  const double known = generation("longest_first", ""), drawn = generation("as_drawn", "");
  CHECK(generation("predicted", "1") == known);
  CHECK(generation("predicted", "") < drawn);
  CHECK(generation("predicted", "0.75") >= known);
  CHECK(generation("predicted", "0") > generation("predicted", "0.9"));
}

TEST_CASE("A run says how far it is, in answers", "[rl]") {
  const ResolvedScenario scenario =
      resolve_text(kPpo, "loop.textproto", testing::environment(),
                   {"rl.run.steps=100", "rl.run.growth[0].step=0", "rl.run.growth[0].mean=200",
                    "rl.run.growth[1].step=90", "rl.run.growth[1].mean=400"});
  std::vector<Progress> said;
  RunSettings settings;
  settings.progress = [&](const Progress& progress) {
    said.push_back(progress);
    return true;
  };
  run(scenario, testing::environment(), settings);
  REQUIRE(said.size() >= 4);
  CHECK(said.front().done == 0);
  CHECK(said.back().all == 4 * 128);  // the loop, two points of the run and one between them
  CHECK(said.back().done >= 2 * 128);
  for (std::size_t i = 2; i < said.size(); ++i) {
    CHECK(said[i].done >= said[i - 1].done);
    CHECK(said[i].done <= said[i].all);
  }
}

const std::string kService = R"(cluster { node: "hgx-h100" nodes: 1 fabric: "single-switch" }
model: "llama-3.1-70b"
serving {
  traffic { requests: "64" stream { users: 4 input { mean: 1000 shape: "uniform" variation: 0.3 } output { mean: 200 shape: "uniform" variation: 0.3 } } }
  replicas { tensor: 8 }
}
)";

TEST_CASE("A smaller model drafts: all of its layers for every token, its weights and its cache", "[serving]") {
  const auto served = [](const std::vector<std::string>& sets) {
    return run_serving(resolve_text(kService, "s.textproto", testing::environment(), sets).value(), {});
  };
  const auto drafted = [&](const std::string& model, const std::string& acceptance) {
    return served({"serving.speculation.kind=model", "serving.speculation.model=" + model,
                   "serving.speculation.depth=3", "serving.speculation.acceptance=" + acceptance});
  };
  const ServingReport alone = served({}), small = drafted("llama-3.1-8b", "0.8"),
                      none_kept = drafted("llama-3.1-8b", "0");
  const Seconds base = alone.answer_pool().mean_iteration, with = small.answer_pool().mean_iteration;
  CHECK(with > base);
  // 1 + 0.8 + 0.64 + 0.512 tokens for an iteration of the large model and three of the small one.
  CHECK(small.all.tpot.mean() < alone.all.tpot.mean());
  CHECK_THAT(small.all.tpot.mean(), WithinRel(with.value() / 2.952, 0.15));
  CHECK(none_kept.all.tpot.mean() > alone.all.tpot.mean());
  // Three passes of a model with a ninth of the weights, as a service of its own has them.
  const ServingReport own = served({"model=llama-3.1-8b", "serving.replicas.weights=bf16"});
  CHECK_THAT((with - base) / (3 * own.answer_pool().mean_iteration), WithinRel(1.0, 0.35));
  CHECK(drafted("llama-2-7b", "0.8").answer_pool().mean_iteration > base);
  const auto weights = [](const ServingReport& r, const char* item) {
    Bytes sum;
    for (const MemoryRow& row : r.answer_pool().memory.table.rows)
      if (row.item == item) sum += row.bytes;
    return sum.value();
  };
  CHECK(weights(alone, "draft model") == 0);
  CHECK_THAT(weights(small, "draft model"), WithinRel(8.03e9 * 2 / 8, 0.01));
  CHECK(small.answer_pool().memory.kv_tokens < alone.answer_pool().memory.kv_tokens);
}

TEST_CASE("A model that drafts is named, and fits", "[serving]") {
  const auto fault = [](const std::vector<std::string>& sets) -> std::string {
    try {
      resolve_text(kService, "s.textproto", testing::environment(), sets);
    } catch (const InputError& error) {
      return testing::one_line(error.what());
    }
    return "taken";
  };
  CHECK_THAT(fault({"serving.speculation.kind=model"}), ContainsSubstring("the smaller model that drafts"));
  CHECK_THAT(fault({"serving.speculation.model=llama-3.1-8b"}), ContainsSubstring("kind: \"model\" beside it"));
  CHECK_THAT(fault({"serving.speculation.kind=model", "serving.speculation.model=mixtral-8x7b"}),
             ContainsSubstring("a model without experts"));
}

TEST_CASE("a loop whose engine is a compiled model has that one's attention") {
  const auto kernels = [](const std::vector<std::string>& sets) {
    const Scenario scenario = resolve_text(kPpo, "loop.textproto", testing::environment(), sets).value();
    return engine_kernels(scenario.rl->rollout.engine, scenario.cluster.node.gpu, scenario.kernels);
  };
  const Scenario scenario = resolve_text(kPpo, "loop.textproto", testing::environment(), {}).value();
  AttentionShape prompt;
  prompt.query_length = prompt.kv_length = 4096;
  prompt.query_heads = prompt.kv_heads = 32;
  const KernelModel cudnn(scenario.cluster.node.gpu, scenario.kernels, ClockState::benchmark, {"cudnn"});
  const Seconds compiled = kernels({"rl.rollout.kernels=torch_compile"})->attention(prompt).time;
  CHECK(compiled == cudnn.attention(prompt).time);
  CHECK(compiled != kernels({})->attention(prompt).time);
  // Slower or faster, the loop's rollouts are priced with it.
  CHECK(parts_of(ran_pools({"rl.rollout.kernels=torch_compile"})) != parts_of(ran_pools({})));
}

}  // namespace
}  // namespace flopcast
