#include "analysis/studies/plan/rl_plan.h"

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"
#include "analysis/face/run.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/metrics.h"
#include "analysis/studies/plan/plan_study.h"
#include "flopcast/scenario.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/fields/set_field.h"
#include "scenarios/read/text/text_file.h"
#include "sim/base/diagnostic.h"
#include "sim/base/fault_text.h"
#include "sim/jobs/packed.h"

namespace flopcast {
namespace {

/// Plans of the trainer that are priced in closed form for so many GPUs, and how many of the best are replayed.
constexpr double kTrainerEffort = 6000;
constexpr std::size_t kTrainersKept = 24, kTrainersTried = 4, kTrainersTriedBriefly = 2, kTrainersForMemory = 10;
/// Engines beside which all of those trainers are tried.
constexpr std::size_t kEnginesTried = 2;
constexpr int kWidestEngineTensor = 8, kLargestEngine = 64;  // GPUs
constexpr int kSplits = 8;                                   // of a cluster into GPUs that train and that generate
constexpr double kSameStep = 1e-3;
constexpr int kBatches[] = {32, 64, 128, 256, 512, 1024};

const std::vector<std::string>& loop_open_names() {
  static const std::vector<std::string> kNames{"placement", "split", "trainer", "engine", "batch"};
  return kNames;
}

bool named_in(const std::vector<std::string>& list, const std::string& name) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& entry) { return entry == name || entry == "all"; });
}

ReplicaShape engine_shape(const ServingPlan& plan) {
  return {plan.tensor, plan.attention_data, plan.expert, plan.pipeline};
}

/// "DP8 TP2 PP4 EP8 ZeRO2, whole layers again": all that differs between the plans that are tried
std::string trainer_text(const PlanChoice& c) {
  std::string out = fmt::format("DP{}", c.data);
  for (const auto& [what, degree] :
       {std::pair("TP", c.tensor), {"CP", c.context}, {"PP", c.pipeline}, {"EP", c.expert}}) {
    if (degree > 1) out += fmt::format(" {}{}", what, degree);
  }
  if (c.zero_stage != 1) out += fmt::format(" ZeRO{}", c.zero_stage);
  for (const char* const of : {"training.plan.layer_split", "training.recompute."})
    if (const std::string text = plan_text(c, of); !text.empty()) out += ", " + text;
  return out;
}

/// The trainer's part of a loop as a training scenario on so many GPUs, for the closed form. Its micro-batches are
/// full, and as many as the tokens of an update fill.
Scenario trainer_alone(const Scenario& loop, int gpus) {
  const RlScenario& rl = *loop.rl;
  Scenario out = loop;
  out.rl = nullptr;
  out.training = rl.update;
  TrainingConfig& config = *out.training;
  const double tokens = static_cast<double>(config.batch.sequences) * (rl.loop.prompt.mean + rl.loop.answer.mean);
  const double room = static_cast<double>(config.batch.sequence_length) * config.batch.micro_batch_sequences;
  config.batch.sequence_length = static_cast<std::int64_t>(room);
  config.batch.micro_batch_sequences = 1;
  config.batch.sequences = gpus * std::max<std::int64_t>(1, std::llround(std::ceil(tokens / room / gpus)));
  // Half-used nodes are taken as smaller ones.
  int& node = out.cluster.node.gpus;
  while (gpus % node != 0) --node;
  out.cluster.nodes = gpus / node;
  out.cluster.slow_parts.clear();
  return out;
}

/// What the replay of a layout gives.
struct ReplayedLayout {
  std::string fault;  ///< it cannot run; all else is empty
  Seconds step;
  double tokens_per_s = 0;
  Seconds waits_for_answers, training, sync;
  double busy = 0;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("fault", &ReplayedLayout::fault);
    field("step", &ReplayedLayout::step);
    field("tokens_per_s", &ReplayedLayout::tokens_per_s);
    field("waits_for_answers", &ReplayedLayout::waits_for_answers);
    field("training", &ReplayedLayout::training);
    field("sync", &ReplayedLayout::sync);
    field("busy", &ReplayedLayout::busy);
  }
};

class LoopPlanner {
 public:
  LoopPlanner(const std::string& file, const Environment& environment, const std::vector<std::string>& sets,
              const LoopPlanOptions& options)
      : options_(options),
        environment_(std::make_shared<const EnvironmentData>(environment.data().libraries().remembering())) {
    study_.base =
        completed(load_open_scenario(file, sets, environment_.data().libraries()).scenario, environment_.data())
            .value();
    study_.sets = sets;
    study_.file = file;
  }

  LoopPlanStudy run() && {
    check();
    study_.own = own();
    try_all({*study_.own}, "the loop as it is stated");
    for (const LoopChoice& split : splits()) plan_split(split);
    if (varies("batch")) try_batches();
    sort();
    if (study_.plans.empty()) nothing_fits();
    return std::move(study_);
  }

 private:
  const RlScenario& rl() const { return *study_.base.rl; }
  bool varies(const std::string& name) const {
    if (named_in(options_.keep, name)) return false;
    return name != "placement" || named_in(options_.open, name);
  }

  void check() const {
    for (const std::vector<std::string>* names : {&options_.open, &options_.keep}) {
      for (const std::string& name : *names) {
        if (named_in(loop_open_names(), name) || name == "all") continue;
        Diagnostic d;
        d.field = names == &options_.open ? "--open" : "--keep";
        d.found = name;
        d.expected = fmt::format("all, or some of {}", fmt::join(loop_open_names(), ", "));
        d.suggestion = nearest_name(name, loop_open_names());
        throw InputError(d);
      }
    }
    if (!study_.base.rl)
      throw InputError(
          Diagnostic{study_.base.file, 0, 0, "rl", "nothing", "rl { ... }: the loop that is laid out", ""});
    if (std::none_of(loop_open_names().begin(), loop_open_names().end(),
                     [&](const auto& name) { return varies(name); }))
      throw InputError(Diagnostic{"", 0, 0, "--keep", "everything kept",
                                  fmt::format("one of {} left open", fmt::join(loop_open_names(), ", ")), ""});
  }

  LoopChoice own() const {
    LoopChoice out;
    out.placement = rl().loop.placement;
    out.staleness = rl().loop.asynchrony.staleness;
    out.trainer_gpus = rl().trainer_gpus();
    if (out.trainer_gpus > 0) out.trainer = choice_of(rl().update, std::vector<PrecisionPlan>{rl().update.precision});
    out.engine_gpus = rl().engine_gpus();
    if (out.engine_gpus > 0) {
      out.engine = engine_shape(rl().rollout.engine.plan);
      out.max_batch = rl().rollout.engine.scheduler.max_batch;
    }
    return out;
  }

  /// GPUs that train and that generate; plans are the scenario's own.
  std::vector<LoopChoice> splits() const {
    std::vector<LoopChoice> out;
    const LoopChoice own = *study_.own;
    // Frozen models and the critic keep their own.
    const int all = study_.base.cluster.gpus() - rl().loop.aside_gpus(), node = study_.base.cluster.node.gpus;
    const bool both = own.trainer_gpus > 0 && own.engine_gpus > 0;
    const auto add = [&](RlPlacement placement, double staleness, int trainer, int engine) {
      LoopChoice choice = own;
      choice.placement = placement;
      choice.staleness = staleness;
      choice.trainer_gpus = trainer;
      choice.engine_gpus = engine;
      if (std::find(out.begin(), out.end(), choice) == out.end()) out.push_back(choice);
    };
    if (!both && varies("split")) {
      add(own.placement, own.staleness, own.trainer_gpus > 0 ? all : 0, own.engine_gpus > 0 ? all : 0);
      return out;
    }
    if (both && rl().rollout_cluster) {  // each side has a cluster of its own, and all of it
      if (varies("split"))
        add(own.placement, own.staleness, all, rl().rollout_cluster->gpus());
      else
        out.push_back(own);
      return out;
    }
    if (!both || !varies("split")) {
      out.push_back(own);
      if (!both || !varies("placement")) return out;
    }
    const bool apart = own.placement == RlPlacement::separate;
    if (!apart || varies("placement")) add(RlPlacement::colocated, apart ? 0 : own.staleness, all, all);
    if (!apart && !varies("placement")) return out;
    const int unit = all >= kSplits * node ? node : std::max(1, all / (2 * kSplits)), units = all / unit;
    for (int i = 1; i < kSplits && units > 1; ++i) {
      const int trains = std::clamp(units * i / kSplits, 1, units - 1);
      add(RlPlacement::separate, apart ? own.staleness : std::max(1.0, own.staleness), trains * unit,
          (units - trains) * unit);
    }
    return out;
  }

  // Trainers and engines.

  /// The best plans of the trainer on so many GPUs, as far as the closed form knows: those that differ in more than
  /// recomputation first.
  std::vector<PlanChoice> trainers(const LoopChoice& split) {
    const auto known = trainers_.find(split.trainer_gpus);
    if (known != trainers_.end()) return known->second;
    std::vector<PlanChoice>& out = trainers_[split.trainer_gpus];
    const bool own = split.trainer_gpus == study_.own->trainer_gpus;
    if (own) out.push_back(study_.own->trainer);
    if (!varies("trainer") && own) return out;
    const Scenario alone = trainer_alone(study_.base, split.trainer_gpus);
    OpenFields fields;
    fields.open = {"plan", "recompute"};
    fields.keep = {"batch",
                   "schedule",
                   "plan.chunks",
                   "plan.expert_tensor",
                   "plan.shard_group",
                   "plan.dispatcher",
                   "plan.context_exchange",
                   "plan.sequence_parallel",
                   "plan.tensor_overlap",
                   "plan.overlap_gradients",
                   "plan.overlap_parameters",
                   "plan.shared_expert_overlap"};
    if (!varies("trainer")) {
      // Of another number of GPUs: the same plan with more or fewer replicas.
      for (const char* path : {"plan.tensor", "plan.context", "plan.pipeline", "plan.expert", "plan.zero_stage",
                               "plan.layer_split", "recompute"})
        fields.keep.emplace_back(path);
    }
    const PlanSpace space = plan_space(alone, fields, {});
    SearchOptions search;
    search.workers = options_.workers;
    search.keep = kTrainersKept;
    search.effort = kTrainerEffort;
    const SearchResult found = search_plans(space, estimator_of(alone, space), search);
    study_.screened += found.priced;
    const auto like = [&](PlanChoice choice) {
      choice.recompute = {};
      choice.zero_stage = 1;
      return choice;
    };
    for (const bool first_of_a_kind : {true, false}) {
      for (const ScreenedPlan& plan : found.best) {
        const bool seen =
            std::any_of(out.begin(), out.end(), [&](const PlanChoice& c) { return like(c) == like(plan.choice); });
        if (seen == first_of_a_kind || std::find(out.begin(), out.end(), plan.choice) != out.end()) continue;
        if (out.size() < kTrainersForMemory) out.push_back(plan.choice);
      }
    }
    return out;
  }

  std::vector<ReplicaShape> engines(const LoopChoice& split) const {
    const ReplicaShape own = study_.own->engine;
    if (!varies("engine")) return {own};
    const ModelConfig& model = rl().rollout.engine.model;
    const int all = split.engine_gpus, most = std::min(all, std::max(kLargestEngine, own.gpus()));
    const int node = rl().rollout_cluster ? rl().rollout_cluster->node.gpus : study_.base.cluster.node.gpus;
    std::set<ReplicaShape> found;
    const auto add = [&](const ReplicaShape& shape) {
      if (shape.gpus() <= most && all % shape.gpus() == 0) found.insert(shape);
    };
    add(own);
    for (int tensor = 1; tensor <= kWidestEngineTensor; tensor *= 2) {
      if (model.attention.heads % tensor != 0) continue;
      add({tensor, 1, 1, 1});
      if (tensor == std::min(node, kWidestEngineTensor)) {
        for (int stages = 2; stages <= 8; stages *= 2) add({tensor, 1, 1, stages});
      }
      if (model.moe.experts == 0) continue;
      for (int groups = 1; groups * tensor <= most; groups *= 2) add({tensor, groups, tensor * groups, 1});
    }
    return {found.begin(), found.end()};
  }

  // Replays.

  /// Every engine beside the first trainer that fits with it, then the best engines beside the other trainers.
  void plan_split(const LoopChoice& split) {
    const std::string stage = split.placement == RlPlacement::separate
                                  ? fmt::format("{} GPUs train, {} generate", split.trainer_gpus, split.engine_gpus)
                                  : "the same GPUs in turn";
    std::vector<PlanChoice> plans = split.trainer_gpus > 0 ? trainers(split) : std::vector<PlanChoice>{PlanChoice{}};
    const std::vector<ReplicaShape> shapes =
        split.engine_gpus > 0 ? engines(split) : std::vector<ReplicaShape>{ReplicaShape{}};
    std::vector<PlannedLoop> good;
    std::size_t next = 0;
    for (; next < plans.size() && good.empty(); ++next) {
      std::vector<LoopChoice> choices;
      for (const ReplicaShape& shape : shapes) choices.push_back(with(split, plans[next], shape));
      good = try_all(choices, stage);
    }
    if (good.empty()) return;
    sort(good);
    const std::size_t tried = options_.brief ? kTrainersTriedBriefly : kTrainersTried;
    std::vector<LoopChoice> choices;
    for (std::size_t t = next; t < std::min(plans.size(), next + tried); ++t) {
      for (std::size_t e = 0; e < std::min(good.size(), kEnginesTried); ++e)
        choices.push_back(with(split, plans[t], good[e].choice.engine));
    }
    try_all(choices, stage);
  }

  static LoopChoice with(LoopChoice split, const PlanChoice& trainer, const ReplicaShape& engine) {
    split.trainer = trainer;
    split.engine = engine;
    return split;
  }

  /// Other batches of the engine, of the best loop.
  void try_batches() {
    if (study_.plans.empty() || study_.own->engine_gpus == 0) return;
    sort();
    std::vector<LoopChoice> choices;
    for (const int batch : kBatches) {
      LoopChoice choice = study_.plans.front().choice;
      choice.max_batch = batch;
      choices.push_back(choice);
    }
    const PlannedLoop best = study_.plans.front();
    try_all(choices, "batches of the engine");
    // Batches that are never filled are all the same.
    std::erase_if(study_.plans, [&](const PlannedLoop& plan) {
      LoopChoice choice = plan.choice;
      choice.max_batch = best.choice.max_batch;
      return choice == best.choice && !(plan.choice == best.choice) && !(plan.choice == *study_.own) &&
             std::abs(plan.step / best.step - 1) < kSameStep;
    });
  }

  /// Those that run, which are kept; of the others the reason is.
  std::vector<PlannedLoop> try_all(std::vector<LoopChoice> choices, const std::string& stage) {
    std::erase_if(choices, [this](const LoopChoice& choice) { return !known_.insert(choice).second; });
    std::vector<PlannedLoop> good;
    const auto round = static_cast<std::size_t>(std::max(1, options_.workers)) * 4;
    for (std::size_t begin = 0; begin < choices.size(); begin += round) {
      if (options_.progress && !options_.progress(stage, begin, choices.size())) throw Interrupted();
      const std::size_t count = std::min(round, choices.size() - begin);
      const std::vector<ReplayedLayout> found = parallel_map<ReplayedLayout>(
          count, options_.workers, [&](std::size_t i) { return replayed(choices[begin + i]); });
      for (std::size_t i = 0; i < count; ++i) {
        const ReplayedLayout& layout = found[i];
        PlannedLoop plan;
        plan.choice = choices[begin + i];
        if (!layout.fault.empty()) {
          study_.left_out.push_back({plan.choice, layout.fault});
          continue;
        }
        plan.step = layout.step;
        plan.tokens_per_s = layout.tokens_per_s;
        plan.waits_for_answers = layout.waits_for_answers;
        plan.training = layout.training;
        plan.sync = layout.sync;
        plan.busy = layout.busy;
        const double steps = rl().loop.run.steps;
        plan.gpu_hours = steps * in_hours(plan.step) * plan.choice.gpus();
        plan.usd = (study_.base.price.gpu * hours(plan.gpu_hours)).value();
        good.push_back(plan);
        study_.plans.push_back(plan);
      }
    }
    return good;
  }

  /// Its figures, or why it cannot be.
  ReplayedLayout replayed(const LoopChoice& choice) const {
    std::vector<std::string> sets = study_.sets;
    for (std::string& setting : loop_settings(choice, study_.base)) sets.push_back(std::move(setting));
    ReplayedLayout out;
    try {
      Scenario scenario = resolve(study_.file, environment_, sets).value();
      scenario.published.clear();
      RlOptions options = rl_options(scenario, environment_, {});
      options.project = false;
      options.keep_going = {};
      const RlReport report = run_rl(scenario, options);
      const RlStepMeans& s = report.step;
      out.step = s.length;
      out.tokens_per_s = (s.prompt_tokens + s.answer_tokens) / s.length.value();
      out.waits_for_answers = s.part(RlPart::generation);
      out.training = s.training();
      out.sync = s.part(RlPart::sync);
      out.busy = *find_metric(metrics(report), "rl.gpu_busy")->number();
    } catch (const InputError& error) {
      out.fault = brief(error);
    }
    return out;
  }

  static void sort(std::vector<PlannedLoop>& plans) {
    std::stable_sort(plans.begin(), plans.end(), [](const PlannedLoop& a, const PlannedLoop& b) {
      return a.step != b.step ? a.step < b.step : a.choice.gpus() < b.choice.gpus();
    });
  }
  void sort() { sort(study_.plans); }

  [[noreturn]] void nothing_fits() const {
    Diagnostic d;
    d.file = study_.base.file;
    d.field = "rl";
    d.found =
        fmt::format("no layout of {} that runs; the first: {}", study_.left_out.size(), study_.left_out.front().why);
    d.expected = "one that fits";
    d.remedy = "more nodes, or another chip";
    throw InputError(d);
  }

  LoopPlanOptions options_;
  Environment environment_;
  LoopPlanStudy study_;
  std::map<int, std::vector<PlanChoice>> trainers_;  // by their number of GPUs
  std::set<LoopChoice> known_;
};

}  // namespace

std::vector<std::string> loop_settings(const LoopChoice& choice, const Scenario& base) {
  const RlScenario& rl = *base.rl;
  std::vector<std::string> out;
  if (choice.trainer_gpus > 0) {
    for (std::string& setting : plan_settings(choice.trainer, rl.update.model)) {
      if (setting.starts_with("training.plan.") || setting.starts_with("training.recompute."))
        out.push_back(std::move(setting));
    }
  }
  if (choice.engine_gpus > 0) {
    out.push_back(fmt::format("rl.rollout.count={}", choice.replicas()));
    out.push_back(fmt::format("rl.rollout.tensor={}", choice.engine.tensor));
    out.push_back(fmt::format("rl.rollout.attention_data={}", choice.engine.attention_data));
    out.push_back(fmt::format("rl.rollout.pipeline={}", choice.engine.pipeline));
    out.push_back(fmt::format("rl.rollout.expert={}", choice.engine.expert));
    out.push_back(fmt::format("rl.rollout.max_batch={}", choice.max_batch));
    if (choice.engine.expert == 1 && rl.rollout.engine.two_micro_batches)
      out.push_back("rl.rollout.two_micro_batches=false");
  }
  const bool apart = choice.placement == RlPlacement::separate;
  out.push_back(
      fmt::format("rl.placement={}", enum_names(choice.placement)[static_cast<std::size_t>(choice.placement)]));
  if (choice.staleness != rl.loop.asynchrony.staleness)
    out.push_back(fmt::format("rl.asynchrony.staleness={:g}", choice.staleness));
  if (!apart && rl.loop.asynchrony.stream_updates) out.push_back("rl.asynchrony.stream_updates=false");
  if (rl.loop.overlap > 0) out.push_back("rl.overlap=0");
  return out;
}

std::string loop_text(const LoopChoice& choice) {
  std::string out;
  if (choice.trainer_gpus > 0 && choice.engine_gpus > 0) {
    out = choice.placement == RlPlacement::separate
              ? fmt::format("{} + {} apart", choice.trainer_gpus, choice.engine_gpus)
              : fmt::format("{} in turn", choice.gpus());
    if (choice.staleness > 0) out += fmt::format(", {:g} ahead", choice.staleness);
    out += ": ";
  }
  if (choice.trainer_gpus > 0) out += "train " + trainer_text(choice.trainer);
  if (choice.engine_gpus > 0) {
    out += fmt::format("{}generate {} x {}, {} at a time", choice.trainer_gpus > 0 ? "; " : "", choice.replicas(),
                       shape_text(choice.engine), choice.max_batch);
  }
  return out;
}

LoopPlanStudy plan_loop(const std::string& file_or_name, const Environment& environment,
                        const std::vector<std::string>& sets, const LoopPlanOptions& options) {
  return LoopPlanner(file_or_name, environment, sets, options).run();
}

std::string scenario_text(const LoopPlanStudy& study, const LoopChoice& choice, const Environment& environment) {
  const OpenScenario open = load_open_scenario(study.file, study.sets, environment.data().libraries());
  proto::Scenario scenario;
  Places places;
  Diagnostics faults;
  parse_text(open.text, study.base.file, scenario, places, faults);
  for (const std::string& setting : loop_settings(choice, study.base)) set_field(setting, scenario, places, faults);
  scenario.clear_published();  // of another layout
  scenario.set_title(planned_title(study.base.title, loop_text(choice)));
  if (!faults.empty()) throw InputError(std::move(faults));
  std::string body;
  google::protobuf::TextFormat::PrintToString(scenario, &body);
  std::string text = fmt::format("# {}\n# With the best layout that flopcast plan found.\n{}", study.base.title, body);
  resolve_text(text, study.base.file, environment);
  return text;
}

}  // namespace flopcast
