// `training { ... }` and the phases of its run.
#include <filesystem>

#include <fmt/format.h>

#include "scenarios/read/fields/load_fields.h"
#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/read/text/quantity.h"
#include "scenarios/resolve/laws/training_laws.h"
#include "scenarios/resolve/load_money.h"
#include "scenarios/resolve/load_resilience.h"
#include "scenarios/resolve/resolve_state.h"
#include "workloads/schedules/schedule.h"
#include "workloads/training/open_fields.h"

namespace flopcast {
namespace {

/// Whether what is stated of a spread and its kind belong together. Who states another kind than "skewed" beside a
/// spread has switched that off.
void check_stated_load(const proto::ExpertLoad& load, const Places& places, Diagnostics& faults) {
  const auto add = [&](const char* field, std::string found, std::string expected, std::string remedy) {
    const std::string path = std::string("training.expert_load.") + field;
    faults.push_back(with_remedy(places.fault(path, std::move(found), std::move(expected)), std::move(remedy)));
  };
  if (load.kind() == "skewed" && !load.has_coefficient_of_variation())
    add("coefficient_of_variation", "nothing", "how much the loads vary, such as 0.4, beside kind: \"skewed\"", "");
  if (load.has_kind()) return;
  if (load.coefficient_of_variation() > 0)
    add("coefficient_of_variation", fmt::format("{:g} beside kind: \"balanced\"", load.coefficient_of_variation()),
        "0, unless kind: \"skewed\" takes it", "kind: \"skewed\"");
  if (load.has_level())
    add("level", fmt::format("\"{}\" beside kind: \"balanced\"", load.level()),
        "nothing, unless kind: \"skewed\" has a coefficient_of_variation", "kind: \"skewed\"");
}

/// Each phase is a replay of its own.
constexpr int kMostPhases = 100;

const TextFileKind kOrderFile{"of lines such as `0: F0 B0`", kLargestScheduleFile};

class TrainingResolver {
 public:
  explicit TrainingResolver(ResolveState& state)
      : state_(state),
        in_(state.in_),
        places_(state.places_),
        file_(state.file_),
        faults_(state.faults_),
        libraries_(state.libraries_),
        rule_(state.rule_),
        out_(state.out_),
        model_(state.model_),
        open_(state.open_),
        cluster_known_(state.cluster_known_),
        model_known_(state.model_known_) {}

  void training() {
    if (!in_.has_model())
      add("model", "nothing", "the model to train, such as \"llama-3.1-8b\" (`flopcast list models` shows all)");
    const proto::Training& t = in_.training();
    TrainingConfig config;
    config.model = model_;
    load_fields(t, config);
    check_laws(config, {"training.plan", "training.batch"});
    settle_scaling(t.precision(), config.precision);
    if (sound("training.precision")) {
      check_precision(config.precision, places_, faults_);
      check_recompute(config.recompute, places_, faults_);
      if (model_known_) check_recompute(config.recompute, model_, places_, faults_);
      if (cluster_known_) check_precision_on(out_.cluster.node.gpu, config.precision, places_, faults_);
    }
    if (!open_ && sound("training.expert_load") && sound("training.plan") && model_known_)
      check_expert_load(config.expert_load, config.plan, model_, places_, faults_);
    check_stated_load(t.expert_load(), places_, faults_);
    note_unused_spread(t.expert_load());
    if (cluster_known_ && config.communication_sms >= out_.cluster.node.gpu.sms) {
      add("training.communication_sms", fmt::format("{}", config.communication_sms),
          fmt::format("fewer than the {} SMs of {}", out_.cluster.node.gpu.sms, out_.cluster.node.gpu.name));
    }
    if (sound("training.software")) gather([&] { config.software = libraries_.software(t.software()); });
    if (!t.has_attention_kernel()) config.attention_kernel = attention_kernel_of(config.software, model_);
    if (!t.precision().has_gradients() && config.precision.gradients != config.software.gradients) {
      config.precision.gradients = config.software.gradients;
      state_.decided_.emplace_back(kGradientsField);
      state_.habits_used_.push_back(
          fmt::format("{} = \"{}\" ({})", kGradientsField, name(config.software.gradients), t.software()));
    }
    settle_states(t, config);
    for (int i = 0; i < t.open_size(); ++i) {
      if (std::find(t.open().begin(), t.open().begin() + i, t.open(i)) != t.open().begin() + i)
        add(fmt::format("training.open[{}]", i), quoted(t.open(i)) + " once more", "each thing that is open once");
      if (find_open_field(t.open(i)) != nullptr) continue;  // whether it has effect: idle_statements()
      std::vector<std::string> names;
      for (const OpenField& field : open_fields()) names.emplace_back(field.name);
      add(fmt::format("training.open[{}]", i), t.open(i), fmt::format("one of {}", fmt::join(names, ", ")),
          nearest_name(t.open(i), names));
    }
    if (!open_) check_software(config);
    settle_plan(t.plan(), config.software, config.plan);
    say_habits(t, config);
    idle_statements(t, config);
    check_workers(config, {"training.plan", "training.batch"});
    if (t.plan().dispatcher() != "all_to_all" && t.plan().has_dispatcher() && !config.software.deep_ep &&
        model_.moe.experts > 0) {
      add("training.plan.dispatcher",
          fmt::format("{}, which {} of {} does not have", t.plan().dispatcher(), config.software.name,
                      config.software.released),
          "all_to_all, or a later software");
    }
    check_split_sequence(config, "training.plan");
    if (!open_ && sound("training.plan"))
      check_software_plan(config, {"training.plan", "training.batch"}, places_, faults_);
    if (!open_ && sound("training.plan") && sound("training.offload") && cluster_known_)
      check_offload(config, out_.cluster.node, {"training.plan", "training.batch"}, places_, faults_);
    if (config.attention_kernel == AttentionKernel::unfused && config.plan.context > 1) {
      add("training.attention_kernel", fmt::format("unfused over {} GPUs that share a sequence", config.plan.context),
          "fused or flash2, or training.plan.context: 1");
    }
    if (config.iteration_graph && !config.cuda_graphs)
      add("training.iteration_graph", "true without graphs", "false, or training.cuda_graphs: true");
    schedule(config);
    note_what_says_nothing(t, config);
    out_.training = std::move(config);
  }

  void phases() {
    if (!in_.has_run()) return;
    if (is_given_run(in_)) {
      if (sound("run")) out_.phases = given_phases(in_.run());
      return;
    }
    if (!in_.has_training()) return add("run", "phases of training", "training { ... } beside run { ... }");
    if (in_.run().phase_size() > kMostPhases)
      return add("run", fmt::format("{} phases", in_.run().phase_size()), fmt::format("at most {}", kMostPhases));
    for (int i = 0; i < in_.run().phase_size(); ++i) phase(in_.run().phase(i), fmt::format("run.phase[{}]", i));
    if (in_.run().phase_size() == 0) add("run", "no phase", "at least one phase { ... }");
  }

 private:
  /// Another kind switches a spread off, as one does to compare: said, for a profile may have meant the other.
  void note_unused_spread(const proto::ExpertLoad& load) {
    if (load.has_kind() && load.kind() != "skewed" && load.coefficient_of_variation() > 0)
      out_.notes.push_back(fmt::format(
          "training.expert_load.coefficient_of_variation, {:g}, changes nothing beside kind: \"{}\"; skewed takes it",
          load.coefficient_of_variation(), load.kind()));
  }

  /// FP8 is trained with scales: one for each tensor, where nothing is said. None at all is a what-if.
  void settle_scaling(const proto::Precision& stated, PrecisionPlan& precision) {
    if (precision.linear != Precision::fp8) return;
    if (!stated.has_scaling()) {
      precision.scaling = Scaling::per_tensor;
      state_.decided_.emplace_back("training.precision.scaling");
      state_.habits_used_.push_back(
          "training.precision.scaling = \"per_tensor\" (Transformer Engine, Megatron-Core and torchao unless told "
          "otherwise)");
    } else if (precision.scaling == Scaling::none) {
      out_.notes.push_back(
          "WHAT-IF: FP8 operands without scales (training.precision.scaling: none), as no framework trains: casts and "
          "products are faster than they would be");
    }
  }

  /// Fields that are stated and change nothing.
  void note_what_says_nothing(const proto::Training& t, const TrainingConfig& config) {
    if (!model_known_ || !faults_.empty()) return;
    std::vector<std::string> idle;
    if (model_.moe.experts == 0) {
      for (const auto& [stated, field] : {std::pair(t.plan().has_dispatcher(), "plan.dispatcher"),
                                          {t.precision().has_dispatch(), "precision.dispatch"},
                                          {t.has_expert_load(), "expert_load"},
                                          {t.has_grouped_experts(), "grouped_experts"}})
        if (stated) idle.push_back(fmt::format("training.{}", field));
      if (!idle.empty())
        out_.notes.push_back(fmt::format("{} has no experts: {} changes nothing", model_.name, fmt::join(idle, ", ")));
    }
    std::vector<std::string> closed;
    for (const std::string& name : t.open())
      if (!open_ && find_open_field(name)->alternatives(config).empty()) closed.push_back(name);
    if (!closed.empty())
      out_.notes.push_back(
          fmt::format("training.open: of {} there is nothing else that this step may have", fmt::join(closed, ", ")));
    if (model_.moe.experts == 0 || config.plan.expert == 1 || !sends_tokens_once(config.plan.dispatcher) ||
        !cluster_known_)
      return;
    const std::string& architecture = out_.cluster.node.gpu.architecture;
    if (architecture != "hopper" && architecture != "blackwell")
      out_.notes.push_back(fmt::format(
          "training.plan.dispatcher: DeepEP is made for Hopper and later; on {} it is priced as if there were one",
          out_.cluster.node.gpu.name));
  }

  void check_split_sequence(const TrainingConfig& config, const std::string& plan) {
    if (open_ || !config.software.experts_split_sequence || config.plan.sequence_parallel || config.plan.tensor < 2 ||
        !model_known_ || model_.moe.experts == 0)
      return;
    add(plan + ".sequence_parallel", "false",
        fmt::format("true: {} refuses tensor parallelism ({}) without it for models with experts", config.software.name,
                    config.plan.tensor));
  }

  /// What came after the software is not in it: products in FP8 (Transformer Engine, 2022-09, with the H100), DualPipe
  /// (2024-12, DeepSeek's own), models with experts (2022, DeepSpeed-MoE; Megatron-Core later).
  void check_software(const TrainingConfig& config) {
    const SoftwareProfile& software = config.software;
    const auto before = [&](std::string_view day) {
      return software.released < day.substr(0, software.released.size());
    };
    const auto refuse = [&](const std::string& field, const std::string& found, const std::string& expected) {
      add(field, fmt::format("{}, which {} of {} does not have", found, software.name, software.released), expected);
    };
    const ScheduleRow* schedule = find_schedule(config.schedule);
    if (schedule != nullptr && schedule->two_copies && before("2024-12") && software.schedules.empty())
      refuse("training.schedule", quoted(config.schedule), "a schedule of one stage on one rank, or a later software");
    if (config.precision.linear == Precision::fp8 && before("2022-09"))
      refuse("training.precision.linear", "fp8", "bf16, or a later software");
    const bool said = std::find(software.lacks.begin(), software.lacks.end(), "expert") != software.lacks.end();
    if (config.plan.expert > 1 && before("2022-01") && !said)
      refuse("training.plan.expert", fmt::format("{}: experts on several ranks", config.plan.expert),
             "1, or a later software");
    if (model_known_ && model_.moe.experts > 0 && before("2022-01"))
      refuse("training.software", fmt::format("{}: experts", model_.name), "a later software");
  }

  /// Master weights and moments, where they are left open and the software keeps them in BF16.
  void settle_states(const proto::Training& stated, TrainingConfig& config) const {
    if (!config.software.bf16_states) return;
    const proto::Precision& of = stated.precision();
    const auto settle = [&](bool is_stated, const char* field, Precision& precision) {
      if (is_stated || precision == Precision::bf16) return;
      precision = Precision::bf16;
      state_.decided_.emplace_back(field);
      state_.habits_used_.push_back(fmt::format("{} = \"bf16\" ({})", field, stated.software()));
    };
    settle(of.has_master(), "training.precision.master", config.precision.master);
    settle(of.has_moments(), "training.precision.moments", config.precision.moments);
  }

  /// What the plan leaves open, as the software has it.
  void settle_plan(const proto::Plan& stated, const SoftwareProfile& software, ParallelPlan& plan) const {
    if (!stated.has_dispatcher()) plan.dispatcher = software.dispatcher;
    if (!stated.has_tensor_overlap()) plan.tensor_overlap = software.overlaps_tensor;
    if (!stated.has_sequence_parallel() && plan.tensor > 1) {
      const bool alone = plan.pipeline == 1 && model_.moe.experts == 0;
      plan.sequence_parallel =
          software.splits_sequence == "always" || (software.splits_sequence == "dense_alone" && alone);
    }
    if (!stated.has_layer_split()) plan.layer_split = software.splits_layers;
    if (!stated.has_overlap_gradients()) plan.overlap_gradients = software.overlaps_exchange;
    if (!stated.has_overlap_parameters()) plan.overlap_parameters = software.overlaps_exchange;
    if (model_known_ && !stated.has_expert_tensor()) plan.expert_tensor = expert_tensor_of(software, plan, model_);
  }

  /// What is stated and changes nothing.
  void idle_statements(const proto::Training& stated, const TrainingConfig& config) {
    if (!model_known_ || open_ || !sound("training.plan") || !sound("training.batch")) return;
    const BatchConfig& batch = config.batch;
    const std::int64_t tokens = std::int64_t{batch.micro_batch_sequences} * batch.sequence_length / config.plan.context;
    if (config.loss_parts > tokens)
      add("training.loss_parts", fmt::format("{}", config.loss_parts),
          fmt::format("at most {}, the tokens of a micro-batch on a GPU", tokens));
    const proto::LocalUpdates& local = stated.local_updates();
    const std::pair<bool, const char*> of_workers[] = {{local.has_inner_steps(), "inner_steps"},
                                                       {local.has_bytes_per_parameter(), "bytes_per_parameter"},
                                                       {local.has_streaming(), "streaming"}};
    for (const auto& [is_stated, field] : of_workers)
      if (is_stated && config.local.workers < 2)
        add(std::string("training.local_updates.") + field, "a statement without effect", "several workers beside it");
    if (!faults_.empty()) return;  // what else it may be, is asked of sound plans
    for (const std::string& open : stated.open()) {
      const OpenField* const field = find_open_field(open);
      if (field != nullptr && field->alternatives(config).empty())
        out_.notes.push_back(fmt::format(
            "training.open names {}, but with this model, plan and batch there is nothing else that it may be", open));
    }
  }

  /// What the software decides is no default of the schema.
  void say_habits(const proto::Training& stated, const TrainingConfig& config) const {
    const proto::Plan& plan = stated.plan();
    const auto say = [&](bool is_stated, const std::string& field, const std::string& schema,
                         const std::string& value) {
      if (is_stated || value == schema) return;
      state_.decided_.push_back(field);
      state_.habits_used_.push_back(fmt::format("{} = {} ({})", field, value, stated.software()));
    };
    const auto word = [](auto value) {
      return quoted(std::string(enum_names(value)[static_cast<std::size_t>(value)]));
    };
    const auto flag = [&](bool is_stated, const char* field, bool schema, bool value) {
      say(is_stated, std::string("training.plan.") + field, fmt::format("{}", schema), fmt::format("{}", value));
    };
    flag(plan.has_sequence_parallel(), "sequence_parallel", plan.sequence_parallel(), config.plan.sequence_parallel);
    flag(plan.has_tensor_overlap(), "tensor_overlap", plan.tensor_overlap(), config.plan.tensor_overlap);
    flag(plan.has_overlap_gradients(), "overlap_gradients", plan.overlap_gradients(), config.plan.overlap_gradients);
    flag(plan.has_overlap_parameters(), "overlap_parameters", plan.overlap_parameters(),
         config.plan.overlap_parameters);
    say(plan.has_layer_split(), "training.plan.layer_split", quoted(plan.layer_split()),
        quoted(config.plan.layer_split));
    say(plan.has_dispatcher(), "training.plan.dispatcher", quoted(plan.dispatcher()), word(config.plan.dispatcher));
    say(plan.has_expert_tensor(), "training.plan.expert_tensor", fmt::format("{}", plan.expert_tensor()),
        fmt::format("{}", config.plan.expert_tensor));
    say(stated.has_attention_kernel(), "training.attention_kernel", quoted(stated.attention_kernel()),
        word(config.attention_kernel));
  }

  /// Each worker of local updates takes a step of its own.
  void check_workers(const TrainingConfig& config, const PlanPaths& paths) {
    if (in_.has_rl() && config.local.workers > 1)
      add("training.local_updates.workers", fmt::format("{} beside rl", config.local.workers),
          "1: the trainer of a loop is one job");
    if (open_ || in_.has_rl() || !model_known_ || !cluster_known_ || !sound("training.plan") || !sound(paths.plan) ||
        !sound("training.batch") || !sound(paths.batch))
      return;
    TrainingConfig together = config;
    together.local = {};
    if (plan_faults(together, out_.cluster).empty()) check_local_updates(config, out_.cluster, paths, places_, faults_);
  }

  void check_laws(const TrainingConfig& config, const PlanPaths& paths) {
    if (open_ || !sound("training.plan") || !sound(paths.plan)) return;
    if (model_known_) check_plan(config.plan, model_, paths, places_, faults_);
    const ScheduleRow* row = find_schedule(config.schedule);
    if (model_known_ && row) {
      check_stages(config.plan, stages_of(*row, config.plan.pipeline, config.plan.chunks), model_, paths, places_,
                   faults_);
    }
    // Of a loop, which has GPUs for other things too: load_rl.cc.
    if (cluster_known_ && !in_.has_rl()) check_gpu_count(config.plan, out_.cluster, paths, places_, faults_);
    if (!sound("training.batch") || !sound(paths.batch)) return;
    const bool divides = check_batch(config.batch, config.plan, paths, places_, faults_);
    if (const int rows = config.model.learned_positions; rows > 0 && config.batch.sequence_length > rows)
      faults_.push_back(places_.fault("training.batch.sequence_length", fmt::format("{}", config.batch.sequence_length),
                                      fmt::format("at most {}: {} learns no more positions", rows, config.model.name)));
    if (divides && config.schedule_file.empty()) check_schedule(config, paths, places_, faults_);
  }

  void schedule(TrainingConfig& config) {
    const proto::Training& t = in_.training();
    if (t.has_schedule() == t.has_schedule_file() && (!open_ || t.has_schedule())) {
      add(t.has_schedule() ? "training.schedule_file" : "training.schedule",
          t.has_schedule() ? "both a schedule and a schedule_file" : "nothing",
          fmt::format("either schedule, one of {}, or schedule_file",
                      fmt::join(libraries_.names(LibraryKind::schedules), ", ")));
    }
    if (!t.has_schedule_file()) return;
    const std::filesystem::path path = std::filesystem::path(file_).parent_path() / t.schedule_file();
    gather([&] {
      rule_.check(path.string(), places_.fault("training.schedule_file", "", ""));
      config.schedule_text = read_text_file(path.string(), kOrderFile);
    });
    if (open_ || config.schedule_text.empty() || !sound("training")) return;
    gather([&] {
      const Schedule order =
          parse_schedule(config.schedule_text, path.string(),
                         {config.plan.pipeline, config.micro_batches() / config.rounds(), config.plan.chunks});
      if (model_known_)
        check_stages(config.plan, order.stages, model_, {"training.plan", "training.batch"}, places_, faults_);
    });
  }

  void phase(const proto::Phase& p, const std::string& path) {
    if (!sound(path) || !out_.training) return;
    if (p.has_tokens() == p.has_given_gpu_hours()) {
      return add(path, p.has_tokens() ? "both tokens and given_gpu_hours" : "neither tokens nor given_gpu_hours",
                 "tokens to have the phase predicted, or given_gpu_hours");
    }
    proto::Plan plan = in_.training().plan();
    proto::Batch batch = in_.training().batch();
    lay_over(plan, p.plan());
    lay_over(batch, p.batch());
    auto out = loaded<TrainingPhase>(p);
    out.plan = loaded<ParallelPlan>(plan);
    settle_plan(plan, out_.training->software, out.plan);
    out.batch = loaded<BatchConfig>(batch);
    ramp(p, path, out);
    if (p.has_plan() || p.has_batch()) {
      TrainingConfig config = *out_.training;
      config.plan = out.plan;
      config.batch = out.batch;
      check_laws(config, {p.has_plan() ? path + ".plan" : "training.plan",
                          p.has_batch() ? path + ".batch" : "training.batch", path});
      check_split_sequence(config, p.has_plan() ? path + ".plan" : "training.plan");
      check_workers(config, {p.has_plan() ? path + ".plan" : "training.plan",
                             p.has_batch() ? path + ".batch" : "training.batch", path});
      if (p.has_plan() && !open_)
        check_software_plan(config, {path + ".plan", path + ".batch", path + ".plan"}, places_, faults_);
      if (p.has_plan() && !open_ && cluster_known_)
        check_offload(config, out_.cluster.node, {path + ".plan", path + ".batch"}, places_, faults_);
    }
    out_.phases.push_back(std::move(out));
  }

  void ramp(const proto::Phase& p, const std::string& path, const TrainingPhase& out) {
    if (p.has_ramp_from_sequences() != p.has_ramp_tokens()) {
      return add(path, "half a ramp", "both ramp_from_sequences and ramp_tokens, or neither");
    }
    if (!p.has_ramp_tokens()) return;
    if (out.ramp_tokens > out.tokens)
      add(path + ".ramp_tokens", quoted(p.ramp_tokens()), "at most the tokens of the phase, " + p.tokens());
    if (out.ramp_from_sequences > out.batch.sequences || out.ramp_from_sequences < 1) {
      add(path + ".ramp_from_sequences", fmt::format("{}", out.ramp_from_sequences),
          fmt::format("from 1 to {}, the final batch", out.batch.sequences));
    }
  }

  bool sound(const std::string& path) const { return state_.sound(path); }
  void add(const std::string& path, std::string found, std::string expected, std::string suggestion = "") {
    state_.add(path, std::move(found), std::move(expected), std::move(suggestion));
  }
  template <class Body>
  bool gather(Body body) {
    return state_.gather(body);
  }

  ResolveState& state_;
  const proto::Scenario& in_;
  Places& places_;
  const std::string& file_;
  Diagnostics& faults_;
  const Libraries& libraries_;
  const FileRule& rule_;
  Scenario& out_;
  const ModelConfig& model_;
  const bool open_, cluster_known_, model_known_;
};

}  // namespace

void resolve_training(ResolveState& state) { TrainingResolver(state).training(); }

void resolve_phases(ResolveState& state) { TrainingResolver(state).phases(); }

}  // namespace flopcast
