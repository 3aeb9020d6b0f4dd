// Are library entries found where they should be, laid over their bases, and is each figure sourced?
#include "scenarios/read/libraries/libraries.h"

#include <cstdlib>

#include "scenarios/read/libraries/library_entries.h"
#include "tests/paths.h"
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::VectorContains;

/// What is wrong with a scenario: one fault at most is told.
std::string fault_of_load(const std::string& name) {
  try {
    load_scenario(name, {}, libraries());
  } catch (const InputError& error) {
    return error.diagnostics().size() == 1 ? error.what() : "more than one fault";
  }
  return "";
}

TEST_CASE("every entry of the libraries resolves") {
  const Libraries all = libraries();
  for (const LibraryKind kind :
       {LibraryKind::gpus, LibraryKind::nodes, LibraryKind::fabrics, LibraryKind::clusters, LibraryKind::models,
        LibraryKind::schedules, LibraryKind::collectives, LibraryKind::scenarios}) {
    const auto rows = list_library(kind, all);
    CHECK_FALSE(rows.empty());
    for (const LibraryRow& row : rows) {
      INFO(row.name << ": " << row.figures);
      CHECK(row.title != "cannot be read");
      CHECK_FALSE(row.figures.empty());
      CHECK_FALSE(to_text(row.name, all).empty());
    }
  }
  for (const std::string& name : all.names(LibraryKind::scenarios)) {
    INFO(name);
    // Traces are their publishers': a scenario that replays one is sound but for the file.
    if (name.ends_with("_trace")) {
      CHECK_THAT(fault_of_load(name),
                 ContainsSubstring("trace.file: found no file") && ContainsSubstring("github.com"));
    } else {
      CHECK_NOTHROW(load_scenario(name, {}, all));
    }
  }
}

/// The figures of a GPU that its file, or a base's, states. What is missing must be declared so.
std::vector<std::string> stated_figures(const proto::Gpu& gpu) {
  std::vector<std::string> out;
  for (const char* name :
       {"sms", "boost_clock", "bf16_peak", "fp8_peak", "fp32_peak", "hbm_capacity", "hbm_bandwidth", "l2_capacity",
        "nvlink_bandwidth", "pcie_bandwidth", "tdp", "die_area", "price", "tpp", "datacenter_marketed"}) {
    const auto* field = proto::Gpu::descriptor()->FindFieldByName(name);
    if (gpu.GetReflection()->HasField(gpu, field)) out.emplace_back(name);
  }
  return out;
}

TEST_CASE("every figure of a GPU, node and fabric has a source and a date") {
  const Libraries all = libraries();
  const auto check = [](const std::string& name, const std::map<std::string, Source>& sources,
                        const std::vector<std::string>& fields) {
    for (const std::string& field : fields) {
      INFO(name << "." << field);
      REQUIRE(sources.contains(field));
      CHECK_FALSE(sources.at(field).text.empty());
      CHECK_FALSE(sources.at(field).date.empty());
    }
  };
  for (const auto& name : all.names(LibraryKind::gpus)) {
    const auto entry = load_entry<proto::Gpu>(all, name);
    check(name, entry.sources, stated_figures(entry.message));
  }
  for (const auto& name : all.names(LibraryKind::nodes)) {
    check(name, all.node(name).sources,
          {"gpu", "gpus", "nvlink_efficiency", "nvlink_latency", "nic_bandwidth", "nic_efficiency", "overhead_power"});
  }
  for (const auto& name : all.names(LibraryKind::fabrics)) {
    check(name, all.fabric(name).sources,
          {"kind", "switch_ports", "port_bandwidth", "same_leaf_latency", "cross_leaf_latency"});
  }
}

TEST_CASE("the H800 is the H100 but for its links, FP64 and its papers") {
  const GpuSpec h100 = libraries().gpu("h100-sxm");
  const GpuSpec h800 = libraries().gpu("h800-sxm");
  CHECK(h800.base == "h100-sxm");
  CHECK(h800.changed_fields ==
        std::vector<std::string>{"title", "launch_date", "fp64_peak", "scale_up", "nvlink_bandwidth", "price"});
  CHECK(h800.bf16_peak == h100.bf16_peak);
  CHECK(h800.hbm_bandwidth == h100.hbm_bandwidth);
  CHECK(h800.tdp == h100.tdp);
  CHECK(h800.sources.at("hbm_bandwidth").text == h100.sources.at("hbm_bandwidth").text);
  CHECK(h100.nvlink_bandwidth == BytesPerSecond(450e9));
  CHECK(h800.nvlink_bandwidth == BytesPerSecond(200e9));
}

TEST_CASE("a scale multiplies a figure of the base or of what it overrides") {
  const TemporaryFolder folder;
  folder.write("gpus/half.textproto",
               "base: \"h100-sxm\" title: \"half\" sources { text: \"a what-if\" date: \"2026\" }\n"
               "scale { field: \"hbm_bandwidth\" by: 0.5 } scale { field: \"sms\" by: 0.5 }");
  const Libraries all({folder.path(), flopcast::testing::source_dir()});
  const GpuSpec half = all.gpu("half");
  CHECK(half.hbm_bandwidth == BytesPerSecond(1675e9));
  CHECK(half.sms == 66);
  CHECK(half.bf16_peak == all.gpu("h100-sxm").bf16_peak);
  CHECK_THAT(half.sources.at("hbm_bandwidth").text, ContainsSubstring("times 0.5 in"));

  const Scenario scaled =
      load_text(replaced(kSmall, "fabric: \"mpft\"",
                         "fabric: \"mpft\" node_override { scale { field: \"nic_bandwidth\" by: 0.5 } } "
                         "gpu_override { nvlink_bandwidth: \"450 GB/s per direction\" scale { field: "
                         "\"nvlink_bandwidth\" by: 2 } }"));
  CHECK(scaled.cluster.node.nic_bandwidth == BytesPerSecond(25e9));
  CHECK(scaled.cluster.node.nvlink_bandwidth == BytesPerSecond(900e9));
}

TEST_CASE("a scale of what is no figure, or of nothing, is refused") {
  const auto fault = [](const std::string& scale) {
    return faults_of(replaced(kSmall, "fabric: \"mpft\"", "fabric: \"mpft\" gpu_override { " + scale + " }"));
  };
  CHECK_THAT(fault("scale { field: \"hbm_bandwith\" by: 0.5 }"), ContainsSubstring("did you mean \"hbm_bandwidth\"?"));
  CHECK_THAT(fault("scale { field: \"title\" by: 0.5 }"), ContainsSubstring("a figure that can be scaled"));
  CHECK_THAT(fault("scale { field: \"fp4_peak\" by: 0.5 }"), ContainsSubstring("a figure that the base states"));
}

TEST_CASE("a chip with unpublished figures is listed, and refused where it would have to run") {
  const Libraries all = libraries();
  CHECK_THROWS_WITH(all.gpu("tpu-v4"), ContainsSubstring("not published"));
  const TemporaryFolder folder;
  folder.write(
      "nodes/trainium.textproto",
      "base: \"hgx-h800\" title: \"eight Trainium2\" gpu: \"trainium2\" sources { text: \"x\" date: \"2026\" }");
  const std::string file = folder.write("s.textproto", replaced(kSmall, "hgx-h800", "trainium"));
  const Libraries own({folder.path(), flopcast::testing::source_dir()});
  CHECK_THROWS_WITH(load_scenario(file, {}, own), ContainsSubstring("trainium2, of which sms, boost_clock"));
}

TEST_CASE("what a variant states is known, and what it declares unknown is not its base's") {
  const auto b30a = load_entry<proto::Gpu>(libraries(), "b30a");
  CHECK_FALSE(b30a.message.has_nvlink_bandwidth());
  CHECK(unpublished_figures(b30a.message).size() == 5);
  const TemporaryFolder folder;
  folder.write("gpus/mine.textproto",
               "base: \"b30a\" sms: 80 nvlink_bandwidth: \"450 GB/s per direction\" "
               "sources { text: \"x\" date: \"2026\" }");
  const auto mine = load_entry<proto::Gpu>(Libraries({folder.path(), flopcast::testing::source_dir()}), "mine");
  CHECK(unpublished_figures(mine.message) == std::vector<std::string>{"l2_capacity", "fp32_peak", "boost_clock"});
}

TEST_CASE("given the H100's links, the H800 computes and communicates as the H100 does") {
  const Scenario h800 = load_text(kSmall, {"cluster.gpu_override.nvlink_bandwidth=900 GB/s both directions"});
  const Scenario h100 = load_text(replaced(kSmall, "hgx-h800", "hgx-h100"));
  CHECK(h800.cluster.node.nvlink_bandwidth == h100.cluster.node.nvlink_bandwidth);
  CHECK(h800.cluster.node.gpu.bf16_peak == h100.cluster.node.gpu.bf16_peak);
  CHECK(h800.cluster.node.gpu.fp8_peak == h100.cluster.node.gpu.fp8_peak);
  CHECK_THAT(h800.cluster.node.gpu.sources.at("nvlink_bandwidth").text, ContainsSubstring("--set"));
}

TEST_CASE("values that carry traps are the right ones of the two") {
  const Libraries all = libraries();
  CHECK(all.gpu("h100-sxm").boost_clock == Hertz(1830e6));  // at which 989 TFLOPS are quoted, not 1980 MHz
  CHECK(all.gpu("a100-sxm").nvlink_bandwidth == BytesPerSecond(300e9));
  CHECK(all.gpu("a100-sxm").fp8_peak == FlopPerSecond(0));
  CHECK(all.gpu("h20").nvlink_bandwidth == all.gpu("h100-sxm").nvlink_bandwidth);
  CHECK(all.gpu("gb200").nvlink_bandwidth == all.gpu("b200-sxm").nvlink_bandwidth);
  CHECK(all.node("hgx-a100").nic_bandwidth == BytesPerSecond(25e9));
  CHECK(all.node("hgx-h800").nic_bandwidth == BytesPerSecond(50e9));
  CHECK_FALSE(all.gpu("h800-sxm").sources.at("fp64_peak").confirmed);
}

TEST_CASE("a folder of the user's own comes first and adds to the rest") {
  const TemporaryFolder mine;
  mine.write("gpus/h900.textproto", "base: \"h100-sxm\"\ntitle: \"mine\"\nhbm_bandwidth: \"5 TB/s\"\n");
  mine.write("gpus/h20.textproto", "base: \"h100-sxm\"\ntitle: \"my H20\"\n");
  const Libraries both({mine.path(), flopcast::testing::source_dir()});
  CHECK(both.gpu("h900").hbm_bandwidth == BytesPerSecond(5e12));
  CHECK(both.gpu("h900").sms == 132);
  CHECK(both.gpu("h20").title == "my H20");
  CHECK(both.gpu("h800-sxm").sms == 132);
  CHECK_THAT(both.names(LibraryKind::gpus), VectorContains(std::string("h900")));
}

TEST_CASE("a fault below a variant's field stands in the variant's file") {
  const TemporaryFolder folder;
  folder.write("models/mine.textproto", "base: \"llama-3.1-8b\"\ntitle: \"mine\"\nattention { heads: -3 }\n");
  const Libraries own({folder.path(), flopcast::testing::source_dir()});
  try {
    own.model("mine");
    FAIL("accepted");
  } catch (const InputError& error) {
    const Diagnostic& d = error.diagnostics().front();
    CHECK(d.field == "attention.heads");
    CHECK(d.file == folder.path() + "/models/mine.textproto");
    CHECK(d.line == 3);
  }
}

TEST_CASE("the search path: --library, then FLOPCAST_LIBRARY, then the source tree that the program was built in") {
  const TemporaryFolder mine, ours;
  const std::vector<std::string> folders{mine.path()};
  setenv("FLOPCAST_LIBRARY", ours.path().c_str(), 1);
  const Libraries found = Libraries::discover(folders);
  unsetenv("FLOPCAST_LIBRARY");
  REQUIRE(found.roots().size() >= 2);
  CHECK(found.roots()[0] == mine.path());
  CHECK(found.roots()[1] == ours.path());
  const bool built_in_tree =
      std::filesystem::read_symlink("/proc/self/exe").string().starts_with(flopcast::testing::source_dir());
  if (built_in_tree) CHECK(found.find(LibraryKind::gpus, "h800-sxm").has_value());
  const std::vector<std::string> missing{mine.path() + "/none"};
  CHECK_THROWS_AS(Libraries::discover(missing), InputError);
}

TEST_CASE("a name cannot lead out of the library") {
  CHECK_FALSE(libraries().find(LibraryKind::gpus, "../gpus/h20").has_value());
  CHECK_FALSE(libraries().find(LibraryKind::gpus, "").has_value());
}

TEST_CASE("broken entries of the user's own are diagnosed where they stand") {
  const TemporaryFolder mine;
  mine.write("gpus/loop-a.textproto", "base: \"loop-b\"");
  mine.write("gpus/loop-b.textproto", "base: \"loop-a\"");
  mine.write("gpus/orphan.textproto", "\nbase: \"h100-smx\"");
  mine.write("gpus/bare.textproto", "title: \"bare\"");
  mine.write("gpus/slip.textproto",
             "base: \"h100-sxm\"\nsources { field: \"hbm_bandwith\" text: \"t\" date: \"2024\" }");
  mine.write("gpus/wrong.textproto", "base: \"h100-sxm\"\ntdp: \"700 GB\"");
  mine.write("models/odd.textproto", "base: \"llama-3.1-8b\"\nattention { kv_heads: 7 }");
  const Libraries both({mine.path(), flopcast::testing::source_dir()});
  const auto fault = [&](const std::string& name) -> std::string {
    try {
      both.gpu(name);
      return "";
    } catch (const InputError& error) {
      return error.what();
    }
  };
  CHECK_THAT(fault("loop-a"), ContainsSubstring("found loop-a -> loop-b -> loop-a, expected bases without a circle"));
  CHECK_THAT(fault("orphan"), ContainsSubstring("orphan.textproto:2:1: base: found \"h100-smx\"") &&
                                  ContainsSubstring("(did you mean \"h100-sxm\"?)"));
  CHECK_THAT(
      fault("bare"),
      ContainsSubstring("vendor: found nothing") &&
          ContainsSubstring("hbm_capacity: found nothing, expected an amount of data in bytes such as \"64 MiB\""));
  CHECK_THAT(
      fault("slip"),
      ContainsSubstring("found \"hbm_bandwith\", expected a field of this file (did you mean \"hbm_bandwidth\"?)"));
  CHECK_THAT(fault("wrong"),
             ContainsSubstring("wrong.textproto:2:1: tdp: found \"700 GB\", which is an amount of data in bytes"));
  CHECK_THAT(fault("h80"), ContainsSubstring("found \"h80\", expected one of "));
  CHECK_THROWS_AS(both.model("odd"), InputError);
  for (const LibraryRow& row : list_library(LibraryKind::gpus, both)) {
    if (row.name == "bare") CHECK(row.title == "cannot be read");
    if (row.name == "h20") CHECK(row.title != "cannot be read");
  }
}

TEST_CASE("a profile of software that contradicts itself is refused") {
  const TemporaryFolder mine;
  const auto fault = [&](const std::string& text) -> std::string {
    mine.write("software/mine.textproto", "base: \"torchtitan-2024.12-eager\"\n" + text);
    try {
      Libraries({mine.path(), flopcast::testing::source_dir()}).software("mine");
      return "";
    } catch (const InputError& error) {
      return error.what();
    }
  };
  CHECK(fault("title: \"mine\"") == "");
  CHECK_THAT(
      fault("indexed_once: true"),
      ContainsSubstring("mine.textproto:2:1: indexed_once: found true beside indexed_rows: true, expected false, "
                        "or indexed_rows: false: one of them"));
  CHECK(fault("indexed_once: true indexed_rows: false") == "");
  CHECK_THAT(fault("compiled_layers: true"), ContainsSubstring("found true beside eager: true"));
  CHECK_THAT(fault("eager: false\nfused_norms: true"),
             ContainsSubstring("mine.textproto:3:1: fused_norms: found true without eager, expected false"));
}

TEST_CASE("show prints the file as written and a variant in full") {
  const std::string text = to_text("h800-sxm", libraries());
  CHECK_THAT(text, ContainsSubstring("The H100 for China after October 2022") &&
                       ContainsSubstring("With its base filled in") && ContainsSubstring("sms: 132"));
  CHECK_THAT(to_text("dualpipe", libraries()), ContainsSubstring("bubble (P/2-1)"));
  CHECK_THROWS_AS(to_text("h800-smx", libraries()), InputError);
  CHECK(library_kind("gpus") == LibraryKind::gpus);
  CHECK_THROWS_AS(library_kind("gpu s"), InputError);
}

}  // namespace
}  // namespace flopcast::test
