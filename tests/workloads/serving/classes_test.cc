// Who comes first, who gets how much, and who is dropped when it is too late?
#include "tests/catch.h"
#include "tests/workloads/serving_fixture.h"
#include "workloads/serving/traffic/traffic.h"

namespace flopcast {
namespace {

constexpr Ticks kTenMilli = 10'000'000'000;

std::shared_ptr<const ClassRules> rules(std::vector<ClassRule> of, bool preempt = false) {
  return std::make_shared<const ClassRules>(ClassRules{std::move(of), preempt});
}

Request of_class(double arrival, std::int32_t input, std::int32_t output, std::uint16_t request_class) {
  Request request = toy_request(arrival, input, output);
  request.request_class = request_class;
  return request;
}

SessionConfig two_classes(PoolConfig pool, std::shared_ptr<const ClassRules> classes) {
  SessionConfig config = toy_session(std::move(pool));
  config.levels.resize(2);
  config.classes = std::move(classes);
  return config;
}

const RequestResult& result_of(const ToyRun& run, std::uint64_t id) {
  return *std::find_if(run.results.begin(), run.results.end(), [id](const RequestResult& r) { return r.id == id; });
}

TEST_CASE("a request of higher priority overtakes those that wait, not those that are answered",
          "[workloads][serving]") {
  IterationPricer engine(kTenMilli, 0);
  const std::vector<Request> requests = {of_class(0, 10, 100, 0), of_class(0.1, 10, 10, 0), of_class(0.2, 10, 10, 0),
                                         of_class(0.3, 10, 10, 1)};
  const ToyRun run =
      run_toy(two_classes(toy_pool(1 << 20, 1), rules({{.priority = 0}, {.priority = 5}})), {&engine}, requests);
  std::vector<std::uint64_t> order;
  for (const RequestResult& r : run.results) order.push_back(r.id);
  CHECK(order == std::vector<std::uint64_t>{0, 3, 1, 2});
  // With preemption it takes the place of one that is answered, which is computed again.
  const ToyRun taken =
      run_toy(two_classes(toy_pool(1 << 20, 1), rules({{.priority = 0}, {.priority = 5}}, true)), {&engine}, requests);
  CHECK(taken.results.front().id == 3);
  CHECK(taken.results.front().finish.value() == Approx(0.31 + 0.1).margin(0.011));
  CHECK(result_of(taken, 0).output_tokens == 100);
  CHECK(taken.totals.pools[0].counters.made_way == 1);
}

TEST_CASE("streams of one priority share by their weights where they wait", "[workloads][serving]") {
  IterationPricer engine(kTenMilli, 0);
  std::vector<Request> requests;
  for (int i = 0; i < 400; ++i) requests.push_back(of_class(0, 50, 20, static_cast<std::uint16_t>(i % 2)));
  const auto share_of_first = [&](double weight) {
    const ToyRun run =
        run_toy(two_classes(toy_pool(1 << 20, 4), rules({{.weight = weight}, {.weight = 1.0}})), {&engine}, requests);
    // Of the first 120 answers: both streams still wait then.
    int first = 0;
    for (std::size_t i = 0; i < 120; ++i) first += run.results[i].request_class == 0;
    return first / 120.0;
  };
  CHECK(share_of_first(3.0) == Approx(0.75).margin(0.05));
  CHECK(share_of_first(1.0001) == Approx(0.5).margin(0.05));
}

TEST_CASE("a stream that floods does not hold up one that asks little", "[workloads][serving]") {
  IterationPricer engine(kTenMilli, 0);
  std::vector<Request> requests;
  for (int i = 0; i < 300; ++i) requests.push_back(of_class(0, 50, 20, 0));
  for (int i = 0; i < 20; ++i) requests.push_back(of_class(1 + 0.5 * i, 50, 20, 1));
  const auto wait_of_second = [&](std::shared_ptr<const ClassRules> classes) {
    return run_toy(two_classes(toy_pool(1 << 20, 4), std::move(classes)), {&engine}, requests)
        .totals.metrics.classes()[1]
        .queueing.mean();
  };
  CHECK(wait_of_second(nullptr) > 3);
  CHECK(wait_of_second(rules({{.weight = 1}, {.weight = 1.001}})) < 0.3);
}

TEST_CASE("what is not answered by its deadline is dropped wherever it stands, and counted", "[workloads][serving]") {
  IterationPricer engine(kTenMilli, 0);
  const std::vector<Request> requests = {of_class(0, 10, 200, 0),  // takes 2 s
                                         of_class(0.1, 10, 5, 1),  // waits, and is late
                                         of_class(0.2, 10, 300, 0)};
  const auto classes = rules({{.deadline = to_ticks(Seconds(3))}, {.first_token_deadline = to_ticks(Seconds(1))}});
  SessionConfig config = two_classes(toy_pool(1 << 20, 1), classes);
  const ToyRun run = run_toy(config, {&engine}, requests);
  const ClassMetrics all = run.totals.metrics.all();
  CHECK(all.completed.requests == 1);
  CHECK(all.expired.requests == 2);
  CHECK(all.balanced());
  CHECK(all.slo_attainment() == Approx(1.0 / 3));
  CHECK(result_of(run, 1).outcome == RequestOutcome::expired);
  CHECK(result_of(run, 1).finish.value() == Approx(1.1).margin(0.0101));  // at the end of an iteration
  CHECK(result_of(run, 2).finish.value() == Approx(3.2).margin(0.0101));  // while it was answered
  CHECK(result_of(run, 2).output_tokens == Approx(119).margin(2));
  CHECK(run.totals.pools[0].pages_in_use == 0);
}

}  // namespace
}  // namespace flopcast
