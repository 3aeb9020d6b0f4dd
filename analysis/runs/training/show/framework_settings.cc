#include "analysis/runs/training/show/framework_settings.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "scenarios/imports/runs/framework_names.h"
#include "sim/base/diagnostic.h"
#include "workloads/training/stages.h"

namespace flopcast {
namespace {

const TrainingConfig& training_of(const Scenario& scenario) {
  if (!scenario.training)
    throw InputError(Diagnostic{scenario.file, 0, 0, "training", "nothing", "a training step, training { ... }", ""});
  return *scenario.training;
}

/// Arguments of a command, one in each line.
class Arguments {
 public:
  template <class Value>
  void add(const char* name, const Value& value) {
    text_ += fmt::format(" \\\n  --{} {}", name, value);
  }
  void flag(bool yes, const char* name) {
    if (yes) text_ += fmt::format(" \\\n  --{}", name);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void model_arguments(const ModelConfig& model, Arguments& out) {
  const AttentionConfig& a = model.attention;
  out.add("num-layers", model.layers);
  out.add("hidden-size", model.hidden);
  if (model.ffn_width > 0) out.add("ffn-hidden-size", model.ffn_width);
  out.add("num-attention-heads", a.heads);
  if (a.from_latent()) {
    out.flag(true, "multi-latent-attention");
    if (a.q_lora_rank > 0) out.add("q-lora-rank", a.q_lora_rank);
    out.add("kv-lora-rank", a.kv_lora_rank);
    out.add("qk-head-dim", a.qk_nope_dim);
    out.add("qk-pos-emb-head-dim", a.qk_rope_dim);
    out.add("v-head-dim", a.v_dim);
  } else {
    if (a.kv_heads != a.heads) {
      out.flag(true, "group-query-attention");
      out.add("num-query-groups", a.kv_heads);
    }
    if (a.head_dim * a.heads != model.hidden) out.add("kv-channels", a.head_dim);
  }
  out.flag(a.head_norms != HeadNorms::none, "qk-layernorm");
  out.flag(a.qkv_bias, "add-qkv-bias");
  out.flag(!model.ffn_bias, "disable-bias-linear");
  // Its own defaults are learned positions and LayerNorm, as GPT-3 has them.
  const bool learned = model.learned_positions > 0;
  out.add("position-embedding-type", learned ? "learned_absolute" : "rope");
  out.add("normalization", learned ? "LayerNorm" : "RMSNorm");
  out.flag(model.gated_ffn, "swiglu");
  out.flag(!model.tied_embeddings, "untie-embeddings-and-output-weights");
  out.add("vocab-size", model.vocabulary);
  out.add("max-position-embeddings", model.max_positions);
  const MoeConfig& moe = model.moe;
  if (moe.experts == 0) return;
  out.add("num-experts", moe.experts);
  out.add("moe-router-topk", moe.experts_per_token);
  out.add("moe-ffn-hidden-size", moe.expert_width);
  if (moe.width_of_shared() > 0)
    out.add("moe-shared-expert-intermediate-size", static_cast<int>(moe.width_of_shared()));
  if (moe.first_dense_layers > 0)
    out.add("moe-layer-freq",
            fmt::format("\"([0]*{}+[1]*{})\"", moe.first_dense_layers, model.layers - moe.first_dense_layers));
  if (moe.groups > 1 && moe.groups_per_token < moe.groups) {
    out.add("moe-router-num-groups", moe.groups);
    out.add("moe-router-group-topk", moe.groups_per_token);
  }
}

/// What arguments of pretrain_gpt.py have no words for.
void model_notes(const ModelConfig& model, std::vector<std::string>& notes) {
  const AttentionConfig& a = model.attention;
  const auto tell = [&](bool yes, const std::string& what) {
    if (yes) notes.push_back(what + ": not by these arguments; the command written has a model without");
  };
  tell(a.window.layers > 0, fmt::format("windows of {} tokens in {} layers", a.window.tokens, a.window.layers));
  tell(model.state_layers.layers > 0, fmt::format("{} layers with a state", model.state_layers.layers));
  tell(a.indexer.tokens > 0, "attention by an index");
  tell(model.moe.every > 1 || model.moe.layers >= 0, "experts in some of the layers behind the first");
  tell(model.moe.latent_width > 0, "experts on a narrower stream");
  tell(a.cache_entries < 1 || a.output_rank > 0, "compressed attention");
}

void precision_arguments(const TrainingConfig& t, Arguments& out) {
  const PrecisionPlan& p = t.precision;
  out.flag(p.linear != Precision::fp32, "bf16");  // neither it nor --fp16: FP32
  if (p.linear == Precision::fp8) {
    out.add("fp8-format", "e4m3");
    out.add("fp8-recipe", p.scaling == Scaling::blocks ? "blockwise"
                          : p.scaling == Scaling::mx   ? "mxfp8"
                          : p.current_scales           ? "tensorwise"
                                                       : "delayed");
    out.flag(p.parameters == Precision::fp8, "fp8-param-gather");
  }
  if (p.linear == Precision::fp4) {
    out.add("fp4-format", "e2m1");
    out.add("fp4-recipe", "nvfp4");
  }
  if (const double share = p.bf16_share(t.model.layers); share > 0) {
    const int kept = static_cast<int>(std::lround(share * t.model.layers));
    out.flag(true, "first-last-layers-bf16");
    out.add("num-layers-at-start-in-bf16", kept / 2);
    out.add("num-layers-at-end-in-bf16", kept - kept / 2);
  }
  if (p.linear == Precision::fp32) return;
  out.flag(p.gradients == Precision::fp32, "accumulate-allreduce-grads-in-fp32");
  out.flag(p.gradients == Precision::bf16, "grad-reduce-in-bf16");
}

/// "Et|tt|tL": layers of each stage, in the order in which tokens pass them.
std::string pipeline_layout(const std::vector<int>& layers, int mtp) {
  std::string out = "E";
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (i > 0) out += '|';
    if (layers[i] == 1) out += 't';
    if (layers[i] > 1) out += fmt::format("t*{}", layers[i]);
  }
  return out + std::string(static_cast<std::size_t>(std::max(0, mtp)), 'm') + "L";
}

/// Pipeline, its chunks, and which layers its stages have: Megatron-LM asks for that where they do not divide.
void pipeline_arguments(const TrainingConfig& t, Arguments& out, std::vector<std::string>& notes) {
  const ParallelPlan& p = t.plan;
  out.add("pipeline-model-parallel-size", p.pipeline);
  std::vector<int> stages = p.stage_layers;
  const int count = p.pipeline * p.chunks;
  const CountedEnds ends = count > 1 && stages.empty() ? counted_ends(p) : CountedEnds{};
  if (ends.count() > 0 && (t.model.layers + ends.count()) % count == 0) {
    out.flag(ends.embedding, "account-for-embedding-in-pipeline-split");
    out.flag(ends.head, "account-for-loss-in-pipeline-split");
  } else if (ends.count() > 0) {
    for (const StageContent& stage : split_layers(t, count, false, {}))
      stages.push_back(static_cast<int>(stage.layers()));
  } else if (stages.empty() && count > 1 && t.model.layers % count != 0) {
    for (int i = 0; i < count; ++i) stages.push_back(t.model.layers / count + (i < t.model.layers % count ? 1 : 0));
    // The last stage has the loss to do, and the first the embedding: they take what is fewer.
    if (int& last_but_one = stages[stages.size() - 2]; last_but_one < stages.front())
      std::swap(stages.front(), last_but_one);
    notes.push_back(fmt::format(
        "{} layers do not divide by {} stages: the layout is as even as can be; a run's notes say which layers each "
        "stage has there",
        t.model.layers, count));
  }
  if (!stages.empty())
    out.add("pipeline-model-parallel-layout",
            fmt::format("\"{}\"", pipeline_layout(stages, t.with_mtp ? t.model.mtp_depth : 0)));
  else if (p.chunks > 1)
    out.add("num-virtual-stages-per-pipeline-rank", p.chunks);
}

void recompute_arguments(const TrainingConfig& t, Arguments& out, std::vector<std::string>& notes) {
  const RecomputePlan& r = t.recompute;
  if (r.full_layer) {
    out.add("recompute-granularity", "full");
    out.add("recompute-method", r.full_layers > 0 ? "block" : "uniform");
    out.add("recompute-num-layers", std::max(1, r.full_layers));
    return;
  }
  std::string modules;
  for (const MegatronRecompute& row : kMegatronRecompute)
    if (r.*row.member && (t.model.moe.experts > 0 || row.module != "moe_act"))
      modules += (modules.empty() ? "" : " ") + std::string(row.module);
  if (r.activation_function && t.model.moe.experts == 0)
    notes.push_back(
        "activation functions of dense FFNs are done again in this plan: Megatron-LM has no word for that (moe_act is "
        "of "
        "experts, mlp does both products again); the command keeps them");
  if (modules.empty()) return;
  out.add("recompute-granularity", "selective");
  out.add("recompute-modules", modules);
}

void plan_notes(const TrainingConfig& t, std::vector<std::string>& notes) {
  if (t.schedule != "1f1b" && t.schedule != "interleaved_1f1b" && t.plan.pipeline > 1)
    notes.push_back("schedule " + t.schedule + ": Megatron-LM runs 1F1B, interleaved where there are several chunks");
  if (t.plan.shard_group > 0)
    notes.push_back(fmt::format("shards over {} of {} replicas: --num-distributed-optimizer-instances {}",
                                t.plan.shard_group, t.plan.replicas(), t.plan.replicas() / t.plan.shard_group));
  if (t.local.workers > 1)
    notes.push_back("workers with updates of their own (DiLoCo): Megatron-LM has no word for them");
  if (t.adapter_rank > 0) notes.push_back("LoRA: not by arguments of pretrain_gpt.py");
}

}  // namespace

FrameworkSettings megatron_command(const Scenario& scenario) {
  const TrainingConfig& t = training_of(scenario);
  const ParallelPlan& p = t.plan;
  FrameworkSettings out;
  Arguments a;
  model_arguments(t.model, a);
  if (t.with_mtp && t.model.mtp_depth > 0) a.add("mtp-num-layers", t.model.mtp_depth);
  a.add("seq-length", t.batch.sequence_length);
  a.add("micro-batch-size", t.batch.micro_batch_sequences);
  a.add("global-batch-size", t.batch.sequences);
  a.add("tensor-model-parallel-size", p.tensor);
  pipeline_arguments(t, a, out.notes);
  if (p.context > 1) {
    a.add("context-parallel-size", p.context);
    a.add("cp-comm-type", p.context_exchange == ContextExchange::ring         ? "p2p"
                          : p.context_exchange == ContextExchange::all_gather ? "all_gather"
                                                                              : "a2a");
  }
  if (t.model.moe.experts > 0) {
    a.add("expert-model-parallel-size", p.expert);
    a.add("expert-tensor-parallel-size", p.expert_tensor);
    const bool flex = p.dispatcher != ExpertDispatcher::all_to_all;
    a.add("moe-token-dispatcher-type", flex ? "flex" : "alltoall");
    if (flex) a.add("moe-flex-dispatcher-backend", p.dispatcher == ExpertDispatcher::deep_ep ? "deepep" : "hybridep");
    a.flag(t.grouped_experts, "moe-grouped-gemm");
    a.flag(p.shared_expert_overlap, "moe-shared-expert-overlap");
    if (t.expert_load.capacity_factor) a.add("moe-expert-capacity-factor", *t.expert_load.capacity_factor);
  }
  a.flag(p.sequence_parallel && p.tensor > 1, "sequence-parallel");
  a.flag(p.tensor_overlap && p.tensor > 1, "tp-comm-overlap");
  if (p.zero_stage >= 2) {
    a.flag(true, "use-megatron-fsdp");
    a.add("data-parallel-sharding-strategy", p.zero_stage == 3 ? "optim_grads_params" : "optim_grads");
  }
  a.flag(p.zero_stage >= 1, "use-distributed-optimizer");
  a.flag(p.overlap_gradients, "overlap-grad-reduce");
  a.flag(p.overlap_parameters && p.zero_stage >= 1, "overlap-param-gather");
  precision_arguments(t, a);
  recompute_arguments(t, a, out.notes);
  a.add("attention-dropout", t.dropout ? 0.1 : 0.0);
  a.add("hidden-dropout", t.dropout ? 0.1 : 0.0);
  if (t.attention_kernel == AttentionKernel::unfused) a.add("attention-backend", "unfused");
  a.flag(t.fused_loss, "cross-entropy-loss-fusion");
  a.flag(t.cuda_graphs, "enable-cuda-graph");
  if (t.iteration_graph) a.add("cuda-graph-scope", "full_iteration");
  model_notes(t.model, out.notes);
  plan_notes(t, out.notes);
  const int each = scenario.cluster.node.gpus;
  const auto gpus = static_cast<int>(p.gpus());
  out.text = fmt::format("torchrun --nnodes {} --nproc-per-node {} pretrain_gpt.py{}\n", std::max(1, gpus / each),
                         std::min(gpus, each), a.text());
  return out;
}

namespace {

/// "layers 8, there 126": where a scenario's model is another than the library's of that name; "": nowhere.
std::string changed_model(const ModelConfig& model, const Libraries& libraries) {
  const std::vector<std::string> names = libraries.names(LibraryKind::models);
  if (std::ranges::find(names, model.name) == names.end()) return "";
  ModelConfig published = libraries.model(model.name);
  published.title = model.title, published.sources = model.sources;
  published.published_weights = model.published_weights, published.published_experts = model.published_experts,
  published.max_positions = model.max_positions;
  if (published == model) return "";
  std::string out;
  const auto differ = [&](const char* what, int here, int there) {
    if (here != there) out += fmt::format("{}{} {}, there {}", out.empty() ? "" : "; ", what, here, there);
  };
  differ("layers", model.layers, published.layers), differ("hidden", model.hidden, published.hidden);
  differ("ffn_width", model.ffn_width, published.ffn_width);
  differ("vocabulary", model.vocabulary, published.vocabulary);
  differ("heads", model.attention.heads, published.attention.heads);
  differ("experts", model.moe.experts, published.moe.experts);
  return out.empty() ? "other settings of the model" : out;
}

void titan_model_section(const TrainingConfig& t, const Libraries& libraries, FrameworkSettings& out) {
  const std::string& name = t.model.name;
  std::string family = name, flavor;
  if (name.starts_with("llama-3.1-")) {
    family = "llama3";
    flavor = name.substr(std::string_view("llama-3.1-").size());
    std::ranges::transform(flavor, flavor.begin(), [](char c) { return c == 'b' ? 'B' : c; });
  } else if (const auto* known = std::ranges::find(kTitanModels, name, &TitanModel::ours);
             known != std::end(kTitanModels)) {
    family = known->family;
    flavor = known->flavor;
  } else {
    out.notes.push_back("torchtitan has no model " + name + ": register one under this name");
  }
  if (const std::string changed = changed_model(t.model, libraries); !changed.empty() && !flavor.empty()) {
    out.notes.push_back(
        fmt::format("the scenario changes the model ({}): torchtitan has no such flavor; register it as "
                    "{}-changed",
                    changed, flavor));
    flavor += "-changed";
  }
  out.text += fmt::format("[model]\nname = \"{}\"\n", family);
  if (!flavor.empty()) out.text += fmt::format("flavor = \"{}\"\n", flavor);
  if (t.precision.linear == Precision::fp8) out.text += "converters = [\"float8\"]\n";
}

void titan_training_section(const TrainingConfig& t, std::string& text) {
  const std::int64_t local = t.batch.sequences / t.plan.data;
  const bool one_micro_batch = t.plan.pipeline == 1;
  text += fmt::format("\n[training]\nlocal_batch_size = {}\nglobal_batch_size = {}\nseq_len = {}\n",
                      one_micro_batch ? static_cast<std::int64_t>(t.batch.micro_batch_sequences) : local,
                      t.batch.sequences, t.batch.sequence_length);
  if (t.precision.linear == Precision::fp32) text += "mixed_precision_param = \"float32\"\n";
  if (t.precision.gradients == Precision::bf16) text += "mixed_precision_reduce = \"bfloat16\"\n";
}

void titan_pipeline(const TrainingConfig& t, FrameworkSettings& out) {
  const ParallelPlan& p = t.plan;
  const auto* const found = std::ranges::find_if(
      kTitanSchedules, [&](const TitanSchedule& row) { return row.exported && row.ours == t.schedule; });
  const bool known = found != std::end(kTitanSchedules);
  if (!known) out.notes.push_back("schedule " + t.schedule + " has no counterpart: 1F1B is written");
  out.text += fmt::format("pipeline_parallel_schedule = \"{}\"\npipeline_parallel_microbatch_size = {}\n",
                          known ? found->theirs : "1F1B", t.batch.micro_batch_sequences);
  // Two stages on a rank are torchtitan's own choice of schedules that interleave; embedding and head count as layers.
  if (p.chunks <= 2) return;
  const int stages = p.pipeline * p.chunks, places = t.model.layers + 2, each = (places + stages - 1) / stages;
  if ((places + each - 1) / each == stages)
    out.text += fmt::format("pipeline_parallel_layers_per_stage = {}\n", each);
  else
    out.notes.push_back(
        fmt::format("{} stages do not come of a number of layers each: torchtitan takes two on a rank", stages));
}

void titan_parallelism_section(const TrainingConfig& t, FrameworkSettings& out) {
  const ParallelPlan& p = t.plan;
  const int group = std::max(1, p.shard_group / p.context);
  out.text += fmt::format("\n[parallelism]\ndata_parallel_replicate_degree = {}\ndata_parallel_shard_degree = {}\n",
                          p.zero_stage == 0   ? p.data
                          : p.shard_group > 0 ? p.data / group
                                              : 1,
                          p.zero_stage == 0   ? 1
                          : p.shard_group > 0 ? group
                                              : p.data);
  out.text += fmt::format("fsdp_reshard_after_forward = \"{}\"\n", p.zero_stage == 3 ? "always" : "never");
  out.text += fmt::format(
      "tensor_parallel_degree = {}\nenable_async_tensor_parallel = {}\ncontext_parallel_degree = "
      "{}\npipeline_parallel_degree = {}\n",
      p.tensor, p.tensor > 1 && p.tensor_overlap, p.context, p.pipeline);
  if (p.pipeline > 1) titan_pipeline(t, out);
  if (t.model.moe.experts > 0)
    out.text +=
        fmt::format("expert_parallel_degree = {}\nexpert_tensor_parallel_degree = {}\n", p.expert, p.expert_tensor);
}

void titan_checkpoint_section(const RecomputePlan& r, FrameworkSettings& out) {
  const bool selective = !r.full_layer && (r.attention_core || r.selective_operations);
  out.text += fmt::format("\n[activation_checkpoint]\nmode = \"{}\"\n", r.full_layer ? "full"
                                                                        : selective  ? "selective"
                                                                                     : "none");
  if (selective) out.text += "selective_ac_option = \"op\"\n";
  if (r.norms || r.activation_function || r.attention_up_projections || r.mlp)
    out.notes.push_back("recomputed norms, activations or MLPs: torchtitan decides by operations");
}

void titan_float8_section(const PrecisionPlan& precision, FrameworkSettings& out) {
  if (precision.linear != Precision::fp8) return;
  if (precision.scaling != Scaling::per_tensor)
    out.notes.push_back("scales are written as tensorwise: the plan has others");
  out.text +=
      fmt::format("\n[quantize.linear.float8]\nrecipe_name = \"tensorwise\"\nenable_fsdp_float8_all_gather = {}\n",
                  precision.parameters == Precision::fp8);
}

}  // namespace

FrameworkSettings torchtitan_toml(const Scenario& scenario, const Libraries& libraries) {
  const TrainingConfig& t = training_of(scenario);
  const int each = scenario.cluster.node.gpus;
  const auto gpus = static_cast<int>(t.plan.gpus());
  FrameworkSettings out;
  out.text = fmt::format("# torchrun --nnodes {} --nproc-per-node {} -m torchtitan.train --job.config_file THIS\n",
                         std::max(1, gpus / each), std::min(gpus, each));
  titan_model_section(t, libraries, out);
  titan_training_section(t, out.text);
  titan_parallelism_section(t, out);
  titan_checkpoint_section(t.recompute, out);
  out.text += fmt::format("\n[compile]\nenable = {}\n", !t.software.eager);
  titan_float8_section(t.precision, out);
  return out;
}

}  // namespace flopcast
