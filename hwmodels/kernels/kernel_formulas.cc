#include "hwmodels/kernels/kernel_formulas.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "hwmodels/kernels/kernel_family.h"

namespace flopcast {

namespace {

double ceil_div(double a, double b) { return std::ceil(a / b); }

double norm_sum(double a, double b, double p) {
  const double large = std::max(a, b);
  if (large <= 0) return 0;
  return large * std::pow(1 + std::pow(std::min(a, b) / large, p), 1 / p);
}

}  // namespace

Machine machine_of(const GpuSpec& gpu, Precision precision, const Conditions& conditions, double load_scale) {
  constexpr double kMicrosecond = 1e-6;
  Machine machine;
  machine.sms = conditions.sms == 0 ? gpu.sms : conditions.sms;
  machine.all_sms = gpu.sms;
  machine.flop_per_us_and_sm = gpu.peak(precision).value() / gpu.sms * kMicrosecond * conditions.clock;
  const double lent = 1 - machine.sms / machine.all_sms;
  machine.hbm_bytes_per_us = gpu.hbm_bandwidth.value() * kMicrosecond * (1 - conditions.communication_share * lent);
  machine.load_scale = load_scale * conditions.clock;
  return machine;
}

namespace {

// ---------------------------------------------------------------------------------------------------- GEMM

struct GemmNumbers {
  double mainloop_efficiency, load_gb_per_s, hbm_efficiency, setup_us, tile_us, overlap_norm, wave_rounding,
      narrow_tile_loss, wide_tile_trap;
  explicit GemmNumbers(std::span<const double> p)
      : mainloop_efficiency(p[0]),
        load_gb_per_s(p[1]),
        hbm_efficiency(p[2]),
        setup_us(p[3]),
        tile_us(p[4]),
        overlap_norm(p[5]),
        wave_rounding(p[6]),
        narrow_tile_loss(p[7]),
        wide_tile_trap(p[8]) {}
};

struct Tile {
  double m, n;
  double splits = 1;  // of K over thread blocks: 1, 2 or 4
};

// Tile sizes of DeepGEMM (FP8 with 1x128 scales; github.com/deepseek-ai/DeepGEMM, heuristics, 2025).
constexpr auto kBlockScaledTiles = [] {
  constexpr double widths[] = {16, 32, 48, 64, 80, 96, 112, 128, 144, 160};
  std::array<Tile, 20> tiles{};
  for (std::size_t i = 0; i < 10; ++i) {
    tiles[i] = {64, widths[i]};
    tiles[10 + i] = {128, widths[i]};
  }
  return tiles;
}();

// What cuBLAS and CUTLASS offer on Hopper, with split-K where the output has few tiles.
constexpr auto kGeneralTiles = [] {
  constexpr Tile shapes[] = {{64, 16},  {64, 32},  {64, 64},   {64, 96},   {64, 128},  {64, 192},
                             {64, 256}, {128, 64}, {128, 128}, {128, 192}, {128, 256}, {256, 128}};
  std::array<Tile, 36> tiles{};
  for (std::size_t i = 0; i < 12; ++i)
    for (std::size_t s = 0; s < 3; ++s)
      tiles[3 * i + s] = {shapes[i].m, shapes[i].n, s == 0 ? 1.0 : s == 1 ? 2.0 : 4.0};
  return tiles;
}();

// CUTLASS kernels for FP8 with one scale per tensor: clusters of two 128-row tiles once there are that many
// rows.
constexpr std::array<Tile, 6> kTensorScaledTiles = {
    {{64, 64}, {64, 128}, {64, 256}, {256, 64}, {256, 128}, {256, 256}}};

// Sum of ceil(t) for t from 0 to y.
double ceil_integral(double y) {
  const double n = std::ceil(y);
  return n * (n - 1) / 2 + (y - n + 1) * n;
}

/// Row blocks of all groups together.
double row_blocks(const GemmShape& shape, double block) {
  const double groups = std::max(1, shape.groups);
  const double blocks = static_cast<double>(shape.m) / groups / block;
  if (shape.kind == GemmKind::grouped_masked) {
    const double low = blocks * (1 - kMaskedRowSpread), high = blocks * (1 + kMaskedRowSpread);
    return groups * std::max(1.0, (ceil_integral(high) - ceil_integral(low)) / (high - low));
  }
  return groups * std::ceil(blocks);
}

struct TileTime {
  double blocks;  // thread blocks
  double one;     // time of one
};

TileTime tile_time(const GemmNumbers& p, const Machine& machine, const GemmShape& shape, const Tile& tile) {
  const double k_step = shape.precision == Precision::fp8 ? 128 : 64;
  const double k = k_step * ceil_div(static_cast<double>(shape.k), k_step * tile.splits);
  const double multiply = 2 * tile.m * tile.n * k / (machine.flop_per_us_and_sm * p.mainloop_efficiency) *
                          (1 + p.narrow_tile_loss * 64 / tile.n);
  const double load =
      (tile.m + tile.n) * k * bytes_per_element(shape.precision) / (p.load_gb_per_s * machine.load_scale * 1e3);
  // Split-K blocks meet to add up: half a tile time per doubling.
  const double doublings = tile.splits > 2 ? 2 : tile.splits > 1 ? 1 : 0;
  const double ends = p.tile_us * (1 + 0.5 * doublings);
  return {row_blocks(shape, tile.m) * ceil_div(static_cast<double>(shape.n), tile.n) * tile.splits,
          std::max(multiply, load) + ends};
}

double waves_time(const GemmNumbers& p, double sms, const TileTime& tile) {
  const double waves = tile.blocks / sms;
  return tile.one * (p.wave_rounding * std::ceil(waves) + (1 - p.wave_rounding) * std::max(1.0, waves));
}

double best_tile_time(const GemmNumbers& p, const Machine& machine, const GemmShape& shape,
                      std::span<const Tile> tiles) {
  double best = std::numeric_limits<double>::infinity();
  for (const Tile& tile : tiles) best = std::min(best, waves_time(p, machine.sms, tile_time(p, machine, shape, tile)));
  return best;
}

/// DeepGEMM prefers fewer waves; where only a 192- or 256-wide tile fills exactly one, its FP32 accumulators
/// spill. Judged on the whole chip, so that a kernel never gets faster by losing SMs.
double wide_tile_factor(const GemmNumbers& p, const Machine& machine, const GemmShape& shape) {
  if (p.wide_tile_trap <= 1) return 1;
  Machine whole = machine;
  whole.sms = machine.all_sms;
  for (const Tile& tile : kBlockScaledTiles)
    if (tile_time(p, whole, shape, tile).blocks <= whole.sms) return 1;
  for (const Tile& tile : {Tile{128, 192}, Tile{128, 256}}) {
    const TileTime wide = tile_time(p, whole, shape, tile);
    if (wide.blocks > whole.sms || wide.blocks < 0.9 * whole.sms) continue;
    return std::max(1.0, p.wide_tile_trap * wide.one / best_tile_time(p, whole, shape, kBlockScaledTiles));
  }
  return 1;
}

}  // namespace

double least_bytes(const GemmShape& shape) {
  const double m = static_cast<double>(shape.m), n = static_cast<double>(shape.n), k = static_cast<double>(shape.k);
  const double operand = bytes_per_element(shape.precision), output = bytes_per_element(shape.output);
  // Every group's weights are read; with fewer rows than groups some groups have nothing to do.
  const double groups = std::min<double>(std::max(1, shape.groups), m);
  const double accumulate = shape.kind == GemmKind::weight_gradient ? 2 : 1;  // read and written back
  return (m * k + groups * n * k) * operand + m * n * output * accumulate;
}

double gemm_microseconds(std::span<const double> parameters, const Machine& machine, const GemmShape& shape) {
  const GemmNumbers p(parameters);
  const double hbm = machine.hbm_bytes_per_us * p.hbm_efficiency;
  const double memory = least_bytes(shape) / hbm;
  double compute = 0;
  switch (family_of(shape)) {
    case KernelFamily::gemm_bf16:
    case KernelFamily::gemm_fp8_vendor:
      compute = best_tile_time(p, machine, shape, kGeneralTiles);
      break;
    case KernelFamily::gemm_fp8_tensor:
      compute = best_tile_time(p, machine, shape, kTensorScaledTiles);
      break;
    default:
      compute = best_tile_time(p, machine, shape, kBlockScaledTiles) * wide_tile_factor(p, machine, shape);
      break;
  }
  return p.setup_us + norm_sum(compute, memory, p.overlap_norm);
}

double cast_microseconds(std::span<const double> parameters, const Machine& machine, const GemmShape& shape) {
  const double bytes = static_cast<double>(shape.m) * static_cast<double>(shape.k) * 3;  // BF16 in, FP8 out
  return parameters[10] + bytes / (machine.hbm_bytes_per_us * parameters[9]);
}

// ----------------------------------------------------------------------------------------------- attention

namespace {

struct AttentionNumbers {
  double mma_efficiency, softmax_us_per_score, hbm_efficiency, setup_us, tile_us, overlap_norm, balance_norm;
  explicit AttentionNumbers(std::span<const double> p)
      : mma_efficiency(p[0]),
        softmax_us_per_score(p[1] * 1e-6),
        hbm_efficiency(p[2]),
        setup_us(p[3]),
        tile_us(p[4]),
        overlap_norm(p[5]),
        balance_norm(p[6]) {}
};

constexpr double kQueryTile = 128, kKeyTile = 128;

/// Query blocks of one kind: how many, the average and the longest one's key blocks.
struct QueryBlocks {
  double count, mean_key_blocks, most_key_blocks;
};

/// `rows` query rows that stand for `positions` positions at the end of `keys` keys.
QueryBlocks query_blocks(double rows, double positions, double keys, bool causal) {
  const double count = std::ceil(rows / kQueryTile);
  const double most = std::ceil(keys / kKeyTile);
  if (!causal) return {count, most, most};
  // Block i of n ends at position (i+1)/n of the queries: sum of an arithmetic series, half a key block
  // rounded up.
  const double before = keys - positions;
  const double step = positions / count;
  const double mean = (before + step * (count + 1) / 2) / kKeyTile;
  return {count, std::clamp(mean + 0.5 * (count > 1 ? 1 : 0), std::min(1.0, most), most), most};
}

double blocks_time(const AttentionNumbers& p, double sms, double key_block_us, const QueryBlocks& blocks,
                   double heads) {
  const double total = blocks.count * heads * (blocks.mean_key_blocks * key_block_us + p.tile_us);
  const double longest = blocks.most_key_blocks * key_block_us + p.tile_us;
  return norm_sum(total / sms, longest, p.balance_norm);
}

/// FLOP per query-key pair: two products forward, five backward (FlashAttention-2, arXiv 2307.08691, 3.1).
double flop_per_score(const AttentionShape& shape) {
  return shape.kind == AttentionKind::backward ? 2.0 * (3 * shape.qk_dim + 2 * shape.v_dim)
                                               : 2.0 * (shape.qk_dim + shape.v_dim);
}

double prompt_attention(std::span<const double> parameters, const Machine& machine, const AttentionShape& shape) {
  const AttentionNumbers p(parameters);
  const double q = static_cast<double>(shape.query_length);
  // Causal: the queries stand at the end of the keys. Otherwise keys may be fewer (a hop of ring attention).
  const double keys =
      static_cast<double>(shape.causal ? std::max(shape.kv_length, shape.query_length) : shape.kv_length);
  const double batch = static_cast<double>(shape.batch);
  const double scores = kQueryTile * kKeyTile;
  const double key_block_us = scores * flop_per_score(shape) / (machine.flop_per_us_and_sm * p.mma_efficiency) +
                              scores * p.softmax_us_per_score;
  double compute =
      blocks_time(p, machine.sms, key_block_us, query_blocks(q, q, keys, shape.causal), batch * shape.query_heads);
  if (shape.kv_heads < shape.query_heads && shape.kind == AttentionKind::forward) {
    // Heads that share keys may be packed into one block of query rows.
    const double ratio = static_cast<double>(shape.query_heads) / shape.kv_heads;
    compute = std::min(compute, blocks_time(p, machine.sms, key_block_us,
                                            query_blocks(q * ratio, q, keys, shape.causal), batch * shape.kv_heads));
  }
  const double hbm = machine.hbm_bytes_per_us * p.hbm_efficiency;
  double time = p.setup_us + norm_sum(compute, least_bytes(shape) / hbm, p.overlap_norm);
  if (shape.kind == AttentionKind::backward) {
    // Two more kernels: before, dO . O per row with the FP32 accumulator of dQ cleared; after, that
    // accumulator to BF16.
    const double rows = batch * q * shape.query_heads;
    time +=
        2 * p.setup_us + rows * (2 * 2 * shape.v_dim + 4 * shape.qk_dim) / hbm + rows * (4 + 2) * shape.qk_dim / hbm;
  }
  return time;
}

struct DecodeNumbers {
  double mma_efficiency, hbm_efficiency, setup_us, item_us, key_block_us, split_us, overlap_norm;
  explicit DecodeNumbers(std::span<const double> p)
      : mma_efficiency(p[0]),
        hbm_efficiency(p[1]),
        setup_us(p[2]),
        item_us(p[3]),
        key_block_us(p[4]),
        split_us(p[5]),
        overlap_norm(p[6]) {}
};

double decode_attention(std::span<const double> parameters, const Machine& machine, const AttentionShape& shape) {
  const DecodeNumbers p(parameters);
  const double rows =
      static_cast<double>(std::max<std::int64_t>(1, shape.query_length)) * shape.query_heads / shape.kv_heads;
  const double items = static_cast<double>(shape.batch) * shape.kv_heads * std::ceil(rows / 64);
  const double key_blocks = std::ceil(static_cast<double>(shape.kv_length) / 64);
  // Few sequences: each is split over several SMs, at least four blocks of keys to a part, as far as it pays:
  // the chain key_blocks / s + combine log2(s) is shortest at s = ln(2) * loop / combine.
  const double loop = key_blocks * p.key_block_us;
  const double limit = std::max(1.0, std::min(machine.sms / items, key_blocks / 4));
  const double splits = std::clamp(loop * std::log(2.0) / p.split_us, 1.0, limit);
  const double chain = p.item_us + loop / splits + p.split_us * std::log2(splits);
  const double spread = items * (p.item_us + loop) / machine.sms;
  const double flops = 2.0 * static_cast<double>(shape.batch) * shape.kv_heads * std::max(rows, 16.0) *
                       static_cast<double>(shape.kv_length) * (shape.qk_dim + shape.v_dim);
  const double compute = flops / (machine.flop_per_us_and_sm * machine.sms * p.mma_efficiency);
  const double memory = least_bytes(shape) / (machine.hbm_bytes_per_us * p.hbm_efficiency);
  return p.setup_us +
         norm_sum(norm_sum(chain, spread, p.overlap_norm), norm_sum(compute, memory, p.overlap_norm), p.overlap_norm);
}

}  // namespace

double least_bytes(const AttentionShape& shape) {
  const double batch = static_cast<double>(shape.batch), q = static_cast<double>(shape.query_length),
               keys = static_cast<double>(shape.kv_length);
  const double operand = bytes_per_element(shape.precision), cache = bytes_per_element(shape.kv_precision);
  const double query_out = batch * q * shape.query_heads * (shape.qk_dim + shape.v_dim) * operand;
  // Absorbed MLA: keys and values are one vector per token, as wide as a key.
  const double per_key = shape.latent ? shape.qk_dim : shape.qk_dim + shape.v_dim;
  const double key_value = batch * keys * shape.kv_heads * per_key * cache;
  return shape.kind == AttentionKind::backward ? 2 * (query_out + key_value) : query_out + key_value;
}

double attention_microseconds(std::span<const double> parameters, const Machine& machine, const AttentionShape& shape) {
  return shape.kind == AttentionKind::decode ? decode_attention(parameters, machine, shape)
                                             : prompt_attention(parameters, machine, shape);
}

}  // namespace flopcast
