// Metrics of a reinforcement learning loop: the step and its parts, rates, idle GPUs, memory, weights, the run.
#include <algorithm>

#include "analysis/runs/parts/metric_rows.h"
#include "analysis/runs/rl/rl_metrics.h"
#include "workloads/rl/settling.h"

namespace flopcast {
namespace {

using RlRef = const RlReport&;
namespace as = metric_value;
namespace show = metric_text;

template <RlPart part>
MetricValue time_of(RlRef r) {
  return as::number(r.step.part(part));
}

/// Over the step.
double rl_rate(RlRef r, double amount) { return amount / r.step.length.value(); }

/// GPU-time of a step by what it goes into, as shares of all.
struct GpuShares {
  double busy = 0, tail = 0, waiting = 0, moving = 0, imbalance = 0, host = 0;
};

GpuShares gpu_shares(RlRef r) {
  const RlStepMeans& s = r.step;
  const RlScenario& rl = r.rl();
  const double length = s.length.value(), training = s.training().value();
  const double imbalance = training - computing(r).value(), awake = s.awake.value(), empty = s.empty.value();
  // Work of answers that go on into the next step belongs to the time in which the engine may begin some.
  const double writing = std::min(s.engine_busy.value(), std::max(0.0, awake - empty));
  const double waits = (s.part(RlPart::generation) + s.part(RlPart::reward) + s.part(RlPart::drain)).value();
  const double trainer = rl.trainer_gpus(), engine = rl.engine_gpus(), all = rl.gpus() * length;
  GpuShares out;
  const double shared = rl.separate() ? 0 : 1;
  out.busy = trainer * (training - imbalance) + engine * writing;
  out.imbalance = trainer * imbalance;
  out.tail = engine * (awake - empty - writing);
  if (const double both = rl.overlap_gpus(); both > 0) {
    const double up = (engine - both) * (awake - empty) + both * s.overlap_awake.value();
    out.tail = std::max(0.0, up - engine * writing);
    out.waiting = (trainer - both) * waits + (engine - both) * empty;
    out.moving = all - out.busy - out.imbalance - out.tail - out.waiting;
  } else if (shared > 0) {
    // GPUs beyond those of the engine wait while it is awake; rewards and drains are in its time.
    out.waiting = std::max(0.0, trainer - engine) * waits + std::max(0.0, engine - trainer) * training + engine * empty;
    out.moving = all - out.busy - out.imbalance - out.tail - out.waiting;
  } else {
    out.waiting = trainer * waits + engine * empty;
    out.moving = trainer * (length - training - waits) + engine * (length - awake);
  }
  const auto aside = [&](double gpus, Seconds at_work) {
    if (gpus <= 0) return;
    const double working = std::min(length, at_work.value());
    out.busy += gpus * working;
    out.waiting += gpus * (length - working);
    if (shared > 0 || rl.overlap_gpus() > 0) out.moving -= gpus * length;
  };
  aside(rl.loop.frozen.gpus, s.frozen_busy);
  aside(rl.loop.critic.gpus, s.critic_busy);
  // The host works between the parts of the trainer; GPUs that both use stand still all of them.
  const bool alone = shared > 0 || rl.overlap_gpus() > 0;
  const double standing = alone ? rl.gpus() - rl.loop.frozen.gpus - rl.loop.critic.gpus : trainer;
  out.host = std::clamp(standing * s.part(RlPart::host).value(), 0.0, std::max(0.0, out.moving));
  out.moving -= out.host;
  for (double* share : {&out.busy, &out.tail, &out.waiting, &out.moving, &out.imbalance, &out.host})
    *share = std::max(0.0, *share / all);
  return out;
}

constexpr MetricRow<RlReport> kStepRows[] = {
    {"algorithm", "text", "algorithm", "What the loop computes",
     [](RlRef r) { return as::word(std::string(r.rl().loop.algorithm->name)); }, nullptr},
    {"step_time_s", "s", "step", "From one version of the weights in the engine to the next",
     [](RlRef r) { return as::number(r.step.length); }, show::seconds},
    {"generation_s", "s", "waiting for answers", "Nothing but answers being written holds up the step",
     time_of<RlPart::generation>, show::seconds},
    {"reward_s", "s", "waiting for rewards",
     "All answers are there; rewards, or what frozen models on GPUs of their own say of them, are not",
     time_of<RlPart::reward>, show::seconds},
    {"handover_s", "s", "handover", "Memory changes hands between engine and trainer, and the engine wakes",
     time_of<RlPart::handover>, show::seconds},
    {"log_probs_s", "s", "log-probabilities", "Log-probabilities of the answers under the policy, before updates",
     time_of<RlPart::log_probs>, show::seconds},
    {"reference_s", "s", "reference", "Log-probabilities under the frozen copy, its weights' way included",
     time_of<RlPart::reference>, show::seconds},
    {"values_s", "s", "values", "Values of the critic, before updates", time_of<RlPart::values>, show::seconds},
    {"reward_model_s", "s", "reward model", "The reward model reads the answers", time_of<RlPart::reward_model>,
     show::seconds},
    {"teacher_s", "s", "teacher", "Log-probabilities under the teacher", time_of<RlPart::teacher>, show::seconds},
    {"update_s", "s", "updates", "All updates of the policy", time_of<RlPart::update>, show::seconds},
    {"critic_update_s", "s", "updates of the critic", "All updates of the critic", time_of<RlPart::critic_update>,
     show::seconds},
    {"host_s", "s", "host", "Data between roles, logging", time_of<RlPart::host>, show::seconds},
    {"drain_s", "s", "drain", "Answers that are being written are finished before new weights may come",
     time_of<RlPart::drain>, show::seconds},
    {"sync_s", "s", "weight synchronisation", "New weights from the trainer's layout into the engine's",
     time_of<RlPart::sync>, show::seconds},
    {"training_s", "s", "training", "The trainer computes: log-probabilities, values and updates together",
     [](RlRef r) { return as::number(r.step.training()); }, show::seconds},
    {"update_interval_s", "s", "step per update", "Step over its updates",
     [](RlRef r) { return as::number(r.step.length / (r.rl().updates() * r.rl().loop.epochs)); }, show::seconds},
    {"updates_per_step", "count", "updates", "Updates of the policy in a step",
     [](RlRef r) { return as::count(r.rl().updates() * r.rl().loop.epochs); }, show::whole},
    {"answers", "count", "answers", "Answers that a step is made of",
     [](RlRef r) { return as::number(r.step.answers); }, show::whole},
    {"prompt_tokens", "tokens", "tokens of prompts",
     "Of these answers, in a step; each answer with its prompt and what tools added",
     [](RlRef r) { return as::number(r.step.prompt_tokens); }, show::whole},
    {"answer_tokens", "tokens", "tokens of answers", "Of these, in a step",
     [](RlRef r) { return as::number(r.step.answer_tokens); }, show::whole},
    {"mean_answer_tokens", "tokens", "mean answer", "Tokens of an answer on average",
     [](RlRef r) { return as::number(r.step.answer_tokens / r.step.answers); }, show::whole},
    {"longest_answer_tokens", "tokens", "longest answer", "Tokens of the longest answer of a step, mean over steps",
     [](RlRef r) { return as::number(r.step.longest); }, show::whole},
    {"tokens_per_s", "tokens/s", "tokens/s", "Prompts and answers of a step, over the step",
     [](RlRef r) { return as::number(rl_rate(r, r.step.prompt_tokens + r.step.answer_tokens)); }, show::whole},
    {"tokens_per_s_per_gpu", "tokens/s", "tokens/s per GPU", "The same over all GPUs of the loop",
     [](RlRef r) { return as::number(rl_rate(r, r.step.prompt_tokens + r.step.answer_tokens) / r.rl().gpus()); },
     show::plain},
    {"answers_per_s", "answers/s", "answers/s", "Answers of a step, over the step",
     [](RlRef r) { return as::number(rl_rate(r, r.step.answers)); }, show::plain},
    {"written_tokens_per_s_per_gpu", "tokens/s", "written tokens/s per GPU",
     "Tokens that the engine writes while it is awake, over its GPUs",
     [](RlRef r) -> MetricValue {
       if (r.step.awake <= Seconds(0)) return Absent{"nothing is generated"};
       return as::number(r.step.written / r.step.awake.value() / r.rl().engine_gpus());
     },
     show::plain},
    {"engine_awake_s", "s", "engine awake", "Time of a step in which the engine has the GPUs and weights to write with",
     [](RlRef r) { return as::number(r.step.awake); }, show::seconds},
    {"engine_busy", "1", "engine at work", "Share of that time in iterations, mean over replicas",
     [](RlRef r) -> MetricValue {
       if (r.step.awake <= Seconds(0)) return Absent{"nothing is generated"};
       return as::number(r.step.engine_busy / r.step.awake);
     },
     show::share},
    {"gpu_busy", "1", "GPUs at work", "Share of all GPUs' time in which they compute",
     [](RlRef r) { return as::number(gpu_shares(r).busy); }, show::share},
    {"idle_tail", "1", "idle: tail",
     "Share of it in which a replica of the engine has nothing to do while others write",
     [](RlRef r) { return as::number(gpu_shares(r).tail); }, show::share},
    {"idle_waiting", "1", "idle: waiting",
     "Share of it in which trainer or engine waits for the other, or for tools and rewards",
     [](RlRef r) { return as::number(gpu_shares(r).waiting); }, show::share},
    {"idle_moving", "1", "idle: moving", "Share of it in which weights, memory and data are on their way",
     [](RlRef r) { return as::number(gpu_shares(r).moving); }, show::share},
    {"idle_imbalance", "1", "idle: imbalance",
     "Share of it in which replicas of the trainer wait for the one with most tokens, and its GPUs for slow parts",
     [](RlRef r) { return as::number(gpu_shares(r).imbalance); }, show::share},
    {"idle_host", "1", "idle: host", "Share of it in which GPUs wait for the host's work between the parts of a step",
     [](RlRef r) { return as::number(gpu_shares(r).host); }, show::share},
    {"staleness", "count", "staleness", "Versions of the weights between an answer's beginning and its update, mean",
     [](RlRef r) { return as::number(r.step.staleness); }, show::plain},
    {"staleness_most", "count", "staleness, most", "The most of these",
     [](RlRef r) { return as::number(r.step.staleness_most); }, show::plain},
    {"interrupted_answers", "count", "interrupted answers", "Answers of a step that new weights interrupted",
     [](RlRef r) { return as::number(r.step.interrupted); }, show::plain},
    {"tool_calls", "count", "calls of tools", "Calls of tools that a step begins while answers are written",
     [](RlRef r) { return as::number(r.step.tool_calls); }, show::plain},
    {"timed_out_tools", "count", "calls timed out", "Of these, calls that ran into their time-out",
     [](RlRef r) { return as::number(r.step.timed_out_tools); }, show::plain},
    {"timed_out_rewards", "count", "rewards timed out", "Answers of a step whose reward ran into its time-out",
     [](RlRef r) { return as::number(r.step.timed_out_rewards); }, show::plain},
    {"thrown_away_answers", "count", "answers thrown away", "Answers of a step whose groups had no signal",
     [](RlRef r) { return as::number(r.step.thrown_away); }, show::plain},
    {"taken_over_answers", "count", "answers taken over",
     "Answers of a step that replicas with nothing to do took over from others",
     [](RlRef r) { return as::number(r.step.taken_over); }, show::plain},
    {"gpus", "count", "GPUs", "GPUs of the loop", [](RlRef r) { return as::count(r.rl().gpus()); }, show::whole},
    {"trainer_gpus", "count", "trainer's GPUs", "GPUs of the trainer",
     [](RlRef r) { return as::count(r.rl().trainer_gpus()); }, show::whole},
    {"engine_gpus", "count", "engine's GPUs", "GPUs of the engine",
     [](RlRef r) { return as::count(r.rl().engine_gpus()); }, show::whole},
    {"engine_gpu", "text", "engine's kind of GPU", "Kind of GPU that writes answers",
     [](RlRef r) -> MetricValue {
       if (!r.rl().generates()) return Absent{"nothing is generated"};
       return as::word(r.rl().engine_cluster(r.scenario.cluster).node.gpu.name);
     },
     nullptr},
    {"replayed_steps", "count", "replayed steps", "Steps that were replayed, those included that do not count",
     [](RlRef r) { return as::count(r.replayed_steps); }, show::whole},
    {"counted_steps", "count", "counted steps", "The last of these, of which the figures are means",
     [](RlRef r) { return as::count(r.steps.size()); }, show::whole},
    {"written_over_trained", "1", "written over trained",
     "Tokens that the engine wrote in these over those that were trained on or thrown away",
     [](RlRef r) { return as::number(written_over_gone(r.steps)); }, show::share},
    {"frozen_gpus", "count", "frozen models' GPUs", "GPUs of their own that frozen models have",
     [](RlRef r) { return as::count(r.rl().loop.frozen.gpus); }, show::whole},
    {"frozen_busy", "1", "frozen models at work", "Share of the step in which these read answers, mean over replicas",
     [](RlRef r) -> MetricValue {
       if (r.rl().loop.frozen.gpus == 0) return Absent{"frozen models have no GPUs of their own"};
       return as::number(r.step.frozen_busy / r.step.length);
     },
     show::share},
    {"critic_gpus", "count", "critic's GPUs", "GPUs of its own that the critic has",
     [](RlRef r) { return as::count(r.rl().loop.critic.gpus); }, show::whole},
    {"critic_busy", "1", "critic at work", "Share of the step in which it reads answers and is trained there",
     [](RlRef r) -> MetricValue {
       if (r.rl().loop.critic.gpus == 0) return Absent{"the critic has no GPUs of its own"};
       return as::number(r.step.critic_busy / r.step.length);
     },
     show::share},
};

using SyncRef = const SyncCost&;
constexpr MetricRow<SyncCost> kSyncRows[] = {
    {"weight_bytes", "bytes", "weights", "Weights that every replica of the engine gets",
     [](SyncRef s) { return as::number(s.payload); }, show::bytes},
    {"received_bytes", "bytes", "received", "Bytes that each GPU of the engine takes in",
     [](SyncRef s) { return as::number(s.received); }, show::bytes},
    {"sent_bytes", "bytes", "sent", "Bytes over links, in all", [](SyncRef s) { return as::number(s.sent); },
     show::bytes},
    {"gather_s", "s", "gathered", "On the trainers, before anything is sent",
     [](SyncRef s) { return as::number(s.gather); }, show::time},
    {"host_s", "s", "host copies", "To and from host memory", [](SyncRef s) { return as::number(s.host); }, show::time},
    {"network_s", "s", "network", "Over the fabric, flows that meet sharing links",
     [](SyncRef s) { return as::number(s.network); }, show::time},
    {"load_s", "s", "load", "Copies, casts and loading at the receiving end",
     [](SyncRef s) { return as::number(s.load); }, show::time},
    {"fixed_s", "s", "fixed", "Of every synchronisation", [](SyncRef s) { return as::number(s.fixed); }, show::time},
    {"total_s", "s", "synchronisation",
     "Gathering and copies, then network or load, whichever is longer, and what is fixed",
     [](SyncRef s) { return as::number(s.total()); }, show::time},
};

MetricValue phase_bytes(RlRef r, std::string_view phase) {
  for (const PhaseMemory& m : r.memory) {
    if (m.phase == phase) return as::number(m.total());
  }
  return Absent{"the loop has no such phase"};
}

constexpr MetricRow<RlReport> kMemoryRows[] = {
    {"policy_bytes", "bytes", "policy", "Parameters, gradients, master copy and moments, each parameter once",
     [](RlRef r) { return as::number(r.states.policy); }, show::bytes},
    {"critic_bytes", "bytes", "critic", "The same of the critic", [](RlRef r) { return as::number(r.states.critic); },
     show::bytes},
    {"reference_bytes", "bytes", "reference", "Frozen copy of the policy, BF16",
     [](RlRef r) { return as::number(r.states.reference); }, show::bytes},
    {"reward_model_bytes", "bytes", "reward model", "Reward model, BF16",
     [](RlRef r) { return as::number(r.states.reward); }, show::bytes},
    {"teacher_bytes", "bytes", "teacher", "Teacher, BF16", [](RlRef r) { return as::number(r.states.teacher); },
     show::bytes},
    {"models_bytes", "bytes", "all models", "The five together", [](RlRef r) { return as::number(r.states.total()); },
     show::bytes},
    {"update_bytes", "bytes", "memory, update", "On the fullest GPU while the trainer updates",
     [](RlRef r) { return phase_bytes(r, "update"); }, show::bytes},
    {"generation_bytes", "bytes", "memory, generation", "On a GPU of the engine while answers are written",
     [](RlRef r) { return phase_bytes(r, "generation"); }, show::bytes},
    {"capacity_bytes", "bytes", "memory of a GPU", "Memory that a GPU of the trainer offers to programs",
     [](RlRef r) { return as::number(r.scenario.cluster.node.gpu.hbm_usable()); }, show::bytes},
};

using RunPartRef = const RlRunProjection&;
constexpr MetricRow<RlRunProjection> kRlRunRows[] = {
    {"steps", "count", "steps", "Steps of the run", [](RunPartRef p) { return as::number(p.steps); }, show::whole},
    {"mean_step_s", "s", "mean step", "Steps and evaluations over the number of steps",
     [](RunPartRef p) { return as::number(p.time.steady / p.steps); }, show::seconds},
    {"days", "days", "days", "The whole run, interruptions and checkpoints included",
     [](RunPartRef p) { return as::number(in_hours(p.time.total()) / 24); }, show::days},
    {"gpu_hours", "GPU-hours", "GPU-hours", "The same, over all GPUs of the loop",
     [](RunPartRef p) { return as::number(p.gpu_hours); }, show::hours},
    {"cost_usd", "USD", "cost", "At the scenario's price of a GPU-hour",
     [](RunPartRef p) { return as::dollars(p.cost); }, show::usd},
    {"energy_joules", "J", "energy", "Of all GPUs with their share of the node, at the site's PUE",
     [](RunPartRef p) { return as::number(p.energy); }, show::energy},
    {"evaluation_hours", "h", "evaluations", "Hours in which answers are written for evaluations",
     [](RunPartRef p) { return as::number(in_hours(p.evaluation)); }, show::hours},
    {"goodput", "1", "goodput", "Steps and evaluations over elapsed time",
     [](RunPartRef p) { return as::number(p.time.steady / p.time.total()); }, show::share},
};

constexpr MetricRow<RlReport> kRunUpdateRows[] = {
    {"updates", "count", "updates of the run", "Updates of the policy in all steps",
     [](RlRef r) { return as::number(r.run->steps * r.rl().updates() * r.rl().loop.epochs); }, show::whole},
};

constexpr QuantileRow<RlReport, 3> kStepRange[] = {
    {"step_time_range_s", "s", "step", "Range of the step, for what published steps of loops are off",
     [](RlRef r, std::size_t at) { return as::number(r.ranges->step_s.at(at)); }, show::seconds},
    {"generation_range_s", "s", "waiting for answers",
     "Range of generation_s and drain_s, for what engines and loops are off",
     [](RlRef r, std::size_t at) { return as::number(r.ranges->generation_s.at(at)); }, show::seconds},
    {"training_range_s", "s", "training",
     "Range of training_s, for what kernels, the trainer's software and loops are off",
     [](RlRef r, std::size_t at) { return as::number(r.ranges->training_s.at(at)); }, show::seconds},
    {"sync_range_s", "s", "weight synchronisation", "Range of sync_s, for what links and loops are off",
     [](RlRef r, std::size_t at) { return as::number(r.ranges->sync_s.at(at)); }, show::seconds},
    {"tokens_per_s_per_gpu_range", "tokens/s", "tokens/s per GPU", "Range of the rate, from that of the step",
     [](RlRef r, std::size_t at) {
       const double tokens = (r.step.prompt_tokens + r.step.answer_tokens) / r.rl().gpus();
       return as::number(tokens / r.ranges->step_s.at(2 - at));
     },
     show::plain},
};
constexpr QuantileRow<RlReport, 3> kRunRange[] = {
    {"gpu_hours_range", "GPU-hours", "GPU-hours", "Range of the GPU-hours, from that of the step",
     [](RlRef r, std::size_t at) { return as::number(r.range_of(r.run->gpu_hours)->at(at)); }, show::hours},
    {"cost_range_usd", "USD", "cost", "Range of the cost, from that of the step",
     [](RlRef r, std::size_t at) { return as::number(r.range_of(r.run->cost.value())->at(at)); }, show::usd},
    {"days_range", "days", "days", "Range of the days, from that of the step",
     [](RlRef r, std::size_t at) { return as::number(r.range_of(in_hours(r.run->time.total()) / 24)->at(at)); },
     show::days},
};

}  // namespace

std::vector<Metric> rl_metrics(const RlReport* report) {
  MetricList list;
  add_scenario_metrics(list, report ? &report->scenario : nullptr);
  list.add<RlReport>("rl.", kStepRows, report);
  constexpr std::string_view kNoRange = "errors of loops were not given";
  const RlReport* const ranged = report && report->ranges ? report : nullptr;
  list.add<RlReport, 3>("rl.", kStepRange, kErrorQuantiles, ranged, kNoRange);
  const SyncCost* const sync = report && report->sync.payload > Bytes(0) ? &report->sync : nullptr;
  list.add<SyncCost>("rl.sync.", kSyncRows, sync, "no weights go to an engine");
  list.add<RlReport>("rl.memory.", kMemoryRows, report);
  const bool runs = report && report->run;
  constexpr std::string_view kNoRun = "the scenario has no rl.run, or it was not asked for";
  list.add<RlRunProjection>("rl.run.", kRlRunRows, runs ? &*report->run : nullptr, kNoRun);
  list.add<RlReport>("rl.run.", kRunUpdateRows, runs ? report : nullptr, kNoRun);
  list.add<RlReport, 3>("rl.run.", kRunRange, kErrorQuantiles, ranged && runs ? report : nullptr,
                        runs ? kNoRange : kNoRun);
  return list.take();
}

}  // namespace flopcast
