#include "analysis/studies/compare/loop_causes.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "analysis/render/text/format.h"
#include "analysis/runs/metrics.h"
#include "scenarios/resolve/change_work.h"
#include "scenarios/resolve/laws/training_laws.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

const RlConfig& loop_of(const Scenario& s) { return s.rl->loop; }
bool learns_from_own(const Scenario& s) { return loop_of(s).algorithm->generates && loop_of(s).algorithm->trains; }
bool apart(const Scenario& s) { return s.rl->separate(); }

std::string algorithm_change(const Scenario& s, const char* to) {
  const AlgorithmRow& row = *find_algorithm(to);
  const bool possible = learns_from_own(s) && (!row.group || loop_of(s).group > 1);
  return !possible || loop_of(s).algorithm == &row ? "" : fmt::format("{} -> {}", loop_of(s).algorithm->name, to);
}
void set_algorithm(Scenario& s, const char* to) {
  change_loop(s, [&](RlScenario& rl) {
    rl.loop.algorithm = find_algorithm(to);
    rl.loop.reference.reset();
    rl.loop.old_log_probs.reset();
    rl.loop.signal_share = 1;
  });
}

/// Half of the GPUs for each, with as many replicas of either as these take.
std::string apart_change(const Scenario& s) {
  const RlScenario& rl = *s.rl;
  const bool halves = rl.update.plan.data % 2 == 0 && rl.rollout.replicas % 2 == 0;
  if (!learns_from_own(s) || apart(s) || !halves) return "";
  return fmt::format("{} GPUs in turn -> {} train, {} generate", rl.gpus(), rl.trainer_gpus() / 2,
                     rl.engine_gpus() / 2);
}
void put_apart(const Scenario&, Scenario& s) {
  change_loop(s, [](RlScenario& rl) {
    rl.loop.placement = RlPlacement::separate;
    rl.update.plan.data /= 2;
    rl.rollout.replicas /= 2;
  });
}

/// As many more replicas of either as all GPUs hold.
std::string together_change(const Scenario& s) {
  const RlScenario& rl = *s.rl;
  if (!learns_from_own(s) || !apart(s) || rl.rollout_cluster) return "";
  if (rl.gpus() % rl.trainer_gpus() != 0 || rl.gpus() % rl.engine_gpus() != 0) return "";
  return fmt::format("{} train, {} generate -> {} GPUs in turn", rl.trainer_gpus(), rl.engine_gpus(), rl.gpus());
}
void put_together(const Scenario&, Scenario& s) {
  change_loop(s, [](RlScenario& rl) {
    const int gpus = rl.gpus();
    const int trainers = gpus / rl.trainer_gpus(), engines = gpus / rl.engine_gpus();
    rl.loop.placement = RlPlacement::colocated;
    rl.loop.overlap = 0;
    rl.loop.asynchrony.stream_updates = false;
    rl.update.plan.data *= trainers;
    rl.rollout.replicas *= engines;
  });
}

std::string ahead_change(const Scenario& s, double to) {
  const double now = loop_of(s).asynchrony.staleness;
  return learns_from_own(s) && now != to ? fmt::format("staleness {:g} -> {:g}", now, to) : "";
}
void set_ahead(Scenario& s, double to) {
  change_loop(s, [&](RlScenario& rl) {
    rl.loop.asynchrony.staleness = to;
    if (to == 0) rl.loop.asynchrony.stream_updates = false;
  });
}

using Of = NamedCause::Of;
constexpr NamedCause kLoopCauses[] = {
    {"ppo", "PPO: a critic beside the policy", "algorithm", Of::loop,
     [](const Scenario& s) { return algorithm_change(s, "ppo"); },
     [](const Scenario&, Scenario& s) { set_algorithm(s, "ppo"); }},
    {"grpo", "GRPO: groups instead of a critic", "algorithm", Of::loop,
     [](const Scenario& s) { return algorithm_change(s, "grpo"); },
     [](const Scenario&, Scenario& s) { set_algorithm(s, "grpo"); }},
    {"no-reference", "no reference model", "reference", Of::loop,
     [](const Scenario& s) -> std::string { return loop_of(s).with_reference() ? "reference yes -> no" : ""; },
     [](const Scenario&, Scenario& s) { change_loop(s, [](RlScenario& rl) { rl.loop.reference = false; }); }},
    {"apart", "GPUs of their own for engine and trainer", "placement", Of::loop, apart_change, put_apart},
    {"in-turn", "engine and trainer on the same GPUs", "placement", Of::loop, together_change, put_together},
    {"one-ahead", "the engine runs one step ahead", "ahead", Of::loop,
     [](const Scenario& s) { return ahead_change(s, 1); }, [](const Scenario&, Scenario& s) { set_ahead(s, 1); }},
    {"synchronous", "nothing runs ahead", "ahead", Of::loop, [](const Scenario& s) { return ahead_change(s, 0); },
     [](const Scenario&, Scenario& s) { set_ahead(s, 0); }},
    {"no-tail", "answers all of the mean length", "lengths", Of::loop,
     [](const Scenario& s) -> std::string {
       const TokenLengths& a = loop_of(s).answer;
       return a.shape == LengthShape::fixed ? "" : fmt::format("{} to {:g} tokens -> {:.0f}", a.least, a.most, a.mean);
     },
     [](const Scenario&, Scenario& s) {
       change_loop(s, [](RlScenario& rl) { rl.loop.answer.shape = LengthShape::fixed; });
     }},
    {"no-offload", "nothing goes to the host between phases", "handover", Of::loop,
     [](const Scenario& s) -> std::string {
       const HandoverConfig& h = loop_of(s).handover;
       return !apart(s) && (h.optimizer || h.parameters || h.reference) ? "optimiser, parameters, reference stay" : "";
     },
     [](const Scenario&, Scenario& s) {
       change_loop(s, [](RlScenario& rl) {
         rl.loop.handover.optimizer = rl.loop.handover.parameters = rl.loop.handover.reference = false;
       });
     }},
};

std::string unsound_engine(const RlScenario& rl, const ClusterSpec& cluster) {
  const ReplicaMemory memory = replica_memory(rl.rollout.engine, cluster.node.gpu);
  const double longest = rl.loop.prompt.most + rl.loop.answer.most;
  if (static_cast<double>(memory.kv_tokens) >= memory.as_tokens(longest)) return "";
  return fmt::format("room for the cache of {} tokens, less than a prompt and answer of {:g}",
                     std::max<std::int64_t>(0, memory.kv_tokens), longest);
}

std::string unsound_update(const Scenario& s) {
  const RlScenario& rl = *s.rl;
  if (rl.loop.answers() % rl.update.batch.sequences != 0)
    return fmt::format("{} answers of a step in updates of {}", rl.loop.answers(), rl.update.batch.sequences);
  Diagnostics faults;
  const Places places;
  check_plan(rl.update.plan, rl.update.model, {"training.plan", "training.batch"}, places, faults);
  check_precision_on(s.cluster.node.gpu, rl.update.precision, places, faults);
  return faults.empty() ? "" : to_string(faults.front());
}

}  // namespace

std::span<const NamedCause> loop_causes() { return kLoopCauses; }

std::string unsound_loop(const Scenario& s) {
  const RlScenario& rl = *s.rl;
  const RlConfig& loop = rl.loop;
  const int trainers = rl.trainer_gpus(), engines = rl.engine_gpus(), all = s.cluster.gpus() - loop.aside_gpus();
  const int needed = rl.separate() && !rl.rollout_cluster ? trainers + engines : std::max(trainers, engines);
  if (needed > all && !rl.rollout_cluster) return fmt::format("{} GPUs of a cluster of {}", needed, all);
  if (loop.asynchrony.stream_updates && (!rl.separate() || loop.prompts % rl.updates() != 0))
    return "updates that begin one by one on GPUs that the engine shares, or on parts of groups";
  if (rl.generates()) {
    std::string fault = unsound_engine(rl, rl.rollout_cluster ? *rl.rollout_cluster : s.cluster);
    if (!fault.empty()) return fault;
  }
  return loop.algorithm->trains ? unsound_update(s) : "";
}

bool leans_on_placement(std::string_view group, const Scenario& from, const Scenario& to) {
  if (apart(from) == apart(to)) return false;
  const bool streams = loop_of(from).asynchrony.stream_updates || loop_of(to).asynchrony.stream_updates;
  return group == "placement" || group == "plan" || (group == "ahead" && streams);
}

ReplayedLoop replay_loop(const Scenario& scenario, const PowerModel& power, bool whole_run) {
  RlOptions options;
  options.power = power;
  options.allow_oom = true;
  options.project = whole_run;
  const RlReport report = run_rl(scenario, options);
  ReplayedLoop out;
  out.step = report.step.length;
  const double trained = report.step.prompt_tokens + report.step.answer_tokens;
  out.tokens = trained > 0 ? trained : report.step.written;
  for (const PhaseMemory& phase : report.memory) {
    if (out.capacity > Bytes(0) && phase.total() / phase.capacity <= out.memory / out.capacity) continue;
    out.memory = phase.total();
    out.capacity = phase.capacity;
  }
  for (const Metric& metric : metrics(report)) {
    const std::optional<double> number = metric.number();
    if (number && metric.name.starts_with("rl.")) out.figures.push_back({metric.name, metric.unit, *number});
  }
  return out;
}

}  // namespace flopcast
