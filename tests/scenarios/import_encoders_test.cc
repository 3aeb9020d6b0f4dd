// Are encoders of images beside a language model counted to the last parameter, and held by who serves it?
#include "scenarios/imports/import_model.h"
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

struct PublishedEncoder {
  std::string title;
  std::string type;  // of the whole model
  int hidden;        // of its language part
  std::string vision;
  std::int64_t elements;
};

ImportedModel with_encoder(const PublishedEncoder& encoder) {
  const TemporaryFolder folder;
  return import_model(
      folder.write("config.json", R"({"architectures": ["LlamaForCausalLM"], "model_type": ")" + encoder.type +
                                      R"(", "hidden_size": )" + std::to_string(encoder.hidden) +
                                      R"(, "intermediate_size": 8192, "num_hidden_layers": 2, "num_attention_heads": 16,
    "num_key_value_heads": 16, "vocab_size": 1000, "max_position_embeddings": 4096, "vision_config": )" +
                                      encoder.vision + "}"));
}

// Elements of the safetensors on Hugging Face less those of the language model's own checkpoint (read 2025-10 to
// 2026-02): 8,767,123,696 - 8,190,735,360 for Qwen3-VL-8B, and so on.
TEST_CASE("encoders of published models are counted exactly", "[scenarios][import]") {
  const auto encoder = GENERATE(
      PublishedEncoder{"Qwen3-VL-8B", "qwen3_vl", 4096,
                       R"({"deepstack_visual_indexes": [8, 16, 24], "depth": 27, "hidden_act": "gelu_pytorch_tanh",
          "hidden_size": 1152, "in_channels": 3, "intermediate_size": 4304, "num_heads": 16,
          "num_position_embeddings": 2304, "out_hidden_size": 4096, "patch_size": 16, "spatial_merge_size": 2,
          "temporal_patch_size": 2})",
                       576'388'336},
      PublishedEncoder{"Qwen2.5-VL-7B", "qwen2_5_vl", 3584,
                       R"({"depth": 32, "hidden_act": "silu", "hidden_size": 1280, "intermediate_size": 3420,
          "num_heads": 16, "in_chans": 3, "out_hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2,
          "spatial_patch_size": 14, "temporal_patch_size": 2})",
                       676'550'144},
      PublishedEncoder{"Qwen2-VL-7B", "qwen2_vl", 3584,
                       R"({"depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "num_heads": 16, "in_chans": 3,
          "hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14,
          "temporal_patch_size": 2})",
                       675'759'104},
      PublishedEncoder{"Gemma 3 27B", "gemma3", 5376,
                       R"({"hidden_size": 1152, "image_size": 896, "intermediate_size": 4304,
          "model_type": "siglip_vision_model", "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14})",
                       423'060'336},
      PublishedEncoder{"Mistral Small 3.1 24B", "mistral3", 5120,
                       R"({"hidden_size": 1024, "image_size": 1540, "intermediate_size": 4096, "model_type": "pixtral",
          "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14})",
                       438'958'080},
      PublishedEncoder{"LLaVA 1.5 7B", "llava", 4096,
                       R"({"hidden_size": 1024, "image_size": 336, "intermediate_size": 4096,
          "model_type": "clip_vision_model", "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14})",
                       324'487'168},
      PublishedEncoder{"InternVL3-8B", "internvl_chat", 3584,
                       R"({"hidden_size": 1024, "image_size": 448, "intermediate_size": 4096,
          "model_type": "intern_vit_6b", "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14})",
                       331'552'768},
      PublishedEncoder{"GLM-4.1V-9B", "glm4v", 4096,
                       R"({"depth": 24, "hidden_act": "silu", "hidden_size": 1536, "image_size": 336,
          "intermediate_size": 13696, "out_hidden_size": 4096, "patch_size": 14, "spatial_merge_size": 2,
          "temporal_patch_size": 2})",
                       892'498'432},
      PublishedEncoder{"Llama 4 Scout", "llama4", 5120,
                       R"({"hidden_size": 1408, "image_size": 336, "intermediate_size": 5632,
          "model_type": "llama4_vision_model", "num_hidden_layers": 34, "patch_size": 14,
          "projector_input_dim": 4096, "projector_output_dim": 4096, "vision_output_dim": 4096})",
                       871'932'416});
  INFO(encoder.title);
  const ImportedModel imported = with_encoder(encoder);
  CHECK(imported.model.encoder_parameters == encoder.elements);
}

TEST_CASE("an encoder of an unknown kind is counted by its layers, and said to be about that", "[scenarios][import]") {
  const ImportedModel imported = with_encoder(
      {"", "newest_vl", 4096, R"({"hidden_size": 1000, "num_hidden_layers": 10, "intermediate_size": 4000})", 0});
  CHECK(imported.model.encoder_parameters == 10 * (4 * 1000 * 1000 + 2 * 1000 * 4000));
  CHECK_THAT(imported.text, Catch::Matchers::ContainsSubstring("an encoder of about 0.1200 B parameters"));
  CHECK_THAT(with_encoder({"", "newest_vl", 4096, "{}", 0}).text,
             Catch::Matchers::ContainsSubstring("an encoder whose size the file does not state"));
}

}  // namespace
}  // namespace flopcast::test
