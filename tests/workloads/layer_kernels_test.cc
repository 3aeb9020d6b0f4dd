// Do the kernels of a layer compute what the model's parameters ask for, in training and in serving, for every kind of
// attention?
#include "workloads/model/layer_kernels.h"

#include <cmath>
#include <map>

#include "tests/catch.h"
#include "tests/workloads/example_config.h"
#include "workloads/model/attention/rows.h"
#include "workloads/model/selective_again.h"

using namespace flopcast;

namespace {

constexpr double kTokens = 4096;

ModelConfig model_with(const std::string& type) {
  ModelConfig model = deepseek_v3();
  model.attention.type = type;
  model.attention.head_dim = 128;
  if (type != "latent") model.attention.q_lora_rank = model.attention.kv_lora_rank = 0;
  if (type == "grouped_query") model.attention.kv_heads = 8;
  return model;
}

LayerWork work_on(const ModelConfig& model) {
  LayerWork work(model);
  work.tokens = work.own_tokens = kTokens;
  work.reach = {1, 4096, 4096};
  return work;
}

/// What serving engines do differently that moves work between kernels.
KernelHabits as_served() {
  KernelHabits habits;
  habits.origin = KernelOrigin::engine;
  habits.fused_latent_down = true;
  habits.positions_write_cache = true;
  habits.router_kernels = 1;
  return habits;
}

double gemm_flop(const LayerKernels& list) {
  double sum = 0;
  for (const LayerKernel& kernel : list.kernels) {
    if (const auto* gemm = std::get_if<GemmShape>(&kernel.shape)) sum += flop(*gemm).value() * kernel.count;
  }
  return sum;
}

int count(const LayerKernels& list, std::string_view role) {
  int found = 0;
  for (const LayerKernel& kernel : list.kernels) found += kernel.role == role ? kernel.count : 0;
  return found;
}

/// Grouped-query attention whose results are multiplied with a gate made of the block's input (Qwen3-Next): what the
/// recipe of workloads/README.md asks of a new kind.
AttentionKindRow gated_grouped_query() {
  AttentionKindRow row = rows::grouped_query();
  row.name = "gated_grouped_query";
  row.matrix_elements = [](const AttentionConfig& a, double hidden) {
    return rows::grouped_query().matrix_elements(a, hidden) + hidden * a.heads * a.head_dim;
  };
  row.input = [](KernelWriter& list, const AttentionWidths& w) {
    rows::grouped_query().input(list, w);
    list.linear("attention gate", list.work().tokens, w.output(), w.hidden);
  };
  row.input_gradient = [](KernelWriter& list, const AttentionWidths& w) {
    list.linear("attention gate", list.work().tokens, w.hidden, w.output());
    rows::grouped_query().input_gradient(list, w);
  };
  row.input_weights = [](KernelWriter& list, const AttentionWidths& w) {
    list.weight_gradient("attention gate", w.output(), w.hidden, list.work().tokens);
    rows::grouped_query().input_weights(list, w);
  };
  row.output = [](KernelWriter& list, const AttentionWidths& w) {
    list.memory("gate results", MemoryKernel::elementwise, list.work().tokens * w.output() * 2 * 3);
  };
  return row;
}

/// Every token meets every element of the projections once forward, once for its gradient, once for the weights'.
void check_projections(LayerWork work) {
  const double once = 2 * kTokens * work.attention->matrix_elements(work.model.attention, work.model.hidden);
  for (const KernelPass pass : {KernelPass::forward, KernelPass::input_gradient, KernelPass::weight_gradient}) {
    LayerKernels list;
    add_attention_block(list, work, pass);
    INFO(work.attention->name << ", pass " << static_cast<int>(pass));
    CHECK(gemm_flop(list) == Approx(once));
  }
  work.habits = as_served();
  work.reach.cached = kTokens;
  LayerKernels served;
  add_attention_block(served, work, KernelPass::forward);
  INFO(work.attention->name << " as served");
  CHECK(gemm_flop(served) == Approx(once));
}

ModelConfig llama_8b() {
  ModelConfig model;
  model.layers = 32;
  model.hidden = 4096;
  model.ffn_width = 14336;
  model.attention.type = "grouped_query";
  model.attention.heads = 32;
  model.attention.kv_heads = 8;
  model.attention.head_dim = 128;
  return model;
}

}  // namespace

TEST_CASE("projections of every kind of attention multiply what the kind counts as parameters", "[kernels]") {
  for (const AttentionKindRow& row : attention_kinds()) {
    const ModelConfig model = model_with(std::string(row.name));
    check_projections(work_on(model));
  }
}

TEST_CASE("a kind of attention is one entry: parameters, kernels, cache", "[kernels]") {
  const ModelConfig model = model_with("grouped_query");
  const AttentionKindRow gated = gated_grouped_query();
  LayerWork work = work_on(model);
  work.attention = &gated;
  check_projections(work);
  LayerKernels list;
  add_attention_block(list, work, KernelPass::forward);
  CHECK(count(list, "gate results") == 1);
  CHECK(gated.cache_elements(model.attention, 1) == 2 * 8 * 128);
}

TEST_CASE("GPUs that share matrices divide a layer's multiplications and exchange what each holds", "[kernels]") {
  for (const AttentionKindRow& row : attention_kinds()) {
    const ModelConfig model = model_with(std::string(row.name));
    if (model.attention.from_latent()) continue;  // its down-projections are copied to every GPU
    LayerWork work = work_on(model);
    LayerKernels whole, share;
    add_attention_block(whole, work, KernelPass::forward);
    work.tensor = 8;
    work.own_tokens = kTokens / 8;
    add_attention_block(share, work, KernelPass::forward);
    CHECK(gemm_flop(share) == Approx(gemm_flop(whole) / 8));
    CHECK(whole.exchanges.empty());
    REQUIRE(share.exchanges.size() == 2);
    CHECK(share.exchanges[0].kind == LayerExchange::Kind::tensor_gather);
    CHECK(share.exchanges[1].kind == LayerExchange::Kind::tensor_scatter);
    CHECK(share.exchanges[1].bytes == Bytes(kTokens * model.hidden * 2));
    const LayerKernel& beside = share.kernels[static_cast<std::size_t>(share.exchanges[1].first_beside)];
    CHECK(name(beside) == "o_proj");
  }
}

TEST_CASE("experts multiply their rows with their matrices, however they are launched", "[kernels]") {
  const ModelConfig model = deepseek_v3();
  LayerWork work = work_on(model);
  work.moe = true;
  work.experts.shared_tokens = kTokens;
  work.experts.rows = 8 * kTokens;
  work.experts.experts = 4;
  const double expert = 3.0 * model.hidden * model.moe.expert_width;
  const double once = 2 * expert * (8 * kTokens + kTokens);
  for (const ExpertGemms how : {ExpertGemms::one_by_one, ExpertGemms::contiguous, ExpertGemms::masked}) {
    work.habits.expert_gemms = how;
    for (const KernelPass pass : {KernelPass::forward, KernelPass::input_gradient, KernelPass::weight_gradient}) {
      LayerKernels list;
      add_ffn_block(list, work, pass);
      CHECK(gemm_flop(list) == Approx(once));
      CHECK(count(list, "gate_up") >= (how == ExpertGemms::one_by_one ? 5 : 2));
    }
  }
  work.habits.expert_gemms = ExpertGemms::fused;
  LayerKernels fused;
  add_ffn_block(fused, work, KernelPass::forward);
  CHECK(gemm_flop(fused) == Approx(once));
  work.habits.expert_gemms = ExpertGemms::masked;
  LayerKernels shared, routed;
  add_ffn_block(shared, work, KernelPass::forward, FfnPart::shared);
  add_ffn_block(routed, work, KernelPass::forward, FfnPart::routed);
  CHECK(gemm_flop(shared) + gemm_flop(routed) == Approx(once));
}

TEST_CASE("selective checkpointing does every second product of a dense layer again, and no attention core",
          "[kernels]") {
  // Keys, output and up are of even number.
  const ModelConfig model = llama_8b();
  const LayerWork work = work_on(model);
  LayerKernels again;
  add_attention_again(again, work);
  add_ffn_again(again, work, FfnPart::all);
  CHECK(gemm_flop(again) == Approx(2 * kTokens * 4096 * (1024.0 + 4096 + 14336)));
  for (const LayerKernel& kernel : again.kernels) {
    CHECK(kernel.again);
    CHECK_FALSE(std::holds_alternative<AttentionShape>(kernel.shape));
  }
  CHECK(count(again, "activation") == 1);
  CHECK(count(again, "attention norm") == 1);
  // The residual twice; queries, values, attention's output with its log-sum-exp, gate.
  const SelectivelyKept kept = selectively_kept(model, false);
  CHECK(kept.own == 2 * 2 * 4096);
  CHECK(kept.sliced == 2 * (4096 + 1024 + 4096 + 14336) + 4 * 32);
}

TEST_CASE("what PyTorch's models do beside a layer's products: repeated keys, complex positions", "[kernels]") {
  const ModelConfig model = llama_8b();
  LayerWork work = work_on(model);
  const auto bytes = [&](KernelPass pass, std::string_view role) {
    LayerKernels list;
    add_attention_block(list, work, pass);
    double sum = 0;
    for (const LayerKernel& kernel : list.kernels)
      if (const auto* traffic = std::get_if<MemoryTraffic>(&kernel.shape); traffic && kernel.role == role)
        sum += traffic->bytes.value() * kernel.count;
    return sum;
  };
  CHECK(bytes(KernelPass::forward, "repeat keys and values") == 0);
  const double fused = bytes(KernelPass::forward, "rotary");
  CHECK(fused == Approx(kTokens * (4096 + 1024) * 4.0));
  work.habits.repeats_keys = work.habits.complex_positions = true;
  // Read once per key-value head, written once per head of queries.
  CHECK(bytes(KernelPass::forward, "repeat keys and values") == Approx(kTokens * 2.0 * (2 * 1024 + 2 * 4096)));
  CHECK(bytes(KernelPass::input_gradient, "sum gradients of repeated keys") ==
        bytes(KernelPass::forward, "repeat keys and values"));
  CHECK(bytes(KernelPass::forward, "rotary") == Approx(5 * fused));  // to FP32 6, product 8, back 6
}

TEST_CASE("projections of their own multiply as much, and their input gradients are summed", "[kernels]") {
  const ModelConfig model = llama_8b();
  LayerWork work = work_on(model);
  for (const KernelPass pass : {KernelPass::forward, KernelPass::input_gradient, KernelPass::weight_gradient}) {
    work.habits.separate_projections = false;
    LayerKernels together, apart, ffn;
    add_attention_block(together, work, pass);
    add_ffn_block(together, work, pass);
    work.habits.separate_projections = true;
    add_attention_block(apart, work, pass);
    add_ffn_block(apart, work, pass);
    CHECK(gemm_flop(apart) == Approx(gemm_flop(together)));
    CHECK(count(apart, "k_proj") == 1);
    CHECK(count(apart, "up") == 1);
    CHECK(count(apart, "sum of input gradients") == (pass == KernelPass::input_gradient ? 2 : 0));
  }
  // Every second product is done again, one by one or side by side.
  LayerKernels again;
  add_attention_again(again, work);
  add_ffn_again(again, work, FfnPart::all);
  CHECK(gemm_flop(again) == Approx(2 * kTokens * 4096 * (1024.0 + 4096 + 14336)));
}

TEST_CASE("context parallelism as PyTorch has it: one gather, gradients round the ring in FP32", "[kernels]") {
  const ModelConfig model = llama_8b();
  LayerWork work = work_on(model);
  work.context.ranks = 4;
  work.habits.repeats_keys = work.habits.gathers_context = true;
  const auto exchanged = [&](KernelPass pass) {
    LayerKernels list;
    add_attention_block(list, work, pass);
    std::map<LayerExchange::Kind, double> bytes;
    for (const LayerExchange& exchange : list.exchanges)
      bytes[exchange.kind] += exchange.bytes.value() * exchange.times;
    return bytes;
  };
  using Kind = LayerExchange::Kind;
  const double keys = kTokens * 2.0 * 4096;  // and values, of every head of queries
  CHECK(exchanged(KernelPass::forward) == std::map<Kind, double>{{Kind::context_gather, keys * 2 * 4}});
  CHECK(exchanged(KernelPass::input_gradient) ==
        std::map<Kind, double>{{Kind::context_gather, keys * 2 * 4}, {Kind::context_hop, keys * 4 * 4}});
}

TEST_CASE("pieces of sequences for heads: each GPU's share of attention over whole sequences, no keys gathered",
          "[kernels]") {
  const ModelConfig model = llama_8b();
  LayerWork work = work_on(model);
  work.context.ranks = 4;
  work.context.by_heads = true;
  for (const KernelPass pass : {KernelPass::forward, KernelPass::input_gradient}) {
    LayerKernels list;
    add_attention_block(list, work, pass);
    double bytes = 0;
    for (const LayerExchange& exchange : list.exchanges) {
      CHECK(exchange.kind == LayerExchange::Kind::context_all_to_all);
      CHECK(exchange.first_beside == exchange.last_beside);
      bytes += exchange.bytes.value() * exchange.times;
    }
    CHECK(bytes == Approx(kTokens * 2 * (4096.0 + 1024 + 1024 + 4096)));  // queries, keys, values, results
    int cores = 0;
    for (const LayerKernel& kernel : list.kernels) {
      const auto* shape = std::get_if<AttentionShape>(&kernel.shape);
      if (shape == nullptr) continue;
      ++cores;
      CHECK(shape->causal);
      CHECK(shape->query_heads == 8);
      CHECK(shape->kv_heads == 2);
      CHECK(shape->query_length == 4 * work.reach.queries);
      CHECK(shape->kv_length == shape->query_length);
    }
    CHECK(cores == 1);
  }
}

/// Pairs of queries and keys that attention computes, of all heads.
double pairs(const LayerKernels& list) {
  double sum = 0;
  for (const LayerKernel& kernel : list.kernels) {
    const auto* shape = std::get_if<AttentionShape>(&kernel.shape);
    if (shape == nullptr) continue;
    const auto queries = static_cast<double>(shape->query_length), keys = static_cast<double>(shape->kv_length);
    sum += kernel.count * static_cast<double>(shape->batch) * shape->query_heads * queries *
           (shape->causal ? keys - queries / 2 : keys);
  }
  return sum;
}

TEST_CASE("ranks that share sequences compute the pairs of the whole ones, windows and indexes counted", "[kernels]") {
  const auto [layers, tokens, indexed] = GENERATE(table<int, int, bool>({
      {0, 0, false},      // every layer meets everything
      {12, 128, false},   // half of them next to nothing
      {31, 6000, false},  // windows wider than a rank's piece
      {32, 2048, false},  // in all layers
      {0, 0, true},       // the best 2,048 keys
  }));
  ModelConfig model = llama_8b();
  model.attention.window.layers = layers;
  model.attention.window.tokens = tokens;
  if (indexed) model.attention.indexer = {.heads = 4, .dim = 64, .tokens = 2048};
  const int ranks = GENERATE(2, 4, 8);
  CAPTURE(layers, tokens, indexed, ranks);
  LayerWork alone = work_on(model);
  alone.reach.queries = alone.reach.keys = 4096 * ranks;
  alone.tokens = alone.own_tokens = kTokens * ranks;
  LayerKernels whole;
  add_attention_block(whole, alone, KernelPass::forward);
  for (const bool all_gather : {false, true}) {
    for (const bool by_heads : {false, true}) {
      LayerWork work = work_on(model);
      work.context = {.ranks = ranks, .all_gather = all_gather, .by_heads = by_heads};
      LayerKernels share;
      add_attention_block(share, work, KernelPass::forward);
      CAPTURE(all_gather, by_heads);
      CHECK(pairs(share) == Approx(pairs(whole) / ranks).epsilon(0.003));  // a rank's keys are a whole number
      CHECK(gemm_flop(share) == Approx(gemm_flop(whole) / ranks).epsilon(0.001));
    }
  }
}

TEST_CASE("a layer that is done again may stop before its last product, unless a norm needs that", "[kernels]") {
  ModelConfig model = llama_8b();
  LayerWork work = work_on(model);
  LayerKernels whole, early;
  add_ffn_block(whole, work, KernelPass::forward);
  work.last = LastProduct::left_out;
  add_ffn_block(early, work, KernelPass::forward);
  CHECK(gemm_flop(whole) - gemm_flop(early) == Approx(2 * kTokens * 4096 * 14336.0));
  CHECK(count(early, "activation") == 1);
}

TEST_CASE("a gate is as many kernels as the software makes of it", "[kernels]") {
  const ModelConfig model = deepseek_v3();
  LayerWork work = work_on(model);
  work.moe = true;
  LayerKernels eager, fused;
  add_ffn_input(eager, work, KernelPass::forward);
  work.habits = as_served();
  add_ffn_input(fused, work, KernelPass::forward);
  CHECK(count(eager, "top-k and routing weights") == 20);
  CHECK(count(fused, "top-k and routing weights") == 1);
}

TEST_CASE("norms of queries and keys are as many kernels as the software makes of them", "[kernels]") {
  ModelConfig model = llama_8b();
  model.attention.head_norms = HeadNorms::per_head;
  for (const int kernels : {2, 1, 0}) {
    LayerWork work = work_on(model);
    work.habits = as_served();
    work.habits.head_norm_kernels = kernels;
    LayerKernels list;
    add_attention_block(list, work, KernelPass::forward);
    CHECK(count(list, "head norms") == kernels);
    CHECK(count(list, "rotary") == 1);
  }
}

TEST_CASE("a communication that a weight gradient hides does not launch it twice", "[kernels]") {
  const ModelConfig model = model_with("grouped_query");
  LayerWork work = work_on(model);
  work.tensor = 8;
  LayerKernels list;
  add_attention_block(list, work, KernelPass::input_gradient);
  REQUIRE(list.exchanges.size() == 3);
  const LayerExchange& scatter = list.exchanges.back();
  REQUIRE(scatter.last_beside == scatter.first_beside + 1);
  const LayerKernel& hidden_behind = list.kernels[static_cast<std::size_t>(scatter.first_beside)];
  CHECK(hidden_behind.count == 0);
  CHECK(launches(hidden_behind) == 0);
}

namespace {

/// Exchanges of a layer's attention and FFN in a pass, and how many of them have nothing beside them.
struct Exchanges {
  int gathers = 0, scatters = 0, alone = 0;
  double gathered = 0;  // bytes
};

Exchanges exchanges_of(const LayerKernels& list) {
  Exchanges of;
  for (const LayerExchange& exchange : list.exchanges) {
    (exchange.kind == LayerExchange::Kind::tensor_gather ? of.gathers : of.scatters) += exchange.times;
    if (exchange.first_beside == exchange.last_beside) of.alone += exchange.times;
    if (exchange.kind == LayerExchange::Kind::tensor_gather) of.gathered += exchange.bytes.value() * exchange.times;
  }
  return of;
}

Exchanges exchanges_of(const LayerWork& work, KernelPass pass) {
  LayerKernels list;
  add_attention_block(list, work, pass);
  add_ffn_block(list, work, pass);
  return exchanges_of(list);
}

}  // namespace

TEST_CASE("distributed tensors keep what was gathered and compute beside no exchange", "[kernels]") {
  const ModelConfig model = llama_8b();
  LayerWork work = work_on(model);
  work.tensor = 4;
  work.own_tokens = kTokens / 4;
  work.habits.tensor_overlap = false;
  work.habits.separate_projections = true;
  const Exchanges megatron = exchanges_of(work, KernelPass::input_gradient);
  CHECK(megatron.gathers == 4);  // inputs once more
  CHECK(megatron.alone == 2);

  work.habits.distributed_tensors = true;
  const Exchanges forward = exchanges_of(work, KernelPass::forward);
  const Exchanges backward = exchanges_of(work, KernelPass::input_gradient);
  CHECK(forward.gathers == 2);
  CHECK(forward.scatters == 2);
  CHECK(forward.alone == 4);
  CHECK(backward.gathers == 2);
  CHECK(backward.scatters == 2);
  CHECK(backward.alone == 4);
  LayerKernels again;  // by operation: gathers are, scatters are not
  add_attention_again(again, work);
  add_ffn_again(again, work, FfnPart::all);
  CHECK(exchanges_of(again).gathers == 2);
  CHECK(exchanges_of(again).scatters == 0);

  SECTION("fused with products") {
    work.habits.tensor_overlap = true;
    CHECK(exchanges_of(work, KernelPass::forward).alone == 0);
    CHECK(exchanges_of(work, KernelPass::input_gradient).alone == 0);
  }
  SECTION("gradients of an input scattered for each product; eager, the input gathered for each") {
    work.habits.scatters_per_product = true;
    CHECK(exchanges_of(work, KernelPass::forward).gathers == 2);
    CHECK(exchanges_of(work, KernelPass::input_gradient).scatters == 5);
    work.habits.eager_elementwise = true;
    CHECK(exchanges_of(work, KernelPass::forward).gathers == 5);
    CHECK(exchanges_of(work, KernelPass::forward).scatters == 2);
    // Norms on all tokens: an all-reduce of each output, and of the gradient of each product's input.
    work.own_tokens = work.tokens;
    CHECK(exchanges_of(work, KernelPass::forward).gathers == 2);
    CHECK(exchanges_of(work, KernelPass::forward).scatters == 2);
    CHECK(exchanges_of(work, KernelPass::input_gradient).gathers == 5);
    CHECK(exchanges_of(work, KernelPass::input_gradient).scatters == 5);
  }
}

TEST_CASE("FP8 with a scale for each row casts gathered operands along both of their sides", "[kernels]") {
  const ModelConfig model = llama_8b();
  LayerWork work = work_on(model);
  work.tensor = 4;
  work.own_tokens = kTokens / 4;
  work.precision.linear = Precision::fp8;
  const auto cast_bytes = [&](KernelPass pass) {
    LayerKernels list;
    add_attention_block(list, work, pass);
    add_ffn_input(list, work, pass);
    add_ffn_block(list, work, pass);
    double bytes = 0;
    for (const LayerKernel& kernel : list.kernels) {
      const auto* traffic = std::get_if<MemoryTraffic>(&kernel.shape);
      if (traffic != nullptr &&
          (traffic->kernel == MemoryKernel::cast || traffic->kernel == MemoryKernel::cast_transpose))
        bytes += traffic->bytes.value() * kernel.count;
    }
    return bytes;
  };
  work.precision.scaling = Scaling::per_tensor;
  const double quantised = exchanges_of(work, KernelPass::forward).gathered;
  work.precision.scaling = Scaling::rows;
  CHECK(exchanges_of(work, KernelPass::forward).gathered == Approx(2 * quantised));
  const double sliced = (4096.0 + 14336) / 4;  // of attention, of the FFN
  CHECK(cast_bytes(KernelPass::forward) == Approx(kTokens * (2 * 4096 + sliced) * 3));
  // Gradients of both blocks' results and of sliced products; all of them and all inputs along the tokens too.
  const double gradients = 2 * 4096 + (4096 + 2 * 1024 + 2 * 14336.0) / 4;
  const double along_tokens = 2 + 3 * 2.74 / 0.52;
  CHECK(cast_bytes(KernelPass::input_gradient) ==
        Approx(kTokens * (gradients * 3 + (gradients + 2 * 4096 + sliced) * along_tokens)));
}
