// Does the memory of a rank add up, and does a plan that does not fit get advice that helps?
#include "workloads/training/memory/memory.h"

#include "tests/catch.h"
#include "tests/workloads/example_config.h"
#include "workloads/training/memory/memory_terms.h"

using namespace flopcast;

namespace {

struct Case {
  TrainingConfig config;
  Schedule schedule;
  std::vector<StageContent> stages;
  std::vector<MemoryTable> tables(double load = 1.0) const { return memory_per_rank(config, stages, schedule, load); }
};

Case make(TrainingConfig config, const char* schedule) {
  Case c{std::move(config), {}, {}};
  c.schedule = find_schedule(schedule)->build({c.config.plan.pipeline, c.config.micro_batches(), 1});
  const LayerCosts costs = c.config.model.mtp_depth > 0 ? LayerCosts{1, 1, 0, 1.5, 2.5} : LayerCosts{};
  c.stages = split_layers(c.config, c.schedule.stages, c.schedule.stage_of[0].size() == 2, costs);
  return c;
}

Bytes row(const MemoryTable& table, const std::string& item) {
  for (const MemoryRow& r : table.rows) {
    if (r.item == item) return r.bytes;
  }
  return Bytes(0);
}

Bytes fullest(const std::vector<MemoryTable>& tables) {
  Bytes most;
  for (const MemoryTable& t : tables) most = std::max(most, t.total());
  return most;
}

/// A dense model small enough to count by hand.
TrainingConfig toy() {
  TrainingConfig config;
  config.model.layers = 4;
  config.model.hidden = 1024;
  config.model.vocabulary = 32000;
  config.model.ffn_width = 4096;
  config.model.attention = {"multi_head", 8, 8, 128, false, 0, 0, 0, 0, 0};
  config.plan.data = 2;
  config.plan.pipeline = 2;
  config.batch = {8, 512, 1};
  return config;
}

}  // namespace

/// What an H800 sold as 80 GB offers: 81,559 MiB (hwmodels/data/gpus).
constexpr Bytes kOffered = Bytes(81559.0 * 1048576.0);

/// A node of such GPUs behind PCIe, with two CPUs of eight channels.
NodeSpec node_of_h800() {
  NodeSpec node;
  node.gpu.hbm_capacity = kOffered;
  node.gpu.usable_memory = 1;
  node.host_bandwidth = 64_GBps;
  node.host_memory_bandwidth = 614_GBps;
  return node;
}

TEST_CASE("DeepSeek-V3 fits on 2,048 GPUs of 80 GB as DeepSeek ran it") {
  const Case v3 = make(deepseek_v3_training(), "dualpipe");
  CHECK(fullest(v3.tables(1.1)) < kOffered);
  CHECK(fullest(v3.tables(1.1)) > 60_GB);  // and it needed every trick: see the next test
}

TEST_CASE("DeepSeek-V3 does not fit without its memory savings") {
  TrainingConfig config = deepseek_v3_training();
  config.recompute = {};
  config.precision.activations = Precision::bf16;
  config.precision.moments = Precision::fp32;
  CHECK(fullest(make(config, "dualpipe").tables()) > 80_GB);
}

TEST_CASE("rows add up to the total, and optimiser states shrink with ZeRO-1 by the number of replicas") {
  TrainingConfig config = toy();
  const Case sharded = make(config, "1f1b");
  config.plan.zero_stage = 0;
  const Case whole = make(config, "1f1b");
  for (const MemoryTable& table : sharded.tables()) {
    Bytes sum;
    for (const MemoryRow& r : table.rows) sum += r.bytes;
    CHECK(sum == table.total());
  }
  const double ratio = row(whole.tables()[0], "optimiser states") / row(sharded.tables()[0], "optimiser states");
  CHECK(ratio == Approx(2.0));
}

TEST_CASE("parameters: two bytes each in BF16, counted by hand") {
  const Case c = make(toy(), "1f1b");
  const double layer = 4 * 1024.0 * 1024 + 3 * 1024.0 * 4096 + 2 * 1024;  // attention, gated FFN, norms
  const double first = 2 * layer + 32000.0 * 1024;                        // two layers and the embedding
  CHECK(row(c.tables()[0], "parameters").value() == Approx(2 * first).epsilon(1e-3));
}

TEST_CASE("activations: 1F1B holds one micro-batch less per stage, GPipe all of them") {
  const Case ordered = make(toy(), "1f1b");
  const Case gpipe = make(toy(), "gpipe");
  const auto at = [&](const Case& c, int rank) { return row(c.tables()[rank], "activations").value(); };
  CHECK(at(gpipe, 0) / at(ordered, 0) == Approx(4.0 / 2.0));  // 4 micro-batches against 2 in flight
}

TEST_CASE("activations without sequence parallelism: norms and residuals whole on each GPU, the rest sliced") {
  // Llama 2 7B, 8 GPUs, 2,048 tokens of 4 sequences: s b h (10 + 24 / t) bytes a layer with dropout's masks
  // (arXiv 2205.05198, 4.1: 24 for two matrices of 4 h; here three of 2.6875 h keep 24.2), 13.96 GB.
  TrainingConfig config = toy();
  config.model.layers = 32;
  config.model.hidden = 4096;
  config.model.ffn_width = 11008;
  config.model.attention = {"multi_head", 32, 32, 128, false, 0, 0, 0, 0, 0};
  config.plan = {};
  config.plan.tensor = 8;
  config.batch = {4, 2048, 4};
  config.dropout = true;
  config.plan.sequence_parallel = false;
  const double whole = row(make(config, "1f1b").tables()[0], "activations").value();
  CHECK(whole == Approx(13.96e9).epsilon(0.01));
  config.plan.sequence_parallel = true;
  CHECK(row(make(config, "1f1b").tables()[0], "activations").value() ==
        Approx(whole * (10 + 24.2) / (8 * 13.0)).epsilon(0.02));
}

TEST_CASE("scores of unfused attention are kept: 2 bytes each, 5 under dropout, none where the core is done again") {
  TrainingConfig config = toy();
  const double fused = row(make(config, "1f1b").tables()[0], "activations").value();
  config.attention_kernel = AttentionKernel::unfused;
  const double scores = 512.0 * 512 * 8 * 2 * 2;  // pairs, heads, two layers, two micro-batches in flight
  CHECK(row(make(config, "1f1b").tables()[0], "activations").value() == Approx(fused + 2 * scores));
  config.dropout = true;
  CHECK(row(make(config, "1f1b").tables()[0], "activations").value() ==
        Approx(fused + 5 * scores + 2.0 * 1024 * 512 * 2 * 2));
  config.dropout = false;
  config.recompute.attention_core = true;
  CHECK(row(make(config, "1f1b").tables()[0], "activations").value() == Approx(fused));
}

TEST_CASE("logits take what the software holds of them; a layer done again comes after them, not beside them") {
  TrainingConfig config = toy();
  config.software.loss_bytes = 12;
  config.software.fused_loss_bytes = 4;
  CHECK(row(make(config, "1f1b").tables()[1], "logits").value() == Approx(12.0 * 512 * 32000));
  config.fused_loss = true;
  CHECK(row(make(config, "1f1b").tables()[1], "logits").value() == Approx(4.0 * 512 * 32000));
  config.recompute.full_layer = true;
  const MemoryTable last = make(config, "1f1b").tables()[1];
  CHECK(row(last, "logits") > Bytes(0));
  CHECK(row(last, "layer being recomputed") == Bytes(0));
  CHECK(row(make(config, "1f1b").tables()[0], "layer being recomputed") > Bytes(0));
}

TEST_CASE("attention keeps keys and values of every head where they were repeated: two bytes each") {
  TrainingConfig config = toy();
  config.model.attention.kv_heads = config.model.attention.heads / 4;
  const double shared = row(make(config, "1f1b").tables()[0], "activations").value();
  config.software.repeats_keys = true;
  const AttentionConfig& a = config.model.attention;
  const double more = 2.0 * (a.heads - a.kv_heads) * (a.head_dim + a.value_dim()) * 512 * 2 * 2;  // layers, in flight
  CHECK(row(make(config, "1f1b").tables()[0], "activations").value() == Approx(shared + more));
}

TEST_CASE("scratch of grouped products of experts stays; experts one by one have none") {
  TrainingConfig config = deepseek_v3_training();
  config.software.expert_workspace = Bytes(128e6);
  const Bytes grouped = row(make(config, "1f1b").tables()[0], "scratch of libraries");
  config.grouped_experts = false;
  CHECK((grouped - row(make(config, "1f1b").tables()[0], "scratch of libraries")).value() == Approx(128e6));
}

TEST_CASE("shards of experts too stay within a shard group") {
  TrainingConfig config = deepseek_v3_training();
  config.plan.zero_stage = 1;
  const auto states = [&] { return row(make(config, "1f1b").tables()[5], "optimiser states").value(); };
  const double all = states();
  config.plan.shard_group = config.plan.replicas() / 2;
  CHECK(states() == Approx(2 * all));
}

TEST_CASE("each ZeRO stage needs no more memory than the one before, on one replica too") {
  for (int data : {1, 2, 4, 8}) {
    for (int layers : {2, 4, 24}) {
      TrainingConfig config = toy();
      config.model.layers = layers;
      config.plan.data = data;
      config.batch.sequences = 4 * data;
      Bytes before(1e18);
      for (int stage = 0; stage <= 3; ++stage) {
        config.plan.zero_stage = stage;
        CAPTURE(data, layers, stage);
        const Bytes now = fullest(make(config, "1f1b").tables());
        CHECK(now <= before * (1 + 1e-12));
        before = now;
      }
    }
  }
}

TEST_CASE("gradients that wait for the last micro-batch are whole until then") {
  TrainingConfig config = toy();
  config.plan.data = 4;
  config.plan.zero_stage = 3;
  config.batch.sequences = 4 * 4;
  const auto gradients = [&] { return row(make(config, "1f1b").tables()[0], "gradients").value(); };
  const double sharded = gradients();
  config.software.reduces_last = true;
  CHECK(gradients() == Approx(4 * sharded));
  config.batch.sequences = 4 * config.batch.micro_batch_sequences;
  CHECK(gradients() == Approx(sharded));
}

TEST_CASE("gathered inputs of distributed tensors are kept as they were gathered") {
  TrainingConfig config = toy();
  config.plan.tensor = 4;
  const double cut = row(make(config, "1f1b").tables()[0], "activations").value();
  config.software.distributed_tensors = true;
  const double more =
      2 * 2.0 * config.model.hidden * (512 - 512.0 / 4) * 2 * 2;  // bytes, of two inputs; layers, in flight
  CHECK(row(make(config, "1f1b").tables()[0], "activations").value() == Approx(cut + more));
}

TEST_CASE("weights that are their own master weights are held once") {
  TrainingConfig config = toy();
  config.plan.zero_stage = 3;
  const auto rows = [&] {
    const MemoryTable table = make(config, "1f1b").tables()[0];
    return std::pair(row(table, "parameters").value(), row(table, "optimiser states").value());
  };
  const auto [narrow, with_master] = rows();  // 2 bytes; 4 + 8
  config.software.shards_are_master = true;
  CHECK(rows().first == Approx(2 * narrow));
  CHECK(rows().second == Approx(with_master * 8 / 12));
  // All in BF16: 2 bytes, and 4 of moments.
  config.software.shards_are_master = false;
  config.precision.master = config.precision.moments = Precision::bf16;
  CHECK(rows().first == Approx(narrow));
  CHECK(rows().second == Approx(with_master * 4 / 12));
}

TEST_CASE("gradients that the optimiser frees are not there while activations are most") {
  TrainingConfig config = toy();
  config.plan.data = config.plan.pipeline = 1;
  config.plan.zero_stage = 0;
  config.batch = {1, 4096, 1};
  const Case kept = make(config, "1f1b");
  config.software.frees_gradients = true;
  const MemoryTable long_one = make(config, "1f1b").tables()[0];
  CHECK(row(long_one, "gradients") == Bytes(0));
  CHECK(long_one.total() == kept.tables()[0].total() - row(kept.tables()[0], "gradients"));
  // Few tokens: most is there with the last gradient, and one layer's activations.
  config.batch = {1, 16, 1};
  const MemoryTable short_one = make(config, "1f1b").tables()[0];
  CHECK(row(short_one, "gradients") == row(kept.tables()[0], "gradients"));
  CHECK(row(short_one, "logits") == Bytes(0));
  // A second micro-batch adds to the gradients of the first.
  config.batch = {2, 4096, 1};
  CHECK(row(make(config, "1f1b").tables()[0], "gradients") > Bytes(0));
}

TEST_CASE("sharded weights of a pipeline's stage that stay gathered are whole") {
  TrainingConfig config = toy();
  config.plan.zero_stage = 3;
  config.model.layers = 16;
  config.software.keeps_stages_gathered = true;
  const MemoryTable first = make(config, "1f1b").tables()[0];
  const double held = row(first, "parameters").value() + row(first, "gathered layers").value();
  config.plan.zero_stage = 1;
  CHECK(held == Approx(row(make(config, "1f1b").tables()[0], "parameters").value()));
}

TEST_CASE("logits and an embedding that no group shares are whole on each GPU") {
  TrainingConfig config = toy();
  config.plan.tensor = 4;
  const auto first = [&](const char* item) { return row(make(config, "1f1b").tables()[0], item).value(); };
  const auto last = [&](const char* item) { return row(make(config, "1f1b").tables()[1], item).value(); };
  const double logits = last("logits"), parameters = first("parameters");
  config.software.sharded_loss_bytes = 1.5 * config.software.loss_bytes;
  CHECK(last("logits") == Approx(1.5 * logits));
  config.software.whole_logits = config.software.whole_embedding = true;
  CHECK(last("logits") == Approx(4 * logits));
  CHECK(first("parameters") - parameters == Approx(2 * 0.75 * 32000.0 * 1024));
}

TEST_CASE("norms as chains of kernels keep FP32 too; values that are a view keep queries and keys beside them") {
  TrainingConfig config = toy();
  const auto kept = [&] { return row(make(config, "1f1b").tables()[0], "activations").value(); };
  const double fused = kept();
  const double tokens = 512.0 * 2 * 2;  // of two layers, two micro-batches in flight
  config.software.eager = true;
  CHECK(kept() == Approx(fused + 2 * 4.0 * 1024 * tokens));
  config.software.fused_norms = true;
  CHECK(kept() == Approx(fused));
  config.software.joint_values = true;
  CHECK(kept() == Approx(fused + 2.0 * (8 + 8) * 128 * tokens));
  // Norms of queries and keys keep what they read.
  config.software.joint_values = false;
  config.model.attention.head_norms = HeadNorms::per_head;
  CHECK(kept() == Approx(fused + 2.0 * (8 + 8) * 128 * tokens));
}

TEST_CASE("queries that are a view, attention's result in both orders and what was sent stay until the backward pass") {
  TrainingConfig config = toy();
  const auto kept = [&](int stage) { return row(make(config, "1f1b").tables()[stage], "activations").value(); };
  const double first = kept(0), last = kept(1);
  const double tokens = 512.0;  // of a micro-batch, of which the first of two stages has two in flight
  config.software.keeps_sent = true;
  CHECK(kept(0) == Approx(first + 2 * 2.0 * 1024 * tokens));
  CHECK(kept(1) == last);
  config.software.keeps_sent = false;
  config.software.joint_queries = true;
  CHECK(kept(0) == Approx(first + 2 * 2 * 2.0 * (8 + 8) * 128 * tokens));
  config.software.joint_queries = false;
  config.software.copied_attention = true;
  CHECK(kept(0) == first);  // of a sequence alone there is one order
}

TEST_CASE("of tied embeddings the last of several stages holds a copy") {
  TrainingConfig config = toy();
  const Case apart = make(config, "1f1b");
  config.model.tied_embeddings = true;
  const Case tied = make(config, "1f1b");
  CHECK(row(tied.tables()[1], "parameters") == row(apart.tables()[1], "parameters"));
}

TEST_CASE("the hottest expert rank needs more memory than the mean one") {
  const Case v3 = make(deepseek_v3_training(), "dualpipe");
  CHECK(fullest(v3.tables(1.2)) > fullest(v3.tables(1.0)));
}

TEST_CASE("remedies that are said to fit do fit") {
  TrainingConfig config = deepseek_v3_training();
  config.recompute = {};
  const Case c = make(config, "dualpipe");
  const auto remedies = memory_remedies(c.config, c.stages, c.schedule, 1.0, node_of_h800());
  REQUIRE(!remedies.empty());
  CHECK(remedies.front().find("fits") != std::string::npos);
  config.recompute = {true, true, true, false};  // "all of training.recompute but full_layer"
  CHECK(fullest(make(config, "dualpipe").tables()) < kOffered);
}

TEST_CASE("remedies know the host's memory, where there is a way to it, and what is there already") {
  TrainingConfig config = deepseek_v3_training();
  config.recompute = {};
  const auto named = [&](const NodeSpec& node, std::string_view idea) {
    const Case c = make(config, "dualpipe");
    const auto remedies = memory_remedies(c.config, c.stages, c.schedule, 1.0, node);
    return std::any_of(remedies.begin(), remedies.end(), [&](const auto& text) { return text.starts_with(idea); });
  };
  NodeSpec node = node_of_h800();
  CHECK(named(node, "training.offload.activations: 1"));
  CHECK(named(node, "training.offload.optimizer: 1"));
  node.host_memory_bandwidth = 0_GBps;
  CHECK_FALSE(named(node, "training.offload.optimizer: 1"));
  node.host_bandwidth = 0_GBps;
  CHECK_FALSE(named(node, "training.offload.activations: 1"));
  config.offload.activations = config.offload.optimizer = 1;
  CHECK_FALSE(named(node_of_h800(), "training.offload.activations: 1"));
  CHECK_FALSE(named(node_of_h800(), "training.offload.optimizer: 1"));
}

TEST_CASE("layers that multiply in BF16 keep their activations in BF16, in proportion") {
  TrainingConfig config = deepseek_v3_training();
  const auto kept = [&] { return row(make(config, "dualpipe").tables()[3], "activations").value(); };
  const double narrow = kept();
  config.precision.bf16_layers = config.model.layers;
  const double wide = kept();
  config.precision.bf16_layers = 0;
  CHECK(kept() == narrow);
  config.precision.activations = Precision::bf16;
  CHECK(kept() == Approx(wide));
  CHECK(wide > 1.2 * narrow);
  config.precision.activations = Precision::fp8;
  config.model.layers = 60;
  config.precision.bf16_layers = 30;
  const double half = kept();
  config.precision.bf16_layers = 0;
  const double none = kept();
  config.precision.bf16_layers = 60;
  CHECK(half == Approx((none + kept()) / 2));
}

TEST_CASE("the more layers offload their activations, the less lies on the GPU, from the first on") {
  TrainingConfig config = toy();
  config.model.layers = 32;
  for (const int again : {0, 5, 16, -1}) {
    config.recompute.full_layer = again != 0;
    config.recompute.full_layers = std::max(0, again);
    config.offload.activations = 0;
    Bytes before = fullest(make(config, "1f1b").tables());
    for (int percent = 1; percent <= 100; ++percent) {
      config.offload.activations = percent / 100.0;
      const Bytes now = fullest(make(config, "1f1b").tables());
      CAPTURE(again, percent);
      CHECK(now <= before * (1 + 1e-12));
      before = now;
    }
  }
}

TEST_CASE("a layer that is copied is as large as its experts are full, and as small as what is done again") {
  TrainingConfig config = deepseek_v3_training();
  const auto kept = [&](bool moe, double load) { return kept_in_mean_layer(config, moe, load, 0).value(); };
  CHECK(kept(true, 2) > 1.5 * kept(true, 1));
  CHECK(kept(false, 2) == kept(false, 1));
  const double all = kept(true, 1);
  config.recompute.full_layer = true;
  const double input = kept(true, 1);
  CHECK(input == kept(true, 2));
  // Of four layers of a stage one is done again.
  config.model.layers = 4 * config.plan.pipeline * config.plan.chunks;
  config.recompute.full_layers = 1;
  CHECK(kept(true, 1) == Approx((input + 3 * all) / 4));
}

TEST_CASE("Totals without words are those of the tables") {
  for (const char* schedule : {"1f1b", "zb_h1", "dualpipe"}) {
    TrainingConfig config = deepseek_v3_training();
    for (int zero = 0; zero < 4; ++zero) {
      config.plan.zero_stage = zero;
      config.recompute.full_layer = zero == 1;
      config.recompute.norms = zero == 2;
      const Case c = make(config, schedule);
      const std::vector<MemoryTable> tables = c.tables(1.2);
      const std::vector<Bytes> totals = memory_totals(c.config, c.stages, c.schedule, 1.2);
      REQUIRE(totals.size() == tables.size());
      for (std::size_t i = 0; i < totals.size(); ++i) CHECK(totals[i] == tables[i].total());
    }
  }
}
