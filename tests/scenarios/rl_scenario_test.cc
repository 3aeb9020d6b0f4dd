// Is a loop of reinforcement learning read as it stands, and is every slip met by a diagnostic that says where, what
// and what instead?
#include <algorithm>

#include "scenarios/resolve/rl/rl_scenario.h"
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

const std::string kLoop = R"(cluster { node: "hgx-h100" nodes: 2 fabric: "rail-ft2" }
model: "llama-3.1-8b"
training {
  plan { data: 16 }
  schedule: "1f1b"
  batch { sequences: 128 sequence_length: 8192 }
}
rl {
  prompts: 32 group: 8
  prompt { mean: 100 }
  answer { mean: 1000 shape: "log_normal" most: 4096 }
  rollout { count: 16 }
}
)";

TEST_CASE("a loop is read with the step that updates it, which is no training of its own", "[scenarios][rl]") {
  const Scenario s = load_text(kLoop, {"rl.asynchrony.staleness=1", "rl.algorithm=ppo", "rl.reward.kind=model"});
  REQUIRE(s.rl);
  CHECK_FALSE(s.training);
  CHECK(s.rl->loop.algorithm->name == "ppo");
  CHECK(s.rl->loop.asynchrony.staleness == 1);
  CHECK(s.rl->updates() == 2);
  CHECK(s.rl->gpus() == 16);
  CHECK(s.rl->update.model.name == "llama-3.1-8b");
  CHECK(s.rl->loop.with_reward_model());
  CHECK(s.rl->loop.prompt.most == 100);
  CHECK(s.rl->loop.sync.load_rate.value() == 5.5e9);
  CHECK(load_text(kLoop).rl->loop == load_text(kLoop).rl->loop);
  const Scenario apart = load_text(kLoop, {"rl.placement=separate", "training.plan.data=8", "rl.rollout.count=8"});
  CHECK(apart.rl->gpus() == 16);
}

TEST_CASE("an engine of which nothing says how many replicas it has takes the GPUs that are free", "[scenarios][rl]") {
  const std::string open = replaced(kLoop, "rollout { count: 16 }", "rollout { tensor: 4 }");
  const Scenario in_turn = load_text(open);
  CHECK(in_turn.rl->rollout.replicas == 4);
  CHECK(std::ranges::count(in_turn.defaults_used, "rl.rollout.count = 4 (as many as the GPUs hold)") == 1);
  CHECK(std::ranges::count(in_turn.defaults_used, "rl.rollout.count = 1") == 0);
  const Scenario apart = load_text(open, {"rl.placement=separate", "training.plan.data=8"});
  CHECK(apart.rl->rollout.replicas == 2);
  CHECK(load_text(open, {"rl.rollout.count=1"}).rl->rollout.replicas == 1);
}

TEST_CASE("a measured histogram gives lengths their shape", "[scenarios][rl]") {
  const Scenario s = load_text(kLoop, {"rl.answer.shape=histogram", "rl.answer.histogram=qwen3-32b-gpqa"});
  CHECK(s.rl->loop.answer.counts.size() == 50);
}

TEST_CASE("a loop's engine has its weights from the trainer, not as the model's files publish them",
          "[scenarios][rl]") {
  const EngineConfig engine = load_text(kLoop, {"model=gpt-oss-20b"}).rl->rollout.engine;
  CHECK_FALSE(engine.weights_as_published);
  CHECK(engine.precision.linear == Precision::bf16);
}

TEST_CASE("what a framework does by default lies under what is stated", "[scenarios][rl]") {
  const Scenario plain = load_text(kLoop), nemo = load_text(kLoop, {"rl.framework=nemo-rl-0.5"});
  CHECK(nemo.rl->loop.host_time == Seconds(4));
  CHECK(nemo.rl->loop.sync.form == SyncForm::broadcast);
  CHECK(nemo.rl->loop.sync.overlapped);
  CHECK(nemo.rl->rollout.engine.name == "vllm-0.11");
  CHECK(nemo.rl->rollout.engine.memory_share == 0.6);
  CHECK(nemo.rl->update.software.name == "megatron-core-2025.09");
  CHECK(nemo.rl->rollout.replicas == plain.rl->rollout.replicas);
  // Apart it leaves the engine more memory, and does not interrupt it.
  const Scenario apart = load_text(kLoop, {"rl.framework=nemo-rl-0.5", "rl.placement=separate", "cluster.nodes=4"});
  CHECK(apart.rl->rollout.engine.memory_share == 0.8);
  CHECK(apart.rl->loop.asynchrony.in_flight == InFlight::keep);
  const Scenario stated = load_text(kLoop, {"rl.framework=nemo-rl-0.5", "rl.rollout.memory_share=0.7",
                                            "rl.host_time=1 s", "training.software=generic", "rl.sync.form=sharded"});
  CHECK(stated.rl->rollout.engine.memory_share == 0.7);
  CHECK(stated.rl->loop.host_time == Seconds(1));
  CHECK(stated.rl->loop.sync.form == SyncForm::sharded);
  CHECK(stated.rl->update.software.name == "generic");
  CHECK_THROWS_WITH(load_text(kLoop, {"rl.framework=nemo-rl-0.3"}), ContainsSubstring("did you mean \"nemo-rl-0.4\"?"));
}

TEST_CASE("every framework's profile can be used, says when and from what", "[scenarios][rl]") {
  const std::vector<std::string> names = libraries().names(LibraryKind::frameworks);
  CHECK(names.size() >= 9);
  for (const std::string& name : names) {
    INFO(name);
    CHECK(load_text(kLoop, {"rl.framework=" + name}).rl->loop.framework == name);
  }
  for (const LibraryRow& row : list_library(LibraryKind::frameworks, libraries())) {
    INFO(row.name << ": " << row.figures);
    CHECK_FALSE(row.source.empty());
    CHECK(row.figures.find("cannot be read") == std::string::npos);
  }
}

struct LoopSlip {
  const char* what;
  std::vector<std::string> sets;
  const char* diagnostic;
};

TEST_CASE("slow parts slow the engine's replicas that stand on them", "[scenarios][rl]") {
  const auto slow = [](const std::vector<std::string>& sets) {
    std::vector<std::string> all{"cluster.slow[0].gpu=9", "cluster.slow[0].speed=0.5"};
    all.insert(all.end(), sets.begin(), sets.end());
    const Scenario s = load_text(kLoop, all);
    std::vector<int> out;
    for (std::size_t r = 0; r < s.rl->rollout.slow.size(); ++r)
      if (s.rl->rollout.slow[r].gpu == 0.5) out.push_back(static_cast<int>(r));
    return out;
  };
  CHECK(slow({}) == std::vector<int>{9});
  const std::vector<std::string> apart{"rl.placement=separate", "training.plan.data=8", "rl.rollout.count=8"};
  CHECK(slow(apart) == std::vector<int>{1});
  std::vector<std::string> overlapping = apart;
  overlapping.insert(overlapping.end(), {"rl.rollout.count=10", "rl.overlap=2", "cluster.slow[0].gpu=1"});
  CHECK(slow(overlapping) == std::vector<int>{9});
}

TEST_CASE("each slip in a loop has its diagnostic", "[scenarios][rl]") {
  const LoopSlip slip = GENERATE(
      LoopSlip{"unknown algorithm", {"rl.algorithm=gropo"}, "rl.algorithm: found \"gropo\", expected one of grpo"},
      LoopSlip{"a group of one", {"rl.group=1", "rl.prompts=128"}, "rl.group: found 1, expected at least 2"},
      LoopSlip{"answers that do not divide",
               {"rl.prompts=33"},
               "rl.prompts: found 33 x 8 answers, expected a multiple of the 128 answers of an update"},
      LoopSlip{"longer than a micro-batch",
               {"rl.answer.most=16384"},
               "rl.answer.most: found 16484 tokens of prompt and answer, expected at most the 8192 tokens that a "
               "micro-batch"},
      LoopSlip{"longer than the context",
               {"rl.answer.most=140000", "training.batch.sequence_length=150000"},
               "expected at most the 131072 positions of llama-3.1-8b"},
      LoopSlip{"no cut", {"rl.answer.most="}, "rl.answer.most: found no cut"},
      LoopSlip{
          "mean above the cut", {"rl.answer.mean=5000"}, "rl.answer.mean: found 5000, expected from least, 1, to most"},
      LoopSlip{"no room in the cache",
               {"rl.rollout.memory_share=0.25", "rl.answer.most=100000", "training.batch.sequence_length=131072"},
               "rl.rollout: found room for the cache of"},
      LoopSlip{"a histogram that nobody measured",
               {"rl.answer.shape=histogram", "rl.answer.histogram=qwen3-32b-gpq"},
               "did you mean \"qwen3-32b-gpqa\"?"},
      LoopSlip{"no histogram", {"rl.answer.shape=histogram"}, "rl.answer.histogram: found nothing"},
      LoopSlip{
          "too many engines", {"rl.rollout.count=17"}, "rl.rollout.count: found 17 GPUs, expected at most the 16 GPUs"},
      LoopSlip{"a plan for other GPUs", {"training.plan.data=8"}, "training.plan: found 8 GPUs, expected the 16 GPUs"},
      LoopSlip{
          "no GPUs left",
          {"rl.placement=separate"},
          "rl.rollout.count: found 16 GPUs beside 16 of training.plan, expected at most the 16 GPUs of the cluster "
          "together"},
      LoopSlip{"a cluster for the engine without a network",
               {"rl.placement=separate", "rl.rollout_cluster.node=hgx-h20", "rl.rollout_cluster.nodes=2"},
               "rl.rollout_cluster.fabric: found nothing, expected one of"},
      LoopSlip{"updates in a stream on shared GPUs",
               {"rl.asynchrony.stream_updates=true"},
               "rl.asynchrony.stream_updates: found true, expected placement: \"separate\""},
      LoopSlip{"too little staleness to begin anything",
               {"rl.asynchrony.staleness=0.01"},
               "rl.asynchrony.staleness: found 0.01, expected 0, or at least one of the 32 prompts"},
      LoopSlip{
          "an overlap on shared GPUs", {"rl.overlap=2"}, "rl.overlap: found 2, expected 0, or placement: \"separate\""},
      LoopSlip{"an overlap of all replicas",
               {"rl.placement=separate", "training.plan.data=8", "rl.rollout.count=8", "rl.overlap=8"},
               "rl.overlap: found 8, expected fewer than the 8 replicas of rollout"},
      LoopSlip{"a reference that is not there",
               {"rl.algorithm=gspo", "rl.reference_every=10"},
               "rl.reference_every: found 10, expected 0: there is no reference"},
      LoopSlip{"tools slower than their time-out",
               {"rl.tools.calls=2", "rl.tools.time=2 min"},
               "rl.tools.time: found 120 s, expected at most time_out, 60 s"},
      LoopSlip{"results of tools that leave no room",
               {"rl.tools.calls=9.5", "rl.tools.tokens=500"},
               "rl.answer.most: found 9196 tokens of prompt and answer"},
      LoopSlip{"negative staleness", {"rl.asynchrony.staleness=-1"}, "rl.asynchrony.staleness: found -1"},
      LoopSlip{"no replicas", {"rl.rollout.count=0"}, "rl.rollout.count: found 0"},
      LoopSlip{"rewards that never end",
               {"rl.reward.time=2 min"},
               "rl.reward.time: found 120 s, expected at most time_out, 60 s"},
      LoopSlip{"a reward model nobody asks", {"rl.reward.model=llama-2-7b"}, "rl.reward.model: found \"llama-2-7b\""},
      LoopSlip{"frozen models that nobody has",
               {"rl.reference=false", "rl.frozen.gpus=2"},
               "rl.frozen: found 2 GPUs, expected nothing: neither reference nor reward model nor teacher"},
      LoopSlip{"half a replica of frozen models",
               {"rl.frozen.gpus=3", "rl.frozen.tensor=2"},
               "rl.frozen.gpus: found 3, expected a multiple of the 2 of a replica"},
      LoopSlip{"frozen models on GPUs that the others have",
               {"rl.frozen.gpus=2"},
               "training.plan: found 16 GPUs, expected the 14 GPUs of the cluster beside 2 of rl.frozen"},
      LoopSlip{"frozen models on all GPUs",
               {"rl.frozen.gpus=16"},
               "rl.frozen.gpus: found 16 GPUs, expected fewer than the 16"},
      LoopSlip{"heads that do not divide",
               {"rl.frozen.gpus=3", "rl.frozen.tensor=3"},
               "rl.frozen.tensor: found 3, expected a divisor of the 32 attention heads"},
      LoopSlip{"a critic's heads that do not divide",
               {"rl.algorithm=ppo", "rl.critic.gpus=3", "rl.critic.tensor=3"},
               "rl.critic.tensor: found 3, expected a divisor of the 32 attention heads"},
      LoopSlip{"frozen models of more stages than layers",
               {"rl.frozen.gpus=64", "rl.frozen.pipeline=64"},
               "rl.frozen.pipeline: found 64 stages"},
      LoopSlip{"a reward model that reads shorter texts",
               {"rl.reward.kind=model", "rl.reward.model=llama-2-7b", "rl.answer.most=4200"},
               "rl.reward.model: found \"llama-2-7b\", which has 4096 positions"},
      LoopSlip{"no teacher", {"rl.algorithm=on_policy_distillation"}, "rl.teacher: found nothing"},
      LoopSlip{"a teacher that nobody asks", {"rl.teacher=llama-3.1-70b"}, "nothing: grpo has no teacher"},
      LoopSlip{"signals without dynamic sampling", {"rl.signal_share=0.5"}, "rl.signal_share: found 0.5"},
      LoopSlip{"an engine for traces", {"rl.algorithm=sft"}, "rl.rollout: found an engine, expected nothing"},
      LoopSlip{"no engine", {"rl.rollout="}, "rl.rollout: found nothing"},
      LoopSlip{"autoscaling", {"rl.rollout.autoscale.minimum=1"}, "rl.rollout.autoscale: found autoscaling"},
      LoopSlip{"growth beyond the cut",
               {"rl.run.steps=100", "rl.run.growth[0].step=50", "rl.run.growth[0].mean=9000"},
               "rl.run.growth[0].mean: found 9000, expected at most 4096"},
      LoopSlip{"a run of its own",
               {"run.phase[0].name=x", "run.phase[0].tokens=1B"},
               "rl: found reinforcement learning beside"});
  INFO(slip.what);
  CHECK_THROWS_WITH(load_text(kLoop, slip.sets), ContainsSubstring(slip.diagnostic));
}

TEST_CASE("of a batch that does not divide nothing is said but that", "[rl][scenario]") {
  try {
    load_text(kLoop, {"training.batch.sequences=511"});
    FAIL("accepted");
  } catch (const InputError& error) {
    CHECK(error.diagnostics().size() == 1);
    CHECK(error.diagnostics().front().field == "training.batch.sequences");
  }
}

}  // namespace
}  // namespace flopcast::test
