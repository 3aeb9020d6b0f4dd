// What all kinds of attention have in common: norms, the core (under context parallelism too), the output projection.
#include <algorithm>
#include <cmath>

#include "workloads/model/attention_kinds.h"
#include "workloads/model/tensor_exchanges.h"

namespace flopcast {
namespace {

/// Where layers differ, one core stands for the mean of them: as many keys as a query meets on average, and no more
/// mask than that leaves.
void meet_keys(const LayerWork& work, AttentionShape& shape) {
  if (work.model.attends_to_all()) return;
  const auto queries = static_cast<double>(shape.query_length), keys = static_cast<double>(shape.kv_length);
  const double met = work.reach.decode ? work.model.mean_keys(keys) : work.model.mean_pairs(queries, keys) / queries;
  const double all = work.reach.decode ? keys : keys - queries / 2;
  if (met >= all) return;
  shape.kv_length = std::max<std::int64_t>(1, std::llround(met));
  shape.causal = false;
}

/// Keys that other ranks of a sequence hold and that a query meets, on average over queries and layers: pieces are
/// dealt so that all ranks have the same number of pairs.
double keys_of_others(const LayerWork& work) {
  const double ranks = work.context.ranks, queries = static_cast<double>(work.reach.queries);
  if (work.model.attends_to_all()) return static_cast<double>(work.reach.keys) * (ranks - 1) / 2;
  const double whole = ranks * queries;
  return (work.model.mean_pairs(whole, whole) / ranks - work.model.mean_pairs(queries, queries)) / queries;
}

/// What layers with a state read and write, and scores of the index that chooses tokens; the mean over layers.
void add_states(KernelWriter& list, AttentionKind kind) {
  const LayerWork& work = list.work();
  const ModelConfig& model = work.model;
  const StateLayersConfig& states = model.state_layers;
  const AttentionReach& reach = work.reach;
  const double batch = static_cast<double>(reach.batch), tensor = work.tensor;
  const int passes = kind == AttentionKind::backward ? 2 : 1;
  if (states.layers > 0) {
    const double share = static_cast<double>(states.layers) / model.layers;
    const auto elements = static_cast<double>(states.state_elements);
    const auto add = [&](std::string_view role, double bytes, int kernels) {
      list.memory(role, MemoryKernel::elementwise, share * bytes / tensor, kernels);
    };
    const double state = batch * elements * states.state_bytes * 2 * passes;
    // Engines launch more than the scan (sgl-project/sglang v0.5.8, layers/attention/hybrid_linear_attn_backend.py and
    // fla/chunk.py, 2026-01; vLLM's qwen3_next.py likewise). Decoding: gates of the input, its parts put in order,
    // convolution, update of the state, gated norm. Prompts: beside the eight below gates, order, two norms of keys and
    // queries, sums of decays, and states fetched from their places and put back.
    const bool served = work.habits.origin == KernelOrigin::engine;
    const auto launched = [&](int kernels) {
      return served ? std::max(1, static_cast<int>(std::lround(share * kernels))) : kernels * passes;
    };
    if (reach.decode) {
      add("state layers", state, launched(served ? 5 : 1));
    } else {
      // Kernels of a chunked scan (state-spaces/mamba, mamba_ssm/ops/triton/ssd_combined.py, 2024-05), in elements of
      // the input projection's width and of the output's. Forward: the convolution reads and writes its share, values,
      // products of keys and queries, gate and results are read and written by the scan and the norm behind it.
      // Backward all of that again, and gradients of each, with what they are made of.
      const double rows = work.tokens * (2.0 * states.in_width + 7.0 * states.out_width) * 2;
      add("state layers", state + rows * (passes == 2 ? 2.65 : 1.0), launched(5));
      // A state for each chunk is written, read and written where chunks are joined, and read; backward they are made
      // again and read once more, and so are their gradients.
      constexpr double kChunk = 128;  // chunk_size of Nemotron's config.json
      add("states of chunks", work.tokens / kChunk * elements * states.state_bytes * (passes == 2 ? 9 : 4),
          launched(3));
      if (served) add("gates, norms and places of states", work.tokens * 2.0 * states.out_width * 2, launched(8));
    }
  }
  const IndexerConfig& index = model.attention.indexer;
  if (index.heads == 0) return;
  const double share = (index.layers > 0 ? index.layers : model.attention_layers()) / static_cast<double>(model.layers);
  const double from = model.attention.q_lora_rank > 0 ? model.attention.q_lora_rank : model.hidden;
  list.linear("index queries", work.tokens, share * index.heads * index.dim, from);
  list.linear("index keys", work.tokens, share * (index.dim + index.heads), model.hidden);
  const auto queries = static_cast<double>(reach.queries), keys = static_cast<double>(reach.keys);
  // Every key is scored, those that other ranks hold too.
  const double of_others = keys * (work.context.ranks - 1) / 2;
  const double seen = reach.decode ? keys : std::max(1.0, keys - queries / 2) + of_others;
  list.linear_in(Precision::bf16, "index scores", share * batch * queries * index.heads, seen, index.dim);
  if (work.habits.origin != KernelOrigin::engine) return;
  // Engines: norm, positions and cast of the index's keys on their way into its cache, positions and cast of its
  // queries; the largest scores found (vllm-project/vllm, model_executor/models/deepseek_v2.py, Indexer, as fused in
  // 2026; sgl-project/sglang, layers/attention/nsa, on a stream beside the projections). Two kernels, where versions of
  // 2025 launch six: with six, V3.2 of one user was 11 to 17 % slow on B300 and GB200 (blind evaluation), with none 7
  // to 12 fast.
  list.memory("index norms, positions and casts", MemoryKernel::elementwise,
              share * work.tokens * (index.heads + 1) * index.dim * 2 * 2, 2);
  list.memory("choice of tokens", MemoryKernel::elementwise, share * batch * queries * seen * 4);
}

AttentionShape core_shape(const LayerWork& work, const AttentionWidths& w, AttentionKind kind) {
  const AttentionReach& reach = work.reach;
  const int whole = work.context.by_heads ? work.context.ranks : 1;  // sequences, of some of the heads
  AttentionShape shape;
  shape.kind = kind;
  shape.batch = reach.batch;
  shape.query_length = reach.queries * whole;
  shape.kv_length = reach.keys * whole;
  meet_keys(work, shape);
  shape.query_heads = std::max(1, static_cast<int>(w.heads) / whole);
  shape.kv_heads = std::max(1, static_cast<int>(w.kv_heads) / whole);
  shape.qk_dim = static_cast<int>(w.qk);
  shape.v_dim = static_cast<int>(w.v);
  shape.precision = work.precision.attention;
  shape.kv_precision = reach.decode ? work.precision.cache : work.precision.attention;
  if (reach.decode && work.model.attention.from_latent()) {
    shape.latent = true;
    shape.kv_heads = 1;
    shape.qk_dim = static_cast<int>(w.kv_rank + w.rope);
    shape.v_dim = static_cast<int>(w.kv_rank);
  }
  return shape;
}

/// Decoding of latent attention as one block: everything between the norms.
LatentBlockShape latent_block(const LayerWork& work, const AttentionWidths& w, std::int64_t keys) {
  LatentBlockShape shape;
  shape.query_length = work.reach.queries;
  shape.batch = std::max<std::int64_t>(1, std::llround(work.tokens / static_cast<double>(work.reach.queries)));
  shape.kv_length = keys;
  shape.heads = static_cast<int>(w.heads);
  shape.hidden = static_cast<int>(w.hidden);
  shape.q_rank = static_cast<int>(w.q_rank);
  shape.kv_rank = static_cast<int>(w.kv_rank);
  shape.rope_dim = static_cast<int>(w.rope);
  shape.nope_dim = static_cast<int>(w.qk - w.rope);
  shape.v_dim = static_cast<int>(w.v);
  shape.precision = work.precision.linear;
  shape.scaling = work.precision.scaling;
  shape.kv_precision = work.precision.cache;
  shape.tensorrt = work.habits.latent_decode == LatentDecode::tensorrt;
  return shape;
}

bool repeats_keys(const LayerWork& work, const AttentionWidths& w) {
  return work.habits.repeats_keys && !work.model.attention.from_latent() && 2 * w.query > w.key + w.value;
}

/// Written for each head of queries, for attention to read; backward, the gradients of a group's heads are summed up.
void repeat_keys(KernelWriter& list, const AttentionWidths& w, bool backward) {
  const LayerWork& work = list.work();
  if (!repeats_keys(work, w)) return;
  list.memory(backward ? "sum gradients of repeated keys" : "repeat keys and values", MemoryKernel::copy,
              work.tokens * (w.key + w.value + 2 * w.query) * 2, 2);
}

/// Queries, keys and values change owners before attention and its result behind it; backward, their gradients the
/// other way. Each is put into order before it leaves and where it arrives (Transformer Engine, context_parallel.py,
/// flash_attn_a2a_communicate: contiguous, index_select). Nothing is computed meanwhile.
void heads_for_pieces(KernelWriter& list, const AttentionWidths& w) {
  const double t = list.work().tokens;
  const double keys = repeats_keys(list.work(), w) ? w.query : w.key, values = keys == w.key ? w.value : w.query;
  for (const double width : {w.query, keys, values, w.output()}) {
    list.exchange(LayerExchange::Kind::context_all_to_all, t * width * 2);
    list.memory("heads for pieces", MemoryKernel::copy, t * width * 8, 2);
  }
}

/// Attention over a sequence that `context` ranks share, each holding one piece from either end so that all
/// have the same number of query-key pairs. Ring: the own keys first (causal), then on each hop half the
/// pairs of a whole piece, the partial results merged. All-gather: the other ranks' keys at once, half of
/// them visible on average. All-to-all: whole sequences, of some of the heads.
void core(KernelWriter& list, const AttentionWidths& w, AttentionKind kind) {
  const LayerWork& work = list.work();
  const AttentionKindRow& row = *work.attention;
  const bool backward = kind == AttentionKind::backward;
  const double t = work.tokens;
  const int others = work.context.ranks - 1;
  list.enter(LayerPart::attention_core);
  if (work.reach.cached > 0 && row.unpack_cache != nullptr) row.unpack_cache(list, w);
  const bool repeated = repeats_keys(work, w);
  AttentionShape own = core_shape(work, w, kind);
  if (work.habits.unfused_attention) own.causal = false;
  add_states(list, kind);
  const int on_own = list.attention(backward ? "attention backward" : "attention", own);
  if (work.habits.unfused_attention) {
    // BF16. Forward: scores written, read by the softmax, its result written and read. Backward: gradients of the
    // result written; both read, gradients of the scores written and read twice, the result once more. Dropout: read,
    // written, a byte of mask; the same back.
    const double scores = static_cast<double>(own.batch * own.query_length * own.kv_length) * w.heads;
    const double dropped = work.habits.attention_dropout ? 5 : 0;
    list.memory(backward ? "attention scores backward" : "attention scores", MemoryKernel::elementwise,
                scores * ((backward ? 14 : 8) + dropped), backward ? 4 : 3);
  }
  if (others == 0) return;
  if (work.context.by_heads) return heads_for_pieces(list, w);
  // Keys and values, or what they are made of; backward, their gradients come along.
  const double travelling = repeated ? 2 * w.query : row.travelling(w);
  AttentionShape rest = own;
  rest.causal = false;
  if (work.context.all_gather) {
    rest.kv_length = std::max<std::int64_t>(1, static_cast<std::int64_t>(keys_of_others(work)));
    list.attention(backward ? "attention backward over gathered keys" : "attention over gathered keys", rest);
    const double whole = t * travelling * 2 * work.context.ranks;
    list.exchange(LayerExchange::Kind::context_gather, whole);
    if (backward) list.exchange(LayerExchange::Kind::context_scatter, whole);
    return;
  }
  rest.kv_length = std::max<std::int64_t>(1, static_cast<std::int64_t>(keys_of_others(work) / others));
  int hop = 0;
  for (int i = 0; i < others; ++i) {
    hop = list.attention(backward ? "attention backward of a hop" : "attention of a hop", rest);
    if (row.unpack_hop != nullptr) row.unpack_hop(list, w, t / 2, backward);
  }
  const int end = list.size();
  // Merging: forward, a partial output is read and the FP32 sum read and written; backward, gradients in BF16. Where
  // gradients travel in FP32 each step is a kernel of its own: forward, the partial output to FP32 (6), what it differs
  // by (12), its share of that (8), the sum (12); backward, sums of gradients (10), those of keys and values put
  // together for the journey (8).
  const bool in_fp32 = work.habits.gathers_context;
  const double keys = repeated ? 2 * w.query : w.key + w.value;
  const double merged = in_fp32 ? (backward ? w.query * 10 + keys * 18 : w.output() * 38)
                                : (backward ? (w.query + keys) * 6 : w.output() * 10);
  const int kernels = !in_fp32 ? 1 : backward ? 5 : 4;
  list.memory("merge hops", MemoryKernel::elementwise, t * merged * others, others * kernels);
  if (in_fp32) {
    // Everything waits for the gather after its own piece; gradients go on after each piece, the last time to their
    // owner.
    list.exchange(LayerExchange::Kind::context_gather, t * travelling * 2 * work.context.ranks, 1, on_own, on_own + 1);
    if (!backward) return;
    list.exchange(LayerExchange::Kind::context_hop, t * travelling * 4, others, hop, end);
    list.exchange(LayerExchange::Kind::context_hop, t * travelling * 4);
    return;
  }
  list.exchange(LayerExchange::Kind::context_hop, t * travelling * 2 * (backward ? 2 : 1), others, hop, end);
}

void forward(KernelWriter& list, const AttentionWidths& w, AttentionCore with_core) {
  const LayerWork& work = list.work();
  const AttentionKindRow& row = *work.attention;
  const double own = work.own_tokens;
  list.enter(LayerPart::attention);
  list.norm("attention norm", own * w.hidden, work.habits.residual_in_attention_norm && !compiled_serving(work));
  if (decodes_as_block(work)) {
    // Without its core it reads one token.
    list.latent_block("attention block",
                      latent_block(work, w, with_core == AttentionCore::included ? work.reach.keys : 1));
    tensor_all_reduce(list);
    return list.norm("MLP norm", own * w.hidden, true);
  }
  list.quantize_shared("cast attention input");
  row.input(list, w);
  repeat_keys(list, w, false);
  if (with_core == AttentionCore::included) core(list, w, AttentionKind::forward);
  list.enter(LayerPart::attention);
  if (row.output != nullptr) row.output(list, w);
  if (work.precision.fp8_blocks() && work.habits.keeps_attention_output) {
    // One pass writes the FP8 operand and the copy kept for the backward pass.
    list.memory("cast attention output", MemoryKernel::cast, work.tokens * w.output() * (2.0 + 1.0 + 1.5));
  } else {
    list.quantize("cast attention output", work.tokens * w.output());
  }
  tensor_scatter(list, list.linear(kOutputProjection, work.tokens, w.hidden, w.output()));
  tensor_all_reduce(list);
  for (int i = 0; i < work.model.norms_behind_attention(); ++i)
    list.norm("norm behind attention", own * w.hidden, false);
  list.norm("MLP norm", own * w.hidden, true);
}

void input_gradient(KernelWriter& list, const AttentionWidths& w) {
  const LayerWork& work = list.work();
  const AttentionKindRow& row = *work.attention;
  const double t = work.tokens, own = work.own_tokens;
  list.enter(LayerPart::attention);
  list.norm_backward("MLP norm backward", own * w.hidden, true);
  for (int i = 0; i < work.model.norms_behind_attention(); ++i)
    list.norm_backward("norm behind attention backward", own * w.hidden);
  list.quantize_shared("cast output gradient");
  tensor_gather(list, list.linear(kOutputProjection, t, w.output(), w.hidden));
  if (work.precision.fp8_blocks()) {
    list.memory("cast back attention output", MemoryKernel::cast, t * w.output() * (1.5 + 2.0));
  }
  list.quantize_transposed("transpose o_proj operands", t * (w.hidden + w.output()), 2);
  list.again(true);
  if (work.again.norms) list.norm("attention norm", own * w.hidden, false);
  if (row.input_again != nullptr) row.input_again(list, w);
  if (work.again.attention_core) core(list, w, AttentionKind::forward);
  list.again(false);
  core(list, w, AttentionKind::backward);
  list.enter(LayerPart::attention);
  repeat_keys(list, w, true);
  row.input_gradient(list, w);
  list.norm_backward("attention norm backward", own * w.hidden);
}

}  // namespace

void add_attention_block(LayerKernels& out, const LayerWork& work, KernelPass pass, AttentionCore with_core) {
  const AttentionWidths w(work);
  KernelWriter list(out, work, pass);
  switch (pass) {
    case KernelPass::forward:
      return forward(list, w, with_core);
    case KernelPass::input_gradient:
      return input_gradient(list, w);
    case KernelPass::weight_gradient:
      list.enter(LayerPart::attention);
      list.weight_gradient("o_proj", w.output(), w.hidden, work.tokens);
      return work.attention->input_weights(list, w);
  }
}

bool decodes_as_block(const LayerWork& work) {
  return work.reach.decode && work.model.attention.from_latent() &&
         work.habits.latent_decode != LatentDecode::kernels && work.precision.weights == WeightFormat::as_multiplied &&
         work.precision.linear != Precision::fp4;
}

LatentBlockShape latent_block(const LayerWork& work) {
  return latent_block(work, AttentionWidths(work), work.reach.keys);
}

void add_choice_of_tokens(LayerKernels& out, const LayerWork& work) {
  KernelWriter list(out, work, KernelPass::forward);
  list.enter(LayerPart::attention_core);
  add_states(list, work.reach.decode ? AttentionKind::decode : AttentionKind::forward);
}

void add_attention_core(LayerKernels& out, const LayerWork& work) {
  KernelWriter list(out, work, KernelPass::forward);
  core(list, AttentionWidths(work), work.reach.decode ? AttentionKind::decode : AttentionKind::forward);
}

}  // namespace flopcast
