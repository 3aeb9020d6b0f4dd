// Laws across the fields of `rl { ... }`: groups, staleness, GPUs, lengths that have to fit.
#include <algorithm>

#include <fmt/format.h>

#include "scenarios/resolve/laws/training_laws.h"
#include "scenarios/resolve/rl/rl_draft.h"
#include "workloads/schedules/schedule.h"
#include "workloads/serving/pricing/replica_memory.h"

namespace flopcast {
namespace {

std::string plural_gpus(std::int64_t count) { return fmt::format("{} GPU{}", count, count == 1 ? "" : "s"); }

class RlLaws : private RlDraft {
 public:
  explicit RlLaws(const RlDraft& rl) : RlDraft(rl) {}

  void check() {
    groups();
    asynchrony();
    rewards();
    overlap();
    tools();
    frozen();
    critic();
    order();
    reference();
    growth();
    if (sound("")) sequences();
    if (sound("") && !context_.open) gpu_counts();
  }

 private:
  void groups() {
    if (row().group && out_->loop.group < 2)
      fault("group", fmt::format("{}", out_->loop.group),
            fmt::format("at least 2: the baseline of {} is the mean of a group", row().name),
            fmt::format("an algorithm that takes groups of one: {}", fmt::join(without_groups(), ", ")));
    if (in_.has_signal_share() && !row().drops_groups)
      fault("signal_share", fmt::format("{:g}", in_.signal_share()), "1: only dapo throws groups away");
    if (!row().trains || !context_.training) return;
    const std::int64_t update = out_->update.batch.sequences;
    if (out_->loop.answers() % update == 0) return;
    fault("prompts", fmt::format("{} x {} answers", out_->loop.prompts, out_->loop.group),
          fmt::format("a multiple of the {} answers of an update (training.batch.sequences)", update));
  }

  static std::vector<std::string_view> without_groups() {
    std::vector<std::string_view> names;
    for (const AlgorithmRow& known : algorithms())
      if (known.trains && known.generates && !known.group && !known.teacher) names.push_back(known.name);
    return names;
  }

  void asynchrony() {
    const AsynchronyConfig& a = out_->loop.asynchrony;
    const bool apart = out_->loop.placement == RlPlacement::separate;
    if (a.stream_updates && !apart)
      fault("asynchrony.stream_updates", "true", "placement: \"separate\": the engine stands still while updates run");
    if (a.stream_updates && context_.training && sound("prompts") && out_->loop.prompts % out_->updates() != 0)
      fault("asynchrony.stream_updates", fmt::format("{} updates of {} prompts", out_->updates(), out_->loop.prompts),
            "updates of whole groups: prompts divide by updates");
    if (a.staleness > 0 && (!row().generates || !row().trains))
      fault("asynchrony.staleness", fmt::format("{:g}", a.staleness),
            fmt::format("0: {} has nothing that could run ahead", row().name));
    const double ahead = a.staleness * out_->loop.prompts;
    if (a.staleness > 0 && ahead < 1)
      fault("asynchrony.staleness", fmt::format("{:g}", a.staleness),
            fmt::format("0, or at least one of the {} prompts of a step, {:.2g}", out_->loop.prompts,
                        1.0 / out_->loop.prompts));
  }

  void check_pool(const HostWorkers& pool, const std::string& path) {
    if (pool.time > pool.time_out)
      fault(path + ".time", fmt::format("{:g} s", pool.time.value()),
            fmt::format("at most time_out, {:g} s", pool.time_out.value()));
  }

  void rewards() {
    if (out_->loop.reward.kind != RewardKind::model) check_pool(out_->loop.reward.pool, "reward");
  }

  void overlap() {
    const int shared = out_->loop.overlap;
    if (shared == 0) return;
    const std::string found = fmt::format("{}", shared);
    if (!out_->separate() || out_->rollout_cluster)
      return fault("overlap", found,
                   "0, or placement: \"separate\" on one cluster: replicas that share the trainer's GPUs");
    if (!row().generates || !row().trains)
      return fault("overlap", found, fmt::format("0: {} has no trainer beside an engine", row().name));
    if (!sound("rollout") || !context_.training) return;
    if (shared >= out_->rollout.replicas)
      return fault("overlap", found, fmt::format("fewer than the {} replicas of rollout", out_->rollout.replicas),
                   "placement: \"colocated\", where all of them share");
    if (!context_.open && out_->overlap_gpus() > out_->trainer_gpus())
      fault("overlap", fmt::format("{} of {}", found, plural_gpus(out_->rollout.engine.plan.gpus())),
            fmt::format("at most the trainer's {}", plural_gpus(out_->trainer_gpus())));
  }

  void frozen() {
    const OwnGpus& pool = out_->loop.frozen;
    if (!in_.has_frozen() || !sound("frozen")) return;
    if (!row().trains || !out_->loop.with_frozen())
      return fault("frozen", plural_gpus(pool.gpus),
                   "nothing: neither reference nor reward model nor teacher reads answers beside training");
    if (pool.gpus % pool.replica_gpus() != 0)
      fault("frozen.gpus", fmt::format("{}", pool.gpus),
            fmt::format("a multiple of the {} of a replica (tensor x pipeline)", pool.replica_gpus()));
    if (!context_.model) return;
    const RlConfig& loop = out_->loop;
    std::vector<const ModelConfig*> models;
    const bool named = !loop.reference_model.name.empty();
    if ((loop.with_reference() && !named) || (loop.with_reward_model() && loop.reward.model.name.empty()))
      models.push_back(context_.model);
    if (named) models.push_back(&loop.reference_model);
    if (row().teacher) models.push_back(&loop.teacher);
    if (loop.with_reward_model() && !loop.reward.model.name.empty()) models.push_back(&loop.reward.model);
    for (const ModelConfig* model : models) cut_up(pool, *model, "frozen");
  }

  /// A model on GPUs of its own: the laws of any plan, for theirs.
  void cut_up(const OwnGpus& pool, const ModelConfig& model, const std::string& path) {
    ParallelPlan plan;
    plan.tensor = pool.tensor;
    plan.pipeline = pool.pipeline;
    const PlanPaths paths{"rl." + path, "training.batch"};
    check_plan(plan, model, paths, *context_.places, faults_);
    check_stages(plan, pool.pipeline, model, paths, *context_.places, faults_);
  }

  void critic() {
    const OwnGpus& pool = out_->loop.critic;
    const ModelConfig& named = out_->loop.critic_model;
    if (row().trains && out_->loop.frozen.gpus == 0) {
      fits_plan(out_->loop.reward.model, "reward.model");
      fits_plan(out_->loop.reference_model, "reference_model");
    }
    if (!in_.has_critic() || !sound("critic")) return;
    if (!row().critic)
      return fault("critic", in_.critic().has_model() ? flopcast::quoted(in_.critic().model()) : plural_gpus(pool.gpus),
                   fmt::format("nothing: {} has no critic", row().name));
    if (pool.gpus == 0) {
      for (const auto& [field, stated] :
           {std::pair("tensor", in_.critic().has_tensor()), std::pair("pipeline", in_.critic().has_pipeline())})
        if (stated)
          fault(fmt::format("critic.{}", field), "a plan of its own",
                "gpus of its own beside it: on the trainer's it has the trainer's plan");
      return fits_plan(named, "critic.model");
    }
    if (pool.gpus % pool.replica_gpus() != 0)
      fault("critic.gpus", fmt::format("{}", pool.gpus),
            fmt::format("a multiple of the {} of a copy (tensor x pipeline)", pool.replica_gpus()));
    if (!context_.model) return;
    const ModelConfig& model = named.name.empty() ? *context_.model : named;
    if (model.moe.experts > 0)
      fault("critic", plural_gpus(pool.gpus),
            fmt::format("nothing: the critic of {} has experts, whose plan only the "
                        "trainer's GPUs have",
                        model.name));
    cut_up(pool, model, "critic");
  }

  /// A model beside the policy, cut up by the trainer's plan; without a name it is the policy, which others check.
  void fits_plan(const ModelConfig& model, const std::string& path) {
    if (model.name.empty() || !context_.training || context_.open) return;
    ParallelPlan plan = out_->update.plan;
    plan.stage_layers.clear();  // of the policy
    if (model.moe.experts == 0) plan.expert = plan.expert_tensor = 1;
    const ScheduleRow* schedule = find_schedule(out_->update.schedule);
    const PlanPaths paths{"training.plan", "training.batch"};
    Diagnostics found;
    check_plan(plan, model, paths, *context_.places, found);
    check_stages(
        plan, schedule ? stages_of(*schedule, plan.pipeline, plan.chunks) : std::int64_t{plan.pipeline} * plan.chunks,
        model, paths, *context_.places, found);
    for (const Diagnostic& d : found)
      fault(path, fmt::format("{} under {} {}", flopcast::quoted(model.name), d.field, d.found), d.expected);
  }

  void order() {
    if (in_.has_prediction() && out_->loop.order != PromptOrder::predicted)
      fault("prediction", fmt::format("{:g}", in_.prediction()), "order: \"predicted\" beside it");
    if (in_.take_over() && (!row().generates || (sound("rollout") && out_->rollout.replicas < 2)))
      fault("take_over", "true", "several replicas of rollout, of which one takes over from others");
  }

  void tools() {
    if (!in_.has_tools()) return;
    if (!row().generates) fault("tools", "calls of tools", fmt::format("nothing: {} writes no answers", row().name));
    check_pool(out_->loop.tools.pool, "tools");
  }

  void reference() {
    if (out_->loop.reference_every > 0 && !(row().trains && out_->loop.with_reference()))
      fault("reference_every", fmt::format("{}", out_->loop.reference_every),
            "0: there is no reference that could be replaced");
    if (out_->loop.reference_every > 0 && in_.has_reference_model())
      fault("reference_every", fmt::format("{}", out_->loop.reference_every),
            "0: a reference of another model is not replaced by the policy");
  }

  void growth() {
    const RlRunConfig& run = out_->loop.run;
    double before = -1;
    for (int i = 0; i < in_.run().growth_size(); ++i) {
      const GrowthPoint& point = run.growth[static_cast<std::size_t>(i)];
      const std::string path = fmt::format("run.growth[{}]", i);
      if (point.step <= before || point.step > run.steps)
        fault(path + ".step", fmt::format("{:g}", point.step),
              fmt::format("steps in order, up to the {:g} of the run", run.steps));
      before = point.step;
      const double most = point.most.value_or(out_->loop.answer.most);
      if (point.mean > most) fault(path + ".mean", fmt::format("{:g}", point.mean), fmt::format("at most {:g}", most));
    }
    if ((run.evaluation_every > 0) != (run.evaluation_answers > 0))
      fault("run.evaluation_every", "half an evaluation", "evaluation_every and evaluation_answers, or neither");
    if (run.evaluation_every > 0 && !row().generates)
      fault("run.evaluation_every", fmt::format("{}", run.evaluation_every), "0: there is no engine");
  }

  double longest_answer() const {
    double most = out_->loop.answer.most;
    for (const GrowthPoint& point : out_->loop.run.growth) most = std::max(most, point.most.value_or(most));
    return most;
  }

  /// The longest prompt with the longest answer fits everywhere.
  void sequences() {
    const double longest = out_->loop.prompt.most + out_->loop.tools.most_tokens() + longest_answer();
    if (context_.model && longest > context_.model->max_positions)
      fault("answer.most", fmt::format("{:g} tokens of prompt and answer", longest),
            fmt::format("at most the {} positions of {}", context_.model->max_positions, context_.model->name));
    for (const auto& [path, model] : {std::pair("reference_model", &out_->loop.reference_model),
                                      {"reward.model", &out_->loop.reward.model},
                                      {"teacher", &out_->loop.teacher},
                                      {"critic.model", &out_->loop.critic_model}}) {
      if (model->name.empty() || longest <= model->max_positions) continue;
      fault(path, fmt::format("{}, which has {} positions", flopcast::quoted(model->name), model->max_positions),
            fmt::format("a model that reads the {:g} tokens of the longest prompt and answer", longest));
    }
    if (row().trains && context_.training) {
      const BatchConfig& batch = out_->update.batch;
      const bool padded = out_->loop.packing == AnswerPacking::padded;
      const double room = static_cast<double>(batch.sequence_length) * (padded ? 1 : batch.micro_batch_sequences);
      if (longest > room)
        fault("answer.most", fmt::format("{:g} tokens of prompt and answer", longest),
              fmt::format("at most the {:g} tokens that {} holds (training.batch)", room,
                          padded ? "a padded sequence" : "a micro-batch"),
              "a larger training.batch.sequence_length");
    }
    if (!row().generates || !engine_cluster() || context_.open) return;
    const ReplicaMemory memory = replica_memory(out_->rollout.engine, engine_cluster()->node.gpu);
    if (static_cast<double>(memory.kv_tokens) < memory.as_tokens(longest))
      fault("rollout", fmt::format("room for the cache of {} tokens", std::max<std::int64_t>(0, memory.kv_tokens)),
            fmt::format("room for the longest prompt and answer, {:g} tokens", longest),
            "more GPUs per replica, FP8 weights or kv_cache");
  }

  void gpu_counts() {
    // Of a plan that is refused itself nobody knows how many GPUs it takes.
    if (!context_.cluster || (out_->trains() && !context_.training)) return;
    const std::int64_t aside = out_->loop.aside_gpus(), all = context_.cluster->gpus() - aside,
                       trainer = out_->trainer_gpus(), engine = out_->engine_gpus();
    const bool apart = out_->separate();
    if (all < 1)
      return fault(out_->loop.critic.gpus > out_->loop.frozen.gpus ? "critic.gpus" : "frozen.gpus", plural_gpus(aside),
                   fmt::format("fewer than the {} of the cluster", plural_gpus(context_.cluster->gpus())));
    const std::string have = fmt::format("the {} of the cluster{}", plural_gpus(all),
                                         aside > 0 ? fmt::format(" beside {} of {}", aside, aside_names()) : "");
    if (out_->rollout_cluster) {
      if (engine > out_->rollout_cluster->gpus())
        fault("rollout.count", plural_gpus(engine),
              fmt::format("at most the {} of rollout_cluster", plural_gpus(out_->rollout_cluster->gpus())));
      if (trainer > all) plan_fault(trainer, have);
      return;
    }
    const std::int64_t own = engine - out_->overlap_gpus();
    if (apart && trainer + own > all)
      return fault("rollout.count", fmt::format("{} beside {} of training.plan", plural_gpus(own), trainer),
                   "at most " + have + " together");
    if (engine > all) fault("rollout.count", plural_gpus(engine), "at most " + have);
    if (trainer > all || (!apart && out_->trains() && trainer != all)) plan_fault(trainer, have);
  }

  std::string aside_names() const {
    const bool frozen = out_->loop.frozen.gpus > 0, critic = out_->loop.critic.gpus > 0;
    return frozen && critic ? "rl.frozen and rl.critic" : critic ? "rl.critic" : "rl.frozen";
  }
  void plan_fault(std::int64_t trainer, const std::string& have) {
    faults_.push_back(
        context_.places->fault("training.plan", plural_gpus(trainer), out_->separate() ? "at most " + have : have));
  }
};

}  // namespace

void check_rl_laws(const RlDraft& rl) { RlLaws(rl).check(); }

}  // namespace flopcast
