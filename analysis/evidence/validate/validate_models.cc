// Whole models and layers timed on one GPU in `flopcast validate`: their errors, by what was timed and card.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/evidence/validate/measured_models.h"
#include "hwmodels/calibration/fit_memory.h"

namespace flopcast {
namespace {

constexpr const char* kFirstModels = "whole models on one H100, nothing fitted";
constexpr const char* kAllModels = "whole models and layers on one GPU, nothing fitted";
constexpr double kMedianBar = 0.05, kTailBar = 0.12, kPeakTailBar = 0.15;

struct ModelSection {
  const char* section;
  const char* mode;
  const char* part;
  const char* words;
  bool without_gradients = false;  ///< shown without a bar
};
constexpr ModelSection kModelSections[] = {
    {"decode", "compiled", "", "decoding, compiled"},
    {"decode", "eager", "", "decoding, eager"},
    {"prefill", "compiled", "", "prompts, compiled"},
    {"prefill", "eager", "", "prompts, eager"},
    {"train", "compiled", "", "training steps, compiled"},
    {"train", "eager", "", "training steps, eager"},
    {"train", "compiled", "", "training steps without gradients, compiled", true},
    {"train", "eager", "", "training steps without gradients, eager", true},
    {"moe", "eager", "layer", "MoE layers"},
    {"moe", "eager", "experts", "experts of MoE layers"}};

/// A row of its own for what the first measurement compiled.
Check single_model(const MeasuredModelError& row) {
  Check check;
  check.group = kFirstModels;
  check.what = row.of.what();
  check.unit = "us";
  check.predicted = row.predicted_us;
  check.published = row.of.time_us;
  check.tolerance = kTailBar;
  check.source = "one H100 SXM, PyTorch 2.11, compiled, CUDA graphs, 2026-11-26";
  return check;
}

void summarise_models(std::vector<Check>& checks, const std::vector<MeasuredModelError>& rows, const ModelSection& of,
                      const std::string& card) {
  std::vector<double> off;
  double sum = 0;
  int by_host = 0;
  for (const MeasuredModelError& row : rows) {
    if (row.of.card != card || row.of.section != of.section || row.of.mode != of.mode) continue;
    if (*of.part != 0 && row.of.part != of.part) continue;
    if (row.of.without_gradients != of.without_gradients) continue;
    if (row.of.paced_by_host()) {
      ++by_host;
      continue;
    }
    off.push_back(std::abs(row.error()));
    sum += std::log1p(row.error());
  }
  if (off.empty()) return;
  const auto add = [&](const char* what, double error, double bar) {
    Check check;
    check.group = kAllModels;
    check.what = fmt::format("{}, {}: {}", of.words, card, what);
    check.unit = "%";
    check.predicted = 100 * error;
    check.published = of.without_gradients ? 0 : 100 * bar;
    check.upper_bound = !of.without_gradients;
    check.source = fmt::format(
        "{} cases on one {} SXM, PyTorch 2.11, 2026-11-26 and 27: `flopcast validate --runs`; "
        "mean error {:+.1f} %{}",
        off.size(), card, 100 * std::expm1(sum / static_cast<double>(off.size())),
        by_host > 0 ? fmt::format("; {} more were paced by the host", by_host) : "");
    checks.push_back(std::move(check));
  };
  add("median |error|", percentile(off, 0.5), kMedianBar);
  add("90th percentile", percentile(off, 0.9), kTailBar);
}

/// Peaks of training steps, on both cards.
void summarise_peaks(std::vector<Check>& checks, const std::vector<MeasuredModelError>& rows, const char* mode) {
  std::vector<double> off;
  double sum = 0;
  for (const MeasuredModelError& row : rows) {
    if (row.of.peak_gb <= 0 || row.of.mode != mode) continue;
    off.push_back(std::abs(row.predicted_peak_gb / row.of.peak_gb - 1));
    sum += std::log(row.predicted_peak_gb / row.of.peak_gb);
  }
  if (off.empty()) return;
  const auto add = [&](const char* what, double error, double bar) {
    Check check;
    check.group = kAllModels;
    check.what = fmt::format("memory of training steps, {}: {}", mode, what);
    check.unit = "%";
    check.predicted = 100 * error;
    check.published = 100 * bar;
    check.upper_bound = true;
    check.source = fmt::format(
        "{} peaks on one H100 and one H200 SXM, PyTorch 2.11, 2026-11-27: `flopcast validate --runs`; mean error "
        "{:+.1f} %",
        off.size(), 100 * std::expm1(sum / static_cast<double>(off.size())));
    checks.push_back(std::move(check));
  };
  add("median |error|", percentile(off, 0.5), kMedianBar);
  add("90th percentile", percentile(off, 0.9), kPeakTailBar);
}

}  // namespace

std::vector<Check> check_models(const std::vector<MeasuredModelError>& rows) {
  std::vector<Check> checks;
  for (const MeasuredModelError& row : rows) {
    const bool served = row.of.section == "decode" || row.of.section == "prefill";
    if (served && row.of.mode == "compiled" && row.of.measured == "2026-11-26") checks.push_back(single_model(row));
  }
  for (const ModelSection& section : kModelSections) {
    for (const char* card : {"H100", "H200"}) summarise_models(checks, rows, section, card);
  }
  for (const char* mode : {"compiled", "eager"}) summarise_peaks(checks, rows, mode);
  return checks;
}

}  // namespace flopcast
