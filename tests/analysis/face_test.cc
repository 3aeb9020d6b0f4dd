// Does the library give a host program what the command line gives a person: the same results, every fault as data, in
// several threads at once?
#include <atomic>
#include <cmath>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <google/protobuf/util/json_util.h>

#include "flopcast/flopcast.h"
#include "scenarios/proto/report.pb.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

using namespace flopcast;
using flopcast::test::TemporaryFolder;
using flopcast::testing::contents;

namespace {

/// Experts over a spine that cannot carry them all at once.
const std::string kNarrow = R"(title: "A narrow spine"
cluster { node: "hgx-h800" nodes: 4 fabric: "mpft" fabric_override { switch_ports: 4 oversubscription: 2 } }
model: "deepseek-v2-lite"
training {
  plan { pipeline: 2 data: 16 expert: 16 }
  schedule: "dualpipe"
  batch { sequences: 128 sequence_length: 4096 }
}
)";

const std::string kChat = R"(title: "Chat"
cluster { node: "hgx-h100" nodes: 2 fabric: "rail-ft2" }
model: "llama-3.1-8b"
serving {
  traffic { requests: "1K"
    stream { name: "chat"
      requests_per_second: 8
      input { mean: 500 }
      output { mean: 64 } } }
  replicas { count: 2 tensor: 2 }
}
)";

const Environment& environment() {
  static const Environment kEnvironment = load_environment();
  return kEnvironment;
}

report::Report parsed_report(const std::string& json) {
  report::Report message;
  REQUIRE(google::protobuf::util::JsonStringToMessage(json, &message).ok());
  return message;
}

std::string program_json(const std::string& file, const std::string& options = "") {
  const testing::Outcome outcome = testing::flopcast("run " + file + " --json - " + options);
  REQUIRE(outcome.code == 0);
  return outcome.out;
}

}  // namespace

TEST_CASE("the library and the program report the same bytes", "[face]") {
  const TemporaryFolder folder;
  for (const std::string& text : {testing::kDense, testing::kSparse}) {
    const std::string file = folder.write("s.textproto", text);
    CHECK(run(resolve(file, environment()), environment()).json() == program_json(file));
  }
  const ResolvedScenario dense = resolve_text(testing::kDense, folder.path() + "/s.textproto", environment());
  CHECK(dense.name() == "s");
  CHECK(dense.work() == Work::training);
  CHECK(dense.gpus() == 16);
}

TEST_CASE("under contention the library agrees with the program to 1e-9", "[face]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", kNarrow);
  RunSettings settings;
  settings.unfolded = true;
  const report::Report own = parsed_report(run(resolve(file, environment()), environment(), settings).json());
  const report::Report child = parsed_report(program_json(file, "--unfolded"));
  CHECK(own.run().contended_flows() > 0);
  CHECK(own.run().operations() == child.run().operations());
  CHECK(own.run().contended_flows() == child.run().contended_flows());
  CHECK(own.training().step_time_s() == Approx(child.training().step_time_s()).epsilon(1e-9));
  CHECK(own.training().exposed_communication_s() == Approx(child.training().exposed_communication_s()).epsilon(1e-8));
  REQUIRE(own.training().ranks_size() == child.training().ranks_size());
  for (int i = 0; i < own.training().ranks_size(); ++i)
    CHECK(own.training().ranks(i).bubble_s() ==
          Approx(child.training().ranks(i).bubble_s()).margin(1e-9 * own.training().step_time_s()));
  CHECK(own.run().backend() == "shared");
  settings.solver = Solver::simgrid_child;
  CHECK(run(resolve(file, environment()), environment(), settings).json() ==
        program_json(file, "--unfolded --engine simgrid"));
}

TEST_CASE("runs in several threads at once give what one alone gives", "[face]") {
  const ResolvedScenario narrow = resolve_text(kNarrow, "n.textproto", environment());
  RunSettings settings;
  settings.unfolded = true;
  const std::string alone = run(narrow, environment(), settings).json();
  std::vector<std::future<std::string>> together;
  for (int i = 0; i < 4; ++i) {
    together.push_back(std::async(std::launch::async, [&, i] {
      if (i % 2 == 0) return run(narrow, environment(), settings).json();
      const Environment own = load_environment();  // tables read by several threads at the same time
      return run(resolve_text(kNarrow, "n.textproto", own), own, settings).json();
    }));
  }
  for (std::future<std::string>& each : together) CHECK(each.get() == alone);
}

TEST_CASE("a report lives as long as somebody holds it", "[face]") {
  auto report = std::make_unique<Report>([] {
    const Environment own = load_environment();
    return run(resolve_text(testing::kSparse, "s.textproto", own), own);
  }());
  const std::string expected = report->json();
  std::vector<std::thread> readers;
  std::atomic<int> different = 0;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([mine = *report, &expected, &different] {
      for (int n = 0; n < 20; ++n) different += mine.json() != expected;
    });
  }
  report.reset();
  for (std::thread& reader : readers) reader.join();
  CHECK(different == 0);
}

TEST_CASE("every fault of a text comes as data", "[face]") {
  const std::string text = R"(cluster { node: "hgx-h800" nodes: 0 fabric: "rail-ft3x" }
model: "deepseek-v3x"
training {
  plan { pipelin: 4 data: 4 }
  batch { sequences: 64 sequence_length: 4096 }
}
)";
  try {
    resolve_text(text, "mine.textproto", environment(), {"price.gpu=two"});
    FAIL("nothing was thrown");
  } catch (const InputError& error) {
    CHECK(error.diagnostics().size() >= 5);
    bool unknown_field = false, unknown_model = false;
    for (const Diagnostic& d : error.diagnostics()) {
      CHECK_FALSE(d.found.empty());
      CHECK_FALSE(d.expected.empty());
      if (d.line == 4) unknown_field = d.file == "mine.textproto" && d.column == 10 && d.suggestion == "pipeline";
      if (d.line == 2) unknown_model = d.field == "model" && d.suggestion == "deepseek-v3";
    }
    CHECK(unknown_field);
    CHECK(unknown_model);
  }
  CHECK_THROWS_AS(resolve_text("", "empty.textproto", environment()), InputError);
  CHECK_THROWS_AS(resolve_text(std::string("\0x", 2), "binary.textproto", environment()), InputError);
  CHECK_THROWS_AS(resolve("deepseek_v4_2048_h800", environment()), InputError);
  CHECK_THROWS_AS(load_environment({"/nowhere/at/all"}), InputError);
}

TEST_CASE("a wrong published field and a price that no day has are told together", "[face]") {
  const std::string text = testing::kDense.substr(0, testing::kDense.find("price {")) +
                           "price { model: \"rental\" }\ndate: \"2022-10-01\"\n"
                           "published { field: \"training.step_tim_s\" value: 1 source: \"nowhere\" }\n";
  try {
    resolve_text(text, "s.textproto", environment());
    FAIL("nothing was thrown");
  } catch (const InputError& error) {
    INFO(error.what());
    CHECK(error.diagnostics().size() == 2);
  }
}

TEST_CASE("a callback sees how far a run is, and stops it", "[face]") {
  for (const std::string& text : {kNarrow, kChat}) {
    const ResolvedScenario scenario = resolve_text(text, "s.textproto", environment());
    std::vector<Progress> seen;
    RunSettings settings;
    settings.progress = [&](const Progress& progress) {
      seen.push_back(progress);
      return true;
    };
    run(scenario, environment(), settings);
    REQUIRE_FALSE(seen.empty());
    CHECK(seen.front().done == 0);
    CHECK_FALSE(seen.front().unit.empty());
    settings.progress = [](const Progress&) { return false; };
    CHECK_THROWS_AS(run(scenario, environment(), settings), Interrupted);
    settings.progress = [](const Progress&) -> bool { throw std::logic_error("mine"); };
    CHECK_THROWS_AS(run(scenario, environment(), settings), std::logic_error);
  }
}

TEST_CASE("timeline and requests are kept where they are asked for", "[face]") {
  RunSettings settings;
  const ResolvedScenario narrow = resolve_text(kNarrow, "s.textproto", environment());
  CHECK(run(narrow, environment(), settings).timeline() == nullptr);
  settings.keep_timeline = true;
  const Report step = run(narrow, environment(), settings);
  const std::shared_ptr<const Timeline> timeline = step.timeline();
  REQUIRE(timeline);
  REQUIRE(timeline->end_s.size() == timeline->gpu.size());
  REQUIRE(timeline->start_s.size() == timeline->end_s.size());
  CHECK(timeline->end_s.back() == Approx(parsed_report(step.json()).training().step_time_s()));
  settings.timeline_gpus = {0};
  const std::shared_ptr<const Timeline> first = run(narrow, environment(), settings).timeline();
  CHECK_FALSE(first->gpu.empty());
  for (const std::int32_t gpu : first->gpu) CHECK(gpu == 0);
  settings.timeline_gpus = {0, 1'000'000};
  CHECK_THROWS_AS(run(narrow, environment(), settings), InputError);
  settings.timeline_gpus = {};

  settings.keep_requests = true;
  const Report served = run(resolve_text(kChat, "s.textproto", environment()), environment(), settings);
  const std::shared_ptr<const Requests> requests = served.requests();
  REQUIRE(requests);
  CHECK(requests->id.size() == 1000);
  for (std::size_t i = 0; i < requests->id.size(); ++i) {
    CHECK(requests->output_tokens[i] == 64);
    CHECK(requests->arrival_s[i] <= requests->first_token_s[i]);
    CHECK(requests->first_token_s[i] <= requests->finish_s[i]);
  }
}
