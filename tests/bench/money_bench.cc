// How fast is a priced scenario drawn?
#include <benchmark/benchmark.h>

#include "analysis/money/study/cost_study.h"
#include "tests/analysis/environment.h"
#include "tests/paths.h"

namespace flopcast {
namespace {

/// 10,000 draws over a programme under three price models, nothing replayed. Bar: 1 s each.
void ten_thousand_draws(benchmark::State& state) {
  const std::vector<std::string> folders{flopcast::testing::source_dir()};
  const Libraries libraries = Libraries::discover(folders);
  const Scenario scenario = testing::resolved("deepseek_v3_programme", {});
  const PriceBook book = PriceBook::load(libraries);
  const PowerModel power = testing::power_of(scenario);
  const std::vector<UsualSpread> usual = load_usual_spreads(libraries);
  CostQuestion question;
  question.models = {PriceModel::stated, PriceModel::owned, PriceModel::amortised};
  question.draws = 10000;
  for (auto _ : state) {
    const CostReport report = cost_study(scenario, *given_work(scenario), book, power, usual, question);
    benchmark::DoNotOptimize(report.models.front().uncertainty.at_medians);
  }
}

BENCHMARK(ten_thousand_draws)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace flopcast
