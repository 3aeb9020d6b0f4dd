#include "analysis/evidence/calibrate/calibrate_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "analysis/evidence/calibrate/card_measurements.h"
#include "analysis/evidence/calibrate/table_readers.h"
#include "analysis/render/text/csv.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAiConfigurator = "ai-dynamo/aiconfigurator 095f58a, measured by NVIDIA";
constexpr const char* kInferSim = "alibaba/InferSim bench_data f2293da";

std::map<std::string, Source> sources() {
  const auto aic = [](const char* what) { return Source{fmt::format("{}, {}", kAiConfigurator, what), "2026-11-21"}; };
  const auto infersim = [](const char* what) { return Source{fmt::format("{}, {}", kInferSim, what), "2026-11-21"}; };
  const Source profile{"deepseek-ai/profile-data train.json 4496024", "2026-11-21"};
  return {
      {"aiconfigurator gemm", aic("gemm/sglang/0.5.14 (FP8 rows include the activation cast)")},
      {"aiconfigurator context attention", aic("attention/sglang/0.5.14 context (FlashAttention-3)")},
      {"aiconfigurator generation attention", aic("attention/sglang/0.5.14 generation (FlashAttention-3)")},
      {"aiconfigurator context mla", aic("mla/sglang/0.5.14 context (absorbed form)")},
      {"aiconfigurator generation mla", aic("mla/sglang/0.5.14 generation")},
      {"aiconfigurator fused experts", aic("moe/sglang/0.5.14 (Triton, balanced loads)")},
      {"aiconfigurator latent block", aic("mla/sglang/0.5.10 wideep_generation_mla, FlashAttention-3")},
      {"aiconfigurator latent block of tensorrt", aic("mla/trtllm/1.3.0rc20 mla_generation_module")},
      {"infersim gemm", infersim("gemm (DeepGEMM)")},
      {"infersim grouped gemm prefill", infersim("grouped_gemm/prefill (DeepGEMM contiguous)")},
      {"infersim grouped gemm decode", infersim("grouped_gemm/decode (DeepGEMM masked)")},
      {"infersim mla decode", infersim("mla/decode")},
      {"infersim mla prefill", infersim("mla/prefill")},
      {"infersim mha prefill", infersim("mha/prefill")},
      {"infersim mha decode", infersim("mha/decode")},
      {"vidur mlp, libraries of 2024",
       {"microsoft/vidur data/profiling 7d47513 (FP16, libraries of 2024)", "2026-11-21"}},
      {"frontier linear", {"NetX-lab/Frontier a4b22df, Llama-3.1-405B-FP8 linear_op_kernel_only", "2026-11-21"}},
      {"deepgemm readme", {"deepseek-ai/DeepGEMM README.md 55ab91f (kernel time without launch)", "2025-03-25"}},
      {"flashattention-3 figures", {"Dao-AILab/flash-attention assets/flash3_fp16_fwd.png", "2024-07-11"}},
      {"training profile", profile},
  };
}

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

Diagnostic missing_file(const fs::path& path) {
  Diagnostic diagnostic;
  diagnostic.file = path.string();
  diagnostic.found = "no such file";
  diagnostic.expected = "a table of measurements (see `flopcast calibrate --help` for the folder's layout)";
  return diagnostic;
}

const GpuSpec* first_known(std::span<const GpuSpec> gpus, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    for (const GpuSpec& gpu : gpus)
      if (gpu.name == name) return &gpu;
  return nullptr;
}

/// Rows of tables that were kept for several models repeat shapes; times that are not positive are no
/// measurements.
void drop_unusable(std::vector<Measurement>& measurements) {
  std::erase_if(measurements,
                [](const Measurement& m) { return !(m.microseconds > 0) || !std::isfinite(m.microseconds); });
}

/// Time between back-to-back kernels: what the phases of the profile take beyond the sum of their kernels,
/// per launch. Phases of one stream only, and the attention ones: they have the most launches and no waiting
/// for peers.
double profiled_kernel_gap(const CsvTable& phases, const CsvTable& kernels, const CsvTable& elementwise) {
  double gap_us = 0, launches = 0;
  for (std::size_t i = 0; i < phases.size(); ++i) {
    const std::string& phase = phases.text(i, "phase");
    if (phase != "attn(F)" && phase != "attn(B)") continue;
    gap_us += 1e3 * (phases.number(i, "mean_span_ms") - phases.number(i, "mean_kernel_sum_ms"));
    for (std::size_t j = 0; j < elementwise.size(); ++j)
      if (elementwise.text(j, "phase") == phase) launches += elementwise.number(j, "launches_per_layer");
    for (std::size_t j = 0; j < kernels.size(); ++j)
      if (kernels.text(j, "phase") == phase && kernels.text(j, "class").starts_with("fp8")) launches += 1;
    launches += 1;  // attention itself
  }
  return launches > 0 ? gap_us / launches : 2.0;
}

constexpr const char* kFrontier = "data/kernels/frontier-h800";
constexpr const char* kSmallModels[] = {"Qwen3-30B-A3B-tiny", "qwen3-next-80b-a3b-instruct-reduced-l2",
                                        "step-moe-noquant-small"};
constexpr const char* kLinearOperators = "__linear_op_kernel_only.csv";

/// Files of a trace of training, and the models whose kernels were measured alone.
struct ProfileFiles {
  fs::path elementwise, phases, kernels;
  std::vector<fs::path> small_models;
};

ProfileFiles profile_files(const fs::path& folder) {
  const fs::path reference = folder / "reference";
  ProfileFiles files{reference / "profile_train_elementwise.csv",
                     reference / "profile_train_phases.csv",
                     reference / "profile_train_kernels.csv",
                     {}};
  for (const char* model : kSmallModels)
    files.small_models.push_back(folder / kFrontier / (model + std::string(kLinearOperators)));
  return files;
}

/// Tables of kernels, each of one GPU.
void read_tables(const fs::path& folder, std::span<const GpuSpec> gpus, CalibrationInput& input,
                 std::vector<Diagnostic>& missing) {
  std::map<std::string, std::uint64_t> rows_so_far;
  for (const TableFile& file : table_files()) {
    const fs::path path = folder / file.path;
    if (!fs::is_regular_file(path)) {
      missing.push_back(missing_file(path));
      continue;
    }
    const GpuSpec* gpu = first_known(gpus, file.gpu);
    if (gpu == nullptr)
      throw InputError(Diagnostic{path.string(), 0, 0, "gpu", file.gpu.front(), "a GPU of the library", ""});
    std::vector<Measurement> rows;
    Collector collector(rows, file.table, gpu->name);
    file.read(parse_csv(slurp(path), path.string()), collector);
    std::uint64_t& next = rows_so_far[file.table + gpu->name];
    for (Measurement& row : rows) row.row = next++;
    input.measurements.insert(input.measurements.end(), rows.begin(), rows.end());
    if (std::none_of(input.gpus.begin(), input.gpus.end(), [&](const GpuSpec& g) { return g.name == gpu->name; }))
      input.gpus.push_back(*gpu);
  }
}

/// What was measured on a card of our own.
void read_own_card(const fs::path& folder, std::span<const GpuSpec> gpus, CalibrationInput& input,
                   std::vector<Diagnostic>& missing) {
  const fs::path card = folder / "data/kernels/own-h100/kernels_h100.csv";
  if (const GpuSpec* gpu = first_known(gpus, {"h100-sxm"}); gpu != nullptr && fs::is_regular_file(card)) {
    CardMeasurements rows = read_card(parse_csv(slurp(card), card.string()), gpu->name, "own card");
    for (const Measurement& m : rows.kernels)
      input.table_sources[m.table] = {
          "measured for this project on one H100 80GB SXM (CUDA 13.0, cuBLAS 13.1, cuDNN 9.19)", "2026-11-26"};
    input.measurements.insert(input.measurements.end(), rows.kernels.begin(), rows.kernels.end());
    input.memory_alone = std::move(rows.memory);
    input.memory_alone_gpu = gpu->name;
    input.power = std::move(rows.power);
  } else {
    missing.push_back(missing_file(card));
  }
}

/// Memory-bound kernels and the gap between kernels.
void read_profile(const ProfileFiles& files, std::span<const GpuSpec> gpus, CalibrationInput& input) {
  const std::string profile = "deepseek-ai/profile-data train.json 4496024";
  input.memory_source = {
      profile +
          ", 112 SMs beside communication; bytes from the model's sizes; minimum and alone_fraction: one "
          "H100 SXM, measured for this project",
      "2026-11-26"};
  input.kernel_gap_us = {2.0, {"assumed: no phases to derive it from", "2026-11-21", false}};
  if (fs::is_regular_file(files.elementwise)) {
    input.memory = profiled_memory_kernels(slurp(files.elementwise), files.elementwise.string());
    for (const fs::path& path : files.small_models) {
      if (!fs::is_regular_file(path)) continue;
      const std::vector<ShortestMeasurement> rows = shortest_memory_kernels(slurp(path), path.string());
      input.shortest.insert(input.shortest.end(), rows.begin(), rows.end());
    }
    if (const GpuSpec* gpu = first_known(gpus, {"h800-sxm"})) input.memory_gpu = gpu->name;
    if (fs::is_regular_file(files.phases) && fs::is_regular_file(files.kernels)) {
      input.kernel_gap_us.value =
          std::round(100 * profiled_kernel_gap(parse_csv(slurp(files.phases), files.phases.string()),
                                               parse_csv(slurp(files.kernels), files.kernels.string()),
                                               parse_csv(slurp(files.elementwise), files.elementwise.string()))) /
          100;
      input.kernel_gap_us.source = {profile + ": span less kernel sum of the attention phases, per launch",
                                    "2026-11-21"};
    }
  }
}

/// What long runs lose of the clock.
void set_clocks(CalibrationInput& input) {
  // 1600 MHz in long runs against the 1830 MHz at which 989 TFLOPS are quoted (132 SMs x 4096 FLOP per
  // clock).
  input.sustained_clock = {0.874,
                           {"deepseek-ai/FlashMLA docs/20250422-new-kernel-deep-dive.md: H800 throttles to "
                            "about 1600 MHz, practical BF16 peak 865 of 990 TFLOPS",
                            "2025-04-22"}};
  // Sustained over burst rate, causal, 32 heads of 128: cuDNN 0.85 (4096) and 0.88 (8192); dense products 0.835.
  input.attention_clock_loss = {
      0.81,
      {"one H100 SXM at 700 W, sustained against burst rates: attention (cuDNN 9.19) loses 13.4 %, "
       "dense BF16 and FP8 products 16.5 %",
       "2026-11-26"}};
}

}  // namespace

CalibrationInput read_measurements(const fs::path& folder, std::span<const GpuSpec> gpus, bool allow_missing) {
  CalibrationInput input;
  input.table_sources = sources();
  std::vector<Diagnostic> missing;
  read_tables(folder, gpus, input, missing);
  read_own_card(folder, gpus, input, missing);
  const ProfileFiles files = profile_files(folder);
  std::vector<fs::path> needed = {files.elementwise, files.phases};
  needed.insert(needed.end(), files.small_models.begin(), files.small_models.end());
  for (const fs::path& path : needed)
    if (!fs::is_regular_file(path)) missing.push_back(missing_file(path));
  if (!missing.empty() && (!allow_missing || input.measurements.empty())) throw InputError(std::move(missing));
  drop_unusable(input.measurements);
  read_profile(files, gpus, input);
  set_clocks(input);
  return input;
}

}  // namespace flopcast
