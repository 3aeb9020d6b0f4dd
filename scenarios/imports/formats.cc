// In which formats weights are stored.
#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "scenarios/imports/config_reader.h"

namespace flopcast {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

const Value* member(const Struct& object, const std::string& name) {
  const auto found = object.fields().find(name);
  return found == object.fields().end() ? nullptr : &found->second;
}

std::string text_of(const Struct& object, const std::string& name) {
  const Value* value = member(object, name);
  return value ? value->string_value() : "";
}

double number_of(const Struct& object, const std::string& name) {
  const Value* value = member(object, name);
  return value ? value->number_value() : 0;
}

/// Of compressed-tensors: the first group says how weights are stored.
const Struct* weights_of_groups(const Struct& quantization) {
  const Value* groups = member(quantization, "config_groups");
  if (!groups || groups->struct_value().fields().empty()) return nullptr;
  const Value* weights = member(groups->struct_value().fields().begin()->second.struct_value(), "weights");
  return weights ? &weights->struct_value() : nullptr;
}

/// "model.layers.3.mlp.experts.7.w1": a routed expert, not one that all tokens pass.
bool of_routed_experts(const std::string& layer) {
  return layer.find("expert") != std::string::npos && layer.find("shared") == std::string::npos;
}

/// Of the layers that a file lists with formats of their own, what most of them have. @param experts of routed experts,
/// else of the others.
std::string listed_algorithm(const Struct& quantization, bool experts) {
  const Value* layers = member(quantization, "quantized_layers");
  if (!layers) return "";
  std::map<std::string, int> counts;
  for (const auto& [name, layer] : layers->struct_value().fields())
    if (of_routed_experts(name) == experts) ++counts[text_of(layer.struct_value(), "quant_algo")];
  const auto most = std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
  return most == counts.end() ? "" : most->first;
}

/// ModelOpt's; where layers have formats of their own, that of most of those that are not experts, and of experts where
/// no others are listed.
std::string algorithm_of(const Struct& quantization) {
  std::string stated = text_of(quantization, "quant_algo");
  if (stated != "MIXED_PRECISION") return stated;
  for (const bool experts : {false, true})
    if (std::string listed = listed_algorithm(quantization, experts); !listed.empty()) return listed;
  return stated;
}

/// Layers that are left as they were, under the names that the tools have for the list.
std::vector<std::string> left_alone(const Struct& quantization) {
  std::vector<std::string> names;
  for (const char* list : {"ignore", "exclude_modules", "modules_to_not_convert", "ignored_layers"})
    if (const Value* value = member(quantization, list))
      for (const Value& name : value->list_value().values()) names.push_back(name.string_value());
  return names;
}

/// ", of the layers listed 208 in FP8 and 193 in NVFP4" where those that are not experts differ.
std::string other_formats(const Struct& quantization) {
  const Value* layers = member(quantization, "quantized_layers");
  if (!layers || text_of(quantization, "quant_algo") != "MIXED_PRECISION") return "";
  std::map<std::string, int> counts;
  for (const auto& [name, layer] : layers->struct_value().fields())
    if (!of_routed_experts(name)) ++counts[text_of(layer.struct_value(), "quant_algo")];
  if (counts.size() < 2) return "";
  std::string out;
  for (const auto& [algorithm, count] : counts)
    out += fmt::format("{}{} in {}", out.empty() ? "" : ", ", count, algorithm);
  return fmt::format(" (layers have formats of their own, {}: that of most is taken for all)", out);
}

bool leaves_alone(const Struct& quantization, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(left_alone(quantization), [&](const std::string& name) {
    if (name.find("norm") != std::string::npos) return false;
    return std::ranges::any_of(parts, [&](std::string_view part) { return name.find(part) != std::string::npos; });
  });
}

/// Blocks are of FP8 formats; files that name no method have been of FP8 too.
bool fp8_method(const std::string& method) { return method.empty() || method == "fp8" || method == "fbgemm_fp8"; }

/// "FP8 in blocks of 128 x 128", "AWQ, 4 bits in groups of 128"
std::string stored_as(const Struct& q) {
  const std::string method = text_of(q, "quant_method"), algorithm = algorithm_of(q);
  const Value* block = member(q, "weight_block_size");
  if (algorithm.starts_with("FP8_PB")) return "FP8 in blocks of 128 x 128";
  if (fp8_method(method) && block && block->list_value().values_size() == 2)
    return fmt::format("FP8 in blocks of {} x {}", block->list_value().values(0).number_value(),
                       block->list_value().values(1).number_value());
  if (method == "mxfp4") return "MXFP4, 4 bits with a scale for 32";
  if (algorithm.find("NVFP4") != std::string::npos) return "NVFP4, 4 bits with a scale for 16";
  if (algorithm.find("FP8") != std::string::npos || method == "fp8" || method == "fbgemm_fp8") return "FP8";
  if (const Struct* weights = weights_of_groups(q)) {
    const double bits = number_of(*weights, "num_bits"), group = number_of(*weights, "group_size");
    const std::string type = text_of(*weights, "type");
    return fmt::format("{} of {} bits{}", type.empty() ? "numbers" : type, bits,
                       group > 0 ? fmt::format(" in groups of {}", group) : "");
  }
  const double bits = number_of(q, "bits"), group = number_of(q, "group_size");
  if (bits > 0)
    return fmt::format("{}, {} bits{}", method, bits, group > 0 ? fmt::format(" in groups of {}", group) : "");
  return method.empty() ? "a format that is not named" : method;
}

/// What a model file says of it; "" where serving has no such format.
std::string published_format(const Struct& q) {
  const std::string method = text_of(q, "quant_method"), algorithm = algorithm_of(q);
  const Value* block = member(q, "weight_block_size");
  if (algorithm.starts_with("FP8_PB")) return "fp8_blocks";
  // Of a block's size only that of DeepSeek's format has kernels that are known here.
  if (fp8_method(method) && block && block->list_value().values_size() == 2) {
    constexpr double kBlock = 128;
    const auto& sides = block->list_value().values();
    return sides[0].number_value() == kBlock && sides[1].number_value() == kBlock ? "fp8_blocks" : "";
  }
  if (method == "mxfp4" || algorithm.find("MXFP4") != std::string::npos) return "mxfp4";
  if (algorithm.find("NVFP4") != std::string::npos || text_of(q, "format").find("nvfp4") != std::string::npos)
    return "nvfp4";
  if (text_of(q, "format").find("mxfp4") != std::string::npos) return "mxfp4";
  if (algorithm.find("FP8") != std::string::npos || method == "fp8" || method == "fbgemm_fp8") return "fp8";
  if (algorithm.starts_with("W4A")) return "int4";
  if (const Struct* weights = weights_of_groups(q)) {
    const double bits = number_of(*weights, "num_bits"), group = number_of(*weights, "group_size");
    const bool floats = text_of(*weights, "type") == "float";
    constexpr double kNvGroup = 16;
    if (bits == 8 && floats) return text_of(*weights, "strategy") == "block" ? "fp8_blocks" : "fp8";
    if (bits == 4) return !floats ? "int4" : group == kNvGroup ? "nvfp4" : "mxfp4";
    return "";
  }
  const double bits = number_of(q, "bits"), other = number_of(q, "w_bit");
  const bool four = bits == 4 || other == 4 || (method == "awq" && bits == 0);
  if (four && (method == "awq" || method == "gptq" || method == "auto-round" || method == "gptq_marlin")) return "int4";
  return "";
}

/// The word of a model file for an algorithm of experts; "" where it is none of them.
std::string expert_format(const std::string& algorithm) {
  if (algorithm.find("MXFP4") != std::string::npos) return "mxfp4";
  if (algorithm.find("NVFP4") != std::string::npos) return "nvfp4";
  return algorithm.starts_with("W4A") || algorithm.starts_with("INT4") ? "int4" : "";
}

/// How routed experts are stored where other layers are stored otherwise; "" where they are not.
/// @param published of all layers, as far as the file says one format
std::string published_experts(const Struct& q, const std::string& published) {
  for (const std::string& algorithm : {text_of(q, "moe_quant_algo"), listed_algorithm(q, true)})
    if (const std::string format = expert_format(algorithm); !format.empty() && format != published) return format;
  // Integers of 4 bits for experts alone (Kimi K2.5): attention and shared experts are listed as left alone.
  if (published == "int4" && leaves_alone(q, {"self_attn"}) && leaves_alone(q, {"shared_expert"})) return published;
  return "";
}

/// What tools write beside the format: who wrote it, how it was found, of which layers.
constexpr std::string_view kFieldsOfFormats[] = {"activation_scheme",
                                                 "actorder",
                                                 "autoround_version",
                                                 "backend",
                                                 "batch_size",
                                                 "bits",
                                                 "block_structure",
                                                 "checkpoint_format",
                                                 "config_groups",
                                                 "damp_percent",
                                                 "data_type",
                                                 "desc_act",
                                                 "exclude_modules",
                                                 "exported_by",
                                                 "fmt",
                                                 "format",
                                                 "global_compression_ratio",
                                                 "group_size",
                                                 "ignore",
                                                 "ignored_layers",
                                                 "iters",
                                                 "kv_cache_quant_algo",
                                                 "kv_cache_scheme",
                                                 "lm_head",
                                                 "meta",
                                                 "modules_to_not_convert",
                                                 "moe_quant_algo",
                                                 "packing_format",
                                                 "producer",
                                                 "quant_algo",
                                                 "quant_method",
                                                 "quantization_status",
                                                 "quantized_layers",
                                                 "scale_fmt",
                                                 "sparsity_config",
                                                 "static_groups",
                                                 "sym",
                                                 "true_sequential",
                                                 "version",
                                                 "w_bit",
                                                 "q_group_size",
                                                 "weight_block_size",
                                                 "weight_per_tensor",
                                                 "act_per_tensor",
                                                 "zero_point",
                                                 "activation_scale_ub",
                                                 "transform_config",
                                                 "has_zero_point",
                                                 "pre_quant_scale",
                                                 "smoothquant_val",
                                                 "clamp_val",
                                                 "use_custom_all_reduce",
                                                 "dequantize"};

void note_fields_of_formats(ConfigReader& config, const char* name, const Struct& q) {
  for (const auto& [field, value] : q.fields())
    if (std::ranges::find(kFieldsOfFormats, field) == std::end(kFieldsOfFormats))
      config.note(fmt::format("{}.{}", name, field), "not understood and left out");
  const Value* scheme = member(q, "kv_cache_scheme");
  const bool fp8 = text_of(q, "kv_cache_quant_algo") == "FP8" || (scheme && scheme->string_value() == "FP8") ||
                   (scheme && number_of(scheme->struct_value(), "num_bits") == 8);
  if (fp8)
    config.note(fmt::format("{}.{}", name, scheme ? "kv_cache_scheme" : "kv_cache_quant_algo"),
                "made for a KV cache in FP8, which engines take where nothing else is stated: kv_cache: \"fp8\"");
}

}  // namespace

void note_formats(ConfigReader& config) {
  for (const char* name : {"quantization_config", "compression_config"}) {
    const Value* value = config.find(name);
    if (!value) continue;
    if (value->kind_case() != Value::kStructValue) {
      config.fault(name, shown(*value), "an object that says how weights are stored");
      continue;
    }
    const Struct& q = value->struct_value();
    const std::string format = stored_as(q);
    std::string published = published_format(q), experts = published_experts(q, published);
    // The field of DeepSeek V4 beside it: FP4 with a power of two for 32, as in MXFP4.
    if (experts.empty() && config.text("expert_dtype") == "fp4") experts = "mxfp4";
    if (experts == published) published.clear();  // experts alone
    if (!published.empty()) config.model().set_published_weights(published);
    if (!experts.empty()) config.model().set_published_experts(experts);
    std::string text = experts.empty() ? "weights are stored as " + format
                       : published.empty()
                           ? fmt::format("routed experts are stored as {}, other layers in BF16", experts)
                           : fmt::format("weights are stored as {}, routed experts as {}", format, experts);
    text += other_formats(q);
    text += published.empty() && experts.empty() ? ", which serving does not know: it takes BF16 unless told otherwise"
                                                 : "; published_weights: serving takes them so";
    // MXFP4 is of experts alone anyway.
    if (experts.empty() && published != "mxfp4" && leaves_alone(q, {"self_attn", ".attn."}) && !published.empty())
      text += "; attention, which the file leaves in BF16, too";
    config.note(name, text);
    note_fields_of_formats(config, name, q);
  }
  if (const std::string type = config.text("expert_dtype"); !type.empty() && type != "fp4")
    config.note("expert_dtype", type == "fp8" || type == "bf16" || type == "bfloat16"
                                    ? "experts are stored as other layers are"
                                    : quoted(type) + " is not known: experts are taken as other layers are");
}

}  // namespace flopcast
