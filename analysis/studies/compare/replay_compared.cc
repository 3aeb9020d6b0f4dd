#include "analysis/studies/compare/replay_compared.h"

#include <algorithm>

#include <fmt/format.h>

#include "analysis/render/format.h"
#include "analysis/studies/compare/lines.h"
#include "scenarios/resolve/change_work.h"
#include "scenarios/resolve/rl_scenario.h"
#include "scenarios/resolve/serving_scenario.h"
#include "sim/base/fault_text.h"
#include "sim/process.h"

namespace flopcast {
namespace {

RunOptions quiet(RunOptions options) {
  options.allow_oom = true;  // a what-if: whether it fits is told, not asked
  options.stage = {};
  options.progress = {};
  options.extra_sinks.clear();
  return options;
}

Bytes fullest(const std::vector<MemoryTable>& tables) {
  Bytes most;
  for (const MemoryTable& table : tables) most = std::max(most, table.total());
  return most;
}

// ------------------------------------------------------------------------------- steps

/// 10^6 tokens of a service as if they were a step: the time in which the cluster has the GPU-hours that they
/// take.
std::string quick_tokens(const Scenario& scenario, const RunOptions& options) {
  constexpr double kTokens = 1e6;
  const ServedFigures f = serve(scenario, options.power);
  const double hours = f.tpot > Seconds(0) ? f.answer_hours() : f.prompt_hours();
  Lines out;
  out.put("");
  out.put(hours * 3600 / scenario.cluster.gpus());
  out.put(kTokens);
  out.put(0.0);  // memory decides how many are served, not whether they are
  return out.text();
}

std::string quick_loop(const Scenario& scenario, const RunOptions& options) {
  const ReplayedLoop loop = replay_loop(scenario, options.power, false);
  Lines out;
  out.put("");
  out.put(loop.step.value());
  out.put(loop.tokens);
  out.put(loop.memory.value());
  return out.text();
}

std::string quick_step(const Scenario& scenario, const RunOptions& options) {
  Lines out;
  if (std::string fault = unsound(scenario); !fault.empty()) return fault + "\n";
  try {
    if (scenario.serving) return quick_tokens(scenario, options);
    if (scenario.rl) return quick_loop(scenario, options);
    const PreparedStep prepared = prepare_step(scenario, *scenario.training);
    ReplayOptions replaying;
    replaying.backend = options.backend;
    const Seconds step = replay(prepared.step.graph, prepared.topology->network(), {}, replaying).makespan;
    out.put("");
    out.put(step.value());
    out.put(prepared.step.tokens);
    out.put(fullest(prepared.step.memory).value());
  } catch (const InputError& error) {
    return first_of(error) + "\n";
  }
  return out.text();
}

// ------------------------------------------------------------------------------- whole scenarios

std::string memory_remark(const ComparedScenario& s) {
  return fmt::format("does not fit: {} of {} on the fullest GPU; replayed all the same", format_bytes(s.memory),
                     format_bytes(s.capacity));
}

std::string rejected_remark(const ServedFigures& f) {
  return fmt::format("{} of the requests were rejected: too long for any replica, or queues were full",
                     format_percent(f.rejected));
}

std::string served_summary(const Scenario& scenario, const CompareOptions& options) {
  Lines out;
  const ServedFigures figures = serve(scenario, options.run.power);
  put(figures, out);
  if (figures.rejected > 0) out.put(rejected_remark(figures));
  if (scenario.cluster.node.gpu.architecture != "hopper")
    out.put("inferred, not measured: kernels of this architecture were not measured");
  return out.text();
}

/// What a report tells, as lines: the numbers, then remarks.
std::string training_summary(const Scenario& scenario, const CompareOptions& options) {
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
  Lines out;
  out.put(report.tokens_per_step);
  out.put(report.step_time.value());
  out.put(report.mfu_causal);
  out.put(report.mean.parts.bubble / report.step_time);
  out.put(report.mean.exposed_communication / report.step_time);
  out.put(report.fullest_memory().total().value());
  out.put(report.projection ? report.projection->gpu_hours : -1);
  out.put(report.projection ? report.projection->cost.value() : -1);
  out.put(report.projection ? report.projection->energy.value() : -1);
  if (!refused.empty()) out.put(refused);
  const EvidenceShare& e = report.evidence;
  if (e.roofline > 0.5 * (e.measured + e.fitted + e.roofline))
    out.put("inferred, not measured: kernels of this architecture were not measured");
  return out.text();
}

std::string loop_summary(const Scenario& scenario, const CompareOptions& options) {
  const ReplayedLoop loop = replay_loop(scenario, options.run.power, options.whole_runs);
  Lines out;
  out.put(loop.step.value());
  out.put(loop.tokens);
  out.put(loop.memory.value());
  out.put(loop.capacity.value());
  out.put(static_cast<double>(loop.figures.size()));
  for (const LoopFigure& figure : loop.figures) {
    out.put(figure.name);
    out.put(figure.unit);
    out.put(figure.value);
  }
  return out.text();
}

std::string summary(const Scenario& scenario, const CompareOptions& options) {
  if (scenario.rl) return loop_summary(scenario, options);
  return scenario.serving ? served_summary(scenario, options) : training_summary(scenario, options);
}

void take_training(Lines& lines, ComparedScenario& out) {
  out.tokens_per_step = lines.take();
  out.step = Seconds(lines.take());
  out.mfu = lines.take();
  out.bubble = lines.take();
  out.exposed = lines.take();
  out.memory = Bytes(lines.take());
  const double hours = lines.take(), cost = lines.take(), energy = lines.take();
  if (hours >= 0) {
    out.run_gpu_hours = hours;
    out.run_energy = Joules(energy);
    if (cost > 0) out.run_cost = Usd(cost);
  }
  if (!out.fits()) out.remarks.push_back(memory_remark(out));
}

void take_loop(Lines& lines, ComparedScenario& out) {
  out.step = Seconds(lines.take());
  out.tokens_per_step = lines.take();
  out.memory = Bytes(lines.take());
  out.capacity = Bytes(lines.take());
  out.loop.resize(static_cast<std::size_t>(lines.take()));
  for (LoopFigure& figure : out.loop) {
    figure.name = lines.take_text();
    figure.unit = lines.take_text();
    figure.value = lines.take();
  }
  if (!out.fits()) out.remarks.push_back(memory_remark(out));
}

ComparedScenario compared(const Scenario& scenario, Lines lines) {
  ComparedScenario out;
  out.name = scenario.name;
  out.title = scenario.title;
  out.gpus = gpus_at_work(scenario);
  out.gpus_per_node = scenario.cluster.node.gpus;
  out.hardware = fmt::format("{} x {}", format_integer(out.gpus), scenario.cluster.node.gpu.title);
  out.capacity = scenario.cluster.node.gpu.hbm_usable();
  if (scenario.serving)
    out.service = take_served(lines);
  else if (scenario.rl)
    take_loop(lines, out);
  else
    take_training(lines, out);
  while (!lines.done()) out.remarks.push_back(lines.take_text());
  return out;
}

std::string quick_service(const Scenario& scenario, const RunOptions& run) {
  if (std::string fault = unsound(scenario); !fault.empty()) return fault + "\n";
  Lines out;
  try {
    const ServedFigures figures = serve(scenario, run.power);
    out.put("");
    put(figures, out);
  } catch (const InputError& error) {
    return first_of(error) + "\n";
  }
  return out.text();
}

}  // namespace

std::vector<ComparedScenario> replay_all(const std::vector<Scenario>& scenarios, const CompareOptions& options) {
  const auto lines =
      parallel_map(scenarios.size(), options.workers, [&](std::size_t i) { return summary(scenarios[i], options); });
  std::vector<ComparedScenario> out;
  for (std::size_t i = 0; i < scenarios.size(); ++i) out.push_back(compared(scenarios[i], Lines(lines[i])));
  return out;
}

std::vector<QuickStep> quick_steps(const std::vector<Scenario>& scenarios, const CompareOptions& options) {
  const RunOptions run = quiet(options.run);
  const auto results =
      parallel_map(scenarios.size(), options.workers, [&](std::size_t i) { return quick_step(scenarios[i], run); });
  std::vector<QuickStep> out;
  for (const std::string& result : results) {
    Lines lines(result);
    QuickStep step;
    step.fault = lines.take_text();
    if (step.fault.empty()) {
      step.step = Seconds(lines.take());
      step.tokens = lines.take();
      step.memory = Bytes(lines.take());
    }
    out.push_back(std::move(step));
  }
  return out;
}

std::vector<StateResult> replay_states(const std::vector<Scenario>& scenarios, const CompareOptions& options) {
  std::vector<StateResult> out(scenarios.size());
  if (scenarios.front().serving) {
    const auto lines = parallel_map(scenarios.size(), options.workers,
                                    [&](std::size_t i) { return quick_service(scenarios[i], options.run); });
    for (std::size_t i = 0; i < out.size(); ++i) {
      Lines result(lines[i]);
      out[i].fault = result.take_text();
      if (out[i].fault.empty()) out[i].service = take_served(result);
    }
  } else {
    const std::vector<QuickStep> steps = quick_steps(scenarios, options);
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i].fault = steps[i].fault;
      out[i].step = steps[i];
    }
  }
  for (std::size_t i = 0; i < out.size(); ++i) out[i].gpus = gpus_at_work(scenarios[i]);
  return out;
}

}  // namespace flopcast
