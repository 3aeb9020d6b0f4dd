// Does a training step obey the laws that hold for any cluster, plan and schedule?
#include "workloads/training/step/training_step.h"

#include <array>
#include <map>

#include "flopcast/errors.h"
#include "scenarios/read/calibrations/calibration_file.h"
#include "scenarios/resolve/load_scenario.h"
#include "sim/base/random.h"
#include "sim/replay.h"
#include "tests/catch.h"
#include "tests/libraries.h"
#include "tests/paths.h"
#include "workloads/training/prices/exchange_times.h"
#include "workloads/training/prices/step_prices.h"

using namespace flopcast;

namespace {

using test::libraries;

/// DeepSeek-V3's scenario cut down to 64 GPUs: 4 stages, 16 replicas, experts over 8 GPUs.
Scenario small(std::vector<std::string> sets = {}) {
  std::vector<std::string> all{"run=",
                               "cluster.nodes=8",
                               "training.plan.pipeline=4",
                               "training.plan.data=16",
                               "training.plan.expert=8",
                               "training.batch.sequences=160"};
  all.insert(all.end(), sets.begin(), sets.end());
  return load_scenario("deepseek_v3_2048_h800", all, libraries());
}

const std::shared_ptr<const KernelCalibration>& calibration() {
  static const auto read = std::make_shared<const KernelCalibration>(
      read_kernel_calibration(flopcast::testing::source_dir() + "/" + kKernelCalibrationFile));
  return read;
}

struct Run {
  ReplayResult result;
  TrainingStep step;
};

Run run(const Scenario& scenario, Sharing sharing = Sharing::max_min, std::vector<TimelineSink*> sinks = {}) {
  const LinkCalibration links = read_link_calibration(flopcast::testing::source_dir() + "/" + kLinkCalibrationFile);
  Topology topology(scenario.cluster);
  const KernelModel kernels(scenario.cluster.node.gpu, calibration());
  Run r;
  r.step = build_training_step(*scenario.training, topology, kernels, links);
  ReplayOptions options;
  options.sharing = sharing;
  r.result = replay(r.step.graph, topology.network(), sinks, options);
  return r;
}

double seconds(std::vector<std::string> sets) { return run(small(std::move(sets))).result.makespan.value(); }

}  // namespace

TEST_CASE("one GPU per group of identical ones gives the same step time as every GPU") {
  const auto load = GENERATE(as<std::string>{}, "balanced", "skewed");
  const auto schedule = GENERATE(as<std::string>{}, "dualpipe", "1f1b", "zb_h1");
  const std::vector<std::string> sets{"training.expert_load.kind=" + load, "training.schedule=" + schedule};
  std::vector<std::string> every = sets;
  every.push_back("training.unfolded=true");
  const Run folded = run(small(sets)), unfolded = run(small(every));
  CHECK(folded.step.folded);
  CHECK_FALSE(unfolded.step.folded);
  CHECK(unfolded.step.ranks.size() == 64);
  CHECK(folded.step.ranks.size() == 4);
  CHECK(folded.result.makespan.value() == Approx(unfolded.result.makespan.value()).epsilon(1e-9));
}

TEST_CASE("whoever asked for a large step can have its building stopped") {
  const Scenario scenario = small({"training.unfolded=true"});
  const std::string root = flopcast::testing::source_dir() + "/";
  const LinkCalibration links = read_link_calibration(root + kLinkCalibrationFile);
  Topology topology(scenario.cluster);
  const KernelModel kernels(scenario.cluster.node.gpu, std::make_shared<const KernelCalibration>(
                                                           read_kernel_calibration(root + kKernelCalibrationFile)));
  int asked = 0;
  CHECK_THROWS_AS(build_training_step(*scenario.training, topology, kernels, links, {}, [&] { return ++asked < 3; }),
                  Interrupted);
  CHECK(asked == 3);
}

TEST_CASE("under oversubscribed leaves one GPU of every node gives the step of all, where indices are alike") {
  const auto schedule = GENERATE(as<std::string>{}, "dualpipe", "1f1b");
  const auto fabric = GENERATE(as<std::string>{}, "mpft", "rail-ft3");
  std::vector<std::string> sets{"training.expert_load.kind=balanced", "training.schedule=" + schedule,
                                "cluster.fabric=" + fabric, "cluster.fabric_override.oversubscription=3",
                                "cluster.fabric_override.switch_ports=8"};
  const Run folded = run(small(sets));
  sets.push_back("training.unfolded=true");
  const Run unfolded = run(small(sets));
  CHECK(folded.step.folded);
  CHECK(8 * folded.step.ranks.size() == unfolded.step.ranks.size());
  CHECK(unfolded.result.contended_flows > 0);
  CHECK(folded.result.makespan.value() == Approx(unfolded.result.makespan.value()).epsilon(1e-9));
}

TEST_CASE("stages and groups that do not end where nodes end: every GPU replayed gives the folded step") {
  // Three nodes of eight: stages of six GPUs, so that some replicas' messages and sequences stay in a node and others
  // do not. A slow network shows it.
  const auto plan = GENERATE(as<std::string>{}, "data=3", "context=3");
  std::vector<std::string> sets{"cluster.nodes=3",
                                "model=llama-2-7b",
                                "training.schedule=1f1b",
                                "training.plan.pipeline=4",
                                "training.plan.tensor=2",
                                "training.plan.data=1",
                                "training.plan.expert=1",
                                "training.batch.sequences=24",
                                "training.batch.sequence_length=3072",
                                "training.recompute.attention_up_projections=false",
                                "cluster.node_override.nic_bandwidth=5 GB/s per direction"};
  sets.push_back("training.plan." + plan);
  const Run folded = run(small(sets));
  sets.push_back("training.unfolded=true");
  const Run unfolded = run(small(sets));
  CHECK(folded.step.folded);
  CHECK(folded.step.ranks.size() < unfolded.step.ranks.size());
  CHECK(folded.result.makespan.value() == Approx(unfolded.result.makespan.value()).epsilon(1e-9));
}

TEST_CASE("plans with fewer experts' GPUs than a stage has: every GPU replayed gives the folded step") {
  // Mixtral's shape: tensor parallelism beside expert and expert tensor parallelism over part of a stage, so that the
  // same GPUs often share dense parameters and experts.
  RandomStream random(11);
  const auto one_of = [&](std::vector<int> values) {
    return values[static_cast<std::size_t>(random.uniform() * static_cast<double>(values.size()))];
  };
  const auto text = [](const char* field, int value) {
    return std::string("training.") + field + std::to_string(value);
  };
  for (int draw = 0; draw < 12; ++draw) {
    const int tensor = one_of({2, 4}), data = one_of({2, 4}), pipeline = one_of({1, 2});
    const int expert = one_of({1, 2, 4}), expert_tensor = expert == 1 ? 2 : one_of({1, 2});
    if (expert * expert_tensor >= tensor * data) continue;
    std::vector<std::string> sets{
        "run=",
        "cluster.nodes=" + std::to_string(std::max(1, tensor * data * pipeline / 8)),
        "model_override.layers=" + std::to_string(2 * pipeline),
        "model_override.moe.first_dense_layers=0",
        "model_override.mtp_depth=0",
        "cluster.node_override.gpus=" + std::to_string(std::min(8, tensor * data * pipeline)),
        "training.schedule=1f1b",
        "training.expert_load.kind=balanced",
        text("plan.tensor=", tensor),
        text("plan.data=", data),
        text("plan.pipeline=", pipeline),
        text("plan.expert=", expert),
        text("plan.expert_tensor=", expert_tensor),
        text("plan.zero_stage=", one_of({0, 1, 2, 3})),
        text("batch.sequences=", 2 * data * pipeline),
        random.uniform() < 0.5 ? "training.plan.dispatcher=all_to_all" : "training.plan.dispatcher=deep_ep"};
    CAPTURE(draw, sets);
    const double folded = run(load_scenario("deepseek_v3_2048_h800", sets, libraries())).result.makespan.value();
    sets.push_back("training.unfolded=true");
    const Run every = run(load_scenario("deepseek_v3_2048_h800", sets, libraries()));
    CHECK(static_cast<int>(every.step.ranks.size()) == tensor * data * pipeline);
    CHECK(every.result.makespan.value() == Approx(folded).epsilon(1e-9));
  }
}

TEST_CASE("under hybrid sharding one GPU of each way that shard groups lie on nodes gives the step of all") {
  // Groups of 3 and 6 of 24 replicas straddle nodes of 8 here and there; those of 4 and 8 do not. Over two stages of 12
  // they lie differently in each.
  const auto [group, pipeline, context] = GENERATE(std::array{3, 1, 1}, std::array{6, 1, 1}, std::array{4, 1, 1},
                                                   std::array{3, 2, 1}, std::array{3, 2, 4}, std::array{12, 2, 4});
  const auto zero = GENERATE(1, 3);
  const auto text = [](const char* field, int value) { return std::string(field) + std::to_string(value); };
  std::vector<std::string> sets{"run=",
                                "cluster.nodes=3",
                                "model_override.layers=4",
                                "training.schedule=1f1b",
                                text("training.plan.pipeline=", pipeline),
                                text("training.plan.context=", context),
                                text("training.plan.data=", 24 / pipeline / context),
                                text("training.plan.shard_group=", group),
                                text("training.plan.zero_stage=", zero),
                                text("training.batch.sequences=", 24 / context)};
  CAPTURE(sets);
  const auto step = [&] { return run(load_scenario("llama_3_1_8b_64_h100", sets, libraries())); };
  const Run folded = step();
  sets.push_back("training.unfolded=true");
  const Run every = step();
  CHECK(every.step.ranks.size() == 24);
  CHECK(folded.step.ranks.size() < 24);
  CHECK(folded.result.makespan.value() == Approx(every.result.makespan.value()).epsilon(1e-9));
  double weight = 0;
  for (const ReplayedRank& rank : folded.step.ranks) weight += rank.weight;
  CHECK(weight == 24);
  if (group * pipeline == 24) {  // all replicas, data x context of them
    sets.pop_back();
    sets.push_back("training.plan.shard_group=0");
    CHECK(step().result.makespan == folded.result.makespan);
    CHECK(step().step.memory.front().total() == folded.step.memory.front().total());
  }
}

TEST_CASE("without sequence parallelism no token is computed twice by experts") {
  // A stage of four replicas of four GPUs each that share matrices.
  const auto expert_tensor = GENERATE(1, 2, 4);
  const auto text = [](const char* field, int value) { return std::string(field) + std::to_string(value); };
  std::vector<std::string> sets{"run=",
                                "cluster.nodes=2",
                                "model_override.layers=2",
                                "model_override.moe.first_dense_layers=0",
                                "model_override.moe.shared_experts=0",
                                "model_override.mtp_depth=0",
                                "training.schedule=1f1b",
                                "training.plan.pipeline=1",
                                "training.plan.tensor=4",
                                "training.plan.data=4",
                                text("training.plan.expert=", 8 / expert_tensor),
                                text("training.plan.expert_tensor=", expert_tensor),
                                "training.expert_load.kind=balanced",
                                "training.batch.sequences=16"};
  const Scenario split = load_scenario("deepseek_v3_2048_h800", sets, libraries());
  sets.push_back("training.plan.sequence_parallel=false");
  const Scenario whole = load_scenario("deepseek_v3_2048_h800", sets, libraries());
  // Of 4,096 tokens each GPU sends its quarter; those that share experts as slices all send the same ones.
  CHECK(StepPrices::sent_tokens(*split.training) == 1024);
  CHECK(StepPrices::sent_tokens(*whole.training) == 1024 * expert_tensor);
  const LinkCalibration links = read_link_calibration(flopcast::testing::source_dir() + "/" + kLinkCalibrationFile);
  const auto prices = [&](const Scenario& scenario, const auto& look) {
    const KernelModel kernels(scenario.cluster.node.gpu, calibration());
    const ExchangeTimes exchanges(*scenario.training, scenario.cluster, links);
    const std::vector<double> loads(static_cast<std::size_t>(scenario.training->plan.expert), 1.0);
    return look(StepPrices(*scenario.training, kernels, exchanges, loads));
  };
  for (const Phase phase : {Phase::mlp_forward, Phase::mlp_backward, Phase::mlp_weight}) {
    const auto products = [&](const StepPrices& p) {
      const auto& by_source = p.phase(phase, true, 0, SmShare::all).by_source;
      return by_source[static_cast<std::size_t>(PriceSource::expert_gemm)].value();
    };
    CHECK(prices(whole, products) > 0);
    // The clock of a board depends on all that it does.
    CHECK(prices(whole, products) == Approx(prices(split, products)).epsilon(0.01));
  }
  using Kind = LayerExchange::Kind;
  const auto bytes_of = [&](const Scenario& scenario, Kind kind) {
    return prices(scenario, [&](const StepPrices& p) {
      double bytes = 0;
      for (const PhaseExchange& e : p.phase(Phase::mlp_forward, true, 0, SmShare::all).exchanges)
        if (e.exchange.kind == kind) bytes += e.exchange.bytes.value() * e.exchange.times;
      return bytes;
    });
  };
  // 8 experts of 256 per token: rows of 7,168 elements in BF16, added up among those that share an expert; what several
  // sets of them have computed goes to everybody.
  const double rows = 1024.0 * expert_tensor * 8;
  CHECK(bytes_of(whole, Kind::expert_all_reduce) == Approx(expert_tensor > 1 ? rows * 7168 * 2 : 0));
  CHECK(bytes_of(whole, Kind::tensor_gather) == Approx(expert_tensor < 4 ? 4096.0 * 7168 * 2 : 0));
  CHECK(bytes_of(whole, Kind::expert_gather) + bytes_of(whole, Kind::expert_scatter) == 0);
  CHECK(bytes_of(split, Kind::expert_gather) == Approx(expert_tensor > 1 ? rows * 7168 * 2 : 0));
  CHECK(run(whole).result.makespan.value() < 1.3 * run(split).result.makespan.value());
}

TEST_CASE("what experts have no room for is not counted as computed") {
  const auto flop = [](std::vector<std::string> sets) { return run(small(std::move(sets))).step.model_flop.value(); };
  const double all = flop({});
  CHECK(flop({"training.expert_load.capacity_factor=1.5"}) == all);
  // 58 layers of 8 experts of 3 x 7,168 x 2,048 elements, at six FLOP each, over 160 sequences of 4,096 tokens.
  const double routed = 6.0 * 58 * 8 * 3 * 7168 * 2048 * 160 * 4096;
  CHECK(flop({"training.expert_load.capacity_factor=0.5"}) == Approx(all - 0.5 * routed).epsilon(1e-9));
}

TEST_CASE("the replayed GPUs stand for all of them") {
  double weight = 0;
  for (const ReplayedRank& rank : run(small()).step.ranks) weight += rank.weight;
  CHECK(weight == 64);
}

TEST_CASE("each rank does the passes of the schedule, and its compute lane is never overbooked") {
  struct Busy final : TimelineSink {
    std::map<std::uint32_t, double> compute;
    void finished(const OperationGraph& graph, const OpSpan& span) override {
      if (graph.kind(span.op) == OpKind::compute) {
        compute[graph.lane(span.op).index()] += (span.end - span.start).value();
      }
    }
  } busy;
  const Run r = run(small(), Sharing::max_min, {&busy});
  std::map<std::uint32_t, std::vector<Pass>> passes;
  for (const PassRecord& record : r.step.passes) passes[record.rank].push_back(record.pass);
  for (std::size_t i = 0; i < r.step.ranks.size(); ++i) {
    CHECK(passes[static_cast<std::uint32_t>(i)] == r.step.schedule.order[r.step.ranks[i].pipeline_rank]);
    CHECK(busy.compute[r.step.ranks[i].compute.index()] <= r.result.makespan.value() * (1 + 1e-12));
    CHECK(busy.compute[r.step.ranks[i].compute.index()] > 0.3 * r.result.makespan.value());
  }
}

TEST_CASE("contention never makes a step faster than links without it") {
  CHECK(run(small()).result.makespan.value() >= run(small(), Sharing::ideal).result.makespan.value() * (1 - 1e-9));
}

TEST_CASE("each mechanism that is switched off makes the step shorter") {
  const double all = seconds({});
  for (const char* off :
       {"training.mechanisms.embedding_head_mtp=false", "training.mechanisms.gradient_collectives=false",
        "training.mechanisms.expert_communication=false", "training.mechanisms.communication_sms=false",
        "training.mechanisms.gpu_speed_spread=0", "training.expert_load.kind=balanced",
        "training.mechanisms.pipeline_transfers=false"}) {
    CAPTURE(off);
    CHECK(seconds({off}) < all);
  }
}

TEST_CASE("a slow GPU slows the whole step, folded and unfolded alike") {
  Scenario scenario = small({"training.expert_load.kind=balanced"});
  const double healthy = run(scenario).result.makespan.value();
  scenario.cluster.slow_parts.push_back({SlowPart::Kind::gpu, 21, 0.8});
  const Run folded = run(scenario);
  CHECK(folded.step.folded);
  CHECK(folded.step.ranks.size() == 8);  // the block with the slow GPU and the one without
  scenario.training->unfolded = true;
  const double unfolded = run(scenario).result.makespan.value();
  CHECK(folded.result.makespan.value() > 1.05 * healthy);
  CHECK(folded.result.makespan.value() == Approx(unfolded).epsilon(1e-9));
}

TEST_CASE("a slow NIC shows when the exchange is not hidden") {
  Scenario scenario = small({"training.expert_load.kind=balanced"});
  const double healthy = run(scenario).result.makespan.value();
  scenario.cluster.slow_parts.push_back({SlowPart::Kind::nic, 5, 0.1});
  CHECK(run(scenario).result.makespan.value() > healthy);
}

TEST_CASE("an H800 with the H100's NVLink is an H100") {
  Scenario h800 = small();
  const NodeSpec h100 = libraries().node("hgx-h100");
  h800.cluster.node.nvlink_bandwidth = h100.nvlink_bandwidth;
  h800.cluster.node.nvlink_efficiency = h100.nvlink_efficiency;
  h800.cluster.node.gpu.nvlink_bandwidth = h100.gpu.nvlink_bandwidth;
  Scenario h100_run = small({"cluster.node=hgx-h100"});
  CHECK(run(h800).result.makespan.value() == Approx(run(h100_run).result.makespan.value()).epsilon(0.02));
}

TEST_CASE("context parallelism shares a sequence: the tokens of a GPU stay, attention grows with the length") {
  const double base = seconds({});
  const double longer = seconds({"training.batch.sequence_length=32768", "training.plan.context=8",
                                 "training.plan.data=2", "training.batch.sequences=20"});
  CHECK(longer > 1.3 * base);
  CHECK(longer < 4.0 * base);
}

TEST_CASE("NVFP4 multiplies faster where a chip has it, but for the layers that stay in BF16") {
  const std::vector<std::string> blackwell{"cluster.node=hgx-b200", "training.precision.scaling=none",
                                           "training.precision.activations=bf16"};
  const auto with = [&](std::vector<std::string> sets) {
    sets.insert(sets.end(), blackwell.begin(), blackwell.end());
    return seconds(sets);
  };
  const double bf16 = with({"training.precision.linear=bf16"}), fp4 = with({"training.precision.linear=fp4"});
  CHECK(fp4 < bf16);
  const double none = with({"training.precision.linear=fp4", "training.precision.bf16_layers=0"});
  const double half = with({"training.precision.linear=fp4", "training.precision.bf16_layers=30"});
  CHECK(none == fp4);  // frameworks' recipes leave none
  CHECK(fp4 < half);
  CHECK(half < bf16);
  CHECK(with({"training.precision.linear=fp4", "training.precision.bf16_layers=4096"}) == Approx(bf16).epsilon(0.02));
}

TEST_CASE("layers are computed again, embedding and head are not") {
  const auto operations = [](std::vector<std::string> sets, OpName name) {
    const Run r = run(small(std::move(sets)));
    int count = 0;
    for (std::size_t i = 0; i < r.step.graph.size(); ++i)
      count += r.step.graph.label(OpId::at(i)).kind == static_cast<std::uint16_t>(name) ? 1 : 0;
    return count;
  };
  const std::vector<std::string> again{"training.recompute.full_layer=true"};
  for (const OpName name : {OpName::head_forward, OpName::embedding_forward})
    CHECK(operations(again, name) == operations({}, name));
  CHECK(operations(again, OpName::attention_forward) == 2 * operations({}, OpName::attention_forward));
}

TEST_CASE("layers of a stage must add up to the model") {
  Scenario scenario = small();
  scenario.training->plan.stage_layers = {16, 16, 16, 16};
  CHECK_THROWS_AS(run(scenario), InputError);
}
