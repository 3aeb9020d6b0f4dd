#include "scenarios/imports/config_reader.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include "scenarios/read/libraries/library_entries.h"

namespace flopcast {
namespace {

namespace pb = google::protobuf;
using pb::Value;

/// Fields that change neither sizes nor work: identity, tokens, initialisation, rotation, activation function
/// (gating follows from the family), dropout, losses, scaling of logits, stored precision, kernels.
// clang-format off
constexpr std::string_view kWithoutCost[] = {
    "_attn_implementation", "_attn_implementation_autoset", "_name_or_path", "activation_function", 
    "alibi", "architectures", "attention_dropout", "attention_multiplier", "attention_probs_dropout_prob",
    "attention_value_scale", "attn_implementation", "attn_logit_softcapping", "attn_output_multiplier", "attn_pdrop",
    "auto_map", "aux_loss_alpha", "bad_words_ids", "begin_suppress_tokens", "bos_token_id", "chunk_size",
    "chunk_size_feed_forward", "classifier_dropout", "compress_rope_theta", "cross_attention_hidden_size",
    "decoder_start_token_id", "diversity_penalty", "do_sample", "dtype", "early_stopping", "embd_pdrop",
    "embedding_multiplier", "embedding_multiplier_scale", "encoder_no_repeat_ngram_size", "eos_token_id", "ep_size",
    "exponential_decay_length_penalty", "final_logit_softcapping", "finetuning_task", "forced_bos_token_id",
    "forced_eos_token_id", "gradient_checkpointing", "hc_eps", "hc_sinkhorn_iters", "hidden_act", "hidden_activation",
    "hidden_dropout", "hidden_dropout_prob", "id2label", "ignore_index", "index_share_for_mtp_iteration",
    "index_skip_topk_offset", "index_topk_freq", "index_topk_pattern", "indexer_rope_interleave",
    "initial_context_length", "initializer_range", "is_decoder", "label2id", "layer_norm_eps",
    "layer_norm_epsilon", "layernorm_epsilon", "length_penalty", "logit_scale", "logits_scaling",
    "mamba_hidden_act", "mamba_proj_bias", "mamba_ssm_cache_dtype", "mamba_ssm_dtype", "max_attn_value", "max_length",
    "min_length", "mlp_hidden_act", "model_type", "moe_router_dtype", "moe_router_scaling_factor",
    "moe_shared_expert_overlap", "mtp_layers_block_type", "mtp_transformer_layers", "mtp_use_dedicated_embeddings",
    "no_repeat_ngram_size", "norm_eps", "norm_topk_prob", "num_beam_groups", "num_beams", "num_logits_to_keep",
    "num_return_sequences", "original_max_position_embeddings", "output_attentions", "output_hidden_states",
    "output_multiplier_scale", "output_router_logits", "output_scores", "pad_token_id", "parallel_attn",
    "partial_rotary_factor", "position_embedding_type", "prefix", "pretraining_tp", "problem_type", "pruned_heads", "qk_head_dim",
    "query_pre_attn_scalar", "remove_invalid_values", "reorder_and_upcast_attn", "repetition_penalty",
    "rescale_prenorm_residual", "resid_pdrop", "residual_dropout", "residual_in_fp32", "residual_multiplier",
    "return_dict", "return_dict_in_generate", "rms_norm_eps", "rope_interleave", "rope_local_base_freq",
    "rope_parameters", "rope_scaling", "rope_theta", "rotary_dim", "rotary_emb_base", "rotary_pct",
    "routed_scaling_factor", "router_aux_loss_coef", "router_jitter_noise", "scale_attn_by_inverse_layer_idx",
    "scale_attn_weights", "scale_fmt", "scoring_func", "sep_token_id", "seq_aux", "sparse_disable_index_value",
    "sparse_init_block", "sparse_local_block", "sparse_score_type", "summary_activation", "summary_first_dropout",
    "summary_proj_to_labels", "summary_type", "summary_use_proj", "suppress_tokens", "swa_rope_theta", "swiglu_alpha",
    "swiglu_limit", "task_specific_params", "temperature", "tf_legacy_loss", "tie_encoder_decoder", "time_step_floor",
    "time_step_limit", "time_step_max", "time_step_min", "time_step_rank", "tokenizer_class", "top_k", "top_p",
    "topk_method", "torch_dtype", "torchscript", "transformers_version", "typical_p", "unk_token_id", "use_bfloat16",
    "use_cache", "use_conv_bias", "use_gemma_norm", "use_mamba_kernels", "use_moe_router_bias", "use_mrope",
    "use_parallel_residual", "use_routing_bias", "mamba_conv_bias", "num_hash_layers", "clip_qkv", "rmsnorm", "multi_query_attention", "mla_use_nope",
    "do_layer_norm_before", "lm_head_bias", "full_attn_layers", "no_rope_layers", "use_residual",
    "original_rope", "latent_moe_use_norm", "mup_enabled", "route_norm", "route_scale", "score_func", "load_balance_coeff", "use_grouped_mm",
    "use_grouped_topk", "moe_renormalize", "moe_router_activation_func", "use_bidirectional_attention", "eoa_token_index",
    "post_layer_norm", "apply_residual_connection_post_layernorm", "layernorm_type", "ffn_act_fn"};
// clang-format on

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

}  // namespace

std::string shown(const Value& value) {
  switch (value.kind_case()) {
    case Value::kNumberValue:
      return fmt::format("{}", value.number_value());
    case Value::kStringValue:
      return value.string_value() == kNotANumber ? "NaN" : quoted(value.string_value());
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

ConfigReader::ConfigReader(JsonObject object, const ModelClass& family) : object_(std::move(object)), family_(family) {
  understood_.insert(std::begin(kWithoutCost), std::end(kWithoutCost));
}

const Value* ConfigReader::find(std::string_view name) {
  const auto found = object_.fields.find(*understood_.emplace(name).first);
  const bool stated = found != object_.fields.end() && found->second.kind_case() != Value::kNullValue;
  return stated ? &found->second : nullptr;
}

bool ConfigReader::is_null(std::string_view name) const {
  const auto found = object_.fields.find(std::string(name));
  return found != object_.fields.end() && found->second.kind_case() == Value::kNullValue;
}

std::vector<Value> ConfigReader::entries(std::string_view name) {
  const Value* value = find(name);
  if (!value) return {};
  if (value->kind_case() != Value::kListValue) {
    if (no_lists_.emplace(name).second) fault(name, shown(*value), "a list");
    return {};
  }
  return {value->list_value().values().begin(), value->list_value().values().end()};
}

std::string ConfigReader::text(std::string_view name) {
  const Value* value = find(name);
  return value ? value->string_value() : "";
}

std::vector<std::string> ConfigReader::not_asked_for(std::string_view beginning) const {
  std::vector<std::string> names;
  for (const auto& [name, value] : object_.fields)
    if (name.starts_with(beginning) && !understood_.contains(name) && value.kind_case() != Value::kNullValue)
      names.push_back(name);
  return names;
}

bool ConfigReader::flag(std::string_view name, bool otherwise) {
  const Value* value = find(name);
  if (!value) return otherwise;
  if (value->kind_case() != Value::kBoolValue) fault(name, shown(*value), "true or false");
  return value->bool_value();
}

int ConfigReader::whole(std::string_view name, int otherwise, int least, int most) {
  const Value* value = find(name);
  if (!value) return otherwise;
  const double n = value->number_value();
  if (value->kind_case() == Value::kNumberValue && n == std::floor(n) && n >= least && n <= most)
    return static_cast<int>(n);
  fault(name, shown(*value), fmt::format("a whole number from {} to {}", least, most));
  return otherwise;
}

void ConfigReader::fault(std::string_view name, std::string found, std::string expected, std::string suggestion) {
  if (faults_.size() == kMostDiagnostics) return;
  faults_.push_back(
      object_.places.fault(std::string(name), std::move(found), std::move(expected), std::move(suggestion)));
}

void ConfigReader::note(std::string_view name, std::string text) {
  notes_.push_back({object_.places.find(std::string(name)), std::string(name), std::move(text)});
}

bool ConfigReader::number(const NumberField& field) {
  std::string_view stated;
  for (const std::string_view name : field.names) {
    if (name.empty() || !find(name)) continue;
    if (stated.empty()) {
      stated = name;
    } else if (shown(*find(stated)) != shown(*find(name))) {
      note(name,
           fmt::format("{} where {} says {}; the latter was used", shown(*find(name)), stated, shown(*find(stated))));
    }
  }
  if (!stated.empty()) return store(field, stated, *find(stated));
  if (field.need == Need::required) missing_.push_back(field);
  return false;
}

std::string ConfigReader::bounds(const NumberField& field) {
  const auto& rule = target(model_, field.target).second->options().GetExtension(proto::rule);
  return fmt::format("a whole number from {} to {}", rule.min(), rule.max());
}

namespace {

/// The one value that a list has for every layer; other values as they are.
const Value& common_value(const Value& value) {
  const auto& list = value.list_value().values();
  if (value.kind_case() != Value::kListValue || list.empty()) return value;
  const bool same = std::all_of(list.begin(), list.end(), [&](const Value& v) { return shown(v) == shown(list[0]); });
  return same && list[0].kind_case() == Value::kNumberValue ? list[0] : value;
}

}  // namespace

bool ConfigReader::store(const NumberField& field, std::string_view name, const Value& stated) {
  const Value& value = field.target.starts_with("moe.") ? common_value(stated) : stated;
  const auto& rule = target(model_, field.target).second->options().GetExtension(proto::rule);
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

void ConfigReader::derive(std::string_view path, int value, std::string_view name) {
  const auto [message, descriptor] = target(model_, path);
  message->GetReflection()->SetInt32(message, descriptor, value);
  origins_[std::string(path)] = name;
}

std::string ConfigReader::origin(const std::string& path) const {
  const auto found = origins_.find(path);
  return found == origins_.end() ? path : found->second;
}

void ConfigReader::finish() {
  note_unknown_fields();
  report_missing();
  refuse_unknown_sizes();
  check_laws();
  if (!faults_.empty()) throw InputError(std::move(faults_));
}

void ConfigReader::note_unknown_fields() {
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
void ConfigReader::report_missing() {
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

namespace {

bool has_any(std::string_view name, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(parts, [&](std::string_view part) { return name.find(part) != std::string_view::npos; });
}

/// By its name and value a field that adds matrices to a model: `routed_expert_hidden_size: 3584`.
bool may_be_worth_parameters(std::string_view name, const Value& value) {
  if (value.kind_case() == Value::kBoolValue)
    return value.bool_value() && has_any(name, {"gate", "wide"}) && !has_any(name, {"aggregate", "propagate"});
  const double n = value.number_value();
  if (value.kind_case() != Value::kNumberValue || n < 2 || n != std::floor(n)) return false;
  return has_any(name, {"hidden", "expert", "per_layer", "width", "rank", "intermediate", "inner_", "latent", "_proj",
                        "heads", "ffn"}) &&
         !has_any(name, {"capacity", "dropout", "coef",  "loss",     "scale",  "scaling", "bias",      "padding",
                         "token",    "router_", "init",  "parallel", "seed",   "version", "projector", "vision",
                         "visual",   "image",   "video", "audio",    "speech", "mm_"});
}

}  // namespace

/// What is left out has to be worth nothing: a model that comes out too small in silence is worse than none. Where
/// something is missing, the stranger is rather its name, misspelt.
void ConfigReader::refuse_unknown_sizes() {
  if (!missing_.empty()) return;
  const auto routed = [&](const char* name) {
    const auto found = object_.fields.find(name);
    return found != object_.fields.end() && found->second.number_value() > 1;
  };
  const bool experts =
      std::ranges::any_of(std::initializer_list<const char*>{"n_routed_experts", "num_local_experts", "num_experts",
                                                             "moe_num_experts", "num_moe_experts"},
                          routed);
  for (const auto& [name, value] : object_.fields) {
    if (understood_.contains(name) || !may_be_worth_parameters(name, value)) continue;
    if (!experts && (name.find("expert") != std::string::npos || name.starts_with("moe_"))) continue;
    fault(
        name, shown(value),
        "none of it: by its name it adds parameters, in a way that is not known here; take it out where it adds none");
  }
}

/// What the library asks of a model beyond single fields, in the names of the config.json.
void ConfigReader::check_laws() {
  if (!faults_.empty()) return;
  Entry<proto::Model> entry;
  entry.message = model_;
  Diagnostics faults;
  check_fields(entry.message, "", entry.places, {}, false, faults);
  if (faults.empty()) model_config(entry, faults);
  for (Diagnostic& law : faults) fault(origin(law.field), law.found, law.expected);
}

}  // namespace flopcast
