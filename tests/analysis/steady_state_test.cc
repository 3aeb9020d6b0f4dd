// Is a step of many micro-batches, of which few are replayed, the step?
#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "analysis/runs/training/run.h"
#include "analysis/runs/training/timeline/critical_path.h"
#include "analysis/runs/training/timeline/step_metrics.h"
#include "tests/analysis/environment.h"
#include "tests/catch.h"
#include "workloads/training/step/steady_state.h"

using namespace flopcast;

namespace {

/// What a replay says of a step; of one that was shortened, of the whole.
struct Replayed {
  Seconds step;
  ReplayResult counts;
  std::vector<RankMetrics> ranks;
  CriticalPath path;
  EvidenceShare evidence;
  std::vector<MemoryTable> memory;
  std::vector<LinkLoad> links;
  int micro_batches = 0;  ///< that were replayed
};

/// Nothing where the pipeline has not come to rest.
std::optional<Replayed> replayed_step(const Scenario& scenario, StepExtent extent) {
  const PreparedStep prepared = prepare_step(scenario, *scenario.training, extent);
  const TrainingStep& step = prepared.step;
  StepMetricsSink metrics(step);
  SpanSink spans(step.graph);
  TimelineSink* const sinks[] = {&metrics, &spans};
  const std::vector<std::uint32_t> times = operation_times(step);
  ReplayOptions options;
  options.times = times;
  Replayed result;
  result.counts = replay(step.graph, prepared.topology->network(), sinks, options);
  result.step = result.counts.makespan;
  if (step.repeated) {
    const auto period = steady_period(step, spans);
    if (!period) return std::nullopt;
    result.step += *period * static_cast<double>(step.repeated->more);
  }
  result.ranks = metrics.reduce(result.counts.makespan);
  result.path = critical_path(step, spans);
  result.evidence = step.evidence;
  result.memory = step.memory;
  result.links = busiest_links(step.graph, prepared.topology->network(), result.step, SIZE_MAX, times);
  result.micro_batches = step.schedule.micro_batches;
  return result;
}

Approx same(Seconds time, Seconds of) { return Approx(time.value()).epsilon(1e-9).margin(1e-9 * of.value()); }

void check_same_replay(const Replayed& few, const Replayed& all) {
  CHECK(few.step.value() == Approx(all.step.value()).epsilon(1e-9));
  CHECK(few.counts.operations == all.counts.operations);
  CHECK(few.counts.transfers == all.counts.transfers);
  CHECK(few.counts.contended_flows == all.counts.contended_flows);
  REQUIRE(few.ranks.size() == all.ranks.size());
  for (std::size_t r = 0; r < few.ranks.size(); ++r) {
    const RankMetrics &a = few.ranks[r], &b = all.ranks[r];
    for (const auto part : {&TimeParts::forward, &TimeParts::backward_input, &TimeParts::backward_weight,
                            &TimeParts::overlapped, &TimeParts::bubble, &TimeParts::gradient_reduction,
                            &TimeParts::optimizer_update, &TimeParts::parameter_gather})
      CHECK((a.parts.*part).value() == same(b.parts.*part, all.step));
    CHECK(a.parts.total().value() == same(few.step, all.step));
    CHECK(a.exposed_communication.value() == same(b.exposed_communication, all.step));
    CHECK(a.compute_busy.value() == same(b.compute_busy, all.step));
    CHECK(a.communication_busy.value() == same(b.communication_busy, all.step));
  }
  CHECK(few.path.length.value() == same(all.path.length, all.step));
  CHECK(few.evidence.measured.value() == Approx(all.evidence.measured.value()).epsilon(1e-9));
  CHECK(few.evidence.fitted.value() == Approx(all.evidence.fitted.value()).epsilon(1e-9));
  REQUIRE(few.memory.size() == all.memory.size());
  for (std::size_t r = 0; r < few.memory.size(); ++r)
    CHECK(few.memory[r].total().value() == Approx(all.memory[r].total().value()).epsilon(1e-12));
  REQUIRE(few.links.size() == all.links.size());
  for (std::size_t l = 0; l < few.links.size(); ++l)
    CHECK(few.links[l].utilisation == Approx(all.links[l].utilisation).epsilon(1e-9));
}

/// Any schedule, few ranks or several, layers spread by chance, experts with more or less to do, collectives beside
/// passes or after them.
std::string random_step(std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const std::vector<std::string> names = {"1f1b", "gpipe",    "interleaved_1f1b", "zb_h1",          "zb_h2",
                                          "zb_v", "dualpipe", "dualpipev",        "overlapped_1f1b"};
  const std::string schedule = names[static_cast<std::size_t>(below(static_cast<int>(names.size())))];
  const ScheduleRow& row = *find_schedule(schedule);
  const int pipeline = 2 << below(2), data = 16 / pipeline;
  const int chunks = row.choose_chunks ? 2 : 1;
  const bool sparse = below(2) == 1;
  int micro_batches = pipeline * (20 + below(10));
  if (!row.choose_chunks && pipeline > 2 && schedule != "dualpipe") micro_batches += below(pipeline);
  const int stages = static_cast<int>(stages_of(row, pipeline, chunks));
  const int layers = sparse ? 27 : 32;
  std::string split;
  if (below(2) == 1) {
    std::vector<int> of_stage(static_cast<std::size_t>(stages), layers / stages);
    for (int i = layers - stages * (layers / stages); i > 0; --i) ++of_stage[static_cast<std::size_t>(below(stages))];
    for (int moves = 3; moves > 0; --moves) {
      int& from = of_stage[static_cast<std::size_t>(below(stages))];
      if (from > 1) --from, ++of_stage[static_cast<std::size_t>(below(stages))];
    }
    for (const int count : of_stage) split += fmt::format("{}{}", split.empty() ? " stage_layers: [" : ", ", count);
    split += "]";
  }
  std::string plan = fmt::format("pipeline: {} data: {} zero_stage: {}{}", pipeline, data, below(4), split);
  if (sparse) plan += fmt::format(" expert: {}", data / (1 + below(2)));
  if (chunks > 1) plan += " chunks: 2";
  if (below(2) == 1) plan += " overlap_gradients: false";
  if (below(2) == 1) plan += " overlap_parameters: false";
  std::string extra;
  if (sparse)
    extra += fmt::format("  expert_load {{ kind: \"skewed\" coefficient_of_variation: 0.{} source: \"assumed\" }}\n",
                         1 + below(5));
  if (below(4) == 1) extra += "  recompute { full_layer: true }\n";
  const std::string narrow = below(4) == 1 ? " fabric_override { oversubscription: 2 switch_ports: 4 }" : "";
  return fmt::format(R"(title: "A random step"
cluster {{ node: "hgx-h100" nodes: 2 fabric: "mpft"{} }}
model: "{}"
training {{
  plan {{ {} }}
  schedule: "{}"
  batch {{ sequences: {} sequence_length: 2048 micro_batch_sequences: 1 }}
{}}}
)",
                     narrow, sparse ? "deepseek-v2-lite" : "llama-3.1-8b", plan, schedule, data * micro_batches, extra);
}

/// How many of `seeds` random steps were shortened.
int check_random_steps(std::uint32_t first, std::uint32_t seeds) {
  int shortened = 0;
  for (std::uint32_t seed = first; seed < first + seeds; ++seed) {
    const std::string text = random_step(seed);
    CAPTURE(seed, text);
    std::optional<Scenario> scenario;
    try {
      scenario = resolve_text(text, "random.textproto", testing::environment()).value();
    } catch (const InputError&) {
      continue;
    }
    const int ranks = scenario->training->plan.pipeline;
    const auto few = replayed_step(*scenario, {usual_shortened(ranks), 0});
    if (!few) continue;
    const auto all = replayed_step(*scenario, {});
    REQUIRE(all);
    shortened += few->micro_batches < all->micro_batches ? 1 : 0;
    check_same_replay(*few, *all);
  }
  return shortened;
}

}  // namespace

TEST_CASE("few micro-batches stand for many where the pipeline repeats itself", "[analysis]") {
  CHECK(check_random_steps(0, 12) > 4);
}

TEST_CASE("few micro-batches stand for many on a thousand random steps", "[analysis][.][slow]") {
  CHECK(check_random_steps(1000, 1000) > 400);
}
