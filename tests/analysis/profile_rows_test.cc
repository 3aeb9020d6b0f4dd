// Do profiles give the kernels and collectives that were run, matched to operators by name and shape, the rest listed?
#include "analysis/evidence/calibrate/profile_rows.h"

#include "analysis/evidence/calibrate/card_measurements.h"
#include "analysis/studies/sweep/store/sqlite.h"
#include "tests/scenarios/fixture.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

// Two calls of one product, of two kernels each; attention; a softmax; an all-reduce that waited once; a lone kernel.
const std::string kProfile = R"({"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "NVIDIA H100"}],
"traceEvents": [
{"ph": "X", "cat": "cpu_op", "name": "aten::mm", "ts": 1, "dur": 9, "args": {"External id": 7,
  "Input Dims": [[4096, 1024], [1024, 2048]], "Input type": ["c10::BFloat16", "c10::BFloat16"], "Concrete Inputs": ["", ""]}},
{"ph": "X", "cat": "kernel", "name": "nvjet_tst_128x256", "ts": 5, "dur": 40, "args": {"External id": 7, "stream": 7}},
{"ph": "X", "cat": "kernel", "name": "splitK_reduce", "ts": 50, "dur": 5, "args": {"External id": 7, "stream": 7}},
{"ph": "X", "cat": "cpu_op", "name": "aten::mm", "ts": 60, "dur": 9, "args": {"External id": 8,
  "Input Dims": [[4096, 1024], [1024, 2048]], "Input type": ["c10::BFloat16", "c10::BFloat16"]}},
{"ph": "X", "cat": "kernel", "name": "nvjet_tst_128x256", "ts": 65, "dur": 50, "args": {"External id": 8}},
{"ph": "X", "cat": "cpu_op", "name": "aten::_scaled_dot_product_flash_attention", "args": {"External id": 9,
  "Input Dims": [[1, 32, 4096, 128], [1, 8, 4096, 128], [1, 8, 4096, 128], [], []],
  "Input type": ["c10::BFloat16", "c10::BFloat16", "c10::BFloat16", "Scalar", "Scalar"],
  "Concrete Inputs": ["", "", "", "0.", "True"]}},
{"ph": "X", "cat": "kernel", "name": "flash_fwd_kernel", "dur": 300.5, "args": {"External id": 9}},
{"ph": "X", "cat": "cpu_op", "name": "aten::_softmax", "args": {"External id": 10, "Input Dims": [[64, 64]]}},
{"ph": "X", "cat": "kernel", "name": "softmax_warp_forward", "dur": 4, "args": {"External id": 10}},
{"ph": "X", "cat": "kernel", "name": "ncclDevKernel_AllReduce_Sum_bf16_RING_LL", "dur": 900, "args": {"Collective name": "allreduce",
  "In msg nelems": 1048576, "Out msg nelems": 1048576, "Group size": 4, "dtype": "BFloat16", "Process Group Ranks": "[0, 1, 2, 3]"}},
{"ph": "X", "cat": "kernel", "name": "ncclDevKernel_AllReduce_Sum_bf16_RING_LL", "dur": 60, "args": {"Collective name": "allreduce",
  "In msg nelems": 1048576, "Out msg nelems": 1048576, "Group size": 4, "dtype": "BFloat16", "Process Group Ranks": "[0, 1, 2, 3]"}},
{"ph": "X", "cat": "kernel", "name": "a lone \"kernel\"", "dur": 1, "args": {"stream": 7}}
], "traceName": "x.json"})";

TEST_CASE("PyTorch's profiler gives rows of a card, and says what it could not match", "[profile]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("trace.json", kProfile);
  REQUIRE(is_profile(file));
  const Profile profile = read_profile(file);
  REQUIRE(profile.kernels.size() == 2);
  CHECK(profile.kernels[0].op == "attn_fwd_flash");
  CHECK(profile.kernels[0].shape == "B=1 H=32 KV=8 S=4096 D=128 Dv=128 causal=1");
  CHECK(profile.kernels[0].microseconds == 300.5);
  CHECK(profile.kernels[1].op == "gemm_fwd");
  CHECK(profile.kernels[1].shape == "M=4096 N=2048 K=1024");
  CHECK(profile.kernels[1].microseconds == 47.5);  // of 45 and 50
  CHECK(profile.kernels[1].times == 2);
  REQUIRE(profile.collectives.size() == 1);
  CHECK(profile.collectives[0].bytes == Bytes(2 << 20));
  CHECK(profile.collectives[0].microseconds == 60);  // the first waited
  CHECK(profile.collectives[0].ranks == std::vector{0, 1, 2, 3});
  CHECK(profile.matched_us / profile.all_us == Approx(395.5 / 400.5));
  REQUIRE(profile.rest.size() == 2);
  CHECK(profile.rest[0].name == "aten::_softmax");
  CHECK_THAT(profile_summary(profile, "trace"), ContainsSubstring("no operator launched it that was recorded"));

  const CardMeasurements card = read_card(parse_csv(card_table(profile), "trace"), "h100-sxm", "own");
  REQUIRE(card.kernels.size() == 2);
  CHECK_FALSE(card.kernels[0].without_launch);
  CHECK(card.kernels[1].without_launch);
  CHECK(std::get<GemmShape>(card.kernels[1].shape).k == 1024);
}

TEST_CASE("kernels that take no time or less, or of nothing, make no rows", "[profile]") {
  const test::TemporaryFolder folder;
  const auto profile = [&](const char* duration, const char* rows) {
    return folder.write(
        "p.json",
        std::string("{\"traceEvents\": [{\"ph\": \"X\", \"cat\": \"cpu_op\", \"name\": \"aten::mm\", \"args\": "
                    "{\"External id\": 1, \"Input Dims\": [[") +
            rows +
            ", 64], [64, 32]], \"Input type\": [\"c10::BFloat16\", \"c10::BFloat16\"]}}, {\"ph\": \"X\", \"cat\": "
            "\"kernel\", \"name\": \"kern\", \"dur\": " +
            duration + ", \"args\": {\"External id\": 1}}]}");
  };
  CHECK(read_profile(profile("3", "16")).kernels.size() == 1);
  CHECK(read_profile(profile("0", "16")).kernels.empty());
  CHECK(read_profile(profile("0", "16")).rest.at(0).reason == "it takes no time in the profile");
  CHECK(read_profile(profile("3", "0")).rest.at(0).reason == "an input without elements");
  CHECK_THROWS_WITH(read_profile(profile("-50", "16")),
                    ContainsSubstring("p.json: event before byte") && ContainsSubstring("a kernel of -50 us, kern"));
}

TEST_CASE("Nsight Systems' export gives kernels by the NVTX ranges of their launches", "[profile]") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/report.sqlite";
  {
    const SqliteFile file(path, SqliteFile::Access::write);
    for (const char* statement :
         {"CREATE TABLE StringIds (id INTEGER, value TEXT)",
          "INSERT INTO StringIds VALUES (1, 'nvjet_bf16bf16_128x256'), (2, 'aten::mm, op_id = 3, sizes = [[512, 256], "
          "[256, 128]]'), (3, 'ncclDevKernel_AllReduce(...)'), (4, 'other')",
          "CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER, end INTEGER, demangledName INTEGER, correlationId "
          "INTEGER)",
          "CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INTEGER, end INTEGER, globalTid INTEGER, correlationId "
          "INTEGER)",
          "CREATE TABLE NVTX_EVENTS (start INTEGER, end INTEGER, globalTid INTEGER, text TEXT, textId INTEGER)",
          "INSERT INTO NVTX_EVENTS VALUES (90, 400, 5, 'aten::linear, op_id = 2', NULL), (100, 300, 5, NULL, 2)",
          "INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (200, 210, 5, 11), (350, 360, 5, 12), (500, 510, 5, 13)",
          "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (1000, 21000, 1, 11), (30000, 31000, 4, 12), (40000, 90000, "
          "3, 13)"})
      file.prepare(statement).run();
  }
  REQUIRE(is_profile(path));
  const Profile profile = read_profile(path);
  REQUIRE(profile.kernels.size() == 1);
  CHECK(profile.kernels[0].shape == "M=512 N=128 K=256");
  CHECK(profile.kernels[0].microseconds == 20);
  REQUIRE(profile.rest.size() == 2);
  CHECK_THAT(profile.rest[0].name, ContainsSubstring("ncclDevKernel_AllReduce"));
  CHECK(profile.rest[1].name == "aten::linear");
}

TEST_CASE("a profile that is none is refused", "[profile]") {
  const test::TemporaryFolder folder;
  const auto refusal = [&](const std::string& text) {
    try {
      read_profile(folder.write("x.json", text));
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(refusal(kProfile.substr(0, 600)), ContainsSubstring("the end of"));
  CHECK_THAT(refusal("{}"), ContainsSubstring("traceEvents"));
  CHECK_THAT(refusal(R"({"traceEvents": []})"), ContainsSubstring("no kernels"));
  CHECK_THAT(refusal("{\"a\": ]"), ContainsSubstring("byte 6"));
  CHECK_THAT(refusal("\x1f\x8b"), ContainsSubstring("gunzip"));
  CHECK_FALSE(is_profile(folder.write("rows.csv", "op,shape,time_us\n")));
}

}  // namespace
}  // namespace flopcast
