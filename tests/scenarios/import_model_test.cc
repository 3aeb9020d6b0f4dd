// Does a Hugging Face config.json become the model that the library has of it, and is everything said that
// was not understood?
#include "scenarios/imports/import_model.h"

#include <filesystem>
#include <map>

#include "scenarios/read/text/text_file.h"
#include "tests/analysis/program.h"
#include "tests/paths.h"
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

// config.json files with the published values (deepseek-ai/DeepSeek-V3, -V2, -V2-Lite, moonshotai/Kimi-K2-Instruct,
// meta-llama/Llama-3.1-8B, mistralai/Mixtral-8x7B-v0.1, Qwen/Qwen3-30B-A3B, Qwen/Qwen2.5-72B, openai/gpt-oss-120b,
// hpcai-tech/grok-1), and the dimensions of GPT-3 and Nemotron-4 340B in their families' names. By the library's name.
std::map<std::string, std::string> published_configs() {
  std::map<std::string, std::string> configs;
  for (const auto& entry : std::filesystem::directory_iterator(testing::source_dir() + "/tests/scenarios/configs"))
    configs[entry.path().stem().string()] = read_text_file(entry.path().string());
  return configs;
}
const std::map<std::string, std::string> kConfigs = published_configs();

ImportedModel imported(const std::string& text, const ImportOptions& options = {}) {
  const TemporaryFolder folder;
  return import_model(folder.write("config.json", text), options);
}

std::string faults_of_config(const std::string& text, const ImportOptions& options = {}) {
  try {
    imported(text, options);
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

std::string notes_of(const std::string& text) {
  std::string out;
  for (const ImportNote& note : imported(text).notes) out += to_string(note) + "\n";
  return out;
}

const std::string kLlama = kConfigs.at("llama-3.1-8b");
const std::string kQwenMoe = kConfigs.at("qwen3-30b-a3b");

void check_same(const ModelConfig& a, const ModelConfig& b) {
  CHECK(a.layers == b.layers);
  CHECK(a.hidden == b.hidden);
  CHECK(a.vocabulary == b.vocabulary);
  CHECK(a.ffn_width == b.ffn_width);
  CHECK(a.gated_ffn == b.gated_ffn);
  CHECK(a.tied_embeddings == b.tied_embeddings);
  CHECK(a.mtp_depth == b.mtp_depth);
  CHECK(a.max_positions == b.max_positions);
  CHECK(a.attention.type == b.attention.type);
  CHECK(a.attention.heads == b.attention.heads);
  CHECK(a.attention.kv_heads == b.attention.kv_heads);
  CHECK(a.attention.head_dim == b.attention.head_dim);
  CHECK(a.attention.q_lora_rank == b.attention.q_lora_rank);
  CHECK(a.attention.kv_lora_rank == b.attention.kv_lora_rank);
  CHECK(a.attention.qk_nope_dim == b.attention.qk_nope_dim);
  CHECK(a.attention.qk_rope_dim == b.attention.qk_rope_dim);
  CHECK(a.attention.v_dim == b.attention.v_dim);
  CHECK(a.moe.experts == b.moe.experts);
  CHECK(a.moe.experts_per_token == b.moe.experts_per_token);
  CHECK(a.moe.shared_experts == b.moe.shared_experts);
  CHECK(a.moe.expert_width == b.moe.expert_width);
  CHECK(a.moe.groups == b.moe.groups);
  CHECK(a.moe.groups_per_token == b.moe.groups_per_token);
  CHECK(a.moe.first_dense_layers == b.moe.first_dense_layers);
  CHECK(a.moe.every == b.moe.every);
}

TEST_CASE("a published config.json becomes the library's entry of that model") {
  const TemporaryFolder mine;
  for (const auto& [name, config] : kConfigs) {
    INFO(name);
    const ImportedModel model = imported(config);
    const ModelConfig ours = libraries().model(name);
    check_same(model.model, ours);
    // Biases of q, k and v are stated by the class, not by the library's GPT-3: 3 x 12288 a layer.
    // The class's learned positions and biases too: 0.03 %.
    CHECK(count_parameters(model.model).total == Approx(count_parameters(ours).total).epsilon(5e-4));
    CHECK(count_parameters(model.model).active == Approx(count_parameters(ours).active).epsilon(5e-4));

    mine.write("models/" + name + ".textproto", model.text);
    const ModelConfig back = Libraries({mine.path()}).model(name);
    check_same(back, model.model);
    CHECK(back.attention.qkv_bias == model.model.attention.qkv_bias);
    CHECK(back.sources.size() > 0);
    if (name != "gpt-3-175b") CHECK(back.attention.qkv_bias == ours.attention.qkv_bias);
    const bool stored_otherwise = name == "gpt-oss-120b" || name == "deepseek-v3";
    CHECK(model.notes.size() == (stored_otherwise ? 1 : 0));
  }
}

TEST_CASE("the file says where it comes from and how large the model is") {
  const TemporaryFolder folder;
  const ImportedModel model = import_model(folder.write("V3/config.json", kConfigs.at("deepseek-v3")));
  CHECK_THAT(model.text, ContainsSubstring("# V3: 671.03 B parameters, 36.63 B active per token") &&
                             ContainsSubstring("MTP modules, not counted here: 1 x 11.61 B") &&
                             ContainsSubstring("V3/config.json (DeepseekV3ForCausalLM)") &&
                             ContainsSubstring("title: \"V3\"") && ContainsSubstring("sources {"));
  CHECK(imported(kLlama, {.name = "My \"own\"\nLlama"}).model.title == "My \"own\"\\x0aLlama");
  CHECK(imported(replaced(kLlama, "\"use_cache\"", "\"_name_or_path\": \"meta-llama/Llama-3.1-8B\", \"use_cache\""))
            .model.title == "Llama-3.1-8B");
}

TEST_CASE("what is not understood is named, with the nearest known field, and stands in the file") {
  const std::string odd = replaced(kLlama, "  \"initializer_range\"",
                                   "  \"rope_thetta\": 3, \"flux\\ncapacitor\": 1,\n  \"initializer_range\"");
  const ImportedModel model = imported(odd);
  REQUIRE(model.notes.size() == 2);
  CHECK_THAT(notes_of(odd),
             ContainsSubstring("config.json:4:3: rope_thetta: not understood and left out (nearest known "
                               "field: rope_theta)") &&
                 ContainsSubstring("flux capacitor: not understood and left out\n"));
  CHECK_THAT(model.text,
             ContainsSubstring("# rope_thetta: not understood") && ContainsSubstring("# flux capacitor: not under"));
  const TemporaryFolder mine;
  mine.write("models/odd.textproto", model.text);
  CHECK_NOTHROW(Libraries({mine.path()}).model("odd"));
}

TEST_CASE("what a file says twice, and of another class, is told") {
  CHECK_THAT(notes_of(replaced(kConfigs.at("gpt-oss-120b"), "\"experts_per_token\": 4", "\"experts_per_token\": 2")),
             ContainsSubstring("experts_per_token: 2 where num_experts_per_tok says 4; the latter was used"));
  // Experts belong to another class: the one that is named would not build them, and a file that says both is none of
  // it.
  CHECK_THAT(faults_of_config(replaced(kLlama, "\"mlp_bias\": false", "\"num_local_experts\": 8")),
             ContainsSubstring("num_local_experts: found 8, expected none of it"));
}

TEST_CASE("layers with experts follow the rules of DeepSeek and of Qwen") {
  const auto layers_with_experts = [](const std::string& config) {
    const ModelConfig model =
        imported(replaced(config, "\"num_hidden_layers\": ", "\"num_hidden_layers\": 6, \"was\": ")).model;
    std::string out;
    for (int layer = 0; layer < model.layers; ++layer) out += model.is_moe_layer(layer) ? 'x' : '.';
    return out;
  };
  const std::string v3 =
      replaced(kConfigs.at("deepseek-v3"), "\"first_k_dense_replace\": 3", "\"first_k_dense_replace\": 1");
  const std::string frequency = "\"moe_layer_freq\": 1";
  CHECK(layers_with_experts(v3) == ".xxxxx");
  CHECK(layers_with_experts(replaced(v3, frequency, "\"moe_layer_freq\": 2")) == "..x.x.");
  CHECK(layers_with_experts(replaced(v3, frequency, "\"moe_layer_freq\": [0, 0, 1, 0, 0, 1]")) == "..x..x");
  CHECK(layers_with_experts(replaced(v3, frequency, "\"moe_layer_freq\": [0, 0, 0, 0, 0, 0]")) == "......");
  const std::string step = "\"decoder_sparse_step\": 1";
  CHECK(layers_with_experts(replaced(kQwenMoe, step, "\"decoder_sparse_step\": 2")) == ".x.x.x");
  CHECK(layers_with_experts(replaced(kQwenMoe, "[]", "[0, 1, 2]")) == "...xxx");
  // At uneven distances they are counted and spread evenly.
  CHECK(layers_with_experts(replaced(kQwenMoe, "[]", "[0, 2, 3]")) == "..x.xx");
  CHECK_THAT(faults_of_config(replaced(kQwenMoe, "[]", "[48]")), ContainsSubstring("a list of layers, counted from 0"));
  CHECK_THAT(faults_of_config(replaced(v3, frequency, "\"moe_layer_freq\": [1]")),
             ContainsSubstring("found a list of 1, expected one entry for each of the 61 layers"));
}

TEST_CASE("the shared expert of Qwen2-MoE counts in experts") {
  // Qwen/Qwen2-57B-A14B: 57.4 B parameters, 14.2 B active with the embedding.
  const std::string config = R"({"architectures": ["Qwen2MoeForCausalLM"], "hidden_size": 3584,
    "intermediate_size": 18944, "max_position_embeddings": 131072, "moe_intermediate_size": 2560,
    "num_attention_heads": 28, "num_experts": 64, "num_experts_per_tok": 8, "num_hidden_layers": 28,
    "num_key_value_heads": 4, "shared_expert_intermediate_size": 20480, "vocab_size": 151936})";
  const ModelConfig model = imported(config).model;
  CHECK(model.moe.shared_experts == 8);
  CHECK(count_parameters(model).total / 1e9 == Approx(57.4).epsilon(0.005));
  const MoeConfig odd = imported(replaced(config, "20480", "20481")).model.moe;
  CHECK(odd.width_of_shared() == 20481);
}

TEST_CASE("GPT-NeoX: two matrices in the FFN, multi-head attention with biases") {
  // EleutherAI/gpt-neox-20b: 20.6 B parameters.
  const ModelConfig model = imported(R"({"architectures": ["GPTNeoXForCausalLM"], "hidden_size": 6144,
    "intermediate_size": 24576, "max_position_embeddings": 2048, "num_attention_heads": 64,
    "num_hidden_layers": 44, "rotary_pct": 0.25, "tie_word_embeddings": false,
    "use_parallel_residual": true, "vocab_size": 50432})")
                                .model;
  CHECK(model.attention.type == "multi_head");
  CHECK(model.attention.qkv_bias);
  CHECK(count_parameters(model).total / 1e9 == Approx(20.55).epsilon(0.002));
}

TEST_CASE("a file without architectures is known by its model_type, and any file by what the user says") {
  CHECK(imported(replaced(kLlama, "\"architectures\": [\"LlamaForCausalLM\"], ", "")).model.layers == 32);
  const std::string no_type = replaced(kLlama, "\"model_type\": \"llama\", ", "");
  CHECK_THAT(faults_of_config(replaced(no_type, "LlamaForCausalLM", "LlamaForCausalLN")),
             ContainsSubstring("config.json:2:3: architectures: found \"LlamaForCausalLN\", expected one of "
                               "LlamaForCausalLM, ") &&
                 ContainsSubstring("(did you mean \"LlamaForCausalLM\"?)"));
  // A class of somebody's own goes by its type, or by its fields; either is said.
  CHECK_THAT(notes_of(replaced(kLlama, "LlamaForCausalLM", "MineForCausalLM")),
             ContainsSubstring("architectures: \"MineForCausalLM\" is not known by name: read as llama"));
  CHECK_THAT(
      notes_of(replaced(replaced(kLlama, "LlamaForCausalLM", "MineForCausalLM"), "\"llama\"", "\"mine\"")),
      ContainsSubstring("\"MineForCausalLM\" is not known by name: read by its fields, three matrices in an FFN"));
  CHECK(imported(replaced(kLlama, "LlamaForCausalLM", "MineForCausalLM"), {.architecture = "LlamaForCausalLM"})
            .model.layers == 32);
  CHECK_THAT(faults_of_config(kLlama, {.architecture = "Llama"}), ContainsSubstring("--as: found \"Llama\""));
  CHECK_THAT(faults_of_config("{}"), ContainsSubstring("architectures: found nothing, expected one of"));
}

/// Parameters that a file says, in billions.
double billions(const std::string& config) { return count_parameters(imported(config).model).total / 1e9; }

TEST_CASE("what classes leave unsaid: tied embeddings, windows, gates, biases, positions") {
  // openai-community/gpt2: 124.4 M with its table of positions.
  CHECK(billions(R"({"architectures": ["GPT2LMHeadModel"], "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12,
    "n_positions": 1024, "vocab_size": 50257})") == Approx(0.12444).epsilon(0.002));
  // CohereForAI/c4ai-command-r-v01: 35.0 B, its embedding once.
  const ModelConfig cohere = imported(R"({"architectures": ["CohereForCausalLM"], "hidden_size": 8192,
    "intermediate_size": 22528, "max_position_embeddings": 8192, "num_attention_heads": 64, "num_hidden_layers": 40,
    "num_key_value_heads": 64, "vocab_size": 256000})")
                                 .model;
  CHECK(cohere.tied_embeddings);
  CHECK(count_parameters(cohere).total / 1e9 == Approx(34.98).epsilon(0.002));
  // google/gemma-2-9b: 9.24 B; every second layer looks back at 4,096 tokens.
  const ModelConfig gemma = imported(R"({"architectures": ["Gemma2ForCausalLM"], "head_dim": 256, "hidden_size": 3584,
    "intermediate_size": 14336, "max_position_embeddings": 8192, "num_attention_heads": 16, "num_hidden_layers": 42,
    "num_key_value_heads": 8, "sliding_window": 4096, "vocab_size": 256000})")
                                .model;
  CHECK(gemma.tied_embeddings);
  CHECK(gemma.attention.window.layers == 21);
  CHECK(count_parameters(gemma).total / 1e9 == Approx(9.24).epsilon(0.003));
  // tiiuae/falcon-7b: 7.22 B with one head of keys and values (6.92 B with its embedding once).
  const ModelConfig falcon =
      imported(R"({"architectures": ["FalconForCausalLM"], "hidden_size": 4544, "multi_query": true,
    "new_decoder_architecture": false, "num_attention_heads": 71, "num_hidden_layers": 32, "vocab_size": 65024})")
          .model;
  CHECK(falcon.attention.kv_heads == 1);
  CHECK(count_parameters(falcon).total / 1e9 == Approx(6.92).epsilon(0.003));
}

TEST_CASE("Grok 2 is gated and has a network beside its experts; an unknown class ties its embeddings") {
  // xai-org/grok-2: 270 B.
  CHECK(billions(R"({"architectures": ["Grok1ForCausalLM"], "hidden_act": "gelu", "hidden_size": 8192,
    "intermediate_size": 32768, "moe_intermediate_size": 16384, "max_position_embeddings": 131072,
    "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128, "num_hidden_layers": 64,
    "num_experts_per_tok": 2, "num_local_experts": 8, "residual_moe": true, "vocab_size": 131072,
    "tie_word_embeddings": false})") == Approx(269.5).epsilon(0.005));
  const std::string unknown = R"({"architectures": ["MineForCausalLM"], "model_type": "mine", "hidden_act": "silu",
    "hidden_size": 1024, "intermediate_size": 4096, "max_position_embeddings": 4096, "num_attention_heads": 16,
    "num_key_value_heads": 16, "num_hidden_layers": 8, "vocab_size": 32000, "use_cla": true, "cla_share_factor": 2})";
  CHECK(imported(unknown).model.tied_embeddings);
  CHECK_THAT(notes_of(unknown), ContainsSubstring("4 of 8 layers use keys and values of others"));
}

TEST_CASE("gpt-oss: windows in every second layer, sinks, biases of experts") {
  const ModelConfig model = imported(kConfigs.at("gpt-oss-120b")).model;
  CHECK(model.attention.window.tokens == 128);
  CHECK(model.attention.window.layers == 18);
  CHECK(model.attention.sinks);
  CHECK(model.moe.bias);
  CHECK(count_parameters(model).total / 1e9 == Approx(116.83).epsilon(0.0005));
  CHECK_THAT(notes_of(kConfigs.at("gpt-oss-120b")),
             ContainsSubstring("quantization_config: weights are stored as MXFP4"));
}

TEST_CASE("a text model within another, with layers of linear attention") {
  // Qwen/Qwen3-Next-80B-A3B: 79.7 B without its MTP module, in the form that Qwen3.5 nests.
  const std::string config = R"({"architectures": ["Qwen3_5MoeForConditionalGeneration"], "model_type": "qwen3_5_moe",
    "tie_word_embeddings": false, "vision_config": {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304},
    "text_config": {"attn_output_gate": true, "full_attention_interval": 4, "head_dim": 256, "hidden_size": 2048,
    "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
    "linear_value_head_dim": 128, "max_position_embeddings": 262144, "moe_intermediate_size": 512,
    "num_attention_heads": 16, "num_experts": 512, "num_experts_per_tok": 10, "num_hidden_layers": 48,
    "num_key_value_heads": 2, "shared_expert_intermediate_size": 512, "vocab_size": 151936}})";
  const ModelConfig model = imported(config).model;
  CHECK(model.state_layers.layers == 36);
  CHECK(model.growing_layers() == 12);
  CHECK(count_parameters(model).total / 1e9 == Approx(79.67).epsilon(0.003));
  CHECK_THAT(notes_of(config), ContainsSubstring("vision_config: an encoder of about 0.4111 B parameters"));
}

TEST_CASE("blocks of mixers and networks become layers") {
  // nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B: 31.6 B, 3.6 B active with its embedding.
  const ModelConfig model = imported(R"({"architectures": ["NemotronHForCausalLM"], "model_type": "nemotron_h",
    "conv_kernel": 4, "head_dim": 128, "hidden_size": 2688,
    "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME", "intermediate_size": 1856,
    "mamba_head_dim": 64, "mamba_num_heads": 64, "max_position_embeddings": 262144, "mlp_hidden_act": "relu2",
    "moe_intermediate_size": 1856, "moe_shared_expert_intermediate_size": 3712, "n_groups": 8, "n_routed_experts": 128,
    "n_shared_experts": 1, "num_attention_heads": 32, "num_experts_per_tok": 6, "num_hidden_layers": 52,
    "num_key_value_heads": 2, "ssm_state_size": 128, "tie_word_embeddings": false, "vocab_size": 131072})")
                                .model;
  CHECK(model.layers == 29);
  CHECK(model.state_layers.layers == 23);
  CHECK(model.growing_layers() == 6);
  CHECK(count_parameters(model).total / 1e9 == Approx(31.58).epsilon(0.003));
}

/// `kinds` as a list of JSON, repeated until there are `layers` of them.
std::string listed(const std::vector<std::string>& kinds, int layers) {
  std::string out = "[";
  for (int i = 0; i < layers; ++i)
    out += (i > 0 ? ", \"" : "\"") + kinds[static_cast<std::size_t>(i) % kinds.size()] + "\"";
  return out + "]";
}

TEST_CASE("hybrids: layers with a state are counted as what they are") {
  struct Hybrid {
    std::string config;
    double parameters;  // published, thousand million
    int states;
    double state;  // elements of a layer
  };
  const auto hybrid = GENERATE_COPY(values<Hybrid>({
      // ibm-ai-platform/Bamba-9B: 9.78 B
      {R"({"architectures": ["BambaForCausalLM"], "model_type": "bamba", "attn_layer_indices": [9, 18, 27],
    "hidden_size": 4096, "intermediate_size": 14336, "mamba_chunk_size": 256, "mamba_d_conv": 4, "mamba_d_head": "auto",
    "mamba_d_state": 128, "mamba_expand": 2, "mamba_n_groups": 1, "mamba_n_heads": 128, "max_position_embeddings": 262144,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "tie_word_embeddings": false,
    "vocab_size": 128256})",
       9.78, 29, 8192 * 128 + 3 * (8192 + 2 * 128)},
      // ibm-granite/granite-4.0-h-small: 32.2 B; h-micro: 3.19 B, without experts
      {R"({"architectures": ["GraniteMoeHybridForCausalLM"], "model_type": "granitemoehybrid", "hidden_size": 4096,
    "intermediate_size": 768, "mamba_d_conv": 4, "mamba_d_head": 64, "mamba_d_state": 128, "mamba_expand": 2,
    "mamba_n_groups": 1, "mamba_n_heads": 128, "max_position_embeddings": 131072, "num_attention_heads": 32,
    "num_experts_per_tok": 10, "num_hidden_layers": 40, "num_key_value_heads": 8, "num_local_experts": 72,
    "shared_intermediate_size": 1536, "tie_word_embeddings": true, "vocab_size": 100352, "layer_types": )" +
           listed({"mamba", "mamba", "mamba", "mamba", "mamba", "attention", "mamba", "mamba", "mamba", "mamba"}, 40) +
           "}",
       32.2, 36, 8192 * 128 + 3 * (8192 + 2 * 128)},
      {R"({"architectures": ["GraniteMoeHybridForCausalLM"], "model_type": "granitemoehybrid", "hidden_size": 2048,
    "intermediate_size": 8192, "mamba_d_conv": 4, "mamba_d_head": 64, "mamba_d_state": 128, "mamba_expand": 2,
    "mamba_n_groups": 1, "mamba_n_heads": 64, "max_position_embeddings": 131072, "num_attention_heads": 32,
    "num_experts_per_tok": 0, "num_hidden_layers": 40, "num_key_value_heads": 8, "num_local_experts": 0,
    "shared_intermediate_size": 8192, "tie_word_embeddings": true, "vocab_size": 100352, "layer_types": )" +
           listed({"mamba", "mamba", "mamba", "mamba", "mamba", "attention", "mamba", "mamba", "mamba", "mamba"}, 40) +
           "}",
       3.19, 36, 4096 * 128 + 3 * (4096 + 2 * 128)},
      // inclusionAI/Ring-mini-linear-2.0: 16.4 B
      {R"({"architectures": ["BailingMoeLinearV2ForCausalLM"], "model_type": "bailing_moe_linear",
    "first_k_dense_replace": 1, "group_norm_size": 4, "head_dim": 128, "hidden_size": 2048, "intermediate_size": 5120,
    "layer_group_size": 5, "max_position_embeddings": 131072, "moe_intermediate_size": 512, "n_group": 8,
    "num_attention_heads": 16, "num_experts": 256, "num_experts_per_tok": 8, "num_hidden_layers": 20,
    "num_key_value_heads": 4, "num_shared_experts": 1, "tie_word_embeddings": false, "topk_group": 4, "use_qk_norm": true,
    "vocab_size": 157184})",
       16.42, 16, 2048 * 128},
      // LiquidAI/LFM2-1.2B: 1.170 B
      {R"({"architectures": ["Lfm2ForCausalLM"], "model_type": "lfm2", "block_auto_adjust_ff_dim": true,
    "block_ff_dim": 12288, "block_ffn_dim_multiplier": 1.0, "block_multiple_of": 256, "conv_L_cache": 3, "hidden_size": 2048,
    "max_position_embeddings": 128000, "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
    "vocab_size": 65536, "full_attn_idxs": [2, 5, 8, 10, 12, 14]})",
       1.17034, 10, 2048 * 2},
      // google/recurrentgemma-2b: 2.683 B
      {R"({"architectures": ["RecurrentGemmaForCausalLM"], "model_type": "recurrent_gemma", "attention_window_size": 2048,
    "block_types": ["recurrent", "recurrent", "attention"], "conv1d_width": 4, "head_dim": 256, "hidden_size": 2560,
    "intermediate_size": 15360, "lru_width": 2560, "num_attention_heads": 10, "num_hidden_layers": 26,
    "num_key_value_heads": 1, "vocab_size": 256000})",
       2.683, 18, 2560 * 4},
  }));
  INFO(hybrid.config);
  const ModelConfig model = imported(hybrid.config).model;
  CHECK(model.state_layers.layers == hybrid.states);
  CHECK(static_cast<double>(model.state_layers.state_elements) == hybrid.state);
  CHECK(count_parameters(model).total / 1e9 == Approx(hybrid.parameters).epsilon(0.002));
}

TEST_CASE("widths that mean something else than they say") {
  // Qwen/Qwen-7B: 7.72 B; its intermediate_size is both halves of a gated network.
  const ModelConfig qwen = imported(R"({"architectures": ["QWenLMHeadModel"], "model_type": "qwen", "hidden_size": 4096,
    "intermediate_size": 22016, "kv_channels": 128, "max_position_embeddings": 32768, "no_bias": true,
    "num_attention_heads": 32, "num_hidden_layers": 32, "tie_word_embeddings": false, "vocab_size": 151936})")
                               .model;
  CHECK(qwen.ffn_width == 11008);
  CHECK(count_parameters(qwen).total / 1e9 == Approx(7.7213).epsilon(0.0002));
  // stepfun-ai/step3: 316 B of the language model, 38 B of them for a token; queries go through 2,048 elements.
  const ModelConfig step = imported(R"({"architectures": ["Step3VLForConditionalGeneration"], "model_type": "step3_vl",
    "text_config": {"model_type": "step3_text", "head_dim": 256, "hidden_size": 7168, "intermediate_size": 18432,
    "max_seq_len": 65536, "moe_intermediate_size": 5120, "moe_layers_enum": "4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59",
    "moe_num_experts": 48, "moe_top_k": 3, "num_attention_groups": 1, "num_attention_heads": 64, "num_hidden_layers": 61,
    "share_expert_dim": 5120, "share_q_dim": 2048, "vocab_size": 128815}})")
                               .model;
  CHECK(step.attention.q_lora_rank == 2048);
  CHECK(count_parameters(step).total / 1e9 == Approx(316).epsilon(0.005));
}

TEST_CASE("models that a model file cannot say are refused with the reason") {
  const auto refused = [](const std::string& name, const std::string& type) {
    return faults_of_config("{\"architectures\": [\"" + name + "\"], \"model_type\": \"" + type +
                            "\", \"hidden_size\": 768}");
  };
  CHECK_THAT(refused("HymbaForCausalLM", "hymba"), ContainsSubstring("side by side"));
  CHECK_THAT(refused("Zamba2ForCausalLM", "zamba2"), ContainsSubstring("that layers share"));
  CHECK_THAT(refused("MllamaForConditionalGeneration", "mllama"), ContainsSubstring("attend to images"));
  CHECK_THAT(
      faults_of_config(R"({"architectures": ["NemotronHForCausalLM"], "layers_block_type": ["mamba", "other"]})"),
      ContainsSubstring("layers_block_type: found \"other\", expected mamba, attention, mlp and moe"));
}

TEST_CASE("encoders are refused with the reason") {
  CHECK_THAT(faults_of_config(R"({"architectures": ["BertForMaskedLM"], "model_type": "bert", "hidden_size": 768})"),
             ContainsSubstring("architectures: found \"BertForMaskedLM\", an encoder"));
}

TEST_CASE("each fault of a config.json has its diagnostic") {
  const auto [from, to, diagnostic] = GENERATE(table<std::string, std::string, std::string>({
      {"\"num_hidden_layers\": 32", "\"num_hidden_layers\": 1e12",
       "num_hidden_layers: found 1000000000000, expected a whole number from 1 to 4096"},
      {"\"num_hidden_layers\": 32", "\"num_hidden_layers\": 0", "num_hidden_layers: found 0, expected"},
      {"\"num_hidden_layers\": 32", "\"num_hidden_layers\": -3", "num_hidden_layers: found -3, expected"},
      {"\"num_hidden_layers\": 32", "\"num_hidden_layers\": 31.5", "num_hidden_layers: found 31.5, expected"},
      {"\"num_hidden_layers\": 32", "\"num_hidden_layers\": \"32\"", "num_hidden_layers: found \"32\", expected"},
      {"\"num_hidden_layers\": 32", "\"num_hidden_layers\": [32]", "num_hidden_layers: found a list, expected"},
      {"\"num_hidden_layers\": 32", "\"num_hidden_layer\": 32",
       "config.json: num_hidden_layers: found nothing, expected a whole number from 1 to 4096 (did you mean "
       "\"num_hidden_layer\"?)"},
      {"\"hidden_size\": 4096", "\"hidden_size\": null", "hidden_size: found nothing, expected"},
      {"\"vocab_size\": 128256", "\"vocab_size\": 1e9", "config.json:9:22: vocab_size: found 1000000000, expected"},
      {"\"num_key_value_heads\": 8", "\"num_key_value_heads\": 7",
       "config.json:6:3: num_key_value_heads: found 7, expected a divisor of heads, 32"},
      {"\"num_attention_heads\": 32", "\"num_attention_heads\": 40",
       "num_attention_heads: found 40, expected a divisor of hidden_size, 4096, for head_dim is not stated"},
      {"\"tie_word_embeddings\": false", "\"tie_word_embeddings\": 1", "found 1, expected true or false"},
      {"\"mlp_bias\": false", "\"layer_types\": [\"full_attention\", \"sliding_attention\"]",
       "layer_types: found a list of 2, expected one entry for each of the 32 layers"},
      {"\"mlp_bias\": false", "\"layer_types\": \"full_attention\"",
       "layer_types: found \"full_attention\", expected a list"},
      {"\"mlp_bias\": false", "\"is_encoder_decoder\": true", "is_encoder_decoder: found true, expected false"},
      {"\"mlp_bias\": false", "\"quantization_config\": \"fp8\"", "found \"fp8\", expected an object"},
      {"\"mlp_bias\": false", "\"word_embed_proj_dim\": 512", "word_embed_proj_dim: found 512, expected 4096"},
      {"\"mlp_bias\": false", "\"mamba_d_state\": 16", "mamba_d_state: found sizes of layers with a state"},
      {"\"mlp_bias\": false", "\"cross_attention_layers\": [3, 8]", "found layers that attend to images"},
      {"[\"LlamaForCausalLM\"]", "[3]", "architectures: found 3, expected a list of names"},
  }));
  INFO(to);
  CHECK_THAT(faults_of_config(replaced(kLlama, from, to)), ContainsSubstring(diagnostic));
}

TEST_CASE("experts: what is missing, too many, or null") {
  CHECK_THAT(faults_of_config(replaced(kQwenMoe, "\"num_experts\": 128", "\"num_experts\": 4")),
             ContainsSubstring("num_experts_per_tok: found 8, expected at most 4, the experts there are"));
  CHECK_THAT(faults_of_config(replaced(kQwenMoe, "\"num_experts\": 128, ", "")),
             ContainsSubstring("n_routed_experts: found nothing"));
  CHECK_THAT(faults_of_config(replaced(kQwenMoe, "\"moe_intermediate_size\": 768,", "")),
             ContainsSubstring("moe_intermediate_size: found nothing"));
  CHECK_THAT(faults_of_config(replaced(kConfigs.at("deepseek-v3"), "\"first_k_dense_replace\": 3, ", "")),
             ContainsSubstring("first_k_dense_replace: found nothing"));
  const ModelConfig dense =
      imported(replaced(kConfigs.at("deepseek-v3"), "\"n_routed_experts\": 256", "\"n_routed_experts\": null")).model;
  CHECK(dense.moe.experts == 0);
}

TEST_CASE("all faults come at once") {
  const std::string faults = faults_of_config(R"({"architectures": ["LlamaForCausalLM"], "hidden_size": -1})");
  for (const char* name : {"hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size", "num_attention_heads",
                           "max_position_embeddings"})
    CHECK_THAT(faults, ContainsSubstring(name));
}

TEST_CASE("files that are no config.json are refused with what they are") {
  const TemporaryFolder folder;
  const auto fault = [](const std::string& file) -> std::string {
    try {
      import_model(file);
      return "";
    } catch (const InputError& error) {
      return error.what();
    }
  };
  const std::string expected = "expected a Hugging Face config.json of at most 16 MiB";
  CHECK_THAT(fault(folder.path() + "/none.json"), ContainsSubstring("no such file, " + expected));
  CHECK_THAT(fault(folder.path()), ContainsSubstring("no such file, " + expected));
  CHECK_THAT(fault(folder.write("a", "")), ContainsSubstring("an empty file, " + expected));
  CHECK_THAT(fault(folder.write("b", std::string("\0\1\2", 3))), ContainsSubstring("a binary file, " + expected));
  CHECK_THAT(fault(folder.write("c", std::string(17'000'000, ' '))),
             ContainsSubstring("a file of 17.0 MB, " + expected));
  CHECK_THAT(fault(folder.write("d", "\n [1]")), ContainsSubstring("d:2:2: found a text that begins with \"[\""));
  CHECK_THAT(fault(folder.write("e", kLlama.substr(0, kLlama.size() / 2))),
             ContainsSubstring("e:5:56: ") && ContainsSubstring("broken JSON"));
  CHECK_THAT(fault(folder.write("f", "{\n  \"hidden_size\": 1,\n  \"vocab_size\" 2\n}")), ContainsSubstring("f:3:"));
  CHECK_THAT(fault(folder.write("g", "{\"a\": 1, \"a\": 2}")), ContainsSubstring("broken JSON"));
  CHECK_THAT(fault(folder.write("h", "{\"a\": \"\xff\xfe\"}")),
             ContainsSubstring("h:1:8: found the byte \\xff, no character of a text"));
  CHECK_THAT(fault(folder.write("i", "{\"a\": " + std::string(100000, '['))), ContainsSubstring("broken JSON"));
  // Python's numbers that are none are read, and refused where a number is wanted.
  CHECK_THAT(fault(folder.write("j", "{\"a\": NaN, \"b\": [-Infinity, Infinity]}")),
             ContainsSubstring("architectures: found nothing"));
  CHECK(import_model(folder.write("k", replaced(kLlama, "500000.0", "Infinity"))).model.layers == 32);
  CHECK_THAT(fault(folder.write("l", replaced(kLlama, "\"hidden_size\": 4096", "\"hidden_size\": NaN"))),
             ContainsSubstring("hidden_size: found NaN, expected a whole number"));
}

TEST_CASE("a config.json cut off or changed anywhere ends in a model or in diagnostics") {
  const std::string whole = kConfigs.at("deepseek-v3");
  for (std::size_t at = 0; at <= whole.rfind('}'); at += 11) {
    INFO(at);
    CHECK_FALSE(faults_of_config(whole.substr(0, at)).empty());
    for (const char c : {'0', '"', '}', '-'}) {
      std::string changed = whole;
      changed[at] = c;
      CHECK_NOTHROW(faults_of_config(changed));
    }
  }
}

TEST_CASE("thousands of unknown fields are counted, not listed") {
  std::string many = kLlama.substr(0, kLlama.rfind('}')) + " ";
  for (int i = 0; i < 20000; ++i) many += ", \"odd_field_" + std::to_string(i) + "\": 1";
  const ImportedModel model = imported(many + "}");
  CHECK(model.notes.size() <= kMostDiagnostics + 1);
  CHECK_THAT(model.notes.back().text, ContainsSubstring("19950 more fields"));
}

TEST_CASE("import-model writes a file that the library takes, and nothing when the input is bad") {
  const TemporaryFolder folder, mine;
  const std::string good = folder.write("good.json", replaced(kLlama, "\"use_cache\"", "\"use_cash\""));
  const std::string bad = folder.write("bad.json", "{ \"architectures\": ");
  std::filesystem::create_directory(mine.path() + "/models");
  const std::string file = mine.path() + "/models/my-8b.textproto";

  const testing::Outcome printed = testing::flopcast("import-model " + good);
  CHECK(printed.code == 0);
  CHECK_THAT(printed.err, ContainsSubstring("use_cash: not understood") && ContainsSubstring("use_cache"));
  const testing::Outcome written = testing::flopcast("import-model " + good + " --name Mine --output " + file);
  CHECK(written.code == 0);
  CHECK(written.out.empty());
  CHECK(Libraries({mine.path()}).model("my-8b").title == "Mine");
  CHECK_THAT(testing::flopcast("show my-8b --library " + mine.path()).out, ContainsSubstring("title: \"Mine\""));

  for (const std::string& input : {bad, folder.path(), folder.path() + "/none"}) {
    const testing::Outcome refused =
        testing::flopcast("import-model " + input + " --output " + mine.path() + "/models/other.textproto");
    CHECK(refused.code == 2);
    CHECK(refused.out.empty());
    CHECK_FALSE(refused.err.empty());
  }
  CHECK(testing::flopcast("import-model " + good + " --output " + file + "/below/a/file").code == 2);
  CHECK_FALSE(std::filesystem::exists(mine.path() + "/models/other.textproto"));
}

}  // namespace
}  // namespace flopcast::test
