// What the memory-bound kernels of the training profile must have moved.
//
// The trace (deepseek-ai/profile-data train.json) names kernels and gives times, not sizes. Sizes follow from
// DeepSeek-V3 (hidden 7168, 128 heads of 192/128, latent ranks 1536 and 512 + 64, experts 2048 wide), one
// sequence of 4096 tokens, and the row counts of the routed experts seen beside the grouped GEMMs. Traffic
// counts every byte read and written once, as if nothing stayed in L2.
#include <string_view>

#include "analysis/evidence/calibrate/calibrate_tables.h"
#include "analysis/render/text/csv.h"

namespace flopcast {
namespace {

constexpr double kTokens = 4096, kHidden = 7168, kHeads = 128, kQk = 192, kV = 128, kRope = 64;
constexpr double kQueryRank = 1536, kKvRank = 512, kFfnWidth = 2048;
constexpr double kQuery = kHeads * kQk, kValue = kHeads * kV, kKvUp = kHeads * (kQk - kRope) + kValue;
constexpr double kForwardRows = 32512, kBackwardRows = 32128;  // means over the four layers of the trace
constexpr double kScale = 4.0 / 128.0;                         // FP32 per 1x128 tile
constexpr double kCast = 2 + 1 + kScale;                       // BF16 in, FP8 and scales out
// Rows that reach a rank per expert row: two experts of one rank share a token (32 ranks reachable, 8
// choices).
constexpr double kReceivedPerRow = 0.897;

struct LaunchesOfClass {
  std::string_view phase;
  std::string_view kernel;  // how its name begins
  MemoryKernel kind;
  double bytes;  // all launches of a layer together
};

constexpr LaunchesOfClass kLaunches[] = {
    {"attn(F)", "cuda::per_token_cast_to_fp8_with_channels", MemoryKernel::cast,
     kTokens*(4 * kHidden + kQueryRank + kKvRank) * kCast},
    {"attn(F)", "cuda::per_token_cast_to_fp8_with_fp8_special_fmt", MemoryKernel::cast, kTokens* kValue*(2 + 1 + 1.5)},
    {"attn(B)", "cuda::per_token_cast_to_fp8_with_channels", MemoryKernel::cast,
     kTokens*(kHidden + kQuery + kKvUp + kQueryRank + kKvRank + kRope) * kCast},
    {"attn(B)", "cuda::per_token_cast_back_special_fmt", MemoryKernel::cast, kTokens* kValue*(1.5 + 2)},
    {"mlp(F)", "cuda::per_token_cast_to_fp8_with_channels", MemoryKernel::cast,
     (kForwardRows + kTokens) * 2 * kFfnWidth* kCast},
    {"mlp(B)", "cuda::per_token_cast_to_fp8_with_channels", MemoryKernel::cast,
     (kTokens * kHidden + (kBackwardRows + kTokens) * 2 * kFfnWidth) * kCast},
    {"mlp(B)", "cuda::cast_back_impl", MemoryKernel::cast,
     (kTokens * kHidden + (kBackwardRows + kTokens) * 2 * kFfnWidth) * 3},
    {"attn(F)", "layer_norm::ln_fwd_kernel", MemoryKernel::norm, kTokens*(kHidden * 12 + (kQueryRank + kKvRank) * 4)},
    {"attn(B)", "layer_norm::ln_fwd_kernel", MemoryKernel::norm, kTokens*(kHidden + kQueryRank + kKvRank) * 4},
    {"mlp(B)", "layer_norm::ln_fwd_kernel", MemoryKernel::norm, kTokens* kHidden * 8},
    {"attn(B)", "layer_norm::ln_bwd_kernel", MemoryKernel::norm_backward,
     kTokens*(2 * kHidden + kQueryRank + kKvRank) * 8},
    {"attn(F)", "rotary_kernel", MemoryKernel::rotary, kTokens*(kHeads + 1) * kRope * 4},
    {"attn(B)", "rotary_kernel", MemoryKernel::rotary, kTokens*(kHeads + 1) * kRope * 4 * 2},
    {"attn(F)", "_copy_tensor_kernel", MemoryKernel::copy, kTokens* kValue * 4},
    {"attn(B)", "_copy_tensor_kernel", MemoryKernel::copy, kTokens* kValue * 4 * 3},
    {"attn(F)", "at::native::elementwise_kernel<128, 4", MemoryKernel::elementwise, kTokens* kValue * 4},
    {"attn(B)", "at::native::elementwise_kernel<128, 4", MemoryKernel::elementwise, kTokens* kValue * 4},
    {"mlp(F)", "cuda::swiglu_forward_with_weight", MemoryKernel::swiglu,
     (kForwardRows + kTokens) * kFfnWidth*(2 * 2 + 1 + kScale)},
    {"mlp(B)", "cuda::swiglu_forward_backward", MemoryKernel::swiglu_backward, kBackwardRows* kFfnWidth * 12},
    {"mlp(B)", "cuda::swiglu_weight_backward", MemoryKernel::swiglu_backward, kBackwardRows* kFfnWidth * 4},
    {"mlp(B)", "cuda::swiglu_backward", MemoryKernel::swiglu_backward, kTokens* kFfnWidth * 10},
    {"attn(B)", "cuda::per_channel_cast_and_transpose", MemoryKernel::cast_transpose,
     kTokens*(2 * kHidden + kValue + kQuery + kKvUp + 2 * (kQueryRank + kKvRank) + kRope) * kCast},
    {"mlp(B)", "cuda::per_channel_cast_and_transpose<256, 128, false", MemoryKernel::cast_transpose,
     kBackwardRows* kHidden* kCast},
    // FP8 weights turned for the input gradients: read and written once.
    {"attn(B)", "cuda::batched_transpose", MemoryKernel::transpose,
     2 * (kValue * kHidden + kQuery * kQueryRank + kKvUp * kKvRank + kHidden * (kQueryRank + kKvRank + kRope))},
    {"mlp(B)", "cuda::batched_transpose", MemoryKernel::transpose, 2 * 3 * kHidden* kFfnWidth},
    {"mlp(F)", "cuda::batched_transpose", MemoryKernel::transpose, 2 * 4 * 3 * kHidden* kFfnWidth},
    {"mlp(F)", "cuda::expand_to_fused_with_scales", MemoryKernel::permute, kForwardRows* kHidden * 2 * (1 + kScale)},
    {"mlp(B)", "cuda::expand_to_fused_with_scales", MemoryKernel::permute, kBackwardRows* kHidden * 2 * (1 + kScale)},
    {"mlp(F)", "cuda::reduce_fused_impl", MemoryKernel::reduce, kForwardRows* kHidden * 2 * (1 + kReceivedPerRow)},
    {"mlp(B)", "cuda::reduce_fused_impl", MemoryKernel::reduce, kBackwardRows* kHidden * 2 * (1 + kReceivedPerRow)},
};

/// The gate's small kernels are taken together: passes over tokens x 256 scores in FP32, read and written.
constexpr double kScores = kTokens * 256 * 4 * 2;
constexpr std::string_view kGatingKernels[] = {"at::native::sbtopk",
                                               "at::native::_scatter_gather",
                                               "at::native::elementwise_kernel<128, 2",
                                               "at::native::reduce_kernel",
                                               "cuda::topk_sum",
                                               "cuda::aux_fi",
                                               "cuda::unique_group",
                                               "at::native::vectorized_elementwise_kernel",
                                               "at::native::unrolled_elementwise"};

MemoryMeasurement measurement(std::string name, MemoryKernel kind, double bytes, double sum_us, double launches) {
  MemoryMeasurement m;
  m.kernel = kind;
  m.name = std::move(name);
  m.launches = launches;
  m.bytes = bytes / launches;
  m.microseconds = sum_us / launches;
  m.sms = 112;
  return m;
}

}  // namespace

std::vector<MemoryMeasurement> profiled_memory_kernels(const std::string& elementwise_csv, const std::string& file) {
  const CsvTable table = parse_csv(elementwise_csv, file);
  std::vector<MemoryMeasurement> result;
  double gate_us = 0;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::string& phase = table.text(i, "phase");
    const std::string& kernel = table.text(i, "kernel");
    const double sum = table.number(i, "sum_us_per_layer"), launches = table.number(i, "launches_per_layer");
    for (const LaunchesOfClass& known : kLaunches) {
      if (phase != known.phase || !kernel.starts_with(known.kernel)) continue;
      result.push_back(measurement(phase + " " + std::string(known.kernel), known.kind, known.bytes, sum, launches));
      break;
    }
    if (phase == "attn(F)")
      for (const std::string_view gating : kGatingKernels)
        if (kernel.starts_with(gating)) gate_us += sum;
  }
  // About twenty passes in the forward gate.
  if (gate_us > 0) result.push_back(measurement("attn(F) gate", MemoryKernel::gating, 20 * kScores, gate_us, 20));
  return result;
}

std::vector<ShortestMeasurement> shortest_memory_kernels(const std::string& linear_csv, const std::string& file) {
  constexpr std::pair<std::string_view, MemoryKernel> kColumns[] = {
      {"emb_median_ms", MemoryKernel::embedding},
      {"input_layernorm_median_ms", MemoryKernel::norm},
      {"post_attention_layernorm_median_ms", MemoryKernel::norm},
      {"attn_rope_median_ms", MemoryKernel::rotary},
      {"share_expert_act_median_ms", MemoryKernel::swiglu}};
  constexpr double kFew = 128;
  const CsvTable table = parse_csv(linear_csv, file);
  std::vector<ShortestMeasurement> result;
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table.number(i, "num_tokens") > kFew) continue;
    for (const auto& [column, kernel] : kColumns)
      if (table.has(column) && !table.text(i, column).empty())
        result.push_back({kernel, table.number(i, column) * 1e3});
  }
  return result;
}

}  // namespace flopcast
