#include "analysis/runs/rl/rl_ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/runs/rl/rl_report.h"
#include "scenarios/resolve/scenario.h"
#include "sim/base/random.h"

namespace flopcast {
namespace {

constexpr int kDrawsOfLoops = 4000;
constexpr std::uint64_t kSeedOfLoops = 3;
constexpr double kNinetyFive = 1.6448536269514722;  // quantile of the normal distribution

/// A factor whose logarithm is normal on either side of 0, each side as wide as the spread says.
double drawn_factor(const TimeSpread& spread, double normal) {
  const double reach = std::log(normal < 0 ? std::min(1.0, spread.low) : std::max(1.0, spread.high)) / kNinetyFive;
  return std::exp(std::abs(normal) * reach);
}

double log_sd_of(const TimeSpread& spread) {
  return std::log(std::max(1.0, spread.high) / std::min(1.0, spread.low)) / (2 * kNinetyFive);
}

/// What the step is made of.
struct Shares {
  double writing;  // the engine's, as far as anybody waits for it
  double behind;   // and what it does meanwhile that nobody waits for, or has room for
  double training, sync, rest;
};

Shares shares_of(const RlStepMeans& step, bool separate) {
  Shares of{};
  of.writing = (step.part(RlPart::generation) + step.part(RlPart::drain)).value();
  of.training = step.training().value();
  of.sync = step.part(RlPart::sync).value();
  of.rest = step.length.value() - of.writing - of.training - of.sync;
  if (!separate) return of;
  const double engine = std::max(of.writing, (step.awake - step.empty).value());
  of.behind = of.writing > 0 ? engine - of.writing : std::max(engine, of.training);
  return of;
}

/// Of parts that the trainer computes: products of the widest kind that it has.
StepError trainer_error(const Scenario& scenario, const StepErrors& errors) {
  const TrainingConfig& config = scenario.rl->update;
  const bool experts = config.model.moe.experts > 0;
  const std::string_view kind = experts                                      ? "expert_gemm"
                                : config.precision.linear != Precision::bf16 ? "gemm_fp8"
                                                                             : "gemm";
  StepError out = errors.of(kind);
  const KnownDie die = scenario.kernels ? known_die(*scenario.kernels, scenario.cluster.node.gpu) : KnownDie::measured;
  if (die != KnownDie::measured) {
    const double related = die == KnownDie::architecture ? errors.of("die_of_architecture").log_sd : 1;
    out.log_sd = std::hypot(out.log_sd, related * errors.of("die_" + std::string(kind)).log_sd);
  }
  const double software = software_error(config.software, experts, config.adapter_rank > 0, errors);
  out.log_sd = std::hypot(out.log_sd, software);
  out.title = fmt::format("the trainer ({})", config.software.name.empty() ? "the software" : config.software.name);
  return out;
}

}  // namespace

LoopErrors loop_errors(const Scenario& scenario, const TimeSpread& engine, const StepErrors& errors) {
  const RlScenario& rl = *scenario.rl;
  LoopErrors out;
  out.engine = engine;
  if (rl.trains()) out.trainer = trainer_error(scenario, errors);
  out.links = errors.of("data_exchange");
  out.whole = errors.of(rl.loop.framework.empty() ? "loop_unknown" : "loop");
  return out;
}

LoopRanges loop_ranges(const RlStepMeans& step, bool separate, const LoopErrors& errors) {
  const Shares of = shares_of(step, separate);
  const double length = step.length.value();
  LoopRanges out;
  double parts = 0;
  const auto input = [&](const std::string& title, double log_sd, double seconds, const std::string& source) {
    const double variance = std::pow(log_sd * seconds / length, 2);
    parts += variance;
    if (variance > 0) out.inputs.push_back({title, log_sd, variance, source});
  };
  input("the engine", log_sd_of(errors.engine), of.writing, "analysis/data/serving_spread.csv");
  input(errors.trainer.title, errors.trainer.log_sd, of.training, errors.trainer.source);
  input(errors.links.title, errors.links.log_sd, of.sync, errors.links.source);
  // Published steps are off by all of it: the parts' own errors are in theirs.
  const double whole = std::sqrt(std::max(0.0, std::pow(errors.whole.log_sd, 2) - parts));
  if (whole > 0) out.inputs.push_back({errors.whole.title, whole, whole * whole, errors.whole.source});
  double all = 0;
  for (const RangeInput& i : out.inputs) all += i.variance_share;
  for (RangeInput& i : out.inputs) i.variance_share /= all;
  std::stable_sort(out.inputs.begin(), out.inputs.end(),
                   [](const RangeInput& a, const RangeInput& b) { return a.variance_share > b.variance_share; });

  RandomStream engines(kSeedOfLoops, 0), trainers(kSeedOfLoops, 1), links(kSeedOfLoops, 2), wholes(kSeedOfLoops, 3);
  std::vector<double> steps, writings, trainings, syncs;
  for (int draw = 0; draw < kDrawsOfLoops; ++draw) {
    const double engine = drawn_factor(errors.engine, engines.normal());
    const double trainer = std::exp(errors.trainer.log_sd * trainers.normal());
    const double all_of_it = std::exp(errors.whole.log_mean + whole * wholes.normal());
    const double training = of.training * trainer * all_of_it;
    const double sync = of.sync * std::exp(errors.links.log_sd * links.normal()) * all_of_it;
    const double writing = separate ? std::max(0.0, (of.writing + of.behind) * engine - of.behind * trainer) * all_of_it
                                    : of.writing * engine * all_of_it;
    steps.push_back(writing + training + sync + of.rest * all_of_it);
    writings.push_back(writing);
    trainings.push_back(training);
    syncs.push_back(sync);
  }
  out.step_s = quantiles(std::move(steps));
  out.generation_s = quantiles(std::move(writings));
  out.training_s = quantiles(std::move(trainings));
  out.sync_s = quantiles(std::move(syncs));
  return out;
}

}  // namespace flopcast
