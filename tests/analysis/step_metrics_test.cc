// Is the step cut into the right parts? Worked out by hand on toy steps.
#include "analysis/runs/training/timeline/step_metrics.h"

#include "analysis/runs/training/run.h"
#include "analysis/runs/training/timeline/critical_path.h"
#include "sim/replay.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/small_step.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

struct Reduced {
  std::vector<RankMetrics> ranks;
  Seconds step_time;
};

Reduced reduced_replay(const TrainingStep& step) {
  StepMetricsSink sink(step);
  TimelineSink* const sinks[] = {&sink};
  const Seconds time = replay(step.graph, Network(), sinks).makespan;
  return {sink.reduce(time), time};
}

TEST_CASE("two ranks: passes, bubble and optimiser are where they were put", "[analysis]") {
  const Reduced reduced = reduced_replay(testing::two_ranks());
  REQUIRE(reduced.step_time.value() == Approx(7.25));
  const TimeParts& first = reduced.ranks[0].parts;
  CHECK(first.forward.value() == Approx(1));
  CHECK(first.backward_input.value() == Approx(2));
  CHECK(first.bubble.value() == Approx(4));  // 1 s .. 5 s
  CHECK(first.optimizer_update.value() == Approx(0.25));
  const TimeParts& second = reduced.ranks[1].parts;
  CHECK(second.forward.value() == Approx(1));
  CHECK(second.backward_input.value() == Approx(2));
  CHECK(second.backward_weight.value() == Approx(1));
  CHECK(second.bubble.value() == Approx(1.5 + 1.5));  // before the first pass, after the optimiser
}

TEST_CASE("a stage without layers costs its rank nothing: the passes of its other stages count", "[analysis]") {
  const Scenario scenario = resolve_text(R"(title: "an empty stage"
cluster { node: "hgx-h100" nodes: 1 fabric: "rail-ft2" }
model: "llama-2-7b"
training {
  plan { pipeline: 4 data: 2 chunks: 2 stage_layers: [4, 4, 4, 4, 4, 6, 6, 0] }
  schedule: "interleaved_1f1b"
  batch { sequences: 16 sequence_length: 1024 }
})",
                                         "empty.textproto", testing::environment())
                                .value();
  RunOptions options;
  options.project = false;
  options.allow_oom = true;
  const TrainingReport report = run_training(scenario, options);
  for (const RankMetrics& rank : report.rank_metrics) {
    CHECK(rank.parts.total().value() == Approx(report.step_time.value()));
    CHECK(rank.parts.passes() > 0.99 * (rank.compute_busy - rank.parts.optimizer()));
  }
}

TEST_CASE("the parts of every rank sum to the step", "[analysis]") {
  const Reduced reduced = reduced_replay(testing::two_ranks());
  for (const RankMetrics& rank : reduced.ranks) {
    CHECK(rank.parts.total().value() == Approx(reduced.step_time.value()).epsilon(1e-12));
  }
}

TEST_CASE("an exchange that outlasts the pass that began it is no bubble", "[analysis]") {
  testing::SmallStep builder;
  const auto rank = builder.add_rank(0);
  builder.begin_pass(rank, PassKind::backward);
  const OpId backward = builder.compute(rank, OpName::mlp_backward, 2);
  // On a lane of its own, from the end of the first backward on, beside a second one.
  const OpId reduce = builder.send(rank, OpName::gradient_reduce_scatter, 5);
  builder.after(reduce, backward);
  builder.compute(rank, OpName::mlp_backward, 1);
  builder.end_pass();
  builder.after(builder.compute(rank, OpName::optimizer, 0.25), reduce);
  const Reduced reduced = reduced_replay(std::move(builder).build());
  const TimeParts& parts = reduced.ranks[0].parts;
  CHECK(reduced.step_time.value() == Approx(7.25));
  CHECK(parts.passes().value() == Approx(3));
  CHECK(parts.gradient_reduction.value() == Approx(4));  // 3 s .. 7 s
  CHECK(parts.bubble.value() == Approx(0).margin(1e-12));
  CHECK(parts.optimizer_update.value() == Approx(0.25));
}

TEST_CASE("communication is exposed where the compute lane waits for it inside a pass", "[analysis]") {
  testing::SmallStep builder;
  const auto rank = builder.add_rank(0);
  builder.begin_pass(rank, PassKind::overlapped);
  const OpId attention = builder.compute(rank, OpName::attention_forward, 1);
  const OpId dispatch = builder.communicate(rank, OpName::dispatch_forward, 3);
  builder.compute(rank, OpName::attention_backward, 2);  // hides 2 of the 3 seconds
  builder.after(dispatch, attention);
  builder.after(builder.compute(rank, OpName::mlp_forward, 1), dispatch);
  builder.end_pass();
  const Reduced reduced = reduced_replay(std::move(builder).build());
  CHECK(reduced.ranks[0].parts.overlapped.value() == Approx(5));
  CHECK(reduced.ranks[0].exposed_communication.value() == Approx(1));
  CHECK(reduced.ranks[0].compute_busy.value() == Approx(4));
  CHECK(reduced.ranks[0].communication_busy.value() == Approx(3));
}

TEST_CASE("what the host takes anyway is no wait for communication", "[analysis]") {
  testing::SmallStep builder;
  const auto rank = builder.add_rank(0);
  builder.begin_pass(rank, PassKind::forward);
  const OpId forward = builder.compute(rank, OpName::mlp_forward, 4);  // 1 of it waits for the host
  builder.after(builder.communicate(rank, OpName::combine_forward, 3), forward);
  builder.end_pass();
  TrainingStep step = std::move(builder).build();
  step.passes.front().host = Seconds(1);
  step.passes.front().host_beside = Seconds(2);
  const Reduced reduced = reduced_replay(std::move(step));
  CHECK(reduced.ranks[0].host.value() == Approx(3));
  CHECK(reduced.ranks[0].exposed_communication.value() == Approx(1));
  CHECK(reduced.ranks[0].parts.passes().value() == Approx(7));
}

TEST_CASE("a path names what of it waits for the host", "[analysis]") {
  const auto name = [](OpName of) { return training_op_names()[static_cast<std::size_t>(of)]; };
  CriticalPath path;
  path.length = Seconds(10);
  path.by_name = {{name(OpName::mlp_forward), Seconds(6), 2}, {name(OpName::dispatch_forward), Seconds(4), 1}};
  SourceShare sources{};
  const auto at = static_cast<std::size_t>(OpName::mlp_forward);
  sources.of[at][0] = Seconds(6);
  CHECK(shares_with_host(path, sources).size() == 2);
  sources.host[at] = Seconds(2);
  sources.host_beside[at] = Seconds(3);
  const std::vector<CriticalPath::Share> shares = shares_with_host(path, sources);
  REQUIRE(shares.size() == 3);
  CHECK(shares[0].name == name(OpName::host));
  CHECK(shares[0].time.value() == Approx(5));
  CHECK(shares[1].time.value() == Approx(4));  // MLP
  CHECK(shares[2].time.value() == Approx(1));  // dispatch
}

TEST_CASE("a pass that starts before the one before it has ended gets only the time after it", "[analysis]") {
  testing::SmallStep builder;
  const auto rank = builder.add_rank(0);
  builder.begin_pass(rank, PassKind::forward);
  const OpId forward = builder.compute(rank, OpName::mlp_forward, 1);
  builder.after(builder.communicate(rank, OpName::combine_forward, 2), forward);  // until 3
  builder.end_pass();
  builder.begin_pass(rank, PassKind::backward_weight);
  builder.compute(rank, OpName::mlp_weight, 4);  // 1 .. 5
  builder.end_pass();
  const TimeParts parts = reduced_replay(std::move(builder).build()).ranks[0].parts;
  CHECK(parts.forward.value() == Approx(3));
  CHECK(parts.backward_weight.value() == Approx(2));
  CHECK(parts.bubble.value() == Approx(0));
}

TEST_CASE("sends to other stages do not lengthen a pass", "[analysis]") {
  testing::SmallStep builder;
  const auto rank = builder.add_rank(0);
  builder.begin_pass(rank, PassKind::forward);
  const OpId forward = builder.compute(rank, OpName::mlp_forward, 1);
  builder.after(builder.send(rank, OpName::send_activation, 5), forward);
  builder.end_pass();
  const TimeParts parts = reduced_replay(std::move(builder).build()).ranks[0].parts;
  CHECK(parts.forward.value() == Approx(1));
  CHECK(parts.bubble.value() == Approx(5));
}

TEST_CASE("collectives after the last pass count as optimiser, waiting between them as bubble", "[analysis]") {
  testing::SmallStep builder;
  const auto early = builder.add_rank(0), late = builder.add_rank(1);
  for (const auto rank : {early, late}) {
    builder.begin_pass(rank, PassKind::forward);
    const OpId forward = builder.compute(rank, OpName::mlp_forward, rank == early ? 1 : 4);
    builder.end_pass();
    builder.after(builder.communicate(rank, OpName::gradient_reduce_scatter, 0.5), forward);
  }
  const Reduced reduced = reduced_replay(std::move(builder).build());
  CHECK(reduced.ranks[early].parts.gradient_reduction.value() == Approx(0.5));
  CHECK(reduced.ranks[early].parts.bubble.value() == Approx(3));  // 1.5 s .. 4.5 s
  CHECK(reduced.ranks[late].parts.bubble.value() == Approx(0));
}

TEST_CASE("the mean over ranks weighs what each stands for", "[analysis]") {
  std::vector<ReplayedRank> ranks(2);
  ranks[0].weight = 3;
  ranks[1].weight = 1;
  std::vector<RankMetrics> metrics(2);
  metrics[0].parts.bubble = 4_s;
  CHECK(weighted_mean(metrics, ranks).parts.bubble.value() == Approx(3));
}

TEST_CASE("the critical path is as long as the step and names what it consists of", "[analysis]") {
  const TrainingStep step = testing::two_ranks();
  SpanSink spans(step.graph);
  TimelineSink* const sinks[] = {&spans};
  const Seconds time = replay(step.graph, Network(), sinks).makespan;
  const CriticalPath path = critical_path(step, spans);
  CHECK(path.length.value() == Approx(time.value()));
  CHECK(path.operations == 7);  // F, send, F, B, send, B, optimiser
  CHECK(path.rank_changes == 2);
  CHECK(path.by_name.front().name == training_op_names()[static_cast<std::size_t>(OpName::mlp_backward)]);
  CHECK(path.by_name.front().time.value() == Approx(4));
  REQUIRE(path.by_rank.size() == 2);
}

}  // namespace
}  // namespace flopcast
