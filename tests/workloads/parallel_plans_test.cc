// Tensor, context and sharded data parallelism: what each GPU holds and computes, and what it tells the
// others.
#include "tests/catch.h"
#include "tests/workloads/example_config.h"
#include "workloads/training/prices/exchange_times.h"
#include "workloads/training/prices/step_layout.h"
#include "workloads/training/stages.h"

using namespace flopcast;

namespace {

TrainingConfig dense_model() {
  TrainingConfig config;
  config.model.name = "small";
  config.model.layers = 8;
  config.model.hidden = 4096;
  config.model.vocabulary = 32000;
  config.model.ffn_width = 16384;
  config.model.attention.type = "grouped_query";
  config.model.attention.heads = 32;
  config.model.attention.kv_heads = 8;
  config.model.attention.head_dim = 128;
  config.batch = {64, 4096, 1};
  config.schedule = "1f1b";
  return config;
}

StageContent whole_model(const TrainingConfig& config) {
  StageContent stage;
  stage.dense_layers = config.model.layers;
  stage.embedding = stage.head = true;
  return stage;
}

ClusterSpec two_nodes() {
  ClusterSpec cluster;
  cluster.nodes = 2;
  cluster.node.gpus = 8;
  cluster.node.nvlink_bandwidth = 450_GBps;
  cluster.node.nic_bandwidth = cluster.fabric.port_bandwidth = 50_GBps;
  cluster.fabric.cross_leaf_latency = Seconds(5e-6);
  return cluster;
}

}  // namespace

TEST_CASE("GPUs that share matrices hold a slice of them each, norms whole") {
  TrainingConfig config = dense_model();
  const double alone = stage_parameters(config, whole_model(config)).replicated;
  const double norms = 8 * count_parameters(config.model).norms_per_layer;
  for (int tensor : {2, 4, 8}) {
    config.plan.tensor = tensor;
    const double slice = stage_parameters(config, whole_model(config)).replicated;
    CHECK(slice == Approx((alone - norms) / tensor + norms).epsilon(1e-3));
  }
}

TEST_CASE("the grid puts those who share matrices next to each other, stages farthest apart") {
  ParallelPlan plan;
  plan.tensor = 4;
  plan.context = 2;
  plan.data = 3;
  plan.pipeline = 2;
  const JobGrid grid(plan);
  REQUIRE(grid.per_stage() == 24);
  CHECK(grid.gpu(0, 3) == RankId::at(3));
  CHECK(grid.tensor_rank(3) == 3);
  CHECK(grid.replica(3) == 0);
  CHECK(grid.replica(4) == 1);  // the other half of the sequence
  CHECK(grid.gpu(1, 0) == RankId::at(24));
  CHECK(grid.pipeline_rank(RankId::at(30)) == 1);
  CHECK(grid.position(RankId::at(30)) == 6);
}

TEST_CASE("blocks are whole tensor groups and whole groups of experts") {
  ParallelPlan plan;
  plan.tensor = 2;
  plan.data = 8;
  plan.expert = 8;
  CHECK(JobGrid(plan).block() == 8);
  plan.expert_tensor = 2;
  CHECK(JobGrid(plan).block() == 16);
  plan.expert = plan.expert_tensor = 1;
  CHECK(JobGrid(plan).block() == 2);
}

TEST_CASE("a folded plan stands for every GPU, whatever it is split into") {
  TrainingConfig config = deepseek_v3_training();
  ClusterSpec cluster = two_nodes();
  for (auto [data, tensor, expert, expert_tensor] :
       {std::array{16, 8, 16, 1}, std::array{8, 8, 8, 2}, std::array{64, 1, 8, 1}, std::array{32, 2, 4, 1}}) {
    config.plan = {};
    config.plan.data = data;
    config.plan.tensor = tensor;
    config.plan.expert = expert;
    config.plan.expert_tensor = expert_tensor;
    config.plan.pipeline = 2;
    const ReplayPlan plan =
        choose_replayed(config, cluster, std::vector<double>(static_cast<std::size_t>(expert), 1.0));
    double gpus = 0;
    for (const ReplayChoice& choice : plan.gpus) gpus += choice.weight;
    CHECK(gpus == Approx(static_cast<double>(config.plan.gpus())));
  }
}

TEST_CASE("what compute hides of an exchange, and what stays visible") {
  TrainingConfig config = dense_model();
  config.plan.tensor = 8;
  const ClusterSpec cluster = two_nodes();
  LinkCalibration links;
  for (const LinkConstantRow& row : link_constants()) (links.*row.field).value = 1;
  PhaseExchange exchange{{.kind = LayerExchange::Kind::tensor_gather, .bytes = 64_MiB}, Seconds(0)};

  const ExchangeTimes ideal(config, cluster, links);
  const Seconds alone = ideal.time(exchange.exchange);
  REQUIRE(alone > Seconds(0));
  CHECK(ideal.split(exchange).exposed == alone);  // nothing beside it
  exchange.beside = alone * 2;
  CHECK(ideal.split(exchange).exposed == Seconds(0));  // long enough compute
  exchange.beside = alone * 0.5;
  CHECK(ideal.split(exchange).exposed.value() == Approx(0.5 * alone.value()));

  config.overheads.tensor_exposed = 0.25;
  exchange.beside = alone * 2;
  const ExchangeTimes real(config, cluster, links);
  CHECK(real.split(exchange).exposed.value() == Approx(0.25 * alone.value()));
  CHECK((real.split(exchange).exposed + real.split(exchange).hidden).value() == Approx(alone.value()));
}

TEST_CASE("slow ports slow the exchanges of the groups that they are in") {
  TrainingConfig config = dense_model();
  config.plan.tensor = 4;
  config.plan.data = 4;
  ClusterSpec cluster = two_nodes();
  cluster.slow_parts = {{SlowPart::Kind::nvlink, 5, 0.25}, {SlowPart::Kind::nic, 5, 0.5}};
  const JobGrid grid(config.plan);
  for (int gpu = 0; gpu < 16; ++gpu) {
    CAPTURE(gpu);
    const ExchangeTimes::GroupSpeeds speeds = port_speeds(grid, cluster, RankId::at(gpu));
    const bool beside = gpu / 4 == 1;  // GPUs 4 to 7 share matrices with GPU 5
    CHECK(speeds.tensor.nvlink == (beside ? 0.25 : 1));
    CHECK(speeds.tensor.nic == (beside ? 0.5 : 1));
  }
  LinkCalibration links;
  for (const LinkConstantRow& row : link_constants()) (links.*row.field).value = 1;
  const ExchangeTimes times(config, cluster, links);
  const LayerExchange gather{.kind = LayerExchange::Kind::tensor_gather, .bytes = 1024_MiB};
  const double slow = times.time(gather, port_speeds(grid, cluster, RankId::at(6))) / times.time(gather);
  CHECK(slow > 3);  // all but the constants of NCCL
  CHECK(slow <= 4);
  CHECK(times.time(gather, port_speeds(grid, cluster, RankId::at(0))) == times.time(gather));
}

TEST_CASE("a group that fills its node sends between nodes; one that does not stays inside") {
  TrainingConfig config = dense_model();
  const ClusterSpec cluster = two_nodes();
  LinkCalibration links;
  for (const LinkConstantRow& row : link_constants()) (links.*row.field).value = 1;
  const LayerExchange hop{.kind = LayerExchange::Kind::context_hop, .bytes = 16_MiB};
  config.plan.context = 2;
  config.plan.tensor = 4;
  const Seconds inside = ExchangeTimes(config, cluster, links).time(hop);
  config.plan.tensor = 8;
  const Seconds between = ExchangeTimes(config, cluster, links).time(hop);
  CHECK(between > inside * 2);
}
