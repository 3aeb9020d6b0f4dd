#include "scenarios/resolve/rl/load_rl.h"

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
#include "scenarios/resolve/rl/rl_draft.h"
#include "scenarios/resolve/serving/load_serving.h"

namespace flopcast {
namespace {

constexpr char kLengthsFile[] = "workloads/data/rl/answer_lengths.textproto";

class RlLoader : private RlDraft {
 public:
  RlLoader(const proto::Rl& in, const RlContext& context, Diagnostics& faults)
      : RlDraft{in, context, faults, std::make_shared<RlScenario>()} {}

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
    slow_replicas();
    check_rl_laws(*this);
    return out_;
  }

 private:
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
    const proto::Reward& reward = in_.reward();
    const std::pair<bool, const char*> of_workers[] = {{reward.has_time(), "time"},
                                                       {reward.has_variation(), "variation"},
                                                       {reward.has_workers(), "workers"},
                                                       {reward.has_time_out(), "time_out"},
                                                       {reward.has_hanging(), "hanging"}};
    for (const auto& [stated, field] : of_workers)
      if (stated && row().rewards && loop.with_reward_model())
        fault(std::string("reward.") + field, "a statement without effect",
              "kind: \"rules\" or \"sandbox\": a reward model reads answers on the training GPUs");
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
    if (out.shape == LengthShape::fixed && stated.has_variation() && stated.variation() > 0)
      fault(path + ".variation", "a statement without effect",
            "shape: \"log_normal\", \"gamma\" or \"uniform\" beside it: lengths are fixed");
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
    if (!in_.rollout().has_count()) out_->rollout.replicas = as_many_as_fit();
  }

  /// Replicas that have all GPUs which nothing else has: nobody rents a cluster to leave most of it idle.
  int as_many_as_fit() const {
    const int each = out_->rollout.engine.plan.gpus();
    const ClusterSpec* const cluster = engine_cluster();
    if (!cluster || context_.open || each < 1) return 1;
    std::int64_t free = cluster->gpus();
    if (!out_->rollout_cluster) free -= out_->loop.aside_gpus();
    if (out_->separate() && !out_->rollout_cluster)
      free -= out_->trainer_gpus() - static_cast<std::int64_t>(each) * out_->loop.overlap;
    return static_cast<int>(std::max<std::int64_t>(1, free / each));
  }

  void elsewhere() {
    if (out_->loop.placement != RlPlacement::separate)
      return fault("rollout_cluster", "a cluster for the engine alone", "placement: \"separate\" beside it");
    if (!sound("rollout_cluster")) return;
    const Entry<proto::Cluster> entry{in_.rollout_cluster().base(), in_.rollout_cluster(), *context_.places, {}, {}};
    try {
      out_->rollout_cluster = cluster_spec(entry, "rl.rollout_cluster.", *context_.libraries, faults_);
    } catch (const InputError& error) {
      faults_.insert(faults_.end(), error.diagnostics().begin(), error.diagnostics().end());
    }
  }

  /// Replicas with slow parts (cluster.slow) write slowly: one behind the other after the trainer's GPUs, or on them.
  void slow_replicas() {
    if (!row().generates || !engine_cluster() || context_.open || !sound("rollout")) return;
    const bool behind = out_->separate() && !out_->rollout_cluster;
    set_slow_replicas(out_->rollout, engine_cluster()->slow_parts, behind ? out_->trainer_gpus() : 0,
                      behind ? out_->loop.overlap : 0);
  }
};

}  // namespace

std::shared_ptr<RlScenario> load_rl(const proto::Rl& rl, const RlContext& context, Diagnostics& faults) {
  return RlLoader(rl, context, faults).load();
}

}  // namespace flopcast
