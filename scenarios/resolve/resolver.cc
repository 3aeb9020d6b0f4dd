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
#include "scenarios/resolve/load_money.h"
#include "scenarios/resolve/load_resilience.h"
#include "scenarios/resolve/open_scenario.h"
#include "scenarios/resolve/resolve_state.h"
#include "scenarios/resolve/rl/load_rl.h"
#include "scenarios/resolve/serving/load_serving.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

/// The chip of a cluster as it is stated; empty: nobody can say.
std::string chip_of(proto::Cluster cluster, const Libraries& libraries) {
  try {
    if (cluster.has_base()) {
      const proto::Cluster own = cluster;
      cluster = load_entry<proto::Cluster>(libraries, own.base()).message;
      lay_over(cluster, own);
    }
    if (cluster.node_override().has_gpu()) return cluster.node_override().gpu();
    return cluster.has_node() ? load_entry<proto::Node>(libraries, cluster.node()).message.gpu() : "";
  } catch (const InputError&) {
    return "";  // what the overrides put right
  }
}

/// Builds the Scenario section by section. A section's laws are checked when its fields are sound, so that
/// one slip does not drag a tail of consequences into the list.
class Resolver : private ResolveState {
 public:
  Resolver(StatedScenario stated, std::string file, const Libraries& libraries, const FileRule& rule, bool open)
      : ResolveState{std::move(stated.scenario),
                     std::move(stated.places),
                     std::move(file),
                     std::move(stated.faults),
                     libraries,
                     rule,
                     open} {
    out_.run_changed = stated.run_changed;
    priced_ = std::move(stated.priced);
  }

  Scenario resolve() {
    if (in_.has_cluster()) lay_over_its_base(*in_.mutable_cluster(), "cluster.");
    if (in_.rl().has_rollout_cluster())
      lay_over_its_base(*in_.mutable_rl()->mutable_rollout_cluster(), "rl.rollout_cluster.");
    check_fields(in_, "", places_, names_of(libraries_), true, faults_);
    framework();
    engines();
    out_.name = in_.has_name() ? in_.name() : visible(fs::path(file_).stem().string());
    out_.title = in_.title().empty() ? out_.name : in_.title();
    out_.file = file_;
    cluster();
    model();
    what_runs();
    resolve_phases(*this);
    resilience();
    check_resilience();
    load_money(in_, places_, faults_, out_);
    note_price_of_another_chip();
    for (const auto& p : in_.published()) out_.published.push_back(loaded<Scenario::Published>(p));
    defaults();
    if (!faults_.empty()) throw InputError(shortened());
    out_.places = std::make_shared<const Places>(places_);
    return std::move(out_);
  }

 private:
  void lay_over_its_base(proto::Cluster& cluster, const std::string& path) {
    if (!cluster.has_base() || !libraries_.find(LibraryKind::clusters, cluster.base())) return;
    gather([&] {
      const auto base = load_entry<proto::Cluster>(libraries_, cluster.base());
      const proto::Cluster own = cluster;
      cluster = base.message;
      lay_over(cluster, own);
      Places places = places_;
      places_.overlay(base.places, path);
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

  /// The benchmark whose client the only stream has: it starts the engine, too.
  std::optional<BenchmarkRun> benchmark() const {
    const proto::Traffic& traffic = in_.serving().traffic();
    if (traffic.stream_size() != 1 || !traffic.stream(0).has_client() || !sound("serving.traffic")) return {};
    const proto::TrafficClass& stream = traffic.stream(0);
    BenchmarkRun run;
    run.client = stream.client();
    run.users = stream.has_users() ? stream.users() : stream.max_concurrency();
    run.prompt = stream.input().mean();
    run.model = in_.model();
    if (in_.has_model() && sound("model")) {
      const std::string files = load_entry<proto::Model>(libraries_, in_.model()).message.published_weights();
      run.weights = files.starts_with("fp8") ? "fp8" : files == "nvfp4" ? "fp4" : "bf16";
    }
    const proto::Cluster& cluster = in_.cluster();
    if (cluster.node_override().has_gpu())
      run.gpu = cluster.node_override().gpu();
    else if (cluster.has_node() && sound("cluster"))
      run.gpu = load_entry<proto::Node>(libraries_, cluster.node()).message.gpu();
    return run;
  }

  /// An engine reckons its share of memory, or is told it.
  void check_memory_rule(const proto::Replicas& replicas, const std::string& path) {
    if (!replicas.has_memory_share() || !replicas.has_memory_rule() || replicas.memory_rule() == "stated") return;
    add(path + ".memory_rule", quoted(replicas.memory_rule()), "nothing beside memory_share, which holds instead");
  }

  /// What engines do by default, laid under what is stated of their replicas.
  void engines() {
    if (!in_.has_serving() && !in_.rl().has_rollout()) return;
    std::optional<BenchmarkRun> run;
    EngineLoad load;
    try {
      run = benchmark();
      if (in_.has_model() && sound("model")) {
        const proto::Model model = load_entry<proto::Model>(libraries_, in_.model()).message;
        load.latent = model.attention().has_kv_lora_rank();
        load.states = model.has_state_layers();
      }
    } catch (const InputError&) {
      // What is wrong with the model or the node is said where they are taken in.
    }
    load.prefixes = !in_.has_serving() || in_.serving().prefix_cache().on();
    const auto engine = [&](bool there, auto replicas, const std::string& path) {
      if (!there) return;
      const auto drafts = [](const auto& in) { return in.has_speculation() && in.speculation().depth() > 0; };
      load.drafts = path.starts_with("rl.") ? drafts(in_.rl()) : drafts(in_.serving());
      check_memory_rule(*replicas(), path);
      if (!sound(path + ".engine") || !replicas()->has_engine()) return;
      load.benchmark = run && path == "serving.replicas" ? &*run : nullptr;
      gather([&] { lay_over_engine(*replicas(), path, load, libraries_, places_, habits_used_, faults_); });
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
    note_idle_figures();
    gather([&] {
      check_availability({in_.date(), in_.under_rule()}, out_.cluster.node.gpu, libraries_, places_, faults_,
                         out_.notes);
    });
  }

  /// A price is stated for the chip beside it. Another chip in its place costs something else, and nobody has said
  /// what.
  void note_price_of_another_chip() {
    if (!priced_ || !in_.price().has_gpu() || in_.price().model() != "stated" || !cluster_known_) return;
    const std::string chip = chip_of(*priced_, libraries_), &now = out_.cluster.node.gpu.name;
    if (chip.empty() || chip == now) return;
    out_.priced_for = chip;
    out_.notes.push_back(fmt::format(
        "price.gpu, {}, is what the scenario states for {}, and {} works in its place: dollars are those of a chip at "
        "another's price (set price.gpu too, or price.model=rental with a date)",
        in_.price().gpu(), chip, now));
  }

  /// Figures of a chip on which no kernel's time hangs: calibrating asks for one, unfused attention for the other.
  void note_idle_figures() {
    const proto::Gpu& gpu = in_.cluster().gpu_override();
    std::vector<std::string> idle;
    if (gpu.has_l2_capacity()) idle.emplace_back("l2_capacity (kernels were measured with that of their die)");
    if (gpu.has_fp32_peak() && in_.training().attention_kernel() != "unfused")
      idle.emplace_back("fp32_peak (only attention that is not fused asks for it)");
    if (!idle.empty())
      out_.notes.push_back(fmt::format("cluster.gpu_override changes no time by {}", fmt::join(idle, ", ")));
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
    if (in_.has_training()) return resolve_training(*this);
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
    if (in_.has_training()) resolve_training(*this);
    out_.rl = load_rl(in_.rl(),
                      {model_known_ ? &model_ : nullptr, cluster_known_ ? &out_.cluster : nullptr,
                       out_.training && sound("training") ? &*out_.training : nullptr, in_.has_training(), file_,
                       &places_, &libraries_, open_},
                      faults_);
    out_.training.reset();
    engines_fill_the_cluster();
    if (!out_.rl || !out_.rl->rollout_cluster) return;
    const GpuSpec& writes = out_.rl->rollout_cluster->node.gpu;
    if (!cluster_known_ || in_.date().empty() || writes.name == out_.cluster.node.gpu.name) return;
    gather([&] {
      check_availability({in_.date(), in_.under_rule()}, writes, libraries_, places_, faults_, out_.notes);
    });
  }

  /// What the loader decided is said, as what profiles decide is.
  void engines_fill_the_cluster() {
    if (!out_.rl || !out_.rl->generates() || in_.rl().rollout().has_count() || open_) return;
    in_.mutable_rl()->mutable_rollout()->set_count(out_.rl->rollout.replicas);
    habits_used_.push_back(fmt::format("rl.rollout.count = {} (as many as the GPUs hold)", out_.rl->rollout.replicas));
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

  void collective() {
    if (!sound("collective")) return;
    const proto::Collective& c = in_.collective();
    if (cluster_known_ && c.ranks() > out_.cluster.gpus()) {
      add("collective.ranks", fmt::format("{}", c.ranks()),
          fmt::format("at most the {} GPUs of the cluster", out_.cluster.gpus()));
    }
    out_.collective = loaded<CollectiveConfig>(c);
  }

  void resilience() {
    if (!sound("resilience")) return;
    check_checkpoint_fields(in_.resilience(), places_, faults_);
    if (!cluster_known_ || !sound("resilience")) return;
    out_.resilience = resilience_of(in_.resilience(), whole_loop() ? out_.rl->nodes(out_.cluster) : out_.cluster.nodes,
                                    gpus_at_risk());
    out_.resilience.stated = states_interruptions(in_.resilience());
  }

  void check_resilience() {
    const bool in_force = in_.has_resilience() || in_.has_run() || in_.rl().has_run() || in_.has_cluster_life();
    if (!in_force || !cluster_known_ || !sound("resilience")) return;
    check_time_to_train(in_.resilience(), out_.resilience, gpus_at_risk(), places_, faults_);
  }

  /// A loop may leave GPUs of its cluster alone, and have some elsewhere.
  std::optional<proto::Cluster> priced_;  // StatedScenario's
  bool whole_loop() const { return out_.rl && sound("rl") && sound("training") && !open_ && out_.rl->gpus() > 0; }
  int gpus_at_risk() const { return whole_loop() ? out_.rl->gpus() : out_.cluster.gpus(); }

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
      // A share that the engine reckons has no default of its own.
      for (const auto& [path, rule] : {std::pair("serving.replicas", in_.serving().replicas().memory_rule()),
                                       std::pair("serving.prefill", in_.serving().prefill().memory_rule()),
                                       std::pair("serving.decode", in_.serving().decode().memory_rule()),
                                       std::pair("rl.rollout", in_.rl().rollout().memory_rule())})
        if (rule != "stated" && setting.starts_with(std::string(path) + ".memory_share =")) return true;
      // Of weights that are as their files publish them the fields' own defaults are not in force.
      if (out_.serving) {
        for (const PoolSpec& pool : out_.serving->pools)
          for (const char* const field : {"weights", "weight_format", "expert_format", "scaling"})
            if (pool.engine.weights_as_published &&
                setting.starts_with(fmt::format("serving.{}.{} =", pool.name, field)))
              return true;
      }
      // A stated price says itself that it is one.
      // What the software decides is said behind it.
      const bool decided = std::any_of(decided_.begin(), decided_.end(), [&](const std::string& field) {
        return setting.starts_with(field + " =") && !setting.ends_with(')');
      });
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
};

}  // namespace

Scenario resolve_message(StatedScenario stated, const std::string& file, const Libraries& libraries,
                         const FileRule& rule, Openness openness) {
  return Resolver(std::move(stated), file, libraries, rule, openness == Openness::open).resolve();
}

}  // namespace flopcast
