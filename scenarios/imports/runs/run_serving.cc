// vLLM, SGLang and TensorRT-LLM.
#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>

#include "scenarios/imports/runs/run_plans.h"
#include "scenarios/imports/runs/without_effect.h"

namespace flopcast {
namespace {

/// Fields that a command states, in the notation of a scenario.
class PoolText {
 public:
  template <class Value>
  void set(const char* field, const Value& value) {
    if constexpr (std::is_convertible_v<Value, std::string>)
      text_ += fmt::format("    {}: \"{}\"\n", field, std::string(value));
    else
      text_ += fmt::format("    {}: {}\n", field, value);
  }
  void number(const char* field, int value, int otherwise) {
    if (value != otherwise) set(field, value);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// What a launch command never says.
std::string serving_body(const PoolText& pool, const std::string& prefix, const std::string& speculation,
                         ForeignSettings& s) {
  s.note(
      "a launch command says nothing of requests: 4 per second, of 1,000 tokens and 300 of answer, are an example to "
      "replace");
  return "serving {\n  traffic {\n    requests: \"2K\"\n    stream {\n      requests_per_second: 4\n"
         "      input { mean: 1000 shape: \"log_normal\" variation: 1 most: 8000 }\n"
         "      output { mean: 300 shape: \"log_normal\" variation: 0.8 most: 2000 }\n    }\n  }\n  replicas {\n" +
         pool.text() + "  }\n" + prefix + speculation + "}\n";
}

/// Weights by a flag, or by the model's name.
void weights_of(ForeignSettings& s, const RunSetting* flag, const std::string& model, PoolText& pool) {
  const std::string name = run_setting_name(model);
  std::string method = flag ? run_setting_name(flag->value) : "";
  if (method.empty())
    for (const char* known : {"awq", "gptq", "nvfp4", "fp4", "mxfp4", "fp8", "w4a16"})
      if (name.find(known) != std::string::npos) {
        method = known;
        s.note(fmt::format("weights in {}, by the model's name", known));
        break;
      }
  if (method.starts_with("awq") || method.starts_with("gptq") || method.starts_with("w4a"))
    return pool.set("weight_format", "int4");
  if (method.starts_with("mxfp4")) return pool.set("weight_format", "mxfp4");
  if (method == "modelopt-fp4" || method == "nvfp4" || method == "fp4") return pool.set("weight_format", "nvfp4");
  // What DeepSeek publishes is FP8 in blocks, and so is what these publish beside their BF16; others' copies of them
  // (RedHatAI, nvidia) have a scale for a tensor or a channel.
  const bool deepseek = name.find("deepseek-v3") != std::string::npos || name.find("deepseek-r1") != std::string::npos;
  const bool own = name.starts_with("qwen/") || name.starts_with("minimaxai/") || name.starts_with("moonshotai/") ||
                   (name.find('/') == std::string::npos && name.starts_with("qwen3"));
  const bool blocks =
      deepseek || (own && name.find("static") == std::string::npos && name.find("fp8") != std::string::npos);
  if ((method.starts_with("fp8") || method == "modelopt" || method == "w8a8-fp8" || method == "compressed-tensors") ||
      (method.empty() && deepseek && name.find("distill") == std::string::npos)) {
    pool.set("weights", "fp8");
    pool.set("scaling", blocks ? "blocks" : "per_tensor");
    if (method.empty()) s.note("weights in FP8 blocks, as DeepSeek publishes them");
    return;
  }
  if (!method.empty()) s.fault(flag, quoted(flag ? flag->value : method), "fp8, awq, gptq, mxfp4 or modelopt");
}

/// Sixteen bits or FP8; a model says of other formats nothing.
void cache_format(ForeignSettings& s, std::initializer_list<std::string_view> names, PoolText& pool) {
  const std::string format = run_setting_name(s.text(names, "kv_cache", "auto"));
  if (format.starts_with("fp8")) return pool.set("kv_cache", "fp8");
  if (format != "auto" && format != "bfloat16" && format != "bf16" && format != "float16" && format != "fp16")
    s.fault(s.find(names), quoted(format), "auto, bfloat16 or fp8: other caches are not replayed");
}

/// Of activations, and of weights that no quantization stores.
void compute_format(ForeignSettings& s) {
  if (const std::string type = s.text({"dtype"}, "weights", "auto");
      type != "auto" && type != "bfloat16" && type != "float16" && type != "half")
    s.fault(s.find({"dtype"}), quoted(type), "auto, bfloat16 or float16");
}

/// A KV cache of stated size. @param tokens_each of what the flag counts.
void cache_size(ForeignSettings& s, std::initializer_list<std::string_view> names, int tokens_each, PoolText& pool) {
  const RunSetting* setting = s.find(names);
  if (!setting || run_setting_name(setting->value) == "none") return;
  const int count = s.number(names, "cache_tokens", 0);
  if (!setting->unknown.empty()) return;
  if (count < 1) return s.fault(setting, quoted(setting->value), "a positive number");
  pool.set("cache_tokens", std::int64_t{count} * tokens_each);
}

/// Bytes of a GPU: digits, as engines take them.
void cache_memory(ForeignSettings& s, std::initializer_list<std::string_view> names, PoolText& pool) {
  const std::string bytes = s.text(names, "cache_memory");
  if (bytes.empty()) return;
  const bool digits = bytes.size() <= 15 && bytes.find_first_not_of("0123456789") == std::string::npos;
  if (!digits) return s.fault(s.find(names), quoted(bytes), "a number of bytes, such as 20000000000");
  pool.set("cache_memory", bytes + " B");
}

/// Room for adapters, as the engine lays it out when it starts. @param names of the switch, of how many, of their rank.
void adapters(ForeignSettings& s, std::string_view on, std::string_view many, int usual_many, std::string_view rank,
              int usual_rank, PoolText& pool) {
  const bool wanted = s.flag({on}, "adapters", false);
  const int count = s.degree({many}, "adapters", usual_many), of_rank = s.degree({rank}, "adapter_rank", usual_rank);
  if (!wanted) return;
  pool.set("adapters", count);
  pool.set("adapter_rank", of_rank);
  s.note("adapters (LoRA) take memory here, and no time");
}

/// The JSON object that a flag has for its value.
class JsonFlag {
 public:
  /// Refuses what is no object, unless a variable of the script stands in it, which is refused elsewhere.
  JsonFlag(ForeignSettings& s, const RunSetting& flag) {
    try {
      settings_ = parse_run_json(flag.value, flag.place.file);
    } catch (const InputError&) {
      if (flag.unknown.empty()) s.fault(&flag, quoted(flag.value), "a JSON object");
    }
  }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  /// In small letters; "" where it says nothing.
  std::string text(std::string_view key) const {
    const RunSetting* found = find(key);
    return found == nullptr ? "" : run_setting_name(found->value);
  }
  int number(std::string_view key, int otherwise) const {
    const RunSetting* found = find(key);
    return found == nullptr ? otherwise : std::atoi(found->value.c_str());
  }

 private:
  const RunSetting* find(std::string_view key) const {
    const auto found = std::find_if(settings_.begin(), settings_.end(), [&](const RunSetting& setting) {
      return setting.name == run_setting_name(key) && !setting.null;
    });
    return found == settings_.end() ? nullptr : &*found;
  }
  std::vector<RunSetting> settings_;
};

/// A flag whose number a field of a pool takes as it is.
struct PlainFlag {
  std::initializer_list<std::string_view> names;
  const char* field;
  bool real = false;  ///< a share, no whole number
};
void take_plain(ForeignSettings& s, std::initializer_list<PlainFlag> flags, PoolText& pool) {
  for (const PlainFlag& flag : flags) {
    if (!s.find(flag.names)) continue;
    if (flag.real)
      pool.set(flag.field, s.real(flag.names, flag.field, 0));
    else
      pool.set(flag.field, s.number(flag.names, flag.field, 0));
  }
}

/// Switches that turn what a field says on or off.
struct Switch {
  std::string_view name;
  const char* field;
  bool value;
};
void take_switches(ForeignSettings& s, std::initializer_list<Switch> switches, PoolText& pool) {
  for (const Switch& one : switches)
    if (s.flag({one.name}, one.field, false)) pool.set(one.field, one.value);
}

/// vLLM: -O0, or a compilation configuration that captures no graphs (vllm/config/compilation.py: levels below
/// piecewise compilation have none).
bool without_graphs(ForeignSettings& s) {
  const auto none = [&](const std::string& mode, const std::string& level, const std::string& use) {
    if (mode == "piecewise") s.note("piecewise CUDA graphs are replayed as graphs of whole iterations");
    return mode == "none" || (mode.empty() && (level == "0" || level == "1" || level == "2" || level == "none")) ||
           use == "false";
  };
  bool off = false;
  for (const std::string_view name :
       {"compilation-config", "cc", "compilation-config.cudagraph-mode", "cc.cudagraph-mode"}) {
    const RunSetting* setting = s.find({name}, "cuda_graphs");
    if (!setting || !setting->unknown.empty()) continue;
    const std::string& value = setting->value;
    if (name.ends_with("mode")) {
      off |= none(run_setting_name(value), "3", "");
    } else if (value.find('{') == std::string::npos) {
      off |= none("", run_setting_name(value), "");
    } else {
      const JsonFlag json(s, *setting);
      off |= none(json.text("cudagraph_mode"), json.text(json.has("level") ? "level" : "mode"),
                  json.text("use_cudagraph"));
    }
  }
  for (const std::string_view name : {"o0", "o1", "o2", "o3"})
    if (s.find({name}, "cuda_graphs")) off |= name == "o0";
  return off || s.text({"o", "optimization-level"}, "cuda_graphs", "2") == "0";
}

/// Batches that SGLang captures up to the largest (cuda_graph_runner.py): 1, 2, 4, 8, 12, from 16 on each eighth.
std::string sglang_graphs(int largest) {
  std::string out;
  for (const int size : {1, 2, 4, 8, 12})
    if (size < largest) out += fmt::format("{} ", size);
  if (const int last = largest / 8 * 8; last > 16 && last < largest)
    out += fmt::format("16..{}/8 ", last);
  else if (last > 16)
    return out + fmt::format("16..{}/8", last);
  return out + fmt::format("{}", largest);
}

/// @param method as the engine calls it. What it says nothing of are the modules that the model brings, or a head.
/// @param drafter the smaller model, where the method is one
std::string speculation_text(int depth, const std::string& method, const std::string& model, const std::string& drafter,
                             const Libraries& libraries, ForeignSettings& s) {
  if (depth <= 0) return "";
  const bool lookup = method.find("ngram") != std::string::npos || method == "suffix";
  const bool modules = !model.empty() && libraries.model(model).mtp_depth > 0;
  const bool draft = method == "draft-model" || method == "standalone" || method == "drafttarget";
  if (const std::string small = draft ? known_model(drafter, libraries) : ""; !small.empty())
    return fmt::format("  speculation {{ depth: {} kind: \"model\" model: \"{}\" }}\n", depth, small);
  if (draft)
    s.note("the library has not this draft model: it is priced as a head of one layer (speculation.kind: \"eagle\")");
  const char* kind = lookup ? "lookup" : modules && !draft && method != "eagle3" ? "mtp" : "eagle";
  return fmt::format("  speculation {{ depth: {} kind: \"{}\" }}\n", depth, kind);
}

}  // namespace

RunJob vllm_job(ForeignSettings& s, const std::string& named, const Libraries& libraries,
                const ImportRunOptions& options) {
  RunJob job{.framework = "vLLM"};
  const std::string model = s.text({"model"}, "model", named);
  job.model = library_model(options.model.empty() ? model : options.model, libraries, s, s.find({"model"}));
  PoolText pool;
  pool.set("engine", "vllm-0.18");
  const int tensor = s.degree({"tensor-parallel-size", "tp", "tensor-parallel"}, "tensor", 1),
            pipeline = s.degree({"pipeline-parallel-size", "pp", "pipeline-parallel"}, "pipeline", 1);
  const int copies = s.degree({"data-parallel-size", "dp"}, "attention_data, or count", 1);
  s.number({"data-parallel-size-local", "dpl"}, "cluster", copies);
  const bool spread = s.flag({"enable-expert-parallel", "ep"}, "expert = tensor x attention_data", false);
  const bool moe = job.model.empty() ? false : libraries.model(job.model).moe.experts > 0;
  if (copies > 1) pool.set(moe ? "attention_data" : "count", copies);
  pool.number("tensor", tensor, 1), pool.number("pipeline", pipeline, 1);
  if (spread && moe) pool.set("expert", run_product({tensor, copies}));
  if (copies > 1 && moe && !spread) pool.set("expert_transport", "all_gather");
  if (spread && !moe) s.note("--enable-expert-parallel has no effect on a model without experts");
  if (const std::string backend = s.text({"all2all-backend"}, "expert_transport", "");
      backend.starts_with("deepep") && spread && copies > 1) {
    pool.set("expert_transport", "all_to_all");
    if (backend == "deepep_high_throughput") pool.set("decode_exchange", "high_throughput");
  }
  take_switches(s, {{"enable-dbo", "two_micro_batches", true}}, pool);
  s.flag({"enable-eplb"}, "redundant_experts", false);
  if (const RunSetting* eplb = s.find({"eplb-config"}, "redundant_experts"))
    pool.number("redundant_experts", JsonFlag(s, *eplb).number("num_redundant_experts", 0), 0);
  if (const std::string kernels = s.text({"moe-backend"}, "expert_kernels", "auto"); kernels == "triton")
    pool.set("expert_kernels", "as_kernels");
  else if (kernels == "deep_gemm")
    pool.set("expert_kernels", "deep_gemm");
  else if (kernels == "flashinfer_cutlass")
    pool.set("expert_kernels", "cutlass");
  take_plain(s,
             {{{"max-num-seqs"}, "max_batch"},
              {{"max-num-batched-tokens"}, "token_budget"},
              {{"gpu-memory-utilization"}, "memory_share", true},
              {{"block-size"}, "page_tokens"}},
             pool);
  // What vLLM refuses before it starts (vllm/config: CacheConfig, SchedulerConfig).
  constexpr int kBlocks[] = {1, 8, 16, 32, 64, 128, 256};
  if (const int block = s.number({"block-size"}, "page_tokens", kBlocks[2]);
      std::ranges::find(kBlocks, block) == std::end(kBlocks))
    s.fault(s.find({"block-size"}), fmt::format("{}", block), fmt::format("one of {}", fmt::join(kBlocks, ", ")));
  const int tokens = s.number({"max-num-batched-tokens"}, "token_budget", 0),
            requests = s.number({"max-num-seqs"}, "max_batch", 0);
  if (tokens > 0 && tokens < requests)
    s.fault(s.find({"max-num-batched-tokens"}), fmt::format("{}", tokens),
            fmt::format("at least --max-num-seqs, {}", requests));
  if (s.flag({"no-enable-chunked-prefill"}, "chunked_prefill", false) ||
      !s.flag({"enable-chunked-prefill"}, "chunked_prefill", true))
    pool.set("chunked_prefill", false);
  cache_format(s, {"kv-cache-dtype"}, pool);
  compute_format(s);
  weights_of(s, s.find({"quantization", "q"}, "weights, weight_format"), model, pool);
  take_switches(
      s, {{"async-scheduling", "overlap_scheduling", true}, {"no-async-scheduling", "overlap_scheduling", false}},
      pool);
  if (s.flag({"enforce-eager"}, "cuda_graphs = false", false) || without_graphs(s)) pool.set("cuda_graphs", false);
  s.refuse_unless({"cpu-offload-gb"}, {"0"}, "weights on the host are not replayed");
  cache_size(s, {"num-gpu-blocks-override"}, s.number({"block-size"}, "page_tokens", 16), pool);
  cache_memory(s, {"kv-cache-memory-bytes", "kv-cache-memory"}, pool);
  adapters(s, "enable-lora", "max-loras", 1, "max-lora-rank", 16, pool);
  s.refuse_unless({"decode-context-parallel-size", "dcp"}, {"1"}, "a cache cut along sequences is not replayed");
  s.refuse_unless({"kv-offloading-size"}, {"0"}, "caches on the host: say them in the scenario");
  s.refuse_unless({"hf-overrides"}, {"{}"}, "another model than its name says: give one of a model file (--model)");
  if (s.find({"cuda-graph-sizes", "cudagraph-capture-sizes", "max-cudagraph-capture-size"}, "graph_sizes"))
    s.note("sizes of CUDA graphs are the engine's own here: state graph_sizes where others matter");
  const bool no_prefix = s.flag({"no-enable-prefix-caching"}, "prefix_cache.on", false) ||
                         !s.flag({"enable-prefix-caching"}, "prefix_cache.on", true);
  int depth = 0;
  std::string method, drafter = s.text({"speculative-config.model"}, "speculation.model", "");
  if (const RunSetting* config = s.find({"speculative-config"}, "speculation.depth")) {
    const JsonFlag json(s, *config);
    depth = json.number("num_speculative_tokens", 0);
    if (depth == 0) s.note("--speculative-config: without num_speculative_tokens nothing is drafted here");
    method = json.text("method");
    if (const std::string small = json.text("model"); !small.empty()) drafter = small;
    if (method.empty() && !drafter.empty())
      method = drafter.find("eagle") != std::string::npos ? "eagle3" : "draft-model";
  }
  depth = s.number({"num-speculative-tokens", "speculative-config.num-speculative-tokens"}, "speculation.depth", depth);
  if (const std::string dotted = s.text({"speculative-config.method"}, "speculation.kind", ""); method.empty())
    method = run_setting_name(dotted);
  if (s.find({"kv-transfer-config"}, "one of two pools"))
    s.note("--kv-transfer-config: prefill and decode apart are two commands; this is a pool of its own");
  s.without_effect(vllm_without_effect());
  job.gpus = options.gpus > 0 ? options.gpus : run_product({tensor, pipeline, copies});
  job.body = serving_body(pool, no_prefix ? "  prefix_cache { on: false }\n" : "",
                          speculation_text(depth, method, job.model, drafter, libraries, s), s);
  return job;
}

RunJob sglang_job(ForeignSettings& s, const std::string& named, const Libraries& libraries,
                  const ImportRunOptions& options) {
  RunJob job{.framework = "SGLang"};
  const std::string model = s.text({"model-path", "model"}, "model", named);
  job.model =
      library_model(options.model.empty() ? model : options.model, libraries, s, s.find({"model-path", "model"}));
  PoolText pool;
  pool.set("engine", "sglang-0.5.9");
  const int all = s.degree({"tp-size", "tp", "tensor-parallel-size"}, "tensor x attention_data", 1);
  const int dp = s.degree({"dp-size", "dp", "data-parallel-size"}, "attention_data, or count", 1);
  const bool attention = s.flag({"enable-dp-attention"}, "attention_data", false);
  const int groups = attention ? dp : 1,
            pipeline = s.degree({"pp-size", "pp", "pipeline-parallel-size"}, "pipeline", 1);
  if (all % std::max(1, groups) != 0)
    s.fault(s.find({"dp-size", "dp"}), fmt::format("{}", dp), fmt::format("a divisor of tp-size {}", all));
  pool.number("count", attention ? 1 : dp, 1), pool.number("tensor", all / std::max(1, groups), 1);
  pool.number("attention_data", groups, 1), pool.number("pipeline", pipeline, 1);
  const std::string exchange = s.text({"moe-a2a-backend"}, "expert_transport",
                                      s.flag({"enable-deepep-moe"}, "expert_transport", false) ? "deepep" : "none");
  int expert = s.degree({"ep-size", "ep", "expert-parallel-size"}, "expert", 1);
  if (exchange == "deepep") expert = all;
  pool.number("expert", expert, 1);
  if (exchange == "deepep" && groups > 1) pool.set("expert_transport", "all_to_all");
  if (groups > 1 && exchange != "deepep") pool.set("expert_transport", "all_gather");
  if (s.text({"deepep-mode"}, "decode_exchange", "auto") == "normal") pool.set("decode_exchange", "high_throughput");
  take_switches(s, {{"enable-two-batch-overlap", "two_micro_batches", true}}, pool);
  s.flag({"enable-eplb"}, "redundant_experts", false);
  pool.number("redundant_experts", s.number({"ep-num-redundant-experts"}, "redundant_experts", 0), 0);
  if (s.find({"max-running-requests"}))
    pool.set("max_batch", std::max(1, s.degree({"max-running-requests"}, "max_batch", 256) / groups));
  if (s.find({"chunked-prefill-size"})) {
    // -1: prompts are not cut.
    const int budget = s.number({"chunked-prefill-size"}, "token_budget", 8192);
    if (budget > 0) {
      pool.set("token_budget", std::max(1, budget / groups));
    } else {
      s.find({"chunked-prefill-size"}, "chunked_prefill");
      pool.set("chunked_prefill", false);
    }
  }
  take_plain(s, {{{"mem-fraction-static"}, "memory_share", true}, {{"page-size"}, "page_tokens"}}, pool);
  cache_format(s, {"kv-cache-dtype"}, pool);
  compute_format(s);
  weights_of(s, s.find({"quantization"}, "weights, weight_format"), model, pool);
  if (s.flag({"enable-mixed-chunk"}, "batching", false)) pool.set("batching", "mixed");
  take_switches(s,
                {{"disable-overlap-schedule", "overlap_scheduling", false},
                 {"disable-cuda-graph", "cuda_graphs", false},
                 {"disable-cuda-graph-padding", "graph_padding", false}},
                pool);
  if (const int most = s.number({"cuda-graph-max-bs"}, "graph_sizes", 0); most > 0)
    pool.set("graph_sizes", sglang_graphs(most));
  if (const RunSetting* sizes = s.find({"cuda-graph-bs"}, "graph_sizes"); sizes && sizes->unknown.empty())
    pool.set("graph_sizes", sizes->value);
  s.refuse_unless({"cpu-offload-gb"}, {"0"}, "weights on the host are not replayed");
  cache_size(s, {"max-total-tokens"}, 1, pool);
  adapters(s, "enable-lora", "max-loras-per-batch", 8, "max-lora-rank", 16, pool);
  s.refuse_unless({"json-model-override-args"}, {"{}"},
                  "another model than its name says: give one of a model file (--model)");
  const bool no_prefix = s.flag({"disable-radix-cache"}, "prefix_cache.on", false);
  const std::string algorithm = s.text({"speculative-algorithm", "speculative-algo"}, "speculation", "");
  const int depth = algorithm.empty() ? 0 : s.number({"speculative-num-steps"}, "speculation.depth", 1);
  s.find({"speculative-num-steps"}, "speculation.depth");
  const std::string drafter =
      s.text({"speculative-draft-model-path", "speculative-draft-model"}, "speculation.model", "");
  if (!s.text({"disaggregation-mode"}, "one of two pools", "").empty())
    s.note("--disaggregation-mode: prefill and decode apart are two commands; this is a pool of its own");
  take_plain(s, {{{"num-reserved-decode-tokens"}, "reserved_tokens"}}, pool);
  s.without_effect(sglang_without_effect());
  job.gpus = options.gpus > 0 ? options.gpus : run_product({all, pipeline, attention ? 1 : dp});
  job.body = serving_body(pool, no_prefix ? "  prefix_cache { on: false }\n" : "",
                          speculation_text(depth, run_setting_name(algorithm), job.model, drafter, libraries, s), s);
  return job;
}

RunJob trtllm_job(ForeignSettings& s, const std::string& named, const Libraries& libraries,
                  const ImportRunOptions& options) {
  RunJob job{.framework = "TensorRT-LLM"};
  const std::string model = s.text({"model"}, "model", named);
  job.model = library_model(options.model.empty() ? model : options.model, libraries, s, s.find({"model"}));
  PoolText pool;
  pool.set("engine", "trtllm-1.2");
  const int all = s.degree({"tp-size", "tensor-parallel-size"}, "tensor x attention_data", 1),
            pipeline = s.degree({"pp-size", "pipeline-parallel-size"}, "pipeline", 1);
  const bool attention = s.flag({"enable-attention-dp"}, "attention_data", false);
  pool.number("tensor", attention ? 1 : all, 1), pool.number("attention_data", attention ? all : 1, 1),
      pool.number("pipeline", pipeline, 1);
  const int expert = s.degree({"ep-size", "moe-expert-parallel-size"}, "expert", 1);
  pool.number("expert", expert, 1);
  s.number({"moe-tensor-parallel-size"}, "expert", 1);
  if (attention && expert > 1) pool.set("expert_transport", "all_gather");
  take_plain(
      s,
      {{{"max-batch-size"}, "max_batch"},
       {{"max-num-tokens"}, "token_budget"},
       {{"kv-cache-free-gpu-memory-fraction", "free-gpu-memory-fraction", "kv-cache-config.free-gpu-memory-fraction"},
        "memory_share",
        true},
       {{"kv-cache-config.tokens-per-block"}, "page_tokens"}},
      pool);
  cache_format(s, {"kv-cache-config.dtype", "kv-cache-dtype"}, pool);
  const bool prefix = s.flag({"kv-cache-config.enable-block-reuse"}, "prefix_cache.on", true);
  if (s.find({"enable-chunked-prefill"}))
    pool.set("chunked_prefill", s.flag({"enable-chunked-prefill"}, "chunked_prefill", true));
  if (s.find({"disable-overlap-scheduler"}))
    pool.set("overlap_scheduling", !s.flag({"disable-overlap-scheduler"}, "overlap_scheduling", false));
  if (const std::string policy = s.text({"scheduler-config.capacity-scheduler-policy"}, "admission", "");
      !policy.empty())
    pool.set("admission", policy == "MAX_UTILIZATION" ? "prompt" : "whole");
  if (s.is_null("cuda-graph-config", "cuda_graphs = false") || !s.flag({"use-cuda-graph"}, "cuda_graphs", true))
    pool.set("cuda_graphs", false);
  else
    s.find({"cuda-graph-config"}, "cuda_graphs");
  if (s.find({"cuda-graph-config.enable-padding"}))
    pool.set("graph_padding", s.flag({"cuda-graph-config.enable-padding"}, "graph_padding", false));
  if (s.find({"cuda-graph-config.max-batch-size", "cuda-graph-config.batch-sizes"}, "graph_sizes"))
    s.note("sizes of CUDA graphs are the engine's own here: state graph_sizes where others matter");
  cache_size(s, {"kv-cache-config.max-tokens", "max-tokens-in-paged-kv-cache"}, 1, pool);
  s.refuse_unless({"kv-cache-config.host-cache-size"}, {"0"}, "caches on the host: say them in the scenario");
  const int depth = s.number({"speculative-config.num-nextn-predict-layers", "speculative-config.max-draft-len"},
                             "speculation.depth", 0);
  const std::string method = run_setting_name(s.text({"speculative-config.decoding-type"}, "speculation.kind", ""));
  const std::string drafter = s.text(
      {"speculative-config.speculative-model-dir", "speculative-config.speculative-model"}, "speculation.model", "");
  weights_of(s, s.find({"quant-config.quant-algo"}, "weights, weight_format"), model, pool);
  s.without_effect(trtllm_without_effect());
  job.gpus = options.gpus > 0 ? options.gpus : run_product({all, pipeline});
  job.body = serving_body(pool, prefix ? "" : "  prefix_cache { on: false }\n",
                          speculation_text(depth, method, job.model, drafter, libraries, s), s);
  return job;
}

}  // namespace flopcast
