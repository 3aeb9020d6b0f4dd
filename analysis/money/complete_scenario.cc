#include "analysis/money/complete_scenario.h"

#include <stdexcept>

#include "analysis/money/cost_study.h"
#include "scenarios/read/calibration_file.h"
#include "scenarios/read/engine_calibration.h"
#include "scenarios/read/text_file.h"
#include "scenarios/resolve/load_scenario.h"
#include "scenarios/resolve/serving_scenario.h"

namespace flopcast {

std::string required_file(const Libraries& libraries, const std::string& path_below_root) {
  if (const auto file = libraries.find_file(path_below_root)) return *file;
  throw std::runtime_error(path_below_root + " is in none of the libraries' folders");
}

Scenario load_complete_scenario(const std::string& file_or_name, std::span<const std::string> sets,
                                const Libraries& libraries) {
  Scenario scenario = load_scenario(file_or_name, sets, libraries);
  scenario.kernels = std::make_shared<const KernelCalibration>(
      read_kernel_calibration(required_file(libraries, kKernelCalibrationFile)));
  scenario.links =
      std::make_shared<const LinkCalibration>(read_link_calibration(required_file(libraries, kLinkCalibrationFile)));
  // Reports of runs multiply with one price; where the file names a price model, it is looked up here.
  if (scenario.price.model != PriceModel::stated) {
    scenario.price.gpu = price_of_gpu(scenario, PriceBook::load(libraries),
                                      load_power_model(libraries, scenario.cluster.node.gpu.architecture));
  }
  if (scenario.training) {
    scenario.training->overheads =
        read_training_calibration(required_file(libraries, kTrainingCalibrationFile)).overheads;
  }
  if (scenario.serving) {
    auto serving = std::make_shared<ServingScenario>(*scenario.serving);
    serving->constants = std::make_shared<const EngineConstants>(
        read_engine_calibration(required_file(libraries, kEngineCalibrationFile)));
    // Where the file names a market instead of prices, they are looked up here.
    if (scenario.market) {
      const TokenPrices sold = *market_prices(scenario, PriceBook::load(libraries), scenario.date);
      serving->token_prices = {Usd(sold.input), Usd(sold.cached.value_or(sold.input)), Usd(sold.output), sold.source};
    }
    scenario.serving = std::move(serving);
  }
  return scenario;
}

PowerModel load_power_model(const Libraries& libraries, const std::string& architecture) {
  const std::string file = required_file(libraries, "analysis/data/power.csv");
  return find_power_model(read_text_file(file), file, architecture);
}

}  // namespace flopcast
