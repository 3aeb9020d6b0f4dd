// Are the public trace formats read as they are meant, and bad lines named?
#include "workloads/serving/traffic/trace_reader.h"

#include <vector>

#include "sim/base/diagnostic.h"
#include "sim/base/random.h"
#include "tests/catch.h"
#include "tests/temporary.h"
#include "tests/workloads/serving/trace_records.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

/// What is wrong with a trace, without the name of the file.
std::string faults_of(const std::string& contents, TraceOptions options = {}) {
  const test::TemporaryFile file(contents);
  options.path = file.path();
  try {
    scan_trace(options);
  } catch (const InputError& error) {
    std::string text = error.what();
    for (std::size_t at; (at = text.find(file.path())) != std::string::npos;) text.erase(at, file.path().size());
    return text;
  }
  return "nothing";
}

const std::string kAzure =
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 23:59:46.6805900,374,44\n"
    "2023-11-16 23:59:50.9951690,396,109\n"
    "2023-11-17 00:00:10.0000000,10,2\n";

TEST_CASE("Azure's traces are read, midnight passed", "[workloads][serving]") {
  const test::TemporaryFile file(kAzure);
  const std::vector<TraceRecord> records = records_of({.path = file.path()});
  REQUIRE(records.size() == 3);
  CHECK(records[0].at == Seconds(0));
  CHECK(records[1].at.value() == Approx(4.314579).epsilon(1e-12));
  CHECK(records[2].at.value() == Approx(23.31941).epsilon(1e-12));
  CHECK(records[1].input_tokens == 396);
  CHECK(records[1].output_tokens == 109);
  CHECK(TraceReader({.path = file.path()}).format().name == "azure");
}

TEST_CASE("times of day may carry a zone", "[workloads][serving]") {
  const test::TemporaryFile file(
      "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
      "2024-05-10 00:00:00.009930+00:00,1,1\r\n"
      "2024-05-10T02:00:01.009930+02:00,1,1\r\n"
      "2024-05-10 00:00:02Z,1,1");
  const std::vector<TraceRecord> records = records_of({.path = file.path()});
  REQUIRE(records.size() == 3);
  CHECK(records[1].at.value() == Approx(1));
  CHECK(records[2].at.value() == Approx(1.99007));
}

TEST_CASE("Bailian's turns count seconds and blocks of 16 tokens, with ids or without", "[workloads][serving]") {
  const std::string turn = "{\"chat_id\": 159, \"parent_chat_id\": -1, \"timestamp\": ";
  const std::string lengths = ", \"input_length\": 40, \"output_length\": 132, \"type\": \"text\", \"turn\": 1";
  const test::TemporaryFile bare(turn + "61.114" + lengths + "}\n" + turn + "136.5" + lengths + "}\n");
  const std::vector<TraceRecord> records = records_of({.path = bare.path()});
  REQUIRE(records.size() == 2);
  CHECK(TraceReader({.path = bare.path()}).format().name == "bailian");
  CHECK(records[1].at.value() == Approx(75.386));
  const test::TemporaryFile with_ids(turn + "1" + lengths + ", \"hash_ids\": [7, 8, 9]}\n");
  CHECK(records_of({.path = with_ids.path()})[0].blocks.size() == 2);  // the third is not full
  CHECK(records[0].session == 1);
}

TEST_CASE("other tables are known by their columns, in any order", "[workloads][serving]") {
  const test::TemporaryFile vidur("arrived_at,num_prefill_tokens,num_decode_tokens\n5.5,4808,10\n6.5,3180,8\n");
  CHECK(records_of({.path = vidur.path()}).back().at == Seconds(1));
  const test::TemporaryFile lengths(
      "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n3772,54,3826,69.85\n");
  CHECK(scan_trace({.path = lengths.path()}).has_times() == false);
  CHECK(records_of({.path = lengths.path()})[0].output_tokens == 54);
  const test::TemporaryFile burst(
      "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
      "5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,230,1317,Conversation log\n");
  CHECK(scan_trace({.path = burst.path()}).format->name == "burstgpt");
  CHECK(records_of({.path = burst.path()})[1].at == Seconds(40));
  const test::TemporaryFile own("\xef\xbb\xbfoutput_tokens,arrival_s,input_tokens\n3,0,100\n");
  CHECK(records_of({.path = own.path()})[0].input_tokens == 100);
}

std::string mooncake(const std::string& time, int input, int output, const std::string& ids) {
  return "{\"timestamp\": " + time + ", \"input_length\": " + std::to_string(input) +
         ", \"output_length\": " + std::to_string(output) + ", \"hash_ids\": [" + ids + "]}\n";
}

TEST_CASE("Mooncake's traces keep the ids of full blocks", "[workloads][serving]") {
  const test::TemporaryFile file(
      mooncake("0", 1024, 5, "0, 1") + mooncake("27000", 1025, 7, "0, 7, 8") +
      "{\"type\":\"text\",\"extra\":[1,{\"a\":\"]\"}],\"timestamp\":27500,\"input_length\":3,"
      "\"output_length\":1,\"hash_ids\":[9]}\n\n");
  const std::vector<TraceRecord> records = records_of({.path = file.path()});
  REQUIRE(records.size() == 3);
  CHECK(records[1].at == Seconds(27));
  CHECK(records[0].blocks.runs().size() == 1);
  CHECK(records[1].blocks.size() == 2);
  CHECK(records[1].blocks.id(1) == 7);
  CHECK(records[2].blocks.empty());
  CHECK(scan_trace({.path = file.path()}).largest_block == 7);
}

TEST_CASE("rates, lengths, windows and samples change what is taken", "[workloads][serving]") {
  const test::TemporaryFile file(mooncake("0", 1024, 5, "0, 1") + mooncake("2000", 2048, 7, "0, 7, 8, 9") +
                                 mooncake("4000", 512, 7, "0"));
  const std::vector<TraceRecord> records = records_of({.path = file.path(),
                                                       .rate_scale = 2,
                                                       .input_scale = 0.5,
                                                       .output_scale = 0.01,
                                                       .from = Seconds(1),
                                                       .until = Seconds(4)});
  REQUIRE(records.size() == 1);
  CHECK(records[0].at == Seconds(0.5));
  CHECK(records[0].input_tokens == 1024);
  CHECK(records[0].output_tokens == 1);
  CHECK(records[0].blocks.size() == 2);

  std::string many = "arrival_s,input_tokens,output_tokens\n";
  for (int i = 0; i < 20'000; ++i) many += std::to_string(i) + ",1,1\n";
  const test::TemporaryFile long_file(many);
  const auto kept = static_cast<double>(records_of({.path = long_file.path(), .keep_one_in = 10}).size());
  CHECK(kept == Approx(2000).margin(5 * 45));
  CHECK(records_of({.path = long_file.path(), .keep_one_in = 10}).size() == static_cast<std::size_t>(kept));
}

TEST_CASE("every bad line is named with its place, all at once", "[workloads][serving]") {
  CHECK(faults_of("arrival_s,input_tokens,output_tokens\n0,12x,5\n1,0,5\n2,-4,5\n3,7\n\n4,8,1e3\n"
                  "5,99999999999999999999,1\n4.5,1,1\nnan,1,1\n") ==
        ":2:3: input_tokens: found \"12x\", expected a whole number of tokens from 1 to 100000000\n"
        ":3:3: input_tokens: found \"0\", expected a whole number of tokens from 1 to 100000000 "
        "(try leaving failed requests out of the trace)\n"
        ":4:3: input_tokens: found \"-4\", expected a whole number of tokens from 1 to 100000000\n"
        ":5:4: found 2 columns, expected 3, as in the header\n"
        ":6:1: found an empty line, expected a request\n"
        ":7:5: output_tokens: found \"1e3\", expected a whole number of tokens from 1 to 100000000\n"
        ":8:3: input_tokens: found \"99999999999999999999\", expected a whole number of tokens from 1 to "
        "100000000\n"
        ":10:1: arrival_s: found \"nan\", expected a time, a number from 0 to 1e10 s");
}

TEST_CASE("a trace that goes back in time is not sorted behind the user's back", "[workloads][serving]") {
  CHECK(faults_of("arrival_s,input_tokens,output_tokens\n5,1,1\n3,1,1\n4,1,1\n") ==
        ":3:1: arrival_s: found \"3\", expected a time not before that of the line above (try sorting the "
        "trace by time)");
}

TEST_CASE("broken JSON is named with its column", "[workloads][serving]") {
  const std::string good = mooncake("0", 512, 5, "0");
  CHECK_THAT(faults_of(good + "{\"timestamp\": 3, \"input_le"),
             ContainsSubstring(":2:27: found the end of the line, expected '\"'"));
  CHECK_THAT(faults_of(good + "{\"timestamp\": 3}\n"), ContainsSubstring(":2:1: input_length: found no such key"));
  CHECK_THAT(faults_of(mooncake("0", 513, 5, "0")), ContainsSubstring(":1:71: hash_ids: found 1 ids, expected 2"));
  CHECK_THAT(faults_of(mooncake("0", 512, 5, "-1")),
             ContainsSubstring("hash_ids: found \"-1\", expected the id of a block"));
  CHECK_THAT(faults_of(mooncake("0", 512, 5, "0") + "[1]\n"), ContainsSubstring(":2:1: found \"[1]\", expected '{'"));
  CHECK_THAT(faults_of(mooncake("-1", 512, 5, "0")), ContainsSubstring("timestamp: found \"-1\""));
  CHECK_THAT(faults_of(good + "{\"timestamp\": 0, \"input_length\": 1, \"output_length\": 1} x\n"),
             ContainsSubstring("found \"x\", expected the end of the line"));
}

TEST_CASE("files that are no traces are refused", "[workloads][serving]") {
  CHECK_THAT(faults_of(""), ContainsSubstring("found an empty file"));
  CHECK_THAT(faults_of("\n\n"), ContainsSubstring("found an empty file"));
  CHECK_THAT(faults_of("arrival_s,input_tokens,output_tokens\n"), ContainsSubstring("found no request"));
  CHECK_THAT(faults_of("a,b\n1,2\n"), ContainsSubstring(":1:1: found columns \"a, b\", expected a header with"));
  // The nearest formats, not all of them, and both ways to name columns.
  CHECK_THAT(faults_of("arrival_s,prompt,output_tokens\n1,2,3\n"),
             ContainsSubstring("expected a header with arrival_s, input_tokens, output_tokens (flopcast)") &&
                 ContainsSubstring("others (`flopcast trace formats`)") && ContainsSubstring("--input"));
  CHECK_THAT(faults_of(std::string(1000, '\x01')), ContainsSubstring("\\x01\\x01...\""));
  CHECK_THROWS_WITH(scan_trace({.path = "/no/such/file"}), ContainsSubstring("no such file"));
  CHECK_THROWS_WITH(scan_trace({.path = "/"}), ContainsSubstring("a folder"));
  CHECK_THROWS_WITH(scan_trace({.path = "/dev/null"}), ContainsSubstring("a device or pipe"));
}

TEST_CASE("of many faults the first twenty are shown and the rest counted", "[workloads][serving]") {
  std::string text = "arrival_s,input_tokens,output_tokens\n0,1,1\n";
  for (int i = 0; i < 100; ++i) text += "bad\n";
  CHECK_THAT(faults_of(text), ContainsSubstring("found 80 more faults, not shown"));
}

TEST_CASE("an endless line costs no endless memory", "[workloads][serving]") {
  const std::string text =
      "arrival_s,input_tokens,output_tokens\n0,1,1\n" + std::string(9 << 20, 'x') + "\n1,1,1\nbad\n";
  const std::string faults = faults_of(text);
  CHECK_THAT(faults, ContainsSubstring(":3:1: found a line of more than 4 MiB"));
  CHECK_THAT(faults, ContainsSubstring(":5:4: found 1 columns"));
}

TEST_CASE("whatever is done to a trace, it is read or refused in words", "[workloads][serving]") {
  const std::string traces[] = {kAzure, mooncake("0", 1024, 5, "0, 1") + mooncake("27000", 1025, 7, "0, 7, 8"),
                                "arrival_s,input_tokens,output_tokens\n0,1,1\n1.5,20,3\n"};
  RandomStream random(17);
  int refused = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string text = traces[round % 3];
    for (std::uint64_t change = 0; change <= random.next() % 3; ++change) {
      const std::size_t at = random.next() % text.size();
      switch (random.next() % 4) {
        case 0:
          text[at] = static_cast<char>(random.next() % 256);
          break;
        case 1:
          text.erase(at, 1 + random.next() % 8);
          break;
        case 2:
          text.insert(at, text.substr(random.next() % text.size(), random.next() % 20));
          break;
        default:
          text.resize(at + 1);
          break;
      }
      if (text.empty()) text = "x";
    }
    CAPTURE(round);
    const std::string faults = faults_of(text);
    refused += faults == "nothing" ? 0 : 1;
    REQUIRE_THAT(faults, ContainsSubstring(faults == "nothing" ? "nothing" : "expected"));
  }
  CHECK(refused > 700);
}

TEST_CASE("requests beyond the context are faults, or left out and counted", "[workloads][serving]") {
  const std::string text = "arrival_s,input_tokens,output_tokens\n0,90,10\n1,90,11\n";
  CHECK(faults_of(text, {.context = 100}) ==
        ":3:3: input_tokens: found 101 tokens of prompt and answer, expected at most 100, the context");
  const test::TemporaryFile file(text);
  const TraceSummary summary = scan_trace({.path = file.path(), .context = 100, .drop_beyond_context = true});
  CHECK(summary.requests == 1);
  CHECK(summary.dropped_beyond_context == 1);
}

}  // namespace
}  // namespace flopcast
