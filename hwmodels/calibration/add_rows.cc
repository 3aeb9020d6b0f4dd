#include "hwmodels/calibration/add_rows.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "hwmodels/calibration/fit_memory.h"
#include "hwmodels/calibration/fit_rows.h"

namespace flopcast {
namespace {

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
    FamilyFit* fit = find_fit(out.calibration, family, die);
    if (fit == nullptr) {
      added.new_die = true;
      const FamilyFit* lender = find_fit(out.calibration, family, out.calibration.lender());
      if (lender == nullptr || rows.size() < kFewRows) {
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
      // Near the lender's, as far as the rows tell: they are of one card, which a fit of many tables has not to fear.
      constexpr double kPull = 0.1;
      const std::vector<bool> all(parameters_of(family).size(), true);
      fresh.parameters =
          fit_parameters(family, fit_rows(input, parts.fitted, fresh.die, 1, 0), all, fresh.parameters, kPull);
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
