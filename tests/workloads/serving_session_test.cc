// Does a serving session keep its books, obey queueing theory, and jump over iterations exactly?
#include <cmath>

#include "sim/base/random.h"
#include "tests/catch.h"
#include "tests/workloads/serving_fixture.h"

using namespace flopcast;

namespace {

/// A mixture of short and long requests that arrive at random.
std::vector<Request> mixture(int count, double rate, std::uint64_t seed, int longest_output = 400) {
  RandomStream random(seed);
  std::vector<Request> requests;
  double now = 0;
  for (int i = 0; i < count; ++i) {
    now += random.exponential() / rate;
    requests.push_back(toy_request(now, 1 + static_cast<int>(random.uniform() * 900),
                                   1 + static_cast<int>(random.uniform() * longest_output)));
  }
  return requests;
}

bool same_result(const RequestResult& a, const RequestResult& b) {
  return a.id == b.id && a.outcome == b.outcome && a.arrival == b.arrival && a.scheduled == b.scheduled &&
         a.first_token == b.first_token && a.finish == b.finish && a.output_tokens == b.output_tokens;
}

/// Iterations that get longer with the cache, so that a jump sums over a slope.
class SlopedPricer {
 public:
  static DecodeCurve curve(std::int64_t batch) {
    return DecodeCurve(batch, {0, 100, 300, 1000, 5000},
                       {5 * kMilli, 6 * kMilli, 9 * kMilli, 11 * kMilli, 40 * kMilli});
  }
};

}  // namespace

TEST_CASE("the sum over a jump is the sum of its iterations", "[serving]") {
  for (const double mean : {1.0, 1.8, 1.737}) {
    const TokenPattern pattern(mean);
    for (const std::int64_t batch : {1, 7, 64}) {
      const DecodeCurve curve = SlopedPricer::curve(batch);
      for (const std::int64_t from : {0, 13, 9999}) {
        const std::int64_t kv = batch * 37 + 5;
        Ticks sum = 0;
        for (std::int64_t i = 0; i < 700; ++i) {
          REQUIRE(curve.sum(kv, i, pattern, from) == sum);
          sum += curve.at(kv + batch * pattern.tokens(from, i));
        }
      }
    }
  }
}

TEST_CASE("token patterns give their mean", "[serving]") {
  const TokenPattern pattern(1.85);
  CHECK(pattern.tokens(0, 1000) == 1850);
  for (std::int64_t from = 0; from < 50; ++from)
    for (std::int64_t wanted = 1; wanted < 40; ++wanted) {
      const std::int64_t n = pattern.iterations(from, wanted);
      CHECK(pattern.tokens(from, n) >= wanted);
      CHECK(pattern.tokens(from, n - 1) < wanted);
    }
}

TEST_CASE("one request takes what its iterations take", "[serving]") {
  IterationPricer pricer(10 * kMilli, kMilli / 10);
  const ToyRun run = run_toy(toy_session(toy_pool()), {&pricer}, {toy_request(1.0, 100, 11)});
  REQUIRE(run.results.size() == 1);
  CHECK(run.results[0].ttft().value() == Approx(0.020));  // 10 ms + 100 x 0.1 ms
  CHECK(run.results[0].tpot().value() == Approx(0.010));
  CHECK(run.results[0].finish.value() == Approx(1.120));
  CHECK(run.totals.pools[0].pages_in_use == 0);
}

TEST_CASE("jumping over iterations changes nothing", "[serving]") {
  // Tight memory, so that requests give way to each other as well.
  for (const std::int64_t kv : {1 << 20, 6000, 2000}) {
    for (const BatchingRow& batching : batching_policies()) {
      for (const PreemptionRow& preemption : preemption_policies()) {
        IterationPricer pricer(10 * kMilli, kMilli / 50);
        SessionConfig config = toy_session(toy_pool(kv));
        ReplicaConfig& replica = config.pools[0].replica;
        replica.scheduler.batching = &batching;
        replica.scheduler.preemption = &preemption;
        replica.scheduler.token_budget = 512;
        replica.cache.capacity_tokens[KvTier::host] = 100'000;
        replica.restore_ticks_per_token[KvTier::host] = kMilli / 1000;
        const auto requests = mixture(400, 20, 7);
        const ToyRun with = run_toy(config, {&pricer}, requests);
        replica.jump = false;
        const ToyRun without = run_toy(config, {&pricer}, requests);
        REQUIRE(with.results.size() == 400);
        REQUIRE(without.results.size() == 400);
        for (std::size_t i = 0; i < with.results.size(); ++i) CHECK(same_result(with.results[i], without.results[i]));
        CHECK(with.totals.gaps.mean() == without.totals.gaps.mean());
        CHECK(with.totals.gaps.quantile(0.95) == without.totals.gaps.quantile(0.95));
        CHECK(with.totals.pools[0].mean_kv_share == without.totals.pools[0].mean_kv_share);
        CHECK(with.totals.pools[0].counters.preemptions == without.totals.pools[0].counters.preemptions);
        CHECK(with.totals.pools[0].counters.busy == without.totals.pools[0].counters.busy);
        if (kv < 3000) CHECK(with.totals.pools[0].counters.preemptions > 0);
        CHECK(with.totals.pools[0].counters.steps <= without.totals.pools[0].counters.steps);
        CHECK(with.totals.metrics.all().balanced());
        CHECK(with.totals.pools[0].pages_in_use == 0);
      }
    }
  }
}

TEST_CASE("batching policies differ in when a request is admitted", "[serving]") {
  // Iterations take 10 ms. One request answers for 100 of them; the second comes after a few, for ten.
  struct Expected {
    const char* policy;
    double second_admitted, first_finished;
  };
  for (const Expected& e : {Expected{"mixed", 0.06, 1.0}, {"prefill_first", 0.06, 1.01}, {"decode_first", 1.0, 1.0}}) {
    IterationPricer pricer(10 * kMilli, 0);
    SessionConfig config = toy_session(toy_pool());
    config.pools[0].replica.scheduler.batching = find_policy(batching_policies(), e.policy);
    REQUIRE(config.pools[0].replica.scheduler.batching);
    const ToyRun run = run_toy(config, {&pricer}, {toy_request(0, 10, 100), toy_request(0.055, 10, 10)});
    REQUIRE(run.results.size() == 2);
    for (const RequestResult& result : run.results) {
      INFO(e.policy << ", request " << result.id);
      if (result.id == 0) CHECK(result.finish.value() == Approx(e.first_finished));
      if (result.id == 1) CHECK(result.scheduled.value() == Approx(e.second_admitted));
    }
  }
}

TEST_CASE("prompts cut to balance attention are computed once, and in more iterations", "[serving]") {
  const auto requests = mixture(300, 40, 5, 1);
  std::int64_t tokens = 0;
  for (const Request& request : requests) tokens += request.input_tokens;
  ReplicaCounters with, without;
  for (const bool balance : {true, false}) {
    IterationPricer pricer(10 * kMilli, kMilli / 50);
    SessionConfig config = toy_session(toy_pool());
    ReplicaConfig& replica = config.pools[0].replica;
    replica.groups = 4;
    replica.scheduler.token_budget = 512;
    replica.scheduler.balance_attention = balance;
    (balance ? with : without) = run_toy(config, {&pricer}, requests).totals.pools[0].counters;
  }
  CHECK(with.prompt_tokens == tokens);
  CHECK(without.prompt_tokens == tokens);
  CHECK(with.prompt_iterations > without.prompt_iterations);
}

TEST_CASE("speculation speeds decoding up by its yield", "[serving]") {
  IterationPricer pricer(10 * kMilli, 0);
  SessionConfig config = toy_session(toy_pool());
  config.pools[0].replica.speculation = {1, 0.8};
  const ToyRun run = run_toy(config, {&pricer}, {toy_request(0, 10, 1801)});
  CHECK(run.results[0].tpot().value() == Approx(0.010 / 1.8).epsilon(0.01));
  CHECK(run.results[0].output_tokens == 1801);
  config.pools[0].replica.jump = false;
  CHECK(same_result(run_toy(config, {&pricer}, {toy_request(0, 10, 1801)}).results[0], run.results[0]));
}

// One request at a time, no answer beyond the first token: a single server. Waiting times of M/M/1, M/D/1 and
// M/G/1 (Pollaczek-Khinchine: W = lambda E[S^2] / (2 (1 - rho))).
TEST_CASE("a replica of one request at a time obeys queueing theory", "[serving]") {
  IterationPricer pricer(0, kMilli / 100);  // 10 us per token of the prompt
  SessionConfig config = toy_session(toy_pool(1 << 22, 1));
  config.pools[0].replica.scheduler.token_budget = 1 << 22;
  struct Case {
    const char* name;
    double (*draw)(RandomStream&);
    double second_moment;  // over the square of the mean
  };
  const Case cases[] = {
      {"M/D/1", [](RandomStream&) { return 1.0; }, 1.0},
      {"M/M/1", [](RandomStream& r) { return r.exponential(); }, 2.0},
      {"M/G/1", [](RandomStream& r) { return r.uniform() < 0.5 ? 0.2 : 1.8; }, 0.5 * (0.04 + 3.24)},
  };
  for (const Case& c : cases) {
    for (const double rho : {0.5, 0.7}) {
      RandomStream arrivals(11, 1), sizes(11, 2);
      std::vector<Request> requests;
      double now = 0;
      constexpr double kMeanTokens = 10'000, kService = 0.1;
      for (int i = 0; i < 200'000; ++i) {
        now += arrivals.exponential() * kService / rho;
        requests.push_back(
            toy_request(now, std::max(1, static_cast<int>(std::lround(c.draw(sizes) * kMeanTokens))), 1));
      }
      const ToyRun run = run_toy(config, {&pricer}, std::move(requests));
      const ClassMetrics all = run.totals.metrics.all();
      const double expected = rho / kService * c.second_moment * kService * kService / (2 * (1 - rho));
      INFO(c.name << " at " << rho);
      CHECK(all.queueing.mean() == Approx(expected).epsilon(0.02));
      // Little's law, exactly: the time integral of requests in the system is the sum of their times in it.
      double in_system = 0;
      for (const RequestResult& result : run.results) in_system += result.end_to_end().value();
      CHECK(in_system / static_cast<double>(all.end_to_end.count()) == Approx(all.end_to_end.mean()).epsilon(1e-9));
    }
  }
}

TEST_CASE("requests that no replica can hold are rejected, and said so", "[serving]") {
  IterationPricer pricer(10 * kMilli, 0);
  const ToyRun run = run_toy(toy_session(toy_pool(1000)), {&pricer}, {toy_request(0, 2000, 5), toy_request(0, 100, 5)});
  CHECK(run.totals.metrics.all().rejected.requests == 1);
  CHECK(run.totals.metrics.all().completed.requests == 1);
  CHECK(run.totals.too_long == 1);
}

// Prefill, decode, failures.

namespace {

ClusterSpec toy_cluster(int nodes) {
  ClusterSpec cluster;
  cluster.nodes = nodes;
  cluster.node.gpus = 1;
  cluster.node.gpu.nvlink_bandwidth = cluster.node.nvlink_bandwidth = 100_GBps;
  cluster.node.nic_bandwidth = 1_GBps;
  cluster.node.nic_efficiency = cluster.node.nvlink_efficiency = 1;
  cluster.fabric.port_bandwidth = 1_GBps;
  cluster.fabric.same_leaf_latency = cluster.fabric.cross_leaf_latency = Seconds(1e-3);
  return cluster;
}

SessionConfig toy_split(int prefill, int decode) {
  SessionConfig config = toy_session(toy_pool());
  PoolConfig second = config.pools[0];
  config.pools[0].name = "prefill";
  config.pools[0].replica.role = ReplicaRole::prefill;
  config.pools[0].replicas = prefill;
  second.name = "decode";
  second.replica.role = ReplicaRole::decode;
  second.replicas = decode;
  second.first_gpu = prefill;
  config.pools[0].next = 1;
  config.pools.push_back(second);
  config.pools[0].kv_bytes_per_token = config.pools[1].kv_bytes_per_token = Bytes(1e6);
  return config;
}

}  // namespace

TEST_CASE("a cache moves from prefill to decode over the fabric", "[serving]") {
  const ClusterSpec cluster = toy_cluster(2);
  Topology topology(cluster);
  IterationPricer prompts(0, kMilli), answers(10 * kMilli, 0);
  const ToyRun run = run_toy(toy_split(1, 1), {&prompts, &answers}, {toy_request(0, 100, 11)}, &topology);
  // 100 ms of prompt, 100 MB over 1 GB/s, 1 ms of latency, ten iterations.
  // The first token is shown when the decode replica takes the request in; ten more follow, 10 ms each.
  CHECK(run.results[0].ttft().value() == Approx(0.1 + 0.1 + 0.001));
  CHECK(run.results[0].tpot().value() == Approx(0.01));
  CHECK(run.results[0].finish.value() == Approx(0.1 + 0.1 + 0.001 + 0.1));
  CHECK(run.totals.transfers == 1);
  CHECK(run.totals.pools[0].pages_in_use == 0);
  CHECK(run.totals.pools[1].pages_in_use == 0);
}

TEST_CASE("moving a cache has a fixed time, and its pages go slower than one large message", "[serving]") {
  const ClusterSpec cluster = toy_cluster(2);
  Topology topology(cluster);
  IterationPricer prompts(0, kMilli), answers(10 * kMilli, 0);
  SessionConfig config = toy_split(1, 1);
  config.cache_pace = {Seconds(0.003), 0.8};
  const ToyRun run = run_toy(config, {&prompts, &answers}, {toy_request(0, 100, 11)}, &topology);
  // 100 ms of prompt, 100 MB at 0.8 GB/s, 3 ms, 1 ms of latency.
  CHECK(run.results[0].ttft().value() == Approx(0.1 + 0.125 + 0.003 + 0.001));
  CHECK(run.totals.transferred.value() == Approx(1e8));
}

namespace {

/// An encoder before prefill and decode, each with GPUs of its own.
SessionConfig toy_chain(int encode, int prefill, int decode) {
  SessionConfig config = toy_split(prefill, decode);
  PoolConfig encoder = config.pools[0];
  encoder.name = "encode";
  encoder.replica.role = ReplicaRole::encode;
  encoder.replicas = encode;
  encoder.kv_bytes_per_token = Bytes(1e5);  // embeddings
  config.pools.insert(config.pools.begin(), encoder);
  for (std::size_t p = 1; p < config.pools.size(); ++p)
    config.pools[p].first_gpu = config.pools[p - 1].first_gpu + config.pools[p - 1].replicas;
  config.pools[1].next = 2;
  return config;
}

}  // namespace

TEST_CASE("requests move along a chain of three pools", "[serving]") {
  const ClusterSpec cluster = toy_cluster(3);
  Topology topology(cluster);
  IterationPricer images(0, kMilli / 2), prompts(0, kMilli), answers(10 * kMilli, 0);
  const ToyRun run = run_toy(toy_chain(1, 1, 1), {&images, &prompts, &answers}, {toy_request(0, 100, 11)}, &topology);
  REQUIRE(run.results.size() == 1);
  // 50 ms of encoder, 10 MB of embeddings over 1 GB/s and 1 ms of latency, 100 ms of prompt; then 100 MB of cache and
  // ten iterations.
  const double computed = 0.05 + 0.010 + 0.001 + 0.1;
  CHECK(run.results[0].scheduled.value() == 0);
  CHECK(run.results[0].finish.value() == Approx(computed + 0.1 + 0.001 + 0.1));
  CHECK(run.totals.transfers == 2);
  CHECK(run.totals.transferred.value() == Approx(1.1e8));
  CHECK(run.totals.pools[0].counters.prompt_tokens == 100);
  CHECK(run.totals.pools[0].counters.prompts_done == 0);
  CHECK(run.totals.pools[1].counters.prompts_done == 1);
  CHECK(run.totals.pools[2].counters.decode_tokens == 10);
  for (const PoolTotals& pool : run.totals.pools) CHECK(pool.pages_in_use == 0);
}

TEST_CASE("a chain of pools loses nothing when replicas fail, scale and jump", "[serving]") {
  const ClusterSpec cluster = toy_cluster(7);
  IterationPricer images(kMilli, kMilli / 100), prompts(kMilli, kMilli / 50), answers(10 * kMilli, 0);
  SessionConfig config = toy_chain(2, 2, 3);
  config.failures.failures_per_gpu_hour = 60;
  config.failures.repair = Seconds(5);
  config.failures.retries = 2;
  for (PoolConfig& pool : config.pools) pool.autoscale = {true, 1, Seconds(5), Seconds(3), 0.7};
  const auto requests = mixture(1500, 15, 9);
  Topology first(cluster), second(cluster);
  const ToyRun with = run_toy(config, {&images, &prompts, &answers}, requests, &first);
  for (PoolConfig& pool : config.pools) pool.replica.jump = false;
  const ToyRun without = run_toy(config, {&images, &prompts, &answers}, requests, &second);
  CHECK(with.totals.failures > 5);
  CHECK(with.totals.metrics.all().left() == 1500);
  CHECK(with.totals.metrics.all().balanced());
  REQUIRE(with.results.size() == without.results.size());
  for (std::size_t i = 0; i < with.results.size(); ++i) CHECK(same_result(with.results[i], without.results[i]));
  for (const PoolTotals& pool : with.totals.pools) CHECK(pool.pages_in_use == 0);
}

TEST_CASE("caches that meet on a port share it", "[serving]") {
  const ClusterSpec cluster = toy_cluster(3);
  Topology topology(cluster);
  IterationPricer prompts(0, kMilli), answers(10 * kMilli, 0);
  // Two prefill replicas finish at once and send to the one decode replica.
  const ToyRun run =
      run_toy(toy_split(2, 1), {&prompts, &answers}, {toy_request(0, 100, 11), toy_request(0, 100, 11)}, &topology);
  CHECK(run.totals.contended_transfers == 2);
  for (const RequestResult& r : run.results) CHECK(r.finish.value() == Approx(0.1 + 0.2 + 0.001 + 0.1));
}

TEST_CASE("jumping changes nothing with prefill and decode apart", "[serving]") {
  const ClusterSpec cluster = toy_cluster(5);
  IterationPricer prompts(kMilli, kMilli / 50), answers(10 * kMilli, 0);
  SessionConfig config = toy_split(2, 3);
  for (PoolConfig& pool : config.pools) pool.replica.cache.capacity_tokens[KvTier::hbm] = 4000;
  const auto requests = mixture(300, 15, 5);
  Topology first(cluster), second(cluster);
  const ToyRun with = run_toy(config, {&prompts, &answers}, requests, &first);
  for (PoolConfig& pool : config.pools) pool.replica.jump = false;
  const ToyRun without = run_toy(config, {&prompts, &answers}, requests, &second);
  REQUIRE(with.results.size() == 300);
  REQUIRE(without.results.size() == 300);
  for (std::size_t i = 0; i < 300; ++i) CHECK(same_result(with.results[i], without.results[i]));
  CHECK(with.totals.pools[0].pages_in_use == 0);
  CHECK(with.totals.pools[1].pages_in_use == 0);
}

TEST_CASE("requests of failed replicas are retried or lost, and none is forgotten", "[serving]") {
  const ClusterSpec cluster = toy_cluster(5);
  IterationPricer prompts(kMilli, kMilli / 50), answers(10 * kMilli, 0);
  for (const int retries : {0, 2}) {
    Topology topology(cluster);
    SessionConfig config = toy_split(2, 3);
    config.failures.failures_per_gpu_hour = 60;  // one a minute and GPU
    config.failures.repair = Seconds(5);
    config.failures.retries = retries;
    const ToyRun run = run_toy(config, {&prompts, &answers}, mixture(1500, 15, 9), &topology);
    const ClassMetrics all = run.totals.metrics.all();
    CHECK(run.totals.failures > 5);
    CHECK(all.arrived.requests == 1500);
    CHECK(all.left() == 1500);
    CHECK(all.balanced());
    if (retries == 0) CHECK(all.lost.requests + all.rejected.requests > 0);
    if (retries > 0) CHECK(run.totals.retried > 0);
    for (const PoolTotals& pool : run.totals.pools) CHECK(pool.pages_in_use == 0);
  }
}

TEST_CASE("replicas follow the load when told to", "[serving]") {
  IterationPricer pricer(10 * kMilli, 0);
  SessionConfig config = toy_session(toy_pool(1 << 20, 8));
  config.pools[0].replicas = 6;
  config.pools[0].autoscale = {true, 1, Seconds(5), Seconds(10), 0.7};
  std::vector<Request> requests = mixture(2000, 8, 3);
  for (Request& request : mixture(300, 0.5, 4)) {
    request.arrival += requests.back().arrival * 0 + Seconds(260);
    requests.push_back(request);
  }
  const ToyRun run = run_toy(config, {&pricer}, requests);
  CHECK(run.totals.metrics.all().completed.requests == 2300);
  CHECK(run.totals.pools[0].mean_replicas < 5.0);
  CHECK(run.totals.pools[0].mean_replicas >= 1.0);
}

TEST_CASE("a replica driven from a tenth to above its capacity gives a monotone latency curve", "[serving]") {
  IterationPricer pricer(10 * kMilli, kMilli / 100);
  SessionConfig config = toy_session(toy_pool(1 << 20, 16));
  double before = 0;
  for (const double load : {0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.2}) {
    // Sixteen at a time, 100 iterations each: 16 per second at most, less what prompts take.
    std::vector<Request> requests;
    RandomStream random(5);
    double now = 0;
    for (int i = 0; i < 4000; ++i) {
      now += random.exponential() / (14.0 * load);
      requests.push_back(toy_request(now, 100, 100));
    }
    const double latency = run_toy(config, {&pricer}, requests).totals.metrics.all().end_to_end.mean();
    CHECK(latency >= before);
    before = latency;
  }
}

TEST_CASE("expert load that drifts changes the pace", "[serving]") {
  IterationPricer slow(20 * kMilli, 0), fast(10 * kMilli, 0);
  SessionConfig config = toy_session(toy_pool());
  config.pools[0].pace = {0, 1};
  config.pools[0].pace_period = Seconds(1);
  ListSource source({toy_request(0, 1, 151)});
  std::vector<IterationPricer*> levels = {&fast, &slow};
  ServingSession session(config, {PoolPricers(levels)}, nullptr, &source);
  session.run();
  // A second of 10 ms iterations, then 20 ms ones: 1 + 99 in the first second, 50 in the next, one more.
  CHECK(session.totals().metrics.all().end_to_end.mean() == Approx(2.0).epsilon(0.02));
}

TEST_CASE("a session is fed and stopped from outside", "[serving]") {
  IterationPricer pricer(10 * kMilli, 0);
  ServingSession session(toy_session(toy_pool()), {&pricer}, nullptr, nullptr);
  int answered = 0;
  session.on_result([&](const Request&, const RequestResult&) { ++answered; });
  for (int step = 0; step < 5; ++step) {
    for (int i = 0; i < 8; ++i) session.submit(toy_request(session.now().value(), 50, 20));
    session.run();
    CHECK(session.idle());
    CHECK(answered == 8 * (step + 1));
    session.run_until(session.now() + Seconds(1));
  }
}

// What a session says of itself.

TEST_CASE("series have one time axis, and each request in one place", "[serving]") {
  const ClusterSpec cluster = toy_cluster(4);
  Topology topology(cluster);
  IterationPricer prompts(kMilli, kMilli / 20), answers(40 * kMilli, 0);
  SessionConfig config = toy_split(1, 2);
  config.pools[1].replica.scheduler.max_batch = 8;  // so that requests wait for a place, their caches being elsewhere
  const ToyRun run = run_toy(config, {&prompts, &answers}, mixture(400, 5, 3), &topology);
  double inside = 0;
  for (const PoolTotals& pool : run.totals.pools) {
    for (const TimeSeries* series : {&pool.kv_share, &pool.running, &pool.waiting, &pool.up, &pool.busy})
      CHECK(series->width() == run.totals.pools[0].kv_share.width());
    for (const TimeSeries* series : {&pool.running, &pool.waiting}) inside += series->average(Seconds(1));
  }
  // Samples of the queues against the exact integral.
  CHECK(inside == Approx(static_cast<double>(run.totals.in_system) / kTicksPerSecond).epsilon(0.02));
}

TEST_CASE("replicas are paid for while they are broken, not when they are given back", "[serving]") {
  IterationPricer pricer(10 * kMilli, 0);
  SessionConfig config = toy_session(toy_pool());
  config.pools[0].replicas = 4;
  config.failures.failures_per_gpu_hour = 60;
  config.failures.repair = Seconds(20);
  config.failures.retries = 5;
  const SessionTotals failing = run_toy(config, {&pricer}, mixture(1000, 10, 5)).totals;
  const PoolTotals& pool = failing.pools[0];
  CHECK(failing.failures > 3);
  CHECK(pool.broken_time.value() > 20);
  CHECK(pool.paid_time().value() == Approx(4 * failing.duration().value()));
  config.failures = {};
  config.pools[0].autoscale = {true, 1, Seconds(5), Seconds(10), 0.7};
  const SessionTotals scaled = run_toy(config, {&pricer}, mixture(1000, 10, 5)).totals;
  CHECK(scaled.pools[0].broken_time.value() == 0);
  CHECK(scaled.pools[0].paid_time().value() < 3 * scaled.end.value());
}

TEST_CASE("a session ends at the end of its clock, and says that it was cut", "[serving]") {
  // An iteration of nearly a day and a half, and one longer than the clock.
  for (const Ticks iteration : {Ticks{130'000} * 1000 * kMilli, kLongestTicks}) {
    IterationPricer pricer(iteration, 0);
    const ToyRun run = run_toy(toy_session(toy_pool()), {&pricer}, {toy_request(0, 10, 1000), toy_request(5, 10, 2)});
    CHECK(run.totals.cut);
    CHECK(run.totals.live == (iteration == kLongestTicks ? 2 : 1));
    CHECK(run.totals.metrics.all().in_flight() == run.totals.live);
  }
  IterationPricer pricer(10 * kMilli, 0);
  const ToyRun late = run_toy(toy_session(toy_pool()), {&pricer}, {toy_request(0, 10, 5), toy_request(1e9, 10, 5)});
  CHECK(late.totals.cut);
  CHECK(late.totals.live == 0);
  CHECK(late.totals.metrics.all().completed.requests == 1);
  CHECK_FALSE(run_toy(toy_session(toy_pool()), {&pricer}, {toy_request(0, 10, 5)}).totals.cut);
}

// Faults at stated times.

TEST_CASE("a decode engine that computes the first token once more shows it an iteration later", "[serving]") {
  const ClusterSpec cluster = toy_cluster(2);
  Topology topology(cluster);
  IterationPricer prompts(0, kMilli), answers(10 * kMilli, 0);
  SessionConfig config = toy_split(1, 1);
  config.pools[1].replica.first_step_token = true;
  const ToyRun run = run_toy(config, {&prompts, &answers}, {toy_request(0, 100, 11)}, &topology);
  CHECK(run.results[0].ttft().value() == Approx(0.1 + 0.1 + 0.001 + 0.01));
  CHECK(run.results[0].finish.value() == Approx(0.1 + 0.1 + 0.001 + 0.1));
}

TEST_CASE("an iteration put together ahead leaves out who comes while the one before it runs", "[serving]") {
  // Iterations of 10 ms. The second request comes in the middle of the second one.
  IterationPricer engine(10 * kMilli, 0);
  SessionConfig config = toy_session(toy_pool());
  const std::vector<Request> requests = {toy_request(0, 10, 100), toy_request(0.015, 10, 5)};
  CHECK(run_toy(config, {&engine}, requests).results[0].ttft().value() == Approx(0.015));
  config.pools[0].replica.scheduled_ahead = true;
  const ToyRun ahead = run_toy(config, {&engine}, requests);
  CHECK(ahead.results[0].id == 1);
  CHECK(ahead.results[0].ttft().value() == Approx(0.025));
  // Nobody is made to wait for an iteration that does not come.
  CHECK(ahead.results[1].ttft().value() == Approx(0.010));
  const ToyRun next = run_toy(config, {&engine}, {toy_request(0, 10, 2), toy_request(0.015, 10, 2)});
  CHECK(next.results[1].ttft().value() == Approx(0.015));
}

TEST_CASE("iterations put together ahead lose nothing, and jumping over them changes nothing", "[serving]") {
  for (const std::int64_t kv : {1 << 20, 2000}) {
    IterationPricer pricer(10 * kMilli, kMilli / 50);
    SessionConfig config = toy_session(toy_pool(kv));
    ReplicaConfig& replica = config.pools[0].replica;
    replica.groups = 2;
    replica.scheduled_ahead = replica.results_behind_launch = true;
    const auto requests = mixture(400, 20, 7);
    const ToyRun with = run_toy(config, {&pricer}, requests);
    replica.jump = false;
    const ToyRun without = run_toy(config, {&pricer}, requests);
    REQUIRE(with.results.size() == 400);
    for (std::size_t i = 0; i < with.results.size(); ++i) CHECK(same_result(with.results[i], without.results[i]));
    CHECK(with.totals.metrics.all().balanced());
    CHECK(with.totals.pools[0].pages_in_use == 0);
  }
}

TEST_CASE("what stops at a stated time is away until it is repaired", "[serving][faults]") {
  IterationPricer engine(10 * kMilli, kMilli / 100);
  SessionConfig config = toy_session(toy_pool());
  config.pools[0].replicas = 3;
  config.failures.stated = {StatedFault{Seconds(2), {0, 2}, false, Seconds(7)}};
  const ToyRun run = run_toy(config, {&engine}, mixture(400, 20, 5));
  CHECK(run.totals.failures == 2);
  CHECK(run.totals.retried > 0);
  CHECK(run.totals.metrics.all().completed.requests == 400);
  CHECK(run.totals.pools[0].broken_time.value() == Approx(2 * 7.0));
  const ToyRun again = run_toy(config, {&engine}, mixture(400, 20, 5));
  CHECK(again.totals.duration() == run.totals.duration());
}

TEST_CASE("a rolling restart takes replicas one by one and loses nothing", "[serving][faults]") {
  IterationPricer engine(10 * kMilli, kMilli / 100);
  SessionConfig config = toy_session(toy_pool());
  config.pools[0].replicas = 3;
  config.failures.stated = {StatedFault{Seconds(1), {0, 1, 2}, true, Seconds(3)}};
  const ToyRun run = run_toy(config, {&engine}, mixture(600, 20, 5));
  CHECK(run.totals.failures == 0);
  CHECK(run.totals.retried == 0);
  CHECK(run.totals.metrics.all().completed.requests == 600);
  CHECK(run.totals.pools[0].broken_time.value() == Approx(3 * 3.0));
}
