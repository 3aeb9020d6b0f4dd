// Dense FFNs and experts: widths, how many, in which layers.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "scenarios/imports/config_reader.h"

namespace flopcast {
namespace {

using google::protobuf::Value;

constexpr NumberField kDenseWidth = {
    "ffn_width", {"intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "inner_hidden_size"}};
/// Of the dense layers of models whose intermediate_size is that of an expert.
constexpr NumberField kDenseWidthApart = {
    "ffn_width", {"intermediate_size_mlp", "dense_intermediate_size"}, Need::optional};
constexpr NumberField kExpertCount = {
    "moe.experts", {"n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts", "num_moe_experts"}};
constexpr NumberField kExpertWidth = {
    "moe.expert_width",
    {"moe_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size", "expert_intermediate_size"}};
constexpr NumberField kPerToken = {"moe.experts_per_token",
                                   {"num_experts_per_tok", "experts_per_token", "moe_top_k", "moe_topk", "moe_k",
                                    "num_experts_per_token", "top_k_experts"}};
constexpr NumberField kRouting[] = {
    {"moe.shared_experts",
     {"n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts"},
     Need::optional},
    {"moe.groups", {"n_group", "num_expert_group", "num_expert_groups"}, Need::optional},
    {"moe.groups_per_token", {"topk_group", "num_limited_groups"}, Need::optional},
    {"moe.latent_width", {"moe_latent_size", "routed_expert_hidden_size"}, Need::optional},
};
constexpr NumberField kPredictionModules = {
    "mtp_depth",
    {"num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules", "num_mtp_layers"},
    Need::optional};

/// Every `every`-th of the layers after the first `first_dense` has experts, as in MoeConfig.
struct LayerPattern {
  int first_dense = 0;
  int every = 1;
};

/// The pattern that has experts in exactly these layers, if there is one.
std::optional<LayerPattern> pattern_of(const std::vector<bool>& has_experts) {
  const int layers = static_cast<int>(has_experts.size());
  const int first = static_cast<int>(std::find(has_experts.begin(), has_experts.end(), true) - has_experts.begin());
  if (first == layers) return LayerPattern{layers, 1};
  for (int every = 1; every <= first + 1; ++every) {
    const auto fits = [&](int layer) {
      return has_experts[static_cast<std::size_t>(layer)] == ((layer - first) % every == 0);
    };
    int layer = first;
    while (layer < layers && fits(layer)) ++layer;
    if (layer == layers) return LayerPattern{first - every + 1, every};
  }
  return std::nullopt;
}

std::set<int> layers_listed(ConfigReader& config, std::string_view name) {
  std::set<int> layers;
  const Value* value = config.find(name);
  bool good = !value || value->kind_case() == Value::kListValue;
  for (const Value& entry : config.entries(name)) {
    const double layer = entry.number_value();
    good = good && entry.kind_case() == Value::kNumberValue && layer == std::floor(layer) && layer >= 0 &&
           layer < config.model().layers();
    if (good) layers.insert(static_cast<int>(layer));
  }
  if (!good) config.fault(name, shown(*value), "a list of layers, counted from 0");
  return layers;
}

/// "3,4,5": layers with experts (Step).
std::set<int> layers_in_text(ConfigReader& config, std::string_view name) {
  std::set<int> layers;
  const std::string text = config.text(name);
  for (std::size_t at = 0; at < text.size();) {
    int layer = -1;
    std::from_chars(text.data() + at, text.data() + text.size(), layer);
    if (layer >= 0) layers.insert(layer);
    at = std::min(text.find(',', at), text.size() - 1) + 1;
  }
  return layers;
}

/// One entry per layer, 1 or "sparse" where it has experts. False when there is none, or a faulty one.
bool apply_list(ConfigReader& config, std::string_view name, std::vector<bool>& has_experts) {
  const Value* value = config.find(name);
  if (!value || value->kind_case() != Value::kListValue) return false;
  const auto list = config.entries(name);
  if (list.size() != has_experts.size()) {
    config.fault(name, fmt::format("a list of {}", list.size()),
                 fmt::format("one entry for each of the {} layers", has_experts.size()));
    return false;
  }
  for (std::size_t i = 0; i < list.size(); ++i)
    has_experts[i] = list[i].number_value() != 0 || list[i].string_value() == "sparse" || list[i].bool_value();
  return true;
}

/// Layer i has experts when i >= first_k_dense_replace and moe_layer_freq divides i (DeepSeek), when
/// decoder_sparse_step divides i + 1 and mlp_only_layers does not list i (Qwen), when interleave_moe_layer_step divides
/// i + 1 (Llama 4), or when i is expert_layer_offset more than a multiple of expert_layer_period (Jamba).
std::vector<bool> layers_with_experts(ConfigReader& config) {
  const int layers = config.model().layers();
  constexpr int kMost = 4096;
  const Value* frequency = config.find("moe_layer_freq");
  const bool listed = frequency && frequency->kind_case() == Value::kListValue;
  const int first =
      std::max({config.whole("first_k_dense_replace", config.family().first_dense, 0, layers),
                config.whole("moe_layer_start_index", 0, 0, kMost), config.whole("num_dense_layers", 0, 0, layers)});
  const int last = config.whole("moe_layer_end_index", layers - 1, -1, kMost);
  const int step = config.whole(
      "decoder_sparse_step",
      config.whole("interleave_moe_layer_step", config.whole("moe_layer_frequency", 1, 1, kMost), 1, kMost), 1, kMost);
  const int every =
      listed ? 1 : config.whole("moe_layer_freq", config.whole("moe_layer_interval", 1, 1, kMost), 1, kMost);
  const int period = config.whole("expert_layer_period", config.family().model_type == "jamba" ? 2 : 1, 1, kMost);
  const int offset = config.whole("expert_layer_offset", period > 1 ? 1 : 0, 0, kMost);
  const std::set<int> dense = layers_listed(config, "mlp_only_layers");
  const std::set<int> only = layers_in_text(config, "moe_layers_enum");
  std::vector<bool> has_experts(static_cast<std::size_t>(layers));
  for (int i = 0; i < layers; ++i)
    has_experts[static_cast<std::size_t>(i)] = i >= first && (last < 0 || i <= last) && i % every == 0 &&
                                               (i + 1) % step == 0 && i % period == offset && !dense.contains(i) &&
                                               (only.empty() || only.contains(i));
  if (listed) apply_list(config, "moe_layer_freq", has_experts);
  apply_list(config, "mlp_layer_types", has_experts);
  if (const std::set<int> own = layers_listed(config, "moe_layers"); !own.empty())
    for (int i = 0; i < layers; ++i) has_experts[static_cast<std::size_t>(i)] = own.contains(i);
  return has_experts;
}

void say_layers(ConfigReader& config, const std::vector<bool>& has_experts) {
  if (const auto pattern = pattern_of(has_experts)) {
    config.derive("moe.first_dense_layers", pattern->first_dense, "first_k_dense_replace");
    config.derive("moe.every", pattern->every, "moe_layer_freq");
    return;
  }
  const auto first = std::find(has_experts.begin(), has_experts.end(), true) - has_experts.begin();
  config.derive("moe.first_dense_layers", static_cast<int>(first), "moe_layer_freq");
  config.derive("moe.layers", static_cast<int>(std::count(has_experts.begin(), has_experts.end(), true)),
                "moe_layer_freq");
}

/// Some state the width of their shared experts together, some that of one.
void read_shared(ConfigReader& config) {
  proto::MixtureOfExperts& moe = *config.model().mutable_moe();
  const ModelClass& family = config.family();
  const int number = moe.shared_experts();
  double together = 0;
  std::string_view name;
  for (const char* each : {"moe_shared_expert_intermediate_size", "share_expert_dim"}) {
    if (const int width = config.whole(each, 0, 0); width > 0) {
      together = static_cast<double>(width) * std::max(1, number);
      name = each;
    }
  }
  for (const char* all : {"shared_expert_intermediate_size", "shared_intermediate_size"}) {
    if (const int width = config.whole(all, 0, 0, 10'000'000); width > 0) {
      together = width;
      name = all;
    }
  }
  // MiniMax-Text says that there is none by a width of 0.
  if (config.has("shared_intermediate_size") && together == 0 && number == 0) return;
  if (together == 0 && number == 0 && family.shared_experts > 0) moe.set_shared_experts(family.shared_experts);
  // Arctic: a dense network beside the experts, as wide as the residual stream.
  if (config.flag("parallel_attn_mlp_res", false) ||
      (family.model_type == "arctic" && config.flag("use_residual", true))) {
    together = config.model().hidden();
    name = "use_residual";
  }
  // Gemma 4: a dense network beside the experts of each layer, norms of both, and a scale before the router.
  if (config.flag("enable_moe_block", false)) {
    together = config.whole("intermediate_size", 0, 1, 10'000'000);
    name = "enable_moe_block";
    constexpr int kFurtherNorms = 4;
    config.model().set_norms_per_layer(config.model().norms_per_layer() + kFurtherNorms);
  }
  // Grok 2: one more network beside the experts, as wide as a dense one.
  if (config.flag("residual_moe", false)) {
    together = config.whole("intermediate_size", 0, 1, 10'000'000);
    name = "residual_moe";
  }
  if (together == 0 || moe.expert_width() == 0) return;
  const double times = together / moe.expert_width();
  if (times == std::floor(times) && times <= 64)
    return config.derive("moe.shared_experts", static_cast<int>(times), name);
  config.derive("moe.shared_experts", std::max(1, number), name);
  config.derive("moe.shared_width", static_cast<int>(together), name);
}

/// @return whether the model has experts.
bool read_experts(ConfigReader& config, int blocks_with_experts) {
  const ModelClass& family = config.family();
  if (!family.experts) return false;
  const bool none =
      std::ranges::any_of(kExpertCount.names, [&](std::string_view name) { return config.is_null(name); });
  NumberField count = kExpertCount;
  if (family.experts_optional) count.need = Need::optional;
  if (none || blocks_with_experts == 0) return false;
  for (const std::string_view name : kExpertCount.names)
    if (!name.empty() && config.has(name) && config.whole(name, 1, 0) == 0) {
      for (const std::string_view chosen : kPerToken.names) config.find(chosen);
      return false;
    }
  if (!config.number(count)) return false;
  config.number(kPerToken);
  for (const NumberField& field : kRouting) config.number(field);
  const proto::Model& model = config.model();
  NumberField width = kExpertWidth;
  const bool as_ffn = family.expert_width == ExpertWidth::ffn || (family.model_type.empty() && model.has_ffn_width());
  if (as_ffn) width.need = Need::optional;
  if (!config.number(width) && as_ffn && config.has("intermediate_size"))
    config.derive("moe.expert_width", config.whole("intermediate_size", 0, 1), "intermediate_size");
  else if (!model.moe().has_expert_width() && as_ffn && model.has_ffn_width())
    config.derive("moe.expert_width", model.ffn_width(), config.origin("ffn_width"));
  read_shared(config);
  if (family.ffn_bias) config.model().mutable_moe()->set_bias(true);
  if (blocks_with_experts > 0) {
    config.derive("moe.layers", std::min(blocks_with_experts, model.layers()), "num_hidden_layers");
    if (blocks_with_experts > model.layers())
      config.fault("num_hidden_layers", "more blocks of experts than of mixers", "at most one behind each mixer");
    return true;
  }
  if (family.model_type.starts_with("deepseek_v") && model.attention().type() == "latent" &&
      !config.has("first_k_dense_replace"))
    config.fault("first_k_dense_replace", "nothing", "how many leading layers have no experts");
  if (model.layers() > 0) say_layers(config, layers_with_experts(config));
  return true;
}

/// LFM2 (modeling_lfm2.py, Lfm2MLP): two thirds of the width that is stated, times a factor, rounded up.
void read_lfm2_width(ConfigReader& config) {
  const char* name = config.has("block_ff_dim") ? "block_ff_dim" : "intermediate_size";
  int width = config.whole(name, 12288, 1, 10'000'000);
  for (const char* other : {"intermediate_size", "block_dim", "block_mlp_init_scale", "block_norm_eps",
                            "block_out_init_scale", "block_use_swiglu", "block_use_xavier_init", "num_heads"})
    config.find(other);
  const Value* factor = config.find("block_ffn_dim_multiplier");
  const int unit = config.whole("block_multiple_of", 256, 1, 1 << 20);
  if (config.flag("block_auto_adjust_ff_dim", true)) {
    width = 2 * width / 3;
    if (factor && factor->kind_case() == Value::kNumberValue && factor->number_value() > 0)
      width = static_cast<int>(std::min(1e7, factor->number_value() * width));
    width = (width + unit - 1) / unit * unit;
  }
  config.derive("ffn_width", width, name);
}

void read_dense_width(ConfigReader& config, bool optional) {
  const proto::Model& model = config.model();
  const std::string_view type = config.family().model_type;
  const bool four =
      type == "gpt2" || type == "falcon" || type == "bloom" || type == "mpt" || type == "gptj" || type == "gpt_bigcode";
  // Granite 4 without experts: what would be their shared one is its network.
  if (type == "granitemoehybrid" && !optional && config.has("shared_intermediate_size")) {
    config.find("intermediate_size");
    return config.derive("ffn_width", config.whole("shared_intermediate_size", 1, 1, 10'000'000),
                         "shared_intermediate_size");
  }
  if (type == "lfm2") return read_lfm2_width(config);
  if (config.family().both_halves && config.has("intermediate_size"))
    return config.derive("ffn_width", config.whole("intermediate_size", 2, 2, 10'000'000) / 2, "intermediate_size");
  if (config.number(kDenseWidthApart)) return void(config.find("intermediate_size"));
  NumberField field = kDenseWidth;
  if (four || optional) field.need = Need::optional;
  if (config.number(field)) return;
  constexpr int kTimes = 4;  // as these classes say
  if (four && model.hidden() > 0)
    config.derive("ffn_width", config.whole("expansion_ratio", kTimes, 1, 64) * model.hidden(),
                  config.origin("hidden"));
}

/// Gemma 4: layers that use keys and values of others have an FFN twice as wide; here all have the mean width.
void widen_shared_caches(ConfigReader& config, bool experts) {
  proto::Model& model = config.model();
  const int sharing = config.whole("num_kv_shared_layers", 0, 0, 100'000);
  if (!config.flag("use_double_wide_mlp", false) || sharing == 0 || model.layers() == 0) return;
  if (experts)
    return config.fault("use_double_wide_mlp", "true", "false where a model has experts: layers differ in their FFNs");
  const double mean = static_cast<double>(model.ffn_width()) * (model.layers() + sharing) / model.layers();
  config.derive("ffn_width", static_cast<int>(std::lround(mean)), "use_double_wide_mlp");
  config.note(
      "use_double_wide_mlp",
      fmt::format("FFNs of {} layers are twice as wide; each is {} wide here, their mean", sharing, model.ffn_width()));
}

}  // namespace

void read_networks(ConfigReader& config) {
  proto::Model& model = config.model();
  const LayerKinds kinds = layer_kinds(config);
  config.find("mlp_only_layers");  // an empty list in files of dense models
  const bool may_have_experts =
      config.family().experts &&
      std::ranges::any_of(kExpertCount.names, [&](std::string_view name) { return !name.empty() && config.has(name); });
  const auto is_zero = [&](std::string_view name) {
    return !name.empty() && config.has(name) && config.find(name)->number_value() == 0;
  };
  // Gemma 4 has experts only where it says so (configuration_gemma4.py, Gemma4TextConfig).
  const bool enabled = config.flag("enable_moe_block", config.family().model_type != "gemma4");
  const bool none = may_have_experts && (std::ranges::any_of(kExpertCount.names, is_zero) || !enabled);
  read_dense_width(config, may_have_experts && !none);
  const bool experts = enabled && read_experts(config, kinds.with_experts);
  if (!may_have_experts || experts) config.number(kPredictionModules);
  model.set_gated_ffn(config.flag("use_gated_activation", config.family().gated));
  widen_shared_caches(config, experts);
  // BitNet: a norm within the FFN, as wide as it.
  if (config.family().model_type == "bitnet")
    model.set_further_parameters(std::int64_t{model.layers()} * model.ffn_width());
  if (config.flag("mlp_bias", config.family().ffn_bias || config.flag("bias", config.flag("use_bias", false))) &&
      !experts)
    model.set_ffn_bias(true);
  if (kinds.with_ffn >= 0) {
    if (kinds.with_ffn == 0) model.set_ffn_width(0);
    if (!experts && kinds.with_ffn < model.layers()) model.set_ffn_layers(kinds.with_ffn);
    if (experts && kinds.with_ffn > 0)
      config.fault("hybrid_override_pattern", "blocks of dense FFNs beside blocks of experts", "one of the two");
  }
  if (model.has_ffn_width()) return;
  // Where every layer has experts, no dense width is needed.
  if (experts) model.set_ffn_width(0);
}

}  // namespace flopcast
