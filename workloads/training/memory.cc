#include "workloads/training/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "workloads/collectives/collectives.h"
#include "workloads/model/attention_kinds.h"
#include "workloads/model/selective_again.h"

namespace flopcast {

namespace {

double gb(Bytes bytes) { return bytes.value() / 1e9; }

/// Tokens of a micro-batch that a GPU keeps between layers, and its share of those of its tensor-parallel group where
/// matrices are sliced.
struct Tokens {
  double own, sliced;
  explicit Tokens(const TrainingConfig& config) {
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

/// Bytes that the experts of one layer leave behind.
double kept_by_experts(const TrainingConfig& config, const Tokens& tokens, double kept, double hottest_load) {
  const ModelConfig& model = config.model;
  const MoeConfig& m = model.moe;
  const double copies = m.experts_per_token * hottest_load;
  const bool selective = config.recompute.selective_operations;  // keeps what has arrived
  double received = copies;
  // DeepEP delivers a token once to each rank that wants it.
  if (sends_tokens_once(config.plan.dispatcher)) {
    RoutingRequest routing;
    routing.ranks = config.plan.expert;
    routing.ranks_per_node = std::min(8, config.plan.expert);
    routing.experts = m.experts;
    routing.experts_per_token = m.experts_per_token;
    routing.groups = m.groups;
    routing.groups_per_token = m.groups_per_token;
    received = expected_ranks(routing) * hottest_load;
  }
  // GPUs that share an expert hold all of its rows, each a slice of what is made of them.
  double bytes = received * tokens.own * config.plan.expert_tensor * model.hidden * kept;
  double wide = selective ? 0 : model.gated_ffn ? 2 : 1;
  if (!selective && !config.recompute.activation_function) {
    wide += 1;
    // The product with a row's weight: fused with SwiGLU, a kernel of its own behind other functions.
    if (!model.gated_ffn) wide += 1;
  }
  return bytes + copies * tokens.own * kept * m.expert_width * wide + tokens.own * 4.0 * m.experts;  // gate scores
}

/// Bytes that one micro-batch leaves behind in one layer until its backward pass, where nothing of the layer is done
/// again as a whole. Korthikanti et al. 2022 (arXiv 2205.05198), 4.1 to 4.3, for the layer's own matrices.
double kept_in_layer(const TrainingConfig& config, bool moe, double hottest_load) {
  const ModelConfig& model = config.model;
  const AttentionConfig& attention = model.attention;
  const RecomputePlan& again = config.recompute;
  const Tokens tokens(config);
  const double h = model.hidden;
  const bool fp8 = config.precision.activations == Precision::fp8;
  const double kept = fp8 ? 1 + kScaleBytesPerElement : 2.0;  // bytes per element of a kept GEMM input

  if (again.selective_operations) {
    const SelectivelyKept left = selectively_kept(model, moe);
    const double bytes = tokens.own * left.own + tokens.sliced * left.sliced;
    return moe ? bytes + kept_by_experts(config, tokens, kept, hottest_load) : bytes;
  }
  double own = 2 * h + 2 * h;             // inputs of the attention and of the MLP block (residual stream)
  if (!again.norms) own += 2 * kept * h;  // and what the two norms made of them
  own += 2 * h * (model.norms_behind_attention() + model.norms_behind_ffn());  // inputs of further norms
  if (config.dropout) own += 2 * h;                                            // a byte of mask behind each block
  const double out = static_cast<double>(attention.heads) * attention.value_dim();
  double sliced = out * (fp8 ? 1.5 : 2.0) + 4.0 * attention.heads;  // attention output (E5M6: 12 bits), log-sum-exp
  sliced += attention_kind(attention.type).kept_bytes(attention, {kept, !again.norms, !again.attention_up_projections});

  const double gate = model.gated_ffn ? 2 : 1;
  const double separate = model.gated_ffn && !config.software.fused_activation ? 1 : 0;
  const auto ffn = [&](double width) {
    return again.mlp ? 0 : kept * width * (gate + (again.activation_function ? 0 : 1 + separate));
  };
  sliced += ffn(moe ? model.moe.width_of_shared() : model.mean_ffn_width());
  const double bytes = tokens.own * own + tokens.sliced * sliced + kept_scores(config);
  return moe ? bytes + kept_by_experts(config, tokens, kept, hottest_load) : bytes;
}

/// Share of a stage's layers that are computed again.
double layers_again(const TrainingConfig& config, const StageContent& stage) {
  if (config.recompute.full_layers == 0) return 1;
  return std::min(1.0, config.recompute.full_layers / std::max(1.0, stage.layers()));
}

/// Bytes that one micro-batch leaves behind in one stage.
Bytes stage_activation(const TrainingConfig& config, const StageContent& stage, double hottest_load) {
  const Tokens tokens(config);
  // Layers that are computed again keep their input.
  const double again = config.recompute.full_layer ? layers_again(config, stage) : 0;
  const double input = 2.0 * config.model.hidden * tokens.own;
  const auto layer = [&](bool moe) { return again * input + (1 - again) * kept_in_layer(config, moe, hottest_load); };
  const double dense = layer(false);
  const double moe = config.model.moe.experts > 0 ? layer(true) : 0;
  const bool mtp_moe = config.model.is_moe_layer(config.model.layers - 1);
  double bytes = stage.dense_layers * dense + stage.moe_layers * moe;
  bytes += stage.mtp_modules * ((mtp_moe ? moe : dense) + 4.0 * config.model.hidden * tokens.own);
  if (stage.head) bytes += 2.0 * config.model.hidden * tokens.own * (1 + stage.mtp_modules);
  return Bytes(bytes);
}

/// Largest sum of live activations over a rank's order. A chunk's activations live from its forward until its
/// weight gradient is done.
struct ActivationPeak {
  Bytes bytes;
  int in_flight = 0;
};

ActivationPeak activation_peak(const Schedule& schedule, int rank, const std::vector<Bytes>& per_chunk) {
  ActivationPeak peak;
  Bytes live;
  int count = 0;
  const auto take = [&](int chunk) {
    live += per_chunk[chunk];
    ++count;
    if (live > peak.bytes) peak = {live, count};
  };
  const auto release = [&](int chunk) {
    live -= per_chunk[chunk];
    --count;
  };
  for (const Pass& pass : schedule.order[rank]) {
    switch (pass.kind) {
      case PassKind::forward:
        take(pass.chunk);
        break;
      case PassKind::backward:
      case PassKind::backward_weight:
        release(pass.chunk);
        break;
      case PassKind::backward_input:
        break;
      case PassKind::overlapped:
        take(pass.chunk);
        release(pass.backward_chunk);
        break;
    }
  }
  return peak;
}

/// Of logits and what is made of them, at once.
double logit_bytes(const TrainingConfig& config) {
  return config.fused_loss ? config.software.fused_loss_bytes : config.software.loss_bytes;
}

MemoryTable rank_table(const TrainingConfig& config, const std::vector<StageContent>& stages, const Schedule& schedule,
                       int rank, double hottest_load) {
  const PrecisionPlan& p = config.precision;
  const double h = config.model.hidden;
  StageParameters elements, trained;
  std::vector<Bytes> per_chunk;
  double layers = 0;
  bool has_head = false, has_embedding = false;
  for (int stage : schedule.stage_of[rank]) {
    elements += stage_parameters(config, stages[stage]);
    trained += trained_parameters(config, stages[stage]);
    per_chunk.push_back(stage_activation(config, stages[stage], hottest_load));
    layers += stages[stage].layers() + stages[stage].mtp_modules;
    has_head |= stages[stage].head;
    has_embedding |= stages[stage].embedding;
  }
  const double all = elements.replicated + elements.expert;

  // A schedule that holds every stage twice has twice the replicas to shard over.
  int holders = 0;
  for (const auto& chunk_stages : schedule.stage_of) {
    holders += static_cast<int>(std::count(chunk_stages.begin(), chunk_stages.end(), schedule.stage_of[rank].front()));
  }
  const ParallelPlan& plan = config.plan;
  const double gpus = static_cast<double>(plan.replicas()) * plan.tensor * holders;
  const double dense_shards = plan.zero_stage >= 1 ? static_cast<double>(plan.shards()) * holders : 1;
  const double expert_shards =
      plan.zero_stage >= 1 ? std::max(1.0, gpus * plan.shards() / plan.replicas() / (plan.expert * plan.expert_tensor))
                           : 1;
  const auto sharded = [&](const StageParameters& of) {
    return of.replicated / dense_shards + of.expert / expert_shards;
  };
  const double over_shards = sharded(elements), all_trained = trained.replicated + trained.expert;

  const double edges = static_cast<double>(config.model.vocabulary) * h / plan.tensor;

  MemoryTable table;
  table.pipeline_rank = rank;
  const auto row = [&](std::string item, double bytes, std::string detail) {
    if (bytes > 0) table.rows.push_back({std::move(item), Bytes(bytes), std::move(detail)});
  };
  const double fp8_copy = p.linear == Precision::fp8 && p.parameters != Precision::fp8 ? 1.0 : 0.0;
  const double parameter_bytes = bytes_per_element(p.parameters) + fp8_copy;
  row("parameters", (plan.zero_stage >= 3 ? over_shards : all) * parameter_bytes,
      fmt::format("{:.2f} G elements, {:.2f} G of them experts; {}{}{}", all / 1e9, elements.expert / 1e9,
                  name(p.parameters), fp8_copy > 0 ? " and the FP8 operands" : "",
                  plan.zero_stage >= 3 ? fmt::format(", sharded {:.0f} ways", dense_shards) : ""));
  // Of a unit (a layer, with embedding or head beside it) that comes and goes whole, what a GPU does not hold anyway.
  const auto passing = [&](const StageParameters& whole, double units, double bytes_per_element) {
    const double part = std::min(1.0, units / std::max(1.0, layers));
    const double edge = has_head || has_embedding ? edges : 0;  // gathered with its neighbour
    const double dense = std::min(whole.replicated, (whole.replicated - edge) * part + edge);
    return bytes_per_element * (dense * (1 - 1 / dense_shards) + whole.expert * part * (1 - 1 / expert_shards));
  };
  if (plan.zero_stage >= 3)
    row("gathered layers", passing(elements, 2, parameter_bytes), "the one that computes and the next");
  row("gradients", (plan.zero_stage >= 2 ? sharded(trained) : all_trained) * bytes_per_element(p.gradients),
      fmt::format("{}, accumulated{}", name(p.gradients), plan.zero_stage >= 2 ? ", sharded" : ""));
  if (plan.zero_stage >= 2)
    row("gradients of a layer", passing(trained, 1, bytes_per_element(p.gradients)), "not yet reduced");
  const double state = bytes_per_element(p.master) + 2 * bytes_per_element(p.moments);
  row("optimiser states", state * sharded(trained),
      fmt::format("master {}, moments {}; sharded {:.0f} ways, experts {:.0f} ways", name(p.master), name(p.moments),
                  dense_shards, expert_shards));
  const ActivationPeak peak = activation_peak(schedule, rank, per_chunk);
  row("activations", peak.bytes.value(),
      fmt::format("{} micro-batch stages in flight, {:.2f} GB each, {:g} layers", peak.in_flight,
                  peak.in_flight > 0 ? gb(peak.bytes) / peak.in_flight : 0.0, layers));

  // At the end of a forward pass the loss is made, or in the backward pass a layer is worked on: never both at once.
  const Tokens tokens(config);
  const double logits = has_head ? tokens.sliced * config.model.vocabulary * logit_bytes(config) : 0;
  double again = 0, buffers = 0;
  if (config.recompute.full_layer) {
    TrainingConfig kept = config;
    kept.recompute.full_layer = false;
    again = kept_in_layer(kept, config.model.moe.experts > 0, hottest_load);
  }
  if (config.model.moe.experts > 0 && config.plan.expert > 1) {
    const double rows = tokens.own * config.model.moe.experts_per_token * hottest_load;
    buffers = rows * h * (bytes_per_element(p.dispatch) + bytes_per_element(p.combine));
  }
  if (logits > again + buffers) {
    row("logits", logits,
        fmt::format("{:g} bytes each, loss and gradient ({})", logit_bytes(config), config.software.name));
  } else {
    row("layer being recomputed", again, "one layer");
    row("expert buffers", buffers, "rows being expanded, computed and summed in one layer");
  }
  const bool experts = config.model.moe.experts > 0;
  row("scratch of libraries",
      (config.software.workspace + config.software.expert_workspace * (experts ? 1 : 0)).value(),
      fmt::format("cuBLAS and others ({})", config.software.name));
  return table;
}

}  // namespace

Bytes MemoryTable::total() const {
  Bytes sum;
  for (const MemoryRow& row : rows) sum += row.bytes;
  return sum;
}

std::vector<MemoryTable> memory_per_rank(const TrainingConfig& config, const std::vector<StageContent>& stages,
                                         const Schedule& schedule, double hottest_load) {
  std::vector<MemoryTable> result;
  for (int rank = 0; rank < schedule.ranks; ++rank) {
    result.push_back(rank_table(config, stages, schedule, rank, hottest_load));
  }
  return result;
}

std::vector<std::string> memory_remedies(const TrainingConfig& config, const std::vector<StageContent>& stages,
                                         const Schedule& schedule, double hottest_load, Bytes capacity) {
  std::vector<std::pair<std::string, TrainingConfig>> ideas;  // cheapest in time first
  const auto idea = [&](std::string text, bool applies, auto change) {
    if (!applies) return;
    TrainingConfig changed = config;
    change(changed);
    ideas.emplace_back(std::move(text), std::move(changed));
  };
  const RecomputePlan& r = config.recompute;
  idea("training.plan.zero_stage: 1", config.plan.zero_stage == 0, [](auto& c) { c.plan.zero_stage = 1; });
  idea("training.precision.gradients: BF16", config.precision.gradients == Precision::fp32,
       [](auto& c) { c.precision.gradients = Precision::bf16; });
  idea("training.recompute.activation_function: true", !r.activation_function && !r.full_layer,
       [](auto& c) { c.recompute.activation_function = true; });
  idea("training.recompute.norms: true", !r.norms && !r.full_layer, [](auto& c) { c.recompute.norms = true; });
  idea("training.recompute.attention_up_projections: true",
       config.model.attention.type == AttentionType::latent && !r.attention_up_projections && !r.full_layer,
       [](auto& c) { c.recompute.attention_up_projections = true; });
  idea("training.precision.activations: FP8", config.precision.activations != Precision::fp8,
       [](auto& c) { c.precision.activations = Precision::fp8; });
  idea("training.precision.moments: BF16", config.precision.moments == Precision::fp32,
       [](auto& c) { c.precision.moments = Precision::bf16; });
  idea("training.batch.micro_batch_sequences: 1", config.batch.micro_batch_sequences > 1,
       [](auto& c) { c.batch.micro_batch_sequences = 1; });
  idea("all of training.recompute but full_layer", !(r.norms && r.activation_function) && !r.full_layer, [](auto& c) {
    c.recompute.norms = c.recompute.activation_function = true;
    c.recompute.attention_up_projections = c.model.attention.type == AttentionType::latent;
  });
  idea("training.recompute.full_layer: true", !r.full_layer, [](auto& c) { c.recompute.full_layer = true; });

  std::vector<std::string> result, insufficient;
  for (const auto& [text, changed] : ideas) {
    Bytes fullest;
    for (const MemoryTable& table : memory_per_rank(changed, stages, schedule, hottest_load)) {
      fullest = std::max(fullest, table.total());
    }
    const bool fits = fullest <= capacity;
    (fits ? result : insufficient)
        .push_back(fmt::format("{}: {:.1f} GB, {}", text, gb(fullest), fits ? "fits" : "not enough alone"));
  }
  result.insert(result.end(), insufficient.begin(), insufficient.end());
  result.push_back("more GPUs: a longer pipeline or wider expert parallelism leaves less on each");
  return result;
}

}  // namespace flopcast
