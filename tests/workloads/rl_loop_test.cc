// Does the loop of reinforcement learning keep its books, and does it obey the laws of waiting?
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "sim/base/random.h"
#include "tests/catch.h"
#include "tests/workloads/serving_fixture.h"
#include "workloads/rl/loop.h"
#include "workloads/rl/settling.h"

using namespace flopcast;

namespace {

using Catch::Matchers::WithinRel;

RlConfig small_loop() {
  RlConfig config;
  config.prompts = 24;
  config.group = 4;
  config.prompt.mean = config.prompt.most = 50;
  config.answer.mean = 200;
  config.answer.shape = LengthShape::log_normal;
  config.answer.variation = 0.8;
  config.answer.most = 1000;
  config.answer.group_correlation = 0.4;
  config.reward.pool.workers = 8;
  config.reward.pool.time = Seconds(0.01);
  config.replayed_steps = 3;
  return config;
}

/// Every iteration takes 10 ms, every micro-batch of 2,000 tokens 300 ms.
RlPrices small_prices() {
  RlPrices prices;
  prices.trainer.shape = {1000, 2};
  prices.trainer.replicas = 2;
  prices.trainer.update = {Seconds(0.2), Seconds(0.3)};
  prices.trainer.forward = {Seconds(0.05), Seconds(0.1)};
  prices.trainer.reference_forward = prices.trainer.forward;
  prices.sync = Seconds(0.7);
  prices.to_training = prices.to_generation = Seconds(0.1);
  return prices;
}

constexpr int kReplicas = 3;

RlOutcome loop_of(const RlConfig& config, int updates = 2, const RlPrices& prices = small_prices(),
                  Ticks iteration = 10 * kMilli) {
  IterationPricer pricer(iteration, 0);
  PoolConfig pool = toy_pool(1 << 20, 16);
  pool.replicas = kReplicas;
  ServingSession session(toy_session(pool), {PoolPricers(&pricer)}, nullptr, nullptr);
  ServingSession* const engine = config.algorithm->generates ? &session : nullptr;
  return RlLoop(config, updates, prices, engine, kReplicas, 0).run();
}

Seconds sum(const RlStep& step) { return std::accumulate(step.parts.begin(), step.parts.end(), Seconds(0)); }
double part(const RlStep& step, RlPart p) { return step.parts[static_cast<std::size_t>(p)].value(); }

}  // namespace

TEST_CASE("lengths have the mean that is left after the cut, for every shape", "[rl]") {
  for (const LengthShape shape : {LengthShape::fixed, LengthShape::uniform, LengthShape::exponential,
                                  LengthShape::log_normal, LengthShape::histogram}) {
    TokenLengths lengths;
    lengths.mean = 700;
    lengths.shape = shape;
    lengths.variation = 0.9;
    lengths.least = 10;
    lengths.most = 1500;
    lengths.counts = {3, 9, 4, 2, 1, 0, 1};
    const LengthCurve curve(lengths);
    CHECK_THAT(curve.mean(), WithinRel(700.0, 1e-3));
    double drawn = 0, squares = 0;
    std::int32_t before = 0;
    for (int i = 0; i < 10000; ++i) {
      const std::int32_t tokens = curve.at((i + 0.5) / 10000);
      CHECK_FALSE((tokens < before || tokens > 1500));
      before = tokens;
      drawn += tokens;
      squares += double(tokens) * tokens;
    }
    CHECK_THAT(drawn / 10000, WithinRel(700.0, 5e-3));
    CHECK_THAT(curve.token_mean(), WithinRel(squares / drawn, 5e-3));
  }
}

TEST_CASE("answers of a group are as alike as the correlation says", "[rl]") {
  RlConfig config = small_loop();
  config.prompts = 2000;
  config.answer.most = 1e6;
  const auto correlation = [&](double stated) {
    config.answer.group_correlation = stated;
    GroupSource source(config, 7);
    double x = 0, xx = 0, xy = 0;
    for (int g = 0; g < config.prompts; ++g) {
      const DrawnGroup group = source.draw();
      const double a = std::log(group.answers[0]), b = std::log(group.answers[1]);
      x += (a + b) / 2;
      xx += (a * a + b * b) / 2;
      xy += a * b;
    }
    const double n = config.prompts, mean = x / n;
    return (xy / n - mean * mean) / (xx / n - mean * mean);
  };
  CHECK(std::abs(correlation(0)) < 0.08);
  CHECK(std::abs(correlation(0.6) - 0.6) < 0.05);
  CHECK(correlation(1) > 0.999);
}

TEST_CASE("packing: no replica has less than the mean, balanced no more than in order, padded as long as all", "[rl]") {
  RandomStream random(3);
  std::vector<std::int32_t> sequences;
  for (int i = 0; i < 300; ++i) sequences.push_back(1 + static_cast<int>(900 * random.uniform()));
  const MicroBatchShape shape{500, 4};
  const double tokens = std::accumulate(sequences.begin(), sequences.end(), 0.0);
  for (const int replicas : {1, 7, 300}) {
    const PackedAnswers balanced = pack(sequences, replicas, AnswerPacking::balanced, shape);
    const PackedAnswers in_order = pack(sequences, replicas, AnswerPacking::in_order, shape);
    CHECK_THAT(balanced.mean, WithinRel(tokens / 2000 / replicas, 1e-12));
    CHECK(balanced.most >= balanced.mean * (1 - 1e-12));
    CHECK(in_order.most >= balanced.most * (1 - 1e-12));
    // The longest alone, or at most a third above the best there is (Graham 1969).
    CHECK(balanced.most <= std::max(balanced.mean * 4 / 3, 900.0 / 2000) + 900.0 / 2000 / 3);
  }
  CHECK(pack(sequences, 7, AnswerPacking::padded, shape).most == std::ceil(300.0 / 7) / 4);
}

TEST_CASE("a step that is balanced as a whole has replicas alike, its updates less than each balanced by itself",
          "[rl]") {
  RandomStream random(5);
  std::vector<std::int32_t> sequences;
  // Answers of a prompt are alike: groups of 16, as long as each other.
  for (int group = 0; group < 64; ++group) {
    const double mean = 100 * std::exp(1.2 * random.normal());
    for (int i = 0; i < 16; ++i) sequences.push_back(1 + static_cast<int>(mean * (0.8 + 0.4 * random.uniform())));
  }
  const MicroBatchShape shape{500, 4};
  constexpr int kReplicas = 16, kUpdates = 8;
  const PackedAnswers step = pack(sequences, kReplicas, AnswerPacking::balanced_step, shape);
  CHECK(step.most <= step.mean * 1.02);
  double each = 0, whole = 0, in_order = 0, mean = 0;
  for (const PackedAnswers& p : pack_updates(sequences, kUpdates, kReplicas, AnswerPacking::balanced, shape))
    each += p.most;
  for (const PackedAnswers& p : pack_updates(sequences, kUpdates, kReplicas, AnswerPacking::balanced_step, shape)) {
    whole += p.most, mean += p.mean;
    CHECK(p.most >= p.mean);
  }
  for (const PackedAnswers& p : pack_updates(sequences, kUpdates, kReplicas, AnswerPacking::in_order, shape))
    in_order += p.most;
  CHECK_THAT(mean, WithinRel(step.mean, 1e-9));  // nothing is lost, nothing trained twice
  CHECK(each < whole);
  CHECK(whole < in_order);
}

TEST_CASE("synchronous: all that is begun is trained, parts sum to the step, the longest answer bounds it", "[rl]") {
  const RlConfig config = small_loop();
  const RlOutcome outcome = loop_of(config);
  REQUIRE(outcome.steps.size() == 3);
  CHECK(outcome.begun == 3 * 96);
  CHECK(outcome.trained == outcome.begun);
  CHECK(outcome.trained_tokens == outcome.begun_tokens);
  Seconds before;
  for (const RlStep& step : outcome.steps) {
    CHECK(step.begin == before);
    before = step.end;
    CHECK_THAT(sum(step).value(), WithinRel(step.length().value(), 1e-9));
    CHECK(step.tokens_written == step.answer_tokens);
    CHECK(step.staleness_most == 0);
    // 10 ms a token, the first with the prompt.
    CHECK(part(step, RlPart::generation) >= 0.01 * step.longest - 1e-9);
    CHECK(step.engine_busy.value() <= kReplicas * step.engine_awake.value() + 1e-9);
    CHECK_THAT(part(step, RlPart::sync), WithinRel(0.7, 1e-12));
    CHECK_THAT(part(step, RlPart::handover), WithinRel(0.2, 1e-12));
    CHECK_THAT(part(step, RlPart::update), WithinRel(2 * 0.2 + 0.3 * step.micro_batches, 1e-9));
  }
}

TEST_CASE("a step apart without staleness takes as long as in turn, but for the handover", "[rl]") {
  RlConfig config = small_loop();
  const RlOutcome in_turn = loop_of(config);
  config.placement = RlPlacement::separate;
  for (const InFlight in_flight : {InFlight::finish, InFlight::recompute, InFlight::keep}) {
    config.asynchrony.in_flight = in_flight;
    const RlOutcome apart = loop_of(config, 2, [] {
      RlPrices prices = small_prices();
      prices.to_training = prices.to_generation = Seconds(0);
      return prices;
    }());
    for (std::size_t i = 0; i < 3; ++i)
      CHECK_THAT(apart.steps[i].length().value(), WithinRel(in_turn.steps[i].length().value() - 0.2, 1e-9));
  }
}

TEST_CASE("frozen models apart: they read while others write, and the step waits for the busiest of all pools",
          "[rl]") {
  const auto with = [](int replicas, double each, double fill) {
    RlPrices prices = small_prices();
    prices.trainer.reference_forward.reset();
    prices.frozen = FrozenReads{replicas, {Seconds(fill), Seconds(each)}};
    return prices;
  };
  const RlConfig config = small_loop();
  RlPrices none = small_prices();
  none.trainer.reference_forward.reset();
  const RlOutcome without = loop_of(config, 2, none), free = loop_of(config, 2, with(4, 0, 0));
  const RlOutcome quick = loop_of(config, 2, with(64, 0.001, 0.001)), slow = loop_of(config, 2, with(2, 2, 0.5));
  for (std::size_t i = 0; i < free.steps.size(); ++i) {
    CHECK_THAT(free.steps[i].length().value(), WithinRel(without.steps[i].length().value(), 1e-12));
    CHECK(quick.steps[i].length() < free.steps[i].length() + Seconds(0.01));
    const RlStep& step = slow.steps[i];
    const double batches = static_cast<double>(step.prompt_tokens + step.answer_tokens) / 2000;
    CHECK(step.frozen_busy.value() >= 2 * batches - 1e-9);
    CHECK(step.length().value() >= 2 * batches / 2);
    CHECK(part(step, RlPart::reward) > part(quick.steps[i], RlPart::reward));
    CHECK_THAT(sum(step).value(), WithinRel(step.length().value(), 1e-9));
    CHECK(step.answers == 96);
  }
  // On the trainer's own GPUs the same passes come one after the other behind the last answer.
  RlPrices shared = small_prices();
  shared.trainer.reference_forward = PassLine{Seconds(0.5), Seconds(2)};
  CHECK(slow.steps[1].length() < loop_of(config, 2, shared).steps[1].length());
}

TEST_CASE("ahead: staleness stays within its bound, weights are not used before they came, books balance", "[rl]") {
  RlConfig config = small_loop();
  config.placement = RlPlacement::separate;
  config.replayed_steps = 6;
  double length_before = 1e9;
  for (const double staleness : {0.0, 0.5, 1.0, 3.0}) {
    for (const InFlight in_flight : {InFlight::finish, InFlight::recompute, InFlight::keep}) {
      for (const bool stream : {false, true}) {
        config.asynchrony = {staleness, in_flight, stream};
        const RlOutcome outcome = loop_of(config);
        INFO(staleness << " " << static_cast<int>(in_flight) << " " << stream);
        std::int64_t answers = 0, tokens = 0, written = 0;
        double interrupted = 0;
        for (const RlStep& step : outcome.steps) {
          CHECK(step.staleness_most <= std::ceil(staleness));
          CHECK(step.answers == 96);
          CHECK_THAT(sum(step).value(), WithinRel(step.length().value(), 1e-9));
          answers += step.answers;
          tokens += step.answer_tokens;
          written += step.tokens_written;
          interrupted += static_cast<double>(step.interrupted);
        }
        CHECK(answers == outcome.trained);
        CHECK(tokens == outcome.trained_tokens);
        CHECK(outcome.begun - outcome.trained <= 96 * (1 + staleness) + 1e-9);
        CHECK(written >= tokens);
        CHECK((in_flight == InFlight::recompute || interrupted == 0));
        if (staleness == 0) CHECK(outcome.begun == outcome.trained);
      }
    }
    config.asynchrony = {staleness, InFlight::keep, false};
    const RlOutcome outcome = loop_of(config);
    const double length = outcome.steps.back().end.value() / static_cast<double>(outcome.steps.size());
    CHECK(length <= length_before * 1.05);
    length_before = length;
  }
}

TEST_CASE("ahead: steps count from when as much is written as trained on, in whole rounds", "[rl]") {
  RlConfig config = small_loop();
  config.placement = RlPlacement::separate;
  config.replayed_steps = 1;
  for (const double staleness : {0.5, 1.0, 2.0, 4.0}) {
    for (const InFlight in_flight : {InFlight::finish, InFlight::recompute, InFlight::keep}) {
      INFO(staleness << " " << static_cast<int>(in_flight));
      config.asynchrony = {staleness, in_flight, false};
      config.replayed_steps = 1;
      // The engine is the slower one: answers that were begun at the start and are still being written look like speed.
      const RlOutcome found = loop_of(config, 2, small_prices(), 40 * kMilli);
      CHECK(found.counted().size() % static_cast<std::size_t>(config.round_steps()) == 0);
      CHECK(std::abs(written_over_gone(found.counted()) - 1) <= 0.01);
      config.replayed_steps = 200;
      const RlOutcome many = loop_of(config, 2, small_prices(), 40 * kMilli);
      const auto mean = [](const RlOutcome& of) {
        return (of.counted().back().end - of.counted().front().begin).value() /
               static_cast<double>(of.counted().size());
      };
      // Per token that is trained on: a few steps of 96 answers may have long ones.
      const auto tokens = [](const RlOutcome& of) {
        double sum = 0;
        for (const RlStep& step : of.counted()) sum += static_cast<double>(step.answer_tokens);
        return sum / static_cast<double>(of.counted().size());
      };
      CHECK_THAT(mean(found) / tokens(found), WithinRel(mean(many) / tokens(many), 0.07));
    }
  }
}

TEST_CASE("settling: waves are counted whole, the beginning is not, and what never settles is given up", "[rl]") {
  RlConfig config = small_loop();
  config.replayed_steps = 2;
  config.asynchrony.staleness = 1;
  const auto steps = [](int count, auto length, auto written) {
    std::vector<RlStep> out;
    Seconds at;
    for (int i = 0; i < count; ++i) {
      RlStep step;
      step.begin = at;
      at += Seconds(length(i));
      step.end = at;
      step.answer_tokens = 1000;
      step.tokens_written = written(i);
      out.push_back(step);
    }
    return out;
  };
  const auto wave = [](int i) { return i % 2 == 0 ? 140.0 : 40.0; };
  const auto level = [](int) { return std::int64_t{1000}; };
  CHECK_FALSE(first_counted(steps(7, wave, level), config));
  CHECK(first_counted(steps(8, wave, level), config) == 4);
  // Less is written than trained on, for six rounds.
  const auto late = [](int i) { return std::int64_t{i < 12 ? 900 : 1000}; };
  CHECK_FALSE(first_counted(steps(16, wave, late), config));
  CHECK(first_counted(steps(24, wave, late), config) == 12);
  const auto never = [](int) { return std::int64_t{900}; };
  CHECK(first_counted(steps(64, wave, never), config) == 32);
  CHECK_FALSE(settled(steps(64, wave, never)));
  config.asynchrony.staleness = 0;
  CHECK(first_counted(steps(2, wave, never), config) == 0);
}

TEST_CASE("ahead, a loop that its rewards hold up takes as long as they do", "[rl]") {
  RlConfig config = small_loop();
  config.placement = RlPlacement::separate;
  config.reward.pool.workers = 4;
  config.reward.pool.time = Seconds(1);  // 96 answers: 24 s a step, more than anything else takes
  for (const InFlight in_flight : {InFlight::finish, InFlight::recompute, InFlight::keep}) {
    config.asynchrony = {1.0, in_flight, false};
    const RlOutcome found = loop_of(config);
    const double steps = static_cast<double>(found.counted().size());
    const Seconds length = found.counted().back().end - found.counted().front().begin;
    INFO(static_cast<int>(in_flight) << ", " << steps << " steps counted");
    CHECK(length.value() / steps >= 24 * 0.99);
    CHECK(length.value() / steps <= 24 * 1.03);
  }
}

TEST_CASE("interrupted answers are written to the end, once", "[rl]") {
  RlConfig config = small_loop();
  config.placement = RlPlacement::separate;
  config.replayed_steps = 8;
  config.asynchrony = {2.0, InFlight::recompute, false};
  const RlOutcome outcome = loop_of(config, 2, small_prices(), 40 * kMilli);  // the engine is the slower one
  std::int64_t interrupted = 0, written = 0;
  for (const RlStep& step : outcome.steps) {
    interrupted += step.interrupted;
    written += step.tokens_written;
  }
  CHECK(interrupted > 0);
  // Nothing is written twice: an interrupted answer goes on where it was.
  CHECK(written <= outcome.begun_tokens);
  CHECK(written >= outcome.trained_tokens);
}

TEST_CASE("in turn and ahead, answers are carried over: the longest does not decide the step", "[rl]") {
  RlConfig config = small_loop();
  config.replayed_steps = 5;
  const RlOutcome synchronous = loop_of(config);
  config.asynchrony = {1.0, InFlight::recompute, false};
  const RlOutcome carried = loop_of(config);
  double waited = 0, waited_all = 0;
  for (std::size_t i = 3; i < 5; ++i) waited += part(carried.steps[i], RlPart::generation);
  for (std::size_t i = 3; i < 5; ++i) waited_all += part(synchronous.steps[i], RlPart::generation);
  CHECK(waited < waited_all);
}

TEST_CASE("in turn, waiting for answers of later updates is not waiting for rewards", "[rl]") {
  RlConfig config = small_loop();
  config.replayed_steps = 5;
  config.reward.pool.workers = 96;  // one for each answer of a step
  config.asynchrony = {1.0, InFlight::finish, false};
  for (const RlStep& step : loop_of(config).steps) {
    CHECK(part(step, RlPart::reward) <= 2 * 0.01 + 1e-9);  // before each of two updates
    CHECK(sum(step).value() == Approx(step.length().value()).epsilon(1e-9));
  }
}

TEST_CASE("every algorithm does the work that its row asks for, and no other", "[rl]") {
  RlPrices all = small_prices();
  all.trainer.critic_update = all.trainer.update;
  all.trainer.critic_forward = all.trainer.forward;
  all.trainer.teacher_forward = all.trainer.forward;
  for (const AlgorithmRow& row : algorithms()) {
    INFO(row.name);
    CHECK_FALSE(row.source.empty());
    RlConfig config = small_loop();
    config.algorithm = &row;
    config.signal_share = row.drops_groups ? 0.6 : 1;
    RlPrices prices = all;
    if (!row.critic) prices.trainer.critic_update = prices.trainer.critic_forward = std::nullopt;
    if (!config.with_reference()) prices.trainer.reference_forward = std::nullopt;
    if (!row.teacher) prices.trainer.teacher_forward = std::nullopt;
    const RlOutcome outcome = loop_of(config, 2, prices);
    for (const RlStep& step : outcome.steps) {
      CHECK(step.answers == 96);
      CHECK((part(step, RlPart::generation) > 0) == row.generates);
      CHECK((part(step, RlPart::update) > 0) == row.trains);
      CHECK((part(step, RlPart::critic_update) > 0) == row.critic);
      CHECK((part(step, RlPart::reference) > 0) == (row.trains && row.reference));
      CHECK((part(step, RlPart::teacher) > 0) == row.teacher);
      CHECK((part(step, RlPart::reward) > 0) == row.rewards);
      CHECK((part(step, RlPart::sync) > 0) == (row.trains && row.generates));
      CHECK((part(step, RlPart::log_probs) > 0) == row.old_log_probs);
    }
    if (row.drops_groups) {
      double thrown = 0;
      for (const RlStep& step : outcome.steps) thrown += static_cast<double>(step.thrown_away);
      CHECK(thrown / (thrown + 3 * 96) > 0.25);
    } else {
      CHECK(outcome.steps.front().thrown_away == 0);
    }
  }
}

TEST_CASE("what is free saves no more than it took, and generation free leaves the trainer's work", "[rl]") {
  const RlConfig config = small_loop();
  const RlOutcome whole = loop_of(config);
  for (const RlPart p : {RlPart::generation, RlPart::reward, RlPart::update, RlPart::sync, RlPart::reference}) {
    RlPrices prices = small_prices();
    prices.free[static_cast<std::size_t>(p)] = true;
    const RlOutcome without = loop_of(config, 2, prices);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(part(without.steps[i], p) <= 1e-9);
      const double saved = (whole.steps[i].length() - without.steps[i].length()).value();
      CHECK(saved >= -1e-9);
      CHECK(saved <= part(whole.steps[i], p) + 1e-6);
    }
  }
}

TEST_CASE("rewards wait for a free worker, and none takes longer than the time-out", "[rl]") {
  HostWorkers config;
  config.workers = 2;
  config.time = Seconds(1);
  HostWorkersSimulation pool(config, RandomStream(1));
  CHECK(pool.work(Seconds(0)).value() == 1);
  CHECK(pool.work(Seconds(0)).value() == 1);
  CHECK(pool.work(Seconds(0)).value() == 2);
  CHECK(pool.work(Seconds(5)).value() == 6);
  config.hanging = 1;
  config.time_out = Seconds(3);
  HostWorkersSimulation hangs(config, RandomStream(1));
  CHECK(hangs.work(Seconds(1)).value() == 4);
  CHECK(hangs.timed_out() == 1);
}

TEST_CASE("a session gives back what it has not answered, and goes on with what is asked then", "[serving][rl]") {
  IterationPricer pricer(10 * kMilli, 0);
  ServingSession session(toy_session(toy_pool()), {PoolPricers(&pricer)}, nullptr, nullptr);
  int told = 0;
  session.on_result([&](const Request&, const RequestResult&) { ++told; });
  for (std::uint64_t i = 0; i < 3; ++i) {
    Request request = toy_request(0, 10, 10 + 40 * static_cast<int>(i));
    request.id = i;
    session.submit(request);
  }
  while (session.step(Seconds(0.305))) {
  }
  session.run_until(Seconds(0.305));
  CHECK(told == 1);
  const std::vector<Unfinished> left = session.withdraw();
  REQUIRE(left.size() == 2);
  CHECK(session.idle());
  CHECK(told == 1);
  CHECK(left[0].request.id == 1);
  // 30 iterations of 10 ms are over; the first one began when the first request came, alone.
  for (const Unfinished& u : left) CHECK(u.generated == 29);
  Request rest = toy_request(session.now().value(), 10 + left[0].generated, 50 - left[0].generated);
  session.submit(rest);
  session.run();
  CHECK(told == 2);
  CHECK_THAT(session.now().value(), WithinRel(0.305 + 0.21, 1e-9));

  ServingSession alone(toy_session(toy_pool()), {PoolPricers(&pricer)}, nullptr, nullptr);
  alone.submit(toy_request(0, 10, 50));
  while (alone.step(Seconds(0.305))) {
  }
  alone.run_until(Seconds(0.305));
  CHECK(alone.withdraw().at(0).generated == 30);
}

namespace {

/// A loop of any kind, small.
struct AnyLoop {
  RlConfig config = small_loop();
  int updates = 1;
  RlPrices prices = small_prices();
};

AnyLoop any_loop(std::uint64_t seed) {
  RandomStream random(seed, 0x10095);
  const auto one_of = [&](int n) { return static_cast<int>(random.uniform() * n); };
  AnyLoop out;
  RlConfig& c = out.config;
  c.algorithm = &algorithms()[static_cast<std::size_t>(one_of(static_cast<int>(algorithms().size())))];
  const bool learns = c.algorithm->trains && c.algorithm->generates;
  out.updates = c.algorithm->trains ? 1 + one_of(4) : 1;
  c.prompts = out.updates * (1 + one_of(8));
  c.group = 1 + one_of(6) + (c.algorithm->group ? 1 : 0);
  c.answer.mean = 20 + 400 * random.uniform();
  c.answer.shape = LengthShape{static_cast<std::uint8_t>(one_of(4))};
  c.answer.variation = random.uniform();
  c.answer.most = c.answer.shape == LengthShape::fixed ? c.answer.mean : 2000;
  c.answer.group_correlation = random.uniform();
  c.placement = one_of(2) == 0 ? RlPlacement::colocated : RlPlacement::separate;
  constexpr double kStaleness[] = {0, 0, 1, 1.5, 3};
  c.asynchrony.staleness = learns ? kStaleness[one_of(5)] : 0;
  c.asynchrony.in_flight = InFlight{static_cast<std::uint8_t>(one_of(3))};
  c.asynchrony.stream_updates = learns && c.placement == RlPlacement::separate && one_of(2) == 0;
  c.asynchrony.whole_batches = one_of(3) == 0;
  if (learns && c.placement == RlPlacement::separate) c.overlap = one_of(kReplicas);
  if (one_of(3) == 0) {
    c.tools.calls = 0.5 + 4 * random.uniform();
    c.tools.tokens = one_of(100);
    c.tools.pool.time = Seconds(0.5 * random.uniform());
    c.tools.pool.variation = random.uniform();
    c.tools.pool.workers = 1 + one_of(50);
  }
  c.reference_every = one_of(2);
  c.order = PromptOrder{static_cast<std::uint8_t>(one_of(2))};
  constexpr AnswerPacking kPackings[] = {AnswerPacking::balanced, AnswerPacking::in_order,
                                         AnswerPacking::balanced_step};
  c.packing = kPackings[one_of(3)];
  c.epochs = 1 + one_of(2);
  c.signal_share = c.algorithm->drops_groups ? 0.3 + 0.7 * random.uniform() : 1;
  c.reward.pool.time = Seconds(0.2 * random.uniform());
  c.reward.pool.variation = random.uniform();
  c.reward.pool.hanging = one_of(3) == 0 ? 0.05 : 0;
  c.reward.pool.time_out = Seconds(5);
  c.host_time = Seconds(random.uniform());
  c.replayed_steps = 2;
  c.seed = seed;
  return out;
}

}  // namespace

TEST_CASE("laws of any loop: parts sum, books balance, nothing is staler than it may be, the busiest decides", "[rl]") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    const AnyLoop any = any_loop(seed);
    const RlConfig& c = any.config;
    INFO("seed " << seed << ", " << c.algorithm->name << ", staleness " << c.asynchrony.staleness);
    const RlOutcome out = loop_of(c, any.updates, any.prices);
    REQUIRE(out.steps.size() >= static_cast<std::size_t>(least_steps(c)));
    REQUIRE(out.counted().size() >= static_cast<std::size_t>(c.replayed_steps));
    std::int64_t answers = 0, tokens = 0;
    Seconds before;
    for (const RlStep& step : out.steps) {
      CHECK(step.begin == before);
      before = step.end;
      CHECK_THAT(sum(step).value(), WithinRel(step.length().value(), 1e-9));
      CHECK(step.answers == c.answers());
      CHECK(step.staleness_most <= std::ceil(c.asynchrony.staleness));
      CHECK(step.engine_busy <= kReplicas * (step.engine_awake + Seconds(1e-9)));
      // The trainer is the busiest pool, or the longest answer decides: each token takes an iteration of 10 ms.
      Seconds trainer;
      for (const RlPart p : {RlPart::log_probs, RlPart::reference, RlPart::update, RlPart::critic_update, RlPart::sync})
        trainer += step.parts[static_cast<std::size_t>(p)];
      CHECK(step.length() >= trainer);
      if (c.asynchrony.staleness == 0 && c.algorithm->generates)
        CHECK(step.length().value() >= 0.01 * (step.longest - 1));
      answers += step.answers;
      tokens += step.answer_tokens;
    }
    CHECK(out.trained == answers);
    CHECK(out.trained_tokens == tokens);
    CHECK(out.begun >= out.trained);
    CHECK(static_cast<double>(out.begun - out.trained) <=
          std::ceil((c.asynchrony.staleness + 1) * static_cast<double>(c.answers())));
    if (c.asynchrony.staleness == 0) CHECK(out.begun_tokens == out.trained_tokens);
  }
}

TEST_CASE("pools that overlap: replicas on the trainer's GPUs help while it waits, and lose nothing when it begins",
          "[rl]") {
  RlConfig config = small_loop();
  config.placement = RlPlacement::separate;
  config.answer.most = 1500;
  IterationPricer pricer(10 * kMilli, 0);
  const auto with = [&](int own, int overlap, double staleness) {
    RlConfig c = config;
    c.overlap = overlap;
    c.asynchrony.staleness = staleness;
    PoolConfig pool = toy_pool(1 << 20, 16);
    pool.replicas = own + overlap;
    ServingSession session(toy_session(pool), {PoolPricers(&pricer)}, nullptr, nullptr);
    return RlLoop(c, 2, small_prices(), &session, own + overlap, 0).run();
  };
  // In step with the trainer they are replicas like the others.
  const RlOutcome all = with(3, 0, 0), some = with(1, 2, 0);
  CHECK(some.steps.back().end == all.steps.back().end);
  CHECK(some.trained_tokens == all.trained_tokens);
  for (const RlStep& step : some.steps) {
    CHECK(step.interrupted == 0);
    CHECK(step.overlap_awake <= step.engine_awake);
  }
  // Ahead of it, better than without them, and never worse off than its own ones.
  const RlOutcome alone = with(1, 0, 1), helped = with(1, 2, 1), full = with(3, 0, 1);
  constexpr std::size_t kSixth = 5;  // how many are replayed is not the same
  CHECK(helped.steps[kSixth].end < alone.steps[kSixth].end);
  CHECK(helped.steps[kSixth].end >= full.steps[kSixth].end);
  std::int64_t moved = 0;
  for (const RlStep& step : helped.steps) moved += step.interrupted;
  CHECK(moved > 0);
}

TEST_CASE("tools: calls take their time and tokens, answers stay as they are", "[rl]") {
  RlConfig config = small_loop();
  config.replayed_steps = 1;
  const RlStep plain = loop_of(config).steps.front();
  config.tools.calls = 3;
  config.tools.tokens = 40;
  config.tools.pool.time = Seconds(2);
  config.tools.pool.workers = 1000;
  const RlOutcome out = loop_of(config);
  const RlStep& tools = out.steps.front();
  CHECK(tools.answer_tokens == plain.answer_tokens);
  CHECK(tools.tool_calls <= 3 * tools.answers);
  CHECK(tools.tool_calls >= 3 * tools.answers - 10);  // answers of a token or two have fewer turns
  CHECK(tools.prompt_tokens == plain.prompt_tokens + 40 * tools.tool_calls);
  // Every answer waits for its calls: the longest is six seconds later, less what a smaller batch saves it.
  CHECK(part(tools, RlPart::generation) > part(plain, RlPart::generation) + 5);
  CHECK(part(tools, RlPart::generation) < part(plain, RlPart::generation) + 7);
  // One worker alone has all calls one after the other.
  config.tools.pool.workers = 1;
  config.tools.pool.time = Seconds(0.1);
  const RlStep queue = loop_of(config).steps.front();
  CHECK(part(queue, RlPart::generation) > 0.1 * static_cast<double>(queue.tool_calls));
  // None runs for longer than the time-out.
  config.tools.pool.workers = 1000;
  config.tools.pool.hanging = 1;
  config.tools.pool.time_out = Seconds(4);
  const RlOutcome hangs = loop_of(config);
  CHECK(hangs.steps.front().timed_out_tools == hangs.steps.front().tool_calls);
  CHECK(part(hangs.steps.front(), RlPart::generation) < part(plain, RlPart::generation) + 13);
}

TEST_CASE("a mean of calls that is no whole number is met on average", "[rl]") {
  RlConfig config = small_loop();
  config.answer.least = 20;
  config.prompts = 200;
  config.tools.calls = 1.25;
  const RlStep step = loop_of(config).steps.front();
  CHECK_THAT(static_cast<double>(step.tool_calls) / static_cast<double>(step.answers), WithinRel(1.25, 0.03));
}

TEST_CASE("the reference is replaced every so many steps, and that takes its time", "[rl]") {
  RlConfig config = small_loop();
  config.replayed_steps = 4;
  config.reference_every = 2;
  RlPrices prices = small_prices();
  prices.reference_copy = Seconds(3);
  const RlOutcome out = loop_of(config, 2, prices), never = loop_of(
                                                        [&] {
                                                          RlConfig other = config;
                                                          other.reference_every = 0;
                                                          return other;
                                                        }(),
                                                        2, prices);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK_THAT(part(out.steps[i], RlPart::reference) - part(never.steps[i], RlPart::reference),
               Catch::Matchers::WithinAbs(i % 2 == 1 ? 3 : 0, 1e-9));
}

TEST_CASE("whole batches: a step waits for the prompts that were drawn for it", "[rl]") {
  RlConfig config = small_loop();
  config.placement = RlPlacement::separate;
  config.asynchrony.staleness = 1;
  config.asynchrony.in_flight = InFlight::keep;
  config.replayed_steps = 6;
  // Answers decide: an iteration of 30 ms, and a trainer that takes no time.
  RlPrices quick = small_prices();
  quick.trainer.update = quick.trainer.forward = {};
  quick.trainer.reference_forward.reset();
  const RlOutcome first = loop_of(config, 1, quick, 30 * kMilli);
  config.asynchrony.whole_batches = true;
  const RlOutcome whole = loop_of(config, 1, quick, 30 * kMilli);
  CHECK(whole.counted().front().answers == first.counted().front().answers);
  for (const RlStep& step : whole.steps) CHECK(step.staleness_most <= 1);
  // The first batch has all of its answers, so its longest one decides; the other takes those that are there first.
  CHECK(whole.steps.front().length().value() >= 0.03 * (whole.steps.front().longest - 1));
  CHECK(whole.steps.front().length() >= first.steps.front().length());
}

TEST_CASE("staleness 0 is the synchronous loop, whatever is said of answers in flight", "[rl]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    AnyLoop any = any_loop(seed);
    any.config.asynchrony = {};
    const RlOutcome first = loop_of(any.config, any.updates, any.prices);
    for (const InFlight in_flight : {InFlight::finish, InFlight::keep}) {
      any.config.asynchrony.in_flight = in_flight;
      const RlOutcome other = loop_of(any.config, any.updates, any.prices);
      INFO("seed " << seed);
      CHECK(other.steps.back().end == first.steps.back().end);
    }
  }
}
