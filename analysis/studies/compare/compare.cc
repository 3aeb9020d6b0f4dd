#include "analysis/studies/compare/compare.h"

#include <algorithm>
#include <array>
#include <cassert>

#include <fmt/format.h>

#include "analysis/render/text/format.h"
#include "analysis/studies/compare/replay_compared.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/fault_text.h"

namespace flopcast {
namespace {

using MeasuredWork = MeasureRow::Of;
MeasuredWork kind_of(const Scenario& s) {
  return s.rl ? MeasuredWork::loop : s.serving ? MeasuredWork::serving : MeasuredWork::training;
}

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

// Waterfall.

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
    {Measure::step, "step", "step", "s", MeasuredWork::training, "training.step_time_s"},
    {Measure::training_hours, "gpu-hours", "GPU-hours per 10^12 tokens", "GPU-h", MeasuredWork::training, ""},
    {Measure::answer_hours, "output-hours", "GPU-hours per 10^6 output tokens", "GPU-h", MeasuredWork::serving, ""},
    {Measure::prompt_hours, "input-hours", "GPU-hours per 10^6 input tokens", "GPU-h", MeasuredWork::serving, ""},
    {Measure::tpot, "tpot", "time per output token", "ms", MeasuredWork::serving, "serving.tpot_s.mean"},
    {Measure::ttft, "ttft", "time to first token", "ms", MeasuredWork::serving, "serving.ttft_s.mean"},
    {Measure::answer_usd, "output-usd", "USD per 10^6 output tokens", "USD", MeasuredWork::serving,
     "cost.usd_per_million_output_tokens"},
    {Measure::loop_step, "rl-step", "step of the loop", "s", MeasuredWork::loop, "rl.step_time_s"},
    {Measure::loop_hours, "rl-hours", "GPU-hours per 10^9 tokens", "GPU-h", MeasuredWork::loop, ""},
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

/// Of steps of this length that give this many tokens.
double measure_of(Seconds step, int gpus, double tokens, Measure measure) {
  if (measure == Measure::step || measure == Measure::loop_step) return step.value();
  return step.value() * gpus / 3600 / tokens * (measure == Measure::loop_hours ? 1e9 : 1e12);
}

double measure_of(const ComparedScenario& s, Measure measure) {
  return s.service ? measure_of(*s.service, measure) : measure_of(s.step, s.gpus, s.tokens_per_step, measure);
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
  /// answers by what these take, or, where rates are the load's, by how long they are waited for.
  Measure natural_measure() const {
    if (kind_ == MeasuredWork::serving) {
      const bool answers = results_.front().service.tpot > Seconds(0);
      if (one_load()) return answers ? Measure::tpot : Measure::ttft;
      return answers ? Measure::answer_hours : Measure::prompt_hours;
    }
    const StateResult& first = results_.front();
    // Loops draw their answers, and which of them a step has is not always the same.
    const double slack = kind_ == MeasuredWork::loop ? kDrawnSlack : 0;
    const bool same_work = std::all_of(results_.begin(), results_.end(), [&](const StateResult& r) {
      return std::abs(r.step.tokens - first.step.tokens) <= slack * first.step.tokens && r.gpus == first.gpus;
    });
    if (kind_ == MeasuredWork::loop) return same_work ? Measure::loop_step : Measure::loop_hours;
    return same_work ? Measure::step : Measure::training_hours;
  }

  /// Services with as many GPUs that all keep up with one load: GPU-hours per token are that load's, whatever differs.
  bool one_load() const {
    const StateResult& first = results_.front();
    return kind_ == MeasuredWork::serving && std::all_of(results_.begin(), results_.end(), [&](const StateResult& r) {
             const auto same = [](double a, double b) { return std::abs(a - b) <= kSameLoad * b; };
             return r.service.keeps_up && r.gpus == first.gpus &&
                    same(r.service.answer_rate, first.service.answer_rate) &&
                    same(r.service.prompt_rate, first.service.prompt_rate);
           });
  }

  double at(Causes on, Measure measure) const {
    const StateResult& r = results_[index(on)];
    if (kind_ == MeasuredWork::serving) return measure_of(r.service, measure);
    return measure_of(r.step.step, r.gpus, r.step.tokens, measure);
  }

  std::vector<std::string> remarks() const {
    std::vector<std::string> out;
    const auto count = [&](auto is) { return std::count_if(results_.begin(), results_.end(), is); };
    const auto too_large = [](const StateResult& r) { return r.step.memory > r.step.capacity; };
    if (const auto large = count(too_large); large > 0) {
      const Bytes capacity = std::find_if(results_.begin(), results_.end(), too_large)->step.capacity;
      out.push_back(fmt::format("{} of the {} replays between the two ends do not fit into {} and ran all the same",
                                large, states_.size(), format_bytes(capacity)));
    }
    if (const auto some = count([](const StateResult& r) { return r.service.rejected > 0; }); some > 0)
      out.push_back(fmt::format("in {} of the {} replays some requests were rejected", some, states_.size()));
    if (one_load())
      out.emplace_back(
          "all keep up with the same load: tokens per second, GPU-hours and dollars per token are the load's, not what "
          "they could give; what a user waits for differs. What each can give: a larger load, users in place of "
          "requests_per_second, or curve");
    return out;
  }

 private:
  std::size_t index(Causes on) const {
    return static_cast<std::size_t>(std::lower_bound(states_.begin(), states_.end(), on) - states_.begin());
  }
  static constexpr double kDrawnSlack = 0.1;
  static constexpr double kSameLoad = 0.03;  // rates are counted from a first to a last request, which latency moves
  MeasuredWork kind_;
  std::vector<Causes> states_;
  std::vector<StateResult> results_;
};

Waterfall waterfall(const States& states, const std::vector<Cause>& causes, Measure measure) {
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
  out.remarks = states.remarks();
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
    Waterfall out = waterfall(states, causes, measure);
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

ScenarioComparison compare(const std::vector<Scenario>& scenarios, const CompareOptions& options) {
  assert(scenarios.size() >= 2);
  require_comparable(scenarios);
  check_measure(scenarios[0], options);
  ScenarioComparison out;
  out.scenarios = replay_all(scenarios, options);
  for (const Scenario& s : scenarios) {
    if (!s.priced_for.empty())
      out.notes.push_back(fmt::format("{}: dollars are of {} at the price that is stated for {}", s.name,
                                      s.cluster.node.gpu.name, s.priced_for));
  }
  for (std::size_t i = 1; i < scenarios.size(); ++i) {
    Between found;
    try {
      found = between(scenarios[0], scenarios[i], options);
    } catch (const InputError& error) {
      // Of many, one whose causes lean on each other (a chip without FP8 in BF16) must not hide the others.
      if (scenarios.size() == 2) throw;
      out.notes.push_back(fmt::format("from {} to {}: no causes one at a time; {}", scenarios[0].name,
                                      scenarios[i].name, brief(error)));
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
  out.waterfalls.push_back(waterfall(states, causes, options.measure.value_or(states.natural_measure())));
  out.waterfalls[0].to = 1;
  return out;
}

}  // namespace flopcast
