#include "analysis/studies/plan/plan_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <tuple>

#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/metrics.h"
#include "analysis/runs/training/projection.h"
#include "analysis/runs/training/run.h"
#include "analysis/studies/figure_names.h"
#include "analysis/studies/plan/plan_conditions.h"
#include "scenarios/resolve/laws/training_laws.h"
#include "sim/base/diagnostic.h"
#include "sim/base/random.h"
#include "sim/jobs/packed.h"

namespace flopcast {
namespace {

std::string full_field(const std::string& path) {
  const std::size_t dot = path.find_first_of(".=");
  const std::string first = path.substr(0, dot);
  const bool of_training = first == "plan" || first == "batch" || first == "recompute" || first == "schedule";
  return of_training ? "training." + path : path;
}

Scenario open_scenario(const OpenScenario& open, const Environment& environment) {
  if (!open.scenario.training) {
    throw InputError(Diagnostic{open.scenario.file, 0, 0, "training", "nothing",
                                "training { ... }: the plan of a training step is what is searched", ""});
  }
  Scenario scenario = open.scenario;
  scenario.published.clear();  // of the plan that was published, not of those that are tried
  return completed(std::move(scenario), environment.data()).value();
}

std::vector<PrecisionPlan> further_precisions(const Scenario& scenario, const std::vector<std::string>& names) {
  std::vector<PrecisionPlan> result;
  for (const std::string& name : names) {
    PrecisionPlan plan = scenario.training->precision;
    if (name == "fp8") {
      if (scenario.cluster.node.gpu.fp8_peak <= FlopPerSecond(0)) {
        throw InputError(Diagnostic{scenario.file, 0, 0, "--precision", "fp8",
                                    fmt::format("bf16: {} has no FP8 units", scenario.cluster.node.gpu.name), ""});
      }
      plan.linear = Precision::fp8;
      if (plan.scaling == Scaling::none) plan.scaling = Scaling::per_tensor;  // as where a file states FP8 alone
    } else {
      plan.linear = plan.dispatch = plan.activations = Precision::bf16;
      plan.scaling = Scaling::none;
      plan.bf16_layers = 0;
      plan.current_scales = false;
    }
    result.push_back(plan);
  }
  return result;
}

class Study {
 public:
  Study(const std::string& file, const Environment& environment, const std::vector<std::string>& sets,
        const PlanOptions& options)
      : file_(file), environment_(environment), sets_(sets), options_(options) {}

  PlanStudy run() && {
    const OpenScenario open = load_open_scenario(file_, sets_, environment_.data().libraries());
    study_.base = open_scenario(open, environment_);
    own_ran_ = !open.scenario.published.empty() && !open.scenario.run_changed;
    study_.text = open.text;
    OpenFields fields = options_.open;
    fields.stated = open.stated;
    where_ = conditions_of(study_.base, options_.where);
    study_.space = plan_space(study_.base, fields, further_precisions(study_.base, options_.precisions));
    for (const PlanField& field : plan_fields()) {
      if (fields.varies(field.path)) study_.varied.emplace_back(field.path);
    }
    const std::optional<PlanChoice> own = own_plan(study_.base, study_.space);
    study_.search = search(study_.space, own, "searching plans");
    if (study_.search.best.empty()) throw InputError(nothing_fits(study_.space, study_.search));
    replay(own);
    for (const std::string& asked : options_.why) answer(asked);
    return std::move(study_);
  }

 private:
  SearchResult search(const PlanSpace& space, const std::optional<PlanChoice>& ranked, const std::string& stage) {
    SearchOptions options;
    options.workers = options_.workers;
    options.keep = static_cast<std::size_t>(std::max(40, 2 * options_.replays));
    options.ranked = ranked;
    options.effort = options_.effort;
    options.rank_slack = options_.rank_slack;
    options.longest = options_.longest;
    if (!where_.empty() || lean_) {
      options.accepts = [this](const PlanChoice& choice, const StepEstimate& estimate) {
        if (lean_ && estimate.memory > *lean_) return false;
        return where_.empty() ||
               all_hold(where_, screened_lookup(study_.base, choice, estimate)) != std::optional<bool>(false);
      };
    }
    if (options_.progress) {
      options.progress = [this, stage](std::size_t done, std::size_t all) {
        return options_.progress(stage, done, all);
      };
    }
    if (&space != &study_.space) return search_plans(space, estimator_of(study_.base, space), options);
    std::size_t given = 0;
    const auto make = [&] {
      if (given == estimators_.size()) estimators_.push_back(estimator_of(study_.base, space)());
      return estimators_[given++];
    };
    return search_plans(space, make, options);
  }

  std::vector<ReplayedPlan> replayed(const PlanSpace& space, const std::vector<ScreenedPlan>& plans) {
    study_.replayed += plans.size();
    return replay_plans(study_.base, space, plans, environment_, where_, options_.workers,
                        [this](std::size_t done, std::size_t all) {
                          return !options_.progress || options_.progress("replaying the best", done, all);
                        });
  }

  /// @return plans that fit and that conditions accept: those that surely fit, and of these the fastest, first.
  static std::vector<ReplayedPlan> ranked(std::vector<ReplayedPlan> plans) {
    std::erase_if(plans, [](const ReplayedPlan& plan) { return !plan.fits || plan.accepted == false; });
    std::stable_sort(plans.begin(), plans.end(), [](const ReplayedPlan& a, const ReplayedPlan& b) {
      return std::pair{!a.surely_fits(), a.step} < std::pair{!b.surely_fits(), b.step};
    });
    return plans;
  }

  /// The best of each kind: of plans that differ in switches, recomputation, layer split and chunks alone, only the
  /// first is shown.
  static std::vector<ScreenedPlan> distinct(const std::vector<ScreenedPlan>& plans, int most) {
    std::set<PlanChoice> kinds;
    std::vector<ScreenedPlan> chosen;
    for (const ScreenedPlan& plan : plans) {
      PlanChoice kind = plan.choice;
      kind.sequence_parallel = kind.tensor_overlap = kind.overlap_gradients = kind.overlap_parameters = true;
      kind.recompute = {};
      kind.chunks = 1;
      kind.context_exchange = ContextExchange::ring;
      kind.split = PlanChoice::Split::balanced;
      if (kinds.insert(kind).second) chosen.push_back(plan);
      if (static_cast<int>(chosen.size()) == most) break;
    }
    return chosen;
  }

  void replay(const std::optional<PlanChoice>& own) {
    std::vector<ScreenedPlan> chosen = distinct(study_.search.best, options_.replays);
    const bool own_too = own && study_.search.ranked && study_.search.ranked->estimate.fits;
    if (own_too) chosen.push_back(*study_.search.ranked);
    std::vector<ReplayedPlan> plans = replayed(study_.space, chosen);
    // Of a plan that was published, and so did run, there is no doubt that it fits.
    for (ReplayedPlan& plan : plans)
      if (own_ran_ && own && plan.fits && plan.screened.choice == *own) plan.ran = true;
    if (own_too) {
      study_.own = plans.back();
      plans.pop_back();
      // Where the best that was found loses to the plan that is there already, that one is the best.
      const bool listed = std::any_of(plans.begin(), plans.end(),
                                      [&](const ReplayedPlan& plan) { return plan.screened.choice == *own; });
      if (!listed && in_space(*own)) plans.push_back(*study_.own);
    }
    const std::vector<ReplayedPlan> all = plans;
    study_.plans = ranked(std::move(plans));
    if (!study_.plans.empty()) add_leaner();
    if (study_.plans.empty()) throw InputError(nothing_accepted(all));
  }

  /// Where the fastest plan fills a GPU so far that it would not fit in more than one draw in ten: the fastest of those
  /// that leave as much room as that one lacks.
  void add_leaner() {
    const auto fastest = std::min_element(study_.plans.begin(), study_.plans.end(),
                                          [](const auto& a, const auto& b) { return a.step < b.step; });
    if (fastest->surely_fits() || fastest->memory_p90 <= Bytes(0)) return;
    lean_ = leaner_limit(study_.base.cluster.node.gpu.hbm_usable(), fastest->memory, fastest->memory_p90);
    const SearchResult leaner = search(study_.space, std::nullopt, "searching plans that leave room");
    lean_.reset();
    std::vector<ScreenedPlan> chosen = distinct(leaner.best, std::max(1, options_.replays / 4));
    std::erase_if(chosen, [&](const ScreenedPlan& plan) {
      return std::any_of(study_.plans.begin(), study_.plans.end(),
                         [&](const ReplayedPlan& known) { return known.screened.choice == plan.choice; });
    });
    std::vector<ReplayedPlan> plans = study_.plans;
    for (ReplayedPlan& plan : replayed(study_.space, chosen)) plans.push_back(std::move(plan));
    study_.plans = ranked(std::move(plans));
  }

  bool in_space(const PlanChoice& own) const {
    const std::vector<PlanChoice> shapes = study_.space.shapes();
    return std::any_of(shapes.begin(), shapes.end(), [&](const PlanChoice& shape) {
      return shape.tensor == own.tensor && shape.context == own.context && shape.pipeline == own.pipeline &&
             shape.expert == own.expert && shape.expert_tensor == own.expert_tensor &&
             shape.micro_batch_sequences == own.micro_batch_sequences;
    });
  }

  Diagnostic nothing_fits(const PlanSpace& space, const SearchResult& result) const {
    Diagnostic d;
    d.file = study_.base.file;
    d.field = "training.plan";
    const Bytes capacity = study_.base.cluster.node.gpu.hbm_usable();
    if (result.shapes == 0) {
      d.found = "no plan";
      d.expected =
          fmt::format("degrees that multiply to the {} GPUs and divide the model and the batch of {} sequences",
                      space.gpus, space.base.batch.sequences);
      d.remedy = "open more of it: --open plan, --open batch.micro_batch_sequences, or another number of sequences";
    } else if (result.leanest && result.refused == 0) {
      d.found = fmt::format("no plan that fits; the leanest ({}) needs {} on the fullest GPU",
                            plan_text(result.leanest->choice), format_bytes(result.leanest->estimate.memory));
      d.expected = fmt::format("at most {}", format_bytes(capacity));
      d.remedy = "more GPUs, --open recompute, BF16 gradients or moments, or a shorter sequence";
    } else {
      d.found = fmt::format("{} plans that fit, none that meets every condition", format_integer(result.refused));
      d.expected = fmt::format("{}", fmt::join(options_.where, " and "));
      d.remedy = "a weaker --where";
    }
    return d;
  }

  /// Every plan of the search fits by the closed form; replayed, none fits or meets the conditions.
  Diagnostic nothing_accepted(const std::vector<ReplayedPlan>& plans) const {
    Diagnostic d;
    d.file = study_.base.file;
    const auto fitting = std::count_if(plans.begin(), plans.end(), [](const ReplayedPlan& p) { return p.fits; });
    if (fitting == 0) {
      d.field = "training.plan";
      d.found = fmt::format("{} plans that fit by the closed form, none when replayed", plans.size());
      d.expected = fmt::format("at most {}", format_bytes(study_.base.cluster.node.gpu.hbm_usable()));
      d.remedy = "more --replays, more GPUs, or --open recompute";
      return d;
    }
    d.field = "--where";
    d.found = fmt::format("{} plans that fit and were replayed, none that meets every condition: {}", fitting,
                          fmt::join(unmet_conditions(where_, plans), "; "));
    d.expected = fmt::format("{}", fmt::join(options_.where, " and "));
    d.remedy = "a weaker --where, or more --replays: the fastest by the closed form were looked at";
    return d;
  }

  // Why not.

  void answer(const std::string& asked) {
    PlanAnswer answer;
    answer.asked = full_field(asked);
    std::vector<std::string> sets = sets_;
    std::set<std::string> paths;
    std::string rest = answer.asked;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      sets.push_back(full_field(rest.substr(0, end)));
      paths.insert(sets.back().substr(0, sets.back().find('=')));
      rest = end < rest.size() ? rest.substr(end + 1) : "";
    }
    const OpenScenario open = load_open_scenario(file_, sets, environment_.data().libraries());
    const Scenario scenario = open_scenario(open, environment_);
    OpenFields fields = options_.open;
    fields.stated = open.stated;
    for (const std::string& path : paths) fields.keep.push_back(path);
    std::erase_if(fields.allowed, [&](const std::string& entry) {
      return paths.count(full_field(entry.substr(0, entry.find('=')))) > 0;
    });
    const PlanSpace space = asked_space(scenario, fields);
    const SearchResult result = search(space, std::nullopt, answer.asked);
    if (result.shapes == 0 || (result.best.empty() && !result.leanest && result.refused == 0)) {
      answer.verdict = PlanAnswer::Verdict::impossible;
      answer.text = impossible(scenario, space);
    } else if (result.best.empty() && result.refused > 0) {
      answer.verdict = PlanAnswer::Verdict::condition;
      answer.text = fmt::format("it fits, but never with {}", fmt::join(options_.where, " and "));
    } else if (result.best.empty()) {
      answer.verdict = PlanAnswer::Verdict::memory;
      const Bytes capacity = scenario.cluster.node.gpu.hbm_usable();
      answer.text = fmt::format("out of memory: the leanest plan with it ({}) needs {}, {} too much",
                                plan_text(result.leanest->choice), format_bytes(result.leanest->estimate.memory),
                                format_bytes(result.leanest->estimate.memory - capacity));
    } else {
      std::vector<ScreenedPlan> chosen(result.best.begin(),
                                       result.best.begin() + std::min<std::ptrdiff_t>(5, std::ssize(result.best)));
      const std::vector<ReplayedPlan> all = replayed(space, chosen), plans = ranked(all);
      if (plans.empty() && std::any_of(all.begin(), all.end(), [](const ReplayedPlan& p) { return p.fits; })) {
        answer.verdict = PlanAnswer::Verdict::condition;
        answer.text = fmt::format("it fits, but {}", fmt::join(unmet_conditions(where_, all), "; "));
      } else if (plans.empty()) {
        answer.verdict = PlanAnswer::Verdict::memory;
        answer.text = "it fits by the closed form, not by the replay";
      } else {
        compare(plans.front(), answer);
      }
    }
    study_.why.push_back(std::move(answer));
  }

  /// Of the fields that are kept, those of --keep have been looked at before: what is wrong now stands in --why.
  PlanSpace asked_space(const Scenario& scenario, const OpenFields& fields) const {
    try {
      return plan_space(scenario, fields, further_precisions(scenario, options_.precisions));
    } catch (const InputError& error) {
      Diagnostics faults = error.diagnostics();
      for (Diagnostic& fault : faults)
        if (fault.field == "--keep") fault.field = "--why";
      throw InputError(faults);
    }
  }

  void compare(const ReplayedPlan& plan, PlanAnswer& answer) const {
    const ReplayedPlan& best = study_.plans.front();
    answer.plan = plan;
    const double slower = plan.step / best.step - 1;
    if (slower <= 0) {
      answer.verdict = PlanAnswer::Verdict::best;
      answer.text =
          plan.screened.choice == best.screened.choice
              ? "the best plan has it"
              : fmt::format("{} against {}: a plan with it is as good", format_time(plan.step), format_time(best.step));
      if (!plan.surely_fits())
        answer.text += fmt::format(", but it fits in {} of the draws alone, and the best in {}",
                                   format_percent(plan.fits_share, 0), format_percent(best.fits_share, 0));
      return;
    }
    answer.verdict = PlanAnswer::Verdict::slower;
    struct Part {
      const char* name;
      Seconds StepParts::*part;
    };
    std::vector<std::pair<Seconds, std::string>> more;
    for (const Part& part : {Part{"compute", &StepParts::compute}, Part{"tensor exchange", &StepParts::tensor},
                             Part{"context exchange", &StepParts::context},
                             Part{"tokens to experts", &StepParts::expert}, Part{"bubble", &StepParts::pipeline},
                             Part{"gradients and parameters", &StepParts::data}, Part{"optimiser", &StepParts::end}}) {
      const Seconds by = plan.parts.*part.part - best.parts.*part.part;
      if (std::abs(by.value()) < 0.002 * best.step.value()) continue;
      more.emplace_back(by, fmt::format("{}{} {}", by > Seconds(0) ? "+" : "-",
                                        format_time(Seconds(std::abs(by.value()))), part.name));
    }
    std::stable_sort(more.begin(), more.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<std::string> words;
    for (const auto& [by, text] : more) words.push_back(text);
    answer.text = fmt::format("{} slower at best ({}): {}{}{}", format_percent(slower), format_time(plan.step),
                              plan_text(plan.screened.choice), words.empty() ? "" : "; ", fmt::join(words, ", "));
  }

  /// Why nothing can be built with what is stated: the laws' own words where the plan is whole.
  static std::string impossible(const Scenario& scenario, const PlanSpace& space) {
    for (const Diagnostic& fault : plan_faults(*scenario.training, scenario.cluster)) {
      // Degrees that are open do not have to multiply to the cluster yet.
      if (fault.field == "training.plan" && space.data_varies) continue;
      return fmt::format("does not divide: {} {}, expected {}", fault.field, fault.found, fault.expected);
    }
    return fmt::format("no degrees beside it multiply to the {} GPUs and divide the model and the batch", space.gpus);
  }

  const std::string& file_;
  const Environment& environment_;
  const std::vector<std::string>& sets_;
  const PlanOptions& options_;
  std::vector<MetricExpression> where_;
  bool own_ran_ = false;                                    ///< the scenario's own plan is that of a published run
  std::vector<std::shared_ptr<StepEstimator>> estimators_;  ///< of the space, with what they have priced
  std::optional<Bytes> lean_;                               ///< plans have to need no more, in closed form
  PlanStudy study_;
};

/// What the replay of a plan gives.
struct ReplayedFigures {
  Seconds step;
  Bytes memory;
  double fits_share = 1;
  Bytes memory_p90;
  double mfu_causal = 0, tokens_per_day = 0;
  std::optional<bool> accepted;
  std::vector<ReplayedCondition> conditions;
  std::vector<double> drawn;
  double shapes_log_sd = 0;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("drawn", &ReplayedFigures::drawn);
    field("shapes_log_sd", &ReplayedFigures::shapes_log_sd);
    field("step", &ReplayedFigures::step);
    field("memory", &ReplayedFigures::memory);
    field("fits_share", &ReplayedFigures::fits_share);
    field("memory_p90", &ReplayedFigures::memory_p90);
    field("mfu_causal", &ReplayedFigures::mfu_causal);
    field("tokens_per_day", &ReplayedFigures::tokens_per_day);
    field("accepted", &ReplayedFigures::accepted);
    field("conditions", &ReplayedFigures::conditions);
  }
};

}  // namespace

bool open_in_its_formats(const std::string& file_or_name, std::vector<std::string>& sets, const Libraries& libraries,
                         OpenScenario& open) {
  try {
    open = load_open_scenario(file_or_name, sets, libraries);
    return false;
  } catch (const InputError& error) {
    for (const Diagnostic& fault : error.diagnostics()) {
      if (!fault.field.starts_with("training.precision.") || !fault.expected.starts_with("bf16 (the GPU")) throw;
      sets.push_back(fault.field + "=bf16");
    }
  }
  sets.emplace_back("training.precision.scaling=none");
  open = load_open_scenario(file_or_name, sets, libraries);
  return true;
}

MakeEstimator estimator_of(const Scenario& scenario, const PlanSpace& space) {
  return [&scenario, &space] {
    std::vector<KernelModel> kernels;
    for (const PrecisionPlan& precision : space.precisions) {
      TrainingConfig config = space.base;
      config.precision = precision;
      kernels.push_back(training_kernels(scenario, config));
    }
    return std::make_unique<StepEstimator>(space.base, space.precisions, std::move(kernels), scenario.cluster,
                                           scenario.links);
  };
}

Scenario with_plan(const Scenario& base, const PlanChoice& choice, const PlanSpace& space) {
  Scenario scenario = base;
  scenario.training = with_choice(space.base, choice, space.precisions);
  for (TrainingPhase& phase : scenario.phases) {
    const bool own = !(phase.plan == base.training->plan);
    const int context = phase.plan.context;
    phase.plan = scenario.training->plan;
    phase.batch.micro_batch_sequences = choice.micro_batch_sequences;
    if (!own) continue;
    // A phase with longer sequences keeps the GPUs that share one; data parallelism fills the rest.
    const std::int64_t others = std::int64_t{choice.tensor} * choice.pipeline * context;
    if (space.gpus % others != 0) continue;
    phase.plan.context = context;
    phase.plan.data = static_cast<int>(space.gpus / others);
    phase.batch.micro_batch_sequences = 1;
  }
  return scenario;
}

std::vector<ReplayedPlan> replay_plans(const Scenario& base, const PlanSpace& space,
                                       const std::vector<ScreenedPlan>& plans, const Environment& environment,
                                       std::span<const MetricExpression> where, int workers,
                                       const std::function<bool(std::size_t, std::size_t)>& progress) {
  RunOptions options;
  options.allow_oom = true;
  options.project = asks_for_projection(where);
  options.power = environment.data().power(base.cluster.node.gpu.architecture);
  options.errors = environment.data().step_errors();
  const auto job = [&](std::size_t i) {
    const ScreenedPlan& plan = plans[i];
    const TrainingReport report = run_training(with_plan(base, plan.choice, space), options);
    const std::vector<Metric> found = metrics(report);
    const NameLookup of_both = in_turn(metric_lookup(found), screened_lookup(base, plan.choice, plan.estimate));
    ReplayedFigures out{report.step_time,
                        report.fullest_memory().total(),
                        report.range ? report.range->fits : 1,
                        Bytes(report.range ? report.range->memory_p90_bytes : 0),
                        report.mfu_causal,
                        report.tokens_per_day,
                        all_hold(where, of_both),
                        {},
                        report.range ? report.range->drawn_s : std::vector<double>(),
                        report.range ? report.range->shapes_log_sd : 0};
    for (const MetricExpression& condition : where) {
      ReplayedCondition& condition_of_plan = out.conditions.emplace_back();
      condition_of_plan.holds = condition.holds(of_both);
      for (const std::string& name : condition.names()) {
        const std::optional<NamedValue> value = of_both(name);
        const double* number = value ? std::get_if<double>(&value->value) : nullptr;
        condition_of_plan.figures.push_back(number ? *number : std::numeric_limits<double>::quiet_NaN());
      }
    }
    return out;
  };
  std::vector<ReplayedPlan> result;
  const auto estimator = estimator_of(base, space)();
  const std::size_t round = static_cast<std::size_t>(std::max(1, workers)) * 4;
  for (std::size_t begin = 0; begin < plans.size(); begin += round) {
    if (!progress(begin, plans.size())) throw Interrupted();
    const std::size_t count = std::min(round, plans.size() - begin);
    std::vector<ReplayedFigures> figures =
        parallel_map<ReplayedFigures>(count, workers, [&](std::size_t i) { return job(begin + i); });
    for (std::size_t i = 0; i < count; ++i) {
      ReplayedFigures& found = figures[i];
      ReplayedPlan plan;
      plan.screened = plans[begin + i];
      plan.step = found.step;
      plan.memory = found.memory;
      plan.fits_share = found.fits_share;
      plan.memory_p90 = found.memory_p90;
      plan.mfu_causal = found.mfu_causal;
      plan.tokens_per_day = found.tokens_per_day;
      plan.accepted = found.accepted;
      plan.conditions = std::move(found.conditions);
      plan.drawn = std::move(found.drawn);
      plan.shapes_log_sd = found.shapes_log_sd;
      if (!plan.drawn.empty()) plan.range = quantiles(plan.drawn);
      plan.fits = plan.memory <= base.cluster.node.gpu.hbm_usable();
      if (const double tokens = tokens_to_train(base); tokens > 0) {
        plan.days = tokens / plan.tokens_per_day;
        plan.gpu_hours = plan.days * 24 * space.gpus;
        plan.usd = (base.price.gpu * hours(plan.gpu_hours)).value();
      }
      plan.parts = estimator->parts(plan.screened.choice);
      result.push_back(std::move(plan));
    }
  }
  return result;
}

namespace {

/// Whether their kernels have the same shapes: what cuts matrices, sequences and experts is the same.
bool same_shapes(const PlanChoice& a, const PlanChoice& b) {
  const auto cuts = [](const PlanChoice& c) {
    return std::tuple(c.tensor, c.context, c.context_exchange, c.expert, c.expert_tensor, c.micro_batch_sequences,
                      c.precision, c.sequence_parallel);
  };
  return cuts(a) == cuts(b);
}

}  // namespace

double slower_share(const ReplayedPlan& plan, const ReplayedPlan& other) {
  const std::size_t draws = std::min(plan.drawn.size(), other.drawn.size());
  if (draws == 0) return plan.step > other.step ? 1 : 0;
  const double apart = same_shapes(plan.screened.choice, other.screened.choice)
                           ? 0
                           : std::hypot(plan.shapes_log_sd, other.shapes_log_sd);
  // As far apart either way round: b slower than a where a is not slower than b.
  const double turned = plan.screened.choice < other.screened.choice ? -1 : 1;
  RandomStream own(1, 2000);
  std::size_t slower = 0;
  for (std::size_t i = 0; i < draws; ++i)
    slower += plan.drawn[i] * std::exp(turned * apart * own.normal()) > other.drawn[i];
  return static_cast<double>(slower) / static_cast<double>(draws);
}

std::string planned_title(const std::string& title, const std::string& found) {
  return fmt::format("{}{}planned anew: {}", title, title.empty() ? "" : "; ", found);
}

PlanStudy plan_study(const std::string& file_or_name, const Environment& environment,
                     const std::vector<std::string>& sets, const PlanOptions& options) {
  return Study(file_or_name, environment, sets, options).run();
}

std::optional<PlanChoice> own_plan(const Scenario& scenario, const PlanSpace& space) {
  const TrainingConfig& config = *scenario.training;
  if (config.schedule.empty() && config.schedule_text.empty()) return std::nullopt;
  if (!plan_faults(config, scenario.cluster).empty()) return std::nullopt;
  return choice_of(config, space.precisions);
}

}  // namespace flopcast
