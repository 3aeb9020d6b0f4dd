// Are the files of a workload found, its communicators read, and jobs that are not whole refused?
#include "scenarios/imports/chakra_import.h"

#include <filesystem>

#include "tests/analysis/program.h"
#include "tests/scenarios/fixture.h"
#include "tests/workloads/et_writer.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;
using testing::EtText;

std::string refusal(const ChakraSource& source) {
  try {
    load_chakra(source);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::string reduce(const std::string& group = "") { return EtText().collective(1, 0, 64, {}, group).str(); }

TEST_CASE("a workload is named by its folder, the beginning of its names, a pattern", "[chakra]") {
  const TemporaryFolder folder;
  for (int rank = 0; rank < 3; ++rank) folder.write("w/job." + std::to_string(rank) + ".et", reduce());
  for (const std::string path : {"/w", "/w/", "/w/job", "/w/job.%d.et"}) {
    const ChakraJob job = load_chakra({folder.path() + path, "", 0});
    CHECK(job.ranks == 3);
    CHECK(job.traces[2].rank == 2);
    CHECK(job.groups[0].ranks == std::vector{0, 1, 2});
  }
  CHECK_THAT(refusal({folder.path() + "/nothing", "", 0}), ContainsSubstring("no such file"));
  folder.write("w/other.0.et", reduce());
  CHECK_THAT(refusal({folder.path() + "/w", "", 0}), ContainsSubstring("traces of 2 workloads: job, other"));
}

TEST_CASE("ranks that are missing are refused, unless all are said to be alike", "[chakra]") {
  const TemporaryFolder folder;
  const std::string lone = folder.write("a/job.0.et", reduce());
  CHECK_THAT(refusal({lone, "", 0}), ContainsSubstring("node 1") && ContainsSubstring("--alike N"));
  const ChakraJob alike = load_chakra({lone, "", 8});
  CHECK(alike.ranks == 8);
  CHECK_THAT(alike.notes[0], ContainsSubstring("all 8 ranks run the trace of rank 0"));
  folder.write("b/job.0.et", reduce());
  folder.write("b/job.3.et", reduce());
  CHECK_THAT(refusal({folder.path() + "/b", "", 0}), ContainsSubstring("missing: 1, 2"));
  CHECK_THAT(refusal({folder.path() + "/b", "", 8}), ContainsSubstring("traces of 2 ranks beside --alike"));
}

TEST_CASE("communicators come from a file beside the traces, or as one says", "[chakra]") {
  const TemporaryFolder folder;
  for (int rank = 0; rank < 4; ++rank)
    folder.write("job." + std::to_string(rank) + ".et", reduce(rank < 2 ? "1" : "2"));
  CHECK_THAT(refusal({folder.path(), "", 0}),
             ContainsSubstring("a collective of group \"1\", whose ranks nothing states"));
  const std::string groups = folder.write("g.json", R"({"1": [1, 0], "2": [2, 3]})");
  const ChakraJob job = load_chakra({folder.path() + "/job", groups, 0});
  CHECK(job.groups[1].ranks == std::vector{0, 1});
  CHECK(job.group_of[job.traces[3].nodes[0].group] == 2);
  folder.write("comm_group.json", R"({"1": [0, 1], "2": [2, 3]})");
  CHECK(load_chakra({folder.path(), "", 0}).groups.size() == 3);

  const auto with = [&](const std::string& text) { return refusal({folder.path(), folder.write("g.json", text), 0}); };
  CHECK_THAT(with(R"({"1": [0, 1], "2": [2, 4]})"), ContainsSubstring("rank 4") && ContainsSubstring("from 0 to 3"));
  CHECK_THAT(with(R"({"1": [0, 0], "2": [2, 3]})"), ContainsSubstring("a rank that stands twice"));
  CHECK_THAT(with(R"({"1": 7, "2": [2, 3]})"), ContainsSubstring("no list of ranks"));
}

TEST_CASE("files of different versions are no job", "[chakra]") {
  const TemporaryFolder folder;
  folder.write("job.0.et", reduce());
  WireWriter node, type;
  type.bytes(1, "runtime");
  type.varint(6, 5);
  node.varint(1, 1);
  node.varint(3, 4);
  node.message(11, type);
  folder.write("job.1.et", EtText("").message(node).str());
  CHECK_THAT(refusal({folder.path(), "", 0}),
             ContainsSubstring("a trace of version 0.0.2 or 0.0.3") && ContainsSubstring("that states version 0.0.4"));
}

TEST_CASE("PyTorch's process groups stand in a node of metadata", "[chakra]") {
  const TemporaryFolder folder;
  WireWriter node, inputs;
  inputs.bytes(1, R"(['[{"pg_name": "5", "ranks": [0, 2]}, {"pg_name": "0", "ranks": []}]'])");
  node.varint(1, 9);
  node.varint(3, 1);
  node.message(8, inputs);
  for (int rank = 0; rank < 3; ++rank) {
    EtText trace;
    trace.message(node).collective(1, 0, 64, {}, "0");
    if (rank != 1) trace.collective(2, 0, 64, {}, "5");
    folder.write("job." + std::to_string(rank) + ".et", trace.str());
  }
  const ChakraJob job = load_chakra({folder.path(), "", 0});
  CHECK(job.groups[1].ranks == std::vector{0, 2});
}

TEST_CASE("the program replays the examples, and writes nothing for a bad trace", "[chakra][program]") {
  const std::string examples = testing::source_dir() + "/examples/chakra";
  const TemporaryFolder folder;
  const std::string json = folder.path() + "/report.json", trace = folder.path() + "/trace.json";
  const auto sound = testing::flopcast("chakra replay " + examples + "/two_groups --on " + examples +
                                       "/line.textproto --links full --json " + json + " --trace " + trace);
  INFO(sound.err);
  REQUIRE(sound.code == 0);
  CHECK_THAT(testing::one_line(sound.out), ContainsSubstring("20 nodes of 4 ranks"));
  CHECK_THAT(testing::contents(json), ContainsSubstring("\"exposed_communication_s\""));
  CHECK_THAT(testing::contents(trace), ContainsSubstring("activations of a pair"));

  folder.write("bad/job.0.et", reduce().substr(0, 30));
  const std::string none = folder.path() + "/none.json";
  const auto bad =
      testing::flopcast("chakra replay " + folder.path() + "/bad --on " + examples + "/line.textproto --json " + none);
  CHECK(bad.code == 2);
  CHECK_THAT(testing::one_line(bad.err), ContainsSubstring("job.0.et: byte 8"));
  CHECK_FALSE(std::filesystem::exists(none));
}

}  // namespace
}  // namespace flopcast::test
