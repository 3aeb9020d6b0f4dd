// From a file, a name or a text to a scenario that lacks nothing.
#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "analysis/face/environment_data.h"
#include "analysis/face/placed.h"
#include "analysis/face/resolve.h"
#include "analysis/face/run.h"
#include "analysis/money/study/cost_study.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/metrics.h"
#include "analysis/runs/rl/rl_run.h"
#include "analysis/runs/serving/serving_run.h"
#include "analysis/runs/training/run.h"
#include "flopcast/scenario.h"
#include "scenarios/resolve/change_work.h"
#include "scenarios/resolve/load_scenario.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {
namespace {

/// Runs each of the steps, then throws everything that they found wrong at once.
class Faults {
 public:
  /// @param file that faults without a place of their own are in.
  explicit Faults(std::string file) : file_(std::move(file)) {}

  template <class Step>
  void gather(Step&& step) {
    try {
      step();
    } catch (const InputError& error) {
      for (Diagnostic fault : error.diagnostics()) {
        if (fault.file.empty()) fault.file = file_;
        found_.push_back(std::move(fault));
      }
    }
  }
  void throw_any() const {
    if (!found_.empty()) throw InputError(found_);
  }

 private:
  std::string file_;
  std::vector<Diagnostic> found_;
};

}  // namespace

ResolvedScenario completed(Scenario scenario, const EnvironmentData& data) {
  scenario.kernels = data.kernels();
  scenario.links = data.links();
  if (scenario.training) scenario.training->overheads = data.training().overheads;
  Faults faults(scenario.file);
  faults.gather([&] { check_published(scenario); });
  // Reports of runs multiply with one price; where the file names a price model, it is looked up here.
  if (scenario.price.model != PriceModel::stated) {
    faults.gather([&] {
      scenario.price.gpu = price_of_gpu(scenario, data.prices(), data.power(scenario.cluster.node.gpu.architecture),
                                        engine_power(scenario, data));
    });
  }
  if (scenario.serving) {
    change_serving(scenario, [&](ServingScenario& serving) { serving.constants = data.engine(); });
    // Where the file names a market instead of prices, they are looked up here.
    if (scenario.market) {
      faults.gather([&] {
        const TokenPrices sold = *market_prices(scenario, data.prices(), scenario.date);
        change_serving(scenario, [&](ServingScenario& serving) {
          serving.token_prices = {Usd(sold.input), Usd(sold.cached.value_or(sold.input)), Usd(sold.output),
                                  sold.source};
        });
      });
    }
  }
  if (scenario.rl) {
    change_loop(scenario, [&](RlScenario& loop) {
      loop.constants = data.engine();
      loop.update.overheads = data.training().overheads;
    });
  }
  faults.throw_any();
  return ResolvedScenario(std::make_shared<const Scenario>(std::move(scenario)));
}

ResolvedScenario resolve(const std::string& name_or_file, const Environment& environment,
                         const std::vector<std::string>& overrides) {
  const EnvironmentData& data = environment.data();
  return completed(load_scenario(name_or_file, overrides, data.libraries()), data);
}

ResolvedScenario resolve_text(const std::string& text, const std::string& label, const Environment& environment,
                              const std::vector<std::string>& overrides) {
  const EnvironmentData& data = environment.data();
  return completed(load_scenario_text(text, label, overrides, data.libraries()), data);
}

namespace {

/// @throws InputError
std::string checked(const Scenario& scenario) {
  if (scenario.training) {
    Scenario folded = scenario;
    folded.training->unfolded = false;
    const MemoryTable fullest = check_fit(folded);
    return fmt::format("{} micro-batches per step, {} of {} on the fullest GPU", scenario.training->micro_batches(),
                       format_bytes(fullest.total()), format_bytes(scenario.cluster.node.gpu.hbm_usable()));
  }
  if (scenario.rl) {
    return rl_facts(scenario, ReplayOptions{});
  }
  if (!scenario.serving) return "";
  return serving_facts(scenario).substr(std::string_view("; ").size());  // as `check` of the command line goes on
}

}  // namespace

std::string check(const ResolvedScenario& resolved) {
  const Scenario& scenario = resolved.value();
  return with_places(scenario, [&] { return checked(scenario); });
}

std::string_view name_of(Work work) {
  switch (work) {
    case Work::training:
      return "training";
    case Work::serving:
      return "serving";
    case Work::collective:
      return "collective";
    case Work::rl:
      return "rl";
    case Work::life:
      return "life";
    case Work::given:
      return "given";
  }
  return "";
}

const std::string& ResolvedScenario::name() const { return scenario_->name; }
const std::string& ResolvedScenario::title() const { return scenario_->title; }
const std::string& ResolvedScenario::file() const { return scenario_->file; }
int ResolvedScenario::gpus() const { return scenario_->cluster.gpus(); }
const std::vector<std::string>& ResolvedScenario::notes() const { return scenario_->notes; }
const std::vector<std::string>& ResolvedScenario::defaults_used() const { return scenario_->defaults_used; }

Work ResolvedScenario::work() const {
  if (given_work(*scenario_)) return Work::given;
  if (scenario_->rl) return Work::rl;
  if (scenario_->training) return Work::training;
  if (scenario_->serving) return Work::serving;
  return scenario_->cluster_life ? Work::life : Work::collective;
}

}  // namespace flopcast
