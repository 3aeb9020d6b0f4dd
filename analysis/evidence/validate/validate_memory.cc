#include "analysis/evidence/validate/validate_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "analysis/render/text/format.h"
#include "hwmodels/calibration/fit_memory.h"
#include "scenarios/read/calibrations/calibration_file.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

constexpr const char* kPublishedPeaks = "peak memory, published";
constexpr double kMedianPeakBar = 0.05, kTailPeakBar = 0.15;
constexpr double kGiB = 1073741824.0;

double peak_of_report(const TrainingReport& report, bool first_rank) {
  Bytes most;
  for (const MemoryTable& table : report.memory) {
    if (!first_rank || table.pipeline_rank == 0) most = std::max(most, table.total());
  }
  return most.value() / kGiB;
}

void add_peaks(std::vector<Check>& checks, const std::vector<PeakError>& errors, bool reserved) {
  std::vector<double> off;
  double sum = 0;
  int inside = 0;
  for (const PeakError& error : errors) {
    if (error.of.reserved != reserved) continue;
    off.push_back(std::abs(error.error()));
    sum += std::log1p(error.error());
    inside += error.low_gib <= error.of.gib && error.of.gib <= error.high_gib ? 1 : 0;
  }
  if (off.empty()) return;
  const auto add = [&](const char* what, double error, double bar) {
    Check check;
    check.group = kPublishedPeaks;
    check.what = fmt::format("{}: {}", reserved ? "held by the allocator" : "held by tensors", what);
    check.unit = "%";
    check.predicted = 100 * error;
    check.published = reserved ? 0 : 100 * bar;
    check.upper_bound = !reserved;
    check.source =
        fmt::format("{} peaks, {} of them in their 90 % range: `flopcast validate --runs`; mean error {:+.1f} %",
                    off.size(), inside, 100 * std::expm1(sum / static_cast<double>(off.size())));
    checks.push_back(std::move(check));
  };
  add("median |error|", percentile(off, 0.5), kMedianPeakBar);
  add("90th percentile", percentile(off, 0.9), kTailPeakBar);
}

}  // namespace

std::vector<PeakError> predict_published_peaks(const Libraries& libraries, const RunOptions& options) {
  const auto kernels = std::make_shared<const KernelCalibration>(
      read_kernel_calibration(required_file(libraries, kKernelCalibrationFile)));
  const auto links =
      std::make_shared<const LinkCalibration>(read_link_calibration(required_file(libraries, kLinkCalibrationFile)));
  const TrainingCalibration training = read_training_calibration(required_file(libraries, kTrainingCalibrationFile));
  const std::string file = required_file(libraries, "analysis/data/published_memory.csv");
  RunOptions allowing = options;
  allowing.allow_oom = true;  // what was run fitted
  allowing.project = false;
  const std::string table = required_file(libraries, kStepErrorsFile);
  allowing.errors = std::make_shared<const StepErrors>(parse_csv(read_text_file(table), table));
  const Libraries shelf = libraries.remembering();
  std::vector<PeakError> errors;
  for (PublishedPeak& peak : read_published_peaks(parse_csv(read_text_file(file), file))) {
    Scenario scenario = scenario_of(peak.run, shelf);
    scenario.kernels = kernels;
    scenario.links = links;
    scenario.training->overheads = training.overheads;
    const TrainingReport report = run_training(scenario, allowing);
    PeakError error;
    error.of = std::move(peak);
    error.predicted_gib = peak_of_report(report, error.of.first_rank);
    if (report.range) {
      const double scale = error.predicted_gib * kGiB / peak_of_report(report, false) / kGiB;
      error.low_gib = report.range->memory_bytes.p5 / kGiB * scale;
      error.high_gib = report.range->memory_bytes.p95 / kGiB * scale;
    }
    errors.push_back(std::move(error));
  }
  return errors;
}

std::vector<Check> summarise_published_peaks(const std::vector<PeakError>& errors) {
  std::vector<Check> checks;
  for (const bool reserved : {false, true}) add_peaks(checks, errors, reserved);
  return checks;
}

std::string to_text(const std::vector<PeakError>& errors, const TextStyle& style) {
  TextTable table({Align::left, Align::left, Align::left, Align::right, Align::right, Align::right, Align::right});
  table.header({"published peak of memory", "software", "counts", "predicted", "published", "error", "90 % range"});
  for (const PeakError& row : errors) {
    table.row({row.of.run.id, row.of.run.software, row.of.reserved ? "reserved" : "allocated",
               fmt::format("{:.1f} GiB", row.predicted_gib), fmt::format("{:.1f} GiB", row.of.gib),
               format_error(row.error()), fmt::format("{:.1f} to {:.1f}", row.low_gib, row.high_gib)});
  }
  return table.render(style);
}

}  // namespace flopcast
