#include "analysis/studies/compare/replay_compared.h"

#include <fmt/format.h>

#include "analysis/render/text/format.h"
#include "analysis/runs/parts/notes.h"
#include "scenarios/resolve/change_work.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/fault_text.h"
#include "sim/jobs/packed.h"

namespace flopcast {
namespace {

RunOptions quiet(RunOptions options) {
  options.allow_oom = true;  // a what-if: whether it fits is reported, not required
  options.stage = {};
  options.progress = {};
  options.extra_sinks.clear();
  return options;
}

// Steps.

/// 10^6 tokens of a service as if they were a step: the time in which the cluster has the GPU-hours that they
/// take.
QuickStep quick_tokens(const Scenario& scenario, const RunOptions& options) {
  constexpr double kTokens = 1e6;
  const ServedFigures f = serve(scenario, options.power);
  const double hours = f.tpot > Seconds(0) ? f.answer_hours() : f.prompt_hours();
  // Memory decides how many are served, not whether they are.
  return {Seconds(hours * 3600 / scenario.cluster.gpus()), kTokens, Bytes(0), Bytes(0), ""};
}

QuickStep quick_loop(const Scenario& scenario, const RunOptions& options) {
  const ReplayedLoop loop = replay_loop(scenario, options.power, false);
  return {loop.step, loop.tokens, loop.memory, loop.capacity, ""};
}

QuickStep quick_training(const Scenario& scenario, const RunOptions& options) {
  const PreparedStep prepared = prepare_step(scenario, *scenario.training);
  ReplayOptions replaying;
  replaying.sharing = options.sharing;
  const Seconds step = replay(prepared.step.graph, prepared.topology->network(), {}, replaying).makespan;
  return {step, prepared.step.tokens, fullest(prepared.step.memory).total(), scenario.cluster.node.gpu.hbm_usable(),
          ""};
}

QuickStep faulty(std::string fault) {
  QuickStep out;
  out.fault = std::move(fault);
  return out;
}

QuickStep quick_step(const Scenario& scenario, const RunOptions& options) {
  if (std::string fault = unsound(scenario); !fault.empty()) return faulty(std::move(fault));
  try {
    if (scenario.serving) return quick_tokens(scenario, options);
    return scenario.rl ? quick_loop(scenario, options) : quick_training(scenario, options);
  } catch (const InputError& error) {
    return faulty(first_of(error));
  }
}

// Whole scenarios.

std::string memory_remark(const ComparedScenario& s) {
  return fmt::format("does not fit: {} of {} on the fullest GPU; replayed all the same", format_bytes(s.memory),
                     format_bytes(s.capacity));
}

std::string rejected_remark(const ServedFigures& f) {
  return fmt::format("{} of the requests were rejected: too long for any replica, or queues were full",
                     format_percent(f.rejected));
}

void add_service(const Scenario& scenario, const CompareOptions& options, ComparedScenario& out) {
  out.service = serve(scenario, options.run.power);
  if (out.service->rejected > 0) out.remarks.push_back(rejected_remark(*out.service));
  if (const std::string note = unmeasured_note(scenario); !note.empty()) out.remarks.push_back(note);
}

void add_training(const Scenario& scenario, const CompareOptions& options, ComparedScenario& out) {
  RunOptions run = quiet(options.run);
  run.project = options.whole_runs;
  TrainingReport report;
  std::string refused;
  try {
    report = run_training(scenario, run);
  } catch (const InputError& error) {
    // A phase that cannot run must not hide the step that can.
    if (!run.project || scenario.phases.empty()) throw;
    run.project = false;
    report = run_training(scenario, run);
    refused = "the whole run is not projected: " + first_of(error);
  }
  out.tokens_per_step = report.tokens_per_step;
  out.step = report.step_time;
  out.mfu = report.mfu_causal;
  out.bubble = report.mean.parts.bubble / report.step_time;
  out.exposed = report.mean.exposed_communication / report.step_time;
  out.memory = report.fullest_memory().total();
  if (report.projection) {
    out.run_gpu_hours = report.projection->gpu_hours;
    out.run_energy = report.projection->energy;
    if (report.projection->cost > Usd(0)) out.run_cost = report.projection->cost;
  }
  if (!out.fits()) out.remarks.push_back(memory_remark(out));
  if (!refused.empty()) out.remarks.push_back(refused);
  if (const std::string note = unmeasured_note(scenario); !note.empty()) out.remarks.push_back(note);
}

void add_loop(const Scenario& scenario, const CompareOptions& options, ComparedScenario& out) {
  const ReplayedLoop loop = replay_loop(scenario, options.run.power, options.whole_runs);
  out.step = loop.step;
  out.tokens_per_step = loop.tokens;
  out.memory = loop.memory;
  out.capacity = loop.capacity;
  out.loop = loop.figures;
  if (!out.fits()) out.remarks.push_back(memory_remark(out));
}

ComparedScenario compared(const Scenario& scenario, const CompareOptions& options) {
  ComparedScenario out;
  out.name = scenario.name;
  out.title = scenario.title;
  out.gpus = gpus_at_work(scenario);
  out.gpus_per_node = scenario.cluster.node.gpus;
  const int elsewhere = scenario.rl ? scenario.rl->gpus_elsewhere() : 0;
  out.hardware = fmt::format("{} x {}", format_integer(out.gpus - elsewhere), scenario.cluster.node.gpu.title);
  if (elsewhere > 0)
    out.hardware +=
        fmt::format(" and {} x {}", format_integer(elsewhere), scenario.rl->rollout_cluster->node.gpu.title);
  out.capacity = scenario.cluster.node.gpu.hbm_usable();
  if (scenario.rl)
    add_loop(scenario, options, out);
  else if (scenario.serving)
    add_service(scenario, options, out);
  else
    add_training(scenario, options, out);
  return out;
}

StateResult quick_state(const Scenario& scenario, const RunOptions& run) {
  StateResult out;
  out.gpus = gpus_at_work(scenario);
  if (!scenario.serving) {
    out.step = quick_step(scenario, quiet(run));
    out.fault = out.step.fault;
    return out;
  }
  out.fault = unsound(scenario);
  if (!out.fault.empty()) return out;
  try {
    out.service = serve(scenario, run.power);
  } catch (const InputError& error) {
    out.fault = first_of(error);
  }
  return out;
}

}  // namespace

std::vector<ComparedScenario> replay_all(const std::vector<Scenario>& scenarios, const CompareOptions& options) {
  return parallel_map<ComparedScenario>(scenarios.size(), options.workers,
                                        [&](std::size_t i) { return compared(scenarios[i], options); });
}

std::vector<QuickStep> quick_steps(const std::vector<Scenario>& scenarios, const CompareOptions& options) {
  return parallel_map<QuickStep>(scenarios.size(), options.workers,
                                 [&](std::size_t i) { return quick_step(scenarios[i], quiet(options.run)); });
}

std::vector<StateResult> replay_states(const std::vector<Scenario>& scenarios, const CompareOptions& options) {
  return parallel_map<StateResult>(scenarios.size(), options.workers,
                                   [&](std::size_t i) { return quick_state(scenarios[i], options.run); });
}

}  // namespace flopcast
