#include "hwmodels/calibration/add_rows.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "hwmodels/calibration/fit_memory.h"
#include "hwmodels/calibration/fit_rows.h"
#include "hwmodels/calibration/least_squares.h"

namespace flopcast {
namespace {

/// Fewer points cannot tell the numbers of a formula.
constexpr std::size_t kLeastRows = 12;

FamilyFit* fit_of(KernelCalibration& calibration, KernelFamily family, const std::string& die) {
  for (FamilyFit& fit : calibration.fits)
    if (fit.family == family && fit.die.name == die && fit.variant.empty()) return &fit;
  return nullptr;
}

double median_error(const CalibrationInput& input, const KernelCalibration& of, const FamilyFit& fit,
                    const MeasurementRows& rows) {
  std::vector<double> off;
  for (const Measurement* m : rows) {
    const double us = predict_measurement(fit, gpu_named(input, m->gpu), *m, of.sustained_clock.value,
                                          of.communication_hbm_share.value);
    off.push_back(std::abs(us / m->microseconds - 1));
  }
  return percentile(std::move(off), 0.5);
}

/// What the corrections of a family say together: they are sums over centres of equal radius.
KernelResidual joined(const KernelResidual& a, const KernelResidual& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  std::vector<double> centres = a.centres();
  std::vector<PartCorrection> weights = a.weights();
  centres.insert(centres.end(), b.centres().begin(), b.centres().end());
  weights.insert(weights.end(), b.weights().begin(), b.weights().end());
  return {a.radius(), std::move(centres), std::move(weights)};
}

/// The formula's numbers on a die that has none of the family: near `start`, as far as the rows tell.
KernelParameters parameters_near(KernelFamily family, const FitRows& rows, const KernelParameters& start) {
  constexpr double kPull = 0.1;  // rows of one card: more than a fit of many tables has
  LeastSquaresProblem problem;
  problem.pull = kPull;
  problem.parameters = parameters_of(family);
  problem.start = values_of(start);
  problem.free.assign(problem.parameters.size(), true);
  problem.weights = table_weights(rows.rows);
  problem.residuals = [&](std::span<const double> values, std::span<double> out) {
    const KernelParameters parameters = with_values(family, values);
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      const Measurement& m = *rows.rows[i];
      const double us =
          microseconds(parts_of(parameters, rows.machines[i], m)) + beside_kernel(parameters, rows.machines[i], m);
      constexpr double kLeast = 0.01;
      out[i] = std::log(std::max(us, kLeast) / m.microseconds);
    }
  };
  return with_values(family, solve(problem));
}

}  // namespace

AddedCalibration add_rows(const KernelCalibration& before, const CalibrationInput& input) {
  AddedCalibration out{before, {}};
  std::map<std::pair<KernelFamily, std::string>, MeasurementRows> groups;  // by family and die
  for (const Measurement& m : input.measurements)
    if (m.variant.empty()) groups[{family_of(m), die_of(gpu_named(input, m.gpu)).name}].push_back(&m);
  for (const auto& [of, rows] : groups) {
    const auto& [family, die] = of;
    const SplitRows parts = split_rows(rows, input.seed);
    const MeasurementRows& judged = parts.held_back.empty() ? parts.fitted : parts.held_back;
    AddedRows added;
    added.family = family;
    added.gpu = rows.front()->gpu;
    added.fitted = static_cast<int>(parts.fitted.size());
    added.held_back = static_cast<int>(parts.held_back.size());
    FamilyFit* fit = fit_of(out.calibration, family, die);
    if (fit == nullptr) {
      added.new_die = true;
      const FamilyFit* lender = fit_of(out.calibration, family, out.calibration.lender());
      if (lender == nullptr || rows.size() < kLeastRows) {
        added.left_out = true;
        out.rows.push_back(added);
        continue;
      }
      FamilyFit fresh = *lender;
      added.before = median_error(input, before, fresh, judged);
      fresh.die = die_figures(input, die);
      fresh.residual = {};
      fresh.errors.clear();
      fresh.source = {};
      fresh.parameters = parameters_near(family, fit_rows(input, parts.fitted, fresh.die, 1, 0), fresh.parameters);
      out.calibration.fits.push_back(std::move(fresh));
      fit = &out.calibration.fits.back();
    } else {
      added.before = median_error(input, before, *fit, judged);
    }
    const FitRows fitted = fit_rows(input, parts.fitted, fit->die, 1, 0);
    fit->residual = joined(fit->residual, residual_of(family, fitted, fit->parameters, fit->residual));
    added.after = median_error(input, before, *fit, judged);
    const std::vector<HeldBackError> errors = errors_of(input, *fit, parts, 1, 0);
    fit->errors.insert(fit->errors.end(), errors.begin(), errors.end());
    const Source source = joined_source(input, rows);
    fit->source.text += (fit->source.text.empty() ? "" : "; ") + source.text;
    fit->source.date = std::max(fit->source.date, source.date);
    out.rows.push_back(added);
  }
  std::sort(out.calibration.fits.begin(), out.calibration.fits.end(), [](const FamilyFit& a, const FamilyFit& b) {
    return std::tie(a.family, a.die.name, a.variant) < std::tie(b.family, b.die.name, b.variant);
  });
  return out;
}

}  // namespace flopcast
