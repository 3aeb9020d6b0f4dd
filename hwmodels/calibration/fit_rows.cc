#include "hwmodels/calibration/fit_rows.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <map>
#include <utility>

#include "hwmodels/calibration/fit_memory.h"
#include "hwmodels/calibration/least_squares.h"
#include "hwmodels/calibration/residual_fit.h"
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

Precision precision_of(const Measurement& m) {
  return std::visit([](const auto& shape) { return shape.precision; }, m.shape);
}

/// Draw of a row: below kHeldBack it is held back.
double draw(const Measurement& m, std::uint64_t seed) {
  constexpr std::uint64_t kStart = 1469598103934665603ULL;  // a digit short of FNV's own: kept, it chooses the rows
  const std::uint64_t hash = fnv1a(m.table + "|" + m.gpu, kStart);
  return RandomStream(seed, hash ^ (m.row * 0x9E3779B97F4A7C15ULL)).uniform();
}

Machine machine_for(const Measurement& m, const GpuSpec& gpu, const DieFigures& die, double clock, double share) {
  return machine_of(gpu, die, precision_of(m), {m.sms, m.in_training ? clock : 1.0, share});
}

/// A table as it was measured on one chip.
std::string table_on_chip(const Measurement& m) { return m.table + "|" + m.gpu; }

struct ResidualShape {
  std::vector<double> radius;
  std::size_t centres;
  double ridge;
};

ResidualShape residual_shape(KernelFamily family, std::size_t rows) {
  constexpr std::size_t kDenseTable = 1000;  // measured on a fine grid: bumps may be narrow
  const double radius = rows < kDenseTable ? 6 : 3;
  if (is_fused_experts(family)) return {{3, 4, 4, 4}, 300, 0.3};
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

/// With what is known already.
KernelParts corrected(KernelParts parts, const KernelResidual& before, const std::array<double, kMostCoordinates>& at) {
  if (before.empty()) return parts;
  const PartCorrection known = before.at(at).correction;
  const double chip = std::exp(known.chip), memory = std::exp(known.memory);
  parts.fixed *= chip;
  parts.chip *= chip;
  parts.memory *= memory;
  parts.afterwards *= memory;
  return parts;
}

}  // namespace

KernelFamily family_of(const Measurement& m) {
  return std::visit([](const auto& shape) { return flopcast::family_of(shape); }, m.shape);
}

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

KernelParts parts_of(const KernelParameters& parameters, const Machine& machine, const Measurement& m) {
  if (const auto* gemm = std::get_if<GemmShape>(&m.shape))
    return gemm_parts(std::get<GemmParameters>(parameters), machine, *gemm, m.wide_tile_trap);
  if (const auto* block = std::get_if<LatentBlockShape>(&m.shape))
    return latent_block_parts(std::get<LatentBlockParameters>(parameters), machine, *block);
  return attention_parts(parameters, machine, std::get<AttentionShape>(m.shape));
}

double beside_kernel(const KernelParameters& parameters, const Machine& machine, const Measurement& m) {
  double us = 0;
  if (m.with_cast) us += cast_microseconds(std::get<GemmParameters>(parameters), machine, std::get<GemmShape>(m.shape));
  if (m.without_launch) us -= std::get<GemmParameters>(parameters).timer_us;
  return us;
}

SplitRows split_rows(const MeasurementRows& rows, std::uint64_t seed) {
  std::map<std::string, std::size_t> rows_of_table;
  for (const Measurement* m : rows) ++rows_of_table[table_on_chip(*m)];
  SplitRows result;
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

std::vector<double> table_weights(const MeasurementRows& rows) {
  std::map<std::string, double> count;
  for (const Measurement* m : rows) ++count[table_on_chip(*m)];
  const double tables = static_cast<double>(count.size());
  std::vector<double> weights;
  for (const Measurement* m : rows)
    weights.push_back(std::sqrt(static_cast<double>(rows.size()) / tables / count[table_on_chip(*m)]));
  return weights;
}

FitRows fit_rows(const CalibrationInput& input, const MeasurementRows& rows, const DieFigures& die, double clock,
                 double share) {
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
    constexpr double kLeast = 0.01;  // us
    const KernelParameters parameters = with_values(family, values);
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      const Measurement& m = *rows.rows[i];
      const double us =
          microseconds(parts_of(parameters, rows.machines[i], m)) + beside_kernel(parameters, rows.machines[i], m);
      out[i] = std::log(std::max(us, kLeast) / m.microseconds);
    }
  };
  return with_values(family, solve(problem));
}

const FamilyFit* find_fit(const KernelCalibration& calibration, KernelFamily family, const std::string& die) {
  for (const FamilyFit& fit : calibration.fits)
    if (fit.family == family && fit.die.name == die && fit.variant.empty()) return &fit;
  return nullptr;
}

FamilyFit* find_fit(KernelCalibration& calibration, KernelFamily family, const std::string& die) {
  return const_cast<FamilyFit*>(find_fit(std::as_const(calibration), family, die));
}

KernelResidual residual_of(KernelFamily family, const FitRows& rows, const KernelParameters& parameters,
                           const KernelResidual& before) {
  ResidualShape shape = residual_shape(family, rows.rows.size());
  if (!before.empty()) shape.radius = before.radius();
  const std::vector<double> weights = table_weights(rows.rows);
  std::vector<ResidualRow> points;
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    const Measurement& m = *rows.rows[i];
    const double kernel = m.microseconds - beside_kernel(parameters, rows.machines[i], m);
    // Where the cast is most of a measurement, it says little about the kernel.
    const double part = std::clamp(kernel / m.microseconds, 0.0, 1.0);
    if (part < 0.3) continue;
    std::array<double, kMostCoordinates> at{};
    std::visit([&](const auto& s) { coordinates_of(s, at.data()); }, m.shape);
    points.push_back({{at.begin(), at.begin() + coordinate_count(family)},
                      corrected(parts_of(parameters, rows.machines[i], m), before, at),
                      kernel,
                      part * weights[i]});
  }
  return fit_residual(points, {shape.radius, shape.centres, shape.ridge, 0.2});
}

HeldBackError ErrorPool::result(const std::string& name) {
  error_.table = name;
  error_.held_back = static_cast<int>(off_.size());
  error_.bias = percentile(off_, 0.5);
  for (double& value : off_) value = std::abs(value);
  error_.median = percentile(off_, 0.5);
  error_.percentile_90 = percentile(off_, 0.9);
  return error_;
}

std::vector<HeldBackError> errors_of(const CalibrationInput& input, const FamilyFit& fit, const SplitRows& rows,
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

Source joined_source(const CalibrationInput& input, const MeasurementRows& rows) {
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
  return microseconds(parts_of(fit.parameters, machine, m), correction) + beside_kernel(fit.parameters, machine, m);
}

}  // namespace flopcast
