// Do formats of weights, wrapped language models and the weights themselves arrive with a configuration?
#include "scenarios/imports/import_model.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "tests/scenarios/fixture.h"
#include "workloads/serving/cache/kv_bytes.h"
#include "workloads/serving/pricing/engine.h"
#include "workloads/serving/pricing/replica_memory.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

/// A dense model, with more fields behind.
std::string config_with(const std::string& more) {
  return R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256, "hidden_act": "silu",
"max_position_embeddings": 4096, "tie_word_embeddings": false)" +
         more + "}";
}

ImportedModel imported_text(const std::string& text) {
  const TemporaryFolder folder;
  return import_model(folder.write("config.json", text));
}

TEST_CASE("quantization_config becomes the format of the weights", "[scenarios][import]") {
  const std::pair<const char*, PublishedWeights> kRows[] = {
      {R"({"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]})", PublishedWeights::fp8_blocks},
      {R"({"quant_method": "fp8", "activation_scheme": "static"})", PublishedWeights::fp8},
      {R"({"quant_method": "fbgemm_fp8"})", PublishedWeights::fp8},
      {R"({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"})", PublishedWeights::int4},
      {R"({"quant_method": "gptq", "bits": 4, "group_size": 128})", PublishedWeights::int4},
      {R"({"quant_method": "gptq", "bits": 8, "group_size": 128})", PublishedWeights::bf16},
      {R"({"quant_method": "gptq", "bits": 4, "weight_block_size": [128, 128]})", PublishedWeights::int4},
      {R"({"quant_method": "fp8", "weight_block_size": [64, 64]})", PublishedWeights::bf16},
      {R"({"quant_method": "mxfp4"})", PublishedWeights::mxfp4},
      {R"({"quant_method": "modelopt", "quant_algo": "NVFP4"})", PublishedWeights::nvfp4},
      {R"({"quant_method": "modelopt", "quant_algo": "FP8"})", PublishedWeights::fp8},
      {R"({"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"group_0": {"weights":
       {"num_bits": 4, "group_size": 32, "type": "int", "strategy": "group"}}}})",
       PublishedWeights::int4},
      {R"({"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {"group_0": {"weights":
       {"num_bits": 8, "type": "float", "strategy": "channel"}}}})",
       PublishedWeights::fp8},
      {R"({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized", "config_groups": {"group_0":
       {"weights": {"num_bits": 4, "group_size": 16, "type": "float"}}}})",
       PublishedWeights::nvfp4}};
  for (const auto& [quantization, expected] : kRows) {
    CAPTURE(quantization);
    const ImportedModel model = imported_text(config_with(std::string(", \"quantization_config\": ") + quantization));
    CHECK(model.model.published_weights == expected);
  }
}

/// A model with experts, with more fields behind.
std::string experts_with(const std::string& more) {
  return R"({"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 64, "head_dim": 16,
"intermediate_size": 128, "moe_intermediate_size": 32, "num_experts": 8, "num_experts_per_tok": 2,
"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256, "hidden_act": "silu",
"max_position_embeddings": 4096, "tie_word_embeddings": false, "decoder_sparse_step": 1)" +
         more + "}";
}

TEST_CASE("experts may be stored in another format than other layers", "[scenarios][import]") {
  struct Row {
    const char* fields;
    PublishedWeights weights;
    WeightFormat experts;
  };
  const Row kRows[] = {
      // DeepSeek V4, and NVIDIA's file of it.
      {R"(, "expert_dtype": "fp4", "quantization_config": {"quant_method": "fp8", "scale_fmt": "ue8m0",
          "weight_block_size": [128, 128]})",
       PublishedWeights::fp8_blocks, WeightFormat::mxfp4},
      {R"(, "expert_dtype": "fp8", "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]})",
       PublishedWeights::fp8_blocks, WeightFormat::as_multiplied},
      {R"(, "expert_dtype": "fp4", "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128],
          "moe_quant_algo": "NVFP4", "quant_algo": "MIXED_PRECISION"})",
       PublishedWeights::fp8_blocks, WeightFormat::nvfp4},
      {R"(, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128], "quant_algo":
          "MIXED_PRECISION", "quantized_layers": {"layers.0.ffn.experts": {"quant_algo": "NVFP4"}}})",
       PublishedWeights::fp8_blocks, WeightFormat::nvfp4},
      // MiniMax M3: layers have formats of their own.
      {R"(, "quantization_config": {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers":
          {"l.0.experts.0.w1": {"quant_algo": "NVFP4"}, "l.0.experts.1.w1": {"quant_algo": "NVFP4"},
           "l.0.shared_experts.up_proj": {"quant_algo": "MXFP8"}}})",
       PublishedWeights::fp8, WeightFormat::nvfp4},
      // Kimi K2.5: experts alone.
      {R"(, "quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups":
          {"group_0": {"weights": {"num_bits": 4, "group_size": 32, "type": "int"}}},
          "ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*"]})",
       PublishedWeights::bf16, WeightFormat::int4},
      {R"(, "quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups":
          {"group_0": {"weights": {"num_bits": 4, "group_size": 32, "type": "int"}}}, "ignore": ["lm_head"]})",
       PublishedWeights::int4, WeightFormat::as_multiplied}};
  for (const Row& row : kRows) {
    CAPTURE(row.fields);
    const ImportedModel model = imported_text(experts_with(row.fields));
    CHECK(model.model.published_weights == row.weights);
    CHECK(model.model.published_experts == row.experts);
  }
}

TEST_CASE("what says how weights are stored is used or named", "[scenarios][import]") {
  const auto notes = [](const std::string& quantization) {
    std::string text;
    for (const ImportNote& note : imported_text(config_with(", \"quantization_config\": " + quantization)).notes)
      text += to_string(note) + "\n";
    return text;
  };
  CHECK_THAT(notes(R"({"quant_method": "fp8", "wieght_block_size": [128, 128]})"),
             ContainsSubstring("quantization_config.wieght_block_size: not understood"));
  CHECK_THAT(notes(R"({"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"})"), ContainsSubstring("kv_cache: \"fp8\""));
  CHECK_THAT(notes(R"({"quant_algo": "NVFP4", "ignore": ["model.layers.0.self_attn*"]})"),
             ContainsSubstring("attention, which the file leaves in BF16, too"));
}

/// DeepSeek V4 Flash, of which the first two layers and the last have a window alone.
TEST_CASE("a cache of compressed tokens, and of the keys of an index that are compressed less", "[scenarios][import]") {
  std::string ratios = "0, 0";
  for (int i = 0; i < 41; ++i) ratios += i % 2 == 0 ? ", 4" : ", 128";
  const ModelConfig v4 = imported_text(R"({"architectures": ["DeepseekV4ForCausalLM"], "model_type": "deepseek_v4",
"head_dim": 512, "hidden_size": 4096, "hidden_act": "silu", "index_head_dim": 128, "index_n_heads": 64,
"index_topk": 512, "max_position_embeddings": 1048576, "moe_intermediate_size": 2048, "n_routed_experts": 256,
"n_shared_experts": 1, "num_attention_heads": 64, "num_experts_per_tok": 6, "num_hidden_layers": 43,
"num_key_value_heads": 1, "num_nextn_predict_layers": 1, "o_groups": 8, "o_lora_rank": 1024, "q_lora_rank": 1024,
"qk_rope_head_dim": 64, "sliding_window": 128, "tie_word_embeddings": false, "vocab_size": 129280, "hc_mult": 4,
"expert_dtype": "fp4", "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
"compress_ratios": [)" + ratios + ", 0]}")
                             .model;
  const double entries = 512 * 2 * (21 / 4.0 + 20 / 128.0), index = (128 + 4) * 21 / 4.0;
  CHECK(entries + index == Approx(6229).epsilon(0.0001));
  CHECK(kv_bytes_per_token(v4, Precision::bf16).value() == Approx(entries + index).epsilon(0.001));
  // 284 B parameters: 277 B of routed experts in 0.53 bytes, others in one and two.
  EngineConfig engine;
  engine.model = v4;
  engine.precision.linear = Precision::fp8;
  engine.precision.experts = WeightFormat::mxfp4;
  engine.scheduler.token_budget = engine.scheduler.max_batch = 1;
  GpuSpec gpu;
  gpu.hbm_capacity = Bytes(1e12);
  const double stored = replica_memory(engine, gpu).table.total().value();
  CHECK(stored > 155e9);
  CHECK(stored < 160e9);
}

TEST_CASE("serving takes weights as they are published, unless a format is stated", "[scenarios][serving]") {
  const std::string text = R"(cluster { node: "hgx-h100" nodes: 1 fabric: "single-switch" } model: "gpt-oss-120b"
serving { traffic { requests: "10" stream { requests_per_second: 5 input { mean: 500 } output { mean: 100 } } }
  replicas { tensor: 4 } })";
  const Scenario published = load_text(text);
  CHECK(published.serving->pools[0].engine.precision.stored == WeightFormat::mxfp4);
  CHECK(published.serving->pools[0].engine.weights_as_published);
  const Scenario stated = load_text(text, {"serving.replicas.weights=bf16"});
  CHECK(stated.serving->pools[0].engine.precision.stored == WeightFormat::as_multiplied);
  CHECK_FALSE(stated.serving->pools[0].engine.weights_as_published);
  const Scenario blocks =
      load_text(text, {"model=deepseek-v3.2", "serving.replicas.tensor=8", "cluster.node=hgx-h200"});
  CHECK(blocks.serving->pools[0].engine.precision.linear == Precision::fp8);
  CHECK(blocks.serving->pools[0].engine.precision.scaling == Scaling::blocks);
}

TEST_CASE("a wrapper's language model is read as what it says it is", "[scenarios][import]") {
  // Mistral Large 3: 673 B in the language part, by its shape that of DeepSeek-V3 with other widths.
  const ImportedModel large =
      imported_text(R"({"architectures": ["Mistral3ForConditionalGeneration"], "model_type": "mistral3",
"text_config": {"model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
"num_key_value_heads": 128, "intermediate_size": 16384, "moe_intermediate_size": 4096, "n_routed_experts": 128,
"num_experts_per_tok": 4, "n_shared_experts": 1, "first_k_dense_replace": 3, "q_lora_rank": 1536, "kv_lora_rank": 512,
"qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 131072,
"max_position_embeddings": 294912, "tie_word_embeddings": false}})");
  CHECK(count_parameters(large.model).total / 1e9 == Approx(672.6).epsilon(0.01));
  CHECK(large.model.moe.first_dense_layers == 3);
  // LongCat-Flash: 560 B published (arXiv 2509.01322).
  const ImportedModel longcat =
      imported_text(R"({"architectures": ["LongcatFlashForCausalLM"], "model_type": "longcat_flash",
"hidden_size": 6144, "num_layers": 28, "num_attention_heads": 64, "ffn_hidden_size": 12288,
"expert_ffn_hidden_size": 2048, "n_routed_experts": 512, "zero_expert_num": 256, "zero_expert_type": "identity",
"moe_topk": 12, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
"v_head_dim": 128, "vocab_size": 131072, "max_position_embeddings": 131072})");
  CHECK(count_parameters(longcat.model).total / 1e9 == Approx(560).epsilon(0.005));
  CHECK(count_parameters(longcat.model).active / 1e9 == Approx(27).epsilon(0.05));
  // Grok 2: 269.5 B, a network beside the experts.
  const ImportedModel grok =
      imported_text(R"({"architectures": ["Grok1ForCausalLM"], "model_type": "git", "hidden_size": 8192,
"num_hidden_layers": 64, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128,
"intermediate_size": 32768, "moe_intermediate_size": 16384, "num_local_experts": 8, "num_experts_per_tok": 2,
"vocab_size": 131072, "max_position_embeddings": 131072, "residual_moe": true, "tie_word_embeddings": false})");
  CHECK(count_parameters(grok.model).total / 1e9 == Approx(269.5).epsilon(0.005));
  CHECK_THROWS_WITH(imported_text(R"({"architectures": ["FalconH1ForCausalLM"], "model_type": "falcon_h1"})"),
                    ContainsSubstring("side by side"));
}

/// A file of tensors without their contents: name, type, shape.
std::string safetensors(const std::vector<std::array<std::string, 3>>& tensors) {
  std::string header = "{\"__metadata__\": {\"format\": \"pt\"}";
  for (const auto& [name, type, shape] : tensors)
    header += ", \"" + name + "\": {\"dtype\": \"" + type + "\", \"shape\": [" + shape + "], \"data_offsets\": [0, 0]}";
  header += "}";
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
  return bytes + header;
}

TEST_CASE("weights beside a configuration are counted to the last one", "[scenarios][import]") {
  const TemporaryFolder folder;
  folder.write("config.json", config_with(""));
  std::vector<std::array<std::string, 3>> tensors{{"model.embed_tokens.weight", "BF16", "256, 64"},
                                                  {"lm_head.weight", "BF16", "256, 64"},
                                                  {"model.norm.weight", "BF16", "64"}};
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    for (const auto& [name, shape] :
         {std::pair("self_attn.q_proj.weight", "64, 64"), std::pair("self_attn.k_proj.weight", "32, 64"),
          std::pair("self_attn.v_proj.weight", "32, 64"), std::pair("self_attn.o_proj.weight", "64, 64"),
          std::pair("mlp.gate_proj.weight", "128, 64"), std::pair("mlp.up_proj.weight", "128, 64"),
          std::pair("mlp.down_proj.weight", "64, 128"), std::pair("input_layernorm.weight", "64"),
          std::pair("post_attention_layernorm.weight", "64")})
      tensors.push_back({layer + name, "BF16", shape});
    tensors.push_back({layer + "mlp.down_proj.weight_scale_inv", "F32", "1, 1"});
  }
  folder.write("model-00001-of-00001.safetensors", safetensors(tensors));
  const auto notes = [&] {
    std::string text;
    for (const ImportNote& note : import_model(folder.path()).notes) text += to_string(note) + "\n";
    return text;
  };
  CHECK_THAT(notes(), ContainsSubstring("exactly as many as this model counts"));
  tensors.push_back({"model.layers.1.self_attn.q_proj.bias", "BF16", "64"});
  tensors.push_back({"model.layers.2.eh_proj.weight", "BF16", "64, 128"});
  folder.write("model-00001-of-00001.safetensors", safetensors(tensors));
  CHECK_THAT(notes(), ContainsSubstring("64 fewer") && ContainsSubstring("8192 of MTP modules"));
  folder.write("model-00001-of-00001.safetensors", "short");
  CHECK_THROWS_WITH(notes(), ContainsSubstring("no header"));
  // The index alone, as one has it before the weights: its size, in 16 bits, is a number of elements.
  const TemporaryFolder bare;
  bare.write("config.json", config_with(""));
  const double elements = count_parameters(import_model(bare.path()).model).total;
  const auto indexed = [&](double bytes) {
    bare.write("model.safetensors.index.json",
               fmt::format("{{\"metadata\": {{\"total_size\": {:.0f}}}, \"weight_map\": {{\"a\": \"x.safetensors\"}}}}",
                           bytes));
    std::string text;
    for (const ImportNote& note : import_model(bare.path()).notes) text += to_string(note) + "\n";
    return text;
  };
  CHECK_THAT(indexed(2 * elements), ContainsSubstring("exactly as many elements as this model counts"));
  CHECK_THAT(indexed(2 * elements + 1000), ContainsSubstring("500 fewer"));
  CHECK_THAT(indexed(2 * elements - 1000), ContainsSubstring("500 more"));
}

}  // namespace
}  // namespace flopcast::test
