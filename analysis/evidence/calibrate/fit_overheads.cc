#include "analysis/evidence/calibrate/fit_overheads.h"

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>

#include "analysis/runs/training/run.h"

namespace flopcast {
namespace {

/// What is known of an overhead before any run is looked at: a value and how far off it may be.
struct Prior {
  std::string_view name;
  double value, spread, low, high;  ///< spread 0: kept, for no calibration run shows it
  const char* source;
  const char* date;
};

constexpr Prior kPriors[] = {
    {"tensor_exposed", 0.19, 0.15, 0, 1,
     "bytedance/flux docs/performance_report.md @ 79807b7 (H800, TP 8): 19 % of the communication exposed",
     "2024-06-01"},
    {"context_exposed", 0.19, 0.15, 0, 1, "taken as for tensor parallelism", "2024-06-01"},
    {"collective_share", 0.189, 0.08, 0, 0.6,
     "arXiv 2507.03114: compute beside communication 18.9 % slower on average, 40 % at most", "2025-07-03"},
    {"vendor_clock", 1, 0.03, 0.8, 1.2, "the clock follows from the board's power limit: nothing is left",
     "2026-11-26"},
    {"fp8_exact_sums", 1.15, 0.05, 1, 1.5,
     "pytorch/ao#2377: fast accumulation speeds a product up 1.1 to 1.2 times; backward passes go without it "
     "(torchao float8/config.py, Transformer Engine common/recipe, XLA)",
     "2025-06-14"},
    {"gpu_speed_spread", 0.010, 0.005, 0, 0.05,
     "stas00/ml-engineering: GPUs of a node differ by 5 % and more; arXiv 2208.11035: 1.5 %", "2025-06-01"},
    {"step_ms", 20, 20, 0, 500, "no measurement of its own", "2026-11-21"},
    {"host_launch_us", 16.5, 0, 0, 50,
     "NetX-lab/Frontier a4b22df, Qwen3-30B-A3B layers on H800: operators of one short kernel in eager "
     "PyTorch, 16.4 to 20.2",
     "2026-11-21"},
    {"flash2_forward", 0.575, 0, 0, 2,
     "Dao-AILab/flash-attention assets/flash3_fp16_fwd.png: causal, head 128, 2K to 16K, against "
     "FlashAttention-3 and cuDNN",
     "2024-07-11"},
    {"flash2_backward", 0.60, 0, 0, 2,
     "NVIDIA/cudnn-frontend benchmark_results.csv @ 505fcfe: PyTorch SDPA against cuDNN, causal, head 128, "
     "4K to 32K",
     "2024-06-01"},
    {"flash2_energy", 1.46, 0, 0, 5,
     "one H100 SXM at 700 W, causal forward over 8K, head 128: FlashAttention-2 320 TFLOP/s at 690 W and 1738 MHz, "
     "over the energy per FLOP of attention that power is calibrated with",
     "2026-11-26"},
    {"flex_forward", 0.73, 0, 0, 2,
     "pytorch/pytorch#137036 (drisspg, 2024-10-29): against FlashAttention-3, causal 0.72, window 0.76, whole 0.69; "
     "head 64, 16K",
     "2024-10-29"},
    {"flex_backward", 0.65, 0, 0, 2,
     "pytorch/pytorch#137036 (drisspg, 2024-10-29): against FlashAttention-3, causal 0.61, window 0.75, whole 0.59; "
     "head 64, 16K",
     "2024-10-29"},
    {"graph_gap_us", 0.56, 0, 0, 50, "gap between kernels of a CUDA graph, B300 node", "2026-11-21"},
};

constexpr double kRunSpread = 0.03;  // how far a run may be off in the fit's eyes
constexpr int kIterations = 8;

const Prior& prior_of(std::string_view name) {
  return *std::find_if(std::begin(kPriors), std::end(kPriors), [&](const Prior& p) { return p.name == name; });
}

/// The overheads that are sought.
std::vector<OverheadRow> sought() {
  std::vector<OverheadRow> rows;
  for (const OverheadRow& row : overhead_rows()) {
    if (prior_of(row.name).spread > 0) rows.push_back(row);
  }
  return rows;
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
TrainingOverheads fit(std::span<const Case> cases, const std::string& without) {
  const std::vector<OverheadRow> unknowns = sought();
  std::vector<const Case*> used;
  for (const Case& c : cases) {
    if (without.empty() || c.run.model != without) used.push_back(&c);
  }
  TrainingOverheads at = prior_overheads().overheads;
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
        const OverheadRow& unknown = unknowns[static_cast<std::size_t>(j)];
        const double step = 0.05 * prior_of(unknown.name).spread;
        TrainingOverheads there = at;
        unknown.set(there, unknown.get(there) + step);
        jacobian(i, j) = (log_error(c, there) - here) / step * scale;
      }
    }
    for (Eigen::Index j = 0; j < n; ++j) {
      const OverheadRow& unknown = unknowns[static_cast<std::size_t>(j)];
      const Prior& prior = prior_of(unknown.name);
      residual(rows + j) = (unknown.get(at) - prior.value) / prior.spread;
      jacobian(rows + j, j) = 1 / prior.spread;
    }
    const Eigen::VectorXd change = jacobian.colPivHouseholderQr().solve(-residual);
    for (Eigen::Index j = 0; j < n; ++j) {
      const OverheadRow& unknown = unknowns[static_cast<std::size_t>(j)];
      const Prior& prior = prior_of(unknown.name);
      unknown.set(at, std::clamp(unknown.get(at) + change(j), prior.low, prior.high));
    }
  }
  // What the data file can say.
  for (const OverheadRow& unknown : unknowns) unknown.set(at, std::round(unknown.get(at) * 1e4) / 1e4);
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

TrainingCalibration prior_overheads() {
  TrainingCalibration calibration;
  for (const OverheadRow& row : overhead_rows()) {
    const Prior& prior = prior_of(row.name);
    row.set(calibration.overheads, prior.value);
    calibration.sources[std::string(row.name)] = {prior.source, prior.date};
  }
  return calibration;
}

OverheadFit fit_overheads(const std::vector<TrainingRun>& runs, const Libraries& libraries,
                          const std::shared_ptr<const KernelCalibration>& kernels,
                          const std::shared_ptr<const LinkCalibration>& links) {
  const std::vector<Case> cases = cases_of(runs, libraries, kernels, links);
  OverheadFit result;
  result.calibration = prior_overheads();
  result.calibration.overheads = fit(cases, "");
  for (const OverheadRow& row : sought()) {
    Source& source = result.calibration.sources.at(std::string(row.name));
    source.text = "fit on NVIDIA/dgxc-benchmarking 741c886 (v25.04), 16 runs on H100, starting from: " + source.text;
    source.date = "2026-11-21";
  }
  std::set<std::string> models;
  for (const Case& c : cases) models.insert(c.run.model);
  std::map<std::string, TrainingOverheads> without;
  for (const std::string& model : models) {
    without[model] = fit(cases, model);
    result.calibration.left_out.push_back({model, without[model]});
  }
  for (const Case& c : cases) {
    result.errors.push_back({c.run, predicted_step(c.scenario, result.calibration.overheads)});
    result.left_out.push_back({c.run, predicted_step(c.scenario, without[c.run.model])});
  }
  return result;
}

}  // namespace flopcast
