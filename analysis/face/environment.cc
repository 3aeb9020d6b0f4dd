#include "analysis/face/environment_data.h"
#include "scenarios/read/calibrations/calibration_file.h"
#include "scenarios/read/calibrations/engine_calibration.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {
namespace {

constexpr char kPowerFile[] = "analysis/data/power.csv";
constexpr char kSpreadFile[] = "analysis/data/serving_spread.csv";

/// Of a die that nobody measured, the error of the products that its answers are mostly made of: with the efficiencies
/// of another die prompts are as far off as those are, and decoding on a new generation was no nearer.
double error_of_die(const Scenario& scenario, const StepErrors& errors) {
  const EngineConfig& engine = answering_engine(scenario);
  const ClusterSpec& cluster = scenario.rl ? scenario.rl->engine_cluster(scenario.cluster) : scenario.cluster;
  const KnownDie die = known_die(*scenario.kernels, cluster.node.gpu);
  if (die == KnownDie::measured) return 0;
  const char* products = engine.model.moe.experts > 0                 ? "die_expert_gemm"
                         : engine.precision.linear != Precision::bf16 ? "die_gemm_fp8"
                                                                      : "die_gemm";
  const double related = die == KnownDie::architecture ? errors.of("die_of_architecture").log_sd : 1;
  return errors.of(products).log_sd * related;
}

}  // namespace

std::shared_ptr<const KernelCalibration> EnvironmentData::kernels() const {
  return kernels_.get([&] {
    return std::make_shared<const KernelCalibration>(
        read_kernel_calibration(required_file(libraries_, kKernelCalibrationFile)));
  });
}

std::shared_ptr<const LinkCalibration> EnvironmentData::links() const {
  return links_.get([&] {
    return std::make_shared<const LinkCalibration>(
        read_link_calibration(required_file(libraries_, kLinkCalibrationFile)));
  });
}

const TrainingCalibration& EnvironmentData::training() const {
  return training_.get([&] { return read_training_calibration(required_file(libraries_, kTrainingCalibrationFile)); });
}

std::shared_ptr<const EngineConstants> EnvironmentData::engine() const {
  return engine_.get([&] {
    return std::make_shared<const EngineConstants>(
        read_engine_calibration(required_file(libraries_, kEngineCalibrationFile)));
  });
}

PowerModel EnvironmentData::power(const std::string& architecture) const {
  const std::string& table = power_.get([&] { return read_text_file(required_file(libraries_, kPowerFile)); });
  return find_power_model(table, kPowerFile, architecture);
}

ServingSpreads EnvironmentData::serving_spreads(const Scenario& scenario) const {
  const std::string& table = spread_.get([&] { return read_text_file(required_file(libraries_, kSpreadFile)); });
  return flopcast::serving_spreads(table, kSpreadFile, scenario, error_of_die(scenario, *step_errors()));
}

std::shared_ptr<const StepErrors> EnvironmentData::step_errors() const {
  return step_errors_.get([&] {
    const std::string file = required_file(libraries_, kStepErrorsFile);
    return std::make_shared<const StepErrors>(parse_csv(read_text_file(file), file));
  });
}

std::shared_ptr<const RunLosses> EnvironmentData::run_losses() const {
  return run_losses_.get([&] {
    const std::string file = required_file(libraries_, kRunLossesFile);
    return std::make_shared<const RunLosses>(parse_csv(read_text_file(file), file));
  });
}

const PriceBook& EnvironmentData::prices() const {
  return prices_.get([&] { return PriceBook::load(libraries_); });
}

const std::vector<UsualSpread>& EnvironmentData::usual_spreads() const {
  return usual_spreads_.get([&] { return load_usual_spreads(libraries_); });
}

const EngineFlags& EnvironmentData::engine_flags() const {
  return engine_flags_.get([&] {
    const std::string file = required_file(libraries_, kEngineFlagsFile);
    return EngineFlags(parse_csv(read_text_file(file), file));
  });
}

Environment load_environment(const std::vector<std::string>& folders) {
  return Environment(std::make_shared<const EnvironmentData>(Libraries::discover(folders)));
}

const std::vector<std::string>& Environment::folders() const { return data_->libraries().roots(); }

std::vector<std::string> Environment::names(const std::string& kind) const {
  return data_->libraries().names(library_kind(kind));
}

std::string Environment::show(const std::string& name) const { return to_text(name, data_->libraries()); }

std::string version() { return "flopcast " FLOPCAST_VERSION; }

}  // namespace flopcast
