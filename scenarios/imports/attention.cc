// Heads, windows, indexers, and what layers with a state are made of.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "scenarios/imports/config_reader.h"

namespace flopcast {
namespace {

using google::protobuf::Value;

constexpr NumberField kKvHeads = {
    "attention.kv_heads",
    {"num_key_value_heads", "num_kv_heads", "n_head_kv", "kv_n_heads", "multi_query_group_num", "num_attention_groups"},
    Need::optional};
constexpr NumberField kHeadDim = {
    "attention.head_dim", {"head_dim", "attention_head_dim", "kv_channels"}, Need::optional};
/// Of layers that attend to everything, where the others have heads of another size (Gemma 4).
constexpr NumberField kGlobalKvHeads = {"attention.kv_heads", {"num_global_key_value_heads"}, Need::optional};
constexpr NumberField kGlobalHeadDim = {"attention.head_dim", {"global_head_dim"}, Need::optional};
constexpr NumberField kValueDim = {"attention.v_dim", {"v_head_dim"}, Need::optional};
constexpr NumberField kQueryRank = {"attention.q_lora_rank", {"q_lora_rank"}, Need::optional};
/// Step 3: queries of all heads through a narrower vector.
constexpr NumberField kSharedQueries = {"attention.q_lora_rank", {"share_q_dim"}, Need::optional};
constexpr NumberField kLatent[] = {
    kQueryRank,
    {"attention.kv_lora_rank", {"kv_lora_rank"}},
    {"attention.qk_nope_dim", {"qk_nope_head_dim"}},
    {"attention.qk_rope_dim", {"qk_rope_head_dim"}},
    {"attention.v_dim", {"v_head_dim"}},
};

void derive_head_dim(ConfigReader& config) {
  const proto::Model& model = config.model();
  const int heads = model.attention().heads();
  if (config.family().head_dim > 0) return config.derive("attention.head_dim", config.family().head_dim, "model_type");
  if (heads == 0 || model.hidden() == 0) return;
  const std::string name = config.origin("attention.heads");
  if (model.hidden() % heads != 0)
    config.fault(
        name, fmt::format("{}", heads),
        fmt::format("a divisor of {}, {}, for head_dim is not stated", config.origin("hidden"), model.hidden()));
  config.derive("attention.head_dim", model.hidden() / heads, name);
}

void read_kv_heads(ConfigReader& config) {
  const ModelClass& family = config.family();
  // The first Falcons share one head of keys and values; the later ones state how many there are.
  const bool one = config.flag("multi_query", family.model_type == "gpt_bigcode");
  const bool grouped = config.flag("new_decoder_architecture", family.model_type != "falcon");
  if (one && (!grouped || family.model_type == "gpt_bigcode")) {
    config.find("num_kv_heads");
    return config.derive("attention.kv_heads", 1, "multi_query");
  }
  if (config.number(kGlobalKvHeads)) return;
  if (!config.number(kKvHeads) && family.kv_heads > 0)
    config.derive("attention.kv_heads", family.kv_heads, "model_type");
}

void read_biases_and_norms(ConfigReader& config) {
  const ModelClass& family = config.family();
  proto::Attention& a = *config.model().mutable_attention();
  const bool all =
      config.flag("bias", config.flag("use_bias", config.flag("add_bias_linear", !config.flag("no_bias", true))));
  const bool stated = config.flag("attention_bias", all || family.qkv_bias);
  a.set_qkv_bias(config.flag("qkv_bias", config.flag("use_qkv_bias", config.flag("add_qkv_bias", stated))));
  const bool output =
      family.output_bias || all || (config.has("attention_bias") && stated && family.model_type != "qwen2");
  if (config.flag("attention_out_bias", output)) a.set_output_bias(true);
  HeadNorms norms = family.head_norms;
  // Llama 4 normalises without weights.
  const bool weightless = family.model_type.starts_with("llama4");
  if (config.flag("use_qk_norm", config.flag("qk_layernorm", norms != HeadNorms::none)) != (norms != HeadNorms::none) &&
      !weightless)
    norms = norms == HeadNorms::none ? HeadNorms::per_head : HeadNorms::none;
  if (const std::string type = config.text("qk_norm_type"); type == "per_head" && norms != HeadNorms::none)
    norms = HeadNorms::per_head;
  if (norms != HeadNorms::none) a.set_head_norms(std::string(enum_names(norms)[static_cast<std::size_t>(norms)]));
  const bool in_windows = config.flag("add_swa_attention_sink_bias", false);
  const bool in_others = config.flag("add_full_attention_sink_bias", false);
  if (family.sinks || in_windows || in_others) a.set_sinks(true);
  if (config.flag("attn_output_gate", config.flag("attention_output_gate", family.output_gate)))
    a.set_output_gate(true);
  if (config.flag("attention_k_eq_v", false)) a.set_values_are_keys(true);
}

void read_latent(ConfigReader& config) {
  const proto::Model& model = config.model();
  proto::Attention& a = *config.model().mutable_attention();
  for (NumberField field : kLatent) {
    // Class defaults: MiniCPM3 (modeling_minicpm.py) takes a head's share of the stream.
    const bool of_class = field.target == "attention.v_dim" && config.family().model_type == "minicpm3";
    if (of_class) field.need = Need::optional;
    if (!config.number(field) && of_class && a.heads() > 0)
      config.derive(field.target, model.hidden() / a.heads(), config.origin("attention.heads"));
  }
  a.set_type("latent");
  // Kimi K3: what heads give is gated by a projection of the stream as wide as they are, in the layers that attend.
  if (config.flag("mla_use_output_gate", false) && model.layers() > 0) {
    const int attending = model.layers() - std::max(0, layer_kinds(config).with_state);
    const double gate = static_cast<double>(model.hidden()) * a.heads() * a.v_dim() * attending / model.layers();
    a.set_further_elements(static_cast<int>(std::lround(std::min(gate, 2e9))));
  }
}

/// @param value_width whether v_head_dim says one.
void read_heads(ConfigReader& config, bool value_width) {
  read_kv_heads(config);
  const bool head_dim = config.number(kGlobalHeadDim) || config.number(kHeadDim);
  if (value_width) config.number(kValueDim);
  config.number(kSharedQueries);
  proto::Attention& a = *config.model().mutable_attention();
  a.set_type(a.has_kv_heads() && a.kv_heads() != a.heads() ? "grouped_query" : "multi_head");
  if (a.type() == "multi_head") a.clear_kv_heads();
  read_biases_and_norms(config);
  if (!head_dim) derive_head_dim(config);
  if (a.has_v_dim() && a.v_dim() == a.head_dim()) a.clear_v_dim();
}

/// What differs in layers with a window: MiMo says it of them, Gemma 4 of the others.
void read_window_heads(ConfigReader& config, proto::Window& window) {
  const auto set = [&](std::string_view name, std::string_view target) {
    if (const int value = config.whole(name, 0, 1, 8192); value > 0) config.derive(target, value, name);
  };
  set("swa_num_attention_heads", "attention.window.heads");
  set("swa_num_key_value_heads", "attention.window.kv_heads");
  set("swa_head_dim", "attention.window.head_dim");
  set("swa_v_head_dim", "attention.window.v_dim");
  if (config.has("global_head_dim")) set("head_dim", "attention.window.head_dim");
  if (config.has("num_global_key_value_heads")) set("num_key_value_heads", "attention.window.kv_heads");
  const proto::Attention& a = config.model().attention();
  if (window.heads() == a.heads()) window.clear_heads();
  if (window.kv_heads() == a.kv_heads()) window.clear_kv_heads();
  if (window.head_dim() == a.head_dim() && !a.values_are_keys()) window.clear_head_dim();
  if (window.v_dim() == (a.has_v_dim() ? a.v_dim() : a.head_dim())) window.clear_v_dim();
}

void read_window(ConfigReader& config, int layers) {
  const bool chunked = config.family().model_type.starts_with("llama4") ||
                       (config.has("attention_chunk_size") && !config.has("sliding_window"));
  int tokens = config.family().window;
  for (const char* name : {"attention_chunk_size", "attention_window_size", "sliding_window_size", "sliding_window"})
    tokens = config.whole(name, tokens, 0);
  const bool none = config.is_null("sliding_window") && !config.has("attention_chunk_size");
  const bool on = config.flag("use_sliding_window", config.family().windows != WindowLayers::none);
  if (!on || none || tokens == 0 || layers <= 0 || tokens >= config.model().max_positions()) return;
  proto::Window& window = *config.model().mutable_attention()->mutable_window();
  window.set_tokens(tokens);
  window.set_layers(layers);
  if (chunked) window.set_chunked(true);
  read_window_heads(config, window);
  const bool compressed = !config.entries("compress_ratios").empty();  // its cache does not grow with every token
  if (!compressed && layers >= config.model().layers() - config.model().state_layers().layers())
    config.note("sliding_window",
                "every layer looks back at a window; the cache is counted as if it grew with every token");
}

/// DeepSeek's sparse attention, and MiniMax's over blocks.
void read_indexer(ConfigReader& config) {
  const int layers = config.model().layers();
  int heads = config.whole("index_n_heads", 0, 1, 4096), dim = config.whole("index_head_dim", 0, 1, 8192);
  int tokens = config.whole("index_topk", 0, 1), with = layers;
  if (const auto list = config.entries("indexer_types"); !list.empty())
    with = static_cast<int>(std::ranges::count_if(list, [](const Value& v) { return v.string_value() == "full"; }));
  if (config.flag("use_sparse_attention", false)) {
    heads = config.whole("sparse_num_index_heads", 0, 1, 4096);
    dim = config.whole("sparse_index_dim", 0, 1, 8192);
    tokens = config.whole("sparse_topk_blocks", 0, 1) * config.whole("sparse_block_size", 1, 1, 65536);
    if (const auto list = config.entries("sparse_attention_freq"); !list.empty())
      with = static_cast<int>(std::ranges::count_if(list, [](const Value& v) { return v.number_value() != 0; }));
  }
  if (heads == 0 || dim == 0 || tokens == 0) return;
  proto::Indexer& index = *config.model().mutable_attention()->mutable_indexer();
  index.set_heads(heads);
  index.set_dim(dim);
  index.set_tokens(tokens);
  if (with > 0 && with < layers) index.set_layers(with);
}

/// DeepSeek-V4: one entry for keys and values, low-rank queries and outputs, tokens compressed 4 or 128 to one (file
/// inference/model.py beside the weights), residual streams that are mixed.
void read_compressed(ConfigReader& config) {
  const auto ratios = config.entries("compress_ratios");
  if (ratios.empty()) return;
  proto::Model& model = config.model();
  proto::Attention& a = *model.mutable_attention();
  a.set_values_are_keys(true);
  config.number(kQueryRank);
  config.find("qk_rope_head_dim");
  a.set_output_rank(config.whole("o_lora_rank", 0, 0, 65536));
  a.set_output_groups(config.whole("o_groups", 1, 1, 4096));
  const double hidden = model.hidden(), streams = config.whole("hc_mult", 1, 1, 64);
  double further = 0, entries = 0;
  int indexed = 0;
  for (int i = 0; i < model.layers(); ++i) {
    const double ratio =
        static_cast<std::size_t>(i) < ratios.size() ? ratios[static_cast<std::size_t>(i)].number_value() : 0;
    if (!(ratio > 0)) continue;
    const double overlap = ratio == 4 ? 2 : 1;
    further += 2 * hidden * overlap * a.head_dim();
    entries += 1 / ratio;
    indexed += ratio == 4;
    if (ratio == 4)
      further += 2 * hidden * overlap * config.whole("index_head_dim", 128, 1, 8192) -
                 hidden * config.whole("index_head_dim", 128, 1, 8192);
  }
  const double mixing = streams > 1 ? 2 * (2 + streams) * streams * streams * hidden : 0;
  a.set_further_elements(static_cast<int>(std::lround(further / model.layers() + mixing)));
  // Half an entry's keys and values: one vector is both.
  a.set_cache_entries(std::clamp(entries / model.layers() / 2, 0.0001, 1.0));
  if (a.has_indexer() && indexed > 0) {
    a.mutable_indexer()->set_layers(indexed);
    a.mutable_indexer()->set_cache_entries(1.0 / 4);  // those that compress 4 to 1
  }
}

}  // namespace

void read_attention(ConfigReader& config) {
  const LayerKinds kinds = layer_kinds(config);
  const bool latent = config.flag("use_mla", true);
  if (!latent)  // DeepSeek-OCR says them all the same, as 0
    for (const char* name : {"kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"})
      config.find(name);
  if (latent && (config.has("kv_lora_rank") || config.family().model_type == "deepseek_v3" ||
                 config.family().model_type == "deepseek_v2")) {
    read_latent(config);
    // Restated for tools that know no latent attention; what they say follows from the fields above.
    for (const char* restated : {"num_key_value_heads", "head_dim", "attention_bias"}) config.find(restated);
  } else {
    read_heads(config, latent);
  }
  if (config.model().layers() == 0) return;
  read_window(config, kinds.windowed);
  read_indexer(config);
  read_compressed(config);
}

}  // namespace flopcast
