#include "analysis/compare/compare.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <map>

#include <fmt/format.h>

#include "analysis/format.h"
#include "analysis/json.h"
#include "sim/process.h"

namespace flopcast {
namespace {

// ------------------------------------------------------------------------------- results through pipes

/// Numbers and texts, one a line, as child processes send them.
class Lines {
 public:
  Lines() = default;
  explicit Lines(std::string text) : text_(std::move(text)) {}
  void put(double value) { text_ += shortest(value) + "\n"; }
  void put(const std::string& text) { text_ += text + "\n"; }
  std::string take_text() {
    const auto end = text_.find('\n', at_);
    assert(end != std::string::npos);
    std::string line = text_.substr(at_, end - at_);
    at_ = end + 1;
    return line;
  }
  double take() { return std::strtod(take_text().c_str(), nullptr); }
  bool done() const { return at_ == text_.size(); }
  std::string text() const { return text_; }

 private:
  std::string text_;
  std::size_t at_ = 0;
};

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

std::string quick_step(const Scenario& scenario, const RunOptions& options) {
  Lines out;
  if (std::string fault = unsound(scenario); !fault.empty()) return fault + "\n";
  try {
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
  return fmt::format("does not fit: {} of {} on the fullest GPU; replayed all the same",
                     format_bytes(s.memory), format_bytes(s.capacity));
}

/// What a report tells, as lines: the numbers, then remarks.
std::string summary(const Scenario& scenario, const CompareOptions& options) {
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

ComparedScenario compared(const Scenario& scenario, Lines lines) {
  ComparedScenario out;
  out.name = scenario.name;
  out.title = scenario.title;
  out.gpus = scenario.cluster.gpus();
  out.hardware = fmt::format("{} x {}", format_integer(out.gpus), scenario.cluster.node.gpu.title);
  out.capacity = scenario.cluster.node.gpu.hbm_capacity;
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
  while (!lines.done()) out.remarks.push_back(lines.take_text());
  return out;
}

std::vector<ComparedScenario> replay_all(const std::vector<Scenario>& scenarios,
                                         const CompareOptions& options) {
  const auto lines = parallel_map(scenarios.size(), options.workers,
                                  [&](std::size_t i) { return summary(scenarios[i], options); });
  std::vector<ComparedScenario> out;
  for (std::size_t i = 0; i < scenarios.size(); ++i) out.push_back(compared(scenarios[i], Lines(lines[i])));
  return out;
}

void require_training(const std::vector<Scenario>& scenarios) {
  std::vector<Diagnostic> faults;
  for (const Scenario& s : scenarios) {
    if (!s.training)
      faults.push_back(
          {s.file, 0, 0, "", "a scenario without `training`", "one whose step can be compared", ""});
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

/// Replays every state; the measure of each.
class States {
 public:
  States(const Scenario& scenario, const std::vector<Cause>& causes, const CompareOptions& options)
      : states_(states_of(causes.size())) {
    std::vector<Scenario> scenarios;
    for (const Causes on : states_) scenarios.push_back(with(scenario, causes, on));
    steps_ = quick_steps(scenarios, options);
    for (const Scenario& s : scenarios) gpus_.push_back(s.cluster.gpus());
  }

  /// The first fault of a state, as the causes that are on in it and what it says.
  std::optional<std::pair<Causes, std::string>> fault() const {
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (!steps_[i].fault.empty()) return std::pair{states_[i], steps_[i].fault};
    }
    return std::nullopt;
  }

  /// All states train on as many tokens with as many GPUs.
  bool same_work() const {
    return std::all_of(steps_.begin(), steps_.end(),
                       [&](const QuickStep& s) { return s.tokens == steps_[0].tokens; }) &&
           std::all_of(gpus_.begin(), gpus_.end(), [&](int g) { return g == gpus_[0]; });
  }

  double step(Causes on) const { return steps_[index(on)].step.value(); }
  double gpu_hours_per_trillion(Causes on) const {
    const std::size_t i = index(on);
    return steps_[i].step.value() * gpus_[i] / 3600 / steps_[i].tokens * 1e12;
  }
  /// States that would not fit into the GPU's memory.
  std::size_t too_large(Bytes capacity) const {
    return static_cast<std::size_t>(
        std::count_if(steps_.begin(), steps_.end(), [&](const QuickStep& s) { return s.memory > capacity; }));
  }
  std::size_t size() const { return states_.size(); }

 private:
  std::size_t index(Causes on) const {
    return static_cast<std::size_t>(std::lower_bound(states_.begin(), states_.end(), on) - states_.begin());
  }
  std::vector<Causes> states_;
  std::vector<QuickStep> steps_;
  std::vector<int> gpus_;
};

Waterfall waterfall(const States& states, const std::vector<Cause>& causes, bool same_work, Bytes capacity) {
  Waterfall out;
  out.measure = same_work ? "step" : "GPU-hours per 10^12 tokens";
  out.unit = same_work ? "s" : "GPU-h";
  const auto at = [&](Causes on) { return same_work ? states.step(on) : states.gpu_hours_per_trillion(on); };
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
  if (const std::size_t large = states.too_large(capacity); large > 0) {
    out.remarks.push_back(
        fmt::format("{} of the {} replays between the two ends do not fit into {} and ran all the same",
                    large, states.size(), format_bytes(capacity)));
  }
  return out;
}

[[noreturn]] void refuse_state(const std::vector<Cause>& causes,
                               const std::pair<Causes, std::string>& fault) {
  std::vector<std::string> on;
  for (std::size_t i = 0; i < causes.size(); ++i) {
    if (fault.first >> i & 1) on.push_back(causes[i].id);
  }
  throw InputError(Diagnostic{
      "", 0, 0, "",
      fmt::format("a step that cannot run with {}: {}",
                  on.empty() ? "none of the causes" : fmt::format("{}", fmt::join(on, ", ")), fault.second),
      "causes that can be turned on one at a time", ""});
}

void check_count(std::size_t causes) {
  if (causes > kMostCauses) {
    throw InputError(Diagnostic{"", 0, 0, "--cause", fmt::format("{} causes", causes),
                                fmt::format("at most {}", kMostCauses), ""});
  }
}

Waterfall between(const Scenario& a, const Scenario& b, const CompareOptions& options) {
  for (const bool whole_structure : {false, true}) {
    const std::vector<Cause> causes = differences(a, b, whole_structure);
    check_count(causes.size());
    const States states(a, causes, options);
    const auto fault = states.fault();
    if (fault && !whole_structure) continue;
    if (fault) refuse_state(causes, *fault);
    Waterfall out = waterfall(states, causes, states.same_work(), a.cluster.node.gpu.hbm_capacity);
    if (whole_structure)
      out.remarks.emplace_back(
          "model, plan, batch and schedule differ in ways that lean on each other: one cause");
    return out;
  }
  return {};  // not reached: the second pass returns or throws
}

double measure_of(const ComparedScenario& s, const Waterfall& w) {
  return w.unit == "s" ? s.step.value() : s.gpu_hours_per_trillion();
}

}  // namespace

double Waterfall::sum_alone() const {
  double sum = 0;
  for (const CauseShare& cause : causes) sum += cause.alone;
  return sum;
}

std::vector<QuickStep> quick_steps(const std::vector<Scenario>& scenarios, const CompareOptions& options) {
  const RunOptions run = quiet(options.run);
  const auto results = parallel_map(scenarios.size(), options.workers,
                                    [&](std::size_t i) { return quick_step(scenarios[i], run); });
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
  require_training(scenarios);
  ScenarioComparison out;
  out.scenarios = replay_all(scenarios, options);
  for (std::size_t i = 1; i < scenarios.size(); ++i) {
    Waterfall w = between(scenarios[0], scenarios[i], options);
    w.to = i;
    const double end = measure_of(out.scenarios[i], w);
    w.unexplained = end - w.end;
    if (std::abs(w.unexplained) < 1e-9 * end) w.unexplained = 0;
    w.end = end;
    out.waterfalls.push_back(std::move(w));
  }
  return out;
}

ScenarioComparison compare(const Scenario& scenario, const std::vector<Cause>& causes,
                           const CompareOptions& options) {
  require_training({scenario});
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
  out.waterfalls.push_back(
      waterfall(states, causes, states.same_work(), scenario.cluster.node.gpu.hbm_capacity));
  out.waterfalls[0].to = 1;
  return out;
}

}  // namespace flopcast
