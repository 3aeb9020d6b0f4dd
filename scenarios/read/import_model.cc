#include "scenarios/read/import_model.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>

#include "scenarios/proto/library.pb.h"
#include "scenarios/read/json_file.h"
#include "scenarios/read/library_entries.h"

namespace flopcast {
namespace {

namespace pb = google::protobuf;
using pb::Value;

enum class Experts : std::uint8_t { none, as_wide_as_ffn, own_width };

/// What the classes of the transformers library fix, or assume where a config.json is silent.
struct Family {
  std::string_view architecture;
  std::string_view model_type;
  bool latent = false;
  Experts experts = Experts::none;
  bool gated = true;
  bool qkv_bias = false;  ///< unless stated
  bool tied = false;      ///< unless stated
};

/// Sources: transformers/models/*/configuration_*.py and modeling_*.py of Hugging Face (2025-08), and the
/// files of that name beside the weights of DeepSeek-V2, DeepSeek-V3, Kimi K2 and hpcai-tech/grok-1.
constexpr Family kFamilies[] = {
    {.architecture = "LlamaForCausalLM", .model_type = "llama"},
    {.architecture = "MistralForCausalLM", .model_type = "mistral"},
    {.architecture = "MixtralForCausalLM", .model_type = "mixtral", .experts = Experts::as_wide_as_ffn},
    {.architecture = "Qwen2ForCausalLM", .model_type = "qwen2", .qkv_bias = true},
    {.architecture = "Qwen2MoeForCausalLM", .model_type = "qwen2_moe", .experts = Experts::own_width, .qkv_bias = true},
    {.architecture = "Qwen3ForCausalLM", .model_type = "qwen3"},
    {.architecture = "Qwen3MoeForCausalLM", .model_type = "qwen3_moe", .experts = Experts::own_width},
    {.architecture = "DeepseekV2ForCausalLM",
     .model_type = "deepseek_v2",
     .latent = true,
     .experts = Experts::own_width},
    {.architecture = "DeepseekV3ForCausalLM",
     .model_type = "deepseek_v3",
     .latent = true,
     .experts = Experts::own_width},
    {.architecture = "KimiK2ForCausalLM", .model_type = "kimi_k2", .latent = true, .experts = Experts::own_width},
    {.architecture = "GptOssForCausalLM",
     .model_type = "gpt_oss",
     .experts = Experts::as_wide_as_ffn,
     .qkv_bias = true},
    {.architecture = "GPT2LMHeadModel", .model_type = "gpt2", .gated = false, .qkv_bias = true, .tied = true},
    {.architecture = "GPTNeoXForCausalLM", .model_type = "gpt_neox", .gated = false, .qkv_bias = true},
    {.architecture = "NemotronForCausalLM", .model_type = "nemotron", .gated = false},
    {.architecture = "Grok1ModelForCausalLM", .model_type = "grok-1", .experts = Experts::as_wide_as_ffn, .tied = true},
};

enum class Need : std::uint8_t { required, optional };

/// A whole number of the model file and what config.json files call it; bounds are those of the model file.
struct NumberField {
  std::string_view target;
  std::array<std::string_view, 3> names;
  Need need = Need::required;
};

constexpr NumberField kShape[] = {
    {"layers", {"num_hidden_layers", "n_layer"}},
    {"hidden", {"hidden_size", "n_embd"}},
    {"vocabulary", {"vocab_size"}},
    {"max_positions", {"max_position_embeddings", "n_positions", "n_ctx"}},
    {"attention.heads", {"num_attention_heads", "n_head"}},
};
constexpr NumberField kFfnWidth = {"ffn_width", {"intermediate_size", "n_inner"}};
constexpr NumberField kHeads[] = {
    {"attention.kv_heads", {"num_key_value_heads"}, Need::optional},
    {"attention.head_dim", {"head_dim"}, Need::optional},
};
constexpr NumberField kLatent[] = {
    {"attention.q_lora_rank", {"q_lora_rank"}, Need::optional},
    {"attention.kv_lora_rank", {"kv_lora_rank"}},
    {"attention.qk_nope_dim", {"qk_nope_head_dim"}},
    {"attention.qk_rope_dim", {"qk_rope_head_dim"}},
    {"attention.v_dim", {"v_head_dim"}},
    {"mtp_depth", {"num_nextn_predict_layers"}, Need::optional},
};
constexpr NumberField kExpertCount = {"moe.experts", {"n_routed_experts", "num_local_experts", "num_experts"}};
constexpr NumberField kExpertWidth = {"moe.expert_width", {"moe_intermediate_size"}};
constexpr NumberField kRouting[] = {
    {"moe.experts_per_token", {"num_experts_per_tok", "experts_per_token"}},
    {"moe.shared_experts", {"n_shared_experts"}, Need::optional},
    {"moe.groups", {"n_group"}, Need::optional},
    {"moe.groups_per_token", {"topk_group"}, Need::optional},
};

/// Fields that change neither sizes nor work: identity, tokens, initialisation, rotation, activation function
/// (gating follows from the family), dropout, losses, scaling of logits, stored precision. Biases and norms
/// other than those counted by count_parameters() are among them.
// clang-format off
constexpr std::string_view kWithoutCost[] = {
    "_attn_implementation", "_attn_implementation_autoset", "_name_or_path", "activation_function",
    "architectures", "attention_dropout", "attn_implementation", "attn_output_multiplier", "attn_pdrop",
    "auto_map", "aux_loss_alpha", "bos_token_id", "classifier_dropout", "dtype", "embd_pdrop",
    "embedding_multiplier_scale", "eos_token_id", "ep_size", "gradient_checkpointing", "hidden_act",
    "hidden_dropout", "id2label", "initial_context_length", "initializer_range", "label2id",
    "layer_norm_eps", "layer_norm_epsilon", "max_attn_value", "max_window_layers", "mlp_bias",
    "model_type", "norm_eps", "norm_topk_prob", "output_attentions", "output_hidden_states",
    "output_multiplier_scale", "output_router_logits", "pad_token_id", "partial_rotary_factor",
    "pretraining_tp", "qk_head_dim", "qk_layernorm", "quantization_config", "reorder_and_upcast_attn",
    "resid_pdrop", "return_dict", "rms_norm_eps", "rope_interleave", "rope_parameters", "rope_scaling",
    "rope_theta", "rotary_emb_base", "rotary_pct", "routed_scaling_factor", "router_aux_loss_coef",
    "router_jitter_noise", "scale_attn_by_inverse_layer_idx", "scale_attn_weights", "scoring_func",
    "seq_aux", "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type",
    "summary_use_proj", "swiglu_limit", "task_specific_params", "topk_method", "torch_dtype",
    "transformers_version", "unk_token_id", "use_cache", "use_mrope", "use_parallel_residual",
    "use_qk_norm"};
// clang-format on

std::string shown(const Value& value) {
  switch (value.kind_case()) {
    case Value::kNumberValue:
      return fmt::format("{}", value.number_value());
    case Value::kStringValue:
      return quoted(value.string_value());
    case Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case Value::kListValue:
      return "a list";
    case Value::kStructValue:
      return "an object";
    default:
      return "null";
  }
}

/// A field of the model file by its path, and the message within `model` that holds it.
std::pair<pb::Message*, const pb::FieldDescriptor*> target(proto::Model& model, std::string_view path) {
  pb::Message* message = &model;
  for (auto dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.')) {
    const auto* field = message->GetDescriptor()->FindFieldByName(std::string(path.substr(0, dot)));
    message = message->GetReflection()->MutableMessage(message, field);
    path.remove_prefix(dot + 1);
  }
  return {message, message->GetDescriptor()->FindFieldByName(std::string(path))};
}

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

/// Reads one config.json, collecting faults and notes. Every name it asks for counts as understood.
class Importer {
 public:
  Importer(JsonObject object, const Family& family) : object_(std::move(object)), family_(family) {
    understood_.insert(std::begin(kWithoutCost), std::end(kWithoutCost));
  }

  proto::Model read() {
    for (const NumberField& field : kShape) number(field);
    read_ffn_width();
    model_.set_gated_ffn(family_.gated);
    model_.set_tied_embeddings(flag("tie_word_embeddings", family_.tied));
    family_.latent ? read_latent_attention() : read_attention();
    if (family_.experts != Experts::none) read_experts();
    note_windows();
    note_unknown_fields();
    report_missing();
    check_laws();
    if (!faults_.empty()) throw InputError(std::move(faults_));
    return model_;
  }

  const std::vector<ImportNote>& notes() const { return notes_; }

 private:
  /// The field's value; null where it is absent or null, which mean the same in these files.
  const Value* find(std::string_view name) {
    const auto found = object_.fields.find(*understood_.emplace(name).first);
    const bool stated = found != object_.fields.end() && found->second.kind_case() != Value::kNullValue;
    return stated ? &found->second : nullptr;
  }

  /// Of a list; none where the field is absent or something else.
  const auto& entries(std::string_view name) {
    const Value* value = find(name);
    return (value ? *value : Value::default_instance()).list_value().values();
  }

  void fault(std::string_view name, std::string found, std::string expected, std::string suggestion = "") {
    if (faults_.size() == kMostDiagnostics) return;
    faults_.push_back(
        object_.places.fault(std::string(name), std::move(found), std::move(expected), std::move(suggestion)));
  }
  void note(std::string_view name, std::string text) {
    notes_.push_back({object_.places.find(std::string(name)), std::string(name), std::move(text)});
  }

  /// True when the model has the number now.
  bool number(const NumberField& field) {
    std::string_view stated;
    for (const std::string_view name : field.names) {
      if (name.empty() || !find(name)) continue;
      if (stated.empty())
        stated = name;
      else
        note_disagreement(stated, name);
    }
    if (!stated.empty()) return store(field, stated, *find(stated));
    if (field.need == Need::required) missing_.push_back(field);
    return false;
  }

  void note_disagreement(std::string_view used, std::string_view other) {
    if (shown(*find(used)) == shown(*find(other))) return;
    note(other, fmt::format("{} where {} says {}; the latter was used", shown(*find(other)), used, shown(*find(used))));
  }

  std::string bounds(const NumberField& field) {
    const auto& rule = target(model_, field.target).second->options().GetExtension(proto::rule);
    return fmt::format("a whole number from {} to {}", rule.min(), rule.max());
  }

  bool store(const NumberField& field, std::string_view name, const Value& value) {
    const auto [message, descriptor] = target(model_, field.target);
    const auto& rule = descriptor->options().GetExtension(proto::rule);
    const double n = value.number_value();
    const bool good = value.kind_case() == Value::kNumberValue && n == std::floor(n) && n >= std::stod(rule.min()) &&
                      n <= std::stod(rule.max());
    if (!good) {
      fault(name, shown(value), bounds(field));
      return false;
    }
    derive(field.target, static_cast<int>(n), name);
    return true;
  }

  /// Sets a number of the model that follows from the field `name`.
  void derive(std::string_view path, int value, std::string_view name) {
    const auto [message, descriptor] = target(model_, path);
    message->GetReflection()->SetInt32(message, descriptor, value);
    origins_[std::string(path)] = name;
  }

  bool flag(std::string_view name, bool otherwise) {
    const Value* value = find(name);
    if (!value) return otherwise;
    if (value->kind_case() != Value::kBoolValue) fault(name, shown(*value), "true or false");
    return value->bool_value();
  }

  /// A whole number that only decides which layers have experts.
  int spacing(std::string_view name, int otherwise, int least) {
    constexpr double kMost = 4096;  // layers of a model
    const Value* value = find(name);
    if (!value) return otherwise;
    const double n = value->number_value();
    if (value->kind_case() == Value::kNumberValue && n == std::floor(n) && n >= least && n <= kMost)
      return static_cast<int>(n);
    fault(name, shown(*value), fmt::format("a whole number from {} to {}", least, kMost));
    return otherwise;
  }

  void read_ffn_width() {
    const bool gpt2 = family_.model_type == "gpt2";
    if (gpt2 && !find("n_inner") && !find("intermediate_size")) {
      if (model_.hidden() > 0) derive("ffn_width", 4 * model_.hidden(), "n_embd");  // as GPT2Config says
    } else {
      number(kFfnWidth);
    }
  }

  void read_latent_attention() {
    for (const NumberField& field : kLatent) number(field);
    model_.mutable_attention()->set_type("latent");
    // Restated for tools that know no latent attention; what they say follows from the fields above.
    for (const char* restated : {"num_key_value_heads", "head_dim", "attention_bias"}) find(restated);
  }

  void read_attention() {
    for (const NumberField& field : kHeads) number(field);
    proto::Attention& a = *model_.mutable_attention();
    a.set_type(a.has_kv_heads() && a.kv_heads() != a.heads() ? "grouped_query" : "multi_head");
    if (a.type() == "multi_head") a.clear_kv_heads();
    a.set_qkv_bias(flag("attention_bias", flag("qkv_bias", family_.qkv_bias)));
    if (!find("head_dim")) derive_head_dim();
  }

  void derive_head_dim() {
    const int heads = model_.attention().heads();
    if (heads == 0 || model_.hidden() == 0) return;
    const std::string_view name = origins_["attention.heads"];
    if (model_.hidden() % heads != 0)
      fault(name, fmt::format("{}", heads),
            fmt::format("a divisor of {}, {}, for head_dim is not stated", origins_["hidden"], model_.hidden()));
    derive("attention.head_dim", model_.hidden() / heads, name);
  }

  void read_experts() {
    const bool none = std::any_of(kExpertCount.names.begin(), kExpertCount.names.end(),
                                  [&](std::string_view name) { return is_null(name); });
    if (none || !number(kExpertCount)) return;
    for (const NumberField& field : kRouting) number(field);
    if (family_.experts == Experts::own_width)
      number(kExpertWidth);
    else if (model_.has_ffn_width())
      derive("moe.expert_width", model_.ffn_width(), origins_["ffn_width"]);
    read_shared_expert();
    read_layer_pattern();
  }

  bool is_null(std::string_view name) const {
    const auto found = object_.fields.find(std::string(name));
    return found != object_.fields.end() && found->second.kind_case() == Value::kNullValue;
  }

  /// Qwen2-MoE states the width of its shared expert instead of how many experts it stands for.
  void read_shared_expert() {
    constexpr std::string_view kName = "shared_expert_intermediate_size";
    const Value* value = find(kName);
    const double width = model_.moe().expert_width();
    if (!value || width == 0) return;
    const double times = value->number_value() / width;
    if (value->kind_case() == Value::kNumberValue && times == std::floor(times) && times >= 0 && times <= 64)
      derive("moe.shared_experts", static_cast<int>(times), kName);
    else
      fault(kName, shown(*value), fmt::format("0 to 64 times moe_intermediate_size, {}", width));
  }

  /// Layer i has experts when i >= first_k_dense_replace and moe_layer_freq divides i (DeepSeek), or when
  /// decoder_sparse_step divides i + 1 and mlp_only_layers does not list i (Qwen).
  void read_layer_pattern() {
    if (family_.latent && !find("first_k_dense_replace"))
      fault("first_k_dense_replace", "nothing", "how many leading layers have no experts");
    const Value* frequency = find("moe_layer_freq");
    const bool listed = frequency && frequency->kind_case() == Value::kListValue;
    const int first = spacing("first_k_dense_replace", 0, 0);
    const int step = spacing("decoder_sparse_step", 1, 1);
    const int every = listed ? 1 : spacing("moe_layer_freq", 1, 1);
    const std::set<int> dense = layers_listed("mlp_only_layers");

    std::vector<bool> has_experts(static_cast<std::size_t>(model_.layers()));
    for (int i = 0; i < model_.layers(); ++i)
      has_experts[static_cast<std::size_t>(i)] =
          i >= first && i % every == 0 && (i + 1) % step == 0 && !dense.contains(i);
    if (listed && !apply_list(frequency->list_value(), has_experts)) return;
    if (const auto pattern = pattern_of(has_experts)) {
      derive("moe.first_dense_layers", pattern->first_dense, "first_k_dense_replace");
      derive("moe.every", pattern->every, "moe_layer_freq");
    } else {
      const char* name = !dense.empty() ? "mlp_only_layers" : "moe_layer_freq";
      fault(name, "layers with experts at uneven distances",
            "leading layers without experts, then experts in each n-th layer");
    }
  }

  /// One entry per layer, 1 where it has experts.
  bool apply_list(const pb::ListValue& list, std::vector<bool>& has_experts) {
    if (static_cast<std::size_t>(list.values_size()) != has_experts.size()) {
      fault("moe_layer_freq", fmt::format("a list of {}", list.values_size()),
            fmt::format("one entry for each of the {} layers", has_experts.size()));
      return false;
    }
    for (int i = 0; i < list.values_size(); ++i)
      has_experts[static_cast<std::size_t>(i)] = list.values(i).number_value() != 0;
    return true;
  }

  std::set<int> layers_listed(std::string_view name) {
    std::set<int> layers;
    const Value* value = find(name);
    bool good = !value || value->kind_case() == Value::kListValue;
    for (const Value& entry : entries(name)) {
      const double layer = entry.number_value();
      good = good && entry.kind_case() == Value::kNumberValue && layer == std::floor(layer) && layer >= 0 &&
             layer < model_.layers();
      if (good) layers.insert(static_cast<int>(layer));
    }
    if (!good) fault(name, shown(*value), "a list of layers, counted from 0");
    return layers;
  }

  /// Attention to a window of the last tokens costs less than a model file can say.
  void note_windows() {
    const Value* window = find("sliding_window");
    const bool used = flag("use_sliding_window", true);
    for (const Value& kind : entries("layer_types")) {
      if (kind.string_value() == "full_attention" || kind.string_value() == "sliding_attention") continue;
      fault("layer_types", shown(kind), "full_attention or sliding_attention");
      break;
    }
    if (!window || !used || !(window->number_value() < model_.max_positions())) return;
    note("sliding_window",
         fmt::format("attention to the last {} tokens only is not modelled: its cost is an upper bound",
                     window->number_value()));
  }

  void note_unknown_fields() {
    const std::vector<std::string> known(understood_.begin(), understood_.end());
    std::size_t strangers = 0;
    for (const auto& [name, value] : object_.fields) {
      if (understood_.contains(name) || ++strangers > kMostDiagnostics) continue;
      const std::string nearest = nearest_name(name, known);
      note(name,
           "not understood and left out" + (nearest.empty() ? "" : fmt::format(" (nearest known field: {})", nearest)));
    }
    if (strangers > kMostDiagnostics)
      note("", fmt::format("{} more fields not understood and left out", strangers - kMostDiagnostics));
  }

  /// Last, when it is known which fields have not been understood: one of them may be the missing one,
  /// misspelt.
  void report_missing() {
    std::vector<std::string> strangers;
    constexpr std::size_t kMostStrangers = 1000;  // comparing names takes time
    for (const auto& [name, value] : object_.fields) {
      if (!understood_.contains(name) && strangers.size() < kMostStrangers) strangers.push_back(name);
    }
    for (const NumberField& field : missing_) {
      const std::string name(field.names.front());
      fault(name, "nothing", bounds(field), nearest_name(name, strangers));
    }
  }

  /// What the library asks of a model beyond single fields, told in the names of the config.json.
  void check_laws() {
    if (!faults_.empty()) return;
    Entry<proto::Model> entry;
    entry.message = model_;
    Diagnostics faults;
    model_config(entry, faults);
    for (Diagnostic& law : faults) {
      const auto origin = origins_.find(law.field);
      fault(origin == origins_.end() ? law.field : origin->second, law.found, law.expected);
    }
  }

  JsonObject object_;
  const Family& family_;
  proto::Model model_;
  std::set<std::string> understood_;
  std::vector<NumberField> missing_;
  std::map<std::string, std::string> origins_;  ///< fields of the model and the names they were read from
  Diagnostics faults_;
  std::vector<ImportNote> notes_;
};

std::string read_config(const std::string& file) {
  try {
    return read_text_file(file);
  } catch (const InputError& error) {
    Diagnostic fault = error.diagnostics().front();
    fault.expected = "a Hugging Face config.json of at most 1 MiB";
    throw InputError(std::move(fault));
  }
}

std::string text_of(const JsonObject& object, const std::string& name) {
  const auto found = object.fields.find(name);
  return found == object.fields.end() ? "" : found->second.string_value();
}

const Family* find_family(std::string_view architecture) {
  const auto* found = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                   [&](const Family& family) { return family.architecture == architecture; });
  return found == std::end(kFamilies) ? nullptr : found;
}

[[noreturn]] void refuse_architecture(Diagnostic fault, const std::string& found) {
  const auto all = importable_architectures();
  fault.expected = fmt::format("one of {}", fmt::join(all, ", "));
  fault.suggestion = nearest_name(found, {all.begin(), all.end()});
  throw InputError(std::move(fault));
}

/// By what the user says, by the first of "architectures", or by "model_type".
const Family& family_of(const JsonObject& object, const std::string& asked_for) {
  if (!asked_for.empty()) {
    if (const Family* family = find_family(asked_for)) return *family;
    refuse_architecture({"", 0, 0, "--as", quoted(asked_for), "", ""}, asked_for);
  }
  const auto listed = object.fields.find("architectures");
  if (listed != object.fields.end() && listed->second.list_value().values_size() > 0) {
    const std::string name = listed->second.list_value().values(0).string_value();
    if (const Family* family = find_family(name)) return *family;
    refuse_architecture(object.places.fault("architectures", quoted(name), ""), name);
  }
  const std::string type = text_of(object, "model_type");
  for (const Family& family : kFamilies) {
    if (family.model_type == type) return family;
  }
  refuse_architecture(object.places.fault("architectures", "nothing", ""), type);
}

/// "meta-llama/Llama-3.1-8B" and "Llama-3.1-8B/config.json" are both Llama-3.1-8B.
std::string title_of(const JsonObject& object, const std::string& file, const Family& family) {
  const std::filesystem::path path(file);
  const std::string known_as = std::filesystem::path(text_of(object, "_name_or_path")).filename();
  if (!known_as.empty()) return known_as;
  if (path.stem() != "config") return path.stem();
  const std::string folder = path.parent_path().filename();
  return folder.empty() || folder.starts_with('.') ? std::string(family.model_type) : folder;
}

/// The day the file was last written: nothing in it says when it was published.
std::string date_of(const std::string& file) {
  const auto written = std::chrono::file_clock::to_sys(std::filesystem::last_write_time(file));
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(written));
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                     static_cast<unsigned>(day.day()));
}

/// As it can stand in a comment, which ends with the line.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

std::string header(const ModelConfig& model, const std::string& origin, const std::vector<ImportNote>& notes) {
  const ParameterCount count = count_parameters(model);
  std::string out = fmt::format("# {}: {:.2f} B parameters, {:.2f} B active per token", one_line(model.title),
                                count.total / 1e9, count.active / 1e9);
  out += " (output head counted, embedding not)";
  if (model.mtp_depth > 0)
    out += fmt::format(";\n# MTP modules, not counted here: {} x {:.2f} B", model.mtp_depth, count.mtp_module / 1e9);
  out += ".\n# Imported from " + one_line(origin) + ".\n";
  for (const ImportNote& note : notes) {
    const std::string field = note.field.empty() ? "" : note.field + ": ";
    out += "# " + one_line(field + note.text) + ".\n";
  }
  return out;
}

std::string printed(const proto::Model& model) {
  pb::TextFormat::Printer printer;
  printer.SetUseUtf8StringEscaping(true);
  std::string text;
  printer.PrintToString(model, &text);
  return text;
}

}  // namespace

std::span<const std::string> importable_architectures() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const Family& family : kFamilies) names.emplace_back(family.architecture);
    return names;
  }();
  return kNames;
}

std::string to_string(const ImportNote& note) {
  std::string out = note.place.file;
  if (note.place.line > 0) out += fmt::format(":{}:{}", note.place.line, note.place.column);
  if (!note.field.empty()) out += ": " + one_line(note.field);
  return out + ": " + note.text;
}

ImportedModel import_model(const std::string& file, const ImportOptions& options) {
  JsonObject object = parse_json_object(read_config(file), file);
  const Family& family = family_of(object, options.architecture);
  const std::string title = options.name.empty() ? title_of(object, file, family) : options.name;
  const std::string origin = fmt::format("{} ({})", file, family.architecture);

  Importer importer(std::move(object), family);
  Entry<proto::Model> entry;
  entry.message = importer.read();
  entry.message.set_title(title);
  proto::Source& source = *entry.message.add_sources();
  source.set_text(origin + ", by flopcast import-model");
  source.set_date(date_of(file));

  Diagnostics none;  // read() has checked
  ImportedModel out;
  out.model = model_config(entry, none);
  out.notes = importer.notes();
  out.text = header(out.model, origin, out.notes) + printed(entry.message);
  return out;
}

}  // namespace flopcast
