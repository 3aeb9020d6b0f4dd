#include "analysis/evidence/published/published_kernels.h"

#include <map>

#include "analysis/render/text/csv.h"
#include "scenarios/read/text/text_file.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

const std::map<std::string, GemmKind>& gemm_kinds() {
  static const std::map<std::string, GemmKind> kinds = {{"dense", GemmKind::dense},
                                                        {"grouped_contiguous", GemmKind::grouped_contiguous},
                                                        {"grouped_masked", GemmKind::grouped_masked},
                                                        {"weight_gradient", GemmKind::weight_gradient}};
  return kinds;
}

std::int64_t whole(const CsvTable& table, std::size_t row, const char* column) {
  return static_cast<std::int64_t>(table.number(row, column));
}

GemmShape gemm_of(const CsvTable& table, std::size_t row, GemmKind kind) {
  GemmShape shape;
  shape.kind = kind;
  shape.m = whole(table, row, "m");
  shape.n = whole(table, row, "n");
  shape.k = whole(table, row, "k");
  shape.groups = static_cast<int>(whole(table, row, "groups"));
  if (table.text(row, "precision") == "fp8") {
    shape.precision = Precision::fp8;
    shape.scaling = Scaling::blocks;
  }
  if (kind == GemmKind::weight_gradient) shape.output = Precision::fp32;
  return shape;
}

AttentionShape attention_of(const CsvTable& table, std::size_t row) {
  AttentionShape shape;
  if (table.text(row, "kind") == "attention_backward") shape.kind = AttentionKind::backward;
  shape.batch = whole(table, row, "batch");
  shape.query_length = shape.kv_length = whole(table, row, "tokens");
  shape.query_heads = shape.kv_heads = static_cast<int>(whole(table, row, "heads"));
  shape.qk_dim = static_cast<int>(whole(table, row, "qk"));
  shape.v_dim = static_cast<int>(whole(table, row, "v"));
  shape.causal = whole(table, row, "causal") != 0;
  return shape;
}

}  // namespace

std::vector<KernelComparison> compare_published_kernels(const Libraries& libraries,
                                                        std::shared_ptr<const KernelCalibration> calibration) {
  const auto file = libraries.find_file(kPublishedKernelsFile);
  if (!file) throw InputError(Diagnostic{kPublishedKernelsFile, 0, 0, "", "no such file", "in a library folder", ""});
  const CsvTable table = parse_csv(read_text_file(*file), *file);
  std::vector<KernelComparison> rows;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const GpuSpec gpu = libraries.gpu(table.text(i, "gpu"));
    const double state = table.number(i, "in_training");
    const ClockState clock = state == 2   ? ClockState::power_limited
                             : state == 1 ? ClockState::sustained
                                          : ClockState::benchmark;
    const KernelModel model(gpu, calibration, clock);
    const int sms = static_cast<int>(whole(table, i, "sms"));
    const auto kind = gemm_kinds().find(table.text(i, "kind"));
    const KernelTime price = kind != gemm_kinds().end() ? model.gemm(gemm_of(table, i, kind->second), sms)
                                                        : model.attention(attention_of(table, i), sms);
    rows.push_back({table.text(i, "kernel"), gpu.name, price.time, Seconds(table.number(i, "us") * 1e-6),
                    price.evidence, table.number(i, "bar"), table.text(i, "source")});
  }
  return rows;
}

}  // namespace flopcast
