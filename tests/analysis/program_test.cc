// Does the program keep its promises to who calls it: exit codes, files whole or not at all, the same bytes
// twice?
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "analysis/render/text/format.h"
#include "scenarios/proto/report.pb.h"
#include "sim/base/plain_text.h"
#include "tests/analysis/program.h"
#include "tests/analysis/serving_scenarios.h"
#include "tests/catch.h"
#include "tests/paths.h"

#include <google/protobuf/util/json_util.h>

namespace flopcast {
namespace {

using test::TemporaryFolder;
using testing::contents;
using testing::Outcome;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::size_t files_in(const TemporaryFolder& folder) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++count;
  return count;
}

report::Report parsed(const std::string& json) {
  report::Report message;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &message);
  INFO(status.ToString());
  REQUIRE(status.ok());
  return message;
}

report::Report run_json(const std::string& scenario, const std::string& options = "") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", scenario);
  const Outcome outcome = testing::flopcast("run " + file + " --json - " + options);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  return parsed(outcome.out);
}

TEST_CASE("version, help, and a command line that makes no sense", "[analysis]") {
  CHECK(testing::flopcast("--version").code == 0);
  CHECK(testing::flopcast("--help").code == 0);
  CHECK(testing::flopcast("").code == 2);
  CHECK(testing::flopcast("rum").code == 2);
  CHECK(testing::flopcast("run x --backend magic").code == 2);
}

TEST_CASE("a run prints its report and exits with 0", "[analysis]") {
  const TemporaryFolder folder;
  const Outcome outcome = testing::flopcast("run " + folder.write("s.textproto", testing::kDense));
  CHECK(outcome.code == 0);
  CHECK(outcome.err.empty());
  CHECK(has(outcome.out, "One step takes "));
  CHECK(has(outcome.out, "Predicted beside published"));
  CHECK_FALSE(has(outcome.out, "\x1b["));  // no colours in a pipe
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    CHECK(display_width(line) <= 80);
  }
}

TEST_CASE("the JSON has every promised name", "[analysis]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kDense), json = folder.path() + "/r.json";
  REQUIRE(testing::flopcast("run " + file + " --json " + json).code == 0);
  const std::string text = contents(json);
  for (const char* name : {"training",
                           "step_time_s",
                           "tokens_per_step",
                           "tokens_per_day",
                           "mfu_bf16_causal",
                           "tflops_per_gpu_causal",
                           "forward_s",
                           "backward_input_s",
                           "backward_weight_s",
                           "overlapped_s",
                           "bubble_s",
                           "optimizer_s",
                           "exposed_communication_s",
                           "peak_memory_bytes",
                           "projection",
                           "gpu_hours",
                           "days",
                           "cost_usd",
                           "phases",
                           "name",
                           "run",
                           "fingerprint",
                           "operations",
                           "transfers",
                           "folded"}) {
    CHECK(has(text, std::string("\"") + name + "\": "));
  }
  const report::Report message = parsed(text);
  const report::Training& training = message.training();
  CHECK(training.forward_s() + training.backward_input_s() + training.backward_weight_s() + training.overlapped_s() +
            training.bubble_s() + training.optimizer_s() ==
        Approx(training.step_time_s()).epsilon(1e-9));
  CHECK(training.tokens_per_step() == 64 * 4096);
  CHECK(message.projection().cost_usd() == Approx(2 * message.projection().gpu_hours()));
}

TEST_CASE("the same input gives the same bytes, report, JSON and trace", "[analysis]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kSparse), base = folder.path();
  const auto run = [&](const std::string& n) {
    return testing::flopcast("run " + file + " --json " + base + "/j" + n + " --trace " + base + "/t" + n + ".json")
        .out;
  };
  CHECK(run("1") == run("2"));
  CHECK(contents(base + "/j1") == contents(base + "/j2"));
  CHECK(contents(base + "/t1.json") == contents(base + "/t2.json"));
  CHECK(has(contents(base + "/t1.json"), "traceEvents"));
}

TEST_CASE("folded and unfolded runs agree to 1e-9 where nothing breaks the symmetry", "[analysis]") {
  for (const std::string& scenario : {testing::kDense, testing::kSparse}) {
    const report::Report folded = run_json(scenario), unfolded = run_json(scenario, "--unfolded");
    CHECK(folded.run().folded());
    CHECK_FALSE(unfolded.run().folded());
    CHECK(unfolded.run().replayed_gpus() > folded.run().replayed_gpus());
    CHECK(unfolded.training().step_time_s() == Approx(folded.training().step_time_s()).epsilon(1e-9));
    CHECK(unfolded.training().bubble_s() == Approx(folded.training().bubble_s()).epsilon(1e-6));
  }
}

TEST_CASE("nothing meets on a link: the ideal backend is a lower bound", "[analysis]") {
  const double real = run_json(testing::kSparse).training().step_time_s();
  CHECK(run_json(testing::kSparse, "--backend ideal").training().step_time_s() <= real * (1 + 1e-12));
}

TEST_CASE("bad input: exit code 2, diagnostics on stderr, nothing written", "[analysis]") {
  const TemporaryFolder folder, results;
  const std::string good = folder.write("good.textproto", testing::kDense);
  const std::string bad = folder.write("bad.textproto", "modle: \"x\"\n");
  const std::string outputs = " --json " + results.path() + "/j --trace " + results.path() + "/t";
  for (const std::string& arguments :
       {"run " + bad, std::string("run no-such-scenario"), "run " + good + " --set training.plan.pipeline=3",
        "run " + good + " --set training.plan.nonsense=3", "run " + good + " --set price.gpu=2",
        "run " + good + " --library /nowhere/at/all"}) {
    const Outcome outcome = testing::flopcast(arguments + outputs);
    INFO(arguments);
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    CHECK_FALSE(outcome.err.empty());
    CHECK(files_in(results) == 0);
  }
  CHECK(testing::flopcast("run " + good + " --json " + results.path() + "/no/such/folder/j").code == 2);
  CHECK(testing::flopcast("list gpu").code == 2);
  CHECK(testing::flopcast("show h8000").code == 2);
}

TEST_CASE("a program without its data says so, and calls no name unknown", "[analysis]") {
  const TemporaryFolder folder;
  std::filesystem::copy_file(testing::program(), folder.path() + "/flopcast");
  const std::string file = folder.write("s.textproto", testing::kDense);
  const std::string err = folder.path() + "/err";
  CHECK(std::system((folder.path() + "/flopcast run " + file + " 2>" + err).c_str()) != 0);
  CHECK(testing::one_line(contents(err)).find("found no library of hardware beside the program") != std::string::npos);
  CHECK_FALSE(has(contents(err), "hgx-h100"));
}

TEST_CASE("a plan that does not fit is refused with its table, and run when that is wanted", "[analysis]") {
  const TemporaryFolder folder, results;
  const std::string file =
      folder.write("s.textproto", testing::kDense) + " --set training.batch.micro_batch_sequences=8";
  const Outcome refused = testing::flopcast("run " + file + " --json " + results.path() + "/j");
  CHECK(refused.code == 2);
  CHECK(has(refused.err, "activations"));
  CHECK(has(refused.err, "What would make it fit"));
  CHECK(files_in(results) == 0);
  CHECK(testing::flopcast("check " + file).code == 2);
  const Outcome allowed = testing::flopcast("run " + file + " --allow-oom");
  CHECK(allowed.code == 0);
  CHECK(has(allowed.out, "does not fit"));
  CHECK(testing::flopcast("explain " + file + " --allow-oom").code == 0);
}

TEST_CASE("a trace of chosen GPUs is smaller and still whole", "[analysis]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kDense), base = folder.path();
  REQUIRE(testing::flopcast("run " + file + " --trace " + base + "/all.json").code == 0);
  REQUIRE(testing::flopcast("run " + file + " --trace " + base + "/one.json --trace-ranks 0").code == 0);
  const std::string one = contents(base + "/one.json");
  CHECK(one.size() < contents(base + "/all.json").size());
  CHECK(one.ends_with("]}\n"));
}

TEST_CASE("check, list and show", "[analysis]") {
  const TemporaryFolder folder;
  const Outcome check = testing::flopcast("check " + folder.write("s.textproto", testing::kDense));
  CHECK(check.code == 0);
  CHECK(has(check.out, "sound"));
  for (const char* kind : {"gpus", "nodes", "fabrics", "clusters", "models", "software", "schedules", "collectives",
                           "attention", "scenarios", "engines", "frameworks"}) {
    const Outcome list = testing::flopcast(std::string("list ") + kind);
    CHECK(list.code == 0);
    CHECK_FALSE(list.out.empty());
  }
  CHECK(has(testing::flopcast("show h800-sxm").out, "h100-sxm"));
}

TEST_CASE("a collective on its own: bandwidth beside the closed form", "[analysis]") {
  const report::Report message = run_json(R"(cluster { node: "hgx-h100" nodes: 8 fabric: "rail-ft2" }
collective { operation: "ring_all_reduce" bytes: "1 GiB" ranks: 64 })");
  const report::Collective& collective = message.collective();
  CHECK(collective.time_s() > 0);
  CHECK(collective.bus_bandwidth_bytes_per_s() ==
        Approx(collective.port_bytes_per_s() * collective.closed_form_s() / collective.time_s()));
}

TEST_CASE("the mechanisms of a step sum to the step", "[analysis]") {
  const TemporaryFolder folder;
  const Outcome outcome = testing::flopcast("explain " + folder.write("s.textproto", testing::kSparse) + " --json -");
  REQUIRE(outcome.code == 0);
  report::Explanation explanation;
  REQUIRE(google::protobuf::util::JsonStringToMessage(outcome.out, &explanation).ok());
  double sum = explanation.bare_step_time_s();
  for (const report::Mechanism& mechanism : explanation.mechanisms()) sum += mechanism.adds_s();
  CHECK(explanation.mechanisms_size() >= 4);
  CHECK(sum == Approx(explanation.step_time_s()));
}

TEST_CASE("links and pipes stay what they are, and what cannot be written is found out first", "[analysis]") {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  const std::string base = folder.path(), run = "run " + folder.write("s.textproto", testing::kDense);
  fs::create_symlink("target", base + "/link");
  REQUIRE(::mkfifo((base + "/pipe.json").c_str(), 0600) == 0);
  std::string piped;
  std::thread reader([&] { piped = contents(base + "/pipe.json"); });
  const Outcome outcome = testing::flopcast(run + " --json " + base + "/link --trace " + base + "/pipe.json");
  if (const int late = ::open((base + "/pipe.json").c_str(), O_WRONLY | O_NONBLOCK); late >= 0) ::close(late);
  reader.join();  // a program that never opened the pipe does not keep it waiting
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  CHECK(fs::is_symlink(base + "/link"));
  CHECK(fs::is_fifo(base + "/pipe.json"));
  CHECK(has(contents(base + "/target"), "step_time_s"));
  CHECK(has(piped, "traceEvents"));

  for (const std::string& options :
       {std::string("--json /proc/version"), "--json " + base + "/x --trace " + base + "/x",
        "--json " + base + "/link --picture " + base + "/target", std::string("--trace -"),
        std::string("--picture -")}) {
    INFO(options);
    const Outcome refused = testing::flopcast(run + " " + options);
    CHECK(refused.code == 2);
    CHECK(refused.out.empty());
    CHECK(has(refused.err, "--"));
  }
  CHECK_FALSE(fs::exists(base + "/x"));
}

TEST_CASE("timelines are asked for where there is something to show", "[analysis]") {
  const TemporaryFolder folder, results;
  const std::string run = "run " + folder.write("s.textproto", testing::kDense) + " ";
  const std::string collective = "run " + folder.write("c.textproto", R"(
cluster { node: "hgx-h100" nodes: 8 fabric: "rail-ft2" }
collective { operation: "ring_all_reduce" bytes: "1 MiB" ranks: 64 })") +
                                 " ";
  const std::string chat = "run " + folder.write("chat.textproto", testing::kChat) + " ";
  const std::string trace = "--trace " + results.path() + "/t ";
  for (const auto& [arguments, said] :
       {std::pair{collective + trace, "without `training`"},
        {collective + "--picture " + results.path() + "/p", "without `training`"},
        {run + "--requests " + results.path() + "/r", "without `serving`"},
        {collective + "--unfolded", "--unfolded: found a scenario without `training`"},
        {chat + "--unfolded --engine ideal --allow-oom", "--unfolded: found a scenario"},
        {chat + "--unfolded --engine ideal --allow-oom", "--engine: found a scenario"},
        {chat + "--picture " + results.path() + "/p", "without `training`"},
        {run + "--trace-ranks 0", "--trace"},
        {run + trace + "--trace-ranks 3", "replayed: 0, "},
        {run + trace + "--trace-ranks abc", "`abc` is not the number of a GPU"}}) {
    const Outcome refused = testing::flopcast(arguments);
    INFO(arguments << "\n" << refused.err);
    CHECK(refused.code == 2);
    CHECK(has(refused.err, said));
    CHECK(files_in(results) == 0);
  }
}

TEST_CASE("a phase that does not fit is refused by run and check", "[analysis]") {
  const TemporaryFolder folder;
  const std::string file = folder.write(
      "s.textproto", test::replaced(testing::kDense, "phase { name: \"all\"",
                                    "phase { name: \"all\" batch { sequences: 64 sequence_length: 131072 } "));
  for (const char* command : {"run ", "check "}) {
    const Outcome refused = testing::flopcast(command + file);
    INFO(refused.err);
    CHECK(refused.code == 2);
    CHECK(has(refused.err, "run.phase[all].plan"));
    CHECK(has(refused.err, "What would make it fit"));
  }
  const Outcome allowed = testing::flopcast("run " + file + " --allow-oom");
  CHECK(allowed.code == 0);
  CHECK(has(allowed.out, "131,072 tokens per sequence"));
}

TEST_CASE("what is found wrong while a step is built or replayed is said with its place", "[analysis]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kDense);
  for (const char* command : {"run ", "check "}) {
    CHECK(has(testing::flopcast(command + file + " --set training.batch.sequence_length=131072").err,
              "s.textproto:5:3: training.plan: found "));
    CHECK(has(testing::flopcast(command + file + " --set training.plan.pipeline=1 --set training.plan.data=131072" +
                                " --set training.batch.sequences=131072 --set cluster.nodes=16384" +
                                " --set cluster.fabric=rail-ft3")
                  .err,
              "--set: cluster.fabric: found "));
  }
}

TEST_CASE("check finds failures that come faster than the job recovers", "[analysis]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kDense);
  for (const char* command : {"run ", "check "}) {
    const Outcome refused = testing::flopcast(
        command + file + " --set 'resilience.failure_rate=0.9 per GPU-hour' --set 'resilience.restart=2 h'");
    INFO(refused.err);
    CHECK(refused.code == 2);
    CHECK(has(refused.err, "resilience.failure_rate"));
  }
}

TEST_CASE("published figures: nothing to divide by, and fields that no report has", "[analysis]") {
  const TemporaryFolder folder;
  const std::string zero = folder.write("zero.textproto", test::replaced(testing::kDense, "value: 10", "value: 0"));
  const Outcome outcome = testing::flopcast("run " + zero + " --json " + folder.path() + "/j");
  CHECK(outcome.code == 0);
  CHECK_FALSE(has(outcome.out, "inf"));
  REQUIRE(parsed(contents(folder.path() + "/j")).published_size() == 1);
  CHECK_FALSE(parsed(contents(folder.path() + "/j")).published(0).has_error());
  const std::string unknown =
      folder.write("unknown.textproto", test::replaced(testing::kDense, "training.step_time_s", "training.step_tim"));
  for (const char* command : {"run ", "check "}) {
    const Outcome refused = testing::flopcast(command + unknown);
    INFO(refused.err);
    CHECK(refused.code == 2);
    CHECK(has(refused.err, "published.field"));
    CHECK(has(refused.err, "training.step_time_s"));
  }
}

TEST_CASE("slow parts show in the head, in the table of ranks and in the JSON", "[analysis]") {
  const std::string slow =
      test::replaced(testing::kDense, "fabric: \"rail-ft2\"", "fabric: \"rail-ft2\" slow { gpu: 5 speed: 0.8 }");
  const TemporaryFolder folder;
  const Outcome outcome =
      testing::flopcast("run " + folder.write("s.textproto", slow) + " --json " + folder.path() + "/j");
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(has(outcome.out, "slow: GPU 5 (pipeline rank 1) runs at 80 %"));
  CHECK(has(outcome.out, ", slow part\n"));
  const report::Report message = parsed(contents(folder.path() + "/j"));
  REQUIRE(message.scenario().slow_parts_size() == 1);
  CHECK(message.scenario().slow_parts(0).pipeline_rank() == 1);
}

TEST_CASE("an unfolded run says why it shows no critical path", "[analysis]") {
  const TemporaryFolder folder;
  const Outcome outcome = testing::flopcast("run " + folder.write("s.textproto", testing::kDense) + " --unfolded");
  CHECK(has(outcome.out, "shown for folded runs only"));
  CHECK(has(outcome.out, "busiest links"));
}

TEST_CASE("a GPU without measurements is marked as inferred", "[analysis]") {
  const TemporaryFolder folder;
  const Outcome outcome = testing::flopcast(
      "run " + folder.write("s.textproto", test::replaced(testing::kDense, "hgx-h100", "pc-rtx-4090")) +
      " --set cluster.nodes=16 --set model=qwen2.5-1.5b");
  INFO(outcome.err);
  CHECK(has(outcome.out, "Inferred, not measured"));
  CHECK(has(testing::one_line(outcome.out), "most similar die"));
  // Measured in part: what was not is named.
  const Outcome partly =
      testing::flopcast("run " + folder.write("a.textproto", test::replaced(testing::kDense, "hgx-h100", "hgx-a100")));
  CHECK(has(testing::one_line(partly.out), "measured on any GA100"));
  CHECK_FALSE(has(testing::one_line(partly.out), "most similar die"));
  CHECK_FALSE(has(testing::flopcast("run " + folder.write("h.textproto", testing::kDense)).out, "Inferred"));
}

TEST_CASE("tables of explain and validate fit 80 columns, and their JSON is JSON", "[analysis]") {
  const TemporaryFolder folder;
  for (const std::string& arguments : {"explain " + folder.write("s.textproto", testing::kSparse),
                                       "validate --without-rl --json " + folder.path() + "/checks.json"}) {
    const Outcome outcome = testing::flopcast(arguments);
    CHECK(outcome.code == 0);
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) {
      INFO(line);
      CHECK(display_width(line) <= 80);
      // Whatever misses is said to come from somewhere.
      if (line.starts_with("  - ")) CHECK(has(line, "]:"));
    }
  }
  // Every number of the table is one: what has nothing to be compared with has no error.
  report::Validation checks;
  const std::string json = contents(folder.path() + "/checks.json");
  CHECK(google::protobuf::util::JsonStringToMessage(json, &checks).ok());
  CHECK_FALSE(has(json, ": inf"));
}

TEST_CASE("no option takes a number that is none, or a text that steers a terminal", "[analysis]") {
  for (const char* value : {"nan", "inf", "-inf", "1e400", "NaN"}) {
    CAPTURE(value);
    CHECK(testing::flopcast(std::string("policy classify --rule R2023_10 --tpp ") + value).code == 2);
    CHECK(testing::flopcast(std::string("policy frontier llama_3_1_8b_64_h100 --headroom ") + value).code == 2);
  }
  CHECK(testing::flopcast("check llama_3_1_8b_64_h100 --set \"\"").code == 2);
  CHECK(testing::flopcast("run all_reduce_8_h100 --json \"\"").code == 2);
  for (const char* command : {"show '\x1b[31m'", "'\x1b[31m'", "list '\xff'", "check all_reduce_8_h100 '--\x1b[31m'"}) {
    const Outcome outcome = testing::flopcast(command);
    CAPTURE(command, outcome.err);
    CHECK(outcome.code == 2);
    CHECK(first_unplain(outcome.out + outcome.err, LineEnds::allowed) == std::string::npos);
  }
}

TEST_CASE("calibrate says what is wrong with folder and cards at once", "[program]") {
  const testing::Outcome refused =
      testing::flopcast("calibrate --measurements ./no-such-folder --add h100sxm=a.json --add nothing");
  CHECK(refused.code != 0);
  const std::string said = testing::one_line(refused.err);
  for (const char* part : {"no-such-folder, which is no folder", "\"h100sxm\"", "h100-sxm", "GPU=FILE"})
    CHECK(has(said, part));
  CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') < 12);
}

}  // namespace
}  // namespace flopcast
