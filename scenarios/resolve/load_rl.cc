#include "scenarios/resolve/load_rl.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "scenarios/proto/rl.pb.h"
#include "scenarios/read/fields/load_fields.h"
#include "scenarios/read/fields/section.h"
#include "scenarios/read/fields/set_field.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/resolve/load_serving.h"
#include "workloads/serving/pricing/deployment.h"

namespace flopcast {
namespace {

constexpr char kLengthsFile[] = "workloads/data/rl/answer_lengths.textproto";

std::string plural_gpus(std::int64_t count) { return fmt::format("{} GPU{}", count, count == 1 ? "" : "s"); }

class RlLoader {
 public:
  RlLoader(const proto::Rl& in, const RlContext& context, Diagnostics& faults)
      : in_(in), context_(context), faults_(faults), out_(std::make_shared<RlScenario>()) {}

  std::shared_ptr<RlScenario> load() {
    if (!sound("")) return out_;  // a field's own fault would drag others behind it
    load_fields(in_, out_->loop);
    algorithm();
    if (!sound("algorithm")) return out_;
    if (context_.training) out_->update = *context_.training;
    models();
    lengths(in_.prompt(), "prompt", out_->loop.prompt);
    lengths(in_.answer(), "answer", out_->loop.answer);
    if (in_.prompt().group_correlation() > 0)
      fault("prompt.group_correlation", fmt::format("{:g}", in_.prompt().group_correlation()),
            "0: a prompt has no group, its answers have");
    rollout();
    groups();
    asynchrony();
    rewards();
    overlap();
    slow_replicas();
    tools();
    frozen();
    critic();
    order();
    reference();
    growth();
    if (sound("")) sequences();
    if (sound("") && !context_.open) gpu_counts();
    return out_;
  }

 private:
  void fault(const std::string& path, std::string found, std::string expected, std::string remedy = "") {
    Diagnostic d = context_.places->fault("rl." + path, std::move(found), std::move(expected));
    faults_.push_back(remedy.empty() ? std::move(d) : with_remedy(std::move(d), std::move(remedy)));
  }
  bool sound(const std::string& path) const { return is_sound(faults_, "rl." + path); }
  const AlgorithmRow& row() const { return *out_->loop.algorithm; }

  void algorithm() {
    if (find_algorithm(in_.algorithm())) return;
    std::vector<std::string> names;
    for (const AlgorithmRow& known : algorithms()) names.emplace_back(known.name);
    faults_.push_back(context_.places->fault("rl.algorithm", flopcast::quoted(in_.algorithm()),
                                             fmt::format("one of {}", fmt::join(names, ", ")),
                                             nearest_name(in_.algorithm(), names)));
  }

  ModelConfig library_model(const std::string& name) {
    try {
      return context_.libraries->model(name);
    } catch (const InputError& error) {
      faults_.insert(faults_.end(), error.diagnostics().begin(), error.diagnostics().end());
      return {};
    }
  }

  void models() {
    const RlConfig& loop = out_->loop;
    if (row().trains && !context_.training_stated)
      faults_.push_back(context_.places->fault("training", "nothing", "training { ... }: how one update is cut up"));
    if (row().teacher != in_.has_teacher())
      fault("teacher", row().teacher ? "nothing" : flopcast::quoted(in_.teacher()),
            row().teacher ? "the model whose log-probabilities are distilled"
                          : fmt::format("nothing: {} has no teacher", row().name));
    if (in_.has_teacher()) out_->loop.teacher = library_model(in_.teacher());
    if (in_.reward().has_model() && !loop.with_reward_model())
      fault("reward.model", flopcast::quoted(in_.reward().model()), "kind: \"model\" beside it");
    if (in_.has_reward() && !row().rewards) fault("reward", "rewards", fmt::format("nothing: {} has none", row().name));
    if (in_.reward().has_model()) out_->loop.reward.model = library_model(in_.reward().model());
    if (in_.has_reference_model()) {
      if (!row().trains || !loop.with_reference())
        fault("reference_model", flopcast::quoted(in_.reference_model()), "nothing: there is no reference");
      else
        out_->loop.reference_model = library_model(in_.reference_model());
    }
    if (in_.critic().has_model() && row().critic) out_->loop.critic_model = library_model(in_.critic().model());
    if (loop.with_reward_model() && !context_.training_stated && !row().trains)
      fault("reward.kind", "\"model\"", "training { ... }, whose plan the reward model runs under");
  }

  // Lengths.

  void lengths(const proto::TokenLengths& stated, const std::string& path, TokenLengths& out) {
    if (stated.has_histogram() != (out.shape == LengthShape::histogram)) {
      return fault(path + ".histogram", stated.has_histogram() ? flopcast::quoted(stated.histogram()) : "nothing",
                   stated.has_histogram() ? "shape: \"histogram\" beside it" : "the name of a measured histogram");
    }
    if (out.shape == LengthShape::histogram) measured(path, out);
    if (out.shape == LengthShape::uniform && out.variation > 1)
      fault(path + ".variation", fmt::format("{:g}", out.variation), "at most 1: uniform lengths go down to 0 then");
    if (out.shape == LengthShape::fixed) {
      out.least = std::min(out.least, out.mean);
      if (!stated.has_most()) out.most = out.mean;
    }
    if (out.shape == LengthShape::uniform && !stated.has_most()) out.most = out.mean * (1 + out.variation);
    if (!stated.has_most() && out.shape != LengthShape::fixed && out.shape != LengthShape::uniform) {
      return fault(path + ".most", "no cut", "the most tokens there may be: every context ends somewhere");
    }
    if (out.least > out.mean || out.mean > out.most)
      fault(path + ".mean", fmt::format("{:g}", out.mean),
            fmt::format("from least, {:g}, to most, {:g}", out.least, out.most));
  }

  void measured(const std::string& path, TokenLengths& out) {
    const std::string file = required_file(*context_.libraries, kLengthsFile);
    proto::LengthTable table;
    Places places(file);
    if (!parse_text(read_text_file(file), file, table, places, faults_)) return;
    std::vector<std::string> names;
    for (const proto::MeasuredLengths& known : table.histogram()) {
      names.push_back(known.name());
      if (known.name() == out.histogram) out.counts.assign(known.count().begin(), known.count().end());
    }
    if (!out.counts.empty()) return;
    faults_.push_back(context_.places->fault("rl." + path + ".histogram", flopcast::quoted(out.histogram),
                                             fmt::format("one of {}", fmt::join(names, ", ")),
                                             nearest_name(out.histogram, names)));
  }

  // The engine.

  void rollout() {
    if (!row().generates) {
      if (in_.has_rollout()) fault("rollout", "an engine", fmt::format("nothing: {} writes no answers", row().name));
      return;
    }
    if (!in_.has_rollout()) return fault("rollout", "nothing", "rollout { ... }, the engine that writes answers");
    if (in_.has_rollout_cluster()) elsewhere();
    if (!context_.model || !sound("rollout_cluster")) return;
    ServingContext context{context_.model, engine_cluster(), context_.file, context_.places, context_.libraries,
                           "rl.",          context_.open};
    const auto spec =
        load_replicas(in_.rollout(), in_.has_speculation() ? &in_.speculation() : nullptr, "rollout", context, faults_);
    if (!spec) return;
    out_->rollout = *spec;
    if (in_.rollout().has_autoscale()) fault("rollout.autoscale", "autoscaling", "nothing: all replicas are up");
    if (in_.rollout().has_max_waiting())
      fault("rollout.max_waiting", fmt::format("{}", in_.rollout().max_waiting()), "nothing: every answer waits");
    out_->rollout.engine.scheduler.max_waiting = std::numeric_limits<int>::max() / 2;
    out_->rollout.prefix.block_tokens = out_->rollout.page_tokens;
  }

  const ClusterSpec* engine_cluster() const {
    return out_->rollout_cluster ? &*out_->rollout_cluster : context_.cluster;
  }

  void elsewhere() {
    if (out_->loop.placement != RlPlacement::separate)
      return fault("rollout_cluster", "a cluster for the engine alone", "placement: \"separate\" beside it");
    try {
      Entry<proto::Cluster> entry{in_.rollout_cluster().base(), in_.rollout_cluster(), *context_.places, {}, {}};
      if (!entry.message.base().empty()) {
        const proto::Cluster own = entry.message;
        entry.message = load_entry<proto::Cluster>(*context_.libraries, own.base()).message;
        lay_over(entry.message, own);
      }
      out_->rollout_cluster = cluster_spec(entry, "rl.rollout_cluster.", *context_.libraries, faults_);
    } catch (const InputError& error) {
      faults_.insert(faults_.end(), error.diagnostics().begin(), error.diagnostics().end());
    }
  }

  // Laws.

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

  /// Replicas with slow parts (cluster.slow) write slowly: one behind the other after the trainer's GPUs, or on them.
  void slow_replicas() {
    if (!row().generates || !engine_cluster() || context_.open || !sound("rollout")) return;
    const bool behind = out_->separate() && !out_->rollout_cluster;
    set_slow_replicas(out_->rollout, engine_cluster()->slow_parts, behind ? out_->trainer_gpus() : 0,
                      behind ? out_->loop.overlap : 0);
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
    for (const ModelConfig* model : models) {
      if (model->attention.heads > 0 && model->attention.heads % pool.tensor != 0)
        fault("frozen.tensor", fmt::format("{}", pool.tensor),
              fmt::format("a divisor of the {} attention heads of {}", model->attention.heads, model->name));
      if (model->layers > 0 && pool.pipeline > model->layers)
        fault("frozen.pipeline", fmt::format("{}", pool.pipeline),
              fmt::format("at most the {} layers of {}", model->layers, model->name));
    }
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
    if (model.attention.heads > 0 && model.attention.heads % pool.tensor != 0)
      fault("critic.tensor", fmt::format("{}", pool.tensor),
            fmt::format("a divisor of the {} attention heads of {}", model.attention.heads, model.name));
    if (model.layers > 0 && pool.pipeline > model.layers)
      fault("critic.pipeline", fmt::format("{}", pool.pipeline),
            fmt::format("at most the {} layers of {}", model.layers, model.name));
  }

  /// A model beside the policy, cut up by the trainer's plan; without a name it is the policy, which others check.
  void fits_plan(const ModelConfig& model, const std::string& path) {
    if (model.name.empty() || !context_.training || context_.open) return;
    const ParallelPlan& plan = out_->update.plan;
    if (model.attention.heads > 0 && model.attention.heads % plan.tensor != 0)
      fault(path, flopcast::quoted(model.name),
            fmt::format("a model whose {} attention heads training.plan.tensor, {}, divides", model.attention.heads,
                        plan.tensor));
    if (model.layers > 0 && plan.pipeline * plan.chunks > model.layers)
      fault(path, flopcast::quoted(model.name),
            fmt::format("a model with at least the {} stages of training.plan; it has {} layers",
                        plan.pipeline * plan.chunks, model.layers));
    if (model.moe.experts > 0 && model.moe.experts % plan.expert != 0)
      fault(path, flopcast::quoted(model.name),
            fmt::format("a model whose {} experts training.plan.expert, {}, divides", model.moe.experts, plan.expert));
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
    if (static_cast<double>(memory.kv_tokens) < longest)
      fault("rollout", fmt::format("room for the cache of {} tokens", std::max<std::int64_t>(0, memory.kv_tokens)),
            fmt::format("room for the longest prompt and answer, {:g} tokens", longest),
            "more GPUs per replica, FP8 weights or kv_cache");
  }

  void gpu_counts() {
    if (!context_.cluster) return;
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

  const proto::Rl& in_;
  const RlContext& context_;
  Diagnostics& faults_;
  std::shared_ptr<RlScenario> out_;
};

}  // namespace

std::shared_ptr<RlScenario> load_rl(const proto::Rl& rl, const RlContext& context, Diagnostics& faults) {
  return RlLoader(rl, context, faults).load();
}

}  // namespace flopcast
