#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <tuple>

#include "analysis/evidence/calibrate/profile_rows.h"
#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/render/text/text_table.h"
#include "sim/base/diagnostic.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

using InputSizes = std::vector<std::int64_t>;

/// An operator and its shape as a card's table has them, or why there is no such row.
struct MatchedOperator {
  std::string op, shape, reason;
};

MatchedOperator no_row(std::string reason) { return {"", "", std::move(reason)}; }

enum class Format { bf16, fp8, other, unknown };

Format format_of(const LaunchedKernel& kernel, std::size_t input) {
  if (input < kernel.types.size()) {
    const std::string& type = kernel.types[input];
    if (type.find("BFloat16") != std::string::npos) return Format::bf16;
    return type.find("Float8") != std::string::npos ? Format::fp8 : Format::other;
  }
  if (!kernel.types.empty()) return Format::unknown;
  // Nsight records no types; libraries name them in their kernels.
  const std::string& name = kernel.kernel;
  if (name.find("bf16") != std::string::npos || name.find("bfloat16") != std::string::npos) return Format::bf16;
  for (const char* other : {"_f32", "tf32", "sgemm", "_h16", "hgemm", "f16f16"})
    if (name.find(other) != std::string::npos) return Format::other;
  return Format::unknown;
}

std::string gemm_text(std::int64_t m, std::int64_t n, std::int64_t k) { return fmt::format("M={} N={} K={}", m, n, k); }

std::string gemm_obstacle(Format format) {
  return format == Format::unknown ? "its number format is not recorded" : "GEMMs are fitted in BF16 and FP8 only";
}

MatchedOperator matched_gemm(const LaunchedKernel& kernel, std::size_t first) {
  if (kernel.sizes.size() < first + 2) return no_row("the sizes of its inputs are not recorded (record_shapes=True)");
  const InputSizes &a = kernel.sizes[first], &b = kernel.sizes[first + 1];
  if (a.size() != 2 || b.size() != 2 || a[1] != b[0]) return no_row("inputs that are no two matrices");
  const Format format = format_of(kernel, first);
  if (format != Format::bf16) return no_row(gemm_obstacle(format));
  return {"gemm_fwd", gemm_text(a[0], b[1], a[1]), ""};
}

// y = x w^T + b, where the kernel was launched by the layer itself.
MatchedOperator matched_linear(const LaunchedKernel& kernel) {
  if (kernel.sizes.size() < 2) return no_row("the sizes of its inputs are not recorded (record_shapes=True)");
  const InputSizes &x = kernel.sizes[0], &w = kernel.sizes[1];
  if (x.empty() || w.size() != 2 || x.back() != w[1]) return no_row("inputs that are no rows and a matrix");
  const Format format = format_of(kernel, 0);
  if (format != Format::bf16) return no_row(gemm_obstacle(format));
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < x.size(); ++i) rows *= x[i];
  return {"gemm_fwd", gemm_text(rows, w[0], w[1]), ""};
}

MatchedOperator matched_scaled_gemm(const LaunchedKernel& kernel) {
  if (kernel.sizes.size() < 3) return no_row("the sizes of its inputs are not recorded (record_shapes=True)");
  const InputSizes &a = kernel.sizes[0], &b = kernel.sizes[1], &scale = kernel.sizes[2];
  if (a.size() != 2 || b.size() != 2 || a[1] != b[0]) return no_row("inputs that are no two matrices");
  if (format_of(kernel, 0) != Format::fp8) return no_row("no FP8 operands");
  const std::string shape = gemm_text(a[0], b[1], a[1]);
  const bool one = scale.empty() || std::all_of(scale.begin(), scale.end(), [](std::int64_t n) { return n == 1; });
  if (one) return {"gemm_fp8_tensor", shape, ""};
  if (scale.size() == 2 && scale[0] == a[0] && scale[1] == 1) return {"gemm_fp8_row", shape, ""};
  return no_row("scales that are neither one nor one per row");
}

/// Which of an operator's inputs is the query, and which says whether the mask is causal.
struct AttentionOperator {
  std::string_view name, op, decode;
  std::size_t query, causal;
};
constexpr AttentionOperator kProfiledAttention[] = {
    {"aten::_scaled_dot_product_flash_attention", "attn_fwd_flash", "attn_decode_flash", 0, 4},
    {"aten::_scaled_dot_product_cudnn_attention", "attn_fwd_cudnn", "attn_decode_cudnn", 0, 6},
    {"aten::_scaled_dot_product_flash_attention_backward", "attn_bwd_flash", "", 1, 11},
    {"aten::_scaled_dot_product_cudnn_attention_backward", "attn_bwd_cudnn", "", 1, 14}};

MatchedOperator matched_attention(const LaunchedKernel& kernel, const AttentionOperator& of) {
  if (kernel.sizes.size() < of.query + 3)
    return no_row("the sizes of its inputs are not recorded (record_shapes=True)");
  const InputSizes &q = kernel.sizes[of.query], &k = kernel.sizes[of.query + 1], &v = kernel.sizes[of.query + 2];
  if (q.size() != 4 || k.size() != 4 || v.size() != 4) return no_row("inputs that are no heads of sequences");
  const Format format = format_of(kernel, of.query);
  if (format != Format::bf16) return no_row(gemm_obstacle(format));
  if (q[2] == 1 && !of.decode.empty())
    return {std::string(of.decode), fmt::format("B={} H={} KV={} S_kv={} D={}", q[0], q[1], k[1], k[2], q[3]), ""};
  if (q[2] != k[2]) return no_row("queries and keys of different lengths");
  if (of.causal >= kernel.values.size() || kernel.values[of.causal].empty())
    return no_row("whether its mask is causal is not recorded (Concrete Inputs)");
  const bool causal = kernel.values[of.causal] == "True" || kernel.values[of.causal] == "true";
  return {std::string(of.op),
          fmt::format("B={} H={} KV={} S={} D={} Dv={} causal={}", q[0], q[1], k[1], q[2], q[3], v[3], causal ? 1 : 0),
          ""};
}

MatchedOperator matched(const LaunchedKernel& kernel) {
  const std::string& operation = kernel.operation;
  if (!(kernel.microseconds > 0)) return no_row("it takes no time in the profile");
  for (const InputSizes& input : kernel.sizes)
    if (std::ranges::any_of(input, [](std::int64_t size) { return size < 1; }))
      return no_row("an input without elements");
  if (operation.empty()) return no_row("no operator launched it that was recorded");
  if (operation == "aten::mm") return matched_gemm(kernel, 0);
  if (operation == "aten::addmm") return matched_gemm(kernel, 1);
  if (operation == "aten::linear") return matched_linear(kernel);
  if (operation == "aten::_scaled_mm") return matched_scaled_gemm(kernel);
  for (const AttentionOperator& of : kProfiledAttention)
    if (operation == of.name) return matched_attention(kernel, of);
  return no_row("no family of kernels is fitted on it");
}

double middle_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// Kernels of one call as one.
std::vector<LaunchedKernel> calls(std::vector<LaunchedKernel> kernels) {
  std::map<std::uint64_t, std::size_t> first;  // by call
  std::vector<LaunchedKernel> result;
  for (LaunchedKernel& kernel : kernels) {
    if (!kernel.operation.empty()) {
      const auto [found, fresh] = first.try_emplace(kernel.call, result.size());
      if (!fresh) {
        LaunchedKernel& call = result[found->second];
        // The longest gives its name.
        if (kernel.microseconds > call.microseconds) call.kernel = kernel.kernel;
        call.microseconds += kernel.microseconds;
        continue;
      }
    }
    result.push_back(std::move(kernel));
  }
  return result;
}

std::optional<NcclOp> nccl_op(const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  if (has("allreduce") || has("all_reduce")) return NcclOp::all_reduce;
  if (has("allgather") || has("all_gather")) return NcclOp::all_gather;
  if (has("reduce_scatter") || has("reducescatter")) return NcclOp::reduce_scatter;
  if (has("all_to_all") || has("alltoall")) return NcclOp::all_to_all;
  if (has("broadcast")) return NcclOp::broadcast;
  return std::nullopt;
}

double element_bytes(const std::string& type) {
  if (type == "Float" || type == "Int" || type == "float32") return 4;
  if (type == "Double" || type == "Long" || type == "float64") return 8;
  if (type == "BFloat16" || type == "Half" || type == "bfloat16" || type == "float16") return 2;
  return type == "Byte" || type == "Char" || type == "Bool" || type.starts_with("Float8") ? 1 : 0;
}

class RestList {
 public:
  void add(const std::string& name, const std::string& reason, double microseconds) {
    ProfiledRest& rest = rest_[{name, reason}];
    rest.microseconds += microseconds;
    ++rest.times;
  }
  std::vector<ProfiledRest> take() {
    std::vector<ProfiledRest> list;
    for (auto& [key, rest] : rest_) list.push_back({key.first, key.second, rest.microseconds, rest.times});
    std::stable_sort(list.begin(), list.end(),
                     [](const ProfiledRest& a, const ProfiledRest& b) { return a.microseconds > b.microseconds; });
    return list;
  }

 private:
  std::map<std::pair<std::string, std::string>, ProfiledRest> rest_;
};

void match_collectives(const std::vector<LaunchedCollective>& launched, Profile& profile, RestList& rest) {
  std::map<std::tuple<NcclOp, int, std::vector<int>, double>, ProfiledCollective> found;
  for (const LaunchedCollective& one : launched) {
    const auto op = nccl_op(one.name);
    const double element = element_bytes(one.type);
    const double bytes = element * (op == NcclOp::all_gather ? one.out : one.in);
    if (!op || element == 0 || one.group < 2 || !(one.microseconds > 0) || !(bytes > 0)) {
      rest.add(one.name.empty() ? "NCCL" : one.name,
               !op                             ? "no collective that is fitted"
               : element == 0 || one.group < 2 ? "its group or number format is not recorded"
                                               : "it takes no time in the profile, or moves nothing",
               one.microseconds);
      continue;
    }
    ProfiledCollective& row = found[{*op, one.group, one.ranks, bytes}];
    row = {*op,
           one.ranks,
           one.group,
           Bytes(bytes),
           row.times == 0 ? one.microseconds : std::min(row.microseconds, one.microseconds),
           row.times + 1};
  }
  for (auto& [key, row] : found) profile.collectives.push_back(std::move(row));
}

}  // namespace

Profile match_launches(Launches launches) {
  Profile profile;
  RestList rest;
  std::map<std::pair<std::string, std::string>, std::vector<double>> rows;
  for (const LaunchedKernel& call : calls(std::move(launches.kernels))) {
    profile.all_us += call.microseconds;
    MatchedOperator found = matched(call);
    if (found.op.empty()) {
      rest.add(call.operation.empty() ? std::string(cut_text(call.kernel, 60)) : call.operation, found.reason,
               call.microseconds);
      continue;
    }
    profile.matched_us += call.microseconds;
    rows[{std::move(found.op), std::move(found.shape)}].push_back(call.microseconds);
  }
  for (auto& [key, times] : rows) profile.kernels.push_back({key.first, key.second, middle_of(times), times.size()});
  match_collectives(launches.collectives, profile, rest);
  profile.rest = rest.take();
  return profile;
}

std::string card_table(const Profile& profile) {
  std::string text = "op,shape,time_us,bytes,method,state\n";
  for (const ProfiledKernel& kernel : profile.kernels)
    text +=
        csv_line({kernel.op, kernel.shape, fmt::format("{:.6g}", kernel.microseconds), "0", "profile", "full_clock"});
  return text;
}

std::string profile_summary(const Profile& profile, const std::string& file) {
  std::string text = fmt::format("{}: {} shapes of kernels and {} of collectives; matched {} of the kernels' time\n",
                                 file, profile.kernels.size(), profile.collectives.size(),
                                 format_percent(profile.all_us > 0 ? profile.matched_us / profile.all_us : 0));
  if (profile.rest.empty()) return text;
  TextTable table({Align::left, Align::right, Align::right, Align::left});
  table.header({"not matched", "times", "time", "why"});
  constexpr std::size_t kShown = 25;
  for (std::size_t i = 0; i < std::min(profile.rest.size(), kShown); ++i) {
    const ProfiledRest& rest = profile.rest[i];
    table.row({visible(rest.name), format_integer(static_cast<double>(rest.times)),
               format_time(Seconds(1e-6 * rest.microseconds)), rest.reason});
  }
  text += table.render(TextStyle(false, 140));
  if (profile.rest.size() > kShown) text += fmt::format("  ... and {} more\n", profile.rest.size() - kShown);
  return text;
}

bool is_profile(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  char first[16] = {};
  in.read(first, sizeof first);
  const std::string_view text(first, static_cast<std::size_t>(in.gcount()));
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  return text.starts_with("SQLite format 3") || text.starts_with("\x1f\x8b") ||
         (begin != std::string_view::npos && (text[begin] == '{' || text[begin] == '['));
}

Profile read_profile(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  const bool database = in.get() == 'S';
  Launches launches = database ? read_nsight_export(file) : read_pytorch_profile(file);
  if (launches.kernels.empty() && launches.collectives.empty()) {
    Diagnostic fault;
    fault.file = file.string();
    fault.found = "no kernels";
    fault.expected = "a profile with GPU kernels (PyTorch: ProfilerActivity.CUDA; Nsight Systems: --trace=cuda,nvtx)";
    throw InputError(fault);
  }
  return match_launches(std::move(launches));
}

}  // namespace flopcast
