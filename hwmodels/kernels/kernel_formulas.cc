#include "hwmodels/kernels/kernel_formulas.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "hwmodels/kernels/kernel_family.h"

namespace flopcast {

namespace {

constexpr double kOneMicrosecond = 1e-6;

double ceil_div(double a, double b) { return std::ceil(a / b); }

double norm_sum(double a, double b, double p) {
  const double large = std::max(a, b);
  if (large <= 0) return 0;
  return large * std::pow(1 + std::pow(std::min(a, b) / large, p), 1 / p);
}

/// A chip's peak per SM on a known die. Its SMs do no more than the die's at its clock: fewer of them, with the sum
/// left as it was, do not become stronger. A supposed chip is one that does more as a whole than any of the die, by
/// more than data sheets are rounded.
double peak_of_die(double own, double of_die, double clock, double sms, double most_sms) {
  constexpr double kRounding = 1.02;
  const bool supposed = own * sms > kRounding * of_die * most_sms * std::max(1.0, clock);
  return supposed ? own * std::min(1.0, clock) : std::min(own, of_die * clock);
}

/// How much faster than the fitted die's SMs a chip's take the operands of FP4, where they multiply faster than the
/// die's would at its clock (GB110: 6 times its products in BF16, GB100: 4 times). What fits call the rate of loads is
/// the pace of those products, not that of memory: 98 GB/s and SM in FP4 on GB100, whose SMs load 116 to 340 GB/s in
/// FP8. Else 0.
double pace_of_fp4(double own, const DieFigures& die, double clock) {
  constexpr double kRounding = 1.02;
  const double of_die = 2 * die.fp8_peak_per_sm.value();
  return of_die > 0 && own > kRounding * of_die * clock ? own / of_die : 0.0;
}

}  // namespace

DieFigures die_of(const GpuSpec& gpu) {
  return {gpu.die.empty() ? gpu.architecture : gpu.die,
          gpu.architecture,
          gpu.boost_clock,
          gpu.bf16_peak / gpu.sms,
          gpu.fp8_peak / gpu.sms,
          gpu.sms};
}

double hbm_bytes_per_us(const GpuSpec& gpu, const Conditions& conditions) {
  const double sms = conditions.sms == 0 ? gpu.sms : conditions.sms;
  const double lent = 1 - sms / gpu.sms;
  return gpu.hbm_bandwidth.value() * kOneMicrosecond * (1 - conditions.communication_share * lent);
}

Machine machine_of(const GpuSpec& gpu, const DieFigures& die, Precision precision, const Conditions& conditions) {
  const double clock = gpu.boost_clock / die.clock;
  const double own_bf16 = gpu.bf16_peak.value() / gpu.sms, own = gpu.peak(precision).value() / gpu.sms;
  const bool same_die = die_of(gpu).name == die.name;
  const auto capped = [&](double peak, FlopPerSecond of_die) {
    return same_die ? peak_of_die(peak, of_die.value(), clock, gpu.sms, die.sms) : peak;
  };
  Machine machine;
  machine.sms = conditions.sms == 0 ? gpu.sms : conditions.sms;
  machine.all_sms = gpu.sms;
  double peak = own;
  if (precision != Precision::fp32 && precision != Precision::fp4) {
    const bool fp8 = precision == Precision::fp8 && gpu.fp8_peak > FlopPerSecond(0);
    peak = capped(own, fp8 ? die.fp8_peak_per_sm : die.bf16_peak_per_sm);
  }
  machine.flop_per_us_and_sm = peak * kOneMicrosecond * conditions.clock;
  machine.bf16_per_us_and_sm = capped(own_bf16, die.bf16_peak_per_sm) * kOneMicrosecond * conditions.clock;
  machine.hbm_bytes_per_us = hbm_bytes_per_us(gpu, conditions);
  machine.pairs_tiles = die.architecture == "hopper";
  machine.waits_for_missing_rows = machine.pairs_tiles && gpu.architecture == die.architecture;
  if (same_die && precision != Precision::fp32 && precision != Precision::fp4) {
    const bool fp8 = precision == Precision::fp8 && gpu.fp8_peak > FlopPerSecond(0);
    const double whole = (fp8 ? die.fp8_peak_per_sm : die.bf16_peak_per_sm).value() * clock;
    machine.matrix_share = std::min(1.0, peak / whole);
  }
  const double loads = gpu.architecture == die.architecture ? clock : own_bf16 / die.bf16_peak_per_sm.value();
  machine.load_scale =
      std::max(loads, precision == Precision::fp4 ? pace_of_fp4(own, die, clock) : 0.0) * conditions.clock;
  return machine;
}

namespace {

// ---------------------------------------------------------------------------------------------------- GEMM

struct Tile {
  double m, n;
  double splits = 1;   // of K over thread blocks: 1, 2 or 4
  double cluster = 1;  // tiles, one below the other, that start together and share what they load of the second operand
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

// What cuBLAS and CUTLASS offer on Hopper, with split-K where the output has few tiles. Matrix units take 64 rows of
// one operand and any multiple of 8 of the other: a few tokens are multiplied as columns.
constexpr auto kGeneralTiles = [] {
  constexpr Tile shapes[] = {{16, 64},   {16, 128},  {32, 64},   {32, 128}, {64, 16},  {64, 32},
                             {64, 64},   {64, 96},   {64, 128},  {64, 192}, {64, 256}, {128, 64},
                             {128, 128}, {128, 192}, {128, 256}, {256, 128}};
  constexpr std::size_t kShapes = std::size(shapes);
  std::array<Tile, 3 * kShapes> tiles{};
  for (std::size_t i = 0; i < kShapes; ++i)
    for (std::size_t s = 0; s < 3; ++s)
      tiles[3 * i + s] = {shapes[i].m, shapes[i].n, s == 0 ? 1.0 : s == 1 ? 2.0 : 4.0};
  return tiles;
}();

// CUTLASS's products in FP8 with one scale per tensor or per token as engines have them elsewhere than on Hopper.
constexpr std::array<Tile, 6> kTensorScaledTiles = {
    {{64, 64}, {64, 128}, {64, 256}, {256, 64}, {256, 128}, {256, 256}}};

// The same on Hopper, where the rows decide (vLLM v0.9.2, csrc/quantization/cutlass_w8a8/c3x,
// scaled_mm_sm90_fp8_dispatch.cuh, 2025-07; sgl-kernel has the same steps): tiles of 64 rows up to 64, two of them in a
// cluster up to 128, else clusters of two tiles of 128.
constexpr std::array<Tile, 3> kFewRows = {{{64, 64}, {64, 128}, {64, 256}}};
constexpr std::array<Tile, 2> kSomeRows = {{{64, 64, 1, 2}, {64, 128, 1, 2}}};
constexpr std::array<Tile, 1> kManyRows = {{{128, 128, 1, 2}}};
std::span<const Tile> hopper_tiles(std::int64_t rows) {
  if (rows <= 64) return kFewRows;
  if (rows <= 128) return kSomeRows;
  return kManyRows;
}
/// Such a cluster waits for its slower tile, and rows that are not there are slower than rows that are: with 257 to 384
/// rows the second pair of tiles takes 1.9 times as long as with 512, from there on less and less. Read off products of
/// Llama 405B in steps of eight rows (Frontier, H800), means over sizes; the same step stands in NVIDIA's tables of
/// vLLM 0.14 to 0.24 and SGLang 0.5.14 on H100 and H200 (65,536 x 8,192: 183 us with 256 rows, 340 with 129), not in
/// those of TensorRT-LLM, which takes cuBLASLt, nor on Blackwell.
constexpr double kMissingTileLoss = 0.9;

// torch._grouped_mm up to PyTorch 2.11 (aten/src/ATen/native/cuda/GroupMM.cu): one tile for all groups, chosen by the
// mean rows of one, in clusters of two down the rows: where a group has rows for one tile only, every other SM
// multiplies nothing.
constexpr Tile kFewGroupedRows{64, 128, 1, 2}, kManyGroupedRows{128, 256, 1, 2};
Tile grouped_tile(const GemmShape& shape) {
  constexpr std::int64_t kFew = 128;
  return shape.m / std::max(1, shape.groups) <= kFew || shape.n <= kFew ? kFewGroupedRows : kManyGroupedRows;
}

// Triton's fused experts: rows of an expert in blocks of 16 and more.
constexpr std::array<Tile, 11> kFusedTiles = {{{16, 64},
                                               {16, 128},
                                               {16, 256},
                                               {32, 64},
                                               {32, 128},
                                               {64, 64},
                                               {64, 128},
                                               {64, 256},
                                               {128, 64},
                                               {128, 128},
                                               {128, 256}}};

/// Tiles of kernels that unpack four-bit weights: their rows follow from the rows of an expert. triton_kernels: the
/// next power of two, up to 128 (opt_flags.py, v3.5.0; NVIDIA's tables have its steps). Marlin: the first that is a
/// ninth longer (moe_align_block_size's sizes in fused_marlin_moe.py, vLLM 0.10; 8 takes what 16 does).
std::array<Tile, 3> unpacking_tiles(const GemmShape& shape) {
  // Rows of other GPUs' experts are counted where the tile is chosen, and left out behind it.
  const double rows = (static_cast<double>(shape.m) + shape.passing_rows) / std::max(1, shape.groups);
  double height = 16;
  if (shape.block == ExpertBlock::marlin) {
    constexpr double kFilled = 0.9;
    while (height < 64 && rows >= kFilled * height) height += 16;
  } else {
    while (height < 128 && rows > height) height *= 2;
  }
  return {{{height, 64}, {height, 128}, {height, 256}}};
}

// Sum of ceil(t) for t from 0 to y.
double ceil_integral(double y) {
  const double n = std::ceil(y);
  return n * (n - 1) / 2 + (y - n + 1) * n;
}

/// Row blocks of all groups together.
double row_blocks(const GemmShape& shape, double block) {
  const double groups = std::max(1, shape.groups);
  if (shape.skew > 0) {
    double shares = 0, sum = 0;
    for (int i = 1; i <= shape.groups; ++i) shares += std::pow(i, -shape.skew);
    for (int i = 1; i <= shape.groups; ++i)
      sum += std::ceil(static_cast<double>(shape.m) * std::pow(i, -shape.skew) / shares / block);
    return sum;
  }
  const double blocks = static_cast<double>(shape.m) / groups / block;
  if (shape.kind == GemmKind::grouped_masked) {
    const double low = blocks * (1 - kMaskedRowSpread), high = blocks * (1 + kMaskedRowSpread);
    return groups * std::max(1.0, (ceil_integral(high) - ceil_integral(low)) / (high - low));
  }
  return groups * std::ceil(blocks);
}

/// Of its peak, what a block of experts reaches where the chip's products were cut. On the whole die matrix units wait
/// for other parts of their SMs, which scale and add up partial sums and fetch rows here and there; those were not cut
/// (an H20 has a quarter of an H100's products per SM), so that less of the time is lost to them.
double block_efficiency(const GemmParameters& p, const Machine& machine) {
  // What a kernel reaches in which matrix units wait for little: DeepGEMM over rows sorted by expert, on H800 and H20.
  constexpr double kUnhindered = 0.897;
  const double hindered = std::max(0.0, 1 / p.mainloop_efficiency - 1 / kUnhindered);
  return 1 / (1 / p.mainloop_efficiency - hindered * (1 - machine.matrix_share));
}

struct TileTime {
  double blocks;  // thread blocks
  double one;     // time of one
};

TileTime tile_time(const GemmParameters& p, const Machine& machine, const GemmShape& shape, const Tile& tile) {
  const double k_step = 128 / std::min(2.0, bytes_per_element(shape.precision));
  const double k = k_step * ceil_div(static_cast<double>(shape.k), k_step * tile.splits);
  const double multiply = 2 * tile.m * tile.n * k / (machine.flop_per_us_and_sm * p.mainloop_efficiency) *
                          (1 + p.narrow_tile_loss * 64 / tile.n);
  const double load = (tile.m + tile.n / tile.cluster) * k * bytes_per_element(shape.precision) /
                      (p.load_gb_per_s_and_sm * machine.load_scale * 1e3);
  // Split-K blocks meet to add up: half a tile time per doubling.
  const double doublings = tile.splits > 2 ? 2 : tile.splits > 1 ? 1 : 0;
  const double ends = p.tile_us * (1 + 0.5 * doublings);
  return {tile.cluster * row_blocks(shape, tile.m * tile.cluster) * ceil_div(static_cast<double>(shape.n), tile.n) *
              tile.splits,
          std::max(multiply, load) + ends};
}

/// Time of the mean tile over that of a full one, where the last cluster waits for rows that are not there.
double loss_of_missing_rows(const GemmShape& shape, const Tile& tile) {
  const double rows = static_cast<double>(shape.m), clusters = ceil_div(rows, tile.m * tile.cluster);
  const double missing = std::min(tile.m, clusters * tile.m * tile.cluster - rows);
  return 1 + kMissingTileLoss * missing / tile.m / clusters;
}

double waves_time(const GemmParameters& p, double sms, const TileTime& tile) {
  const double waves = tile.blocks / sms;
  return tile.one * (p.wave_rounding * std::ceil(waves) + (1 - p.wave_rounding) * std::max(1.0, waves));
}

double best_tile_time(const GemmParameters& p, const Machine& machine, const GemmShape& shape,
                      std::span<const Tile> tiles) {
  double best = std::numeric_limits<double>::infinity();
  for (const Tile& tile : tiles) best = std::min(best, waves_time(p, machine.sms, tile_time(p, machine, shape, tile)));
  return best;
}

double paired_tile_time(const GemmParameters& p, const Machine& machine, const GemmShape& shape) {
  double best = std::numeric_limits<double>::infinity();
  for (const Tile& tile : hopper_tiles(shape.m)) {
    TileTime time = tile_time(p, machine, shape, tile);
    if (machine.waits_for_missing_rows) time.one *= loss_of_missing_rows(shape, tile);
    best = std::min(best, waves_time(p, machine.sms, time));
  }
  return best;
}

/// DeepGEMM prefers fewer waves; where only a 192- or 256-wide tile fills exactly one, its FP32 accumulators
/// spill. Judged on the whole chip, so that a kernel never gets faster by losing SMs.
double wide_tile_factor(const GemmParameters& p, const Machine& machine, const GemmShape& shape) {
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
  const double weight = shape.weight_bytes > 0 ? shape.weight_bytes : operand;
  // Every group's weights are read; with fewer rows than groups some groups have nothing to do.
  const double groups = std::min<double>(std::max(1, shape.groups), m);
  if (shape.kind == GemmKind::fused_experts) {
    // Weights of gate, up and down; rows in, activations out and in again, results out and summed up.
    // Rows of experts elsewhere only miss being multiplied.
    const double between = 2 * n * 2 * 2 + 2 * n * operand + 2 * k * output;
    const double passing = unpacks(family_of(shape)) ? 0 : shape.passing_rows;
    return groups * 3 * n * k * weight + m * (2 * k * operand + between) + passing * between;
  }
  const double accumulate = shape.kind == GemmKind::weight_gradient ? 2 : 1;  // read and written back
  return m * k * operand + groups * n * k * weight + m * n * output * accumulate;
}

KernelParts gemm_parts(const GemmParameters& p, const Machine& machine, const GemmShape& shape, bool trap) {
  KernelParts parts;
  parts.fixed = p.setup_us;
  parts.norm = p.overlap_norm;
  parts.memory = least_bytes(shape) / (machine.hbm_bytes_per_us * p.hbm_efficiency);
  const KernelFamily family = family_of(shape);
  if (is_fused_experts(family)) {
    GemmShape up = shape, down = shape;
    up.n = 2 * shape.n;
    down.n = shape.k;
    down.k = shape.n;
    GemmParameters block = p;
    block.mainloop_efficiency = block_efficiency(p, machine);
    const auto both = [&](std::span<const Tile> tiles) {
      return best_tile_time(block, machine, up, tiles) + best_tile_time(block, machine, down, tiles);
    };
    parts.chip = unpacks(family) ? both(unpacking_tiles(shape)) : both(kFusedTiles);
    return parts;
  }
  switch (family) {
    case KernelFamily::gemm_bf16:
    case KernelFamily::gemm_fp8_vendor:
    case KernelFamily::gemm_fp4:
      parts.chip = best_tile_time(p, machine, shape, kGeneralTiles);
      break;
    case KernelFamily::grouped_bf16:
      parts.chip = waves_time(p, machine.sms, tile_time(p, machine, shape, grouped_tile(shape)));
      break;
    case KernelFamily::gemm_fp8_tensor:
      parts.chip = machine.pairs_tiles ? paired_tile_time(p, machine, shape)
                                       : best_tile_time(p, machine, shape, kTensorScaledTiles);
      break;
    default:
      parts.chip = best_tile_time(p, machine, shape, kBlockScaledTiles);
      if (trap) parts.chip *= wide_tile_factor(p, machine, shape);
      break;
  }
  return parts;
}

namespace {

constexpr double kSmLimitedNorm = 3;

}  // namespace

SmLimited sm_limited(Seconds memory, Seconds on_sms) {
  const Seconds both(norm_sum(memory.value(), on_sms.value(), kSmLimitedNorm));
  return {both, both > Seconds(0) ? std::pow(on_sms / both, kSmLimitedNorm) : 0};
}

Seconds on_sms_of(Seconds time, Seconds memory) {
  return Seconds(
      std::pow(std::pow(time.value(), kSmLimitedNorm) - std::pow(memory.value(), kSmLimitedNorm), 1 / kSmLimitedNorm));
}

double cast_microseconds(const GemmParameters& p, const Machine& machine, const GemmShape& shape) {
  const double in_and_out = bytes_per_element(Precision::bf16) + bytes_per_element(shape.precision);
  const double bytes = static_cast<double>(shape.m) * static_cast<double>(shape.k) * in_and_out;
  return p.cast_setup_us + bytes / (machine.hbm_bytes_per_us * p.cast_efficiency);
}

// ----------------------------------------------------------------------------------------------- attention

namespace {

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

double blocks_time(const AttentionParameters& p, double sms, double key_block_us, const QueryBlocks& blocks,
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

KernelParts prompt_attention(const AttentionParameters& p, const Machine& machine, const AttentionShape& shape) {
  const double q = static_cast<double>(shape.query_length);
  // Causal: the queries stand at the end of the keys. Otherwise keys may be fewer (a hop of ring attention).
  const double keys =
      static_cast<double>(shape.causal ? std::max(shape.kv_length, shape.query_length) : shape.kv_length);
  const double batch = static_cast<double>(shape.batch);
  const double scores = kQueryTile * kKeyTile;
  const double key_block_us = scores * flop_per_score(shape) / (machine.flop_per_us_and_sm * p.mma_efficiency) +
                              scores * p.softmax_ps_per_score * 1e-6;
  double compute =
      blocks_time(p, machine.sms, key_block_us, query_blocks(q, q, keys, shape.causal), batch * shape.query_heads);
  if (shape.kv_heads < shape.query_heads && shape.kind == AttentionKind::forward) {
    // Heads that share keys may be packed into one block of query rows.
    const double ratio = static_cast<double>(shape.query_heads) / shape.kv_heads;
    compute = std::min(compute, blocks_time(p, machine.sms, key_block_us,
                                            query_blocks(q * ratio, q, keys, shape.causal), batch * shape.kv_heads));
  }
  const double hbm = machine.hbm_bytes_per_us * p.hbm_efficiency;
  KernelParts parts{p.setup_us, compute, least_bytes(shape) / hbm, 0, p.overlap_norm};
  if (shape.kind == AttentionKind::backward) {
    // Two more kernels: before, dO . O per row with the FP32 accumulator of dQ cleared; after, that
    // accumulator to BF16.
    const double rows = batch * q * shape.query_heads;
    parts.fixed += 2 * p.setup_us;
    parts.afterwards = rows * (2 * 2 * shape.v_dim + 4 * shape.qk_dim) / hbm + rows * (4 + 2) * shape.qk_dim / hbm;
  }
  return parts;
}

KernelParts decode_attention(const DecodeParameters& p, const Machine& machine, const AttentionShape& shape) {
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
  const double chip = norm_sum(norm_sum(chain, spread, p.overlap_norm), compute, p.overlap_norm);
  return {p.setup_us, chip, memory, 0, p.overlap_norm};
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

KernelParts attention_parts(const KernelParameters& parameters, const Machine& machine, const AttentionShape& shape) {
  return shape.kind == AttentionKind::decode
             ? decode_attention(std::get<DecodeParameters>(parameters), machine, shape)
             : prompt_attention(std::get<AttentionParameters>(parameters), machine, shape);
}

// ------------------------------------------------------------------------------------------- latent block

namespace {

/// The projections as matrix products of all tokens of the step.
std::array<GemmShape, 5> projections(const LatentBlockShape& s) {
  const std::int64_t t = s.batch * s.query_length, heads = s.heads, query = heads * (s.nope_dim + s.rope_dim);
  const auto linear = [&](std::int64_t n, std::int64_t k, Precision precision) {
    return GemmShape{GemmKind::dense, t, n, k, 1, precision, s.scaling, Precision::bf16};
  };
  return {linear((s.q_rank > 0 ? s.q_rank : query) + s.kv_rank + s.rope_dim, s.hidden, s.precision),
          linear(s.q_rank > 0 ? query : 1, std::max(1, s.q_rank), s.precision),
          linear(heads * s.kv_rank, s.nope_dim, Precision::bf16), linear(heads * s.v_dim, s.kv_rank, Precision::bf16),
          linear(s.hidden, heads * s.v_dim, s.precision)};
}

AttentionShape core_of(const LatentBlockShape& s) {
  AttentionShape core;
  core.kind = AttentionKind::decode;
  core.batch = s.batch;
  core.query_length = s.query_length;
  core.kv_length = s.kv_length;
  core.query_heads = s.heads;
  core.kv_heads = 1;
  core.qk_dim = s.kv_rank + s.rope_dim;
  core.v_dim = s.kv_rank;
  core.causal = false;
  core.kv_precision = s.kv_precision;
  core.latent = true;
  return core;
}

}  // namespace

double least_bytes(const LatentBlockShape& shape) {
  double bytes = least_bytes(core_of(shape));
  for (const GemmShape& linear : projections(shape)) bytes += least_bytes(linear);
  return bytes;
}

KernelParts latent_block_parts(const LatentBlockParameters& p, const Machine& machine, const LatentBlockShape& shape) {
  GemmParameters linear;
  linear.mainloop_efficiency = p.mainloop_efficiency;
  linear.load_gb_per_s_and_sm = p.load_gb_per_s_and_sm;
  linear.tile_us = p.tile_us;
  DecodeParameters decode;
  decode.mma_efficiency = p.mma_efficiency;
  decode.hbm_efficiency = p.hbm_efficiency;
  decode.setup_us = 0;
  decode.item_us = p.item_us;
  decode.key_block_us = p.key_block_us;
  decode.split_us = p.split_us;
  decode.overlap_norm = p.overlap_norm;
  Machine bf16 = machine;
  bf16.flop_per_us_and_sm = machine.bf16_per_us_and_sm;
  KernelParts parts = decode_attention(decode, bf16, core_of(shape));
  parts.fixed = p.setup_us;
  for (const GemmShape& product : projections(shape)) {
    const Machine& on = product.precision == Precision::bf16 ? bf16 : machine;
    parts.chip += best_tile_time(linear, on, product, kGeneralTiles);
    parts.afterwards += least_bytes(product) / (machine.hbm_bytes_per_us * p.hbm_efficiency);
  }
  return parts;
}

double microseconds(const KernelParts& parts, const PartCorrection& correction) {
  const double chip = std::exp(correction.chip), memory = std::exp(correction.memory);
  return parts.fixed * chip + norm_sum(parts.chip * chip, parts.memory * memory, parts.norm) +
         parts.afterwards * memory;
}

double chip_share(const KernelParts& parts, const PartCorrection& correction) {
  const double chip = std::exp(correction.chip), memory = std::exp(correction.memory);
  const double on_chip = parts.chip * chip, moved = parts.memory * memory;
  const double both = norm_sum(on_chip, moved, parts.norm);
  const double part = both > 0 ? both * std::pow(on_chip / both, parts.norm) : 0;  // d log of the sum / d log of a term
  return (parts.fixed * chip + part) / microseconds(parts, correction);
}

}  // namespace flopcast
