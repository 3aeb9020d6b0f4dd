#include "analysis/runs/rl/rl_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/text/format.h"
#include "analysis/runs/parts/notes.h"
#include "analysis/runs/parts/published.h"
#include "analysis/runs/rl/rl_machine.h"
#include "analysis/runs/rl/rl_metrics.h"
#include "scenarios/proto/report.pb.h"
#include "sim/base/random.h"
#include "workloads/rl/settling.h"
#include "workloads/serving/session/session.h"

namespace flopcast {
namespace {

/// GPUs at work draw their measured share of the rated power, others their idle power.
Joules energy_of_step(const RlReport& report, const RlOptions& options) {
  const RlScenario& rl = report.rl();
  const RlStepMeans& s = report.step;
  const double training = computing(report) / s.length, writing = s.engine_busy / s.length;
  const auto draw = [&](double busy) {
    return step_power(report.scenario.cluster.node, options.power, std::min(1.0, busy)).training;
  };
  const auto engine_draw = [&](double busy) {
    const NodeSpec& node = rl.engine_cluster(report.scenario.cluster).node;
    return step_power(node, options.engine_power.value_or(options.power), std::min(1.0, busy)).training;
  };
  const int own = rl.engine_gpus() - rl.overlap_gpus();
  const double of_trainer = rl.trainer_gpus() > 0 ? static_cast<double>(rl.overlap_gpus()) / rl.trainer_gpus() : 0;
  const Watts working = rl.separate()
                            ? rl.trainer_gpus() * draw(training + writing * of_trainer) + own * engine_draw(writing)
                            : rl.working_gpus() * draw(training + writing);
  const Watts all = working + rl.loop.frozen.gpus * draw(s.frozen_busy / s.length) +
                    rl.loop.critic.gpus * draw(s.critic_busy / s.length);
  return report.scenario.price.pue * (all * s.length);
}

/// The loop at one point of the curve of lengths.
RlConfig at_point(const RlConfig& config, const GrowthPoint& point) {
  RlConfig out = config;
  out.answer.mean = point.mean;
  out.answer.most = point.most.value_or(out.answer.most);
  out.answer.least = std::min(out.answer.least, out.answer.mean);
  out.reference_every = 0;  // counted over the whole run
  return out;
}

/// The curve of lengths with points between those that are stated: what a step takes grows less than in proportion to
/// its answers, so that a straight line from short ones to long ones runs below it.
std::vector<GrowthPoint> refined(const std::vector<GrowthPoint>& stated) {
  constexpr double kLargestRatio =
      1.5;  // of the means of neighbours: 0.5 % of a step on a line from 500 to 1,500 tokens
  std::vector<GrowthPoint> out;
  std::optional<double> most;
  for (std::size_t i = 0; i < stated.size(); ++i) {
    if (i > 0 && stated[i].step > stated[i - 1].step + 1) {
      const GrowthPoint &from = stated[i - 1], &to = stated[i];
      const double ratio = std::abs(std::log(to.mean / from.mean));
      const int pieces = static_cast<int>(std::ceil(ratio / std::log(kLargestRatio) - 1e-9));
      for (int k = 1; k < pieces; ++k) {
        const double mean = from.mean * std::pow(to.mean / from.mean, static_cast<double>(k) / pieces);
        out.push_back({from.step + (to.step - from.step) * (mean - from.mean) / (to.mean - from.mean), mean, most});
      }
    }
    if (stated[i].most) most = stated[i].most;
    out.push_back({stated[i].step, stated[i].mean, most});
  }
  return out;
}

/// How far all loops of a run are, in answers.
class Tally {
 public:
  explicit Tally(const RlOptions& options) : tell_(options.keep_going) {}
  void expect(const RlConfig& config) { all_ += answers_of(config); }
  /// What a loop is to tell.
  std::function<bool(std::int64_t)> loop(const RlConfig& config) {
    const std::uint64_t before = before_, whole = answers_of(config);
    before_ += whole;
    if (!tell_) return {};
    return [this, before, whole](std::int64_t done) {
      return tell_(before + std::min(static_cast<std::uint64_t>(done), whole), all_);
    };
  }

 private:
  static std::uint64_t answers_of(const RlConfig& config) {
    return static_cast<std::uint64_t>(least_steps(config) * config.answers());
  }
  const std::function<bool(std::uint64_t, std::uint64_t)>& tell_;
  std::uint64_t before_ = 0, all_ = 0;
};

Seconds step_at(RlMachine& machine, const RlConfig& config, int replicas, Tally& tally) {
  const RlOutcome outcome = machine.run(config, {}, tally.loop(config)).outcome;
  return means_of(outcome.counted(), replicas).length;
}

/// Straight lines between the points, level beyond them.
Seconds along(const std::vector<RlRunPoint>& points, double steps) {
  Seconds sum = points.front().step * points.front().length;
  for (std::size_t i = 1; i < points.size(); ++i)
    sum += (points[i].step - points[i - 1].step) / 2 * (points[i].length + points[i - 1].length);
  return sum + (steps - points.back().step) * points.back().length;
}

/// The loops that a projection replays.
std::vector<RlConfig> projected_loops(const RlScenario& rl) {
  std::vector<RlConfig> out;
  for (const GrowthPoint& point : refined(rl.loop.run.growth)) out.push_back(at_point(rl.loop, point));
  if (!out.empty() || !rl.loop.with_reference() || rl.loop.reference_every == 0) return out;
  out.push_back(rl.loop);
  out.back().reference_every = 0;
  return out;
}

RlRunProjection project(const RlReport& report, RlMachine& machine, const RlOptions& options, Tally& tally) {
  const RlScenario& rl = report.rl();
  const RlRunConfig& config = rl.loop.run;
  RlRunProjection run;
  run.steps = config.steps;
  const std::vector<RlConfig> loops = projected_loops(rl);
  const std::vector<GrowthPoint> curve = refined(config.growth);
  for (std::size_t i = 0; i < curve.size(); ++i)
    run.points.push_back({curve[i].step, curve[i].mean, step_at(machine, loops[i], rl.rollout.replicas, tally)});
  const bool replaced = rl.loop.with_reference() && rl.loop.reference_every > 0;
  if (run.points.empty()) {
    const Seconds length = replaced ? step_at(machine, loops.front(), rl.rollout.replicas, tally) : report.step.length;
    run.points.push_back({0, rl.loop.answer.mean, length});
  }
  run.time.steady = along(run.points, run.steps);
  if (replaced) run.time.steady += std::floor(run.steps / rl.loop.reference_every) * machine.reference_copy();
  if (config.evaluation_every > 0) {
    // Answers of an evaluation are as long as those of the step that it follows.
    std::vector<RlRunPoint> evaluations = run.points;
    for (std::size_t i = 0; i < evaluations.size(); ++i)
      evaluations[i].length = machine.write_answers(curve.empty() ? rl.loop : loops[i], config.evaluation_answers);
    const double times = std::floor(config.steps / config.evaluation_every);
    run.evaluation = times * (along(evaluations, run.steps) / run.steps);
    run.time.steady += run.evaluation;
  }
  run.time = with_interruptions(run.time, rl.gpus(), report.scenario.resilience);
  const Seconds elapsed = run.time.total();
  run.gpu_hours = in_hours(elapsed) * rl.gpus();
  run.cost = static_cast<double>(rl.gpus()) * (report.scenario.price.gpu * elapsed);
  const double steps_worth = elapsed / report.step.length;
  run.energy = steps_worth * energy_of_step(report, options);
  return run;
}

/// Empty: it is less than what is printed.
std::string noise_note(const RlReport& report) {
  constexpr double kWorthSaying = 0.002;
  const double noise = noise_of_mean(report.steps);
  if (noise < kWorthSaying) return "";
  return fmt::format("; differences of less than {} from a loop like it are noise (rl.replayed_steps: more)",
                     format_percent(noise));
}

std::string replayed_note(const RlReport& report) {
  const std::size_t counted = report.steps.size();
  if (report.replayed_steps == 1) return "one step was replayed";
  std::string out = fmt::format(
      "{} steps were replayed; the step is {}", report.replayed_steps,
      counted == report.replayed_steps ? std::string("their mean") : fmt::format("the mean of the last {}", counted));
  if (counted > 1) {
    const auto [least, most] =
        std::minmax_element(report.steps.begin(), report.steps.end(),
                            [](const RlStep& a, const RlStep& b) { return a.length() < b.length(); });
    out += fmt::format("; each takes {} to {}", format_time(least->length()), format_time(most->length()));
  }
  if (report.rl().loop.asynchrony.staleness <= 0) return out;  // loops that wait have the same answers
  out += noise_note(report);
  const std::string level = fmt::format(
      "in these the engine writes {} of the tokens that are trained on or thrown away, and {} of the answers "
      "are rewarded",
      format_percent(written_over_gone(report.steps), 1), format_percent(rewarded_over_gone(report.steps), 1));
  if (settled(report.steps)) return out + "; " + level;
  return out + "; it has not settled: " + level + " (rl.replayed_steps: more)";
}

/// GPUs of the clusters that have no part in the loop.
std::vector<std::string> unused_notes(const Scenario& scenario) {
  const RlScenario& rl = *scenario.rl;
  std::vector<std::string> out;
  const auto look_at = [&](const ClusterSpec& cluster, int taken, const char* what) {
    if (taken < cluster.gpus())
      out.push_back(
          fmt::format("the loop takes {} of the {} GPUs of {}: GPU-hours, dollars, energy and failures are of "
                      "these; the others do nothing",
                      format_integer(taken), format_integer(cluster.gpus()), what));
  };
  look_at(scenario.cluster, rl.gpus() - rl.gpus_elsewhere(), "the cluster");
  if (rl.rollout_cluster) look_at(*rl.rollout_cluster, rl.gpus_elsewhere(), "rl.rollout_cluster");
  return out;
}

void add_notes(RlReport& report, Seconds reference_copy, const RlOptions& options) {
  const RlScenario& rl = report.rl();
  const RlConfig& loop = rl.loop;
  auto& notes = report.notes;
  notes.push_back(replayed_note(report));
  if (const std::int64_t own = report.scenario.cluster.gpus() - loop.aside_gpus();
      rl.generates() && !rl.separate() && !rl.rollout_cluster && rl.engine_gpus() < own)
    notes.push_back(fmt::format("{} of the {} GPUs write no answers: rollout has {} (rl.rollout.count)",
                                own - rl.engine_gpus(), own, rl.engine_gpus()));
  if (rl.rollout_cluster)
    notes.push_back(
        "both clusters hang on the fabric of the trainer's; new weights go over it, at the slower NIC's rate");
  for (std::string& note : unused_notes(report.scenario)) notes.push_back(std::move(note));
  if (report.run && rl.gpus_elsewhere() > 0 && report.scenario.price.stated &&
      report.scenario.price.model == PriceModel::stated)
    notes.push_back(
        "the stated price (price.gpu) is taken of both kinds of GPU; price.model: \"rental\" and others look up each "
        "kind's own");
  if (rl.rollout_cluster && loop.algorithm->trains && rl.generates())
    notes.push_back(
        fmt::format("new weights reach {} over the trainer's fabric, at the slower NICs of both: how two clusters are "
                    "joined is not "
                    "stated anywhere, and nothing else of the engine's fabric counts",
                    rl.rollout_cluster->node.name));
  if (loop.algorithm->trains && loop.packing != AnswerPacking::padded)
    notes.push_back(
        fmt::format("a micro-batch holds {} sequences of {} tokens, as long as the one that a mean token is in; "
                    "the replica with most micro-batches sets the pace of an update",
                    report.trainer.shape.sequences, report.trainer.shape.sequence_length));
  if (loop.algorithm->trains && rl.generates())
    notes.push_back("advantages, the optimiser's bookkeeping on the host and data between roles take rl.host_time");
  if (report.run && loop.with_reference() && loop.reference_every > 0)
    notes.push_back(fmt::format("the reference is replaced {} times in the run, {} each",
                                format_integer(std::floor(report.run->steps / loop.reference_every)),
                                format_time(reference_copy)));
  if (report.run && report.run->points.size() > 1)
    notes.push_back(
        fmt::format("the run: {} points of the curve of lengths were replayed, steps between them "
                    "interpolated along straight lines",
                    report.run->points.size()));
  if (rl.generates() && rl.rollout.engine.speculation.depth > 0)
    notes.push_back("drafts are accepted at their mean rate, by all requests of an iteration alike");
  if (loop.framework.empty())
    notes.push_back(fmt::format(
        "no rl.framework is stated: nothing but what is named takes host time. The range is of loops in "
        "software that is not known{}; code of 2023 and 2024 that writes answers in batches of its own "
        "took up to 9 times as long as predicted where that was not described (docs/rl.md)",
        report.ranges ? fmt::format(", which took {:.2f} times as long as predicted in the middle", report.late) : ""));
  for (std::string note : {unmeasured_note(report.scenario), unkept_limit_note(report.scenario)})
    if (!note.empty()) notes.push_back(std::move(note));
  if (report.run) notes.push_back("power: " + options.power.source);
}

}  // namespace

Seconds computing(const RlReport& report) {
  const RlStepMeans& s = report.step;
  const Seconds updating = s.part(RlPart::update) + s.part(RlPart::critic_update);
  return (1 - report.trainer.held_up) * (s.training() - (1 - s.packed) * updating);
}

Seconds RlStepMeans::training() const {
  Seconds sum;
  for (const RlPart p : {RlPart::log_probs, RlPart::reference, RlPart::values, RlPart::reward_model, RlPart::teacher,
                         RlPart::update, RlPart::critic_update})
    sum += part(p);
  return sum;
}

RlStepMeans means_of(std::span<const RlStep> steps, int replicas, int frozen_replicas) {
  RlStepMeans out;
  const auto n = static_cast<double>(steps.size());
  double most = 0, mean = 0, staleness = 0, answers = 0;
  for (const RlStep& step : steps) {
    out.length += step.length() / n;
    for (std::size_t i = 0; i < kRlParts; ++i) out.parts[i] += step.parts[i] / n;
    out.prompt_tokens += static_cast<double>(step.prompt_tokens) / n;
    out.answer_tokens += static_cast<double>(step.answer_tokens) / n;
    out.longest += step.longest / n;
    out.written += static_cast<double>(step.tokens_written) / n;
    out.interrupted += static_cast<double>(step.interrupted) / n;
    out.tool_calls += static_cast<double>(step.tool_calls) / n;
    out.timed_out_rewards += static_cast<double>(step.timed_out_rewards) / n;
    out.timed_out_tools += static_cast<double>(step.timed_out_tools) / n;
    out.thrown_away += static_cast<double>(step.thrown_away) / n;
    out.awake += step.engine_awake / n;
    out.overlap_awake += step.overlap_awake / n;
    out.critic_busy += step.critic_busy / n;
    out.taken_over += static_cast<double>(step.taken_over) / n;
    out.empty += step.engine_empty / n;
    if (frozen_replicas > 0) out.frozen_busy += step.frozen_busy / (n * frozen_replicas);
    if (replicas > 0) out.engine_busy += step.engine_busy / (n * replicas);
    answers += static_cast<double>(step.answers);
    staleness += step.staleness_sum;
    out.staleness_most = std::max(out.staleness_most, step.staleness_most);
    most += step.micro_batches;
    mean += step.mean_micro_batches;
  }
  out.answers = answers / n;
  if (answers > 0) out.staleness = staleness / answers;
  if (most > 0) out.packed = mean / most;
  return out;
}

double noise_of_mean(std::span<const RlStep> steps) {
  if (steps.size() < 2) return 0;
  const auto count = static_cast<double>(steps.size());
  double sum = 0, squares = 0;
  for (const RlStep& step : steps) {
    sum += step.length().value();
    squares += step.length().value() * step.length().value();
  }
  const double mean = sum / count, variance = std::max(0.0, squares / count - mean * mean) * count / (count - 1);
  return normal_quantile(0.95) * std::sqrt(2 * variance / count) / mean;
}

RlReport run_rl(const Scenario& scenario, const RlOptions& options) {
  check_published(scenario, [] { return rl_metrics(nullptr); });
  RlReport report;
  report.scenario = scenario;
  report.notes = scenario.notes;
  const RlScenario& rl = *scenario.rl;
  RlMachine machine(scenario, options.replay);
  if (!options.allow_oom) machine.check_memory();
  report.memory = machine.memory();
  report.states = machine.states();
  report.sync = machine.sync();
  Tally tally(options);
  tally.expect(rl.loop);
  const bool projects = options.project && rl.loop.run.steps > 0;
  if (projects)
    for (const RlConfig& further : projected_loops(rl)) tally.expect(further);
  RlMachine::Loop loop = machine.run(rl.loop, {}, tally.loop(rl.loop));
  report.trainer = loop.prices;
  const std::span<const RlStep> counted = loop.outcome.counted();
  report.replayed_steps = loop.outcome.steps.size();
  report.steps.assign(counted.begin(), counted.end());
  report.spans = std::move(loop.outcome.spans);
  report.step = means_of(report.steps, rl.rollout.replicas, rl.loop.frozen.replicas());
  if (projects) report.run = project(report, machine, options, tally);
  if (options.errors) {
    const LoopErrors errors = loop_errors(scenario, options.engine, *options.errors);
    report.late = std::exp(errors.whole.log_mean);
    report.ranges = loop_ranges(report.step, rl.separate(), errors);
  }
  add_notes(report, machine.reference_copy(), options);
  compare_with_published(
      scenario, [&] { return rl_metrics(&report); }, report.comparisons, report.notes);
  return report;
}

RlExplanation explain_rl(const Scenario& scenario, const RlOptions& options) {
  const RlScenario& rl = *scenario.rl;
  RlMachine machine(scenario, options.replay);
  if (!options.allow_oom) machine.check_memory();
  const auto step = [&](const std::array<bool, kRlParts>& free) {
    const auto go_on = [&](std::int64_t) { return !options.keep_going || options.keep_going(0, 0); };
    const RlOutcome outcome = machine.run(rl.loop, free, go_on).outcome;
    return means_of(outcome.counted(), rl.rollout.replicas);
  };
  const RlStepMeans whole = step({});
  RlExplanation out;
  out.step = whole.length;
  for (std::size_t i = 0; i < kRlParts; ++i) {
    const auto part = static_cast<RlPart>(i);
    // Work that is hidden behind other work has a price too.
    const bool hidden = rl.separate() && part == RlPart::generation;
    if (part == RlPart::drain || (whole.parts[i] <= Seconds(0) && !hidden)) continue;
    std::array<bool, kRlParts> free{};
    free[i] = true;
    // Hidden work keeps the step from nothing: what it takes is how long the engine is awake.
    const Seconds takes = hidden && whole.parts[i] <= Seconds(0) ? whole.awake : whole.parts[i];
    Seconds saves = whole.length - step(free).length;
    if (std::abs(saves.value()) < 1e-9 * whole.length.value()) saves = Seconds(0);
    out.parts.push_back({part, takes, saves});
  }
  return out;
}

std::string to_text(const RlExplanation& explanation, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::right, Align::right});
  table.header({"if this took no time", "it takes", "the step saves", "of the step"});
  for (const RlSaving& saving : explanation.parts)
    table.row({std::string(name(saving.part)), format_time(saving.takes), format_time(saving.saves),
               format_percent(saving.saves / explanation.step)});
  return fmt::format("One step takes {}.\n\n", format_time(explanation.step)) + table.render(style);
}

report::RlExplanation to_message(const RlExplanation& explanation) {
  report::RlExplanation message;
  message.set_step_time_s(explanation.step.value());
  for (const RlSaving& saving : explanation.parts) {
    report::RlSaving& part = *message.add_parts();
    part.set_part(std::string(name(saving.part)));
    part.set_takes_s(saving.takes.value());
    part.set_saves_s(saving.saves.value());
  }
  return message;
}

std::string rl_facts(const Scenario& scenario, const ReplayOptions& replay) {
  RlMachine machine(scenario, replay);
  machine.check_memory();
  std::string out = fmt::format("{} answers and {} updates a step", scenario.rl->loop.answers(),
                                scenario.rl->updates() * scenario.rl->loop.epochs);
  for (const PhaseMemory& phase : machine.memory())
    out += fmt::format("; {}: {} of {} on the fullest GPU", phase.phase, format_bytes(phase.total()),
                       format_bytes(phase.capacity));
  return out;
}

}  // namespace flopcast
