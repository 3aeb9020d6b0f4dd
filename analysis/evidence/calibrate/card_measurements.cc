#include "analysis/evidence/calibrate/card_measurements.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

/// What is wrong with a table: the first rows in full, the others counted.
class RowFaults {
 public:
  /// Does `read`, which may refuse what it reads. @return whether it did not.
  template <class Read>
  bool passes(Read&& read) {
    try {
      read();
      return true;
    } catch (const InputError& error) {
      for (const Diagnostic& fault : error.diagnostics()) add(fault);
      return false;
    }
  }
  void throw_if_any(const std::string& file) {
    if (faults_.empty()) return;
    if (more_ > 0) faults_.push_back({file, 0, 0, "", std::to_string(more_) + " more faults, not shown", "none", ""});
    throw InputError(std::move(faults_));
  }

 private:
  void add(const Diagnostic& fault) {
    constexpr std::size_t kShown = 20;
    if (faults_.size() < kShown)
      faults_.push_back(fault);
    else
      ++more_;
  }
  std::vector<Diagnostic> faults_;
  std::size_t more_ = 0;
};

/// "M=4096 N=4096" by name.
class Shape {
 public:
  Shape(const CsvTable& table, std::size_t row) : table_(table), row_(row) {
    std::string_view text = table.text(row, "shape");
    while (!text.empty()) {
      const std::size_t end = std::min(text.find(' '), text.size());
      const std::string_view item = text.substr(0, end);
      const std::size_t equals = item.find('=');
      if (equals != std::string_view::npos) values_[std::string(item.substr(0, equals))] = item.substr(equals + 1);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }

  double number(const char* name, double least = 0) const {
    const auto found = values_.find(name);
    double value = 0;
    if (found == values_.end()) refuse(std::string("a number for ") + name);
    const auto [end, error] = std::from_chars(found->second.data(), found->second.data() + found->second.size(), value);
    if (error != std::errc() || end != found->second.data() + found->second.size() ||
        !(value >= least && value <= kMost))
      refuse(std::string("a number for ") + name + (least > 0 ? ", above zero" : ""));
    return value;
  }
  std::int64_t whole(const char* name, double least = 1) const {
    const double value = number(name, least);
    if (value != std::floor(value)) refuse(std::string("a whole number for ") + name);
    return static_cast<std::int64_t>(value);
  }
  int small(const char* name) const { return static_cast<int>(whole(name)); }

 private:
  static constexpr double kMost = 2e9;  // of any size
  [[noreturn]] void refuse(std::string expected) const {
    throw InputError(Diagnostic{table_.file(), table_.line(row_), 0, "shape", "`" + table_.text(row_, "shape") + "`",
                                std::move(expected), ""});
  }
  const CsvTable& table_;
  std::size_t row_;
  std::map<std::string, std::string_view> values_;
};

/// @throws InputError when it is not above zero.
double time_of(const CsvTable& table, std::size_t row) {
  const double us = table.number(row, "time_us");
  if (us > 0) return us;
  throw InputError(Diagnostic{table.file(), table.line(row), 0, "time_us", table.text(row, "time_us"),
                              "a time above zero, in microseconds", ""});
}

/// Libraries of these rows are not those that are priced.
struct GemmKindOfRow {
  std::string_view op;
  Precision precision;
  Scaling scaling;
  char rows, columns, depth;  ///< which of M, N and K is the product's m, n and k
  const char* variant;
};
constexpr GemmKindOfRow kGemms[] = {
    {"gemm_fwd", Precision::bf16, Scaling::none, 'M', 'N', 'K', ""},
    {"gemm_dgrad", Precision::bf16, Scaling::none, 'M', 'K', 'N', ""},
    {"gemm_wgrad", Precision::bf16, Scaling::none, 'N', 'K', 'M', ""},
    {"gemm_fp8_tensor", Precision::fp8, Scaling::per_tensor, 'M', 'N', 'K', ""},
    {"gemm_fp8_row", Precision::fp8, Scaling::per_tensor, 'M', 'N', 'K', "one scale per row"},
    {"gemm_fp8_block", Precision::fp8, Scaling::blocks, 'M', 'N', 'K', "cuBLASLt"}};

struct AttentionKindOfRow {
  std::string_view op;
  AttentionKind kind;
  const char* variant;
};
constexpr AttentionKindOfRow kAttentions[] = {{"attn_fwd_cudnn", AttentionKind::forward, "cuDNN"},
                                              {"attn_bwd_cudnn", AttentionKind::backward, ""},
                                              {"attn_decode_cudnn", AttentionKind::decode, "cuDNN"},
                                              {"attn_fwd_flash", AttentionKind::forward, "FlashAttention-2"},
                                              {"attn_bwd_flash", AttentionKind::backward, "FlashAttention-2"},
                                              {"attn_decode_flash", AttentionKind::decode, "FlashAttention-2"}};

GemmShape gemm_shape(const GemmKindOfRow& kind, const Shape& shape) {
  const auto size = [&](char name) { return shape.whole(std::string(1, name).c_str()); };
  GemmShape gemm;
  gemm.m = size(kind.rows);
  gemm.n = size(kind.columns);
  gemm.k = size(kind.depth);
  gemm.precision = kind.precision;
  gemm.scaling = kind.scaling;
  gemm.vendor_library = kind.scaling == Scaling::per_tensor;
  return gemm;
}

AttentionShape attention_shape(AttentionKind kind, const Shape& shape) {
  const bool decode = kind == AttentionKind::decode;
  AttentionShape attention;
  attention.kind = kind;
  attention.batch = shape.whole("B");
  attention.kv_length = shape.whole(decode ? "S_kv" : "S");
  attention.query_length = decode ? 1 : attention.kv_length;
  attention.query_heads = shape.small("H");
  attention.kv_heads = shape.small("KV");
  attention.qk_dim = attention.v_dim = shape.small("D");
  if (!decode) attention.v_dim = shape.small("Dv");
  attention.causal = !decode && shape.whole("causal", 0) != 0;
  return attention;
}

constexpr std::pair<std::string_view, MemoryKernel> kMemoryRows[] = {
    {"copy", MemoryKernel::copy},
    {"add", MemoryKernel::elementwise},
    {"rmsnorm_fwd_triton", MemoryKernel::norm},
    {"rmsnorm_bwd_torch_fused", MemoryKernel::norm_backward},
    {"swiglu_fwd_triton", MemoryKernel::swiglu},
    {"swiglu_bwd_triton", MemoryKernel::swiglu_backward},
    {"rope_triton", MemoryKernel::rotary},
    {"cast_bf16_fp8_1x128", MemoryKernel::cast},
    {"transpose_triton", MemoryKernel::transpose},
    {"moe_permute_triton", MemoryKernel::permute},
    {"moe_unpermute_triton", MemoryKernel::reduce},
    {"embedding_fwd", MemoryKernel::embedding},
    {"cross_entropy_fwd", MemoryKernel::cross_entropy},
    {"cross_entropy_bwd", MemoryKernel::cross_entropy},
    {"adamw_fused", MemoryKernel::optimizer},
    {"silu_of_half", MemoryKernel::strided},
    {"product_with_half", MemoryKernel::strided},
    {"product_by_row", MemoryKernel::strided},
    {"moe_unpermute_index_add", MemoryKernel::index_add},
    {"moe_unpermute_scatter_add", MemoryKernel::scatter_add},
    {"router_softmax_topk", MemoryKernel::top_k},
    {"router_sigmoid_topk", MemoryKernel::top_k}};

/// What a row's class counts as bytes, where that is not its least traffic.
double bytes_of(MemoryKernel kernel, const CsvTable& table, std::size_t row) {
  const Shape shape(table, row);
  switch (kernel) {
    case MemoryKernel::strided:  // an element takes as long whatever it is made of
      return shape.number("rows") * shape.number("width") * kStridedBytes;
    case MemoryKernel::scatter_add:
      return shape.number("rows") * shape.number("width") * bytes_per_element(Precision::bf16);
    case MemoryKernel::index_add:
      return shape.number("tokens") * shape.number("topk") * shape.number("hidden") *
             bytes_per_element(Precision::bf16);
    case MemoryKernel::top_k:
      return top_k_bytes(shape.number("tokens"), shape.number("experts")).value();
    default:
      return table.number(row, "bytes");
  }
}

/// Time of an event pair round nothing.
constexpr double kEventUs = 1.3;

/// Rows that ran at the card's highest clock: what the file says, else within 2 % of the highest clock in it.
std::vector<bool> at_full_clock(const CsvTable& table) {
  std::vector<bool> full(table.size(), true);
  if (table.has("state")) {
    for (std::size_t i = 0; i < table.size(); ++i) full[i] = table.text(i, "state") == "full_clock";
    return full;
  }
  double highest = 0;
  for (std::size_t i = 0; i < table.size(); ++i)
    if (!table.text(i, "sm_mhz").empty()) highest = std::max(highest, table.number(i, "sm_mhz"));
  for (std::size_t i = 0; i < table.size(); ++i)
    full[i] = !table.text(i, "sm_mhz").empty() && table.number(i, "sm_mhz") >= 0.98 * highest;
  return full;
}

/// Kernels that were repeated until the clock had settled ("power:gemm_bf16"), by the operation that was measured
/// alone.
struct PowerKindOfRow {
  std::string_view op;  ///< begins so
  std::string_view alone;
  PowerKind kind;
};
constexpr PowerKindOfRow kPowerRows[] = {{"gemm_bf16", "gemm_fwd", PowerKind::bf16},
                                         {"gemv", "gemm_fwd", PowerKind::bf16},
                                         {"gemm_fp8_tensor", "gemm_fp8_tensor", PowerKind::fp8},
                                         {"gemm_fp8_row", "gemm_fp8_row", PowerKind::fp8},
                                         {"gemm_fp8_block", "gemm_fp8_block", PowerKind::fp8},
                                         {"gemm_fp8", "gemm_fp8_tensor", PowerKind::fp8},
                                         {"grouped_gemm_bf16", "grouped_gemm_fwd", PowerKind::bf16},
                                         {"attention_fwd_cudnn", "attn_fwd_cudnn", PowerKind::attention},
                                         {"attention_decode_cudnn", "attn_decode_cudnn", PowerKind::bf16},
                                         {"rmsnorm", "", PowerKind::bf16},
                                         {"add", "", PowerKind::bf16},
                                         {"idle", "", PowerKind::bf16}};

/// Whether every size of `part` stands in `whole`; heads without a mask are not meant.
bool same_sizes(std::string_view part, std::string_view whole) {
  for (std::size_t at = 0; at < part.size();) {
    const std::size_t end = std::min(part.find(' ', at), part.size());
    const std::string item(part.substr(at, end - at));
    if ((" " + std::string(whole) + " ").find(" " + item + " ") == std::string::npos) return false;
    at = end + 1;
  }
  return whole.find("causal=0") == std::string_view::npos;
}

/// The median power that a row's notes give, or the column's: the counter is only good for long windows.
double watts_of(const CsvTable& table, std::size_t row) {
  constexpr double kLongUs = 1.5e6;
  const std::string& notes = table.text(row, "notes");
  const std::size_t at = notes.find("power_w=");
  const double window = table.number(row, "time_us") * std::max(1.0, table.number(row, "reps"));
  double watts = 0;
  constexpr std::size_t kName = 8;  // "power_w="
  if (at != std::string::npos && window > kLongUs &&
      std::from_chars(notes.data() + at + kName, notes.data() + notes.size(), watts).ec == std::errc())
    return watts;
  return table.number(row, "power_w");
}

std::vector<PowerMeasurement> power_rows(const CsvTable& table, const std::vector<bool>& full) {
  std::vector<PowerMeasurement> rows;
  double full_mhz = 1;
  for (std::size_t i = 0; i < table.size(); ++i)
    if (full[i] && !table.text(i, "sm_mhz").empty()) full_mhz = std::max(full_mhz, table.number(i, "sm_mhz"));
  double fastest[3] = {};  // by kind, FLOP per microsecond
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::string& op = table.text(i, "op");
    if (!op.starts_with("power:")) continue;
    const auto kind = std::find_if(std::begin(kPowerRows), std::end(kPowerRows), [&](const PowerKindOfRow& row) {
      return std::string_view(op).substr(6).starts_with(row.op);
    });
    if (kind == std::end(kPowerRows)) continue;
    PowerMeasurement m;
    m.name = op + " " + table.text(i, "shape");
    m.kind = kind->kind;
    m.flops = kind->alone.empty() ? 0 : table.number(i, "flops");
    m.bytes = table.number(i, "bytes");
    m.sustained_us = table.number(i, "time_us");
    m.watts = watts_of(table, i);
    m.clock = table.number(i, "sm_mhz") / full_mhz;
    if (kind->alone.empty()) m.burst_us = m.sustained_us;
    for (std::size_t j = 0; j < table.size() && m.burst_us == 0; ++j)
      if (full[j] && table.text(j, "op") == kind->alone && same_sizes(table.text(i, "shape"), table.text(j, "shape")))
        m.burst_us = table.number(j, "time_us");
    if (m.burst_us == 0) continue;
    auto& best = fastest[static_cast<std::size_t>(m.kind)];
    best = std::max(best, m.flops / m.burst_us);
    rows.push_back(std::move(m));
  }
  // How near a kernel comes to the fastest of its kind says how much of its time waits for the SMs (kernel_formulas.h:
  // the share of a term in a sum of powers).
  constexpr double kNorm = 3;
  for (PowerMeasurement& m : rows) {
    const double best = fastest[static_cast<std::size_t>(m.kind)];
    m.sm_share = best > 0 ? std::pow(m.flops / m.burst_us / best, kNorm) : 0;
  }
  return rows;
}

bool is_grouped(std::string_view op) { return op == "grouped_gemm_fwd" || op == "grouped_gemm_dgrad"; }

bool is_memory_row(std::string_view op) {
  return std::ranges::any_of(kMemoryRows, [&](const auto& kind) { return kind.first == op; });
}

/// Whether a family of kernels describes the operation.
bool is_described(std::string_view op) {
  const auto has_op = [&](const auto& kind) { return kind.op == op; };
  return is_grouped(op) || std::ranges::any_of(kGemms, has_op) || std::ranges::any_of(kAttentions, has_op) ||
         is_memory_row(op);
}

GemmShape grouped_shape(std::string_view op, const Shape& shape) {
  GemmShape gemm;
  gemm.kind = GemmKind::grouped_contiguous;
  gemm.groups = shape.small("E");
  gemm.m = static_cast<std::int64_t>(std::max(1.0, gemm.groups * shape.number("tokens_per_expert")));
  gemm.n = shape.whole(op == "grouped_gemm_fwd" ? "N" : "K");
  gemm.k = shape.whole(op == "grouped_gemm_fwd" ? "K" : "N");
  gemm.skew = shape.number("skew");
  return gemm;
}

/// A row's kernels: its shape for each family that describes it, and what that family's table is called beside.
using RowKernels = std::vector<std::pair<KernelShape, const char*>>;

RowKernels kernels_of(const std::string& op, const Shape& shape) {
  RowKernels kernels;
  for (const GemmKindOfRow& kind : kGemms)
    if (op == kind.op) kernels.emplace_back(gemm_shape(kind, shape), kind.variant);
  for (const AttentionKindOfRow& kind : kAttentions) {
    if (op != kind.op) continue;
    // Heads of 192 and 128, MLA's: no other table has them, so they price.
    const AttentionShape attention = attention_shape(kind.kind, shape);
    kernels.emplace_back(attention, attention.qk_dim == attention.v_dim ? kind.variant : "");
  }
  if (is_grouped(op)) kernels.emplace_back(grouped_shape(op, shape), "");
  return kernels;
}

/// Products say what they multiply twice, by their operation and by their type.
void check_type(const CsvTable& table, std::size_t row) {
  if (!table.has("dtype") || table.text(row, "dtype").empty()) return;
  const auto kind = std::ranges::find(kGemms, std::string_view(table.text(row, "op")), &GemmKindOfRow::op);
  if (kind == std::end(kGemms)) return;
  const bool fp8 = kind->precision == Precision::fp8;
  const std::string& type = table.text(row, "dtype");
  const auto begins = [&](const char* start) { return type.starts_with(start); };
  if (fp8 ? begins("e4m3") || begins("fp8") || begins("float8")
          : begins("bf16") || begins("bfloat16") || begins("fp16"))
    return;
  throw InputError(Diagnostic{table.file(), table.line(row), 0, "dtype", "`" + type + "`",
                              fp8 ? "e4m3, as its operation says" : "bf16, as its operation says", ""});
}

/// One kernel measured twice: runs of it lie within a few per cent, unless one of the rows is wrong.
class Repeats {
 public:
  /// @throws InputError where the row contradicts an earlier one.
  void check(const CsvTable& table, std::size_t row, double us) {
    constexpr double kContradiction = 1.5;
    std::string key;
    for (const char* column : {"op", "shape", "dtype", "l2", "method"})
      if (table.has(column)) key += table.text(row, column) + "|";
    const auto [found, fresh] = first_.try_emplace(key, std::pair(row, us));
    const auto& [before, then] = found->second;
    if (fresh || std::max(us, then) <= kContradiction * std::min(us, then)) return;
    throw InputError(Diagnostic{table.file(), table.line(row), 0, "time_us", table.text(row, "time_us"),
                                "about " + table.text(before, "time_us") + ", as line " +
                                    std::to_string(table.line(before)) + " has of the same kernel",
                                ""});
  }

 private:
  std::map<std::string, std::pair<std::size_t, double>> first_;
};

}  // namespace

CardMeasurements read_card(const CsvTable& table, const std::string& gpu, const std::string& name) {
  table.check_columns_differ();
  CardMeasurements out;
  RowFaults faults;
  Repeats repeats;
  std::size_t hidden = 0;  // behind the time of the event pair
  const std::vector<bool> full = at_full_clock(table);
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::string& op = table.text(i, "op");
    // Kernels that only move memory leave the clock where it is; what was measured without reading it serves.
    const bool moves = table.has("sm_mhz") && table.text(i, "sm_mhz").empty() && is_memory_row(op);
    if (!(full[i] || moves) || !is_described(op)) continue;
    double us = 0;
    RowKernels kernels;
    const bool timed = faults.passes([&] { us = time_of(table, i); });
    const bool shaped = faults.passes([&] { kernels = kernels_of(op, Shape(table, i)); });
    faults.passes([&] { check_type(table, i); });
    if (!timed || !shaped) continue;
    faults.passes([&] { repeats.check(table, i, us); });
    if (table.text(i, "method") == "event") {
      if (us < 2 * kEventUs) {
        ++hidden;
        continue;
      }
      us -= kEventUs;
    }
    for (auto& [shape, variant] : kernels) {
      Measurement m;
      m.table = name + " " + op;
      m.gpu = gpu;
      m.shape = shape;
      m.microseconds = us;
      m.row = i;
      m.variant = variant;
      // Formulas of GEMMs alone know what a timer does not see.
      m.without_launch = table.text(i, "method") == "profile" && std::holds_alternative<GemmShape>(m.shape);
      out.kernels.push_back(std::move(m));
    }
    for (const auto& [of, of_class] : kMemoryRows) {
      if (op != of) continue;
      MemoryMeasurement m;
      m.kernel = of_class;
      m.name = name + " " + op;
      m.bytes = bytes_of(of_class, table, i);
      m.microseconds = us;
      m.gpu = gpu;
      out.memory.push_back(std::move(m));
    }
  }
  faults.throw_if_any(table.file());
  if (hidden > 0)
    out.notes.push_back(table.file() + ": " + std::to_string(hidden) +
                        " rows timed by a pair of events left out: under 2.6 us, of which the pair itself is 1.3");
  if (table.has("power_w") && table.has("reps") && table.has("notes")) out.power = power_rows(table, full);
  return out;
}

}  // namespace flopcast
