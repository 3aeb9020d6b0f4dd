// Board power while engines serve (analysis/data/published_power.csv) in `flopcast validate`: energies per FLOP and
// byte come from one card's kernels (hwmodels/chips/power.h), times from the pricer; nothing is fitted on serving
// power.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "analysis/evidence/validate/validate.h"
#include "scenarios/read/calibrations/calibration_file.h"
#include "scenarios/read/calibrations/engine_calibration.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"
#include "workloads/serving/experts/steady_load.h"
#include "workloads/serving/pricing/deployment.h"
#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/pricing/pass_energy.h"

namespace flopcast {
namespace {

constexpr const char* kPowerFile = "analysis/data/published_power.csv";
/// Tokens of a prompt: questions of some hundred tokens; not published.
constexpr double kPromptTokens = 300;

PoolSpec pool_of(const CsvTable& table, std::size_t row, const Libraries& libraries) {
  PoolSpec spec;
  EngineConfig& engine = spec.engine;
  engine.model = libraries.model(table.text(row, "model"));
  engine.plan.tensor = static_cast<int>(table.number(row, "gpus"));
  engine.plan.expert = static_cast<int>(table.number(row, "expert"));
  const std::string& precision = table.text(row, "precision");
  if (precision.starts_with("fp8")) {
    engine.precision.linear = Precision::fp8;
    engine.precision.scaling = precision == "fp8_block" ? Scaling::blocks : Scaling::per_tensor;
  }
  if (precision == "mxfp4") engine.precision.stored = WeightFormat::mxfp4;
  // ml-energy/benchmark, configs/vllm @ 0b961c7: --async-scheduling, --enable-expert-parallel; the version is not
  // published. Until 0.12 vLLM multiplied with experts in FP8 whether they had tokens or not.
  engine.kernels = KernelLibrary::vllm;
  engine.expert_kernels = ExpertKernels::deep_gemm_padded;
  return spec;
}

/// Load of the busiest GPU behind the model's own router; empty where experts are not spread.
std::vector<double> spread_loads(PoolSpec& spec, const EngineConstants& constants) {
  const EngineConfig& engine = spec.engine;
  if (engine.plan.expert <= 1) return {};
  spec.expert_variation = router_variation(engine.model, constants);
  ExpertGroup group;
  group.experts = engine.model.moe.experts;
  group.ranks = group.ranks_per_node = engine.plan.expert;
  return {
      steady_busiest_load(spec.expert_variation, constants.answers_alike.value, group, engine.model.moe_layers(), 1)};
}

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

std::vector<Check> check_power(const ValidationInput& input) {
  const std::string file = required_file(*input.libraries, kPowerFile);
  const CsvTable table = parse_csv(read_text_file(file), file);
  PriceSources sources;
  sources.links = input.scenario->links;
  sources.constants = std::make_shared<const EngineConstants>(
      read_engine_calibration(required_file(*input.libraries, kEngineCalibrationFile)));
  std::vector<Check> checks;
  std::vector<double> cut, spread;
  for (std::size_t i = 0; i < table.size(); ++i) {
    sources.cluster.node = input.libraries->node(table.text(i, "node"));
    sources.kernels = std::make_shared<const KernelModel>(sources.cluster.node.gpu, input.scenario->kernels);
    PoolSpec spec = pool_of(table, i, *input.libraries);
    const std::vector<double> busiest = spread_loads(spec, *sources.constants);
    BuiltPool pool = build_pool(spec, sources, 0, busiest, ExpertPaceConfig{}.drift_period);
    const double batch = table.number(i, "batch"), output = table.number(i, "output");
    const double cached = kPromptTokens + output / 2;
    const auto requests = std::max<std::int64_t>(1, std::llround(batch));
    IterationPricer& pricer = *pool.pricers.front();
    const Seconds time = to_seconds(pricer.decode(requests).at(std::llround(batch * cached)));
    const Watts watts = mean_power(*sources.kernels, decode_energy(*pricer.forward(), batch, cached), time, time);
    (table.number(i, "expert") > 1 ? spread : cut).push_back(std::abs(watts.value() / table.number(i, "watts") - 1));
  }
  for (const auto& [what, errors] :
       {std::pair{"dense, or experts of one GPU", cut}, std::pair{"experts spread", spread}}) {
    Check check;
    check.group = "board power of serving, nothing fitted";
    check.what = fmt::format("median of {}, {}", errors.size(), what);
    check.unit = "%";
    check.predicted = 100 * median_of(errors);
    check.published = 8;
    check.upper_bound = true;
    check.source = "ml-energy/leaderboard @ 0cd52da, vLLM, NVML energy counters";
    checks.push_back(std::move(check));
  }
  return checks;
}

}  // namespace flopcast
