// How many layers a config.json says, and of which kinds.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "scenarios/imports/config_reader.h"

namespace flopcast {
namespace {

using google::protobuf::Value;

constexpr NumberField kLayers = {"layers", {"num_hidden_layers", "n_layer", "n_layers", "num_layers"}};
constexpr NumberField kShape[] = {
    {"hidden", {"hidden_size", "n_embd", "d_model", "n_embed"}},
    {"vocabulary", {"vocab_size", "padded_vocab_size"}},
    {"max_positions",
     {"max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length", "seq_length",
      "model_max_length"}},
    {"attention.heads", {"num_attention_heads", "n_head", "n_heads"}},
};

/// Mixers and networks of blocks that are one or the other ("M" Mamba, "*" attention, "-" FFN, "E" experts).
struct Blocks {
  int states = 0, attention = 0, ffn = 0, experts = 0;
  std::string unknown;  ///< the first kind that is none of these
  int mixers() const { return states + attention; }
};

Blocks blocks_of(ConfigReader& config) {
  Blocks blocks;
  const auto count = [&](std::string_view kind) {
    if (kind == "M" || kind == "mamba")
      ++blocks.states;
    else if (kind == "*" || kind == "attention")
      ++blocks.attention;
    else if (kind == "-" || kind == "mlp")
      ++blocks.ffn;
    else if (kind == "E" || kind == "moe")
      ++blocks.experts;
    else
      blocks.unknown = blocks.unknown.empty() ? std::string(kind) : blocks.unknown;
  };
  const std::string pattern = config.text("hybrid_override_pattern");
  for (const char c : pattern) count(std::string_view(&c, 1));
  if (pattern.empty())
    for (const Value& kind : config.entries("layers_block_type")) count(kind.string_value());
  return blocks;
}

/// A list with an entry per layer, or one that repeats until every layer has one.
template <class Matches>
int layers_that(ConfigReader& config, std::string_view name, Matches matches) {
  const std::vector<Value> list = config.entries(name);
  const int layers = config.model().layers();
  if (list.empty() || layers == 0) return -1;
  int count = 0;
  for (int i = 0; i < layers; ++i) count += matches(list[static_cast<std::size_t>(i) % list.size()]);
  return count;
}

int layers_of_type(ConfigReader& config, std::initializer_list<std::string_view> kinds) {
  return layers_that(config, "layer_types", [&](const Value& value) {
    return std::find(kinds.begin(), kinds.end(), value.string_value()) != kinds.end();
  });
}

/// Every layer but each n-th.
int all_but_each(int layers, int n) { return layers - layers / n; }

int windows_by_family(const ModelClass& family, int layers) {
  switch (family.windows) {
    case WindowLayers::all:
      return layers;
    case WindowLayers::second:
      return (layers + 1) / 2;
    case WindowLayers::all_but_fourth:
      return all_but_each(layers, 4);
    case WindowLayers::all_but_sixth:
      return all_but_each(layers, 6);
    case WindowLayers::none:
      return 0;
  }
  return 0;
}

int windowed_layers(ConfigReader& config) {
  const int layers = config.model().layers();
  config.find("global_attn_every_n_layers");
  if (const int n = layers_of_type(config, {"sliding_attention", "chunked_attention"}); n >= 0) return n;
  const auto one = [](const Value& v) { return v.number_value() == 1; };
  if (const int n = layers_that(config, "hybrid_layer_pattern", one); n >= 0) return n;
  if (const int n = layers_that(config, "no_rope_layers", one); n >= 0) return n;
  if (const Value* pattern = config.find("sliding_window_pattern")) {
    if (pattern->kind_case() == Value::kStringValue && !pattern->string_value().empty()) {  // "LLLG"
      const std::string& letters = pattern->string_value();
      int count = 0;
      for (int i = 0; i < layers; ++i) count += letters[static_cast<std::size_t>(i) % letters.size()] == 'L';
      return count;
    }
    return all_but_each(layers, config.whole("sliding_window_pattern", layers, 1));
  }
  if (config.has("global_attn_every_n_layers"))
    return all_but_each(layers, config.whole("global_attn_every_n_layers", layers, 1));
  if (config.has("no_rope_layer_interval") && config.has("attention_chunk_size"))
    return all_but_each(layers, config.whole("no_rope_layer_interval", layers, 1));
  if (config.flag("use_sliding_window", false)) {
    const int most = config.whole("max_window_layers", 0, 0, 4096);
    return std::max(0, layers - most);
  }
  config.find("max_window_layers");
  return windows_by_family(config.family(), layers);
}

int state_layers(ConfigReader& config) {
  const int layers = config.model().layers();
  config.find("full_attention_interval");
  if (const int n = layers_of_type(config, {"linear_attention", "mamba", "recurrent", "conv"}); n > 0) return n;
  if (config.has("linear_num_value_heads")) {
    const int every = config.whole("full_attention_interval", 4, 1, 4096);
    return all_but_each(layers, every);
  }
  if (const int n = layers_that(config, "attn_type_list", [](const Value& v) { return v.number_value() == 0; }); n >= 0)
    return n;
  if (config.has("attn_layer_period")) {
    const int period = config.whole("attn_layer_period", 8, 1, 4096), offset = config.whole("attn_layer_offset", 4);
    int count = 0;
    for (int i = 0; i < layers; ++i) count += i % period != offset;
    return count;
  }
  // Bamba: those that attend are listed.
  if (config.has("attn_layer_indices") || config.family().model_type == "bamba")
    return layers - static_cast<int>(config.entries("attn_layer_indices").size());
  // LFM2, before layer_types.
  if (const auto attending = config.entries("full_attn_idxs"); !attending.empty())
    return layers - static_cast<int>(attending.size());
  const auto recurrent = [](const Value& v) { return v.string_value() == "recurrent"; };
  if (const int n = layers_that(config, "block_types", recurrent); n >= 0) return n;
  // Ring and Ling: of each group the last layer attends to everything, and so do layers that make no whole group.
  if (const int group = config.whole("layer_group_size", 0, 0, 4096); group > 1) return layers / group * (group - 1);
  if (const auto kimi = config.entries("kda_layers"); !kimi.empty()) return static_cast<int>(kimi.size());
  return 0;
}

void check_types(ConfigReader& config) {
  constexpr std::string_view kTypes[] = {"full_attention",    "sliding_attention",
                                         "chunked_attention", "linear_attention",
                                         "attention",         "mamba",
                                         "recurrent",         "conv",
                                         "sparse_attention",  "deepseek_sparse_attention"};
  const std::vector<Value> kinds = config.entries("layer_types");
  const auto layers = static_cast<std::size_t>(config.model().layers());
  if (!kinds.empty() && kinds.size() != layers && layers > 0)
    return config.fault("layer_types", fmt::format("a list of {}", kinds.size()),
                        fmt::format("one entry for each of the {} layers", layers));
  for (const Value& kind : kinds) {
    // What they choose among is said by fields of their own.
    const bool chosen = kind.string_value().ends_with("sparse_attention");
    if (chosen && !config.has("index_topk") && !config.has("use_sparse_attention"))
      return config.fault("index_topk", "nothing", "how many tokens layers of sparse attention choose");
    if (std::ranges::find(kTypes, kind.string_value()) != std::end(kTypes)) continue;
    return config.fault(
        "layer_types", shown(kind),
        "full_attention, sliding_attention, chunked_attention, linear_attention, sparse_attention, mamba "
        "or conv");
  }
}

/// Layers that use keys and values of a layer before them have no place in a model file.
void note_shared_caches(ConfigReader& config) {
  const int layers = config.model().layers();
  const int factor = config.whole("cla_share_factor", 2, 1, 1000);
  const int sharing = config.flag("use_cla", false) ? layers - (layers + factor - 1) / factor
                                                    : config.whole("num_kv_shared_layers", 0, 0, 100'000);
  if (sharing == 0 || sharing >= layers) return;
  config.note(config.has("use_cla") ? "use_cla" : "num_kv_shared_layers",
              fmt::format("{} of {} layers use keys and values of others; here each has its own: cache and key-value "
                          "projections come out {:.2g} times too large",
                          sharing, layers, static_cast<double>(layers) / (layers - sharing)));
}

}  // namespace

void read_layers(ConfigReader& config) {
  const ModelClass& family = config.family();
  const Blocks blocks = blocks_of(config);
  const int all = blocks.mixers() + blocks.ffn + blocks.experts;
  if (!blocks.unknown.empty()) {
    const bool letters = !config.text("hybrid_override_pattern").empty();
    config.fault(letters ? "hybrid_override_pattern" : "layers_block_type", quoted(blocks.unknown),
                 letters ? "M, *, - and E" : "mamba, attention, mlp and moe");
  }
  if (all > 0) {
    const int stated = config.whole("num_hidden_layers", all, 1, 8192);
    if (stated != all)
      config.fault("num_hidden_layers", fmt::format("{}", stated), fmt::format("{}, the blocks that are listed", all));
    if (blocks.mixers() > 0) config.derive("layers", blocks.mixers(), "num_hidden_layers");
  } else {
    config.number(kLayers);
  }
  const auto otherwise = [&](std::string_view target, int value) {
    if (value > 0) config.derive(target, value, "model_type");
  };
  for (const NumberField& field : kShape) {
    const bool given = (field.target == "vocabulary" && family.vocabulary > 0) ||
                       (field.target == "max_positions" && family.positions > 0) ||
                       (field.target == "attention.heads" && family.heads > 0);
    NumberField asked = field;
    if (given) asked.need = Need::optional;
    if (config.number(asked)) continue;
    if (field.target == "vocabulary") otherwise(field.target, family.vocabulary);
    if (field.target == "max_positions") otherwise(field.target, family.positions);
    if (field.target == "attention.heads") otherwise(field.target, family.heads);
  }
  proto::Model& model = config.model();
  model.set_tied_embeddings(config.flag("tie_word_embeddings", config.flag("tie_embedding", family.tied)));
  for (const char* narrow : {"word_embed_proj_dim", "embedding_size"})
    if (const int width = config.whole(narrow, model.hidden(), 1); width != model.hidden() && model.hidden() > 0)
      config.fault(narrow, fmt::format("{}", width),
                   fmt::format("{}, the width of the stream: a model file has embeddings as wide", model.hidden()));
  if (config.flag("is_encoder_decoder", false))
    config.fault("is_encoder_decoder", "true", "false: a model file says decoders alone");
  if (config.flag("add_cross_attention", false))
    config.fault("add_cross_attention", "true", "false: a model file says decoders alone");
  if (family.norms != 2) model.set_norms_per_layer(family.norms);
  note_shared_caches(config);
  constexpr int kRowsBefore = 2;  // OPT counts positions from 2 on
  if (family.learned_positions)
    model.set_learned_positions(model.max_positions() + (family.model_type == "opt" ? kRowsBefore : 0));
  if (config.flag("alibi", false)) model.clear_learned_positions();
  if (config.flag("alibi", family.alibi)) model.set_rotary(false);
  check_types(config);
  if (!config.entries("cross_attention_layers").empty())
    config.fault("cross_attention_layers", "layers that attend to images",
                 "none: a model file says layers that attend to texts");
}

/// Gemma 4: an embedding of the token for each layer, which a gate and a projection bring into the stream
/// (modeling_gemma4.py: embed_tokens_per_layer, per_layer_model_projection, per_layer_input_gate,
/// per_layer_projection).
void read_layer_embeddings(ConfigReader& config) {
  proto::Model& model = config.model();
  const int width = config.whole("hidden_size_per_layer_input", 0, 0, 1'000'000);
  const int rows = config.whole("vocab_size_per_layer_input", model.vocabulary(), 1, 10'000'000);
  if (width == 0 || model.layers() == 0) return;
  constexpr int kMatrices = 3;  // gate, projection, and the layer's part of that of the model
  const std::int64_t across = std::int64_t{model.hidden()} * width;
  model.mutable_attention()->set_further_elements(static_cast<int>(
      std::min<std::int64_t>(model.attention().further_elements() + kMatrices * across, 2'000'000'000)));
  model.set_norms_per_layer(model.norms_per_layer() + 1);
  model.set_further_parameters(model.further_parameters() + std::int64_t{rows} * width * model.layers() + width);
  config.note(
      "hidden_size_per_layer_input",
      fmt::format("{:.2f} B parameters of embeddings for each layer are counted, and not as active: a token reads "
                  "one row of them",
                  static_cast<double>(rows) * width * model.layers() / 1e9));
}

LayerKinds layer_kinds(ConfigReader& config) {
  LayerKinds kinds;
  if (config.model().layers() == 0) return kinds;
  const Blocks blocks = blocks_of(config);
  if (blocks.mixers() > 0) {
    kinds.with_state = blocks.states;
    kinds.with_experts = blocks.experts;
    kinds.with_ffn = blocks.ffn;
    kinds.windowed = 0;
    return kinds;
  }
  kinds.with_state = state_layers(config);
  kinds.windowed = std::min(windowed_layers(config), config.model().layers() - kinds.with_state);
  return kinds;
}

}  // namespace flopcast
