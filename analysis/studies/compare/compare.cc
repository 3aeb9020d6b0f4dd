#include "analysis/studies/compare/compare.h"

#include <algorithm>
#include <array>
#include <cassert>

#include <fmt/format.h>

#include "analysis/render/format.h"
#include "analysis/studies/compare/lines.h"
#include "scenarios/resolve/rl_scenario.h"
#include "scenarios/resolve/serving_scenario.h"
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

std::string first_fault(const InputError& error) { return to_string(error.diagnostics().front()); }

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
    return first_fault(error) + "\n";
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
    refused = "the whole run is not projected: " + first_fault(error);
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

int gpus_of(const Scenario& s) { return s.rl ? s.rl->gpus() : s.serving ? s.serving->gpus() : s.cluster.gpus(); }

ComparedScenario compared(const Scenario& scenario, Lines lines) {
  ComparedScenario out;
  out.name = scenario.name;
  out.title = scenario.title;
  out.gpus = gpus_of(scenario);
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

std::vector<ComparedScenario> replay_all(const std::vector<Scenario>& scenarios, const CompareOptions& options) {
  const auto lines =
      parallel_map(scenarios.size(), options.workers, [&](std::size_t i) { return summary(scenarios[i], options); });
  std::vector<ComparedScenario> out;
  for (std::size_t i = 0; i < scenarios.size(); ++i) out.push_back(compared(scenarios[i], Lines(lines[i])));
  return out;
}

using Work = MeasureRow::Of;
Work kind_of(const Scenario& s) { return s.rl ? Work::loop : s.serving ? Work::serving : Work::training; }

void require_comparable(const std::vector<Scenario>& scenarios) {
  constexpr const char* kSections[] = {"a training scenario", "a serving scenario", "a loop of reinforcement learning"};
  std::vector<Diagnostic> faults;
  for (const Scenario& s : scenarios) {
    if (!s.training && !s.serving && !s.rl) {
      faults.push_back({s.file, 0, 0, "", "a scenario without `training`, `serving` or `rl`",
                        "one whose step, service or loop can be compared", ""});
    } else if (kind_of(s) != kind_of(scenarios.front())) {
      faults.push_back({s.file, 0, 0, "", kSections[static_cast<std::size_t>(kind_of(s))],
                        fmt::format("one like the first, {}", scenarios.front().name), ""});
    }
  }
  if (!faults.empty()) throw InputError(faults);
}

// ------------------------------------------------------------------------------- waterfall

/// Which causes are on. Bit i: cause i.
using Causes = std::uint32_t;
constexpr std::size_t kMostCauses = 20;

Causes first(std::size_t n) { return (Causes{1} << n) - 1; }

/// Every state that the two orders and the single causes pass through.
std::vector<Causes> states_of(std::size_t n) {
  std::vector<Causes> states;
  const Causes all = first(n);
  for (std::size_t i = 0; i <= n; ++i) {
    states.push_back(first(i));         // in order
    states.push_back(all & ~first(i));  // in reverse
    if (i < n) states.push_back(Causes{1} << i);
  }
  std::sort(states.begin(), states.end());
  states.erase(std::unique(states.begin(), states.end()), states.end());
  return states;
}

Scenario with(const Scenario& scenario, const std::vector<Cause>& causes, Causes on) {
  Scenario out = scenario;
  for (std::size_t i = 0; i < causes.size(); ++i) {
    if (on >> i & 1) causes[i].apply(out);
  }
  return out;
}

constexpr std::size_t kMeasures = 9;

constexpr std::array<MeasureRow, kMeasures> kMeasureRows{{
    {Measure::step, "step", "step", "s", Work::training, "training.step_time_s"},
    {Measure::training_hours, "gpu-hours", "GPU-hours per 10^12 tokens", "GPU-h", Work::training, ""},
    {Measure::answer_hours, "output-hours", "GPU-hours per 10^6 output tokens", "GPU-h", Work::serving, ""},
    {Measure::prompt_hours, "input-hours", "GPU-hours per 10^6 input tokens", "GPU-h", Work::serving, ""},
    {Measure::tpot, "tpot", "time per output token", "ms", Work::serving, "serving.tpot_s.mean"},
    {Measure::ttft, "ttft", "time to first token", "ms", Work::serving, "serving.ttft_s.mean"},
    {Measure::answer_usd, "output-usd", "USD per 10^6 output tokens", "USD", Work::serving,
     "cost.usd_per_million_output_tokens"},
    {Measure::loop_step, "rl-step", "step of the loop", "s", Work::loop, "rl.step_time_s"},
    {Measure::loop_hours, "rl-hours", "GPU-hours per 10^9 tokens", "GPU-h", Work::loop, ""},
}};

const MeasureRow& row_of(Measure measure) { return kMeasureRows[static_cast<std::size_t>(measure)]; }

double measure_of(const ServedFigures& f, Measure measure) {
  switch (measure) {
    case Measure::prompt_hours:
      return f.prompt_hours();
    case Measure::tpot:
      return f.tpot.value() * 1e3;
    case Measure::ttft:
      return f.ttft.value() * 1e3;
    case Measure::answer_usd:
      return f.per_million_output.value();
    default:
      return f.answer_hours();
  }
}

/// Of steps that take so long and give so many tokens.
double measure_of(Seconds step, int gpus, double tokens, Measure measure) {
  if (measure == Measure::step || measure == Measure::loop_step) return step.value();
  return step.value() * gpus / 3600 / tokens * (measure == Measure::loop_hours ? 1e9 : 1e12);
}

double measure_of(const ComparedScenario& s, Measure measure) {
  return s.service ? measure_of(*s.service, measure) : measure_of(s.step, s.gpus, s.tokens_per_step, measure);
}

/// One state replayed.
struct StateResult {
  std::string fault;
  QuickStep step;         // of training
  ServedFigures service;  // or of serving
  int gpus = 0;
};

std::string quick_service(const Scenario& scenario, const RunOptions& run) {
  if (std::string fault = unsound(scenario); !fault.empty()) return fault + "\n";
  Lines out;
  try {
    const ServedFigures figures = serve(scenario, run.power);
    out.put("");
    put(figures, out);
  } catch (const InputError& error) {
    return first_fault(error) + "\n";
  }
  return out.text();
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
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].gpus = scenarios[i].rl ? scenarios[i].rl->gpus() : scenarios[i].cluster.gpus();
  }
  return out;
}

/// Replays every state; the measure of each.
class States {
 public:
  States(const Scenario& scenario, const std::vector<Cause>& causes, const CompareOptions& options)
      : kind_(kind_of(scenario)), states_(states_of(causes.size())) {
    std::vector<Scenario> scenarios;
    for (const Causes on : states_) scenarios.push_back(with(scenario, causes, on));
    results_ = replay_states(scenarios, options);
  }

  /// The first fault of a state, as the causes that are on in it and what it says.
  std::optional<std::pair<Causes, std::string>> fault() const {
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (!results_[i].fault.empty()) return std::pair{states_[i], results_[i].fault};
    }
    return std::nullopt;
  }

  /// Steps that train on as many tokens with as many GPUs are compared by their time; services that give
  /// answers by what these take.
  Measure natural_measure() const {
    if (kind_ == Work::serving)
      return results_.front().service.tpot > Seconds(0) ? Measure::answer_hours : Measure::prompt_hours;
    const StateResult& first = results_.front();
    // Loops draw their answers, and which of them a step has is not always the same.
    const double slack = kind_ == Work::loop ? kDrawnSlack : 0;
    const bool same_work = std::all_of(results_.begin(), results_.end(), [&](const StateResult& r) {
      return std::abs(r.step.tokens - first.step.tokens) <= slack * first.step.tokens && r.gpus == first.gpus;
    });
    if (kind_ == Work::loop) return same_work ? Measure::loop_step : Measure::loop_hours;
    return same_work ? Measure::step : Measure::training_hours;
  }

  double at(Causes on, Measure measure) const {
    const StateResult& r = results_[index(on)];
    if (kind_ == Work::serving) return measure_of(r.service, measure);
    return measure_of(r.step.step, r.gpus, r.step.tokens, measure);
  }

  std::vector<std::string> remarks(Bytes capacity) const {
    std::vector<std::string> out;
    const auto count = [&](auto is) { return std::count_if(results_.begin(), results_.end(), is); };
    if (const auto large = count([&](const StateResult& r) { return r.step.memory > capacity; }); large > 0) {
      out.push_back(fmt::format("{} of the {} replays between the two ends do not fit into {} and ran all the same",
                                large, states_.size(), format_bytes(capacity)));
    }
    if (const auto some = count([](const StateResult& r) { return r.service.rejected > 0; }); some > 0)
      out.push_back(fmt::format("in {} of the {} replays some requests were rejected", some, states_.size()));
    return out;
  }

 private:
  std::size_t index(Causes on) const {
    return static_cast<std::size_t>(std::lower_bound(states_.begin(), states_.end(), on) - states_.begin());
  }
  static constexpr double kDrawnSlack = 0.1;
  Work kind_;
  std::vector<Causes> states_;
  std::vector<StateResult> results_;
};

Waterfall waterfall(const States& states, const std::vector<Cause>& causes, Measure measure, Bytes capacity) {
  Waterfall out;
  out.measure = row_of(measure).name;
  out.unit = row_of(measure).unit;
  const auto at = [&](Causes on) { return states.at(on, measure); };
  const std::size_t n = causes.size();
  const Causes all = first(n);
  out.start = at(0);
  out.end = at(all);
  for (std::size_t i = 0; i < n; ++i) {
    CauseShare share{causes[i].id, causes[i].title, causes[i].change};
    share.forward = at(first(i + 1)) - at(first(i));
    share.reverse = at(all & ~first(i)) - at(all & ~first(i + 1));
    share.alone = at(Causes{1} << i) - at(0);
    out.causes.push_back(std::move(share));
  }
  out.remarks = states.remarks(capacity);
  return out;
}

[[noreturn]] void refuse_state(const std::vector<Cause>& causes, const std::pair<Causes, std::string>& fault) {
  std::vector<std::string> on;
  for (std::size_t i = 0; i < causes.size(); ++i) {
    if (fault.first >> i & 1) on.push_back(causes[i].id);
  }
  throw InputError(
      Diagnostic{"", 0, 0, "",
                 fmt::format("what cannot run with {}: {}",
                             on.empty() ? "none of the causes" : fmt::format("{}", fmt::join(on, ", ")), fault.second),
                 "causes that can be turned on one at a time", ""});
}

void check_count(std::size_t causes) {
  if (causes > kMostCauses) {
    throw InputError(
        Diagnostic{"", 0, 0, "--cause", fmt::format("{} causes", causes), fmt::format("at most {}", kMostCauses), ""});
  }
}

struct Between {
  Waterfall waterfall;
  Measure measure;
};

Between between(const Scenario& a, const Scenario& b, const CompareOptions& options) {
  for (const bool whole_structure : {false, true}) {
    const std::vector<Cause> causes = differences(a, b, whole_structure);
    check_count(causes.size());
    const States states(a, causes, options);
    const auto fault = states.fault();
    if (fault && !whole_structure) continue;
    if (fault) refuse_state(causes, *fault);
    const Measure measure = options.measure.value_or(states.natural_measure());
    Waterfall out = waterfall(states, causes, measure, a.cluster.node.gpu.hbm_usable());
    if (whole_structure)
      out.remarks.emplace_back("model, plan, batch and schedule differ in ways that lean on each other: one cause");
    return {std::move(out), measure};
  }
  return {};  // not reached: the second pass returns or throws
}

void check_measure(const Scenario& scenario, const CompareOptions& options) {
  if (!options.measure || row_of(*options.measure).of == kind_of(scenario)) return;
  std::vector<std::string_view> ids;
  for (const MeasureRow& row : measures()) {
    if (row.of == kind_of(scenario)) ids.push_back(row.id);
  }
  throw InputError(Diagnostic{scenario.file, 0, 0, "--measure", std::string(row_of(*options.measure).id),
                              fmt::format("one of {} for this scenario", fmt::join(ids, ", ")), ""});
}

}  // namespace

std::span<const MeasureRow> measures() { return kMeasureRows; }

double Waterfall::sum_alone() const {
  double sum = 0;
  for (const CauseShare& cause : causes) sum += cause.alone;
  return sum;
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

ScenarioComparison compare(const std::vector<Scenario>& scenarios, const CompareOptions& options) {
  assert(scenarios.size() >= 2);
  require_comparable(scenarios);
  check_measure(scenarios[0], options);
  ScenarioComparison out;
  out.scenarios = replay_all(scenarios, options);
  for (std::size_t i = 1; i < scenarios.size(); ++i) {
    Between found;
    try {
      found = between(scenarios[0], scenarios[i], options);
    } catch (const InputError& error) {
      // Of many, one whose causes lean on each other (a chip without FP8 in BF16) must not hide the others.
      if (scenarios.size() == 2) throw;
      out.notes.push_back(fmt::format("from {} to {}: no causes one at a time; {}", scenarios[0].name,
                                      scenarios[i].name, error.diagnostics().front().found));
      continue;
    }
    auto& [w, measure] = found;
    w.to = i;
    const double end = measure_of(out.scenarios[i], measure);
    w.unexplained = end - w.end;
    if (std::abs(w.unexplained) < 1e-9 * end) w.unexplained = 0;
    w.end = end;
    out.waterfalls.push_back(std::move(w));
  }
  return out;
}

ScenarioComparison compare(const Scenario& scenario, const std::vector<Cause>& causes, const CompareOptions& options) {
  require_comparable({scenario});
  check_measure(scenario, options);
  check_count(causes.size());
  const States states(scenario, causes, options);
  if (const auto fault = states.fault()) refuse_state(causes, *fault);
  Scenario changed = with(scenario, causes, first(causes.size()));
  changed.name = "with all of them";
  changed.title = changed.name;
  changed.published.clear();
  CompareOptions steps_only = options;
  steps_only.whole_runs = false;  // phases have plans of their own, which causes do not reach
  ScenarioComparison out;
  out.scenarios = replay_all({scenario, changed}, steps_only);
  out.waterfalls.push_back(waterfall(states, causes, options.measure.value_or(states.natural_measure()),
                                     scenario.cluster.node.gpu.hbm_usable()));
  out.waterfalls[0].to = 1;
  return out;
}

}  // namespace flopcast
