// Does traffic come as described: in order, at its rate, with its prefixes, the same every time?
#include "workloads/serving/traffic/traffic.h"

#include <map>
#include <set>
#include <vector>

#include "sim/base/diagnostic.h"
#include "tests/catch.h"
#include "tests/temporary.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

/// All requests of an open loop; of sessions and closed loops with every answer `service` after its request.
std::vector<Request> all_of(RequestSource& source, Seconds service = Seconds(1), std::size_t most = 100'000) {
  std::vector<Request> requests;
  std::size_t answered = 0;
  while (requests.size() < most) {
    const Seconds answer = answered < requests.size() ? requests[answered].arrival + service : kNever;
    if (source.next_arrival() <= answer) {
      if (source.next_arrival() == kNever) break;
      const Seconds at = source.next_arrival();
      requests.push_back(source.take());
      REQUIRE(requests.back().arrival == at);
    } else {
      source.finished(requests[answered++], answer, RequestOutcome::completed);
    }
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    REQUIRE(requests[i].id == i);
    REQUIRE((i == 0 || requests[i - 1].arrival <= requests[i].arrival));
    REQUIRE(requests[i].input_tokens >= 1);
    REQUIRE(requests[i].output_tokens >= 1);
  }
  return requests;
}

TrafficClass drawn(decltype(TrafficClass::arrivals) arrivals) {
  return {.name = "drawn",
          .arrivals = std::move(arrivals),
          .lengths = DrawnLengths{RandomNumber::log_normal(1000, 1), RandomNumber::fixed(100)}};
}

bool same_request(const Request& a, const Request& b) {
  return a.arrival == b.arrival && a.input_tokens == b.input_tokens && a.prefix == b.prefix && a.session == b.session;
}

TEST_CASE("the same seed gives the same requests, another one others", "[workloads][serving]") {
  TrafficConfig config{.classes = {drawn(OpenLoop{}), drawn(ClosedLoop{3})}, .requests = 500};
  config.classes.push_back(drawn(OpenLoop{RateCurve::constant(Hertz(5))}));
  config.classes.back().sessions = Sessions{.turns = RandomNumber::uniform(1, 5), .system_prompt_tokens = 200};
  const auto first = all_of(*make_traffic(config)), second = all_of(*make_traffic(config));
  REQUIRE(first.size() == 500);
  REQUIRE(std::equal(first.begin(), first.end(), second.begin(), second.end(), same_request));
  config.seed = 2;
  const auto other = all_of(*make_traffic(config));
  CHECK_FALSE(std::equal(first.begin(), first.end(), other.begin(), other.end(), same_request));
}

TEST_CASE("traffic ends with its duration or number of requests", "[workloads][serving]") {
  TrafficConfig config{.classes = {drawn(OpenLoop{RateCurve::constant(Hertz(10)), Spacing::even})},
                       .duration = Seconds(20.05)};
  CHECK(all_of(*make_traffic(config)).size() == 200);
  config.requests = 7;
  CHECK(all_of(*make_traffic(config)).size() == 7);
  config = sampled(TrafficConfig{.classes = config.classes, .duration = Seconds(20.05)}, 10);
  CHECK(all_of(*make_traffic(config)).size() == 20);
}

TEST_CASE("each user of a closed loop has one request under way", "[workloads][serving]") {
  const auto source = make_traffic({.classes = {drawn(ClosedLoop{4, RandomNumber::fixed(2)})}, .requests = 400});
  const auto requests = all_of(*source, Seconds(3));
  REQUIRE(requests.size() == 400);
  std::map<std::uint32_t, Seconds> last;
  for (const Request& request : requests) {
    if (const auto before = last.find(request.session); before != last.end()) {
      REQUIRE(request.arrival == before->second + Seconds(5));
    }
    last[request.session] = request.arrival;
  }
  CHECK(last.size() == 4);
}

TEST_CASE("a turn's prompt begins with all that was said before", "[workloads][serving]") {
  TrafficClass chat = drawn(OpenLoop{RateCurve::constant(Hertz(2))});
  chat.sessions = Sessions{.turns = RandomNumber::uniform(1, 6),
                           .think = RandomNumber::exponential(5),
                           .system_prompt_tokens = 1000,
                           .system_prompts = 2,
                           .block_tokens = 64};
  const auto source = make_traffic({.classes = {chat}, .requests = 2000});
  CHECK(source->prefix_block_tokens() == 64);
  std::map<std::uint32_t, Request> last;
  std::set<std::uint64_t> system_prompts;
  for (const Request& request : all_of(*source, Seconds(4))) {
    REQUIRE(request.prefix.size() == static_cast<std::size_t>((request.input_tokens + request.output_tokens) / 64));
    system_prompts.insert(request.prefix.id(0));
    const auto before = last.find(request.session);
    if (before == last.end()) {
      REQUIRE(request.turn == 0);
      REQUIRE(request.input_tokens > 1000);
      REQUIRE(request.prefix.id(14) == request.prefix.id(0) + 14);
      REQUIRE(request.prefix.id(15) != request.prefix.id(0) + 15);  // 1000 / 64 = 15.6
    } else {
      const Request& earlier = before->second;
      REQUIRE(request.turn == earlier.turn + 1);
      REQUIRE(request.arrival >= earlier.arrival + Seconds(4));
      REQUIRE(request.input_tokens > earlier.input_tokens + earlier.output_tokens);
      PrefixBlocks beginning = request.prefix;
      beginning.truncate(earlier.prefix.size());
      REQUIRE(beginning == earlier.prefix);
    }
    last[request.session] = request;
  }
  CHECK(system_prompts.size() == 2);
  CHECK(last.size() > 300);
}

TEST_CASE("conversations stay within the context and end when an answer fails", "[workloads][serving]") {
  TrafficClass chat = drawn(OpenLoop{});
  chat.sessions = Sessions{.turns = RandomNumber::fixed(100), .context = 4000};
  for (const Request& request : all_of(*make_traffic({.classes = {chat}, .requests = 3000}))) {
    REQUIRE(request.input_tokens + request.output_tokens <= 4000);
  }
  const auto source = make_traffic({.classes = {chat}});
  const Request first = source->take();
  const Seconds next = source->next_arrival();
  source->finished(first, first.arrival, RequestOutcome::lost);
  CHECK(source->next_arrival() == next);
  chat.arrivals = ClosedLoop{1};
  const auto user = make_traffic({.classes = {chat}});
  const Request asked = user->take();
  CHECK(user->next_arrival() == kNever);
  user->finished(asked, Seconds(9), RequestOutcome::rejected);
  CHECK(user->next_arrival() == Seconds(9));
  CHECK(user->take().session != asked.session);
}

const char* const kTrace =
    "{\"timestamp\": 0, \"input_length\": 1024, \"output_length\": 5, \"hash_ids\": [0, 1]}\n"
    "{\"timestamp\": 1000, \"input_length\": 1024, \"output_length\": 6, \"hash_ids\": [0, 2]}\n"
    "{\"timestamp\": 4000, \"input_length\": 1024, \"output_length\": 7, \"hash_ids\": [0, 3]}\n";

TEST_CASE("a trace is replayed at its times, and again with new blocks", "[workloads][serving]") {
  const test::TemporaryFile file(kTrace);
  TraceTraffic trace({.path = file.path()});
  TrafficConfig config{.classes = {{.name = "trace", .arrivals = TraceTimes{}, .lengths = trace}}};
  CHECK(all_of(*make_traffic(config)).size() == 3);
  trace.repeat = true;
  config.classes[0].lengths = trace;
  config.duration = Seconds(11);
  const auto requests = all_of(*make_traffic(config));
  REQUIRE(requests.size() == 6);
  CHECK(requests[3].arrival == Seconds(6));
  CHECK(requests[4].arrival == Seconds(7));
  CHECK(requests[4].output_tokens == 6);
  CHECK(requests[3].prefix.id(0) == requests[4].prefix.id(0));
  CHECK(requests[3].prefix.id(0) != requests[0].prefix.id(0));
  CHECK(make_traffic(config)->prefix_block_tokens() == 512);

  config.classes[0].arrivals = OpenLoop{RateCurve::constant(Hertz(1)), Spacing::even};
  const auto drawn_times = all_of(*make_traffic(config));
  REQUIRE(drawn_times.size() == 10);
  CHECK(drawn_times[9].output_tokens == 5);
}

TEST_CASE("combinations that make no sense are refused", "[workloads][serving]") {
  const test::TemporaryFile file(kTrace), lengths("num_prefill_tokens,num_decode_tokens\n5,5\n");
  const auto refused = [](TrafficClass traffic) { make_traffic({.classes = {std::move(traffic)}}); };
  CHECK_THROWS_WITH(refused(drawn(TraceTimes{})), ContainsSubstring("the times of a trace without a trace"));
  CHECK_THROWS_WITH(refused({.arrivals = TraceTimes{}, .lengths = TraceTraffic({.path = lengths.path()})}),
                    ContainsSubstring("a trace without times"));
  CHECK_THROWS_WITH(refused({.lengths = TraceTraffic({.path = file.path()}), .sessions = Sessions{}}),
                    ContainsSubstring("sessions with the lengths of a trace"));
  TrafficClass chat = drawn(OpenLoop{});
  chat.sessions = Sessions{.block_tokens = 64};
  CHECK_THROWS_WITH(make_traffic({.classes = {{.lengths = TraceTraffic({.path = file.path()})}, chat}}),
                    ContainsSubstring("prefix blocks of 64 tokens, expected 512"));
}

TEST_CASE("a stated hit rate leaves a token to compute", "[workloads][serving]") {
  TrafficClass traffic = drawn(OpenLoop{});
  traffic.stated_cached_share = 0.563;
  for (const Request& request : all_of(*make_traffic({.classes = {traffic}, .requests = 100}))) {
    REQUIRE(request.stated_cached_tokens == static_cast<std::int32_t>(request.input_tokens * 0.563));
  }
  traffic.stated_cached_share = 1;
  for (const Request& request : all_of(*make_traffic({.classes = {traffic}, .requests = 100}))) {
    REQUIRE(request.stated_cached_tokens == request.input_tokens - 1);
  }
}

}  // namespace
}  // namespace flopcast
