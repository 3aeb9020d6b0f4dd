#include "analysis/evidence/calibrate/fit_overheads.h"

#include <fmt/format.h>

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>

#include "analysis/render/text/csv.h"
#include "analysis/runs/training/run.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

constexpr const char* kPriorsFile = "analysis/data/overhead_priors.csv";

/// What is known of an overhead before any run is looked at: a value and how far off it may be.
struct Prior {
  OverheadRow row;
  double value, spread, low, high;  ///< spread 0: kept, for no calibration run shows it
  Source source;
};

/// One of every overhead, in the order of overhead_rows(). @throws InputError: an overhead without a row, or a row of
/// none.
std::vector<Prior> read_priors(const Libraries& libraries) {
  const std::string file = required_file(libraries, kPriorsFile);
  const CsvTable table = parse_csv(read_text_file(file), file);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < table.size(); ++i) names.push_back(table.text(i, "name"));
  std::vector<Prior> priors;
  std::vector<Diagnostic> faults;
  for (const OverheadRow& row : overhead_rows()) {
    const auto found = std::find(names.begin(), names.end(), row.name);
    if (found == names.end()) {
      faults.push_back({file, 0, 0, "name", fmt::format("no row of {}", row.name), "one of every overhead", ""});
      continue;
    }
    const auto i = static_cast<std::size_t>(found - names.begin());
    priors.push_back({row,
                      table.number(i, "value"),
                      table.number(i, "spread"),
                      table.number(i, "low"),
                      table.number(i, "high"),
                      {table.text(i, "source"), table.text(i, "date")}});
    found->clear();
  }
  for (std::size_t i = 0; i < names.size(); ++i)
    if (!names[i].empty()) faults.push_back({file, table.line(i), 1, "name", "`" + names[i] + "`", "an overhead", ""});
  if (!faults.empty()) throw InputError(std::move(faults));
  return priors;
}

constexpr double kRunSpread = 0.03;  // how far a run may be off in the fit's eyes
constexpr int kIterations = 8;

/// Those that are sought.
std::vector<Prior> sought(std::vector<Prior> priors) {
  std::erase_if(priors, [](const Prior& prior) { return prior.spread == 0; });
  return priors;
}

/// Where the fit starts.
TrainingCalibration start_of(std::span<const Prior> priors) {
  TrainingCalibration calibration;
  for (const Prior& prior : priors) {
    prior.row.set(calibration.overheads, prior.value);
    calibration.sources[std::string(prior.row.name)] = prior.source;
  }
  return calibration;
}

struct Case {
  TrainingRun run;
  Scenario scenario;
  double weight = 1;
};

/// Cluster sizes of one configuration share its weight.
std::vector<Case> cases_of(const std::vector<TrainingRun>& runs, const Libraries& libraries,
                           const std::shared_ptr<const KernelCalibration>& kernels,
                           const std::shared_ptr<const LinkCalibration>& links) {
  const auto configuration = [](const TrainingRun& r) {
    return std::tuple(r.model, r.layers, r.precision, r.pipeline);
  };
  std::map<std::tuple<std::string, int, std::string, int>, int> sizes;
  for (const TrainingRun& run : runs) ++sizes[configuration(run)];
  std::vector<Case> cases;
  for (const TrainingRun& run : runs) {
    Case c{run, scenario_of(run, libraries), 1 / std::sqrt(sizes[configuration(run)])};
    c.scenario.kernels = kernels;
    c.scenario.links = links;
    cases.push_back(std::move(c));
  }
  return cases;
}

double log_error(const Case& c, const TrainingOverheads& overheads) {
  return std::log(predicted_step(c.scenario, overheads) / c.run.step);
}

/// Runs of `without` are left out; empty: none.
TrainingOverheads fit(std::span<const Case> cases, std::span<const Prior> priors, const std::string& without) {
  const std::vector<Prior> unknowns = sought({priors.begin(), priors.end()});
  std::vector<const Case*> used;
  for (const Case& c : cases) {
    if (without.empty() || c.run.model != without) used.push_back(&c);
  }
  TrainingOverheads at = start_of(priors).overheads;
  const auto n = static_cast<Eigen::Index>(unknowns.size());
  const auto rows = static_cast<Eigen::Index>(used.size());
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    Eigen::MatrixXd jacobian(rows + n, n);
    Eigen::VectorXd residual(rows + n);
    jacobian.setZero();
    for (Eigen::Index i = 0; i < rows; ++i) {
      const Case& c = *used[static_cast<std::size_t>(i)];
      const double scale = c.weight / kRunSpread;
      const double here = log_error(c, at);
      residual(i) = here * scale;
      for (Eigen::Index j = 0; j < n; ++j) {
        const Prior& unknown = unknowns[static_cast<std::size_t>(j)];
        const double step = 0.05 * unknown.spread;
        TrainingOverheads there = at;
        unknown.row.set(there, unknown.row.get(there) + step);
        jacobian(i, j) = (log_error(c, there) - here) / step * scale;
      }
    }
    for (Eigen::Index j = 0; j < n; ++j) {
      const Prior& unknown = unknowns[static_cast<std::size_t>(j)];
      residual(rows + j) = (unknown.row.get(at) - unknown.value) / unknown.spread;
      jacobian(rows + j, j) = 1 / unknown.spread;
    }
    const Eigen::VectorXd change = jacobian.colPivHouseholderQr().solve(-residual);
    for (Eigen::Index j = 0; j < n; ++j) {
      const Prior& unknown = unknowns[static_cast<std::size_t>(j)];
      unknown.row.set(at, std::clamp(unknown.row.get(at) + change(j), unknown.low, unknown.high));
    }
  }
  // What the data file can say.
  for (const Prior& unknown : unknowns) unknown.row.set(at, std::round(unknown.row.get(at) * 1e4) / 1e4);
  return at;
}

}  // namespace

Seconds predicted_step(const Scenario& scenario, const TrainingOverheads& overheads) {
  RunOptions options;
  options.allow_oom = true;
  TrainingConfig config = *scenario.training;
  config.overheads = overheads;
  return step_time(scenario, config, options);
}

OverheadFit fit_overheads(const std::vector<TrainingRun>& runs, const Libraries& libraries,
                          const std::shared_ptr<const KernelCalibration>& kernels,
                          const std::shared_ptr<const LinkCalibration>& links) {
  const std::vector<Case> cases = cases_of(runs, libraries, kernels, links);
  OverheadFit result;
  const std::vector<Prior> priors = read_priors(libraries);
  result.calibration = start_of(priors);
  result.calibration.overheads = fit(cases, priors, "");
  for (const Prior& prior : sought(priors)) {
    Source& source = result.calibration.sources.at(std::string(prior.row.name));
    source.text = "fit on NVIDIA/dgxc-benchmarking 741c886 (v25.04), 16 runs on H100, starting from: " + source.text;
    source.date = "2026-11-21";
  }
  std::set<std::string> models;
  for (const Case& c : cases) models.insert(c.run.model);
  std::map<std::string, TrainingOverheads> without;
  for (const std::string& model : models) {
    without[model] = fit(cases, priors, model);
    result.calibration.left_out.push_back({model, without[model]});
  }
  for (const Case& c : cases) {
    result.errors.push_back({c.run, predicted_step(c.scenario, result.calibration.overheads)});
    result.left_out.push_back({c.run, predicted_step(c.scenario, without[c.run.model])});
  }
  return result;
}

}  // namespace flopcast
