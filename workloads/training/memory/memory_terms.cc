#include "workloads/training/memory/memory_terms.h"

#include <algorithm>

#include "workloads/collectives/collectives.h"
#include "workloads/model/attention_kinds.h"
#include "workloads/model/selective_again.h"

namespace flopcast {

namespace {

/// Tokens of a micro-batch that a GPU keeps between layers, and its share of those of its tensor-parallel group
/// where matrices are sliced.
struct TokensKept {
  double own, sliced;
  explicit TokensKept(const TrainingConfig& config) {
    const double group =
        static_cast<double>(config.batch.sequence_length) * config.batch.micro_batch_sequences / config.plan.context;
    sliced = group / config.plan.tensor;
    own = config.plan.sequence_parallel ? sliced : group;
  }
};

/// Scores of attention that wait for the backward pass: the softmax's result; under dropout its mask and what came of
/// both. One table of queries by keys for each head.
double kept_scores(const TrainingConfig& config) {
  if (config.attention_kernel != AttentionKernel::unfused || config.recompute.attention_core) return 0;
  const double length = static_cast<double>(config.batch.sequence_length);
  const double pairs = length / config.plan.context * length * config.batch.micro_batch_sequences;
  return pairs * config.model.attention.heads / config.plan.tensor * (config.dropout ? 5 : 2);
}

/// What queries, keys and values were made of, beside what attention keeps of them. Positions are turned without
/// keeping what they were before.
/// @param chains norms are chains of kernels, which keep FP32 too.
double kept_before_attention(const TrainingConfig& config, bool chains) {
  const AttentionConfig& a = config.model.attention;
  if (a.from_latent()) return 0;
  const double turned = static_cast<double>(a.heads + a.kv_heads) * a.head_dim;
  // All that their product gave, for values are a part of it.
  if (config.software.joint_values) return 2.0 * turned;
  if (config.software.joint_queries && a.heads == a.kv_heads) return 2.0 * a.kv_heads * (a.head_dim + a.value_dim());
  if (a.head_norms == HeadNorms::none || config.recompute.norms) return 0;
  return (chains ? 6.0 : 2.0) * turned;
}

/// Bytes that the experts of one layer leave behind.
/// @param kept of an element that a matrix product reads. @param token_ranks MemoryTerms::ranks_of_a_token().
double kept_by_experts(const TrainingConfig& config, const TokensKept& tokens, double kept, double hottest_load,
                       double token_ranks) {
  const ModelConfig& model = config.model;
  const MoeConfig& m = model.moe;
  const double copies = m.experts_per_token * hottest_load;
  const bool selective = config.recompute.selective_operations;  // keeps what has arrived
  // DeepEP delivers a token once to each rank that wants it.
  const double received = token_ranks > 0 ? token_ranks * hottest_load : copies;
  // GPUs that share an expert hold all of its rows, each a slice of what is made of them. No token is computed twice,
  // whether or not the GPUs of a tensor-parallel group all hold it.
  double bytes = received * tokens.sliced * config.plan.expert_tensor * model.hidden * kept;
  double wide = selective ? 0 : model.gated_ffn ? 2 : 1;
  if (!selective && !config.recompute.activation_function) {
    wide += 1;
    // The product with a row's weight: fused with SwiGLU, a kernel of its own behind other functions.
    if (!model.gated_ffn) wide += 1;
  }
  return bytes + copies * tokens.sliced * kept * m.expert_width * wide + tokens.own * 4.0 * m.experts;  // gate scores
}

/// Bytes that one micro-batch leaves behind in one layer until its backward pass, where nothing of the layer is done
/// again as a whole. Korthikanti et al. 2022 (arXiv 2205.05198), 4.1 to 4.3, for the layer's own matrices.
double kept_in_format(const TrainingConfig& config, Precision activations, bool moe, double hottest_load,
                      double token_ranks) {
  const ModelConfig& model = config.model;
  const AttentionConfig& attention = model.attention;
  const RecomputePlan& again = config.recompute;
  const TokensKept tokens(config);
  const double h = model.hidden;
  const bool fp8 = activations == Precision::fp8;
  const double kept = fp8 ? 1 + kScaleBytesPerElement : 2.0;  // bytes per element of a kept GEMM input

  if (again.selective_operations) {
    const SelectivelyKept left = selectively_kept(model, moe);
    const double bytes = tokens.own * left.own + tokens.sliced * left.sliced;
    return moe ? bytes + kept_by_experts(config, tokens, kept, hottest_load, token_ranks) : bytes;
  }
  double own = 2 * h + 2 * h;             // inputs of the attention and of the MLP block (residual stream)
  if (!again.norms) own += 2 * kept * h;  // and what the two norms made of them
  // Both as they were gathered.
  if (!again.norms && config.software.distributed_tensors && config.plan.sequence_parallel)
    own += 2 * kept * h * (config.plan.tensor - 1);
  own += 2 * h * (model.norms_behind_attention() + model.norms_behind_ffn());  // inputs of further norms
  // A chain of kernels keeps its input in FP32 instead, and what came of it in BF16 before the weights.
  const bool chains = config.software.eager && !config.software.fused_norms;
  if (chains && !again.norms) own += 4 * h * (2 + model.norms_behind_attention() + model.norms_behind_ffn());
  if (config.dropout) own += 2 * h;  // a byte of mask behind each block
  const double out = static_cast<double>(attention.heads) * attention.value_dim();
  double sliced = out * (fp8 ? 1.5 : 2.0) + 4.0 * attention.heads;  // attention output (E5M6: 12 bits), log-sum-exp
  sliced += attention_kind(attention).kept_bytes(attention, {kept, !again.norms, !again.attention_up_projections});
  // Attention keeps what it read: keys and values of every head where they were repeated.
  if (config.software.repeats_keys && !attention.from_latent())
    sliced += 2.0 * (attention.heads - attention.kv_heads) * (attention.head_dim + attention.value_dim());

  sliced += kept_before_attention(config, chains);
  if (config.software.copied_attention && config.batch.micro_batch_sequences > 1) sliced += 2.0 * out;

  const double gate = model.gated_ffn ? 2 : 1;
  const double separate = model.gated_ffn && !config.software.fused_activation ? 1 : 0;
  const auto ffn = [&](double width) {
    return again.mlp ? 0 : kept * width * (gate + (again.activation_function ? 0 : 1 + separate));
  };
  sliced += ffn(moe ? model.moe.width_of_shared() : model.mean_ffn_width());
  const double bytes = tokens.own * own + tokens.sliced * sliced + kept_scores(config);
  return moe ? bytes + kept_by_experts(config, tokens, kept, hottest_load, token_ranks) : bytes;
}

/// The same of a mean layer: those that multiply in BF16 keep what they read in BF16 too.
double kept_in_layer(const TrainingConfig& config, bool moe, double hottest_load, double token_ranks) {
  const Precision narrow = config.precision.activations;
  const double wide = narrow == Precision::bf16 ? 0 : config.precision.bf16_share(config.model.layers);
  double bytes = 0;
  if (wide > 0) bytes += wide * kept_in_format(config, Precision::bf16, moe, hottest_load, token_ranks);
  if (wide < 1) bytes += (1 - wide) * kept_in_format(config, narrow, moe, hottest_load, token_ranks);
  return bytes;
}

/// Share of a stage's layers that are computed again.
double layers_again(const TrainingConfig& config, double layers_of_stage) {
  if (!config.recompute.full_layer) return 0;
  if (config.recompute.full_layers == 0) return 1;
  return std::min(1.0, config.recompute.full_layers / std::max(1.0, layers_of_stage));
}

/// Layers that are computed again keep their input.
double input_of_layer(const TrainingConfig& config, double own_tokens) {
  return 2.0 * config.model.hidden * own_tokens;
}

/// Of a layer of which a share is computed again, and the rest keeps what it made.
double kept_of(double again, double input, double kept) { return again * input + (1 - again) * kept; }

}  // namespace

Bytes MemoryFigures::total() const {
  Bytes sum;
  for (const double bytes : {parameters, gathered_layers, gradients, gradients_of_layer, optimiser_states, activations,
                             logits, layer_again, expert_buffers, scratch, beside}) {
    if (bytes > 0) sum += Bytes(bytes);
  }
  return sum;
}

Bytes kept_in_mean_layer(const TrainingConfig& config, bool moe, double load, double token_ranks) {
  const double stages = static_cast<double>(config.plan.pipeline) * config.plan.chunks;
  const double again = layers_again(config, config.model.layers / stages);
  return Bytes(
      kept_of(again, input_of_layer(config, TokensKept(config).own), kept_in_layer(config, moe, load, token_ranks)));
}

double MemoryTerms::ranks_of_a_token(const TrainingConfig& config) {
  const MoeConfig& moe = config.model.moe;
  if (moe.experts == 0 || !sends_tokens_once(config.plan.dispatcher)) return 0;
  RoutingRequest routing;
  routing.ranks = config.plan.expert;
  routing.ranks_per_node = std::min(8, config.plan.expert);
  routing.experts = moe.experts;
  routing.experts_per_token = moe.experts_per_token;
  routing.groups = moe.groups;
  routing.groups_per_token = moe.groups_per_token;
  return expected_ranks(routing);
}

MemoryTerms::MemoryTerms(const TrainingConfig& config, double hottest_load)
    : MemoryTerms(config, hottest_load, {count_parameters(config.model), ranks_of_a_token(config)}) {}

MemoryTerms::MemoryTerms(const TrainingConfig& config, double hottest_load, const Shared& shared)
    : config_(config),
      count_(shared.count),
      hottest_load_(hottest_load),
      experts_(config.model.moe.experts > 0),
      mtp_moe_(config.model.mtp_has_experts()) {
  const TokensKept tokens(config);
  own_ = tokens.own;
  sliced_ = tokens.sliced;
  dense_ = kept_in_layer(config, false, hottest_load, shared.token_ranks);
  moe_ = experts_ ? kept_in_layer(config, true, hottest_load, shared.token_ranks) : 0;
}

/// Of one micro-batch, in the layers of a stage.
Bytes MemoryTerms::kept_in(const StageContent& stage) const {
  const double again = layers_again(config_, stage.layers());
  const double input = input_of_layer(config_, own_);
  return Bytes(stage.dense_layers * kept_of(again, input, dense_) + stage.moe_layers * kept_of(again, input, moe_));
}

Bytes MemoryTerms::activation(const StageContent& stage) const {
  double bytes = kept_in(stage).value() * (1 - config_.offload.activations);
  const double again = layers_again(config_, stage.layers());
  const double of_mtp = kept_of(again, input_of_layer(config_, own_), mtp_moe_ ? moe_ : dense_);
  bytes += stage.mtp_modules * (of_mtp + 4.0 * config_.model.hidden * own_);
  if (stage.head) bytes += 2.0 * config_.model.hidden * own_ * (1 + stage.mtp_modules);
  if (!stage.head && config_.software.keeps_sent) bytes += 2.0 * config_.model.hidden * own_;
  return Bytes(bytes);
}

void MemoryTerms::add(Held& held, const StageContent& stage) const {
  const StageParameters elements = stage_parameters_of(config_, count_, stage);
  held.elements += elements;
  held.trained += config_.adapter_rank == 0 ? elements : trained_parameters(config_, stage);
  held.layers += stage.layers() + stage.mtp_modules;
  held.kept += kept_in(stage).value();
  if (layers_again(config_, stage.layers()) < 1) {
    if (stage.dense_layers > 0) held.largest = std::max(held.largest, dense_);
    if (stage.moe_layers > 0) held.largest = std::max(held.largest, moe_);
  } else if (stage.layers() > 0) {
    held.largest = std::max(held.largest, input_of_layer(config_, own_));
  }
  held.head |= stage.head;
  held.embedding |= stage.embedding;
}

double MemoryTerms::dense_shards(int holders) const {
  const ParallelPlan& plan = config_.plan;
  return plan.zero_stage >= 1 ? static_cast<double>(plan.shards()) * holders : 1;
}

double MemoryTerms::expert_shards(int holders) const {
  const ParallelPlan& plan = config_.plan;
  if (plan.zero_stage < 1) return 1;
  const double gpus = static_cast<double>(plan.replicas()) * plan.tensor * holders;
  return std::max(1.0, gpus * plan.shards() / plan.replicas() / (plan.expert * plan.expert_tensor));
}

bool MemoryTerms::keeps_narrow_copy() const {
  const PrecisionPlan& p = config_.precision;
  return p.linear == Precision::fp4 || (p.linear == Precision::fp8 && p.parameters != Precision::fp8);
}

bool MemoryTerms::shards_are_master() const {
  return config_.software.shards_are_master && config_.plan.zero_stage >= 3;
}

double MemoryTerms::held_bytes() const {
  return shards_are_master() ? bytes_per_element(config_.precision.master) : parameter_bytes();
}

double MemoryTerms::state_bytes() const {
  const PrecisionPlan& p = config_.precision;
  const bool same = shards_are_master() || p.master == p.parameters;
  return (same ? 0.0 : bytes_per_element(p.master)) + 2 * bytes_per_element(p.moments);
}

bool MemoryTerms::frees_gradients() const {
  const ParallelPlan& plan = config_.plan;
  return config_.software.frees_gradients && config_.micro_batches() == 1 && plan.pipeline == 1 &&
         (plan.zero_stage >= 2 || plan.shards() == 1);
}

double MemoryTerms::parameter_bytes() const {
  if (!keeps_narrow_copy()) return bytes_per_element(config_.precision.parameters);
  // Of NVFP4 along both dimensions.
  const double copy = config_.precision.linear == Precision::fp4 ? 2 * bytes_per_weight(WeightFormat::nvfp4) : 1.0;
  return bytes_per_element(config_.precision.parameters) +
         copy * (1 - config_.precision.bf16_share(config_.model.layers));
}

double MemoryTerms::logit_bytes() const {
  const SoftwareProfile& software = config_.software;
  if (config_.fused_loss) return software.fused_loss_bytes;
  const bool shared = config_.plan.tensor > 1 && !software.whole_logits;
  return shared && software.sharded_loss_bytes > 0 ? software.sharded_loss_bytes : software.loss_bytes;
}

double MemoryTerms::sharded(const StageParameters& of, int holders) const {
  return of.replicated / dense_shards(holders) + of.expert / expert_shards(holders);
}

/// Of a unit (a layer, with embedding or head beside it) that comes and goes whole, what a GPU does not hold anyway.
double MemoryTerms::passing(const Held& held, const StageParameters& whole, int holders, double units,
                            double bytes) const {
  const double table = static_cast<double>(config_.model.vocabulary) * config_.model.hidden;
  const double part = std::min(1.0, units / std::max(1.0, held.layers));
  const double embedding = held.embedding ? table / (config_.software.whole_embedding ? 1 : config_.plan.tensor) : 0;
  const double head = held.head ? table / config_.plan.tensor : 0;
  // One of them is gathered with its neighbour, or both are one unit.
  const bool both = config_.software.gathers_edges && !config_.model.tied_embeddings;
  const double edge = both ? embedding + head : std::max(embedding, head);
  const double dense = std::min(whole.replicated, (whole.replicated - edge) * part + edge);
  return bytes * (dense * (1 - 1 / dense_shards(holders)) + whole.expert * part * (1 - 1 / expert_shards(holders)));
}

MemoryFigures MemoryTerms::figures(const Held& held, int holders, Bytes activations) const {
  const PrecisionPlan& p = config_.precision;
  const int zero = config_.plan.zero_stage;
  const StageParameters& trained = held.trained;
  MemoryFigures of;
  const OffloadPlan& offload = config_.offload;
  of.parameters = offload.parameters ? 0 : (zero >= 3 ? sharded(held.elements, holders) : held.all()) * held_bytes();
  const double gathered = stays_gathered(config_) ? held.layers : 2;
  if (zero >= 3) of.gathered_layers = passing(held, held.elements, holders, gathered, parameter_bytes());
  const bool whole = zero < 2 || (reduces_last(config_) && config_.micro_batches() > 1);
  of.gradients =
      offload.parameters && !whole
          ? 0
          : (whole ? trained.replicated + trained.expert : sharded(trained, holders)) * bytes_per_element(p.gradients);
  if (zero >= 2) of.gradients_of_layer = passing(held, trained, holders, 1, bytes_per_element(p.gradients));
  of.optimiser_states = state_bytes() * sharded(trained, holders) * (1 - offload.optimizer_share());
  of.activations = activations.value();
  // Two layers' activations are on their way, where so much leaves at all.
  of.activations += std::min(2 * held.largest, offload.activations * held.kept);
  if (config_.recompute.full_layer) of.layer_again = experts_ ? moe_ : dense_;
  if (experts_ && config_.plan.expert > 1) {
    const double sent = sliced_ * config_.plan.senders();
    const double rows = sent * config_.model.moe.experts_per_token * hottest_load_;
    of.expert_buffers = rows * config_.model.hidden * (bytes_per_element(p.dispatch) + bytes_per_element(p.combine));
  }
  const double share = config_.software.whole_logits ? config_.plan.tensor : 1;  // of a group's logits, in GPUs' parts
  const double logits = held.head ? share * sliced_ * config_.model.vocabulary * logit_bytes() / config_.loss_parts : 0;
  if (logits > of.layer_again + of.expert_buffers + of.gradients_of_layer) {
    of.logits = logits;
    of.layer_again = of.expert_buffers = of.gradients_of_layer = 0;
  }
  if (frees_gradients()) {
    // Most is there before the first gradient, or with the last, when one layer's activations are left.
    const double gradients = of.gradients + of.gradients_of_layer;
    const double last = std::min(of.activations, held.largest);
    if (of.activations + of.logits >= gradients + last) {
      of.gradients = of.gradients_of_layer = 0;
    } else {
      of.activations = last;
      of.logits = 0;
    }
  }
  const SoftwareProfile& software = config_.software;
  const bool grouped = experts_ && config_.grouped_experts;
  of.scratch = (software.workspace + software.expert_workspace * (grouped ? 1 : 0)).value();
  of.beside = config_.held_beside.value();
  return of;
}

}  // namespace flopcast
