// Are a user's own measurements read as they were meant, and do they bring predictions nearer?
#include "analysis/evidence/calibrate/calibrate_server.h"

#include "flopcast/environment.h"
#include "flopcast/scenario.h"
#include "tests/paths.h"
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

const std::string kServer = R"(cluster { node: "hgx-h100" nodes: 1 fabric: "single-switch" }
model: "llama-3.1-8b"
serving {
  traffic { requests: "40" stream { users: 4 input { mean: 100 } output { mean: 20 } } }
  replicas { engine: "vllm-0.12" }
}
)";

Scenario load(const std::string& text) {
  const TemporaryFolder folder;
  return load_scenario(folder.write("server.textproto", text), {}, libraries());
}

TEST_CASE("tables of loads are read, and columns in other units named", "[analysis][serving]") {
  const auto loads = read_server_measurements(
      "users,input_tokens,output_tokens,ttft_ms,tpot_ms\n4,1000,200,80,9.5\n8,1000,200,,10.5\n", "loads.csv");
  REQUIRE(loads.size() == 2);
  CHECK(loads[0].users == 4);
  CHECK(loads[0].ttft_ms == 80);
  CHECK(loads[1].ttft_ms == 0);
  CHECK_THROWS_WITH(read_server_measurements("users,input_tokens,output_tokens,tpot_s\n4,1,2,3\n", "loads.csv"),
                    ContainsSubstring("tpot_s: found a column in another unit, expected tpot_ms, in milliseconds"));
  CHECK_THROWS_WITH(read_server_measurements("users,input_tokens,tpot_ms\n4,1,2\n", "loads.csv"),
                    ContainsSubstring("output_tokens: found no such column"));
  CHECK_THROWS_WITH(read_server_measurements("users,input_tokens,output_tokens,tpot_ms\n0,1,2,3\n", "loads.csv"),
                    ContainsSubstring("loads.csv:2: users: found 0, expected a whole number of at least one"));
  // All that is wrong, at once.
  CHECK_THROWS_WITH(
      read_server_measurements("users,input_tokens,output_tokens,ttft_ms,tpot_ms\n0.6,100,20,90,10\n1,100,20,x,10\n"
                               "4,-5,1,0,y\n8,100,20,90,-1\n",
                               "loads.csv"),
      ContainsSubstring("loads.csv:2: users: found 0.6") && ContainsSubstring("loads.csv:3: found `x`") &&
          ContainsSubstring("loads.csv:4: found `y`") && ContainsSubstring("loads.csv:5: tpot_ms: found -1"));
  CHECK_THROWS_WITH(read_server_measurements("users,input_tokens,ttft_us,tpot\n4,1,2,3\n", "loads.csv"),
                    ContainsSubstring("ttft_us: found a column in another unit, expected ttft_ms") &&
                        ContainsSubstring("tpot: found a column in another unit") &&
                        ContainsSubstring("output_tokens: found no such column"));
  CHECK_THROWS_WITH(
      read_server_measurements("users,input_tokens,output_tokens,tpot_ms,tpot_ms\n4,1,2,3,4\n", "loads.csv"),
      ContainsSubstring("a second column `tpot_ms`"));
  CHECK_THROWS_WITH(read_server_measurements(R"({"max_concurrency": 8, "completed": 40, "failed": 40,
      "total_input_tokens": 40000, "total_output_tokens": 8000, "mean_tpot_ms": 9})",
                                             "half.json"),
                    ContainsSubstring("half.json: failed: found 40 of 80 requests, expected at most 2 %"));
  CHECK_THROWS_WITH(read_server_measurements(R"({"max_concurrency": 0.5, "completed": 1, "total_input_tokens": 10,
      "total_output_tokens": 20, "mean_ttft_ms": 1, "mean_tpot_ms": 1})",
                                             "vllm.json"),
                    ContainsSubstring("users: found 0.5"));
}

TEST_CASE("results of benchmarks are read", "[analysis][serving]") {
  const auto vllm = read_server_measurements(
      R"({"max_concurrency": 16, "completed": 160, "total_input_tokens": 160000, "total_output_tokens": 32000,
          "mean_ttft_ms": 120.5, "mean_tpot_ms": 11.25})",
      "vllm.json");
  REQUIRE(vllm.size() == 1);
  CHECK(vllm[0].users == 16);
  CHECK(vllm[0].input == 1000);
  CHECK(vllm[0].output == 200);
  CHECK(vllm[0].tpot_ms == 11.25);
  const auto perf = read_server_measurements(
      R"({"input_config": {"perf_analyzer": {"stimulus": {"concurrency": 8}}},
          "time_to_first_token": {"unit": "ms", "avg": 70}, "inter_token_latency": {"unit": "ms", "avg": 9},
          "input_sequence_length": {"unit": "tokens", "avg": 500}, "output_sequence_length": {"unit": "tokens", "avg": 100}})",
      "perf.json");
  REQUIRE(perf.size() == 1);
  CHECK(perf[0].users == 8);
  CHECK(perf[0].ttft_ms == 70);
  CHECK_THROWS_WITH(read_server_measurements(
                        R"({"max_concurrency": 8, "inter_token_latency": {"unit": "us", "avg": 9}})", "perf.json"),
                    ContainsSubstring("inter_token_latency.unit: found us, expected ms or s"));
}

TEST_CASE("a fit needs loads and a named engine", "[analysis][serving]") {
  const std::vector<ServerMeasurement> few(3, ServerMeasurement{4, 100, 20, 30, 6});
  CHECK_THROWS_WITH(fit_server(few, load(kServer), "loads.csv"),
                    ContainsSubstring("loads: found 3, expected at least 5"));
  const std::vector<ServerMeasurement> loads(5, few[0]);
  CHECK_THROWS_WITH(fit_server(loads, load(replaced(kServer, "engine: \"vllm-0.12\"", "")), "loads.csv"),
                    ContainsSubstring("serving.replicas.engine: found nothing"));
}

TEST_CASE("times that no engine can have are refused with the unit they may be in", "[analysis][serving]") {
  const Scenario scenario =
      resolve_text(kServer, "server.textproto", load_environment({testing::source_dir()})).value();
  const auto fault = [&](double ttft_ms, double tpot_ms) {
    std::vector<ServerMeasurement> loads;
    for (const int users : {1, 2, 4, 8, 16}) loads.push_back({users, 100, 20, ttft_ms, tpot_ms});
    try {
      fit_server(loads, scenario, "loads.csv");
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(fault(0.09, 0.01), ContainsSubstring("ttft_ms: found 0.09") && ContainsSubstring("tpot_ms: found 0.01") &&
                                    ContainsSubstring("should they be seconds"));
  CHECK_THAT(fault(90000, 10000), ContainsSubstring("ttft_ms") && ContainsSubstring("should they be microseconds"));
  const std::string one = fault(0.09, 10);
  CHECK_THAT(one, ContainsSubstring("ttft_ms") && !ContainsSubstring("tpot_ms"));
}

TEST_CASE("loads that contradict each other, or that no engine can have had, are named", "[analysis][serving]") {
  const Scenario server = resolve_text(kServer, "server.textproto", load_environment({testing::source_dir()})).value();
  std::vector<ServerMeasurement> loads(5);
  for (int i = 0; i < 5; ++i) loads[i] = {8 * (i + 1), 1000, 100, 0, 9.0 + 2 * i};
  const auto with = [&](const ServerMeasurement& odd) {
    std::vector<ServerMeasurement> changed = loads;
    changed.push_back(odd);
    return changed;
  };
  CHECK_THROWS_WITH(fit_server(with({8, 1000, 100, 0, 90}), server, "loads.csv"),
                    ContainsSubstring("load 6: tpot_ms: found 90 where load 1 of the same users and tokens has 9"));
  // 16 GB of weights take 4.8 ms to read.
  CHECK_THROWS_WITH(fit_server(with({1, 1000, 100, 0, 0.9}), server, "loads.csv"),
                    ContainsSubstring("load 6: tpot_ms: found 0.9") && ContainsSubstring("its kernels alone"));
  CHECK_THROWS_WITH(fit_server(with({1, 200000, 100, 0, 9}), server, "loads.csv"),
                    ContainsSubstring("at most the 131072 positions of the model"));
}

TEST_CASE("a slower host is found from its measurements", "[analysis][serving]") {
  const Scenario scenario =
      resolve_text(kServer, "server.textproto", load_environment({testing::source_dir()})).value();
  std::vector<ServerMeasurement> loads;
  // An engine that takes 4 ms between iterations and 60 ms per request, on top of what its GPU takes.
  for (const int users : {1, 2, 4, 8, 16}) loads.push_back({users, 100, 20, 90, 10 + 0.02 * users});
  const ServerFit fit = fit_server(loads, scenario, "loads.csv");
  CHECK(fit.host.iteration->value() > 1e-3);
  CHECK(fit.host.request->value() > 20e-3);
  CHECK_THAT(fit.profile,
             ContainsSubstring("base: \"vllm-0.12\"") && ContainsSubstring("calibrated: \"5 loads of loads.csv\""));
}

}  // namespace
}  // namespace flopcast::test
