// In which formats weights are stored, and what a model has besides its language part.
#include <algorithm>
#include <cmath>
#include <map>

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

/// ModelOpt's; where layers have formats of their own, that of most of them.
std::string algorithm_of(const Struct& quantization) {
  std::string stated = text_of(quantization, "quant_algo");
  const Value* layers = member(quantization, "quantized_layers");
  if (stated != "MIXED_PRECISION" || !layers) return stated;
  std::map<std::string, int> counts;
  for (const auto& [name, layer] : layers->struct_value().fields())
    ++counts[text_of(layer.struct_value(), "quant_algo")];
  const auto most = std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
  return most == counts.end() ? stated : most->first;
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

/// Elements of a stack of encoder layers, from the names that their configurations use.
double tower_elements(const Struct& tower) {
  const auto first = [&](std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (const double n = number_of(tower, name); n > 0) return n;
    return 0.0;
  };
  const double layers = first({"num_hidden_layers", "depth", "vt_num_hidden_layers"});
  // Qwen2-VL gives the width that the encoder hands on as hidden_size, its own as embed_dim.
  const double hidden = first({"embed_dim", "hidden_size", "vt_hidden_size"});
  const double width = first({"intermediate_size", "vt_intermediate_size"});
  const bool gated = text_of(tower, "hidden_act").find("silu") != std::string::npos;
  return layers * (4 * hidden * hidden + (gated ? 3 : 2) * hidden * (width > 0 ? width : 4 * hidden));
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
    const std::string format = stored_as(value->struct_value()), published = published_format(value->struct_value());
    if (!published.empty()) config.model().set_published_weights(published);
    config.note(name, "weights are stored as " + format +
                          (published.empty() ? ", which serving does not know: it takes BF16 unless told otherwise"
                                             : "; published_weights: serving takes them so"));
  }
  for (const char* name : {"vision_config", "audio_config"}) {
    const Value* value = config.find(name);
    if (!value || value->kind_case() != Value::kStructValue) continue;
    const double elements = tower_elements(value->struct_value());
    config.note(name,
                elements > 0
                    ? fmt::format("an encoder of about {:.2f} B parameters, not counted: this is the language part",
                                  elements / 1e9)
                    : "an encoder, not counted: this is the language part");
  }
  // Of images and sounds, and their places among tokens.
  for (const char* name : {"image_token_id",
                           "video_token_id",
                           "vision_start_token_id",
                           "vision_end_token_id",
                           "mm_tokens_per_image",
                           "image_token_index",
                           "boi_token_index",
                           "eoi_token_index",
                           "media_placeholder_token_id",
                           "use_unified_vision_chunk",
                           "video_placeholder",
                           "projector_hidden_act",
                           "vision_feature_layer",
                           "multimodal_projector_bias",
                           "spatial_merge_size",
                           "audio_token_id",
                           "boi_token_id",
                           "eoi_token_id",
                           "boa_token_id",
                           "eoa_token_id",
                           "vision_soft_tokens_per_image",
                           "vision_token_id",
                           "use_mtp",
                           "max_seq_len"})
    config.find(name);
}

}  // namespace flopcast
