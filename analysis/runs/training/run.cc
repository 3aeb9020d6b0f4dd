#include "analysis/runs/training/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>

#include "analysis/render/text/format.h"
#include "analysis/runs/parts/message_parts.h"
#include "analysis/runs/parts/notes.h"
#include "analysis/runs/parts/published.h"
#include "analysis/runs/training/local_updates.h"
#include "analysis/runs/training/steps_ahead.h"
#include "analysis/runs/training/training_message.h"
#include "analysis/runs/training/training_metrics.h"
#include "hwmodels/fabric/fabric_graph.h"
#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/kernels/calibration.h"
#include "hwmodels/kernels/kernel_formulas.h"
#include "scenarios/read/text/text_file.h"
#include "workloads/collectives/collectives.h"
#include "workloads/training/open_fields.h"
#include "workloads/training/prices/step_layout.h"
#include "workloads/training/step/steady_state.h"

namespace flopcast {

namespace {

/// Whether to go on, while nothing is replayed yet.
std::function<bool()> asks(const RunOptions& options) {
  if (!options.progress) return {};
  return [&options] { return options.progress(0, 0); };
}

void announce(const RunOptions& options, const std::string& what) {
  if (options.stage) options.stage(what);
}

void set_rates(TrainingReport& report, const TrainingStep& step) {
  const ClusterSpec& cluster = report.scenario.cluster;
  const int gpus = cluster.gpus();  // the plan takes all of them
  report.tokens_per_step = step.tokens;
  report.tokens_per_day = step.tokens * 86400.0 / report.step_time.value();
  report.flops_per_gpu_causal = step.model_flop_causal / report.step_time / gpus;
  report.flops_per_gpu = step.model_flop / report.step_time / gpus;
  report.mfu_causal = report.flops_per_gpu_causal / cluster.node.gpu.bf16_peak;
  report.mfu = report.flops_per_gpu / cluster.node.gpu.bf16_peak;
}

// What a replay of few micro-batches adds for those that were not built.
struct Remaining {
  Seconds time;
  std::string note;
};

// Nothing while the pipeline has not come to rest in the micro-batches that were built.
std::optional<Remaining> remaining(const TrainingConfig& config, const TrainingStep& step, const SpanSink& spans) {
  const std::optional<Seconds> period = steady_period(step, spans);
  if (!period) return std::nullopt;
  const RepeatedStretch& repeated = *step.repeated;
  const std::int64_t added = config.micro_batches() - repeated.micro_batches;
  return Remaining{
      *period * static_cast<double>(repeated.more),
      fmt::format("{} of {} micro-batches were replayed; the pipeline repeats itself by then, and each of "
                  "the others adds {} to the step",
                  format_integer(static_cast<double>(repeated.micro_batches)),
                  format_integer(static_cast<double>(config.micro_batches())),
                  format_time(*period * (static_cast<double>(repeated.more) / static_cast<double>(added))))};
}

// Replays the step with all sinks and fills everything of the report that one replay can tell. False: too few of the
// step's micro-batches were built for the others to follow from them.
bool replay_step(const TrainingConfig& config, const PreparedStep& prepared, const RunOptions& options,
                 TrainingReport& report) {
  const TrainingStep& step = prepared.step;
  StepMetricsSink metrics(step);
  FingerprintSink fingerprint;
  std::unique_ptr<SpanSink> spans;
  std::vector<std::unique_ptr<TimelineSink>> extra;
  std::vector<TimelineSink*> sinks = {&metrics, &fingerprint};
  if (step.folded || step.repeated) {
    spans = std::make_unique<SpanSink>(step.graph);
    sinks.push_back(spans.get());
  }
  for (const auto& make : options.extra_sinks) sinks.push_back(extra.emplace_back(make(step)).get());

  const std::vector<std::uint32_t> times = operation_times(step);
  ReplayOptions replaying = replay_options(options);
  replaying.times = times;
  const ReplayResult result = replay(step.graph, prepared.topology->network(), sinks, replaying);
  report.step_time = result.makespan;
  if (step.repeated) {
    const std::optional<Remaining> others = remaining(config, step, *spans);
    if (!others) return false;
    report.step_time += others->time;
    report.notes.push_back(others->note);
  }
  report.run = run_facts(result, fingerprint, options);
  report.run.folded = step.folded;
  report.run.replayed_gpus = step.ranks.size();
  report.rank_metrics = metrics.reduce(result.makespan);
  report.mean = weighted_mean(report.rank_metrics, step.ranks);
  if (step.folded) report.path = critical_path(step, *spans);
  constexpr std::size_t kFew = 3;
  report.links = busiest_links(step.graph, prepared.topology->network(), report.step_time, SIZE_MAX, times);
  report.busiest_links.assign(report.links.begin(),
                              report.links.begin() + static_cast<std::ptrdiff_t>(std::min(kFew, report.links.size())));
  return true;
}

// Calls `replays(extent)` with more and more micro-batches until it returns true; at last with all of them.
template <class Replays>
void with_enough_micro_batches(const TrainingConfig& config, bool whole, Replays replays) {
  StepExtent extent = whole ? StepExtent{} : few_micro_batches(config);
  while (!replays(extent)) extent.micro_batches *= 2;
}

void copy_facts(const TrainingStep& step, TrainingReport& report) {
  report.settled = step.settled;
  // Where the limit decides, kernels are priced at the clock of long runs, and it falls from there.
  if (report.settled) report.settled->clock *= report.scenario.training->overheads.vendor_clock;
  report.ranks = step.ranks;
  report.stages = step.stages;
  report.stages_of_rank = step.schedule.stage_of;
  report.memory = step.memory;
  report.evidence = step.evidence;
  report.sources = step.sources;
  report.hottest_load = step.hottest_load;
  report.notes.insert(report.notes.end(), step.notes.begin(), step.notes.end());
}

TimedStep timed_step(const Scenario& scenario, const TrainingConfig& config, const RunOptions& options) {
  if (config.local.workers > 1) {
    Scenario all = scenario;
    all.training = config;
    const Scenario worker = worker_scenario(all);
    TimedStep inner = timed_step(worker, *worker.training, options);
    inner.time += outer_exchange(all, inner.time).per_step;
    return inner;
  }
  TimedStep timed;
  Seconds& time = timed.time;
  with_enough_micro_batches(config, false, [&](StepExtent extent) {
    const PreparedStep prepared = prepare_step(scenario, config, extent, asks(options));
    check_memory(scenario, config, prepared.step, options.allow_oom, timed.notes);
    const TrainingStep& step = prepared.step;
    timed.memory = fullest(step.memory).total();
    SpanSink spans(step.graph);
    TimelineSink* const sinks[] = {&spans};
    const auto watching = std::span(sinks).first(step.repeated ? 1 : 0);
    time = replay(step.graph, prepared.topology->network(), watching, replay_options(options)).makespan;
    if (!step.repeated) return true;
    const std::optional<Remaining> others = remaining(config, step, spans);
    if (others) time += others->time;
    return others.has_value();
  });
  return timed;
}

// The step of another batch or plan, asked for by the projection. Folded: it gets unfolded where something breaks the
// symmetry, and where nothing does, folded and unfolded agree.
TimedStep further_step(const Scenario& scenario, TrainingConfig config, const RunOptions& options) {
  config.unfolded = false;
  return timed_step(scenario, config, options);
}

// Whether its graph is a small one. Every rank takes half a megabyte (2,048 of DeepSeek-V3: 1.0 GB), and as many are in
// memory at once as there are threads.
bool replays_few(const Scenario& scenario, TrainingConfig config) {
  constexpr std::size_t kFew = 64;
  config.unfolded = false;  // as further_step() has it
  const ClusterSpec& cluster = scenario.cluster;
  return choose_replayed(config, cluster, expert_rank_loads(config, cluster.node.gpus)).gpus.size() <= kFew;
}

// Those that the projection will ask for are replayed beside the step itself, as far as there are threads and memory:
// one that does not fold is left to whoever asks for it, one at a time.
std::unique_ptr<StepsAhead> replay_ahead(const Scenario& scenario, const RunOptions& options) {
  const auto replay = [&scenario, &options](const TrainingConfig& config, std::stop_token stop) {
    RunOptions quiet = options;
    quiet.stage = nullptr;
    quiet.progress = [stop](std::uint64_t, std::uint64_t) { return !stop.stop_requested(); };
    return further_step(scenario, config, quiet);
  };
  std::vector<TrainingConfig> steps = steps_to_project(scenario);
  std::erase_if(steps, [&](const TrainingConfig& config) { return !replays_few(scenario, config); });
  return std::make_unique<StepsAhead>(std::move(steps), replay, options.threads - 1);
}

// @param ahead may be null
StepTimer further_steps(const Scenario& scenario, const RunOptions& options, StepsAhead* ahead, Seconds step,
                        std::vector<std::string>& notes) {
  return [&scenario, &notes, &options, ahead, step](const TrainingConfig& config) {
    announce(options,
             fmt::format("the step takes {}; further: {} micro-batches of {} tokens", format_time(step),
                         config.micro_batches(), config.batch.micro_batch_sequences * config.batch.sequence_length));
    const auto waiting = [&options] {
      if (options.progress && !options.progress(0, 0)) throw Interrupted();
    };
    std::optional<TimedStep> timed;
    if (ahead != nullptr) timed = ahead->take(config, waiting);
    if (!timed) timed = further_step(scenario, config, options);
    for (std::string& note : timed->notes)
      if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(std::move(note));
    return timed->time;
  };
}

// The step with what its open fields may be else, over the step as stated. What does not fit or run is no candidate.
std::vector<StepOrigins::Open> open_factors(const Scenario& scenario, const TimedStep& stated,
                                            const RunOptions& options) {
  std::vector<StepOrigins::Open> out;
  for (const std::string& name : scenario.training->open) {
    const OpenField* const field = find_open_field(name);
    assert(field != nullptr && "the loader checks names");
    StepOrigins::Open open{std::string(field->title), {1.0}, {1.0}};
    for (TrainingConfig& config : field->alternatives(*scenario.training)) {
      config.unfolded = false;
      announce(options, std::string(field->title));
      RunOptions strict = options;
      strict.allow_oom = false;
      try {
        const TimedStep other = timed_step(scenario, config, strict);
        open.factors.push_back(other.time / stated.time);
        open.memory.push_back(other.memory / stated.memory);
      } catch (const InputError&) {
      }
    }
    out.push_back(std::move(open));
  }
  return out;
}

// Failures fall at random, whatever the step takes: the logarithms of both add up as squares.
void with_own_failures(FigureRange& spread, const JobLife& life) {
  const double expected = in_hours(life.closed.elapsed());
  const Spread& hours = life.replayed->elapsed_hours;
  if (expected <= 0 || hours.low <= 0) return;
  spread.p5 = std::exp(-std::hypot(std::log(expected / hours.low), std::log(spread.p5)));
  spread.p95 = std::exp(std::hypot(std::log(hours.high / expected), std::log(spread.p95)));
  spread.p50 = std::clamp(spread.p50 * hours.median / expected, spread.p5, spread.p95);
}

// How far off the hours of the whole run may be: as the step is, by its own failures where the scenario states them,
// and by what published runs lost.
void spread_hours(Projection& projection, const Scenario& scenario, const StepRange& range, Seconds step,
                  const RunOptions& options) {
  projection.lost_as_published = options.losses && !scenario.resilience.stated && projection.life;
  const auto over_predicted = [&](double quantile) { return quantile / step.value(); };
  projection.spread = {over_predicted(range.step_s.p5), over_predicted(range.step_s.p50),
                       over_predicted(range.step_s.p95)};
  if (!projection.lost_as_published) {
    if (projection.life && projection.life->replayed) with_own_failures(*projection.spread, *projection.life);
    return;
  }
  constexpr int kQuantiles = 100;
  const double trained = projection.life->closed.effective() * projection.spread->p50;
  projection.spread = options.losses->over_predicted(trained, range.log_error);
  projection.quantiles = options.losses->quantiles(trained, range.log_error, kQuantiles);
}

ReplayedStep summarise(const TrainingReport& report, const PowerModel& power) {
  ReplayedStep replayed;
  replayed.step_time = report.step_time;
  replayed.model_flops_utilisation = report.mfu_causal;
  replayed.power = step_power(report.scenario.cluster.node, power, report.mean.compute_busy / report.step_time);
  return replayed;
}

// @param folds called when the step is known to be replayed on few GPUs; may be empty
void run_step(const Scenario& scenario, const RunOptions& options, TrainingReport& report,
              const std::function<void()>& folds = {}) {
  // Who looks at every operation gets every one.
  const bool whole = !options.extra_sinks.empty();
  with_enough_micro_batches(*scenario.training, whole, [&](StepExtent extent) {
    const PreparedStep prepared = prepare_step(scenario, *scenario.training, extent, asks(options));
    check_memory(scenario, *scenario.training, prepared.step, options.allow_oom, report.notes);
    if (prepared.step.folded && folds) folds();
    if (!replay_step(*scenario.training, prepared, options, report)) return false;
    set_rates(report, prepared.step);
    copy_facts(prepared.step, report);
    return true;
  });  // an unfolded graph is large: gone before the next one comes
}

// What a step is made of, as its folded replay has it.
struct FoldedStep {
  CriticalPath path;
  SourceShare sources;
  std::size_t replayed = 1;
};

// The same of a step whose GPUs were all replayed: a range must not depend on how the step was replayed. What keeps it
// from being folded is left out: slow parts that cannot be folded, then leaves that nodes contend for. None: something
// else does.
std::optional<FoldedStep> folded_step(const Scenario& scenario, const RunOptions& options) {
  TrainingConfig config = *scenario.training;
  config.unfolded = false;
  RunOptions quiet = options;
  quiet.extra_sinks.clear();
  Scenario even = scenario;
  const auto try_it = [&] {
    std::optional<FoldedStep> out;
    with_enough_micro_batches(config, false, [&](StepExtent extent) {
      const PreparedStep prepared = prepare_step(even, config, extent, asks(quiet));
      if (!prepared.step.folded) return true;
      TrainingReport report;
      if (!replay_step(config, prepared, quiet, report)) return false;
      if (report.path) out = FoldedStep{std::move(*report.path), prepared.step.sources, prepared.step.ranks.size()};
      return true;
    });
    return out;
  };
  std::optional<FoldedStep> out = try_it();
  if (!out && !even.cluster.slow_parts.empty()) {
    even.cluster.slow_parts.clear();
    out = try_it();
  }
  if (!out && even.cluster.fabric.oversubscription > 1) {
    even.cluster.fabric.oversubscription = 1;
    out = try_it();
  }
  return out;
}

// Local updates: the step of one worker, which stands for all, and its share of the exchange between them.
void run_worker(const Scenario& scenario, const RunOptions& options, TrainingReport& report) {
  const Scenario worker = worker_scenario(scenario);
  report.scenario = worker;
  run_step(worker, options, report);
  report.scenario = scenario;
  const OuterExchange exchange = outer_exchange(scenario, report.step_time);
  const double slower = (report.step_time + exchange.per_step) / report.step_time;
  const int workers = scenario.training->local.workers;
  report.step_time += exchange.per_step;
  report.tokens_per_step *= workers;
  report.tokens_per_day *= workers / slower;
  report.flops_per_gpu_causal = report.flops_per_gpu_causal / slower;
  report.flops_per_gpu = report.flops_per_gpu / slower;
  report.mfu_causal /= slower;
  report.mfu /= slower;
  for (ReplayedRank& rank : report.ranks) rank.weight *= workers;
  for (RankMetrics& rank : report.rank_metrics) rank.parts.gradient_reduction += exchange.per_step;
  report.mean.parts.gradient_reduction += exchange.per_step;
  if (report.path && exchange.per_step > Seconds(0)) {
    report.path->length += exchange.per_step;
    report.path->by_name.push_back({"OUTER-EXCHANGE", exchange.per_step, 1});
    std::stable_sort(report.path->by_name.begin(), report.path->by_name.end(),
                     [](const auto& a, const auto& b) { return a.time > b.time; });
  }
  for (auto* links : {&report.links, &report.busiest_links})
    for (LinkLoad& load : *links) load.utilisation /= slower;
  report.notes.push_back(local_updates_note(scenario, exchange));
}

}  // namespace

KernelModel training_kernels(const Scenario& scenario, const TrainingConfig& config) {
  GpuSpec gpu = scenario.cluster.node.gpu;
  if (!config.mechanisms.board_limit) gpu.tdp = Watts(0);  // no limit, wherever the model asks for it
  const double vendor_clock = config.overheads.vendor_clock;
  const MeasuredLibraries libraries = {config.software.libraries};
  if (config.vendor_gemms() && vendor_clock > 0) return KernelModel(gpu, scenario.kernels, vendor_clock, libraries);
  return KernelModel(gpu, scenario.kernels, ClockState::sustained, libraries);
}

PreparedStep prepare_step(const Scenario& scenario, const TrainingConfig& config, StepExtent extent,
                          const std::function<bool()>& go_on) {
  if (config.local.workers > 1) {
    Scenario all = scenario;
    all.training = config;
    const Scenario worker = worker_scenario(all);
    return prepare_step(worker, *worker.training, extent, go_on);
  }
  PreparedStep prepared;
  prepared.topology = std::make_unique<Topology>(scenario.cluster);
  prepared.kernels = std::make_unique<KernelModel>(training_kernels(scenario, config));
  prepared.step = build_training_step(config, *prepared.topology, *prepared.kernels, *scenario.links, extent, go_on);
  return prepared;
}

Seconds step_time(const Scenario& scenario, const TrainingConfig& config, const RunOptions& options) {
  return timed_step(scenario, config, options).time;
}

TrainingReport run_training(const Scenario& scenario, const RunOptions& options) {
  assert(scenario.training);
  check_published(scenario, [] { return training_metrics(nullptr); });
  TrainingReport report;
  report.scenario = scenario;
  report.notes = scenario.notes;
  const TrainingConfig& trained = *scenario.training;
  if (scenario.resilience.stated && scenario.phases.empty())
    report.notes.push_back("resilience is stated without a run { phase ... }: a step alone has no use for it");
  if (trained.batch.sequence_length > trained.model.max_positions)
    report.notes.push_back(fmt::format("sequences of {} tokens are longer than the {} positions of {}",
                                       trained.batch.sequence_length, trained.model.max_positions, trained.model.name));
  if (!scenario.training->grouped_experts && scenario.training->model.moe.experts > 0)
    report.notes.push_back(
        "grouped_experts: false spares the scratch of grouped kernels, and calls each expert as a module of its own "
        "(the host's time); experts' products take the GPU the time of grouped ones");
  if (std::string note = unkept_limit_note(scenario); !note.empty()) report.notes.push_back(std::move(note));
  announce(options, "the step");
  const bool projects = options.project && !scenario.phases.empty();
  std::unique_ptr<StepsAhead> ahead;
  if (scenario.training->local.workers > 1) {
    run_worker(scenario, options, report);
  } else {
    run_step(scenario, options, report, [&] {
      // Whoever forks has no threads.
      if (projects && !ahead && options.threads > 1 && options.solver == Solver::in_process)
        ahead = replay_ahead(scenario, options);
    });
  }
  if (std::string note = late_host_note(scenario, report.mean.host, report.step_time); !note.empty())
    report.notes.push_back(std::move(note));
  if (projects) {
    report.projection = project(scenario, summarise(report, options.power),
                                further_steps(scenario, options, ahead.get(), report.step_time, report.notes));
    report.notes.push_back("power: " + options.power.source);
    if (report.run.folded && report.hottest_load > 1) {
      report.notes.push_back(
          "energy is an upper bound: every GPU is taken to compute as long as the busiest of its "
          "group of experts, which was replayed for it");
    }
  }
  if (options.errors) {
    StepOrigins origins;
    origins.step = report.step_time;
    std::optional<FoldedStep> folded;
    if (report.path) {
      folded = FoldedStep{*report.path, report.sources, report.run.replayed_gpus};
    } else if (scenario.training->local.workers <= 1) {
      folded = folded_step(scenario, options);
    }
    origins.path = folded ? &folded->path : nullptr;
    origins.sources = folded ? &folded->sources : &report.sources;
    origins.replayed = folded ? folded->replayed : report.run.replayed_gpus;
    if (scenario.kernels) origins.die = known_die(*scenario.kernels, scenario.cluster.node.gpu);
    origins.memory = &report.fullest_memory();
    origins.software = &scenario.training->software;
    origins.experts = scenario.training->model.moe.experts > 0;
    origins.adapters = scenario.training->adapter_rank > 0;
    const Bytes offered = scenario.cluster.node.gpu.hbm_usable();
    origins.offered_bytes = offered.value();
    origins.ran_in_bytes = ran_in(scenario, *origins.memory);
    origins.open = open_factors(scenario, {report.step_time, origins.memory->total()}, options);
    report.range = step_range(origins, *options.errors);
    if (origins.memory->total() <= offered && report.range->fits < kSurelyFits)
      report.notes.push_back(unsure_fit(report.range->fits));
    if (report.projection) spread_hours(*report.projection, scenario, *report.range, report.step_time, options);
  }
  compare_with_published(
      scenario, [&] { return training_metrics(&report); }, report.comparisons, report.notes,
      [&](const std::string& path) { return number_at(to_message(report), path); });
  return report;
}

LifeReport run_cluster_life(const Scenario& scenario) {
  assert(scenario.cluster_life);
  check_published(scenario, [] { return life_metrics(nullptr); });
  const ClusterLifeConfig& config = *scenario.cluster_life;
  const LifeSpan span = config.elapsed ? LifeSpan::of_time(*config.elapsed) : LifeSpan::of_work(config.useful.value());
  LifeReport report;
  report.scenario = scenario;
  report.life = job_life(span, scenario.cluster.gpus(), scenario.resilience);
  compare_with_published(
      scenario, [&] { return life_metrics(&report); }, report.comparisons, report.notes);
  return report;
}

}  // namespace flopcast
