#include "hwmodels/calibration/fit_kernels.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <compare>
#include <tuple>

#include "hwmodels/calibration/fit_memory.h"
#include "hwmodels/calibration/fit_power.h"
#include "hwmodels/calibration/least_squares.h"
#include "hwmodels/calibration/residual_fit.h"
#include "hwmodels/kernels/kernel_formulas.h"
#include "sim/base/fnv.h"
#include "sim/base/random.h"

namespace flopcast {

namespace {

/// More rows than this of one table add time to the fit and little else.
constexpr double kMostFittedRows = 2000;
/// A table of so few rows cannot spare any.
constexpr double kHandful = 20;
/// Share of the other tables' rows that no fit sees.
constexpr double kHeldBack = 0.2;
const std::size_t kTrap = index_of(&GemmParameters::wide_tile_trap);
const std::size_t kCastEfficiency = index_of(&GemmParameters::cast_efficiency);
const std::size_t kCastSetup = index_of(&GemmParameters::cast_setup_us);
const std::size_t kTimer = index_of(&GemmParameters::timer_us);

using Rows = std::vector<const Measurement*>;

/// What one fit is of.
struct FitKey {
  KernelFamily family;
  std::string die;
  std::string variant;
  auto operator<=>(const FitKey&) const = default;
};

KernelFamily family_of(const Measurement& m) {
  return std::visit([](const auto& shape) { return flopcast::family_of(shape); }, m.shape);
}

Precision precision_of(const Measurement& m) {
  return std::visit([](const auto& shape) { return shape.precision; }, m.shape);
}

/// Draw of a row: below kHeldBack it is held back.
double draw(const Measurement& m, std::uint64_t seed) {
  constexpr std::uint64_t kStart = 1469598103934665603ULL;  // a digit short of FNV's own: kept, it chooses the rows
  const std::uint64_t hash = fnv1a(m.table + "|" + m.gpu, kStart);
  return RandomStream(seed, hash ^ (m.row * 0x9E3779B97F4A7C15ULL)).uniform();
}

KernelParts formula(const KernelParameters& parameters, const Machine& machine, const Measurement& m) {
  if (const auto* gemm = std::get_if<GemmShape>(&m.shape))
    return gemm_parts(std::get<GemmParameters>(parameters), machine, *gemm, m.wide_tile_trap);
  if (const auto* block = std::get_if<LatentBlockShape>(&m.shape))
    return latent_block_parts(std::get<LatentBlockParameters>(parameters), machine, *block);
  return attention_parts(parameters, machine, std::get<AttentionShape>(m.shape));
}

/// What a table's measurement contains besides the kernel.
double beside(const KernelParameters& parameters, const Machine& machine, const Measurement& m) {
  double us = 0;
  if (m.with_cast) us += cast_microseconds(std::get<GemmParameters>(parameters), machine, std::get<GemmShape>(m.shape));
  if (m.without_launch) us -= std::get<GemmParameters>(parameters).timer_us;
  return us;
}

Machine machine_for(const Measurement& m, const GpuSpec& gpu, const DieFigures& die, double clock, double share) {
  return machine_of(gpu, die, precision_of(m), {m.sms, m.in_training ? clock : 1.0, share});
}

/// The die by its best measured chip: the one whose SMs do most.
DieFigures die_figures(const CalibrationInput& input, const std::string& name) {
  const GpuSpec* best = nullptr;
  for (const GpuSpec& gpu : input.gpus) {
    if (die_of(gpu).name != name) continue;
    if (best == nullptr ||
        std::pair(die_of(gpu).bf16_peak_per_sm, best->name) > std::pair(die_of(*best).bf16_peak_per_sm, gpu.name))
      best = &gpu;
  }
  assert(best != nullptr);
  return die_of(*best);
}

/// A table as it was measured on one chip.
std::string table_on_chip(const Measurement& m) { return m.table + "|" + m.gpu; }

/// Fitted and held-back rows of one family on one die.
struct Split {
  Rows fitted, held_back;
};

Split split(const Rows& rows, std::uint64_t seed) {
  std::map<std::string, std::size_t> rows_of_table;
  for (const Measurement* m : rows) ++rows_of_table[table_on_chip(*m)];
  Split result;
  for (const Measurement* m : rows) {
    const double rows_in_all = static_cast<double>(rows_of_table[table_on_chip(*m)]);
    const double at = draw(*m, seed);
    if (rows_in_all >= kHandful && at < kHeldBack) {
      result.held_back.push_back(m);
    } else if (rows_in_all < kHandful || at < kHeldBack + kMostFittedRows / rows_in_all) {
      result.fitted.push_back(m);
    }
  }
  return result;
}

/// Every table of a chip counts the same, however many rows it has: a thousand rows of one benchmark are not a thousand
/// experiments.
std::vector<double> table_weights(const Rows& rows) {
  std::map<std::string, double> count;
  for (const Measurement* m : rows) ++count[table_on_chip(*m)];
  const double tables = static_cast<double>(count.size());
  std::vector<double> weights;
  for (const Measurement* m : rows)
    weights.push_back(std::sqrt(static_cast<double>(rows.size()) / tables / count[table_on_chip(*m)]));
  return weights;
}

std::vector<bool> free_parameters(KernelFamily family, const Rows& rows) {
  const auto any = [&](auto what) { return std::any_of(rows.begin(), rows.end(), what); };
  std::vector<bool> free(parameters_of(family).size(), true);
  if (group(family) == "GEMM") {
    free[kTrap] = any([](const Measurement* m) { return m->wide_tile_trap; });
    free[kCastEfficiency] = free[kCastSetup] = any([](const Measurement* m) { return m->with_cast; });
    free[kTimer] = any([](const Measurement* m) { return m->without_launch; });
  }
  return free;
}

KernelParameters start_of(KernelFamily family, const std::vector<bool>& free) {
  KernelParameters start = start_parameters(family);
  constexpr double kTrapToStart = 2.5;
  if (auto* gemm = std::get_if<GemmParameters>(&start); gemm != nullptr && free[kTrap])
    gemm->wide_tile_trap = kTrapToStart;
  return start;
}

/// Everything that one fit of a family needs to know of its rows.
struct FitRows {
  Rows rows;
  std::vector<Machine> machines;
};

FitRows fit_rows(const CalibrationInput& input, const Rows& rows, const DieFigures& die, double clock, double share) {
  FitRows out;
  out.rows = rows;
  for (const Measurement* m : rows)
    out.machines.push_back(machine_for(*m, gpu_named(input, m->gpu), die, clock, share));
  return out;
}

KernelParameters fit_parameters(KernelFamily family, const FitRows& rows, const std::vector<bool>& free,
                                const KernelParameters& start, double pull) {
  LeastSquaresProblem problem;
  problem.pull = pull;
  problem.parameters = parameters_of(family);
  problem.start = values_of(start);
  problem.free = free;
  problem.weights = table_weights(rows.rows);
  problem.residuals = [&](std::span<const double> values, std::span<double> out) {
    const KernelParameters parameters = with_values(family, values);
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      const Measurement& m = *rows.rows[i];
      const double us =
          microseconds(formula(parameters, rows.machines[i], m)) + beside(parameters, rows.machines[i], m);
      out[i] = std::log(std::max(us, 0.01) / m.microseconds);
    }
  };
  return with_values(family, solve(problem));
}

struct ResidualShape {
  std::vector<double> radius;
  std::size_t centres;
  double ridge;
};

ResidualShape residual_shape(KernelFamily family, std::size_t rows) {
  constexpr std::size_t kDenseTable = 1000;  // measured on a fine grid: bumps may be narrow
  const double radius = rows < kDenseTable ? 6 : 3;
  switch (family) {
    case KernelFamily::gemm_bf16:
    case KernelFamily::gemm_fp8_blocks:
    case KernelFamily::gemm_fp8_tensor:
    case KernelFamily::gemm_fp8_vendor:
    case KernelFamily::gemm_fp4:
      return {{radius, radius, radius}, 300, 0.5};
    case KernelFamily::grouped_contiguous:
    case KernelFamily::grouped_masked:
    case KernelFamily::grouped_bf16:
      return {{5, 5, 5, 5}, 200, 0.3};
    case KernelFamily::fused_experts_bf16:
    case KernelFamily::fused_experts_fp8:
    case KernelFamily::fused_experts_fp4:
    case KernelFamily::fused_experts_bf16_vllm:
    case KernelFamily::fused_experts_fp8_vllm:
    case KernelFamily::fused_experts_tensor_vllm:
    case KernelFamily::fused_experts_fp4_vllm:
    case KernelFamily::fused_experts_bf16_tensorrt:
    case KernelFamily::fused_experts_fp8_tensorrt:
    case KernelFamily::fused_experts_tensor_tensorrt:
    case KernelFamily::fused_experts_fp4_tensorrt:
      return {{3, 4, 4, 4}, 300, 0.3};
    case KernelFamily::latent_block:
    case KernelFamily::latent_block_tensorrt:
      return {{4, 4, 4, 4}, 300, 0.3};
    case KernelFamily::attention_forward:
      return {{5, 5, 5, 5, 5, 5}, 250, 0.3};
    case KernelFamily::attention_forward_latent:
      return {{5, 5, 5, 5}, 200, 0.3};
    case KernelFamily::attention_backward:
      return {{6, 6, 6}, 60, 0.5};
    case KernelFamily::weight_gradient:
      return {{1, 1, 1}, 0, 1};
    default:
      return {{4, 4, 4, 4}, 200, 0.3};
  }
}

KernelResidual fit_residual(KernelFamily family, const FitRows& rows, const KernelParameters& parameters) {
  const ResidualShape shape = residual_shape(family, rows.rows.size());
  const std::vector<double> weights = table_weights(rows.rows);
  std::vector<ResidualRow> points;
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    const Measurement& m = *rows.rows[i];
    const double kernel = m.microseconds - beside(parameters, rows.machines[i], m);
    // Where the cast is most of a measurement, it says little about the kernel.
    const double part = std::clamp(kernel / m.microseconds, 0.0, 1.0);
    if (part < 0.3) continue;
    std::array<double, kMostCoordinates> at{};
    std::visit([&](const auto& s) { coordinates_of(s, at.data()); }, m.shape);
    points.push_back({{at.begin(), at.begin() + coordinate_count(family)},
                      formula(parameters, rows.machines[i], m),
                      kernel,
                      part * weights[i]});
  }
  return flopcast::fit_residual(points, {shape.radius, shape.centres, shape.ridge, 0.2});
}

/// Relative errors that belong together.
class ErrorPool {
 public:
  void fitted() { ++error_.fitted; }
  void held_back(double off) { off_.push_back(off); }
  HeldBackError result(const std::string& name) {
    error_.table = name;
    error_.held_back = static_cast<int>(off_.size());
    error_.bias = percentile(off_, 0.5);
    for (double& value : off_) value = std::abs(value);
    error_.median = percentile(off_, 0.5);
    error_.percentile_90 = percentile(off_, 0.9);
    return error_;
  }

 private:
  HeldBackError error_;
  std::vector<double> off_;
};

std::vector<HeldBackError> errors_of(const CalibrationInput& input, const FamilyFit& fit, const Split& rows,
                                     double clock, double share) {
  std::map<std::pair<std::string, std::string>, ErrorPool> tables;
  for (const Measurement* m : rows.fitted) tables[{m->table, m->gpu}].fitted();
  for (const Measurement* m : rows.held_back)
    tables[{m->table, m->gpu}].held_back(
        predict_measurement(fit, gpu_named(input, m->gpu), *m, clock, share) / m->microseconds - 1);
  std::vector<HeldBackError> errors;
  for (auto& [of, pool] : tables) {
    errors.push_back(pool.result(of.first));
    errors.back().gpu = of.second;
  }
  return errors;
}

Source joined_source(const CalibrationInput& input, const Rows& rows) {
  std::map<std::string, bool> tables;
  for (const Measurement* m : rows) tables[m->table] = true;
  Source source;
  for (const auto& [table, unused] : tables) {
    const auto found = input.table_sources.find(table);
    if (found == input.table_sources.end()) continue;
    source.text += (source.text.empty() ? "" : "; ") + found->second.text;
    source.date = std::max(source.date, found->second.date);
  }
  return source;
}

const FamilyFit* find_fit(const KernelCalibration& calibration, KernelFamily family, const std::string& die) {
  for (const FamilyFit& fit : calibration.fits)
    if (fit.family == family && fit.die.name == die && fit.variant.empty()) return &fit;
  return nullptr;
}

/// Fewer points cannot tell all numbers of a formula.
constexpr std::size_t kFewRows = 12;
constexpr double kLoosePull = 0.05;

FamilyFit fit_alone(const CalibrationInput& input, const FitKey& key, const Rows& rows) {
  FamilyFit fit;
  fit.family = key.family;
  fit.die = die_figures(input, key.die);
  fit.variant = key.variant;
  const Split parts = split(rows, input.seed);
  const FitRows fitted = fit_rows(input, parts.fitted, fit.die, 1, 0);
  const std::vector<bool> free = free_parameters(key.family, parts.fitted);
  fit.parameters = fit_parameters(key.family, fitted, free, start_of(key.family, free), kLoosePull);
  fit.residual = fit_residual(key.family, fitted, fit.parameters);
  fit.errors = errors_of(input, fit, parts, 1, 0);
  fit.source = joined_source(input, rows);
  return fit;
}

/// The share of HBM that communication takes: the one number that brings the GEMMs of the training profile,
/// priced by the fit of kernels measured alone and at the sustained clock, nearest to their times.
double communication_share(const CalibrationInput& input, const KernelCalibration& calibration) {
  const auto leaves_enough = [&](double share) {
    return std::all_of(input.memory.begin(), input.memory.end(), [&](const MemoryMeasurement& m) {
      const GpuSpec& gpu = gpu_named(input, input.memory_gpu);
      if (m.bytes < 3 * gpu.l2_capacity.value()) return true;  // partly served by L2
      return m.bytes / m.microseconds <= kFastestStreamPercent / 100.0 * hbm_bytes_per_us(gpu, {m.sms, 1, share});
    });
  };
  const auto misfit = [&](double share) {
    double sum = 0;
    for (const Measurement& m : input.measurements) {
      if (!m.in_training || !std::holds_alternative<GemmShape>(m.shape)) continue;
      const GpuSpec& gpu = gpu_named(input, m.gpu);
      const FamilyFit* fit = find_fit(calibration, family_of(m), die_of(gpu).name);
      if (fit == nullptr) continue;
      const double us = predict_measurement(*fit, gpu, m, input.sustained_clock.value, share);
      sum += std::abs(std::log(us / m.microseconds));
    }
    return sum;
  };
  double best = 0;
  for (int percent = 0; percent <= 100 && leaves_enough(percent / 100.0); ++percent)
    if (misfit(percent / 100.0) < misfit(best)) best = percent / 100.0;
  return best;
}

/// Families with few points, most of them from the training profile: their own matrix efficiency, everything else from
/// a family that was measured more.
FamilyFit fit_few(const CalibrationInput& input, KernelFamily family, const Rows& rows, const FamilyFit& like,
                  double share) {
  FamilyFit fit;
  fit.family = family;
  fit.die = like.die;
  const Split parts = split(rows, input.seed);
  std::vector<bool> free(parameters_of(family).size(), false);
  free[0] = true;
  KernelParameters start = like.parameters;
  // Both operands of a weight gradient have a scale per 128 of K: it multiplies slower than the lender, whose own
  // efficiency is so high that loads hide it and the fit would not move.
  constexpr double kScaledOnBothSides = 0.65;
  if (family == KernelFamily::weight_gradient) std::get<GemmParameters>(start).mainloop_efficiency = kScaledOnBothSides;
  const double clock = input.sustained_clock.value;
  const FitRows fitted = fit_rows(input, parts.fitted, fit.die, clock, share);
  fit.parameters = fit_parameters(family, fitted, free, start, kLoosePull);
  fit.errors = errors_of(input, fit, parts, clock, share);
  fit.source = joined_source(input, rows);
  return fit;
}

/// The family whose numbers a family with few points borrows.
KernelFamily like(KernelFamily family) {
  if (family == KernelFamily::weight_gradient) return KernelFamily::gemm_fp8_blocks;
  if (family == KernelFamily::attention_backward) return KernelFamily::attention_forward;
  return family;
}

/// All held-back rows of what is priced, by family and by kind of kernel, each die apart.
std::vector<HeldBackError> pooled_errors(const CalibrationInput& input, const KernelCalibration& calibration,
                                         const std::map<FitKey, Rows>& families) {
  std::map<std::pair<KernelFamily, std::string>, ErrorPool> by_family;
  std::map<std::pair<std::string, std::string>, ErrorPool> by_group;
  for (const auto& [key, rows] : families) {
    const FamilyFit* fit = key.variant.empty() ? find_fit(calibration, key.family, key.die) : nullptr;
    if (fit == nullptr) continue;
    const Split parts = split(rows, input.seed);
    ErrorPool& family = by_family[{key.family, key.die}];
    ErrorPool& kind = by_group[{std::string(group(key.family)), key.die}];
    for (std::size_t i = 0; i < parts.fitted.size(); ++i) family.fitted(), kind.fitted();
    for (const Measurement* m : parts.held_back) {
      const double us = predict_measurement(*fit, gpu_named(input, m->gpu), *m, input.sustained_clock.value,
                                            calibration.communication_hbm_share.value);
      const double off = us / m->microseconds - 1;
      family.held_back(off);
      kind.held_back(off);
    }
  }
  std::vector<HeldBackError> pooled;
  const std::string lender = calibration.lender();
  const auto titled = [&](std::string title, const std::string& die) {
    return die == lender ? title : std::move(title) + ", " + die;
  };
  for (auto& [of, pool] : by_family) pooled.push_back(pool.result(titled(std::string(name(of.first)), of.second)));
  for (auto& [of, pool] : by_group) pooled.push_back(pool.result(titled("all " + of.first, of.second)));
  return pooled;
}

Rows profile_rows(const CalibrationInput& input) {
  Rows rows;
  for (const Measurement& m : input.measurements)
    if (m.in_training) rows.push_back(&m);
  return rows;
}

}  // namespace

bool held_back(const Measurement& measurement, std::uint64_t seed) { return draw(measurement, seed) < kHeldBack; }

double predict_measurement(const FamilyFit& fit, const GpuSpec& gpu, const Measurement& m, double sustained_clock,
                           double communication_share) {
  const Machine machine = machine_for(m, gpu, fit.die, sustained_clock, communication_share);
  PartCorrection correction;
  if (!fit.residual.empty()) {
    std::array<double, kMostCoordinates> at{};
    std::visit([&](const auto& shape) { coordinates_of(shape, at.data()); }, m.shape);
    correction = fit.residual.at(at).correction;
  }
  return microseconds(formula(fit.parameters, machine, m), correction) + beside(fit.parameters, machine, m);
}

KernelCalibration calibrate_kernels(const CalibrationInput& input) {
  KernelCalibration calibration;
  calibration.date = input.date;
  calibration.seed = input.seed;
  calibration.kernel_gap_us = input.kernel_gap_us;
  calibration.sustained_clock = input.sustained_clock;
  calibration.attention_clock_loss = input.attention_clock_loss;
  if (!input.power.empty()) calibration.power = fit_power(input);

  const auto key_of = [&](const Measurement& m) {
    return FitKey{family_of(m), die_of(gpu_named(input, m.gpu)).name, m.variant};
  };
  std::map<FitKey, Rows> families;
  for (const Measurement& m : input.measurements)
    if (!m.in_training) families[key_of(m)].push_back(&m);
  for (const auto& [key, rows] : families)
    if (rows.size() >= kFewRows) calibration.fits.push_back(fit_alone(input, key, rows));
  calibration.communication_hbm_share.value = communication_share(input, calibration);
  calibration.communication_hbm_share.source = joined_source(input, profile_rows(input));

  for (const Measurement& m : input.measurements)
    if (m.in_training && find_fit(calibration, key_of(m).family, key_of(m).die) == nullptr)
      families[key_of(m)].push_back(&m);
  for (const auto& [key, rows] : families) {
    if (!key.variant.empty() || find_fit(calibration, key.family, key.die) != nullptr) continue;
    const FamilyFit* lender = find_fit(calibration, like(key.family), key.die);
    if (lender != nullptr) {
      const FamilyFit copy = *lender;
      calibration.fits.push_back(fit_few(input, key.family, rows, copy, calibration.communication_hbm_share.value));
    }
  }
  std::sort(calibration.fits.begin(), calibration.fits.end(), [](const FamilyFit& a, const FamilyFit& b) {
    return std::tie(a.family, a.die.name, a.variant) < std::tie(b.family, b.die.name, b.variant);
  });
  calibration.pooled = pooled_errors(input, calibration, families);
  calibration.memory_classes = fit_memory_classes(input, calibration.communication_hbm_share.value);
  if (!input.memory.empty()) calibration.memory_architecture = gpu_named(input, input.memory_gpu).architecture;
  return calibration;
}

}  // namespace flopcast
