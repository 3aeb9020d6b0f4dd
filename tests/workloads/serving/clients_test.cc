// Do users come as clients of benchmarks let them: all at once or one after the other, no more at a time than allowed,
// with tools between their turns, or as they were recorded?
#include <map>
#include <set>

#include "sim/base/diagnostic.h"
#include "tests/catch.h"
#include "tests/temporary.h"
#include "tests/workloads/serving_fixture.h"
#include "workloads/serving/traffic/clients.h"
#include "workloads/serving/traffic/traffic.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

TrafficClass asking(std::variant<OpenLoop, ClosedLoop, TraceTimes> arrivals, RandomNumber input, RandomNumber output) {
  return {.name = "users", .arrivals = std::move(arrivals), .lengths = DrawnLengths{input, output}};
}

/// A station that answers each request `service` seconds after it came.
std::vector<Request> answered(RequestSource& source, double service, std::size_t most = 1000) {
  std::vector<Request> all;
  std::multimap<Seconds, Request> inside;
  while (all.size() < most) {
    const Seconds next = source.next_arrival();
    if (inside.empty() && next == kNever) break;
    if (!inside.empty() && inside.begin()->first <= next) {
      const auto [when, request] = *inside.begin();
      inside.erase(inside.begin());
      source.finished(request, when, RequestOutcome::completed);
      continue;
    }
    all.push_back(source.take());
    inside.emplace(all.back().arrival + Seconds(service), all.back());
  }
  return all;
}

TEST_CASE("a client with a data set draws lengths that have its means", "[workloads][serving]") {
  for (const ClientRow& row : benchmark_clients()) {
    if (row.lengths == nullptr) continue;
    RandomStream random(1, 1);
    const auto mean = [&](double of, double most) {
      const RandomNumber drawn = RandomNumber::log_normal(of, row.lengths->variation).clamped(row.lengths->least, most);
      double sum = 0;
      for (int i = 0; i < 20000; ++i) sum += drawn.draw(random) / 20000;
      return sum;
    };
    CHECK(mean(row.lengths->input, row.lengths->most_input) == Approx(row.lengths->input).epsilon(0.04));
    CHECK(mean(row.lengths->output, row.lengths->most_output) == Approx(row.lengths->output).epsilon(0.04));
  }
}

TEST_CASE("users begin evenly spread over a ramp", "[workloads][serving]") {
  const RandomNumber one = RandomNumber::fixed(1);
  const auto source = make_traffic({.classes = {asking(ClosedLoop{.users = 4, .ramp = Seconds(8)}, one, one)}});
  for (const double at : {0.0, 2.0, 4.0, 6.0}) CHECK(source->take().arrival == Seconds(at));
  CHECK(source->next_arrival() == kNever);
}

TEST_CASE("a client holds requests back while as many as it allows are under way", "[workloads][serving]") {
  const RandomNumber one = RandomNumber::fixed(1);
  OpenLoop fast{.rate = RateCurve::constant(Hertz(100)), .max_concurrency = 3};
  const auto limited = make_traffic({.classes = {asking(fast, one, one)}, .requests = 60});
  const std::vector<Request> all = answered(*limited, 1.0);
  REQUIRE(all.size() == 60);
  for (std::size_t i = 3; i < all.size(); ++i) REQUIRE(all[i].arrival >= all[i - 3].arrival + Seconds(1));
  CHECK(all.back().arrival >= Seconds(19));
  // Slow arrivals meet no limit: they come as without one.
  fast.rate = RateCurve::constant(Hertz(0.1));
  fast.max_concurrency = 50;
  OpenLoop free = fast;
  free.max_concurrency = 0;
  const auto a = make_traffic({.classes = {asking(fast, one, one)}, .requests = 60});
  const auto b = make_traffic({.classes = {asking(free, one, one)}, .requests = 60});
  const std::vector<Request> held = answered(*a, 1.0), unheld = answered(*b, 1.0);
  for (std::size_t i = 0; i < held.size(); ++i) REQUIRE(held[i].arrival == unheld[i].arrival);
}

TEST_CASE("an agent's prompt grows by what its tools return", "[workloads][serving]") {
  TrafficClass agent = asking(ClosedLoop{}, RandomNumber::fixed(100), RandomNumber::fixed(50));
  agent.sessions = Sessions{.turns = RandomNumber::fixed(40),
                            .think = RandomNumber::fixed(60),
                            .tool_calls = 3,
                            .tool_time = RandomNumber::fixed(2),
                            .tool_result = RandomNumber::fixed(700),
                            .tool_call = RandomNumber::fixed(20)};
  const auto source = make_traffic({.classes = {agent}, .requests = 400});
  const std::vector<Request> all = answered(*source, 1.0);
  REQUIRE(all.size() == 400);
  int results = 0, questions = 0;
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i].session != all[i - 1].session) continue;
    const Request &before = all[i - 1], &now = all[i];
    const std::int32_t added = now.input_tokens - before.input_tokens - before.output_tokens;
    const Seconds waited = now.arrival - before.arrival - Seconds(1);
    if (added == 700) {  // a tool's result: the answer before called it
      CHECK(before.output_tokens == 20);
      CHECK(waited.value() == Approx(2));
      ++results;
    } else {
      CHECK(added == 100);
      CHECK(before.output_tokens == 50);
      CHECK(waited.value() == Approx(60));
      ++questions;
    }
  }
  CHECK(static_cast<double>(results) / questions == Approx(3).epsilon(0.25));
}

const std::string kSessions =
    "session,at_s,input_tokens,output_tokens\n"
    "a,10,100,20\n"
    "a,12,30,10\n"
    "b,11,500,5\n"
    "a,40,40,10\n";

TEST_CASE("recorded turns come at their time, and not before the answer to the one before", "[workloads][serving]") {
  const test::TemporaryFile file(kSessions);
  const RecordedSessions sessions = read_session_file(file.path(), 0);
  REQUIRE(sessions.size() == 2);
  const TrafficConfig config{.classes = {{.name = "agents", .arrivals = TraceTimes{}, .lengths = sessions}}};
  const auto source = make_traffic(config);
  const std::vector<Request> all = answered(*source, 5.0);
  REQUIRE(all.size() == 4);
  CHECK(all[0].arrival == Seconds(0));
  CHECK(all[1].arrival == Seconds(1));  // of b
  CHECK(all[2].arrival == Seconds(5));  // asked at 2, when the answer was not there
  CHECK(all[3].arrival == Seconds(30));
  CHECK(all[2].input_tokens == 150);
  CHECK(all[3].input_tokens == 200);
  CHECK(all[3].turn == 2);
  CHECK(expected_requests(config) == 4);
  const auto sampled_source = make_traffic(sampled(config, 2));
  CHECK(answered(*sampled_source, 5.0).size() == 3);
}

std::string session_faults(const std::string& text, std::int64_t context = 0) {
  const test::TemporaryFile file(text, "sessions.csv");
  try {
    read_session_file(file.path(), context);
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST_CASE("a session file's faults are told by line, all at once", "[workloads][serving]") {
  CHECK(session_faults(kSessions).empty());
  const std::string head = "session,at_s,input_tokens,output_tokens\n";
  const std::string all = session_faults(head + "a,5,10,10\nb,1,5,5\na,4,5,5\nb,2,-1,5\nb,3,5\n,4,5,5\n");
  CHECK_THAT(all, ContainsSubstring("sessions.csv:4:3: at_s: found \"4\", expected a time not before that of the "
                                    "session's turn in line 2"));
  CHECK_THAT(all, ContainsSubstring("sessions.csv:5:5: input_tokens: found \"-1\""));
  CHECK_THAT(all, ContainsSubstring("sessions.csv:6:6: found 3 columns, expected 4, as in the header"));
  CHECK_THAT(all, ContainsSubstring("sessions.csv:7:1: session: found nothing"));
  CHECK_THAT(
      session_faults("session,time,input_tokens\na,1,2\n"),
      ContainsSubstring("at_s: found no such column") && ContainsSubstring("output_tokens: found no such column"));
  CHECK_THAT(session_faults(head), ContainsSubstring("found no turn"));
  CHECK_THAT(session_faults(""), ContainsSubstring("found an empty file"));
  CHECK_THAT(session_faults(head + "a,1,600,300\na,2,200,100\n", 1000),
             ContainsSubstring("sessions.csv:3:5: input_tokens: found 1200 tokens of all that was said"));
}

TEST_CASE("users with answers of one length march in step, drawn lengths bring them apart", "[workloads][serving]") {
  IterationPricer pricer(to_ticks(Seconds(0.01)), to_ticks(Seconds(1e-5)));
  const auto together = [&](const RandomNumber& output, Seconds ramp) {
    const auto source =
        make_traffic({.classes = {asking(ClosedLoop{.users = 16, .ramp = ramp}, RandomNumber::fixed(100), output)},
                      .requests = 400});
    ServingSession session(toy_session(toy_pool()), {&pricer}, nullptr, source.get());
    session.run();
    return session.totals().together.at(0);
  };
  CHECK(together(RandomNumber::fixed(40), Seconds(0)) == Approx(16));
  CHECK(together(RandomNumber::uniform(32, 40), Seconds(0)) < 4);
  CHECK(together(RandomNumber::fixed(40), Seconds(1)) < 4);
}

TEST_CASE("what tokenises longer is queued later, and the engine does not count it", "[workloads][serving]") {
  IterationPricer pricer(to_ticks(Seconds(0.5)), 0);
  SessionConfig config = toy_session(toy_pool());
  config.pools.front().tokenise = Seconds(0.001);
  const ToyRun run = run_toy(config, {&pricer}, {toy_request(0, 4000, 2), toy_request(1, 100, 2)});
  REQUIRE(run.results.size() == 2);
  const auto of = [&](std::uint64_t id) { return run.results[run.results[0].id == id ? 0 : 1]; };
  CHECK(of(0).ttft().value() == Approx(4.5));
  CHECK(of(1).ttft().value() == Approx(0.6));
  CHECK(of(0).engine_ttft().value() == Approx(0.5));
  CHECK(of(1).engine_ttft().value() == Approx(0.5));
}

}  // namespace
}  // namespace flopcast
