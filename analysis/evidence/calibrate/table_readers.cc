#include "analysis/evidence/calibrate/table_readers.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace flopcast {
namespace {

using Reader = std::function<void(const CsvTable&, Collector&)>;

std::int64_t whole(double value) { return static_cast<std::int64_t>(std::llround(value)); }

GemmShape dense(double m, double n, double k, Precision precision, Scaling scaling) {
  return {GemmKind::dense, whole(m), whole(n), whole(k), 1, precision, scaling, Precision::bf16};
}

GemmShape grouped(GemmKind kind, double groups, double rows_per_group, double n, double k) {
  return {kind,
          whole(groups * rows_per_group),
          whole(n),
          whole(k),
          static_cast<int>(groups),
          Precision::fp8,
          Scaling::blocks,
          Precision::bf16};
}

AttentionShape prompt(double batch, double tokens, double heads, double kv_heads, int qk, int v, bool causal) {
  AttentionShape shape;
  shape.batch = whole(batch);
  shape.query_length = shape.kv_length = whole(tokens);
  shape.query_heads = static_cast<int>(heads);
  shape.kv_heads = static_cast<int>(kv_heads);
  shape.qk_dim = qk;
  shape.v_dim = v;
  shape.causal = causal;
  return shape;
}

AttentionShape decode(double batch, double keys, double heads, double kv_heads, int qk, int v, bool fp8_cache) {
  AttentionShape shape = prompt(batch, keys, heads, kv_heads, qk, v, false);
  shape.kind = AttentionKind::decode;
  shape.query_length = 1;
  shape.latent = qk == 576;
  shape.kv_precision = fp8_cache ? Precision::fp8 : Precision::bf16;
  return shape;
}

// One reader per layout.

void aiconfigurator_gemm(const CsvTable& table, Collector& out) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    const bool fp8 = table.text(i, "gemm_dtype") == "fp8_block";
    Measurement& m = out.add(dense(table.number(i, "m"), table.number(i, "n"), table.number(i, "k"),
                                   fp8 ? Precision::fp8 : Precision::bf16, fp8 ? Scaling::blocks : Scaling::none),
                             table.number(i, "latency") * 1e3);
    // Narrow outputs give it away: these rows take as long as the GEMM plus one pass over [m,k] in BF16 and FP8.
    m.with_cast = m.wide_tile_trap = fp8;
    // Long dense products run into the board's power limit, and the clock falls: an H100 at 1,980 MHz is 20 % faster.
    constexpr double kLongUs = 300, kShareOfPeak = 0.5;
    const double peak = fp8 ? 1979e6 : 989e6;  // FLOP per microsecond
    if (m.microseconds > kLongUs && flop(std::get<GemmShape>(m.shape)).value() > kShareOfPeak * peak * m.microseconds)
      m.variant = "at the power limit";
  }
}

void infersim_gemm(const CsvTable& table, Collector& out) {
  for (std::size_t i = 0; i < table.size(); ++i)
    out.add(dense(table.number(i, "m"), table.number(i, "n"), table.number(i, "k"), Precision::fp8, Scaling::blocks),
            table.number(i, "latency_us"));
}

Reader infersim_grouped(GemmKind kind) {
  return [kind](const CsvTable& table, Collector& out) {
    for (std::size_t i = 0; i < table.size(); ++i) {
      const double groups = table.number(i, "num_local_experts"), rows = table.number(i, "tokens_per_expert");
      // At one row per expert the benchmark draws none for every other expert: not a point of this model.
      if (kind == GemmKind::grouped_masked && rows < 2) continue;
      // The benchmark draws each expert's rows from 0.7 .. 1.3 of the mean and does not record them: with few
      // experts one draw moves the time by a third, and nothing can be learnt from it.
      if (kind == GemmKind::grouped_masked && groups < 4) continue;
      const double hidden = table.number(i, "hidden_size"), width = table.number(i, "intermediate_size");
      out.add(grouped(kind, groups, rows, 2 * width, hidden), table.number(i, "up_proj_us"));
      out.add(grouped(kind, groups, rows, hidden, width), table.number(i, "down_proj_us"));
    }
  };
}

void deepgemm_readme(const CsvTable& table, Collector& out) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table.text(i, "date") != "2025-03-25") continue;  // the earlier table is of a slower release
    const std::string& kind = table.text(i, "kind");
    const double m = table.number(i, "M_or_M_per_group"), n = table.number(i, "N"), k = table.number(i, "K");
    const double us = table.number(i, "derived_us");
    if (kind == "dense") {
      out.add(dense(m, n, k, Precision::fp8, Scaling::blocks), us).without_launch = true;
    } else {
      out.add(grouped(kind == "grouped_masked" ? GemmKind::grouped_masked : GemmKind::grouped_contiguous,
                      table.number(i, "groups"), m, n, k),
              us)
          .without_launch = true;
    }
  }
}

/// cuBLAS of 2024 chose other tiles than today's: rows of 536 take twice as long as rows of 512.
constexpr const char* kLibrariesOf2024 = "libraries of 2024";

void vidur_mlp(const CsvTable& table, Collector& out) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    const double tokens = table.number(i, "num_tokens"), tp = table.number(i, "num_tensor_parallel_workers");
    const double hidden = table.number(i, "n_embd"), heads = table.number(i, "n_head"),
                 kv = table.number(i, "n_kv_head");
    const double width = table.number(i, "n_expanded_embd") / tp;
    const double gated = table.text(i, "use_gated_mlp") == "True" ? 2 : 1;
    const auto add = [&](const char* column, double n, double k) {
      const std::string& text = table.text(i, fmt::format("time_stats.{}.median", column));
      if (!text.empty() && text != "nan")
        out.add(dense(tokens, n, k, Precision::bf16, Scaling::none), std::stod(text) * 1e3).variant = kLibrariesOf2024;
    };
    add("attn_pre_proj", (heads + 2 * kv) * hidden / heads / tp, hidden);
    add("attn_post_proj", hidden, hidden / tp);
    add("mlp_up_proj", gated * width, hidden);
    add("mlp_down_proj", hidden, width);
  }
}

void frontier_linear(const CsvTable& table, Collector& out) {
  constexpr double kLlamaHidden = 16384, kLlamaFfn = 53248, kLlamaHeads = 128, kLlamaKvHeads = 8;  // Llama 3.1 405B
  for (std::size_t i = 0; i < table.size(); ++i) {
    const double tokens = table.number(i, "num_tokens"), tp = table.number(i, "num_tensor_parallel_workers");
    const auto add = [&](const char* column, double n, double k) {
      Measurement& m = out.add(dense(tokens, n, k, Precision::fp8, Scaling::per_tensor), table.number(i, column) * 1e3);
      // By their work, not by their time: which of them were slow is what the fit is to learn.
      constexpr double kLongUs = 250, kPeak = 1979e6;  // FLOP per microsecond
      if (flop(std::get<GemmShape>(m.shape)).value() > kPeak * kLongUs) m.variant = "at the power limit";
    };
    add("attn_pre_proj_median_ms", (kLlamaHeads + 2 * kLlamaKvHeads) * kLlamaHidden / kLlamaHeads / tp, kLlamaHidden);
    add("attn_post_proj_median_ms", kLlamaHidden, kLlamaHidden / tp);
    add("mlp_up_proj_median_ms", 2 * kLlamaFfn / tp, kLlamaHidden);
    add("mlp_down_proj_median_ms", kLlamaHidden, kLlamaFfn / tp);
  }
}

void aiconfigurator_prompt(const CsvTable& table, Collector& out) {
  for (std::size_t i = 0; i < table.size(); ++i)
    out.add(prompt(table.number(i, "batch_size"), table.number(i, "isl"), table.number(i, "num_heads"),
                   table.number(i, "num_key_value_heads"), 128, 128, true),
            table.number(i, "latency") * 1e3);
}

void aiconfigurator_latent_prompt(const CsvTable& table, Collector& out) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    AttentionShape shape =
        prompt(table.number(i, "batch_size"), table.number(i, "isl"), table.number(i, "num_heads"), 1, 576, 512, true);
    shape.latent = true;  // the table's rates only make sense in the absorbed form
    if (table.text(i, "kv_cache_dtype") == "fp8") shape.kv_precision = Precision::fp8;
    out.add(shape, table.number(i, "latency") * 1e3);
  }
}

void aiconfigurator_decode(const CsvTable& table, Collector& out) {
  for (std::size_t i = 0; i < table.size(); ++i)
    out.add(decode(table.number(i, "batch_size"), table.number(i, "step") + 1, table.number(i, "num_heads"),
                   table.number(i, "num_key_value_heads"), 128, 128, table.text(i, "kv_cache_dtype") == "fp8"),
            table.number(i, "latency") * 1e3);
}

void aiconfigurator_latent_decode(const CsvTable& table, Collector& out) {
  for (std::size_t i = 0; i < table.size(); ++i)
    out.add(decode(table.number(i, "batch_size"), table.number(i, "step") + 1, table.number(i, "num_heads"), 1, 576,
                   512, table.text(i, "kv_cache_dtype") == "fp8"),
            table.number(i, "latency") * 1e3);
}

/// Experts that a balanced benchmark of fused experts hits. For 256 experts it runs DeepSeek-V3's gate, which takes
/// half of a token's picks from the same four of eight groups: half of the experts are hit, and half of the picks fall
/// on few. (Were all hit, their weights would have to come at 5.9 TB/s on an H100 and 8.7 on an H200.)
double experts_hit(double experts, double tokens, double picks) {
  constexpr double kInGroups = 256;
  if (experts != kInGroups) return std::min(experts, tokens * picks);
  return std::min(experts / 2, tokens * picks / 2 + picks / 2);
}

/// SGLang's fused experts. Balanced loads only: the benchmark's skewed ones were drawn and are not recorded.
void aiconfigurator_experts(const CsvTable& table, Collector& out) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table.text(i, "distribution") != "balanced") continue;
    const bool fp8 = table.text(i, "moe_dtype") == "fp8_block";
    if (!fp8 && table.text(i, "moe_dtype") != "bfloat16") continue;
    // With experts spread over ranks it still sorts and sums up the rows of all of them: engines exchange rows instead.
    if (table.number(i, "moe_ep_size") > 1) continue;
    const double tokens = table.number(i, "num_tokens"), picks = table.number(i, "topk");
    GemmShape shape = dense(tokens * picks, table.number(i, "inter_size") / table.number(i, "moe_tp_size"),
                            table.number(i, "hidden_size"), fp8 ? Precision::fp8 : Precision::bf16,
                            fp8 ? Scaling::blocks : Scaling::none);
    shape.kind = GemmKind::fused_experts;
    shape.groups = static_cast<int>(experts_hit(table.number(i, "num_experts"), tokens, picks));
    out.add(shape, table.number(i, "latency") * 1e3);
  }
}

/// Whole blocks of latent attention, DeepSeek-V3's.
Reader latent_block(bool tensorrt) {
  return [tensorrt](const CsvTable& table, Collector& out) {
    for (std::size_t i = 0; i < table.size(); ++i) {
      LatentBlockShape shape;
      shape.batch = whole(table.number(i, "batch_size"));
      shape.kv_length = whole(table.number(i, tensorrt ? "step" : "isl"));
      shape.heads = static_cast<int>(table.number(i, "num_heads"));
      shape.tensorrt = tensorrt;
      // SGLang's table says "fp8" of its cache, and takes as long as its projections and the core over a BF16 cache.
      const bool fp8 = !tensorrt || table.text(i, "gemm_type") == "fp8_block";
      shape.precision = fp8 ? Precision::fp8 : Precision::bf16;
      shape.scaling = fp8 ? Scaling::blocks : Scaling::none;
      if (tensorrt && table.text(i, "kv_cache_dtype") == "fp8") shape.kv_precision = Precision::fp8;
      // The kernels of FlashInfer and FlashAttention-3 differ by 3 % and take turns in being the faster one.
      if (!tensorrt && table.text(i, "kernel_source") != "fa3") continue;
      out.add(shape, table.number(i, "latency") * 1e3);
    }
  };
}

void flash_attention_3(const CsvTable& table, Collector& out) {
  constexpr double kTokensInAll = 16384, kHeadsTimesDim = 2048;  // of the published benchmark
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table.text(i, "FA3_TFLOPS").empty()) continue;  // a bar without a label
    const double seq = table.number(i, "seq"), dim = table.number(i, "head_dim");
    const AttentionShape shape = prompt(kTokensInAll / seq, seq, kHeadsTimesDim / dim, kHeadsTimesDim / dim,
                                        static_cast<int>(dim), static_cast<int>(dim), table.number(i, "causal") != 0);
    out.add(shape, flop(shape).value() / (table.number(i, "FA3_TFLOPS") * 1e12) * 1e6);
  }
}

Reader infersim_prompt(int heads, int kv_heads, int qk, int v) {
  return [=](const CsvTable& table, Collector& out) {
    for (std::size_t i = 0; i < table.size(); ++i)
      out.add(prompt(1, table.number(i, "seq_len"), heads, kv_heads, qk, v, true), table.number(i, "latency_us"));
  };
}

/// Rows of grouped queries below this take 25 to 35 us whatever the cache's length: they time the host's launches.
constexpr double kHostBoundUs = 40;

Reader infersim_decode(int heads, int kv_heads, int qk, int v) {
  return [=](const CsvTable& table, Collector& out) {
    for (std::size_t i = 0; i < table.size(); ++i) {
      const AttentionShape shape = decode(table.number(i, "batch_size"), table.number(i, "kv_len"), heads, kv_heads, qk,
                                          v, table.text(i, "kv_dtype") == "fp8");
      Measurement& m = out.add(shape, table.number(i, "latency_us"));
      if (!shape.latent && m.microseconds < kHostBoundUs) m.variant = "at the host's pace";
    }
  };
}

/// GEMMs and attention of a real forward and backward pair, 112 of 132 SMs, communication on the other 20.
void training_profile(const CsvTable& table, Collector& out) {
  const auto mark = [](Measurement& m) {
    m.in_training = true;
    m.sms = 112;
  };
  double backward_us = 0;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::string& op = table.text(i, "op");
    const std::string& what = table.text(i, "class");
    if (what.starts_with("fp8")) {
      if (table.text(i, "K").starts_with('~')) continue;  // rows of single experts are not known
      const double m = table.number(i, "M"), n = table.number(i, "N"), k = table.number(i, "K");
      const double us = table.number(i, "mean_us");
      if (what.starts_with("fp8 dense")) {
        mark(out.add(dense(m, n, k, Precision::fp8, Scaling::blocks), us));
      } else if (what.starts_with("fp8 grouped")) {
        mark(out.add(grouped(GemmKind::grouped_contiguous, 4, m / 4, n, k), us));
      } else {
        mark(out.add(GemmShape{GemmKind::weight_gradient, whole(m), whole(n), whole(k), 1, Precision::fp8,
                               Scaling::blocks, Precision::fp32},
                     us));
      }
    } else if (op.starts_with("FA3 fwd")) {
      mark(out.add(prompt(1, 4096, 128, 128, 192, 128, true), table.number(i, "mean_us")));
    } else if (op.starts_with("FA3 bwd")) {
      backward_us += table.number(i, "mean_us");
    }
  }
  if (backward_us > 0) {
    AttentionShape shape = prompt(1, 4096, 128, 128, 192, 128, true);
    shape.kind = AttentionKind::backward;
    mark(out.add(shape, backward_us));
  }
}

}  // namespace

std::vector<TableFile> table_files() {
  const std::vector<std::string> h100 = {"h100-sxm"}, h200 = {"h200", "h200-sxm"}, h800 = {"h800-sxm"},
                                 h20 = {"h20", "h20-sxm"};
  std::vector<TableFile> files;
  const std::string aic = "data/kernels/aiconfigurator/", infersim = "data/kernels/infersim/bench_data/";
  for (const auto& [system, gpu] : {std::pair{"h100_sxm", h100}, std::pair{"h200_sxm", h200}}) {
    files.push_back(
        {aic + system + "__gemm__sglang__0.5.14__gemm_perf.csv", gpu, "aiconfigurator gemm", aiconfigurator_gemm});
    files.push_back({aic + system + "__attention__sglang__0.5.14__context_attention_perf.csv", gpu,
                     "aiconfigurator context attention", aiconfigurator_prompt});
    files.push_back({aic + system + "__attention__sglang__0.5.14__generation_attention_perf.csv", gpu,
                     "aiconfigurator generation attention", aiconfigurator_decode});
    files.push_back({aic + system + "__mla__sglang__0.5.14__context_mla_perf.csv", gpu, "aiconfigurator context mla",
                     aiconfigurator_latent_prompt});
    files.push_back({aic + system + "__mla__sglang__0.5.14__generation_mla_perf.csv", gpu,
                     "aiconfigurator generation mla", aiconfigurator_latent_decode});
    files.push_back({aic + system + "__moe__sglang__0.5.14__moe_perf.csv", gpu, "aiconfigurator fused experts",
                     aiconfigurator_experts});
    files.push_back({aic + system + "__mla__sglang__0.5.10__wideep_generation_mla_perf.csv", gpu,
                     "aiconfigurator latent block", latent_block(false)});
  }
  files.push_back({aic + "h200_sxm__mla__trtllm__1.3.0rc20__mla_generation_module_perf.csv", h200,
                   "aiconfigurator latent block of tensorrt", latent_block(true)});
  for (const auto& [chip, gpu] : {std::pair{"h800", h800}, std::pair{"h20", h20}}) {
    files.push_back({infersim + "gemm/" + chip + "/data.csv", gpu, "infersim gemm", infersim_gemm});
    files.push_back({infersim + "grouped_gemm/prefill/" + chip + "/data.csv", gpu, "infersim grouped gemm prefill",
                     infersim_grouped(GemmKind::grouped_contiguous)});
    files.push_back({infersim + "grouped_gemm/decode/" + chip + "/data.csv", gpu, "infersim grouped gemm decode",
                     infersim_grouped(GemmKind::grouped_masked)});
    files.push_back({infersim + "mla/decode/" + chip + "/128-512-64.csv", gpu, "infersim mla decode",
                     infersim_decode(128, 1, 576, 512)});
  }
  files.push_back({infersim + "mla/prefill/h800/128-128-64.csv", h800, "infersim mla prefill",
                   infersim_prompt(128, 128, 192, 128)});
  const auto heads = [](int q, int kv, int dim) { return fmt::format("{}-{}-{}.csv", q, kv, dim); };
  for (const auto& [q, kv, dim] : {std::tuple{16, 1, 256}, {16, 2, 256}, {32, 4, 128}, {32, 8, 128}, {64, 8, 128}})
    files.push_back({infersim + "mha/prefill/h20/" + heads(q, kv, dim), h20, "infersim mha prefill",
                     infersim_prompt(q, kv, dim, dim)});
  for (const auto& [q, kv, dim] :
       {std::tuple{16, 2, 128}, {32, 2, 128}, {32, 4, 128}, {32, 8, 128}, {64, 2, 128}, {128, 2, 128}, {256, 2, 128}})
    files.push_back({infersim + "mha/decode/h800/" + heads(q, kv, dim), h800, "infersim mha decode",
                     infersim_decode(q, kv, dim, dim)});
  for (const auto& [q, kv, dim] : {std::tuple{16, 1, 256},
                                   {16, 2, 128},
                                   {16, 2, 256},
                                   {32, 2, 128},
                                   {32, 4, 128},
                                   {32, 8, 128},
                                   {128, 2, 128},
                                   {256, 2, 128}})
    files.push_back({infersim + "mha/decode/h20/" + heads(q, kv, dim), h20, "infersim mha decode",
                     infersim_decode(q, kv, dim, dim)});
  for (const char* model : {"Qwen__Qwen-72B", "codellama__CodeLlama-34b-Instruct-hf", "internlm__internlm-20b",
                            "meta-llama__Llama-2-70b-hf", "meta-llama__Llama-2-7b-hf", "microsoft__phi-2"})
    files.push_back({fmt::format("data/kernels/vidur/h100__{}__mlp_median.csv", model), h100,
                     "vidur mlp, libraries of 2024", vidur_mlp});
  files.push_back({"data/kernels/frontier-h800/Llama-3.1-405B-Instruct-FP8__linear_op_kernel_only.csv", h800,
                   "frontier linear", frontier_linear});
  files.push_back({"reference/deepgemm.csv", h800, "deepgemm readme", deepgemm_readme});
  files.push_back({"reference/fa3_h100.csv", h100, "flashattention-3 figures", flash_attention_3});
  files.push_back({"reference/profile_train_kernels.csv", h800, "training profile", training_profile});
  return files;
}

}  // namespace flopcast
