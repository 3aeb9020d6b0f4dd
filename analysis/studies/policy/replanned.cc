#include "analysis/studies/policy/replanned.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"
#include "analysis/face/run.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/parts/notes.h"
#include "analysis/runs/serving/saturation.h"
#include "analysis/runs/serving/served_figures.h"
#include "analysis/runs/training/projection.h"
#include "analysis/studies/plan/plan_study.h"
#include "analysis/studies/policy/design_scenario.h"
#include "scenarios/resolve/change_work.h"
#include "scenarios/resolve/laws/training_laws.h"
#include "scenarios/resolve/load_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/diagnostic.h"
#include "sim/base/fault_text.h"

namespace flopcast {
namespace {

constexpr double kPlansPriced = 5'000;
constexpr const char* kSchedules = "1f1b,interleaved_1f1b,dualpipe,dualpipev";
constexpr std::size_t kPlansReplayed = 3;
/// Loads are found to within this.
constexpr double kLoadWithin = 1.02;
constexpr double kLeastOfLoad = 1.0 / 64, kMostOfLoad = 64;
/// A limit of which the half costs a fixed plan less than this is not planned anew for: that could only cost less.
constexpr double kWorthReplanning = 0.1;

class Replanner {
 public:
  Replanner(const std::string& file, std::vector<std::string> sets, const ChipToTry& chip,
            const Environment& environment, const ReplanOptions& options)
      : file_(file), sets_(std::move(sets)), chip_(chip), environment_(environment), options_(options) {}

  ReplannedWork run() {
    const OpenScenario own = load_open_scenario(file_, sets_, libraries());
    out_.training = own.scenario.training.has_value();
    if (!chip_.node.empty()) {
      // As many GPUs as the scenario has, in nodes of the chip's.
      const int gpus = own.scenario.cluster.gpus();
      sets_.push_back("cluster.node=" + chip_.node);
      const int per_node = chip_.gpus_per_node;
      if (out_.training && gpus % per_node != 0) {
        out_.fault = fmt::format("{} GPUs are no whole number of nodes of {}", gpus, per_node);
        return out_;
      }
      sets_.push_back(fmt::format("cluster.nodes={}", (gpus + per_node - 1) / per_node));
    }
    try {
      if (out_.training) {
        train();
      } else {
        serve_it();
      }
    } catch (const InputError& error) {
      out_.fault = brief(error);
    }
    return out_;
  }

 private:
  const Libraries& libraries() const { return environment_.data().libraries(); }

  void infer(const Scenario& scenario) {
    const std::string note = unmeasured_note(scenario);
    if (note.empty()) return;
    out_.remark += out_.remark.empty() ? "" : "; ";
    out_.remark += note;
  }

  // Training.

  void train() {
    OpenScenario open;
    if (open_in_its_formats(file_, sets_, libraries(), open)) out_.remark = "in BF16: no FP8 units";
    Scenario scenario = std::move(open.scenario);
    const bool published = !scenario.published.empty() && chip_.node.empty();
    scenario.published.clear();
    scenario = completed(std::move(scenario), environment_.data()).value();
    const Bytes offered = scenario.cluster.node.gpu.hbm_usable();
    if (chip_.change) {
      chip_.change(scenario);
      keep_some_sms(scenario);
    }
    infer(scenario);
    out_.gpus = scenario.cluster.gpus();
    PlanSpace space = space_of(scenario, open.stated, false);
    const std::optional<PlanChoice> own = own_plan(scenario, space);
    if (own) {
      const TrainingReport report = replayed(with_plan(scenario, *own, space));
      if (report.fullest_memory().total() <= scenario.cluster.node.gpu.hbm_usable())
        out_.own_time = report.step_time.value();
    }
    const bool as_it_ran = published && scenario.cluster.node.gpu.hbm_usable() >= offered;
    if (as_it_ran) ran_ = own;
    std::optional<FoundPlan> best = found_plan(scenario, space, own);
    if (!best && options_.search_plan) {
      // Where memory is short more is computed twice.
      space = space_of(scenario, open.stated, true);
      best = found_plan(scenario, space, own);
    }
    if (!best) {
      out_.fault = "no plan fits into its memory";
      return;
    }
    out_.plan = plan_text(best->choice);
    if (const double fits = best->fits(); fits < kSurelyFits) {
      out_.remark += out_.remark.empty() ? "" : "; ";
      out_.remark += fmt::format("fits in {} of the draws of what its memory may be off by", format_percent(fits, 0));
    }
    const double step = best->report.step_time.value();
    const std::optional<StepRange>& range = best->report.range;
    out_.time = range ? Ranged{step, range->step_s.p5, range->step_s.p95} : Ranged{step, step, step};
    const double run = tokens_to_train(scenario);
    out_.tokens = run > 0 ? run : 1e12;
    const auto steps = out_.tokens / static_cast<double>(scenario.training->batch.tokens());
    out_.gpu_hours = out_.time.times(steps * out_.gpus / 3600);
    if (run > 0) out_.days = out_.time.times(steps / 86400);
    out_.own_gpu_hours = out_.own_time * steps * out_.gpus / 3600;
    if (!options_.what_binds) return;
    for (const Limit limit : kLimits)
      out_.halved[static_cast<std::size_t>(limit)] = halved_step(scenario, *best, space, limit) / step;
  }

  struct FoundPlan {
    PlanChoice choice;
    TrainingReport report;
    double fits() const { return report.range ? report.range->fits : 1; }
  };

  /// The fastest of the plans that are sure to fit; where none is, of those that fit by what is expected. Where the
  /// fastest fills a GPU so far that it is not sure, those that leave as much room as it lacks are searched too.
  std::optional<FoundPlan> found_plan(const Scenario& scenario, const PlanSpace& space,
                                      const std::optional<PlanChoice>& own) const {
    std::vector<ScreenedPlan> plans;
    if (options_.search_plan) plans = best_plans(scenario, space, own, std::nullopt);
    if (own && plans.empty()) plans.push_back({*own, {}});
    std::vector<FoundPlan> found = fitting(scenario, plans, space);
    if (found.empty()) return std::nullopt;
    const auto faster = [](const FoundPlan& a, const FoundPlan& b) { return a.report.step_time < b.report.step_time; };
    const FoundPlan& fastest = *std::min_element(found.begin(), found.end(), faster);
    if (options_.search_plan && fastest.fits() < kSurelyFits && fastest.report.range) {
      const Bytes lean = leaner_limit(scenario.cluster.node.gpu.hbm_usable(), fastest.report.fullest_memory().total(),
                                      Bytes(fastest.report.range->memory_p90_bytes));
      std::vector<FoundPlan> leaner = fitting(scenario, best_plans(scenario, space, std::nullopt, lean), space);
      std::move(leaner.begin(), leaner.end(), std::back_inserter(found));
    }
    const auto before = [&](const FoundPlan& a, const FoundPlan& b) {
      const bool a_unsure = a.fits() < kSurelyFits, b_unsure = b.fits() < kSurelyFits;
      return a_unsure != b_unsure ? b_unsure : faster(a, b);
    };
    return std::move(*std::min_element(found.begin(), found.end(), before));
  }

  std::vector<FoundPlan> fitting(const Scenario& scenario, const std::vector<ScreenedPlan>& plans,
                                 const PlanSpace& space) const {
    std::vector<FoundPlan> out;
    for (const ScreenedPlan& plan : plans) {
      FoundPlan found{plan.choice, replayed(with_plan(scenario, plan.choice, space))};
      if (found.report.fullest_memory().total() > scenario.cluster.node.gpu.hbm_usable()) continue;
      if (ran_ && found.choice == *ran_ && found.report.range) found.report.range->fits = 1;
      out.push_back(std::move(found));
    }
    return out;
  }

  /// With half of a figure, s: planned anew where the plan that was found would lose much, as a plan is made for what
  /// there is.
  double halved_step(const Scenario& scenario, const FoundPlan& best, const PlanSpace& space, Limit limit) const {
    const double step = best.report.step_time.value();
    Scenario fixed = with_plan(scenario, best.choice, space);
    scale_limit(fixed, limit, 0.5);
    double least = step_time(fixed, *fixed.training, run_settings(fixed)).value();
    if (!options_.search_plan || least < (1 + kWorthReplanning) * step) return least;
    Scenario cut = scenario;
    scale_limit(cut, limit, 0.5);
    if (const std::optional<FoundPlan> anew = found_plan(cut, space, best.choice))
      least = std::min(least, anew->report.step_time.value());
    return least;
  }

  static PlanSpace space_of(const Scenario& scenario, const std::set<std::string>& stated, bool recompute) {
    OpenFields fields;
    fields.stated = stated;
    fields.open = {"all"};
    fields.keep = {"training.plan.context", "training.plan.context_exchange", "training.plan.expert_tensor"};
    if (!recompute) fields.keep.emplace_back("training.recompute");
    std::string schedules = kSchedules;
    const std::string& own = scenario.training->schedule;
    if (own.empty() || schedules.find(own) == std::string::npos) schedules += own.empty() ? "" : "," + own;
    fields.allowed = {"training.schedule=" + schedules};
    return plan_space(scenario, fields, {});
  }

  std::vector<ScreenedPlan> best_plans(const Scenario& scenario, const PlanSpace& space,
                                       const std::optional<PlanChoice>& own, std::optional<Bytes> most) const {
    SearchOptions search;
    if (most)
      search.accepts = [most](const PlanChoice&, const StepEstimate& estimate) { return estimate.memory <= *most; };
    search.keep = kPlansReplayed;
    search.effort = kPlansPriced;
    search.ranked = own;
    SearchResult found = search_plans(space, estimator_of(scenario, space), search);
    if (found.ranked && found.ranked->estimate.fits) found.best.push_back(*found.ranked);
    return found.best;
  }

  RunOptions run_settings(const Scenario& scenario) const {
    RunOptions options;
    options.allow_oom = true;
    options.project = false;
    options.power = environment_.data().power(scenario.cluster.node.gpu.architecture);
    options.errors = environment_.data().step_errors();
    return options;
  }

  TrainingReport replayed(const Scenario& scenario) const { return run_training(scenario, run_settings(scenario)); }

  // Serving.

  /// The scenario on the chip, its answers spread over so many GPUs; 0: as it states.
  Scenario service(int spread) {
    std::vector<std::string> sets = sets_;
    if (spread > 0) {
      sets.push_back(fmt::format("serving.decode.attention_data={}", spread));
      sets.push_back(fmt::format("serving.decode.expert={}", spread));
    }
    Scenario scenario;
    try {
      scenario = resolve(file_, environment_, sets).value();
    } catch (const InputError& error) {
      // A chip without FP8 serves in BF16.
      for (const Diagnostic& fault : error.diagnostics()) {
        if (!fault.field.starts_with("serving.") || !fault.expected.starts_with("bf16")) throw;
        sets.push_back(fault.field + "=bf16");
      }
      lacks_formats_ = true;
      scenario = resolve(file_, environment_, sets).value();
    }
    if (chip_.change) {
      chip_.change(scenario);
      keep_some_sms(scenario);
    }
    if (spread > 0) {
      const double share = static_cast<double>(spread) / own_spread_;
      change_serving(scenario, [&](ServingScenario& s) { s.traffic = with_load(s.traffic, share); });
    }
    return scenario;
  }

  /// So many times the users, and requests in proportion: long enough a replay, and no longer.
  static TrafficConfig with_load(TrafficConfig traffic, double factor) {
    const std::uint64_t requests = traffic.requests;
    traffic = times_as_much(std::move(traffic), factor);
    if (factor < 1)
      traffic.requests =
          std::max<std::uint64_t>(200, static_cast<std::uint64_t>(static_cast<double>(requests) * factor));
    return traffic;
  }

  static Scenario at_load(const Scenario& base, double load) {
    Scenario scenario = base;
    if (load != 1) change_serving(scenario, [&](ServingScenario& s) { s.traffic = with_load(s.traffic, load); });
    return scenario;
  }

  ServingReport replayed_service(const Scenario& scenario) const {
    return run_serving(scenario, serving_options(scenario, environment_, {}));
  }

  /// What is promised: the scenario's own level, or the time per output token asked for.
  void promise(Scenario& scenario) const {
    change_serving(scenario, [&](ServingScenario& s) {
      for (ServiceLevel& level : s.levels) {
        if (level.ttft >= kNever && level.tpot >= kNever && level.end_to_end >= kNever)
          level.tpot = Seconds(options_.tpot_s);
      }
    });
  }

  bool kept(const ServingReport& report) const {
    return report.state != LoadState::overloaded && report.all.slo_attainment() >= options_.attainment;
  }

  void serve_it() {
    Scenario own = service(0);
    const PoolSpec& answers = own.serving->answer_pool();
    const ServingPlan& plan = answers.engine.plan;
    own_spread_ = plan.attention_data;
    const bool spread = own.serving->pools.size() > 1 && plan.expert > 8 && plan.expert == plan.attention_data &&
                        plan.tensor == 1 && answers.replicas == 1;
    const ServingReport as_stated = replayed_service(own);
    const ServedFigures stated = figures_of(as_stated);
    out_.own_time = stated.tpot.value();
    // Of a load that is stated GPU-hours say nothing of a chip: they are those of the load.
    if (waits_for_answers(own.serving->traffic)) out_.own_gpu_hours = stated.answer_hours();
    if (lacks_formats_) out_.remark = "in BF16: no FP8 units";
    infer(own);
    if (!options_.search_plan) {
      take(as_stated, own);
    } else {
      std::vector<int> spreads{0};
      if (spread && own_spread_ % 16 == 0) spreads.push_back(own_spread_ / 2);
      for (const int gpus : spreads) try_spread(gpus);
    }
    if (!best_scenario_) {
      out_.fault = fmt::format("no load keeps the promise ({}): at the scenario's own an output token takes {}",
                               promised(own), format_time(Seconds(out_.own_time)));
      return;
    }
    if (!options_.what_binds) return;
    for (const Limit limit : kLimits) {
      Scenario cut = *best_scenario_;
      scale_limit(cut, limit, 0.5);
      const double time = figures_of(replayed_service(cut)).tpot.value();
      out_.halved[static_cast<std::size_t>(limit)] = time / out_.time.value;
    }
  }

  std::string promised(Scenario scenario) const {
    promise(scenario);
    return limits_of(scenario.serving->levels.front());
  }

  void try_spread(int gpus) {
    Scenario base;
    try {
      base = service(gpus);
    } catch (const InputError&) {
      if (gpus == 0) throw;
      return;  // that many do not divide the model
    }
    promise(base);
    const auto good = [&](double load) {
      const Scenario scenario = at_load(base, load);
      const ServingReport report = replayed_service(scenario);
      if (!kept(report)) return false;
      take(report, scenario);
      return true;
    };
    const double low = doubled_load(good, kLeastOfLoad, kMostOfLoad);
    if (low > 0 && low < kMostOfLoad) bisect_load(good, low, kLoadWithin);
  }

  /// Which promise the service comes nearest to, in words: of each the figure that so many of the requests have to
  /// keep, over what is promised.
  std::string promise_that_binds(const ServingReport& report, const Scenario& scenario) const {
    struct Promise {
      double share;
      std::string text;
    };
    std::vector<Promise> promises;
    const auto add = [&](const QuantileSketch& found, Seconds promised, const char* what) {
      if (promised >= kNever || found.count() == 0) return;
      const double value = found.quantile(options_.attainment);
      promises.push_back({value / promised.value(), fmt::format("{}: {} of {} promised", what,
                                                                format_time(Seconds(value)), format_time(promised))});
    };
    for (const ServiceLevel& level : scenario.serving->levels) {
      add(report.all.ttft, level.ttft, "the first token");
      add(report.all.tpot, level.tpot, "the time per output token");
      add(report.all.end_to_end, level.end_to_end, "the whole answer");
    }
    if (promises.empty()) return "";
    return std::max_element(promises.begin(), promises.end(),
                            [](const auto& a, const auto& b) { return a.share < b.share; })
        ->text;
  }

  /// Where it gives more tokens per GPU than what was found before.
  void take(const ServingReport& report, const Scenario& scenario) {
    const ServedFigures f = figures_of(report);
    const double hours = f.answer_hours();
    if (hours <= 0 || (best_scenario_ && hours >= out_.gpu_hours.value)) return;
    best_scenario_ = scenario;
    out_.gpus = static_cast<int>(std::lround(f.answer_gpus));
    out_.users_per_gpu = f.under_way_per_gpu;
    const auto ranged = [&](double value) {
      return Ranged{value, value * report.spread.tpot.low, value * report.spread.tpot.high};
    };
    out_.time = ranged(f.tpot.value());
    // At a fixed number of users what one token takes is what a GPU-hour gives.
    out_.gpu_hours = ranged(hours);
    out_.tokens = 1e6;
    out_.plan = fmt::format("{} GPUs, {:.3g} answers under way on each", out_.gpus, out_.users_per_gpu);
    out_.binding = promise_that_binds(report, scenario);
    if (!out_.binding.empty())
      out_.plan += fmt::format("; nearest to its promise at {} of requests is {}",
                               format_percent(options_.attainment, 0), out_.binding);
  }

  const std::string& file_;
  std::vector<std::string> sets_;
  const ChipToTry& chip_;
  const Environment& environment_;
  const ReplanOptions& options_;
  int own_spread_ = 0;
  bool lacks_formats_ = false;     ///< the scenario's, so that it is served in BF16
  std::optional<PlanChoice> ran_;  ///< a plan that was published, and so did run: there is no doubt that it fits
  std::optional<Scenario> best_scenario_;
  ReplannedWork out_;
};

}  // namespace

std::string_view name_of(Limit limit) {
  switch (limit) {
    case Limit::compute:
      return "computing rate";
    case Limit::memory:
      return "memory bandwidth";
    case Limit::nvlink:
      return "NVLink";
    case Limit::nic:
      break;
  }
  return "NICs";
}

void scale_limit(Scenario& scenario, Limit limit, double by) {
  NodeSpec& node = scenario.cluster.node;
  switch (limit) {
    case Limit::compute:
      scale_compute(scenario, by);
      break;
    case Limit::memory:
      node.gpu.hbm_bandwidth *= by;
      break;
    case Limit::nvlink:
      node.nvlink_bandwidth *= by;
      node.gpu.nvlink_bandwidth *= by;
      break;
    case Limit::nic:
      node.nic_bandwidth *= by;
      // A faster NIC is held by the port it is plugged into: a network without the limit has both.
      if (by > 1) scenario.cluster.fabric.port_bandwidth *= by;
      break;
  }
}

ReplannedWork replan(const std::string& file, const std::vector<std::string>& sets, const ChipToTry& chip,
                     const Environment& environment, const ReplanOptions& options) {
  return Replanner(file, sets, chip, environment, options).run();
}

std::string what_was_searched(bool training, const ReplanOptions& options) {
  if (training) {
    return fmt::format(
        "training: tensor, pipeline, data and expert parallelism, micro-batch, ZeRO, dispatcher, overlaps, schedule "
        "({} "
        "and the scenario's own), recomputation where nothing fits as stated; at most {} plans priced in closed form "
        "on "
        "each chip, the best {} and the scenario's own replayed; the same batch, and as many GPUs of each chip; where "
        "half of a limit costs the plan that was found {:.0f} % or more it is searched again for what binds",
        kSchedules, format_integer(kPlansPriced), kPlansReplayed, 100 * kWorthReplanning);
  }
  return fmt::format(
      "serving: the most users (within {:.0f} %) with which {:.0f} % of the requests keep the promise, on as many GPUs "
      "as the scenario spreads its experts over and on half as many; prefill is as the scenario has it",
      100 * (kLoadWithin - 1), 100 * options.attainment);
}

}  // namespace flopcast
