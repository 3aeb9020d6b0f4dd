// Do random deployments keep their books: every request, token and page, whatever fails, scales, swaps or moves?
#include <cmath>
#include <vector>

#include "sim/base/random.h"
#include "tests/catch.h"
#include "tests/workloads/serving_fixture.h"
#include "workloads/serving/traffic/traffic.h"

namespace flopcast {
namespace {

using Catch::Matchers::WithinRel;

ClusterSpec small_nodes(int nodes) {
  ClusterSpec cluster;
  cluster.nodes = nodes;
  cluster.node.gpus = 2;
  cluster.node.gpu.nvlink_bandwidth = cluster.node.nvlink_bandwidth = 100_GBps;
  cluster.node.nic_bandwidth = 1_GBps;
  cluster.node.nic_efficiency = cluster.node.nvlink_efficiency = 1;
  cluster.fabric.port_bandwidth = 1_GBps;
  cluster.fabric.same_leaf_latency = cluster.fabric.cross_leaf_latency = Seconds(1e-5);
  return cluster;
}

struct Deployment {
  SessionConfig config;
  TrafficConfig traffic;
  std::string text;
};

void vary_replica(ReplicaConfig& replica, RandomStream& random, std::string& text) {
  const auto yes = [&](double share) { return random.uniform() < share; };
  replica.groups = yes(0.5) ? 1 : 4;
  replica.scheduler.max_batch = yes(0.5) ? 8 : 64;
  replica.scheduler.token_budget = yes(0.5) ? 256 : 4096;
  replica.scheduler.chunked_prefill = yes(0.7);
  replica.scheduler.balance_attention = replica.scheduler.chunked_prefill && yes(0.3);
  replica.scheduler.batching = &batching_policies()[yes(0.5) ? 0 : 1];
  replica.scheduler.preemption = &preemption_policies()[yes(0.5) ? 1 : 0];
  replica.scheduler.admission = &admission_policies()[yes(0.1) ? 1 : 0];
  if (yes(0.2)) replica.scheduler.max_waiting = 5;
  replica.cache.page_tokens = yes(0.5) ? 16 : 64;
  replica.cache.prefix_block_tokens = replica.role == ReplicaRole::decode ? 0 : 64;
  replica.cache.capacity_tokens[KvTier::hbm] = yes(0.5) ? 6'000 : 200'000;
  replica.cache.capacity_tokens[KvTier::host] = yes(0.5) ? 0 : 20'000;
  replica.cache.capacity_tokens[KvTier::storage] = yes(0.7) ? 0 : 100'000;
  replica.restore_ticks_per_token[KvTier::host] = kMilli / 1000;
  replica.restore_ticks_per_token[KvTier::storage] = kMilli / 100;
  replica.reserved_tokens = yes(0.5) ? 0 : 64;
  if (yes(0.5)) replica.nic = {2e4, 1e8, 3e7, yes(0.5)};
  text +=
      " groups " + std::to_string(replica.groups) + " kv " +
      std::to_string(replica.cache.capacity_tokens[KvTier::hbm]) +
      (" " + std::string(replica.scheduler.preemption->name) + " " + std::string(replica.scheduler.admission->name));
}

Deployment random_deployment(std::uint64_t seed) {
  RandomStream random(seed, 3);
  const auto yes = [&](double share) { return random.uniform() < share; };
  Deployment out;
  PoolConfig pool = toy_pool();
  pool.kv_bytes_per_token = Bytes(1e5);
  const bool split = yes(0.5), scaled = yes(0.4), fails = yes(0.4);
  SpeculationConfig speculation = yes(0.4) ? SpeculationConfig{1, 0.7} : SpeculationConfig{};
  if (speculation.depth > 0 && seed % 3 > 0) speculation.most_batch = static_cast<int>(1 + seed % 5);
  for (const ReplicaRole role :
       split ? std::vector{ReplicaRole::prefill, ReplicaRole::decode} : std::vector{ReplicaRole::unified}) {
    pool.replica.role = role;
    pool.replicas = 1 + static_cast<int>(random.uniform() * 4);
    pool.router = routers()[static_cast<std::size_t>(random.uniform() * static_cast<double>(routers().size()))].name;
    vary_replica(pool.replica, random, out.text);
    pool.replica.speculation = speculation;
    pool.plan.attention_data = pool.replica.groups;
    pool.first_gpu = out.config.pools.empty() ? 0 : 16;
    pool.next = hands_on(role) ? std::optional<std::size_t>(1) : std::nullopt;
    if (scaled) pool.autoscale = {true, 1, Seconds(3), Seconds(4), 0.6};
    if (yes(0.3)) pool.pace = {0, 1}, pool.pace_period = Seconds(0.7);
    out.config.pools.push_back(pool);
  }
  if (seed % 10 == 7)
    for (PoolConfig& p : out.config.pools)
      p.replica.scheduler.batching = find_policy(batching_policies(), "decode_first");
  out.config.levels = {ServiceLevel{kNever, Seconds(0.05), kNever}};
  out.config.send_in_parts = yes(0.3) ? 10 : 1;
  if (fails) out.config.failures = {120, Seconds(2), yes(0.5) ? 2 : 0, seed};
  TrafficClass talk{.name = "talk",
                    .arrivals = OpenLoop{RateCurve::constant(Hertz(20)), Spacing::gamma, 1.5},
                    .lengths = DrawnLengths{RandomNumber::log_normal(300, 1).clamped(1, 2000),
                                            RandomNumber::log_normal(60, 1).clamped(1, 600)}};
  if (yes(0.5))
    talk.sessions = Sessions{.turns = RandomNumber::uniform(1, 4),
                             .think = RandomNumber::exponential(1),
                             .system_prompt_tokens = 200,
                             .system_prompts = 3,
                             .context = 4000};
  else if (yes(0.3))
    talk.arrivals = ClosedLoop{30, RandomNumber::exponential(0.5)};
  out.traffic = {.classes = {talk}, .seed = seed, .requests = 250};
  out.text += split ? " split" : " unified";
  out.text += std::string(scaled ? " scaled" : "") + (fails ? " fails" : "");
  return out;
}

ToyRun run_random(const Deployment& deployment, bool jump) {
  SessionConfig config = deployment.config;
  for (PoolConfig& pool : config.pools) pool.replica.jump = jump;
  const ClusterSpec cluster = small_nodes(16);
  Topology topology(cluster);
  IterationPricer fast(8 * kMilli, kMilli / 50), slow(11 * kMilli, kMilli / 40);
  std::vector<PoolPricers> prices(config.pools.size(), PoolPricers(std::vector<IterationPricer*>{&fast, &slow}));
  const auto source = make_traffic(deployment.traffic);
  ServingSession session(config, prices, &topology, source.get());
  ToyRun out;
  session.on_result([&](const Request&, const RequestResult& result) { out.results.push_back(result); });
  session.run();
  CHECK(session.idle());
  out.totals = session.totals();
  return out;
}

bool same(const RequestResult& a, const RequestResult& b) {
  return a.id == b.id && a.outcome == b.outcome && a.arrival == b.arrival && a.scheduled == b.scheduled &&
         a.first_token == b.first_token && a.finish == b.finish && a.output_tokens == b.output_tokens &&
         a.cached_tokens == b.cached_tokens;
}

void check_same(const ToyRun& a, const ToyRun& b) {
  REQUIRE(a.results.size() == b.results.size());
  std::size_t different = 0;
  for (std::size_t i = 0; i < a.results.size(); ++i) different += !same(a.results[i], b.results[i]);
  CHECK(different == 0);
  CHECK(a.totals.gaps.mean() == b.totals.gaps.mean());
  CHECK(a.totals.in_system == b.totals.in_system);
  CHECK(a.totals.transfers == b.totals.transfers);
  for (std::size_t p = 0; p < a.totals.pools.size(); ++p) {
    CHECK(a.totals.pools[p].counters.busy == b.totals.pools[p].counters.busy);
    CHECK(a.totals.pools[p].counters.iterations == b.totals.pools[p].counters.iterations);
    CHECK(a.totals.pools[p].counters.preemptions == b.totals.pools[p].counters.preemptions);
    CHECK(a.totals.pools[p].mean_kv_share == b.totals.pools[p].mean_kv_share);
    CHECK(a.totals.pools[p].kv.peak_used_tokens == b.totals.pools[p].kv.peak_used_tokens);
  }
}

}  // namespace

TEST_CASE("whatever happens, requests, tokens and pages are accounted for, with and without jumps",
          "[workloads][serving]") {
  std::int64_t preemptions = 0, swaps = 0, failures = 0, hits = 0, lost = 0, moved = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    const Deployment deployment = random_deployment(seed);
    INFO("seed " << seed << ":" << deployment.text);
    const ToyRun run = run_random(deployment, true);
    const ClassMetrics all = run.totals.metrics.all();
    CHECK(all.arrived.requests == 250);
    CHECK(all.left() == 250);
    CHECK(all.balanced());
    CHECK(run.totals.in_system == run.totals.sojourns);  // Little's law, to the picosecond
    std::int64_t input = 0, output = 0;
    for (const RequestResult& result : run.results) {
      CHECK(result.arrival.value() <= result.scheduled.value() + 1e-12);  // the clock's tick
      CHECK(result.scheduled <= result.first_token);
      CHECK(result.first_token <= result.finish);
      if (result.outcome != RequestOutcome::completed) continue;
      input += result.input_tokens;
      output += result.output_tokens;
    }
    CHECK(all.completed.input_tokens == input);
    CHECK(all.output_tokens == output);
    for (const PoolTotals& pool : run.totals.pools) {
      CHECK(pool.pages_in_use == 0);
      preemptions += pool.counters.preemptions;
      swaps += pool.counters.swaps;
      hits += pool.kv.hit_tokens.total();
    }
    failures += run.totals.failures;
    lost += all.lost.requests;
    moved += run.totals.transfers;
    check_same(run, run_random(deployment, false));
    check_same(run, run_random(deployment, true));
  }
  // The configurations do reach all of this.
  CHECK(preemptions > 100);
  CHECK(swaps > 20);
  CHECK(failures > 20);
  CHECK(hits > 1000);
  CHECK(lost > 5);
  CHECK(moved > 1000);
}

TEST_CASE("drafts for the tail: one token an iteration while the batch is full, more for those that are left",
          "[workloads][serving]") {
  // Every iteration takes 10 ms. Twelve answers of 101 tokens and four of 301, the first token of each with its prompt.
  std::vector<Request> requests;
  for (int i = 0; i < 16; ++i) requests.push_back(toy_request(0, 1, i < 4 ? 301 : 101));
  IterationPricer pricer(10 * kMilli, 0);
  const auto longest = [&](int depth, int most_batch) {
    PoolConfig pool = toy_pool();
    pool.replica.speculation = {depth, 0.5, DraftKind::mtp, most_batch};
    double last = 0;
    for (const RequestResult& result : run_toy(toy_session(pool), {PoolPricers(&pricer)}, requests).results)
      last = std::max(last, result.finish.value());
    return last;
  };
  const double plain = longest(0, 0), always = longest(1, 0);
  CHECK_THAT(plain, WithinRel(3.01, 1e-9));
  CHECK_THAT(always, WithinRel(2.01, 1e-9));         // 300 tokens at 1.5 an iteration
  CHECK_THAT(longest(1, 4), WithinRel(2.35, 1e-9));  // 100 iterations, then 200 tokens in 134
  CHECK(longest(1, 3) == plain);
  CHECK(longest(1, 16) == always);
}

TEST_CASE("priorities, shares and deadlines keep the books, with and without jumps", "[workloads][serving]") {
  std::int64_t expired = 0, gave_way = 0, completed = 0;
  for (std::uint64_t seed = 1; seed <= 80; ++seed) {
    Deployment deployment = random_deployment(seed);
    RandomStream random(seed, 4);
    ClassRules rules{.preempt = random.uniform() < 0.5};
    const TrafficClass talk = deployment.traffic.classes.front();
    deployment.traffic.classes = {talk, talk, talk};
    deployment.config.levels.resize(3);
    for (int c = 0; c < 3; ++c) {
      ClassRule rule{.priority = static_cast<int>(random.uniform() * 2), .weight = 0.5 + random.uniform()};
      if (random.uniform() < 0.7) rule.first_token_deadline = to_ticks(Seconds(0.05 + random.uniform()));
      if (random.uniform() < 0.7) rule.deadline = to_ticks(Seconds(0.2 + 4 * random.uniform()));
      rules.of.push_back(rule);
    }
    rules.preempt = rules.preempt && rules.ordered();
    deployment.config.classes = std::make_shared<const ClassRules>(rules);
    INFO("seed " << seed << ":" << deployment.text);
    const ToyRun run = run_random(deployment, true);
    const ClassMetrics all = run.totals.metrics.all();
    CHECK(all.left() == 250);
    CHECK(all.balanced());
    CHECK(run.totals.in_system == run.totals.sojourns);
    for (const PoolTotals& pool : run.totals.pools) {
      CHECK(pool.pages_in_use == 0);
      gave_way += pool.counters.made_way;
    }
    expired += all.expired.requests;
    completed += all.completed.requests;
    check_same(run, run_random(deployment, false));
  }
  CHECK(expired > 500);
  CHECK(gave_way > 50);
  CHECK(completed > 5000);
}

namespace {

/// Two servers, each request to the shorter queue: mean number waiting, from the chain of both lengths.
double shorter_of_two_waiting(double load) {
  constexpr int kMost = 60;
  std::vector<std::vector<double>> p(kMost + 1, std::vector<double>(kMost + 1, 1e-6));
  const auto at = [&](int i, int j) {
    return i < 0 || j < 0 || i > kMost || j > kMost ? 0.0 : p[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
  };
  const auto in_flow = [&](int i, int j) {  // arrivals into (i, j) from (i-1, j)
    return i < 1 ? 0.0 : at(i - 1, j) * (i - 1 < j ? load : i - 1 == j ? load / 2 : 0.0);
  };
  for (int sweep = 0; sweep < 4000; ++sweep)
    for (int i = 0; i <= kMost; ++i)
      for (int j = 0; j <= kMost; ++j) {
        const double in = in_flow(i, j) +
                          (j < 1 ? 0.0
                                 : at(i, j - 1) * (j - 1 < i    ? load
                                                   : j - 1 == i ? load / 2
                                                                : 0.0)) +
                          at(i + 1, j) + at(i, j + 1);
        const double out = (std::min(i, j) < kMost ? load : 0.0) + (i > 0) + (j > 0);
        p[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] = in / out;
      }
  double sum = 0, waiting = 0;
  for (int i = 0; i <= kMost; ++i)
    for (int j = 0; j <= kMost; ++j) {
      sum += at(i, j);
      waiting += at(i, j) * (std::max(0, i - 1) + std::max(0, j - 1));
    }
  return waiting / sum;
}

/// Mean wait, in units of the mean service, of a session of one-request-at-a-time replicas under Poisson arrivals.
double session_wait(int replicas, const char* router, double load, double cv, std::uint64_t requests) {
  IterationPricer pricer(0, kMilli / 100);  // 10 us per token of the prompt, 10,000 tokens on average
  PoolConfig pool = toy_pool(1 << 22, 1);
  pool.replica.scheduler.token_budget = 1 << 22;
  pool.replicas = replicas;
  pool.router = router;
  const TrafficConfig traffic{
      .classes = {{.name = "toy",
                   .arrivals = OpenLoop{RateCurve::constant(Hertz(load / 0.1)), Spacing::exponential},
                   .lengths = DrawnLengths{RandomNumber::gamma(10'000, cv), RandomNumber::fixed(1)}}},
      .seed = 7,
      .requests = requests};
  const auto source = make_traffic(traffic);
  ServingSession session(toy_session(pool), {&pricer}, nullptr, source.get());
  session.run();
  const SessionTotals totals = session.totals();
  CHECK(totals.in_system == totals.sojourns);
  return totals.metrics.all().queueing.mean() / 0.1;
}

}  // namespace

TEST_CASE("replicas that the shortest queue is chosen of wait as the chain of their queues says",
          "[workloads][serving][slow]") {
  for (const double load : {1.0, 1.4}) {
    INFO("load " << load);
    CHECK(session_wait(2, "least_outstanding", load, 1, 600'000) ==
          Approx(shorter_of_two_waiting(load) / load).epsilon(0.02));
  }
}

TEST_CASE("replicas that take turns are queues with Erlang arrivals", "[workloads][serving][slow]") {
  // GI/M/1 with Erlang-k gaps: wait = s / (1 - s), s = (k rho / (k rho + 1 - s))^k.
  for (const int replicas : {2, 4}) {
    const double rho = 0.7;
    double s = 0.5;
    for (int i = 0; i < 2000; ++i) s = std::pow(replicas * rho / (replicas * rho + 1 - s), replicas);
    INFO(replicas << " replicas");
    CHECK(session_wait(replicas, "round_robin", replicas * rho, 1, 800'000) == Approx(s / (1 - s)).epsilon(0.02));
  }
}

TEST_CASE("a session without an end stops when it is told to", "[workloads][serving]") {
  const TrafficConfig endless{.classes = {{.name = "users",
                                           .arrivals = ClosedLoop{4, RandomNumber::fixed(0)},
                                           .lengths = DrawnLengths{RandomNumber::fixed(10), RandomNumber::fixed(10)}}}};
  IterationPricer pricer(10 * kMilli, 0);
  const auto source = make_traffic(endless);
  ServingSession session(toy_session(toy_pool()), {&pricer}, nullptr, source.get());
  int asked = 0;
  CHECK_FALSE(session.run([&](std::uint64_t) { return ++asked < 3; }));
  CHECK(asked == 3);
  CHECK(session.totals().metrics.all().in_flight() <= 4);
}

TEST_CASE("caches leave layer by layer while prompts are computed", "[workloads][serving]") {
  const ClusterSpec cluster = small_nodes(2);
  IterationPricer prompts(0, kMilli), answers(10 * kMilli, 0);
  SessionConfig config = toy_session(toy_pool());
  config.pools[0].replica.role = ReplicaRole::prefill;
  config.pools.push_back(config.pools[0]);
  config.pools[0].next = 1;
  config.pools[1].replica.role = ReplicaRole::decode;
  config.pools[1].first_gpu = 2;
  // 100 tokens take 100 ms to compute and, at 1 GB/s, 10 ms to send; or 200 ms.
  for (const auto& [bytes, left] : {std::pair(1e5, 0.001), std::pair(2e6, 0.1)}) {
    for (PoolConfig& pool : config.pools) pool.kv_bytes_per_token = Bytes(bytes);
    const double whole = 100 * bytes / 1e9, latency = 1e-5;
    for (const int parts : {1, 10}) {
      config.send_in_parts = parts;
      Topology topology(cluster);
      const ToyRun run = run_toy(config, {&prompts, &answers}, {toy_request(0, 100, 11)}, &topology);
      CHECK(run.results[0].finish.value() == Approx(0.1 + (parts == 1 ? whole : left) + latency + 0.1));
      CHECK(run.totals.transferred.value() == Approx(100 * bytes));
    }
  }
}

TEST_CASE("caches and the exchange of experts share NICs, and no byte is carried twice", "[workloads][serving]") {
  const ClusterSpec cluster = small_nodes(3);
  IterationPricer prompts(0, kMilli), answers(10 * kMilli, 0);
  SessionConfig config = toy_session(toy_pool());
  config.pools[0].replica.role = ReplicaRole::prefill;
  config.pools.push_back(config.pools[0]);
  config.pools[0].next = 1;
  config.pools[1].replica.role = ReplicaRole::decode;
  config.pools[1].first_gpu = 2;
  for (PoolConfig& pool : config.pools) pool.kv_bytes_per_token = Bytes(1e6);
  // One request decodes when the cache of another comes: 100 MB, 100 ms at 1 GB/s.
  const std::vector<Request> requests = {toy_request(0, 100, 200), toy_request(1, 100, 11)};
  const auto run = [&](double exchange_ms, bool overlapped) {
    config.pools[1].replica.nic = {0, exchange_ms * kMilli, 1e-3 * kTicksPerSecond, overlapped};
    Topology topology(cluster);
    return run_toy(config, {&prompts, &answers}, requests, &topology);
  };
  const ToyRun alone = run(0, false);
  const auto late = [](const ToyRun& r) { return r.results[0].finish.value(); };  // the second request ends first
  const auto early = [](const ToyRun& r) { return r.results[1].finish.value(); };
  // Exchange has the NIC for 4 of 10 ms when the second cache starts: it gets 0.8 GB/s, and takes a quarter of its own
  // 100 ms from the exchange. The first cache meets none.
  const ToyRun shared = run(4, false);
  CHECK(late(shared) - late(alone) == Approx(0.025 + 0.025).margin(0.011));  // its cache, the next iteration
  CHECK(early(shared) - early(alone) == Approx(0.025).margin(1e-9));
  const ToyRun hidden = run(4, true);  // 8 ms of then two requests and 25 ms do not fit into 10 ms
  CHECK(early(hidden) - early(alone) == Approx(0.023).margin(1e-9));
}

TEST_CASE("pools follow their own load, drain, and lose nothing", "[workloads][serving]") {
  const ClusterSpec cluster = small_nodes(16);
  Topology topology(cluster);
  IterationPricer prompts(kMilli, kMilli / 50), answers(10 * kMilli, 0);
  SessionConfig config = toy_session(toy_pool(1 << 20, 64));
  config.pools[0].replica.role = ReplicaRole::prefill;
  config.pools[0].replicas = 6;
  config.pools[0].replica.scheduler.token_budget = 512;
  config.pools.push_back(config.pools[0]);
  config.pools[0].next = 1;
  config.pools[1].replica.role = ReplicaRole::decode;
  config.pools[1].first_gpu = 8;
  config.pools[0].autoscale = {true, 1, Seconds(10), Seconds(5), 0.7};
  config.pools[1].autoscale = {true, 2, Seconds(20), Seconds(5), 0.6};
  const TrafficConfig traffic{
      .classes = {{.name = "day",
                   .arrivals =
                       OpenLoop{RateCurve::daily(Hertz(120), 0.9, Seconds(150), Seconds(300)), Spacing::exponential},
                   .lengths = DrawnLengths{RandomNumber::exponential(800), RandomNumber::exponential(100)}}},
      .duration = Seconds(600)};
  const auto source = make_traffic(traffic);
  ServingSession session(config, {&prompts, &answers}, &topology, source.get());
  session.run();
  const SessionTotals totals = session.totals();
  const ClassMetrics all = totals.metrics.all();
  CHECK(all.completed.requests == all.arrived.requests);
  for (const PoolTotals& pool : totals.pools) {
    INFO(pool.name << " " << pool.mean_replicas);
    const std::vector<double> up = pool.up.averages();
    const auto [least, most] = std::minmax_element(up.begin() + 2, up.end() - 2);
    CHECK(*least <= 2.5);
    CHECK(*most >= 4);
    CHECK(pool.pages_in_use == 0);
  }
}

}  // namespace flopcast
