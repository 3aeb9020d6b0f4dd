// Do traffic, metrics and the engine together give the waiting times of queueing theory?
#include <cmath>
#include <deque>
#include <functional>
#include <queue>
#include <vector>

#include "tests/catch.h"
#include "tests/workloads/serving_fixture.h"
#include "workloads/serving/traffic/traffic.h"

namespace flopcast {
namespace {

// Theory, service times of mean 1.

/// M/M/k: Erlang's C formula over k - load.
double mmk_wait(int servers, double load) {
  double blocked = 1;  // Erlang's B formula by its recursion
  for (int k = 1; k <= servers; ++k) blocked = load * blocked / (k + load * blocked);
  const double rho = load / servers;
  const double waits = blocked / (1 - rho * (1 - blocked));
  return waits / (servers - load);
}

/// M/D/k: Cosmetatos 1975, within 1 % at these loads (exact for one server).
double mdk_wait(int servers, double load) {
  const double rho = load / servers;
  const double more = (1 - rho) * (servers - 1) * (std::sqrt(4 + 5.0 * servers) - 2) / (16 * rho * servers);
  return (1 + more) / 2 * mmk_wait(servers, load);
}

/// M/G/k with a coefficient of variation of at most 1: between the two (Page 1972); exact for one server.
double mgk_wait(int servers, double load, double cv) {
  return cv * cv * mmk_wait(servers, load) + (1 - cv * cv) * mdk_wait(servers, load);
}

/// GI/M/1 with gamma gaps: s / (1 - s), s the root of s = E exp(-(1 - s) gap).
double gamma_m1_wait(double load, double cv) {
  double s = 0.5;
  for (int i = 0; i < 1000; ++i) s = std::pow(1 + cv * cv * (1 - s) / load, -1 / (cv * cv));
  return s / (1 - s);
}

/// Requests per second of N users with one server, thinking `think` on average: M/M/1//N.
double closed_throughput(int users, double think) {
  double term = 1, sum = 1;
  for (int n = 1; n <= users; ++n) sum += term *= (users - n + 1) / think;
  return 1 - 1 / sum;
}

// A station with a queue and k servers.

struct Visit {
  double waited = 0, in_system = 0, end = 0;
  double integral = 0;  // of the number of requests in the system
  int requests = 0;
};

constexpr double kTokensPerSecond = 100'000;

/// Serves requests for as long as their answers have tokens, first come, first served.
Visit visit(RequestSource& source, int servers) {
  struct Served {
    Seconds end;
    Request request;
    bool operator>(const Served& other) const { return end > other.end; }
  };
  std::priority_queue<Served, std::vector<Served>, std::greater<>> busy;
  std::deque<Request> queue;
  Visit total;
  Seconds now;
  const auto serve = [&](const Request& request) {
    total.waited += (now - request.arrival).value();
    busy.push({now + Seconds(request.output_tokens / kTokensPerSecond), request});
  };
  for (;;) {
    const Seconds arrival = source.next_arrival(), end = busy.empty() ? kNever : busy.top().end;
    const Seconds next = std::min(arrival, end);
    if (next == kNever) break;
    total.integral += static_cast<double>(queue.size() + busy.size()) * (next - now).value();
    now = next;
    if (arrival <= end) {
      const Request request = source.take();
      ++total.requests;
      busy.size() < static_cast<std::size_t>(servers) ? serve(request) : queue.push_back(request);
      continue;
    }
    const Request done = busy.top().request;
    busy.pop();
    total.in_system += (now - done.arrival).value();
    source.finished(done, now, RequestOutcome::completed);
    if (!queue.empty()) {
      serve(queue.front());
      queue.pop_front();
    }
  }
  total.end = now.value();
  return total;
}

struct Toy {
  const char* name;
  int servers;
  OpenLoop arrivals;
  double cv;    // of service times, mean 1 s
  double wait;  // by theory
};

OpenLoop poisson(double rate) { return {RateCurve::constant(Hertz(rate)), Spacing::exponential}; }

Toy mgk(const char* name, int servers, double load, double cv) {
  return {name, servers, poisson(load), cv, mgk_wait(servers, load, cv)};
}

TrafficConfig traffic_of(const Toy& toy, std::uint64_t requests) {
  return {.classes = {{.name = toy.name,
                       .arrivals = toy.arrivals,
                       .lengths = DrawnLengths{RandomNumber::fixed(1), RandomNumber::gamma(kTokensPerSecond, toy.cv)}}},
          .seed = 5,
          .requests = requests};
}

std::vector<Toy> toys() {
  return {mgk("M/M/1", 1, 0.5, 1),
          mgk("M/M/1, busier", 1, 0.7, 1),
          mgk("M/D/1", 1, 0.7, 0),
          mgk("M/G/1", 1, 0.7, 0.6),
          mgk("M/M/4", 4, 3, 1),
          mgk("M/D/4", 4, 3, 0),
          mgk("M/G/8", 8, 6.4, 0.6),
          {"gamma/M/1", 1, {RateCurve::constant(Hertz(0.5)), Spacing::gamma, 2.0}, 1, gamma_m1_wait(0.5, 2.0)}};
}

TEST_CASE("waiting times at a station are those of theory, Little's law is exact", "[workloads][serving][slow]") {
  for (const Toy& toy : toys()) {
    INFO(toy.name);
    const Visit total = visit(*make_traffic(traffic_of(toy, 1'000'000)), toy.servers);
    CHECK(total.requests == 1'000'000);
    CHECK(total.waited / total.requests == Approx(toy.wait).epsilon(0.02));
    CHECK(total.integral == Approx(total.in_system).epsilon(1e-9));
  }
}

TEST_CASE("users that wait for their answers give the throughput of the closed model", "[workloads][serving]") {
  for (const int users : {1, 5, 20}) {
    CAPTURE(users);
    TrafficConfig config{
        .classes = {{.arrivals = ClosedLoop{users, RandomNumber::exponential(10)},
                     .lengths = DrawnLengths{RandomNumber::fixed(1), RandomNumber::exponential(kTokensPerSecond)}}},
        .requests = 200'000};
    const Visit total = visit(*make_traffic(config), 1);
    CHECK(total.requests / total.end == Approx(closed_throughput(users, 10)).epsilon(0.01));
  }
}

TEST_CASE("a replica with k slots and iterations of one length is a station with k servers",
          "[workloads][serving][slow]") {
  // 1 ms per iteration, 1000 tokens to an answer: the wait for the end of an iteration is 0.05 % of a
  // service.
  for (const Toy& toy : {mgk("M/M/4", 4, 3, 1), mgk("M/D/4", 4, 3, 0), mgk("M/G/8", 8, 6.4, 0.6)}) {
    INFO(toy.name);
    TrafficConfig config = traffic_of(toy, 300'000);
    std::get<DrawnLengths>(config.classes[0].lengths).output = RandomNumber::gamma(1000, toy.cv);
    IterationPricer pricer(kMilli, 0);
    const auto source = make_traffic(config);
    ServingSession session(toy_session(toy_pool(1 << 26, toy.servers)), {&pricer}, nullptr, source.get());
    session.run();
    const ClassMetrics all = session.totals().metrics.all();
    CHECK(all.balanced());
    CHECK(all.queueing.mean() == Approx(toy.wait).epsilon(0.02));
  }
}

}  // namespace
}  // namespace flopcast
