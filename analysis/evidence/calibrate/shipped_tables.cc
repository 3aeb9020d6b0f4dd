#include "analysis/evidence/calibrate/shipped_tables.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "analysis/evidence/calibrate/card_measurements.h"
#include "analysis/render/text/csv.h"
#include "hwmodels/kernels/kernel_formulas.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

constexpr const char* kReadOn = "2026-11-27";
constexpr const char* kMeasuredOn = "2026-11-27";

Source by_nvidia(const char* what) {
  return {std::string("ai-dynamo/aiconfigurator 095f58a, measured by NVIDIA, ") + what, kReadOn};
}

std::int64_t to_whole(double value) { return static_cast<std::int64_t>(std::llround(value)); }

CsvTable table_of(const Libraries& libraries, const char* path) {
  const std::string file = required_file(libraries, path);
  return parse_csv(read_text_file(file), file);
}

bool is_calibrated(const CalibrationInput& input, std::string_view gpu) {
  return std::any_of(input.gpus.begin(), input.gpus.end(), [&](const GpuSpec& g) { return g.name == gpu; });
}

/// Rows of one data file as they are filed.
class ShippedRows {
 public:
  ShippedRows(CalibrationInput& input, std::span<const GpuSpec> gpus, bool only_calibrated)
      : input_(input), gpus_(gpus), only_calibrated_(only_calibrated) {}

  /// The chip of the table's row, with which it is calibrated; nothing where the row is left out.
  const GpuSpec* gpu(const CsvTable& table, std::size_t row) {
    const std::string& name = table.text(row, "gpu");
    const auto known = std::find_if(gpus_.begin(), gpus_.end(), [&](const GpuSpec& g) { return g.name == name; });
    if (known == gpus_.end()) return nullptr;
    if (!is_calibrated(input_, name)) {
      if (only_calibrated_) return nullptr;
      input_.gpus.push_back(*known);
    }
    return &*known;
  }

  /// @param row within its table: it decides whether the row is held back
  Measurement& add(const std::string& table, std::size_t row, const GpuSpec& gpu, KernelShape shape,
                   double microseconds) {
    Measurement m;
    m.table = table;
    m.row = row;
    m.gpu = gpu.name;
    m.shape = std::move(shape);
    m.microseconds = microseconds;
    input_.measurements.push_back(std::move(m));
    return input_.measurements.back();
  }

  void source(const std::string& table, Source source) { input_.table_sources[table] = std::move(source); }

 private:
  CalibrationInput& input_;
  std::span<const GpuSpec> gpus_;
  bool only_calibrated_;
};

/// Published rates of attention's backward pass. They say something beside measurements of the same chip only.
void attention_backward(ShippedRows& rows, const CsvTable& table, const GpuSpec& gpu) {
  const std::string name = "cuDNN backward figures";
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto size = [&](const char* column) { return static_cast<int>(table.number(i, column)); };
    AttentionShape shape;
    shape.kind = AttentionKind::backward;
    shape.batch = size("batch");
    shape.query_length = shape.kv_length = size("sequence");
    shape.query_heads = size("query_heads");
    shape.kv_heads = size("kv_heads");
    shape.qk_dim = shape.v_dim = size("head_dim");
    shape.causal = table.text(i, "mask") == "causal";
    rows.add(name, i, gpu, shape, flop(shape).value() / (table.number(i, "TFLOPS") * 1e6));
  }
  rows.source(name, {"NVIDIA/cudnn-frontend, attention benchmarks, on the H200's equal chip", "2026-09-28"});
}

ExpertBlock block_of(std::string_view library, std::string_view precision) {
  if (precision == "int4") return ExpertBlock::marlin;
  if (library == "tensorrt") return precision == "mxfp4" ? ExpertBlock::triton_kernels_tensorrt : ExpertBlock::tensorrt;
  if (precision == "mxfp4") return ExpertBlock::triton_kernels;
  return library == "vllm" ? ExpertBlock::vllm : ExpertBlock::sglang;
}

/// Blocks of experts as serving engines run them.
void expert_blocks(ShippedRows& rows, const CsvTable& table) {
  const auto name_of = [](std::string_view library) { return "expert blocks of " + std::string(library); };
  for (std::size_t i = 0; i < table.size(); ++i) {
    const GpuSpec* gpu = rows.gpu(table, i);
    if (gpu == nullptr) continue;
    const std::string& library = table.text(i, "library");
    const std::string& precision = table.text(i, "precision");
    const double ranks = table.number(i, "expert"), picks = table.number(i, "tokens") * table.number(i, "picks");
    const double on_gpu = std::max(1.0, picks / ranks);
    GemmShape shape;
    shape.kind = GemmKind::fused_experts;
    shape.block = block_of(library, precision);
    shape.m = to_whole(on_gpu);
    shape.n = to_whole(table.number(i, "width") / table.number(i, "tensor"));
    shape.k = to_whole(table.number(i, "hidden"));
    shape.groups = static_cast<int>(std::min(table.number(i, "experts") / ranks, on_gpu));
    if (precision == "mxfp4") shape.weight_bytes = bytes_per_weight(WeightFormat::mxfp4);
    if (precision == "int4") shape.weight_bytes = bytes_per_weight(WeightFormat::int4);
    if (precision == "fp4") shape.precision = Precision::fp4;
    if (precision.starts_with("fp8")) shape.precision = Precision::fp8;
    if (precision == "fp8_block") shape.scaling = Scaling::blocks;
    if (precision == "fp8") shape.scaling = Scaling::per_tensor;
    if (shape.block == ExpertBlock::vllm || precision == "mxfp4") shape.passing_rows = picks - on_gpu;
    Measurement& row = rows.add(name_of(library), i, *gpu, shape, table.number(i, "us"));
    if (library == "trtllm_gen") row.variant = "TensorRT-LLM's in SGLang";
  }
  rows.source(name_of("vllm"), by_nvidia("moe/vllm/0.18.0 and 0.19.0, MXFP4 and INT4 0.24.0 (balanced loads)"));
  rows.source(name_of("tensorrt"), by_nvidia("moe/trtllm/1.2.0rc5 (balanced loads)"));
  rows.source(name_of("trtllm_gen"), by_nvidia("moe/sglang/0.5.14, flashinfer_trtllm (balanced loads)"));
  rows.source(name_of("sglang"), by_nvidia("moe/sglang/0.5.10, NVFP4 0.5.14, INT4 both (balanced loads)"));
}

/// Long products that ran at the board's limit are fitted with the others: the fit holds what it leaves of the clock
/// (KernelModel).
void dense_products(ShippedRows& rows, const CsvTable& table) {
  const std::string other_dies = "dense products of other dies", hopper = "FP8 products of engines";
  const std::string tensorrt = "FP8 products of TensorRT-LLM on other dies";
  for (std::size_t i = 0; i < table.size(); ++i) {
    const GpuSpec* gpu = rows.gpu(table, i);
    if (gpu == nullptr) continue;
    const std::string& name = gpu->architecture == "hopper" ? hopper : other_dies;
    const std::string& format = table.text(i, "format");
    GemmShape shape;
    shape.m = to_whole(table.number(i, "m"));
    shape.n = to_whole(table.number(i, "n"));
    shape.k = to_whole(table.number(i, "k"));
    if (format != "bf16") shape.precision = format == "fp4" ? Precision::fp4 : Precision::fp8;
    const bool of_tensorrt = format == "fp8_block_tensorrt";
    if (format == "fp8_block" || of_tensorrt) shape.scaling = Scaling::blocks;
    if (format == "fp8" || format == "fp8_vendor") shape.scaling = Scaling::per_tensor;
    shape.vendor_library = format == "fp8_vendor";
    Measurement& row = rows.add(of_tensorrt ? tensorrt : name, i, *gpu, shape, table.number(i, "us"));
    row.with_cast = format != "bf16";
    if (of_tensorrt) row.variant = "TensorRT-LLM";
  }
  rows.source(other_dies, by_nvidia("gemm of sglang/0.5.10 (A100), sglang/0.5.14 and trtllm/1.3.0rc20 (B200)"));
  rows.source(tensorrt, by_nvidia("gemm of trtllm/1.3.0rc20 (B200)"));
  rows.source(hopper, by_nvidia("gemm of sglang/0.5.14 (H100, H200)"));
}

/// Engines whose attention is priced by rows of their own where they were measured.
struct AttentionLibrary {
  std::string_view name;
  const char *variant, *table, *source;
};
constexpr AttentionLibrary kNobodys = {
    "", "", "attention of other dies",
    "attention and mla of sglang/0.5.10 and trtllm/1.0.0 (A100), sglang/0.5.14 (B200)"};
constexpr AttentionLibrary kOfEngines[] = {
    {"vllm", "vLLM", "attention of vLLM on other dies", "attention of vllm/0.14.0 (A100)"},
    {"tensorrt", "TensorRT-LLM", "attention of TensorRT-LLM on other dies", "attention of trtllm/1.0.0 (A100)"}};

void attention_rows(ShippedRows& rows, const CsvTable& table, const AttentionLibrary& library) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (!library.name.empty() && table.text(i, "library") != library.name) continue;
    const GpuSpec* gpu = rows.gpu(table, i);
    if (gpu == nullptr) continue;
    const auto size = [&](const char* column) { return static_cast<int>(table.number(i, column)); };
    const bool decode = table.text(i, "stage") == "decode";
    AttentionShape shape;
    shape.kind = decode ? AttentionKind::decode : AttentionKind::forward;
    shape.batch = size("batch");
    shape.kv_length = size("tokens");
    shape.query_length = decode ? 1 : shape.kv_length;
    shape.query_heads = size("heads");
    shape.kv_heads = size("kv_heads");
    shape.qk_dim = size("qk_dim");
    shape.v_dim = size("v_dim");
    shape.causal = !decode;
    constexpr int kAbsorbed = 576;
    shape.latent = shape.qk_dim == kAbsorbed;
    if (table.text(i, "cache") == "fp8") shape.kv_precision = Precision::fp8;
    rows.add(library.table, i, *gpu, shape, table.number(i, "us")).variant = library.variant;
  }
  rows.source(library.table, by_nvidia(library.source));
}

void latent_blocks(ShippedRows& rows, const CsvTable& table) {
  const std::string name = "latent blocks of other dies";
  for (std::size_t i = 0; i < table.size(); ++i) {
    const GpuSpec* gpu = rows.gpu(table, i);
    if (gpu == nullptr) continue;
    LatentBlockShape shape;
    shape.batch = to_whole(table.number(i, "batch"));
    shape.kv_length = to_whole(table.number(i, "tokens"));
    shape.heads = static_cast<int>(table.number(i, "heads"));
    shape.tensorrt = table.text(i, "engine") == "tensorrt";
    if (table.text(i, "weights") != "bf16") shape.precision = Precision::fp8, shape.scaling = Scaling::blocks;
    if (table.text(i, "cache") == "fp8") shape.kv_precision = Precision::fp8;
    rows.add(name, i, *gpu, shape, table.number(i, "us"));
  }
  rows.source(name, by_nvidia("mla of sglang/0.5.10 and trtllm/1.3.0rc20"));
}

/// Cards that were measured for the project.
struct CardOfProject {
  const char* gpu;
  const char* name;
  const char* file;
};
constexpr CardOfProject kCardsOfProject[] = {{"h100-sxm", "second card", "hwmodels/data/measured_kernels_h100.csv"},
                                             {"h200-sxm", "third card", "hwmodels/data/measured_kernels_h200.csv"}};

void cards_of_project(CalibrationInput& input, const Libraries& libraries) {
  input.memory_cards_source = {"one H100 and one H200, measured for this project (PyTorch 2.11)", kMeasuredOn};
  for (const CardOfProject& card : kCardsOfProject) {
    if (!is_calibrated(input, card.gpu)) continue;
    CardMeasurements rows = read_card(table_of(libraries, card.file), card.gpu, card.name);
    for (const Measurement& m : rows.kernels)
      input.table_sources[m.table] = {"measured for this project on one " + std::string(card.gpu) + " (PyTorch 2.11)",
                                      kMeasuredOn};
    input.measurements.insert(input.measurements.end(), rows.kernels.begin(), rows.kernels.end());
    input.memory_cards.insert(input.memory_cards.end(), rows.memory.begin(), rows.memory.end());
  }
}

}  // namespace

void add_shipped_tables(CalibrationInput& input, const Libraries& libraries, std::span<const GpuSpec> gpus,
                        bool only_calibrated) {
  ShippedRows rows(input, gpus, only_calibrated);
  constexpr const char* kOfBackward = "h100-sxm";
  const auto h100 = std::find_if(gpus.begin(), gpus.end(), [](const GpuSpec& g) { return g.name == kOfBackward; });
  if (h100 != gpus.end() && is_calibrated(input, kOfBackward))
    attention_backward(rows, table_of(libraries, "hwmodels/data/attention_backward.csv"), *h100);
  expert_blocks(rows, table_of(libraries, "hwmodels/data/expert_blocks.csv"));
  expert_blocks(rows, table_of(libraries, "hwmodels/data/unpacked_experts.csv"));
  dense_products(rows, table_of(libraries, "hwmodels/data/measured_gemms.csv"));
  attention_rows(rows, table_of(libraries, "hwmodels/data/measured_attention.csv"), kNobodys);
  const CsvTable of_engines = table_of(libraries, "hwmodels/data/attention_of_engines.csv");
  for (const AttentionLibrary& library : kOfEngines) attention_rows(rows, of_engines, library);
  latent_blocks(rows, table_of(libraries, "hwmodels/data/measured_latent_blocks.csv"));
  cards_of_project(input, libraries);
}

}  // namespace flopcast
