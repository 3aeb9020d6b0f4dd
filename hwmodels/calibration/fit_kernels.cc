#include "hwmodels/calibration/fit_kernels.h"

#include <algorithm>
#include <cmath>
#include <compare>
#include <tuple>

#include "hwmodels/calibration/fit_memory.h"
#include "hwmodels/calibration/fit_power.h"
#include "hwmodels/calibration/fit_rows.h"

namespace flopcast {

namespace {

const std::size_t kTrap = index_of(&GemmParameters::wide_tile_trap);
const std::size_t kCastEfficiency = index_of(&GemmParameters::cast_efficiency);
const std::size_t kCastSetup = index_of(&GemmParameters::cast_setup_us);
const std::size_t kTimer = index_of(&GemmParameters::timer_us);

/// What one fit is of.
struct FitKey {
  KernelFamily family;
  std::string die;
  std::string variant;
  auto operator<=>(const FitKey&) const = default;
};

std::vector<bool> free_parameters(KernelFamily family, const MeasurementRows& rows) {
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

constexpr double kLoosePull = 0.05;

FamilyFit fit_alone(const CalibrationInput& input, const FitKey& key, const MeasurementRows& rows) {
  FamilyFit fit;
  fit.family = key.family;
  fit.die = die_figures(input, key.die);
  fit.variant = key.variant;
  const SplitRows parts = split_rows(rows, input.seed);
  const FitRows fitted = fit_rows(input, parts.fitted, fit.die, 1, 0);
  const std::vector<bool> free = free_parameters(key.family, parts.fitted);
  fit.parameters = fit_parameters(key.family, fitted, free, start_of(key.family, free), kLoosePull);
  fit.residual = residual_of(key.family, fitted, fit.parameters, {});
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
FamilyFit fit_few(const CalibrationInput& input, KernelFamily family, const MeasurementRows& rows,
                  const FamilyFit& like, double share) {
  FamilyFit fit;
  fit.family = family;
  fit.die = like.die;
  const SplitRows parts = split_rows(rows, input.seed);
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
                                         const std::map<FitKey, MeasurementRows>& families) {
  std::map<std::pair<KernelFamily, std::string>, ErrorPool> by_family;
  std::map<std::pair<std::string, std::string>, ErrorPool> by_group;
  for (const auto& [key, rows] : families) {
    const FamilyFit* fit = key.variant.empty() ? find_fit(calibration, key.family, key.die) : nullptr;
    if (fit == nullptr) continue;
    const SplitRows parts = split_rows(rows, input.seed);
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

MeasurementRows profile_rows(const CalibrationInput& input) {
  MeasurementRows rows;
  for (const Measurement& m : input.measurements)
    if (m.in_training) rows.push_back(&m);
  return rows;
}

}  // namespace

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
  std::map<FitKey, MeasurementRows> families;
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
