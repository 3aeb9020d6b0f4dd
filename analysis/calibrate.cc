#include "analysis/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "analysis/calibrate_tables.h"
#include "analysis/text_table.h"
#include "scenarios/calibration_file.h"
#include "sim/atomic_file.h"
#include "workloads/link_fit.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

std::string percent(double ratio) { return fmt::format("{:.1f} %", 100 * ratio); }

std::vector<GpuSpec> all_gpus(const Libraries& libraries) {
  std::vector<GpuSpec> gpus;
  for (const std::string& name : libraries.names(LibraryKind::gpus))
    if (libraries.runs(name)) gpus.push_back(libraries.gpu(name));
  return gpus;
}

/// The newest date among the sources: the data files carry no clock's time, so that the same input gives the
/// same bytes.
std::string newest_date(const CalibrationInput& input) {
  std::string date;
  for (const auto& [table, source] : input.table_sources) date = std::max(date, source.date);
  return date;
}

/// Node of every GPU that measurements of links name.
std::map<std::string, NodeSpec> nodes_by_gpu(const Libraries& libraries) {
  std::map<std::string, NodeSpec> nodes;
  for (const std::string& name : libraries.names(LibraryKind::nodes)) {
    NodeSpec node = libraries.node(name);
    const std::string gpu = node.gpu.name;
    if (node.gpus == 8) nodes.emplace(gpu, std::move(node));
  }
  return nodes;
}

std::string calibrate_links(const CalibrateOptions& options, const Libraries& libraries) {
  const LinkMeasurements measurements =
      read_link_measurements(options.measurements / "reference", options.measurements / "data/kernels");
  if (!measurements.missing.empty())
    return "links: tables of collectives are missing, constants left as they are\n";
  const LinkFit fit = fit_links(measurements, nodes_by_gpu(libraries), options.seed);
  if (!options.output.empty())
    write_file_atomically(options.output / "link_calibration.textproto", to_text(fit.calibration));
  TextTable table({Align::left, Align::left, Align::right, Align::right, Align::right, Align::right});
  table.header({"links", "group", "rows", "held back", "median", "90th"});
  for (const LinkFitError& error : fit.errors)
    table.row({error.table, error.group + (error.fitted ? "" : " (not fitted)"),
               fmt::format("{}", error.rows), fmt::format("{}", error.held_back), percent(error.median),
               percent(error.percentile_90)});
  std::string out = table.render(TextStyle(), 140);
  for (const std::string& note : fit.notes) out += note + "\n";
  return out;
}

}  // namespace

std::string held_back_summary(const KernelCalibration& calibration) {
  TextTable table({Align::left, Align::left, Align::left, Align::right, Align::right, Align::right,
                   Align::right, Align::right});
  table.header({"kernels", "gpu", "table", "fitted", "held back", "median", "90th", "bias"});
  for (const FamilyFit& fit : calibration.fits)
    for (const HeldBackError& error : fit.errors)
      table.row({std::string(name(fit.family)), fit.gpu,
                 error.table + (fit.variant.empty() ? "" : " (prices nothing)"),
                 fmt::format("{}", error.fitted), fmt::format("{}", error.held_back),
                 error.held_back ? percent(error.median) : "-",
                 error.held_back ? percent(error.percentile_90) : "-",
                 error.held_back ? fmt::format("{:+.1f} %", 100 * error.bias) : "-"});
  for (const HeldBackError& error : calibration.pooled)
    table.row({error.table, "all", "all that are priced", fmt::format("{}", error.fitted),
               fmt::format("{}", error.held_back), percent(error.median), percent(error.percentile_90),
               fmt::format("{:+.1f} %", 100 * error.bias)});
  return table.render(TextStyle(), 150);
}

std::string calibrate(const CalibrateOptions& options, const Libraries& libraries) {
  const std::vector<GpuSpec> gpus = all_gpus(libraries);
  CalibrationInput input = read_measurements(options.measurements, gpus, options.allow_missing);
  input.seed = options.seed;
  input.date = newest_date(input);
  const KernelCalibration calibration = calibrate_kernels(input);
  std::string out =
      fmt::format("{} kernel measurements; a fifth of each table held back (seed {}), errors on those:\n\n",
                  input.measurements.size(), options.seed);
  out += held_back_summary(calibration);
  if (!options.output.empty()) {
    fs::create_directories(options.output);
    write_file_atomically(options.output / "kernel_calibration.textproto", to_text(calibration));
  }
  out += "\n" + calibrate_links(options, libraries);
  if (!options.output.empty()) out += fmt::format("\nwritten to {}\n", options.output.string());
  return out;
}

}  // namespace flopcast
