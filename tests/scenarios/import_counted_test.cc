// Is everything that adds parameters to a model counted, or the model refused?
#include "scenarios/imports/import_model.h"
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

ImportedModel imported_config(const std::string& text) {
  const TemporaryFolder folder;
  return import_model(folder.write("config.json", text));
}

std::string refusal_of(const std::string& text) {
  try {
    imported_config(text);
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

double counted_billions(const std::string& text) { return count_parameters(imported_config(text).model).total / 1e9; }
double counted_active(const std::string& text) { return count_parameters(imported_config(text).model).active / 1e9; }

// Published values of google/gemma-4-26B-A4B and gemma-4-E4B, arcee-ai/Trinity-Mini, microsoft/bitnet-b1.58-2B-4T,
// openbmb/MiniCPM3-4B, deepseek-ai/DeepSeek-OCR.
const std::string kGemma = R"({"architectures": ["Gemma4ForConditionalGeneration"], "model_type": "gemma4",
"text_config": {"model_type": "gemma4_text", "enable_moe_block": true, "attention_k_eq_v": true, "global_head_dim": 512,
"head_dim": 256, "hidden_size": 2816, "hidden_size_per_layer_input": 0, "intermediate_size": 2112,
"moe_intermediate_size": 704, "num_attention_heads": 16, "num_experts": 128, "num_global_key_value_heads": 2,
"num_hidden_layers": 30, "num_key_value_heads": 8, "num_kv_shared_layers": 0, "sliding_window": 1024,
"top_k_experts": 8, "use_double_wide_mlp": false, "vocab_size": 262144, "vocab_size_per_layer_input": 262144,
"max_position_embeddings": 262144, "tie_word_embeddings": true}})";

const std::string kGemmaEffective = R"({"architectures": ["Gemma4ForConditionalGeneration"], "model_type": "gemma4",
"text_config": {"model_type": "gemma4_text", "enable_moe_block": false, "attention_k_eq_v": false,
"global_head_dim": 512, "head_dim": 256, "hidden_size": 2560, "hidden_size_per_layer_input": 256,
"intermediate_size": 10240, "num_attention_heads": 8, "num_experts": null, "num_hidden_layers": 42,
"num_key_value_heads": 2, "num_kv_shared_layers": 18, "sliding_window": 512, "top_k_experts": null,
"use_double_wide_mlp": false, "vocab_size": 262144, "vocab_size_per_layer_input": 262144,
"max_position_embeddings": 262144, "tie_word_embeddings": true}})";

TEST_CASE("Gemma 4: a dense network beside experts, embeddings of layers", "[scenarios][import]") {
  CHECK(counted_billions(kGemma) == Approx(25.2).epsilon(0.005));
  CHECK(counted_active(kGemma) == Approx(3.83).epsilon(0.01));
  CHECK(imported_config(kGemma).model.moe.width_of_shared() == 2112);
  CHECK(counted_billions(kGemmaEffective) == Approx(7.52).epsilon(0.005));
  CHECK(imported_config(kGemmaEffective).model.moe.experts == 0);
  // Layers without caches of their own have FFNs twice as wide (E2B): 18 of 42 more of them.
  const std::string wide = replaced(kGemmaEffective, "\"use_double_wide_mlp\": false", "\"use_double_wide_mlp\": true");
  CHECK(counted_billions(wide) - counted_billions(kGemmaEffective) ==
        Approx(18 * 3 * 2560 * 10240 / 1e9).epsilon(0.001));
}

TEST_CASE("gates of attention and of experts' networks are counted", "[scenarios][import]") {
  const std::string trinity = R"({"architectures": ["AfmoeForCausalLM"], "model_type": "afmoe", "hidden_size": 2048,
"intermediate_size": 6144, "moe_intermediate_size": 1024, "num_hidden_layers": 32, "num_attention_heads": 32,
"num_key_value_heads": 4, "head_dim": 128, "vocab_size": 200192, "hidden_act": "silu", "max_position_embeddings": 131072,
"num_experts": 128, "num_experts_per_tok": 8, "num_shared_experts": 1, "num_dense_layers": 2,
"global_attn_every_n_layers": 4, "sliding_window": 2048, "tie_word_embeddings": false})";
  CHECK(counted_billions(trinity) == Approx(26.124).epsilon(0.001));
  CHECK(imported_config(trinity).model.attention.window.layers == 24);
  // BitNet's activation does not tell that its FFN is gated.
  const std::string bitnet = R"({"architectures": ["BitNetForCausalLM"], "model_type": "bitnet", "hidden_size": 2560,
"intermediate_size": 6912, "num_hidden_layers": 30, "num_attention_heads": 20, "num_key_value_heads": 5,
"vocab_size": 128256, "hidden_act": "relu2", "max_position_embeddings": 4096, "tie_word_embeddings": true})";
  CHECK(count_parameters(imported_config(bitnet).model).total == Approx(2'412'820'480.0).epsilon(1e-9));
}

/// The shape of Kimi K3, in eight layers of which two attend: latent experts, gates as wide as heads.
const std::string kKimi = R"({"architectures": ["KimiK3ForConditionalGeneration"], "model_type": "kimi_k3",
"text_config": {"model_type": "kimi_linear", "first_k_dense_replace": 1, "hidden_act": "situ", "hidden_size": 7168,
"intermediate_size": 33792, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
"v_head_dim": 128, "linear_attn_config": {"full_attn_layers": [4, 8], "kda_layers": [1, 2, 3, 5, 6, 7], "head_dim": 128,
"num_heads": 96, "short_conv_kernel_size": 4, "use_full_rank_gate": true}, "mla_use_output_gate": true,
"moe_intermediate_size": 3072, "num_attention_heads": 96, "num_key_value_heads": 96, "num_experts": 896,
"num_experts_per_token": 16, "num_shared_experts": 2, "num_hidden_layers": 8, "routed_expert_hidden_size": 3584,
"max_position_embeddings": 1048576, "vocab_size": 163840, "tie_word_embeddings": false}})";

TEST_CASE("Kimi K3: three matrices of experts on a narrower stream", "[scenarios][import]") {
  const ModelConfig model = imported_config(kKimi).model;
  CHECK(model.gated_ffn);
  CHECK(model.moe.latent_width == 3584);
  const double expert = 3.0 * 3584 * 3072;
  CHECK(count_parameters(model).expert == expert);
  const std::string plain = replaced(kKimi, "\"mla_use_output_gate\": true,", "");
  CHECK(counted_billions(kKimi) - counted_billions(plain) == Approx(2 * 7168.0 * 96 * 128 / 1e9).epsilon(1e-6));
  const std::string narrow = replaced(kKimi, ", \"use_full_rank_gate\": true", "");
  const double full = 7168.0 * 12288, low = 7168.0 * 128 + 128.0 * 12288;
  CHECK(counted_billions(kKimi) - counted_billions(narrow) == Approx(6 * (full - low) / 1e9).epsilon(1e-6));
}

const std::string kDense = R"({"architectures": ["SomeNewForCausalLM"], "model_type": "some_new", "hidden_size": 64,
"intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256,
"hidden_act": "silu", "max_position_embeddings": 4096, "tie_word_embeddings": false, "more": 0})";

TEST_CASE("what may add parameters and is not known is refused, what adds none is named", "[scenarios][import]") {
  for (const std::string field :
       {"\"routed_hidden_size\": 3584", "\"second_attention_heads\": 16", "\"use_head_gate\": true"}) {
    CAPTURE(field);
    CHECK_THAT(refusal_of(replaced(kDense, "\"more\": 0", field)), ContainsSubstring("it adds parameters"));
  }
  for (const std::string field :
       {"\"routed_hidden_size\": 0", "\"projector_hidden_size\": 6144", "\"use_head_gate\": false",
        "\"hidden_init_scale\": 12", "\"expert_capacity\": 64", "\"num_shared_expert_layers\": 4"}) {
    CAPTURE(field);
    CHECK(refusal_of(replaced(kDense, "\"more\": 0", field)).empty());
  }
  // An activation function that does not tell how many matrices an FFN has.
  CHECK_THAT(refusal_of(replaced(kDense, "\"silu\"", "\"zilu\"")), ContainsSubstring("two matrices or three"));
  CHECK(imported_config(replaced(kDense, "\"silu\"", "\"situ\"")).model.gated_ffn);
}

TEST_CASE("layers that contradict each other are refused", "[scenarios][import]") {
  const std::string moe = R"({"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
"hidden_size": 1024, "intermediate_size": 2048, "moe_intermediate_size": 512, "num_hidden_layers": 6,
"num_attention_heads": 8, "kv_lora_rank": 128, "q_lora_rank": null, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32,
"v_head_dim": 64, "n_routed_experts": 8, "num_experts_per_tok": 2, "first_k_dense_replace": 7, "vocab_size": 1000,
"max_position_embeddings": 4096})";
  CHECK_THAT(refusal_of(moe), ContainsSubstring("first_k_dense_replace: found 7, expected a whole number from 0 to 6"));
  CHECK(refusal_of(replaced(moe, "\"first_k_dense_replace\": 7", "\"first_k_dense_replace\": 1")).empty());
}

TEST_CASE("names and defaults that classes bring are no reason to refuse", "[scenarios][import]") {
  const std::string minicpm = R"({"architectures": ["MiniCPM3ForCausalLM"], "model_type": "minicpm3",
"hidden_size": 2560, "intermediate_size": 6400, "num_hidden_layers": 62, "num_attention_heads": 40,
"num_key_value_heads": 40, "q_lora_rank": 768, "kv_lora_rank": 256, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32,
"vocab_size": 73448, "hidden_act": "silu", "max_position_embeddings": 32768})";
  CHECK(counted_billions(minicpm) == Approx(4.0739).epsilon(0.002));
  // Without latent attention, whose widths are said as 0 all the same.
  const std::string ocr = R"({"architectures": ["DeepseekOCRForCausalLM"], "model_type": "DeepseekOCR",
"language_config": {"model_type": "deepseek_v2", "hidden_size": 1280, "intermediate_size": 6848, "num_hidden_layers": 12,
"num_attention_heads": 10, "num_key_value_heads": 10, "kv_lora_rank": null, "q_lora_rank": null, "qk_nope_head_dim": 0,
"qk_rope_head_dim": 0, "v_head_dim": 0, "use_mla": false, "vocab_size": 129280, "max_position_embeddings": 8192,
"n_routed_experts": 64, "num_experts_per_tok": 6, "moe_intermediate_size": 896, "n_shared_experts": 2,
"first_k_dense_replace": 1, "n_group": 1, "topk_group": 1}})";
  CHECK(counted_billions(ocr) == Approx(2.9347).epsilon(0.002));
  // Layers that choose what they attend to, by their type.
  const std::string sparse = R"({"architectures": ["GlmMoeDsaForCausalLM"], "model_type": "glm_moe_dsa",
"hidden_size": 1024, "intermediate_size": 2048, "moe_intermediate_size": 512, "num_hidden_layers": 2,
"num_attention_heads": 8, "kv_lora_rank": 128, "q_lora_rank": 256, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32,
"v_head_dim": 64, "n_routed_experts": 8, "num_experts_per_tok": 2, "first_k_dense_replace": 1, "vocab_size": 1000,
"max_position_embeddings": 8192, "index_n_heads": 4, "index_head_dim": 64, "index_topk": 512,
"layer_types": ["deepseek_sparse_attention", "deepseek_sparse_attention"]})";
  CHECK(imported_config(sparse).model.attention.indexer.tokens == 512);
  CHECK_THAT(refusal_of(replaced(sparse, "\"index_topk\": 512,", "")), ContainsSubstring("index_topk: found nothing"));
}

TEST_CASE("models whose first reason counts: recurrent, heads that are routed to", "[scenarios][import]") {
  const auto refused = [](const std::string& name, const std::string& type) {
    return refusal_of("{\"architectures\": [\"" + name + "\"], \"model_type\": \"" + type +
                      "\", \"hidden_size\": 768}");
  };
  CHECK_THAT(refused("RWKV7ForCausalLM", "rwkv7"), ContainsSubstring("recurrent from the first layer"));
  CHECK_THAT(refused("GLAForCausalLM", "gla"), ContainsSubstring("recurrent from the first layer"));
  CHECK_THAT(refused("JetMoEForCausalLM", "jetmoe"), ContainsSubstring("heads of attention that tokens are routed to"));
}

TEST_CASE("formats in hf_quant_config.json are read, and long lists do not hinder", "[scenarios][import]") {
  const TemporaryFolder folder;
  const std::string plain = replaced(kDense, "\"SomeNewForCausalLM\"", "\"LlamaForCausalLM\"");
  const std::string file = folder.write("config.json", plain);
  const auto with = [&](const std::string& quantization) {
    folder.write("hf_quant_config.json",
                 "{\"producer\": {\"name\": \"modelopt\"}, \"quantization\": " + quantization + "}");
    return import_model(file).model.published_weights;
  };
  CHECK(with(R"({"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16})") == PublishedWeights::nvfp4);
  CHECK(with(R"({"quant_algo": "FP8_PB_WO"})") == PublishedWeights::fp8_blocks);
  CHECK(with(R"({"quant_algo": "MIXED_PRECISION", "quantized_layers": {"a": {"quant_algo": "NVFP4"},
    "b": {"quant_algo": "FP8"}, "c": {"quant_algo": "NVFP4"}}})") == PublishedWeights::nvfp4);
  folder.write("hf_quant_config.json", "{\"producer\": 1}");
  CHECK_THROWS_WITH(import_model(file), ContainsSubstring("hf_quant_config.json") && ContainsSubstring("quantization"));
  // A list of two megabytes, of layers that are stored otherwise.
  std::string names = "\"layer\"";
  for (int i = 0; i < 100'000; ++i) names += ",\"model.layers.10.mlp\"";
  CHECK(refusal_of(replaced(plain, "\"more\": 0",
                            "\"quantization_config\": {\"quant_algo\": \"NVFP4\", \"ignore\": [" + names + "]}"))
            .empty());
}

}  // namespace
}  // namespace flopcast::test
