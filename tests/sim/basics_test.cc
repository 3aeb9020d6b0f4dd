// Diagnostics, random streams, networks, graphs, processes, files.
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>

#include "sim/base/atomic_file.h"
#include "sim/base/diagnostic.h"
#include "sim/base/random.h"
#include "sim/graph.h"
#include "sim/jobs/process.h"
#include "sim/network.h"
#include "sim/replay.h"
#include "tests/catch.h"
#include "tests/sim/thrown.h"
#include "tests/temporary.h"

using namespace flopcast;
using flopcast::test::contains;
using flopcast::test::message_thrown_by;

TEST_CASE("A diagnostic says where, what was found, what was expected and what may have been meant") {
  CHECK(to_string({"run.textproto", 3, 7, "cluster.gpu", "\"h101\"", "a GPU of the library", "h100-sxm"}) ==
        "run.textproto:3:7: cluster.gpu: found \"h101\", expected a GPU of the library (did you mean "
        "\"h100-sxm\"?)");
  CHECK(to_string({"", 0, 0, "plan", "8", "16 GPUs", "", "data: 8"}) ==
        "plan: found 8, expected 16 GPUs (try data: 8)");
  CHECK(to_string({"run.textproto", 3, 0, "", "", "a cluster", ""}) ==
        "run.textproto:3: found nothing, expected a cluster");
  CHECK(to_string({"", 0, 0, "plan.data", "0", "at least 1", ""}) == "plan.data: found 0, expected at least 1");
}

TEST_CASE("An input error lists all its diagnostics") {
  const InputError error(std::vector<Diagnostic>{{"a", 1, 1, "x", "1", "2", ""}, {"a", 2, 1, "y", "3", "4", ""}});
  CHECK(std::string(error.what()) == "a:1:1: x: found 1, expected 2\na:2:1: y: found 3, expected 4");
  CHECK(error.diagnostics().size() == 2);
}

TEST_CASE("faults stand in the order of their lines, each once, and behind them those without a line") {
  const InputError error(std::vector<Diagnostic>{{"a", 7, 1, "late", "1", "2", ""},
                                                 {"a", 0, 0, "nowhere", "1", "2", ""},
                                                 {"a", 2, 9, "early", "1", "2", ""},
                                                 {"b", 1, 1, "other", "1", "2", ""},
                                                 {"a", 7, 1, "late", "1", "2", ""},
                                                 {"a", 2, 3, "first", "1", "2", ""}});
  std::string fields;
  for (const Diagnostic& d : error.diagnostics()) fields += d.field + " ";
  CHECK(fields == "first early late nowhere other ");
  CHECK(std::string(error.what()).find("first") < std::string(error.what()).find("early"));
}

TEST_CASE("The nearest name is offered, nonsense gets none") {
  const std::vector<std::string> gpus{"h100-sxm", "h100-pcie", "h800-sxm", "a100", "b200"};
  CHECK(nearest_name("h10-sxm", gpus) == "h100-sxm");
  CHECK(nearest_name("H800-SXM", gpus) == "h800-sxm");
  CHECK(nearest_name("h800-smx", gpus) == "h800-sxm");
  CHECK(nearest_name("b20", gpus) == "b200");
  CHECK(nearest_name("banana", gpus).empty());
  CHECK(nearest_name("", gpus).empty());
  CHECK(nearest_name("x", gpus).empty());
  CHECK(nearest_name(std::string(100'000, 'h'), gpus).empty());
  CHECK(nearest_name("h100", {}).empty());
  // What goes on where the name ends comes first, then what differs in its numbers alone.
  CHECK(nearest_name("h200", {"gh200", "h200-sxm"}) == "h200-sxm");
  CHECK(nearest_name("v3_2048_h80", {"v3_2048_h20", "v3_2048_h800"}) == "v3_2048_h800");
  CHECK(nearest_name("torchtitan-2025.06", {"torchtune-2025.04", "torchtitan-2025.06-eager"}) ==
        "torchtitan-2025.06-eager");
  CHECK(nearest_name("vllm-0.99", {"vllm-0.9", "vllm-0.18", "vllm-0.12"}) == "vllm-0.18");
  CHECK(nearest_name("llama-3.1-7b", {"llama-3.1-70b", "llama-3.1-8b"}) == "llama-3.1-8b");
}

TEST_CASE("The normal quantile inverts the normal distribution function") {
  // Values from tables of the normal distribution, to 16 digits.
  CHECK(normal_quantile(0.5) == 0.0);
  CHECK(normal_quantile(0.975) == Approx(1.959963984540054).epsilon(1e-15));
  CHECK(normal_quantile(0.9) == Approx(1.2815515655446004).epsilon(1e-15));
  CHECK(normal_quantile(0.9999) == Approx(3.719016485455709).epsilon(1e-14));
  CHECK(normal_quantile(1e-20) == Approx(-9.262340089798408).epsilon(1e-14));
  for (double p : {1e-300, 1e-100, 1e-30, 1e-12, 1e-5, 0.01, 0.07, 0.075, 0.08, 0.2, 0.4, 0.6, 0.9, 0.99}) {
    const double back = 0.5 * std::erfc(-normal_quantile(p) / std::sqrt(2.0));
    CHECK(back == Approx(p).epsilon(1e-12));
  }
  CHECK(std::isinf(normal_quantile(0.0)));
  CHECK(std::isinf(normal_quantile(1.0)));
}

TEST_CASE("The expected largest of normal draws is near its known values") {
  // Harter, Biometrika 48 (1961): expected largest of 2, 10, 100 draws; Blom's formula is good to about 2 %.
  CHECK(expected_largest_normal(1) == 0.0);
  CHECK(expected_largest_normal(2) == Approx(0.56419).epsilon(0.05));
  CHECK(expected_largest_normal(10) == Approx(1.53875).epsilon(0.02));
  CHECK(expected_largest_normal(100) == Approx(2.50759).epsilon(0.01));
}

TEST_CASE("Random streams repeat, differ by seed and purpose, and have the right moments") {
  CHECK(RandomStream(1, 2).next() == RandomStream(1, 2).next());
  std::set<std::uint64_t> firsts;
  for (std::uint64_t seed = 0; seed < 30; ++seed)
    for (std::uint64_t purpose = 0; purpose < 30; ++purpose) firsts.insert(RandomStream(seed, purpose).next());
  CHECK(firsts.size() == 900);

  RandomStream random(42);
  double uniform = 0.0, normal = 0.0, squared = 0.0, exponential = 0.0;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random.uniform();
    CHECK_FALSE((u < 0.0 || u >= 1.0));
    const double z = random.normal();
    uniform += u / kDraws;
    normal += z / kDraws;
    squared += z * z / kDraws;
    exponential += random.exponential() / kDraws;
  }
  // Four standard errors of the mean.
  CHECK(uniform == Approx(0.5).margin(4 * 0.289 / 316));
  CHECK(normal == Approx(0.0).margin(4.0 / 316));
  CHECK(squared == Approx(1.0).margin(4 * 1.414 / 316));
  CHECK(exponential == Approx(1.0).margin(4.0 / 316));
}

TEST_CASE("Routes are interned, and know their bottleneck") {
  Network network;
  const LinkId a = network.add_link({"a", 4_GBps, true}), b = network.add_link({"b", 2_GBps, true});
  const RouteId ab = network.add_route({a, b});
  CHECK(network.add_route({a, b}) == ab);
  CHECK(network.add_route({b, a}) != ab);
  CHECK(network.add_route({a}) != ab);
  CHECK(network.route_count() == 3);
  CHECK(network.bottleneck(ab) == 2_GBps);
  CHECK_THROWS_AS(network.add_link({"c", BytesPerSecond(0), true}), std::invalid_argument);
}

TEST_CASE("A graph gives back what was put in") {
  Network network;
  const RouteId route = network.add_route({network.add_link({"l", 1_GBps, true})});
  GraphBuilder builder({"forward", "send"});
  const LaneId lane = builder.add_lane(RankId(4), "compute");
  const OpId first = builder.compute(lane, 2_s, {0, 1, 2, 3});
  const Flow flows[] = {{route, 5_B}, {route, 6_B}};
  const OpId second = builder.transfer(lane, 1_us, flows, {1, 0, 0, 0});
  const OpId join = builder.join();
  const OpId detached = builder.detached_transfer(RankId(9), 0_s, flows);
  builder.after(join, first);
  builder.after(join, second);
  builder.after(detached, first);
  CHECK(builder.last_on(lane) == second);
  const OperationGraph graph = std::move(builder).build();
  CHECK(graph.size() == 4);
  CHECK(graph.flow_count() == 4);
  CHECK(graph.label(first).layer == 3);
  CHECK(graph.kind_names()[graph.label(second).kind] == "send");
  REQUIRE(graph.flows(second).size() == 2);
  CHECK(graph.flows(second)[1].bytes == 6_B);
  CHECK(graph.flows(join).empty());
  CHECK(std::vector<OpId>(graph.successors(first).begin(), graph.successors(first).end()) ==
        std::vector<OpId>{second, join, detached});
  CHECK(graph.successors(join).empty());
  CHECK(graph.predecessor_count(join) == 2);
  CHECK_FALSE(graph.lane(join).valid());
  CHECK(graph.lane_rank(graph.lane(detached)) == RankId(9));
  CHECK(graph.lane_name(graph.lane(first)) == "compute");
}

TEST_CASE("Durations and bytes that make no sense are refused") {
  GraphBuilder builder;
  const LaneId lane = builder.add_lane(RankId(0), "lane");
  CHECK_THROWS_AS(builder.compute(lane, -1_s), std::invalid_argument);
  CHECK_THROWS_AS(builder.compute(lane, Seconds(std::nan(""))), std::invalid_argument);
  const Flow endless{RouteId(0), Bytes(INFINITY)};
  CHECK_THROWS_AS(builder.transfer(lane, 0_s, std::span(&endless, 1)), std::invalid_argument);
}

TEST_CASE("Isolated work sends back its result and leaves no trace") {
  int here = 0;
  CHECK(run_isolated([&] {
          here = 1;
          return std::string(1'000'000, 'x') + std::to_string(here);
        }) == std::string(1'000'000, 'x') + "1");
  CHECK(here == 0);
  CHECK(run_isolated([] { return std::string(); }).empty());
}

TEST_CASE("Exceptions of isolated work come back as what they were") {
  const auto throwing = [](auto exception) { return [=]() -> std::string { throw exception; }; };
  const InputError input({{"file 7:", 1, 2, "a b", "", "12 34\n", "c"}, {"", 0, 0, "", "x", "y", ""}});
  try {
    run_isolated(throwing(input));
    FAIL("nothing was thrown");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()) == input.what());
    CHECK(error.diagnostics().size() == 2);
    CHECK(error.diagnostics()[0].expected == "12 34\n");
  }
  try {
    run_isolated(throwing(StuckError("stuck here", {OpId(4), OpId(2)})));
    FAIL("nothing was thrown");
  } catch (const StuckError& error) {
    CHECK(std::string(error.what()) == "stuck here");
    CHECK(error.stuck() == std::vector<OpId>{OpId(4), OpId(2)});
  }
  CHECK_THROWS_AS(run_isolated(throwing(Interrupted())), Interrupted);
  CHECK_THROWS_WITH(run_isolated(throwing(std::logic_error("broken"))), "broken");
  CHECK_THROWS_WITH(run_isolated(throwing(7)), "an exception of an unknown type");
}

TEST_CASE("A child that dies is reported") {
  const auto leave = []() -> std::string { ::_exit(3); };
  const auto die = []() -> std::string {
    ::kill(::getpid(), SIGKILL);
    return {};
  };
  CHECK(contains(message_thrown_by([&] { run_isolated(leave); }), "status 3"));
  CHECK(contains(message_thrown_by([&] { run_isolated(die); }), "ended by signal"));
}

TEST_CASE("Parallel results come in the order of the jobs, whatever the number of workers") {
  const auto job = [](std::size_t i) {
    if (i % 3 == 0) ::usleep(2000);
    return std::string(i * 5000, 'a') + std::to_string(i);
  };
  const auto expected = parallel_map(20, 1, job);
  CHECK(expected[7] == std::string(35000, 'a') + "7");
  for (int workers : {2, 5, 50}) CHECK(parallel_map(20, workers, job) == expected);
  CHECK(parallel_map(0, 4, job).empty());
}

TEST_CASE("The lowest-numbered failure of parallel work is thrown") {
  const auto job = [](std::size_t i) -> std::string {
    if (i == 2) ::usleep(20'000);
    if (i >= 2) throw std::runtime_error("job " + std::to_string(i));
    return {};
  };
  for (int workers : {1, 2, 8}) CHECK_THROWS_WITH(parallel_map(8, workers, job), "job 2");
}

namespace {

std::size_t files_in(const test::TemporaryFolder& folder) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator()));
}

}  // namespace

TEST_CASE("Files are written whole, replace old ones, and leave nothing else behind") {
  const test::TemporaryFolder folder;
  const auto target = std::filesystem::path(folder.path()) / "report.json";
  write_file_atomically(target, "first");
  write_file_atomically(target, std::string("zero\0byte", 9));
  CHECK(test::contents_of(target) == std::string("zero\0byte", 9));
  CHECK(files_in(folder) == 1);
}

TEST_CASE("A file that cannot be written says which and why, and leaves nothing behind") {
  const test::TemporaryFolder folder;
  const auto nowhere = std::filesystem::path(folder.path()) / "missing" / "report.json";
  const std::string message = message_thrown_by([&] { write_file_atomically(nowhere, "x"); });
  CHECK(contains(message, "report.json"));
  CHECK(contains(message, "No such file"));
  const auto taken = std::filesystem::path(folder.path()) / "taken";
  std::filesystem::create_directories(taken / "inside");
  CHECK_THROWS_AS(write_file_atomically(taken, "x"), std::runtime_error);
  CHECK(files_in(folder) == 1);
}
