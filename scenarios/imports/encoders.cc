// Encoders of images and sounds beside a language model: their parameters, from the shape that the file states. Each
// kind is a row of what its stack of layers adds to plain matrices, and of what joins it to the language model; read
// from the classes of Hugging Face's Transformers (4.57 and 5.0, 2025-10 to 2026-02) and from the model cards' own
// code, and held against the tensors of published checkpoints by tests.
#include <algorithm>
#include <cmath>
#include <initializer_list>

#include <fmt/format.h>

#include "scenarios/imports/config_reader.h"

namespace flopcast {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

/// Numbers of an encoder's own object, 0 where they are not stated.
class TowerShape {
 public:
  explicit TowerShape(const Struct& object) : object_(object) {}
  double first(std::initializer_list<const char*> names) const {
    for (const char* name : names) {
      const auto found = object_.fields().find(name);
      if (found == object_.fields().end()) continue;
      const Value* value = &found->second;
      // merge_kernel_size: [2, 2]
      if (value->kind_case() == Value::kListValue && value->list_value().values_size() > 0)
        value = &value->list_value().values(0);
      if (const double n = value->number_value(); n > 0) return n;
    }
    return 0;
  }
  double length(const char* name) const {
    const auto found = object_.fields().find(name);
    return found == object_.fields().end() ? 0 : found->second.list_value().values_size();
  }
  std::string text(const char* name) const {
    const auto found = object_.fields().find(name);
    return found == object_.fields().end() ? "" : found->second.string_value();
  }

  double layers() const { return first({"num_hidden_layers", "depth", "vt_num_hidden_layers"}); }
  // Qwen2-VL gives the width that the encoder hands on as hidden_size, its own as embed_dim.
  double hidden() const { return first({"embed_dim", "hidden_size", "vt_hidden_size"}); }
  double width() const {
    const double stated = first({"intermediate_size", "vt_intermediate_size"});
    return stated > 0 ? stated : hidden() * std::max(4.0, first({"mlp_ratio"}));
  }
  double patch() const { return first({"patch_size", "spatial_patch_size"}); }
  /// Patches of an image of the size that positions are learned for.
  double grid() const {
    const double side = patch() > 0 ? std::floor(first({"image_size"}) / patch()) : 0;
    return side * side;
  }
  /// Patches along a side that are handed on as one.
  double merged() const {
    const double side = first({"spatial_merge_size", "merge_kernel_size"});
    return side > 0 ? side : 2;
  }

 private:
  const Struct& object_;
};

/// A matrix, and as many biases as it has columns.
double joined(double rows, double columns, bool bias = true) { return rows * columns + (bias ? columns : 0); }

// What joins an encoder to a language model whose residual stream is `to` wide.

double join_qwen2(const TowerShape& t, double to, double norm) {
  const double wide = t.hidden() * t.merged() * t.merged();
  return norm * t.hidden() + joined(wide, wide) + joined(wide, to);
}

double join_qwen2_vl(const TowerShape& t, double to) { return join_qwen2(t, to, 2); }
double join_qwen2_5_vl(const TowerShape& t, double to) { return join_qwen2(t, to, 1); }

/// Qwen3-VL: layers in between hand on too, each through a merger whose norm is as wide as four patches.
double join_qwen3_vl(const TowerShape& t, double to) {
  const double wide = t.hidden() * t.merged() * t.merged();
  return join_qwen2(t, to, 2) +
         t.length("deepstack_visual_indexes") * (2 * wide + joined(wide, wide) + joined(wide, to));
}

double join_gemma3(const TowerShape& t, double to) { return joined(t.hidden(), to, false) + t.hidden(); }

double join_llava(const TowerShape& t, double to) { return joined(t.hidden(), to) + joined(to, to); }

double join_mistral3(const TowerShape& t, double to) {
  const double h = t.hidden();
  return h + joined(h * t.merged() * t.merged(), h, false) + joined(h, to, false) + joined(to, to, false);
}

double join_llama4(const TowerShape& t, double to) {
  const double inner = t.first({"projector_output_dim"}), out = t.first({"vision_output_dim"});
  return joined(t.width(), inner, false) + joined(inner, inner, false) + joined(out, to, false);
}

double join_moonvit(const TowerShape& t, double to) {
  const double wide = t.hidden() * t.merged() * t.merged();
  return 2 * t.hidden() + joined(wide, wide) + joined(wide, to);
}

/// Four patches are one: downsample_ratio 0.5 in all that were published.
double join_internvl(const TowerShape& t, double to) {
  const double wide = 4 * t.hidden();
  return 2 * wide + joined(wide, to) + joined(to, to);
}

/// Its FFNs are as wide as what it hands on; intermediate_size is the width within the merger.
double join_glm4v(const TowerShape& t, double) {
  const double out = t.first({"out_hidden_size"}), inner = t.first({"intermediate_size"});
  const double patches = t.merged() * t.merged();
  return joined(patches * t.hidden(), out) + joined(out, out, false) + 2 * out + 3 * out * inner;
}

enum class LearnedPositions : std::uint8_t { none, table, grid, grid_and_class, height_by_width };

struct TowerKind {
  std::string_view type;  ///< how its model_type begins
  bool layer_norm;        ///< norms with a bias, else RMSNorm
  bool biases;            ///< of attention and FFN
  bool gated;
  bool patch_bias;
  int frames;  ///< that a patch spans
  LearnedPositions positions;
  bool class_token;
  int norms_outside;  ///< the layers
  int layer_scales;   ///< vectors of a layer
  double (*join)(const TowerShape&, double to);
};

constexpr TowerKind kTowerKinds[] = {
    {"qwen3_vl", true, true, false, true, 2, LearnedPositions::table, false, 0, 0, join_qwen3_vl},
    {"qwen3_5", true, true, false, true, 2, LearnedPositions::table, false, 0, 0, join_qwen3_vl},
    {"qwen2_5_vl", false, true, true, false, 2, LearnedPositions::none, false, 0, 0, join_qwen2_5_vl},
    {"qwen2_vl", true, true, false, false, 2, LearnedPositions::none, false, 0, 0, join_qwen2_vl},
    {"gemma3", true, true, false, true, 1, LearnedPositions::grid, false, 1, 0, join_gemma3},
    {"llama4", true, true, false, false, 1, LearnedPositions::grid_and_class, true, 2, 0, join_llama4},
    {"mistral3", false, false, true, false, 1, LearnedPositions::none, false, 1, 0, join_mistral3},
    {"pixtral", false, false, true, false, 1, LearnedPositions::none, false, 1, 0, join_llava},
    {"clip_vision", true, true, false, false, 1, LearnedPositions::grid_and_class, true, 2, 0, join_llava},
    {"kimi", true, true, false, true, 1, LearnedPositions::height_by_width, false, 1, 0, join_moonvit},
    {"moonvit", true, true, false, true, 1, LearnedPositions::height_by_width, false, 1, 0, join_moonvit},
    {"intern_vit", true, true, false, true, 1, LearnedPositions::grid_and_class, true, 0, 2, join_internvl},
    {"internvl", true, true, false, true, 1, LearnedPositions::grid_and_class, true, 0, 2, join_internvl},
    {"glm4v", false, false, true, true, 2, LearnedPositions::grid, false, 2, 0, join_glm4v},
};

double learned_positions(const TowerKind& kind, const TowerShape& t) {
  switch (kind.positions) {
    case LearnedPositions::none:
      return 0;
    case LearnedPositions::table:
      return t.first({"num_position_embeddings"});
    case LearnedPositions::grid:
      return t.grid();
    case LearnedPositions::grid_and_class:
      return t.grid() + 1;
    case LearnedPositions::height_by_width:
      return t.first({"init_pos_emb_height"}) * t.first({"init_pos_emb_width"});
  }
  return 0;
}

double stack_elements(const TowerShape& t, double width, bool gated) {
  return t.layers() * (4 * t.hidden() * t.hidden() + (gated ? 3 : 2) * t.hidden() * width);
}

double tower_elements(const TowerKind& kind, const TowerShape& t, double to) {
  const double h = t.hidden(), norm = kind.layer_norm ? 2 * h : h;
  const double width = kind.type == "glm4v" ? t.first({"out_hidden_size"}) : t.width();
  const double biases = kind.biases ? 5 * h + (kind.gated ? 2 : 1) * width : 0;
  const double rest_of_layers = t.layers() * (biases + 2 * norm + kind.layer_scales * h);
  const double patches = 3 * kind.frames * t.patch() * t.patch() * h + (kind.patch_bias ? h : 0);
  const double vectors = kind.class_token ? h : 0;
  return stack_elements(t, width, kind.gated) + rest_of_layers + patches + learned_positions(kind, t) * h + vectors +
         kind.norms_outside * norm + kind.join(t, to);
}

/// By the encoder's own type, else by that of the whole model: Gemma 3's encoder is a SigLIP, which others join
/// otherwise.
const TowerKind* kind_of_tower(const std::string& model, const std::string& tower) {
  const auto named = [](const std::string& type) {
    const auto* found = std::ranges::find_if(kTowerKinds, [&](const TowerKind& k) { return type.starts_with(k.type); });
    return found == std::end(kTowerKinds) ? nullptr : found;
  };
  for (const std::string& type : {model, tower})
    if (const TowerKind* kind = named(type)) return kind;
  return nullptr;
}

/// A shape is stated where nothing that the count needs is missing.
bool states_shape(const TowerKind& kind, const TowerShape& t) {
  return t.layers() > 0 && t.hidden() > 0 && t.patch() > 0 &&
         (kind.positions == LearnedPositions::none || learned_positions(kind, t) > 1);
}

}  // namespace

void read_encoders(ConfigReader& config) {
  double all = 0;
  for (const char* name : {"vision_config", "audio_config"}) {
    const Value* value = config.find(name);
    if (!value || value->kind_case() != Value::kStructValue) continue;
    const TowerShape shape(value->struct_value());
    const TowerKind* const kind = kind_of_tower(config.text("model_type"), shape.text("model_type"));
    const bool known = name == std::string_view("vision_config") && kind && states_shape(*kind, shape);
    const double about =
        stack_elements(shape, shape.width(), shape.text("hidden_act").find("silu") != std::string::npos);
    const double elements = known ? tower_elements(*kind, shape, config.model().hidden()) : about;
    all += elements;
    config.note(name,
                elements > 0
                    ? fmt::format("an encoder of {}{:.4f} B parameters, beside the language part: serving holds it",
                                  known ? "" : "about ", elements / 1e9)
                    : "an encoder whose size the file does not state: not counted");
  }
  if (all > 0) config.model().set_encoder_parameters(static_cast<std::int64_t>(std::llround(all)));
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
