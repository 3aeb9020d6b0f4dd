#include "scenarios/resolve/resolver.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include "scenarios/policy/availability.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/fields/load_fields.h"
#include "scenarios/read/fields/section.h"
#include "scenarios/read/fields/set_field.h"
#include "scenarios/read/libraries/engine_profile.h"
#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/read/libraries/rl_framework.h"
#include "scenarios/read/text/quantity.h"
#include "scenarios/resolve/load_money.h"
#include "scenarios/resolve/load_resilience.h"
#include "scenarios/resolve/load_rl.h"
#include "scenarios/resolve/load_serving.h"
#include "scenarios/resolve/open_scenario.h"
#include "scenarios/resolve/training_laws.h"
#include "sim/base/plain_text.h"
#include "workloads/schedules/schedule.h"
#include "workloads/training/open_fields.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

/// Each phase is a replay of its own.
constexpr int kMostPhases = 100;
constexpr std::string_view kGradients = "training.precision.gradients";

const TextFileKind kOrderFile{"of lines such as `0: F0 B0`", kLargestScheduleFile};

/// Builds the Scenario section by section. A section's laws are checked when its fields are sound, so that
/// one slip does not drag a tail of consequences into the list.
class Resolver {
 public:
  Resolver(StatedScenario stated, std::string file, const Libraries& libraries, const FileRule& rule, bool open)
      : in_(std::move(stated.scenario)),
        places_(std::move(stated.places)),
        file_(std::move(file)),
        faults_(std::move(stated.faults)),
        libraries_(libraries),
        rule_(rule),
        open_(open) {}

  Scenario resolve() {
    lay_cluster_over_its_base();
    check_fields(in_, "", places_, names_of(libraries_), true, faults_);
    framework();
    engines();
    out_.name = in_.has_name() ? in_.name() : visible(fs::path(file_).stem().string());
    out_.title = in_.title().empty() ? out_.name : in_.title();
    out_.file = file_;
    cluster();
    model();
    what_runs();
    phases();
    resilience();
    check_resilience();
    load_money(in_, places_, faults_, out_);
    for (const auto& p : in_.published()) out_.published.push_back(loaded<Scenario::Published>(p));
    defaults();
    if (!faults_.empty()) throw InputError(shortened());
    return std::move(out_);
  }

 private:
  bool sound(const std::string& path) const { return is_sound(faults_, path); }

  void add(const std::string& path, std::string found, std::string expected, std::string suggestion = "") {
    faults_.push_back(places_.fault(path, std::move(found), std::move(expected), std::move(suggestion)));
  }

  /// Runs `body`; faults of library files that it meets join the list.
  template <class Body>
  bool gather(Body body) {
    const std::size_t before = faults_.size();
    try {
      body();
    } catch (const InputError& error) {
      faults_.insert(faults_.end(), error.diagnostics().begin(), error.diagnostics().end());
    }
    return faults_.size() == before;
  }

  void lay_cluster_over_its_base() {
    if (!in_.cluster().has_base() || !libraries_.find(LibraryKind::clusters, in_.cluster().base())) return;
    gather([&] {
      const auto base = load_entry<proto::Cluster>(libraries_, in_.cluster().base());
      const proto::Cluster own = in_.cluster();
      *in_.mutable_cluster() = base.message;
      lay_over(*in_.mutable_cluster(), own);
      Places places = places_;
      places_.overlay(base.places, "cluster.");
      places_.overlay(places);
    });
  }

  /// A conversation goes to the replica that has what was said before, where nothing else is stated.
  void conversations_stay() {
    proto::Serving& serving = *in_.mutable_serving();
    const bool talks = std::ranges::any_of(serving.traffic().stream(), [](const proto::TrafficClass& stream) {
      return stream.has_conversation() || stream.has_sessions();
    });
    if (!talks || !serving.prefix_cache().on()) return;
    const auto stay = [&](bool there, auto replicas, const std::string& path) {
      if (!there || !sound(path + ".router") || replicas()->has_router()) return;
      replicas()->set_router("cache_aware");
      habits_used_.push_back(path + ".router = \"cache_aware\" (conversations)");
    };
    stay(
        serving.has_replicas(), [&] { return serving.mutable_replicas(); }, "serving.replicas");
    stay(
        serving.has_prefill(), [&] { return serving.mutable_prefill(); }, "serving.prefill");
  }

  /// What a framework of reinforcement learning does by default, laid under what is stated of the loop.
  void framework() {
    if (!in_.rl().has_framework() || !sound("rl.framework")) return;
    gather([&] {
      const std::string software = lay_over_framework(*in_.mutable_rl(), libraries_, habits_used_);
      if (software.empty() || !in_.has_training() || in_.training().has_software()) return;
      in_.mutable_training()->set_software(software);
      habits_used_.push_back(fmt::format("training.software = \"{}\" ({})", software, in_.rl().framework()));
    });
  }

  /// What engines do by default, laid under what is stated of their replicas.
  void engines() {
    const auto engine = [&](bool there, auto replicas, const std::string& path) {
      if (!there || !sound(path + ".engine") || !replicas()->has_engine()) return;
      gather([&] { lay_over_engine(*replicas(), path, libraries_, places_, habits_used_, faults_); });
    };
    const proto::Serving& serving = in_.serving();
    engine(
        serving.has_replicas(), [&] { return in_.mutable_serving()->mutable_replicas(); }, "serving.replicas");
    engine(
        serving.has_prefill(), [&] { return in_.mutable_serving()->mutable_prefill(); }, "serving.prefill");
    engine(
        serving.has_decode(), [&] { return in_.mutable_serving()->mutable_decode(); }, "serving.decode");
    engine(
        in_.rl().has_rollout(), [&] { return in_.mutable_rl()->mutable_rollout(); }, "rl.rollout");
    if (in_.has_serving()) conversations_stay();
  }

  void cluster() {
    if (!in_.has_cluster() || !sound("cluster")) return;
    cluster_known_ = gather([&] {
      Entry<proto::Cluster> entry{in_.cluster().base(), in_.cluster(), places_, {}, {}};
      out_.cluster = cluster_spec(entry, "cluster.", libraries_, faults_);
    });
    if (!cluster_known_) return;
    note_slow_ports();
    gather([&] {
      check_availability({in_.date(), in_.under_rule()}, out_.cluster.node.gpu, libraries_, places_, faults_,
                         out_.notes);
    });
  }

  /// A NIC faster than the port it is plugged into shows in no result.
  void note_slow_ports() {
    const BytesPerSecond nic = out_.cluster.node.nic_bandwidth;
    const BytesPerSecond port = out_.cluster.fabric.port_bandwidth;
    if (port <= BytesPerSecond(0) || nic <= port) return;
    out_.notes.push_back(
        fmt::format("the NICs of {}, {:g} GB/s, are held to the ports of {}, {:g} GB/s per direction "
                    "(cluster.fabric_override.port_bandwidth)",
                    out_.cluster.node.name, nic.value() / 1e9, out_.cluster.fabric.name, port.value() / 1e9));
  }

  void model() {
    if (!in_.has_model() || !sound("model")) return;
    if (!in_.has_model_override()) {
      model_known_ = gather([&] { model_ = libraries_.model(in_.model()); });
      return;
    }
    if (!sound("model_override")) return;
    model_known_ = gather([&] {
      auto entry = load_entry<proto::Model>(libraries_, in_.model());
      lay_over(entry, in_.model_override(), places_, "model_override.");
      Diagnostics faults;
      check_overridden(entry, "model_override.", libraries_, Completeness::full, faults);
      if (!faults.empty()) throw InputError(faults);
      model_ = model_config(entry, faults);
      if (!faults.empty()) throw InputError(faults);
    });
    std::string changed;
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    in_.model_override().GetReflection()->ListFields(in_.model_override(), &fields);
    for (const auto* field : fields) changed += (changed.empty() ? "" : ", ") + field->name();
    if (!in_.model_override().has_title()) model_.title += " (changed: " + changed + ")";
    out_.notes.push_back("model " + in_.model() + " with other " + changed + " (model_override)");
  }

  void what_runs() {
    const int kinds = in_.has_training() + in_.has_collective() + in_.has_cluster_life();
    if (in_.has_rl()) return rl();
    if (in_.has_serving())
      return kinds == 0 && !in_.has_given_service()
                 ? serving()
                 : add("serving", "serving beside something else that runs", "serving { ... } alone");
    constexpr const char* kExpected =
        "either training { ... } or collective { ... } or cluster_life { ... } or serving { ... }";
    if (in_.has_given_service() && (kinds > 0 || in_.has_run()))
      return add("given_service", "beside something to run", "a service on its own, or something to run");
    if (in_.has_given_service() || is_given_run(in_)) return;
    if (kinds == 0) return add("", "nothing to run", kExpected);
    if (kinds > 1) {
      return add(in_.has_collective() ? "collective" : "cluster_life",
                 fmt::format("both {}", in_.has_training() && in_.has_collective() ? "training and collective"
                                        : in_.has_training()                       ? "training and cluster_life"
                                                                                   : "collective and cluster_life"),
                 kExpected);
    }
    if (in_.has_training()) return training();
    if (in_.has_collective()) return collective();
    cluster_life();
  }

  void serving() {
    if (!in_.has_model())
      add("model", "nothing", "the model to serve, such as \"llama-3.1-8b\" (`flopcast list models` shows all)");
    out_.serving = load_serving(in_.serving(),
                                {model_known_ ? &model_ : nullptr, cluster_known_ ? &out_.cluster : nullptr, file_,
                                 &places_, &libraries_, "serving.", open_, &rule_},
                                faults_);
    if (!out_.serving || !cluster_known_ || out_.cluster.slow_parts.empty() || open_) return;
    if (std::ranges::all_of(out_.serving->pools, [](const PoolSpec& pool) { return pool.slow.empty(); }))
      out_.notes.push_back("cluster.slow changes nothing here: no replica has a part of those GPUs");
  }

  /// `training` says how one update is cut up: the loop takes it along.
  void rl() {
    if (in_.has_collective() || in_.has_cluster_life() || in_.has_serving() || in_.has_given_service() || in_.has_run())
      return add("rl", "reinforcement learning beside something else that runs",
                 "rl { ... } beside training { ... } (rl.run has the steps of a run)");
    if (!in_.has_model())
      add("model", "nothing",
          fmt::format("the policy, one of {}", fmt::join(libraries_.names(LibraryKind::models), ", ")));
    if (in_.has_training()) training();
    out_.rl = load_rl(in_.rl(),
                      {model_known_ ? &model_ : nullptr, cluster_known_ ? &out_.cluster : nullptr,
                       out_.training && sound("training") ? &*out_.training : nullptr, in_.has_training(), file_,
                       &places_, &libraries_, open_},
                      faults_);
    out_.training.reset();
  }

  void cluster_life() {
    if (!sound("cluster_life")) return;
    const proto::ClusterLife& life = in_.cluster_life();
    if (life.has_elapsed() == life.has_useful()) {
      return add("cluster_life", life.has_elapsed() ? "both elapsed and useful" : "neither elapsed nor useful",
                 "elapsed, the time that passes, or useful, the training to be done");
    }
    out_.cluster_life = loaded<ClusterLifeConfig>(life);
  }

  void training() {
    if (!in_.has_model())
      add("model", "nothing", "the model to train, such as \"llama-3.1-8b\" (`flopcast list models` shows all)");
    const proto::Training& t = in_.training();
    TrainingConfig config;
    config.model = model_;
    load_fields(t, config);
    check_laws(config, {"training.plan", "training.batch"});
    if (sound("training.precision")) {
      check_precision(config.precision, places_, faults_);
      check_recompute(config.recompute, places_, faults_);
      if (model_known_) check_recompute(config.recompute, model_, places_, faults_);
      if (cluster_known_) check_precision_on(out_.cluster.node.gpu, config.precision, places_, faults_);
    }
    if (!open_ && sound("training.expert_load") && sound("training.plan") && model_known_)
      check_expert_load(config.expert_load, config.plan, model_, places_, faults_);
    if (cluster_known_ && config.communication_sms >= out_.cluster.node.gpu.sms) {
      add("training.communication_sms", fmt::format("{}", config.communication_sms),
          fmt::format("fewer than the {} SMs of {}", out_.cluster.node.gpu.sms, out_.cluster.node.gpu.name));
    }
    if (sound("training.software")) gather([&] { config.software = libraries_.software(t.software()); });
    if (!t.has_attention_kernel()) config.attention_kernel = attention_kernel_of(config.software, model_);
    if (!t.precision().has_gradients() && config.precision.gradients != config.software.gradients) {
      config.precision.gradients = config.software.gradients;
      gradients_of_software_ = true;
      habits_used_.push_back(
          fmt::format("{} = \"{}\" ({})", kGradients, name(config.software.gradients), t.software()));
    }
    for (int i = 0; i < t.open_size(); ++i) {
      if (find_open_field(t.open(i)) != nullptr) continue;
      std::vector<std::string> names;
      for (const OpenField& field : open_fields()) names.emplace_back(field.name);
      add(fmt::format("training.open[{}]", i), t.open(i), fmt::format("one of {}", fmt::join(names, ", ")),
          nearest_name(t.open(i), names));
    }
    if (!open_) check_software(config);
    settle_plan(t.plan(), config.software, config.plan);
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
    schedule(config);
    out_.training = std::move(config);
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

  /// What the plan leaves open, as the software has it.
  void settle_plan(const proto::Plan& stated, const SoftwareProfile& software, ParallelPlan& plan) const {
    if (!stated.has_dispatcher()) plan.dispatcher = software.dispatcher;
    if (!stated.has_tensor_overlap()) plan.tensor_overlap = software.overlaps_tensor;
    if (!stated.has_layer_split() && software.even_split) plan.layer_split = "even";
    if (!stated.has_overlap_gradients()) plan.overlap_gradients = software.overlaps_exchange;
    if (!stated.has_overlap_parameters()) plan.overlap_parameters = software.overlaps_exchange;
    if (model_known_ && !stated.has_expert_tensor()) plan.expert_tensor = expert_tensor_of(software, plan, model_);
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
    const fs::path path = fs::path(file_).parent_path() / t.schedule_file();
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

  void collective() {
    if (!sound("collective")) return;
    const proto::Collective& c = in_.collective();
    if (cluster_known_ && c.ranks() > out_.cluster.gpus()) {
      add("collective.ranks", fmt::format("{}", c.ranks()),
          fmt::format("at most the {} GPUs of the cluster", out_.cluster.gpus()));
    }
    out_.collective = loaded<CollectiveConfig>(c);
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

  void resilience() {
    if (!sound("resilience")) return;
    check_checkpoint_fields(in_.resilience(), places_, faults_);
    if (!cluster_known_ || !sound("resilience")) return;
    out_.resilience = resilience_of(in_.resilience(), out_.cluster);
    out_.resilience.stated = in_.has_resilience();
  }

  void check_resilience() {
    const bool in_force = in_.has_resilience() || in_.has_run() || in_.rl().has_run() || in_.has_cluster_life();
    if (!in_force || !cluster_known_ || !sound("resilience")) return;
    check_time_to_train(in_.resilience(), out_.resilience, out_.cluster.gpus(), places_, faults_);
  }

  void defaults() {
    std::vector<std::string> in_force;
    if (in_.has_training())
      in_force = {"training.precision", "training.recompute", "training.expert_load", "training.mechanisms"};
    if (in_.has_rl()) in_force.insert(in_force.end(), {"rl.reward", "rl.sync", "rl.handover"});
    if ((in_.has_run() && in_.has_training()) || in_.has_cluster_life() || in_.rl().has_run())
      in_force.push_back("resilience");
    if (out_.price.model != PriceModel::stated) in_force.push_back("price." + in_.price().model());
    if (in_.has_serving()) in_force.push_back("serving.prefix_cache");
    out_.defaults_used = defaults_used(in_, in_force);
    out_.defaults_used.insert(out_.defaults_used.end(), habits_used_.begin(), habits_used_.end());
    std::erase_if(out_.defaults_used, [&](const std::string& setting) {
      // A stated price says itself that it is one.
      // What the software decides is said behind it.
      const bool decided = gradients_of_software_ && setting.starts_with(kGradients) && !setting.ends_with(')');
      return decided || resilience_default_idle(in_.resilience(), setting) || setting.starts_with("price.model =");
    });
    if (!in_.has_price() && !in_.has_cluster_life())
      out_.defaults_used.push_back("price = none, so that nothing costs anything");
  }

  Diagnostics shortened() const {
    Diagnostics out = faults_;
    if (out.size() > kMostDiagnostics) {
      const std::size_t more = out.size() - kMostDiagnostics;
      out.resize(kMostDiagnostics);
      out.push_back({file_, 0, 0, "", fmt::format("{} more faults", more), "fewer", ""});
    }
    return out;
  }

  proto::Scenario in_;
  Places places_;
  std::string file_;
  Diagnostics faults_;
  const Libraries& libraries_;
  const FileRule& rule_;
  std::vector<std::string> habits_used_;  // of engines' profiles
  bool gradients_of_software_ = false;    // their precision, where the scenario is silent
  bool open_;                             // the plan is still to be chosen: nothing is said of it
  Scenario out_;
  ModelConfig model_;
  bool cluster_known_ = false;
  bool model_known_ = false;
};

}  // namespace

Scenario resolve_message(StatedScenario stated, const std::string& file, const Libraries& libraries,
                         const FileRule& rule, Openness openness) {
  return Resolver(std::move(stated), file, libraries, rule, openness == Openness::open).resolve();
}

}  // namespace flopcast
