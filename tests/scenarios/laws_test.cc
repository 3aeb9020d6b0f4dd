// Are the laws that hold across fields kept: what a GPU can compute, what a schedule asks for, what a fabric
// lets through, how checkpoints and failures go together?
#include "tests/scenarios/fixture.h"
#include "workloads/schedules/schedule.h"

namespace flopcast::test {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The diagnostics of DeepSeek-V3's scenario with some fields changed; "" when it loads.
std::string v3_faults(const std::vector<std::string>& sets) {
  try {
    load_scenario("deepseek_v3_2048_h800", sets, libraries());
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST_CASE("FP8 needs a GPU that has it") {
  const std::string faults = v3_faults({"cluster.node=hgx-a100"});
  INFO(faults);
  CHECK(
      contains(faults, "training.precision.linear: found \"fp8\", expected bf16 (the GPU a100-sxm has no FP8 units)"));
  CHECK(contains(faults, "training.precision.dispatch: found \"fp8\""));
  CHECK(contains(faults, "deepseek_v3_2048_h800.textproto:"));
  CHECK(v3_faults({"cluster.node=hgx-h100"}).empty());
  CHECK(contains(
      v3_faults({"training.precision.scaling=mx"}),
      "training.precision.scaling: found \"mx\", expected blocks or per_tensor (the GPU h800-sxm does not apply"));
}

TEST_CASE("a layer is computed again as a whole or in part, and a number of layers needs whole ones") {
  CHECK(contains(v3_faults({"training.recompute.full_layer=true", "training.recompute.selective_operations=true"}),
                 "training.recompute.selective_operations: found true beside full_layer: true"));
  CHECK(contains(v3_faults({"training.recompute.full_layers=2"}),
                 "training.recompute.full_layers: found 2, expected 0, unless full_layer: true"));
  CHECK_FALSE(contains(v3_faults({"training.recompute.selective_operations=true"}), "recompute"));
}

TEST_CASE("no schedule cuts a model into more stages than it has layers") {
  const std::vector<std::string> plan{"training.plan.pipeline=32", "training.plan.data=64"};
  for (const std::string schedule : {"dualpipev", "zb_v"}) {
    std::vector<std::string> sets = plan;
    sets.push_back("training.schedule=" + schedule);
    INFO(schedule);
    CHECK(contains(v3_faults(sets),
                   "training.plan.pipeline: found 64 stages (2 on each of 32 ranks), "
                   "expected at most 61, the layers of deepseek-v3"));
  }
  // DualPipe holds 32 stages twice.
  CHECK_FALSE(contains(v3_faults(plan), "stages"));
}

TEST_CASE("layers are given for the stages of the schedule") {
  const auto faults = [](const std::string& schedule, const std::string& layers) {
    return faults_of(kSmall, {"training.schedule=" + schedule, "training.plan.stage_layers=" + layers});
  };
  CHECK(faults("dualpipe", "31,30").empty());
  CHECK(contains(faults("dualpipe", "16,15,15,15"), "found 4 stages, expected the 2 stages of the schedule"));
  CHECK(faults("zb_v", "16,15,15,15").empty());
  CHECK(contains(faults("zb_v", "31,30"), "found 2 stages, expected the 4 stages of the schedule"));
}

TEST_CASE("every schedule builds the stages that its row announces") {
  for (const ScheduleRow& row : schedules()) {
    INFO(row.name);
    const ScheduleRequest request{4, 8, row.choose_chunks ? 3 : 1};
    REQUIRE(row.check(request).empty());
    CHECK(stages_of(row, request.ranks, request.chunks) == row.build(request).stages);
  }
}

TEST_CASE("a batch that a schedule cannot run is refused once, with the batch that it could") {
  // 8 replicas of 5 micro-batches; interleaving takes multiples of the 2 ranks.
  const std::string five = replaced(kSmall, "sequences: 64", "sequences: 40");
  const std::vector<std::string> interleaved{"training.schedule=interleaved_1f1b", "training.plan.chunks=2"};
  const std::string phase = "run { phase { name: \"a\" tokens: \"1T\" batch { sequence_length: 8192 } } }\n";
  const std::string once = faults_of(five + phase, interleaved);
  INFO(once);
  CHECK(std::count(once.begin(), once.end(), '\n') == 0);
  CHECK(contains(once, "training.schedule: found \"interleaved_1f1b\" with 5 micro-batches per replica"));
  CHECK(contains(once, "(try sequences: 48, which makes 6 micro-batches)"));
  CHECK(faults_of(replaced(five, "sequences: 40", "sequences: 48") + phase, interleaved).empty());

  const std::string own = "run { phase { name: \"a\" tokens: \"1T\" batch { sequences: 56 } } }\n";
  CHECK(
      contains(faults_of(kSmall + own, interleaved), "run.phase[0]: found \"interleaved_1f1b\" with 7 micro-batches"));
}

TEST_CASE("products of large degrees are what they are") {
  // In 32 bits 65,536 x 65,536 is 0, which every number divides.
  const std::string faults = v3_faults({"training.plan.data=65536", "training.plan.context=65536",
                                        "training.plan.pipeline=1", "training.plan.expert=3"});
  CHECK(contains(faults, "data 65536 x tensor 1 x context 65536 x pipeline 1 = 4294967296"));
  CHECK(contains(faults, "a divisor of data x context x tensor = 4294967296"));
}

TEST_CASE("nothing is offered that the next check refuses") {
  const std::string dualpipe = replaced(kSmall, "sequences: 64", "sequences: 524280");  // 65,535 per replica
  const std::string faults = faults_of(dualpipe, {"training.schedule=dualpipe"});
  INFO(faults);
  CHECK(contains(faults, "(try sequences: 524272, which makes 65534 micro-batches)"));
  const std::string wide = v3_faults({"training.plan.data=1000000", "training.plan.context=65536"});
  CHECK(contains(wide, "expected the 2048 GPUs"));
  CHECK_FALSE(contains(wide, "nodes: "));
}

/// The diagnostics of the small scenario with a schedule file of its own.
std::string order_faults(const std::string& order) {
  const TemporaryFolder folder;
  const std::string path =
      folder.write("scenario.textproto", replaced(kSmall, "schedule: \"1f1b\"", "schedule_file: \"mine.order\""));
  folder.write("mine.order", order);
  try {
    load_scenario(path, {}, libraries());
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST_CASE("what is no order says what an order looks like") {
  CHECK(contains(order_faults(std::string("\0\1\2", 3)),
                 "found a binary file, expected a text file of lines such as `0: F0 B0`"));
  CHECK(contains(order_faults("rank 0: F0\n"), "in a line such as `0: F0 B0`"));
  CHECK(contains(order_faults("F0 B0\n"), "expected a line such as `0: F0 B0`"));
}

TEST_CASE("files of orders have one limit") {
  // Larger than a scenario may be: read, and found to lack the passes.
  const std::string comment = "#" + std::string(3 << 20, '-') + "\n";
  CHECK(contains(order_faults(comment + "0: F0\n1: F0\n"), "training.schedule_file"));
  CHECK(contains(order_faults(std::string(17 << 20, '#')), "expected a text file of at most 16 MiB"));
}

TEST_CASE("a variant of a model is listed with its own source") {
  const auto source = [](const std::string& name) {
    for (const LibraryRow& row : list_library(LibraryKind::models, libraries())) {
      if (row.name == name) return row.source;
    }
    return std::string();
  };
  CHECK(contains(source("deepseek-r1"), "2501.12948"));
  CHECK(contains(source("kimi-k2"), "Kimi-K2"));
  CHECK_FALSE(contains(source("deepseek-v3"), "R1"));
  CHECK_FALSE(source("llama-3.1-8b").empty());
}

TEST_CASE("checkpoints and failures leave time to train") {
  CHECK(contains(v3_faults({"resilience.checkpoint_interval=1 s"}),
                 "resilience.checkpoint_interval: found \"1 s\", expected more than writing takes, "
                 "checkpoint_write = 40 s"));
  CHECK(v3_faults({"resilience.checkpoint_interval=41 s"}).empty());
  const std::string run = "run { phase { name: \"a\" tokens: \"1T\" } }\n";
  const std::string faults = faults_of(kSmall + run + "resilience { failure_rate: \"0.5 per GPU-hour\" }\n");
  INFO(faults);
  CHECK(contains(faults,
                 "scenario.textproto:11:14: resilience.failure_rate: found \"0.5 per GPU-hour\", a failure every "
                 "450 s on 16 GPUs, expected more time between failures than restarting and a checkpoint take, 640 s"));
  CHECK(faults_of(kSmall + run + "resilience { failure_rate: \"0.3 per GPU-hour\" }\n").empty());
}

TEST_CASE("a NIC faster than the port of the fabric is noted") {
  const Scenario fast = load_text(kSmall, {"cluster.node_override.nic_bandwidth=100 GB/s per direction"});
  REQUIRE(fast.notes.size() == 1);
  CHECK(contains(fast.notes[0], "100 GB/s, are held to the ports of mpft, 50 GB/s per direction"));
  const Scenario both = load_text(kSmall, {"cluster.node_override.nic_bandwidth=100 GB/s per direction",
                                           "cluster.fabric_override.port_bandwidth=100 GB/s per direction"});
  CHECK(both.notes.empty());
  CHECK(load_text(kSmall).notes.empty());
}

TEST_CASE("a value of the wrong type has its field's path and hides no other fault") {
  std::string text = replaced(kSmall, "sequences: 64", "sequences: 63.5");
  text = replaced(text, "expert: 8", "expert: 6");
  text = replaced(text, "gpu: \"2 USD/h\"", "gpu: 2");
  text =
      replaced(text, "schedule: \"1f1b\"", "schedule: \"1f1b\" unfolded: maybe mechanisms { gpu_speed_spread: \"x\" }");
  text = replaced(text, "data: 8", "data: 8 stage_layers: [30, 31.5]\t");
  const std::string faults = faults_of(text);
  INFO(faults);
  CHECK(contains(faults, "scenario.textproto:7:22: training.batch.sequences: found 63.5, expected a whole number"));
  CHECK(contains(faults, "training.plan.stage_layers: found 31.5, expected a whole number"));
  CHECK(contains(faults, "training.unfolded: found maybe, expected true or false"));
  CHECK(contains(faults, "training.mechanisms.gpu_speed_spread: found \"x\", expected a number"));
  CHECK(contains(faults, "price.gpu: found 2, expected a text in quotes (try \"2\", and its unit within"));
  CHECK(std::count(faults.begin(), faults.end(), '\n') == 4);
  CHECK(contains(faults_of(replaced(kSmall, "data: 8", "data: 9999999999")),
                 "training.plan.data: found 9999999999, expected a whole number within the range of the field"));
  CHECK(contains(faults_of(replaced(kSmall, "data: 8", "data\xc3\xa9: 8")), "found a character that is not ASCII"));
  // Alone it lets the laws of other sections speak.
  const std::string with_law =
      faults_of(replaced(replaced(kSmall, "gpu: \"2 USD/h\"", "gpu: 2"), "expert: 8", "expert: 6"));
  CHECK(contains(with_law, "price.gpu: found 2"));
  CHECK(contains(with_law, "training.plan.expert: found 6"));
}

TEST_CASE("a byte order mark is no fault") { CHECK(faults_of("\xef\xbb\xbf" + kSmall).empty()); }

}  // namespace
}  // namespace flopcast::test
