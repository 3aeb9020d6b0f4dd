// Megatron-LM, NeMo and Megatron-Bridge.
#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>

#include "scenarios/imports/runs/framework_names.h"
#include "scenarios/imports/runs/training_text.h"
#include "scenarios/imports/runs/without_effect.h"

namespace flopcast {
namespace {

constexpr int kGpt2Vocabulary = 50'257;

/// Activation functions of NeMo that multiply two projections: geglu, fast-swiglu, reglu.
bool is_gated(ForeignSettings& s) { return s.text({"activation"}, "model", "").find("glu") != std::string::npos; }

/// Megatron-LM refuses both together (megatron/training/arguments.py).
void refuse_both(ForeignSettings& s, std::string_view one, std::string_view other, const char* field) {
  if (s.flag({one}, field, false) && s.flag({other}, field, false))
    s.fault(s.find({other}), fmt::format("it beside --{}", one), "one of them: Megatron-LM refuses both");
}

/// Tokens before its own that a token attends to, "127,0", and which layers do so: every n-th attends to all
/// (--window-attn-skip-freq n), or a list of ones and zeros says it. Learned sinks are a term of the softmax.
void megatron_window(ForeignSettings& s, RunShape& shape) {
  const std::string softmax = run_setting_name(s.text({"softmax-type"}, "model", "vanilla"));
  shape.sinks = softmax == "learnable";
  if (softmax != "learnable" && softmax != "vanilla" && softmax != "off-by-one")
    s.fault(s.find({"softmax-type"}), quoted(softmax), "vanilla, off-by-one or learnable");
  const RunSetting* const stated = s.find({"window-size"}, "model");
  const RunSetting* const skips = s.find({"window-attn-skip-freq"}, stated ? "model" : "nothing: no --window-size");
  if (!stated || !stated->unknown.empty()) return;
  std::string text = stated->value;
  std::erase_if(text, [](char c) { return c == '(' || c == ')' || c == ' '; });
  const int before = std::atoi(text.c_str());
  if (before < 1 || !text.ends_with(",0"))
    return s.fault(stated, quoted(stated->value), "tokens before a token and none behind it, such as 127,0");
  shape.window_tokens = before + 1;
  shape.window_layers = shape.layers;
  if (!skips || !skips->unknown.empty()) return;
  if (const auto star = skips->value.find('['); star != std::string::npos)
    return s.fault(skips, quoted(skips->value), "a number: of so many layers one attends to all tokens");
  const int every = s.degree({"window-attn-skip-freq"}, "model", 1);
  shape.window_layers -= shape.layers / every;
  if (shape.window_layers == 0) shape.window_tokens = 0;
}

RunShape megatron_shape(ForeignSettings& s, const std::string& framework) {
  RunShape shape;
  shape.layers = s.number({"num-layers"}, "model", 0);
  shape.hidden = s.number({"hidden-size"}, "model", 0);
  shape.heads = s.number({"num-attention-heads"}, "model", 0);
  const bool swiglu = s.flag({"swiglu"}, "model", false);
  // Each is asked for, so that each is named.
  const bool geglu = s.flag({"quick-geglu"}, "model", false), unit = s.flag({"gated-linear-unit"}, "model", false),
             named = is_gated(s);
  const bool glu = !s.text({"glu-activation"}, "model", "").empty();  // of BigScience: geglu, liglu, reglu, swiglu
  shape.gated = swiglu || geglu || unit || named || glu;
  for (const char* other : {"squared-relu", "openai-gelu"}) s.flag({other}, "model", false);
  for (const char* other : {"squared-relu", "quick-geglu"}) refuse_both(s, "swiglu", other, "model");
  // Megatron-LM takes two thirds of four times the hidden size then, a multiple of 64 (training/arguments.py).
  constexpr int kPiece = 64;
  const int usual = swiglu && framework == "Megatron-LM" ? shape.hidden * 8 / 3 / kPiece * kPiece : 4 * shape.hidden;
  shape.ffn_width = s.number({"ffn-hidden-size"}, "model", usual);
  const bool groups =
      s.flag({"group-query-attention"}, "model", framework != "Megatron-LM" && s.find({"num-query-groups"}) != nullptr);
  if (!groups && s.number({"num-query-groups"}, "model", 0) > 0)
    s.note("--num-query-groups has no effect without --group-query-attention");
  const int kv_heads = s.number({"num-key-value-heads"}, "model", 0);  // of Megatron-DeepSpeed
  shape.kv_heads = kv_heads > 0 ? kv_heads
                   : groups     ? s.number({"num-query-groups"}, "model", framework == "Megatron-LM" ? 1 : shape.heads)
                                : shape.heads;
  shape.head_dim = s.number({"kv-channels"}, "model", shape.heads > 0 ? shape.hidden / shape.heads : 0);
  shape.vocabulary = s.number({"pad-vocab-size-to", "vocab-size", "padded-vocab-size"}, "model", 0);
  if (shape.vocabulary == 0 && s.text({"tokenizer-type"}, "model", "") == "GPT2BPETokenizer") {
    shape.vocabulary = kGpt2Vocabulary;
    s.note(fmt::format("the vocabulary of GPT2BPETokenizer: {}", kGpt2Vocabulary));
  }
  shape.positions = s.number({"max-position-embeddings"}, "model", 0);
  shape.tied = !s.flag({"untie-embeddings-and-output-weights"}, "model", false) &&
               s.flag({"share-embeddings-and-output-weights"}, "model", true);
  const bool bias_of_qkv = s.flag({"add-qkv-bias"}, "model", false);
  shape.qkv_bias = !s.flag({"disable-bias-linear"}, "model", false) || bias_of_qkv;
  if (const RunSetting* bias = s.find({"add-bias-linear"}, "model"); bias)
    shape.qkv_bias = s.flag({"add-bias-linear"}, "model", true);
  shape.experts = s.number({"num-experts", "num-moe-experts"}, "model", 0);
  if (shape.experts > 0) {
    shape.experts_per_token = s.number({"moe-router-topk"}, "model", 2);
    shape.expert_width = s.number({"moe-ffn-hidden-size"}, "model", shape.ffn_width);
    shape.shared_width = s.number({"moe-shared-expert-intermediate-size"}, "model", 0);
    // Without --moe-router-group-topk a token may go to any expert, whatever the groups.
    const int groups_stated = s.degree({"moe-router-num-groups"}, "model.moe.groups", 1);
    const int chosen = s.number({"moe-router-group-topk"}, "model.moe.groups_per_token", 0);
    if (chosen > 0 && chosen < groups_stated) shape.groups = groups_stated, shape.groups_per_token = chosen;
    const std::string every = s.text({"moe-layer-freq"}, "model", "1");
    const std::size_t star = every.find("[0]*");
    if (star != std::string::npos) shape.dense_layers = std::atoi(every.c_str() + star + 4);
    if (star == std::string::npos && every != "1") {
      s.fault(s.find({"moe-layer-freq"}), quoted(every),
              "1, or \"([0]*3+[1]*58)\": leading dense layers, then experts");
    }
  }
  shape.latent = s.flag({"multi-latent-attention"}, "model", false);
  if (shape.latent) {
    shape.q_rank = s.number({"q-lora-rank"}, "model", 0);
    shape.kv_rank = s.number({"kv-lora-rank"}, "model", 32);
    shape.nope = s.number({"qk-head-dim"}, "model", 128);
    shape.rope = s.number({"qk-pos-emb-head-dim"}, "model", 64);
    shape.v_dim = s.number({"v-head-dim"}, "model", 128);
  }
  shape.mtp = s.number({"mtp-num-layers"}, "model", 0);
  shape.head_norms = s.flag({"qk-layernorm"}, "model", false);
  megatron_window(s, shape);
  for (const char* name :
       {"run.name", "name", "tokenizer-type", "tokenizer-model", "tokenizer.model", "tokenizer.type"})
    shape.called += s.hint(name) + " ";
  return shape;
}

/// "bf16-mixed", "32-true", 16: NeMo's trainer; "bf16_with_mxfp8_mixed": Megatron-Bridge.
enum class RunFormat : std::uint8_t { unsaid, fp32, half };

RunFormat format_of(ForeignSettings& s) {
  const RunSetting* stated = s.find({"precision", "mixed-precision"}, "precision");
  if (!stated || !stated->unknown.empty()) return RunFormat::unsaid;
  const std::string word = run_setting_name(stated->value);
  if (word.starts_with("bf16")) return RunFormat::half;
  if (word.starts_with("16") || word.starts_with("fp16")) {
    s.note("FP16 is replayed as BF16: matrix units are as fast in both");
    return RunFormat::half;
  }
  if (word.starts_with("32") || word.starts_with("fp32")) return RunFormat::fp32;
  s.fault(stated, quoted(stated->value), "32, 16 or bf16");
  return RunFormat::unsaid;
}

/// The recipe of FP8 that Megatron-Bridge has in the name of a precision; "": none.
std::string recipe_in(const std::string& precision) {
  const auto has = [&](const char* part) { return precision.find(part) != std::string::npos; };
  if (has("mxfp8")) return "mxfp8";
  if (!has("fp8")) return "";
  return has("delayed") ? "delayed" : has("subchannel") || has("blockwise") ? "blockwise" : "tensorwise";
}

std::string megatron_precision(ForeignSettings& s, const std::string& framework) {
  std::string out;
  const RunFormat stated = format_of(s);
  // Both are asked for, so that both are named.
  const bool bf16 = s.flag({"bf16"}, "precision", false), fp16 = s.flag({"fp16"}, "precision", false);
  if (framework == "Megatron-LM") refuse_both(s, "bf16", "fp16", "precision");
  const RunSetting* fp8 = s.find({"fp8-format", "fp8", "fp8-hybrid", "fp8-e4m3"}, "precision.linear");
  const RunSetting* fp4 = s.find({"fp4-format", "fp4"}, "precision.linear");
  const std::string word = fp8 ? run_setting_name(fp8->value) : "none",
                    named = recipe_in(s.text({"mixed-precision", "precision"}, "precision", ""));
  if ((word != "none" && word != "false") || !named.empty()) {
    const std::string recipe = s.text({"fp8-recipe"}, "precision.scaling", named.empty() ? "delayed" : named);
    out += " linear: \"fp8\" scaling: ";
    out += recipe == "blockwise" ? "\"blocks\"" : recipe == "mxfp8" ? "\"mx\"" : "\"per_tensor\"";
    if (recipe == "tensorwise") out += " current_scales: true";
    if (recipe != "blockwise" && recipe != "mxfp8" && recipe != "tensorwise" && recipe != "delayed")
      s.fault(s.find({"fp8-recipe"}), quoted(recipe), "delayed, tensorwise, blockwise or mxfp8");
  } else if (fp4 != nullptr && run_setting_name(fp4->value) != "none") {
    const std::string recipe = s.text({"fp4-recipe"}, "precision.linear", "nvfp4");
    if (recipe != "nvfp4") s.fault(s.find({"fp4-recipe"}), quoted(recipe), "nvfp4");
    out += " linear: \"fp4\"";
  } else if (bf16 || stated == RunFormat::half) {
    // as it is by default
  } else if (fp16) {
    s.note("FP16 is replayed as BF16: matrix units are as fast in both");
  } else if (stated == RunFormat::fp32 || framework == "Megatron-LM") {
    if (stated == RunFormat::unsaid) s.note("neither --bf16 nor --fp16: Megatron-LM computes in FP32");
    out = " linear: \"fp32\" parameters: \"fp32\"";
    s.find({"accumulate-allreduce-grads-in-fp32", "grad-reduce-in-fp32", "grad-reduce-in-bf16"}, "precision.gradients");
    return out;
  } else {
    s.note("no precision is stated: BF16 is taken");
  }
  // BF16 parameters have FP32 gradients unless told otherwise (Megatron-LM, training/arguments.py).
  const bool in_fp32 =
      s.flag({"accumulate-allreduce-grads-in-fp32", "grad-reduce-in-fp32"}, "precision.gradients", true);
  if (s.flag({"grad-reduce-in-bf16"}, "precision.gradients", false) || !in_fp32) out += " gradients: \"bf16\"";
  if (s.flag({"fp8-param-gather", "fp8-param"}, "precision.parameters", false)) {
    if (out.find("linear: \"fp8\"") != std::string::npos)
      out += " parameters: \"fp8\"";
    else
      s.note("--fp8-param-gather has no effect without --fp8-format: parameters are gathered in BF16");
  }
  if (s.flag({"first-last-layers-bf16"}, "precision.bf16_layers", false)) {
    const int first = s.degree({"num-layers-at-start-in-bf16"}, "precision.bf16_layers", 1),
              last = s.degree({"num-layers-at-end-in-bf16"}, "precision.bf16_layers", 1);
    out += fmt::format(" bf16_layers: {}", first + last);
  }
  return out;
}

std::string megatron_recompute(ForeignSettings& s) {
  // Megatron-LM before 2022 and Megatron-DeepSpeed: whole layers, so many between two checkpoints.
  const bool old_name = s.flag({"checkpoint-activations"}, "recompute.full_layer", false);
  for (const char* how : {"deepspeed-activation-checkpointing", "checkpoint-num-layers"}) s.find({how}, "recompute");
  for (const char* cut :
       {"partition-activations", "distribute-checkpointed-activations", "distribute-saved-activations"})
    if (s.flag({cut}, "recompute", false))
      s.note(fmt::format("--{}: checkpoints are cut among tensor-parallel ranks, which is not replayed", cut));
  if (old_name) return " full_layer: true";
  if (s.flag({"recompute-activations"}, "recompute", false)) return " attention_core: true";
  const std::string what = s.text({"recompute-granularity", "activations-checkpoint-granularity"}, "recompute", "none");
  const std::string how = s.text({"recompute-method", "activations-checkpoint-method"}, "recompute", "");
  const int layers =
      s.number({"recompute-num-layers", "activations-checkpoint-num-layers"}, "recompute.full_layers", 0);
  if (what == "full") {
    // TransformerConfig.__post_init__; names of NeMo's own models have defaults.
    if (const RunSetting* core = s.find({"recompute-granularity"}))
      if (how.empty() || layers < 1)
        s.fault(core,
                how.empty() ? "full recomputation without a method" : "full recomputation without a number of layers",
                "--recompute-method block or uniform, and --recompute-num-layers N");
    if (how == "uniform" && layers > 1)
      s.note(
          fmt::format("--recompute-method uniform keeps the inputs of one layer in {}: here those of every layer are "
                      "kept, which takes more memory",
                      layers));
    return how == "block" && layers > 0 ? fmt::format(" full_layer: true full_layers: {}", layers)
                                        : " full_layer: true";
  }
  if (what != "selective") {
    if (what != "none" && what != "null" && !what.empty())
      s.fault(s.find({"recompute-granularity", "activations-checkpoint-granularity"}), quoted(what),
              "full or selective");
    if (s.find({"recompute-modules"}, "nothing: not selective"))
      s.note("--recompute-modules has no effect without --recompute-granularity selective");
    return "";
  }
  const RunSetting* stated = s.find({"recompute-modules"}, "recompute");
  std::string modules = s.text({"recompute-modules"}, "recompute", "core_attn"), out;
  std::ranges::replace_if(
      modules, [](char c) { return c == ',' || c == '[' || c == ']' || c == '"' || c == '\''; }, ' ');
  for (std::size_t at = 0; (at = modules.find_first_not_of(' ', at)) != std::string::npos;) {
    const std::string module = modules.substr(at, modules.find(' ', at) - at);
    at += module.size();
    const auto* known = std::ranges::find(kMegatronRecompute, module, &MegatronRecompute::module);
    const std::string set = known == std::end(kMegatronRecompute) ? "" : fmt::format(" {}: true", known->field);
    if (set.empty())
      s.fault(stated, quoted(module),
              "core_attn, mla_up_proj, moe_act, layernorm or mlp: others are not recomputed here");
    else if (out.find(set) == std::string::npos)
      out += set;
  }
  return out;
}

/// What stands between two bars of --pipeline-model-parallel-layout: decoder layers (t), the embedding (E), the loss
/// (L), MTP (m); "t*3", "(tt|)*29".
std::string layout_without_repeats(const std::string& layout, std::size_t& at, int depth) {
  std::string out, last;
  constexpr std::size_t kMost = 1 << 16;
  while (at < layout.size() && out.size() < kMost) {
    const char c = layout[at++];
    if (c == ')') break;
    if (c == '(') {
      last = depth < 8 ? layout_without_repeats(layout, at, depth + 1) : "";
      out += last;
    } else if (c == '*') {
      int times = 0;
      while (at < layout.size() && layout[at] >= '0' && layout[at] <= '9' && times < 10'000)
        times = 10 * times + (layout[at++] - '0');
      for (int i = 1; i < times && out.size() < kMost; ++i) out += last;
    } else if (c != ',' && c != ' ') {
      last = c;
      out += c;
    }
  }
  return out;
}

/// Layers of each stage, where the command says them.
void stated_stages(ForeignSettings& s, const RunShape& shape, TrainingText& t) {
  const RunSetting* const drawn = s.find({"pipeline-model-parallel-layout"}, "plan.stage_layers");
  if (drawn != nullptr && drawn->unknown.empty() && !drawn->value.empty()) {
    std::size_t at = 0;
    const std::string layout = layout_without_repeats(drawn->value, at, 0);
    std::vector<int> stages(1, 0);
    for (const char c : layout) {
      if (c == '|')
        stages.push_back(0);
      else if (c == 't')
        ++stages.back();
    }
    int layers = 0;
    for (const int stage : stages) layers += stage;
    const int places = static_cast<int>(stages.size());
    if (places % t.pipeline != 0 || layers != shape.layers)
      s.fault(drawn, fmt::format("{} stages of {} layers", places, layers),
              fmt::format("a multiple of {} stages with {} layers", t.pipeline, shape.layers));
    t.chunks = std::max(1, places / std::max(1, t.pipeline));
    t.stage_layers = std::move(stages);
    return;
  }
  const int first = s.number({"decoder-first-pipeline-num-layers", "num-layers-in-first-pipeline-stage"},
                             "plan.stage_layers", 0),
            last = s.number({"decoder-last-pipeline-num-layers", "num-layers-in-last-pipeline-stage"},
                            "plan.stage_layers", 0);
  if (first == 0 && last == 0) return;
  const int ends = (first > 0) + (last > 0), between = t.pipeline - ends, left = shape.layers - first - last;
  if (t.chunks > 1 || between < 0 || left < 0 || (between > 0 ? left % between != 0 : left != 0)) {
    s.fault(s.find({"decoder-first-pipeline-num-layers", "decoder-last-pipeline-num-layers",
                    "num-layers-in-first-pipeline-stage", "num-layers-in-last-pipeline-stage"}),
            fmt::format("{} layers for {} stages between", left, between),
            "a multiple of them, and one chunk of layers on a rank");
    return;
  }
  t.stage_layers.clear();
  if (first > 0) t.stage_layers.push_back(first);
  for (int i = 0; i < between; ++i) t.stage_layers.push_back(left / between);
  if (last > 0) t.stage_layers.push_back(last);
}

/// What stands in host memory.
void host_memory(ForeignSettings& s, TrainingText& t) {
  if (s.flag({"optimizer-cpu-offload"}, "offload.optimizer", false)) {
    t.offload += fmt::format(" optimizer: {:g}", s.real({"optimizer-offload-fraction"}, "offload.optimizer", 1.0));
    if (!s.flag({"overlap-cpu-optimizer-d2h-h2d"}, "offload.overlap", false)) t.offload += " overlap: false";
    s.find({"cpu-torch-adam", "use-torch-optimizer-for-cpu-offload"}, "offload.optimizer");
  }
  for (const auto& [name, what] : {std::pair("cpu-optimizer", "the optimiser"),
                                   {"cpu-offloading", "activations"},
                                   {"checkpoint-in-cpu", "checkpoints of activations"},
                                   {"fine-grained-activation-offloading", "activations"}})
    if (s.flag({name}, "not replayed", false))
      s.fault(s.find({name}), "it", fmt::format("nothing: {} in host memory is not replayed", what));
  for (const char* how : {"cpu-torch-adam", "optimizer-offload-fraction", "cpu-offloading-num-layers"})
    s.find({how}, "nothing: nothing is offloaded");
}

/// Formats of what the optimiser keeps.
void precision_of_states(ForeignSettings& s, TrainingText& t) {
  const bool aware = s.flag({"use-precision-aware-optimizer"}, "precision.moments", false);
  const auto word = [&](std::initializer_list<std::string_view> names, const char* field) {
    return run_setting_name(s.text(names, field, "fp32"));
  };
  const std::string gradients = word({"main-grads-dtype"}, "precision.gradients"),
                    moments = word({"exp-avg-dtype"}, "precision.moments"),
                    squares = word({"exp-avg-sq-dtype"}, "precision.moments"),
                    master = word({"main-params-dtype"}, "precision.master");
  if (!aware) return;
  const auto narrow = [](const std::string& format) { return format == "bf16" || format == "fp16"; };
  if (narrow(gradients) && t.precision.find("gradients:") == std::string::npos) t.precision += " gradients: \"bf16\"";
  if (narrow(moments) && narrow(squares)) t.precision += " moments: \"bf16\"";
  if (moments == "fp8" || squares == "fp8") s.note("moments in FP8 are replayed as they are by default");
  if (narrow(master)) t.precision += " master: \"bf16\"";
}

/// Megatron-DeepSpeed: the engine's optimiser shards by its stage. In BF16 it shards optimiser states whatever the
/// stage says (deepspeed/runtime/bf16_optimizer.py), and takes stages 0 and 1.
void zero_of_deepspeed(ForeignSettings& s, TrainingText& t, RunJob& job) {
  const bool used = s.flag({"deepspeed"}, "plan.zero_stage", false);
  const int stage = s.number({"zero-stage"}, "plan.zero_stage", 1);
  const bool bf16 = s.flag({"bf16"}, "precision", false);
  const int ulysses = s.degree({"ds-sequence-parallel-size"}, "plan.context", 1);
  if (ulysses > 1 && t.data % ulysses == 0) {
    t.data /= ulysses;
    t.context *= ulysses;
    t.context_exchange = "all_to_all";
    s.note("--ds-sequence-parallel-size is replayed as context parallelism");
  }
  s.flag({"no-pipeline-parallel"}, "plan.pipeline", false);
  if (s.flag({"enable-zbh1-pipeline", "enable-zbh1-exact-semantics"}, "schedule", false)) t.schedule = "zb_h1";
  if (!used) return;
  job.framework = "Megatron-DeepSpeed";
  t.zero = bf16 && stage == 0 ? 1 : stage;
  if (bf16 && stage == 0) s.note("--zero-stage 0 in BF16: DeepSpeed shards optimiser states all the same");
  s.note("the file of --deepspeed_config is not read: flags beside it say batch, precision and stage");
  if (const std::string parts = s.text({"pp-partition-method"}, "plan.stage_layers", ""); !parts.empty())
    s.note("--pp-partition-method " + parts + " is replayed as whole layers, the slowest stages as fast as can be");
}

/// NeMo's optimisers by name: those that are distributed keep a share of their states on each replica (Apex's
/// DistributedFusedAdam, Megatron Core's). Gradients of micro-batches are summed up whole.
void nemo_optimizer(ForeignSettings& s, TrainingText& t) {
  const std::string name = run_setting_name(s.text({"optim.name"}, "plan.zero_stage", ""));
  const bool apex = name == "distributed-fused-adam", own = name == "mcore-distributed-optim";
  // Apex's sends gradients beside the backward pass unless told otherwise.
  const bool gradients = s.flag({"optim.overlap-grad-sync"}, "plan.overlap_gradients", apex),
             parameters = s.flag({"optim.overlap-param-sync"}, "plan.overlap_parameters", false);
  const std::string format = run_setting_name(s.text({"optim.grad-sync-dtype"}, "precision.gradients", "fp32"));
  if (!apex && !own) return;
  t.zero = std::max(t.zero, 1);
  t.overlap_gradients = t.overlap_gradients || gradients;
  t.overlap_parameters = t.overlap_parameters || parameters;
  if ((format == "bf16" || format == "16" || format == "fp16") && t.precision.find("gradients:") == std::string::npos)
    t.precision += " gradients: \"bf16\"";
}

/// What Megatron Core refuses before it starts (training/arguments.py, TransformerConfig, SelfAttention).
void megatron_asserts(ForeignSettings& s, const RunShape& shape, const TrainingText& t, const std::string& framework) {
  const int stages = t.pipeline * t.chunks;
  if (shape.layers > 0 && t.pipeline > 1 && t.stage_layers.empty() && t.layer_split.empty() &&
      shape.layers % stages != 0)
    s.fault(s.find({"pipeline-model-parallel-size"}), fmt::format("{} layers for {} stages", shape.layers, stages),
            "a multiple of the stages, or --pipeline-model-parallel-layout, --decoder-first-pipeline-num-layers or "
            "--decoder-last-pipeline-num-layers");
  if (framework == "Megatron-LM" && shape.positions > 0 && t.length > shape.positions)
    s.fault(s.find({"seq-length", "encoder-seq-length"}), fmt::format("{} tokens", t.length),
            fmt::format("at most --max-position-embeddings, {}", shape.positions));
  const int groups = shape.latent || shape.kv_heads == 0 ? shape.heads : shape.kv_heads;
  if (groups > 0 && groups % t.tensor != 0 && t.tensor % groups != 0)
    s.fault(s.find({"tensor-model-parallel-size"}), fmt::format("{} ranks for {} query groups", t.tensor, groups),
            "a divisor of the groups, or a multiple of them");
}

}  // namespace

RunJob megatron_job(ForeignSettings& s, int launched, const Libraries& libraries, const ImportRunOptions& options,
                    const std::string& framework) {
  RunJob job{.framework = framework};
  const RunShape shape = megatron_shape(s, framework);
  if (!options.model.empty())
    job.model = library_model(options.model, libraries, s, nullptr);
  else if (shape.stated())
    take_shape(shape, libraries, s, job);
  else
    s.fault(nullptr, "no shape of a model", "--num-layers, --hidden-size and --num-attention-heads, or --model NAME");
  const int nodes = s.degree({"num-nodes"}, "cluster", 1), devices = s.degree({"devices"}, "cluster", 0);
  job.gpus = gpus_of(s, launched > 0 ? launched : run_product({nodes, devices}), options);
  TrainingText t;
  t.tensor = s.degree({"tensor-model-parallel-size", "model-parallel-size"}, "plan.tensor", 1);
  t.pipeline = s.degree({"pipeline-model-parallel-size"}, "plan.pipeline", 1);
  t.context = s.degree({"context-parallel-size"}, "plan.context", 1);
  t.expert = s.degree({"expert-model-parallel-size", "moe-expert-parallel-size"}, "plan.expert", 1);
  t.expert_tensor = s.degree({"expert-tensor-parallel-size"}, "plan.expert_tensor", shape.experts > 0 ? t.tensor : 1);
  if (t.expert_tensor > 1 && t.expert == 1 && shape.experts == 0) t.expert_tensor = 1;
  t.data =
      replicas_of(s, job.gpus, run_product({t.tensor, t.pipeline, t.context}), s.find({"tensor-model-parallel-size"}));
  const int per_chunk = s.number({"num-layers-per-virtual-pipeline-stage"}, "plan.chunks", 0);
  const int per_rank = t.pipeline > 0 ? shape.layers / t.pipeline : 0;
  if (per_chunk > 0 && per_rank > 0 && per_rank % per_chunk != 0)
    s.fault(s.find({"num-layers-per-virtual-pipeline-stage"}), fmt::format("{}", per_chunk),
            fmt::format("a divisor of the {} layers of a pipeline rank", per_rank));
  t.chunks = s.degree({"num-virtual-stages-per-pipeline-rank", "virtual-pipeline-model-parallel-size"}, "plan.chunks",
                      per_chunk > 0 && per_rank > 0 ? std::max(1, per_rank / per_chunk) : 1);
  t.sequence_parallel = s.flag({"sequence-parallel"}, "plan.sequence_parallel", false);
  t.tensor_overlap = s.flag({"tp-comm-overlap", "ub-tp-comm-overlap"}, "plan.tensor_overlap", false);
  t.overlap_gradients = s.flag({"overlap-grad-reduce"}, "plan.overlap_gradients", false);
  t.overlap_parameters = s.flag({"overlap-param-gather"}, "plan.overlap_parameters", false);
  const bool sharded =
      s.flag({"use-megatron-fsdp", "use-torch-fsdp2", "use-custom-fsdp"}, "plan.zero_stage = 3", false);
  const bool distributed = s.flag({"use-distributed-optimizer"}, "plan.zero_stage", false);
  t.zero = sharded ? 3 : distributed ? 1 : 0;
  if (const std::string strategy = s.text({"data-parallel-sharding-strategy"}, "plan.zero_stage", "");
      sharded && !strategy.empty())
    t.zero = strategy == "no_shard" ? 0 : strategy == "optim" ? 1 : strategy == "optim_grads" ? 2 : 3;
  // Each instance of the distributed optimizer shards over its own part of the replicas.
  const int instances = s.degree({"num-distributed-optimizer-instances"}, "plan.shard_group", 1);
  if (instances > 1 && t.data * t.context % instances == 0) t.shard_group = t.data * t.context / instances;
  // Embedding and loss take the place of a layer each (get_num_layers_to_build).
  const bool embedding = s.flag({"account-for-embedding-in-pipeline-split"}, "plan.layer_split", false),
             loss = s.flag({"account-for-loss-in-pipeline-split"}, "plan.layer_split", false);
  if (const int stages = t.pipeline * t.chunks; (embedding || loss) && stages > 1) {
    const int places = shape.layers + int{embedding} + int{loss};
    if (places % stages != 0) {
      s.fault(s.find({"account-for-loss-in-pipeline-split"}), fmt::format("{} places for {} stages", places, stages),
              "a multiple of the stages");
    } else {
      t.layer_split = embedding && loss ? "even_with_both" : embedding ? "even_with_embedding" : "even_with_head";
    }
  }
  const std::string cp = s.text({"cp-comm-type"}, "plan.context_exchange", "p2p");
  if (cp == "all_gather")
    t.context_exchange = "all_gather";
  else if (cp == "a2a")
    t.context_exchange = "all_to_all";
  else if (cp != "p2p")
    s.note("--cp-comm-type " + cp + " is replayed as a ring (p2p)");
  t.length = s.number({"seq-length", "encoder-seq-length", "sequence-length"}, "batch.sequence_length",
                      options.sequence_length);
  if (t.length < 1) s.fault(nullptr, "no length of sequences", "--seq-length, or --sequence-length N of import-run");
  t.micro = s.degree({"micro-batch-size", "batch-size"}, "batch.micro_batch_sequences", 1);
  t.sequences = s.degree({"global-batch-size"}, "batch.sequences", run_product({t.micro, t.data}));
  if (shape.experts > 0) {
    const std::string dispatcher = s.text({"moe-token-dispatcher-type"}, "plan.dispatcher", "allgather");
    const bool deep = s.flag({"moe-enable-deepep"}, "plan.dispatcher", false);
    const std::string backend = s.text({"moe-flex-dispatcher-backend"}, "plan.dispatcher", deep ? "deepep" : "");
    t.dispatcher = dispatcher == "flex" && backend == "hybridep" ? "hybrid_ep"
                   : dispatcher == "flex"                        ? "deep_ep"
                                                                 : "all_to_all";
    if (dispatcher == "allgather") s.note("the allgather dispatcher is replayed as all_to_all");
    if (s.flag({"moe-shared-expert-overlap"}, "plan.shared_expert_overlap", false))
      s.note("set plan.shared_expert_overlap: true where shared experts overlap");
    if (const double capacity = s.real({"moe-expert-capacity-factor"}, "expert_load.capacity_factor", 0); capacity > 0)
      t.further += fmt::format("  expert_load {{ capacity_factor: {} }}\n", capacity);
    if (!s.flag({"moe-grouped-gemm", "moe-use-legacy-grouped-gemm"}, "grouped_experts", framework != "Megatron-LM"))
      t.further += "  grouped_experts: false\n";
    s.flag({"moe-pad-expert-input-to-capacity"}, "expert_load.capacity_factor", false);
  }
  t.precision = megatron_precision(s, framework);
  t.recompute = megatron_recompute(s);
  const bool dropout = s.real({"hidden-dropout"}, "dropout", framework == "Megatron-LM" ? 0.1 : 0) > 0 ||
                       s.real({"attention-dropout"}, "dropout", framework == "Megatron-LM" ? 0.1 : 0) > 0;
  if (dropout) t.further += "  dropout: true\n";
  // Rollouts are made on the same GPUs: their cache stays (megatron/training/arguments.py).
  if (s.flag({"perform-rl-step"}, "held_beside", false))
    t.further += fmt::format("  held_beside: \"{:g} GiB\"\n",
                             s.real({"inference-dynamic-batching-buffer-size-gb"}, "held_beside", 40));
  const bool local = s.text({"transformer-impl"}, "attention_kernel", "transformer_engine") == "local" &&
                     !s.flag({"use-flash-attn"}, "attention_kernel", false);
  if (const std::string backend = s.text({"attention-backend"}, "attention_kernel", "auto");
      backend == "unfused" || backend == "local" || local)
    t.further += "  attention_kernel: \"unfused\"\n";
  if (s.flag({"cross-entropy-loss-fusion"}, "fused_loss", false)) t.further += "  fused_loss: true\n";
  const std::string scope = s.text({"cuda-graph-scope"}, "iteration_graph", ""),
                    how = s.text({"cuda-graph-impl"}, "cuda_graphs", "none");
  if (s.flag({"enable-cuda-graph", "external-cuda-graph"}, "cuda_graphs", how != "none")) {
    t.further += "  cuda_graphs: true\n";
    if (scope == "full_iteration" || how == "full_iteration") t.further += "  iteration_graph: true\n";
  }
  stated_stages(s, shape, t);
  host_memory(s, t);
  precision_of_states(s, t);
  if (framework == "NeMo") nemo_optimizer(s, t);
  zero_of_deepspeed(s, t, job);
  if (job.framework != "Megatron-DeepSpeed") megatron_asserts(s, shape, t, framework);
  t.with_mtp = shape.mtp > 0;
  t.software = framework == "Megatron-Bridge" ? "megatron-bridge-2026.02"
               : framework == "NeMo"          ? "nemo-mlperf-2024"
                                              : "megatron-core-2025.09";
  s.note("software " + t.software + " is taken: a command does not say its version");
  const double steps = s.real({"train-iters", "max-steps"}, "run.phase.tokens", 0),
               samples = s.real({"train-samples"}, "run.phase.tokens", 0);
  const double tokens =
      (samples > 0 ? samples : steps * static_cast<double>(t.sequences)) * static_cast<double>(t.length);
  if (tokens >= 1e3)
    job.run = fmt::format("run {{ phase {{ name: \"training\" tokens: \"{:.6g}B\" }} }}\n", tokens / 1e9);
  if (t.sequences % (t.data * static_cast<long>(t.micro)) != 0)
    s.fault(s.find({"global-batch-size"}), fmt::format("{} sequences", t.sequences),
            fmt::format("a multiple of {} replicas x {}", t.data, t.micro));
  s.without_effect(megatron_without_effect());
  job.body = training_body(t);
  return job;
}

}  // namespace flopcast
