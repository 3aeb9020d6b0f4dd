// Is every public form of trace found by its content, read in its own units, and never guessed?
#include <fstream>
#include <vector>

#include "sim/base/diagnostic.h"
#include "tests/catch.h"
#include "tests/temporary.h"
#include "tests/workloads/serving/trace_records.h"
#include "workloads/serving/traffic/traces/byte_source.h"
#include "workloads/serving/traffic/traffic.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

struct FormatCase {
  std::string name;  ///< of the format; empty: refused
  std::string text;
  double second_at = 0;  ///< seconds
  std::int32_t second_input = 0, second_output = 0;
};

/// Two requests each, in the words of whoever publishes the format.
const FormatCase kCases[] = {
    {"azure",
     "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.009930+00:00,2162,5\n"
     "2024-05-10 00:00:01.017335+00:00,2399,6\n",
     1.007405, 2399, 6},
    {"azure-multimodal",
     "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n2024-10-15 00:00:00,1,1162,15\n2024-10-15 00:00:02.5,0,7,6\n",
     2.5, 7, 6},
    {"mooncake",
     "{\"timestamp\": 0, \"input_length\": 655, \"output_length\": 52, \"hash_ids\": [46, 47]}\n"
     "{\"timestamp\": 10535, \"input_length\": 672, \"output_length\": 26, \"hash_ids\": [46, 47]}\n",
     10.535, 672, 26},
    {"bailian",
     "{\"chat_id\": 159, \"parent_chat_id\": -1, \"timestamp\": 61, \"input_length\": 20, \"output_length\": 132, "
     "\"type\": \"text\", \"turn\": 1, \"hash_ids\": [1089, 1090]}\n"
     "{\"chat_id\": 160, \"parent_chat_id\": 159, \"timestamp\": 197, \"input_length\": 40, \"output_length\": 80, "
     "\"type\": \"text\", \"turn\": 2, \"hash_ids\": [1089, 1090, 7]}\n",
     136, 40, 80},
    {"dynamo",
     "{\"created_time\": 0, \"input_tokens\": 100, \"output_tokens\": 5, \"hash_ids\": [1, 2]}\n"
     "{\"created_time\": 500, \"input_tokens\": 65, \"output_tokens\": 5, \"hash_ids\": [1, 2]}\n",
     0.5, 65, 5},
    {"aiperf-records",
     "{\"metadata\": {\"session_num\": 0, \"request_start_ns\": 1759813207532900363}, \"metrics\": "
     "{\"input_sequence_length\": {\"value\": 550, \"unit\": \"tokens\"}, \"output_sequence_length\": {\"value\": "
     "48.0}}}\n"
     "{\"metadata\": {\"session_num\": 1, \"request_start_ns\": 1759813208532900363}, \"metrics\": "
     "{\"input_sequence_length\": {\"value\": 551, \"unit\": \"tokens\"}, \"output_sequence_length\": {\"value\": "
     "49}}}\n",
     1.0, 551, 49},
    {"vidur", "arrived_at,num_prefill_tokens,num_decode_tokens\n5.5,4808,10\n6.5,3180,8\n", 1.0, 3180, 8},
    {"burstgpt",
     "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n"
     "45,ChatGPT,1087,230,1317,Conversation log\n",
     40, 1087, 230},
    {"burstgpt-sessions",
     "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
     "19440110.0,1722ac82-0a46,43,GPT-4,906,446,1352,Conversation log\n"
     "19440161.0,d5983bf9-4b48,2,ChatGPT,100,20,120,Conversation log\n",
     51, 100, 20},
    {"blis", "arrived_at,prefill_tokens,decode_tokens\n0,5047,514\n0.565865,4958,378\n", 0.565865, 4958, 378},
    {"blis-trace",
     "request_id,client_id,tenant_id,slo_class,session_id,round_index,prefix_group,streaming,input_tokens,"
     "output_tokens,arrival_time_us,status,error_message\n0,c1,t,,s1,0,,true,512,128,1000,ok,\n"
     "1,c1,t,,s1,1,,true,700,64,2501000,ok,\"a, quoted\"\n",
     2.5, 700, 64},
    {"tokenmill", "# Sample trace\n# two lines\ntimestamp_ms,prompt_tokens,output_tokens\n0.0,487,112\n198.3,1024,64\n",
     0.1983, 1024, 64},
    {"llmservingsim-table", "input_toks\toutput_toks\tarrival_time_ns\n10\t70\t46926808\n22\t104\t347938952\n",
     0.301012144, 22, 104},
    {"llmservingsim",
     "{\"input_toks\": 1472, \"output_toks\": 133, \"arrival_time_ns\": 4059740}\n"
     "{\"input_toks\": 15, \"output_toks\": 3, \"arrival_time_ns\": 1004059740}\n",
     1.0, 15, 3},
    {"servegen", "request_id,timestamp,input_tokens,output_tokens\n0,0.25,100,20\n1,0.75,300,2\n", 0.5, 300, 2},
    {"vllm-bench",
     "{\"date\": \"20251101\", \"model_id\": \"x\", \"duration\": 2.0, \"completed\": 2, \"input_lens\": [1024, 900],\n"
     "\"output_lens\": [128, 64], \"ttfts\": [0.1, 0.2], \"itls\": [[0.01], [0.02, 0.03]],\n"
     "\"start_times\": [100.5, 102.0], \"generated_texts\": [\"a ] }\", \"b\\\"\"], \"errors\": [\"\", \"\"]}",
     1.5, 900, 64},
    {"prompt-lengths", "[{\"prompt_len\": 7, \"output_len\": 8},\n {\"prompt_len\": 9, \"output_len\": 10}]\n", 0, 9,
     10},
    {"json-lengths", "{\"input_length\": 7, \"output_length\": 8}\n{\"input_length\": 9, \"output_length\": 10}\n", 0,
     9, 10},
    {"pairs", "[[12, 340],\n [5, 6]]", 0, 5, 6},
    {"flopcast-json",
     "{\"arrival_s\": 1, \"input_tokens\": 40, \"output_tokens\": 2, \"block_tokens\": 16, \"blocks\": [5, 6]}\n"
     "{\"arrival_s\": 3, \"input_tokens\": 33, \"output_tokens\": 9, \"block_tokens\": 16, \"blocks\": [5, 8]}\n",
     2.0, 33, 9},
};

TEST_CASE("public formats are found by content and read in their own units", "[workloads][serving]") {
  for (const FormatCase& row : kCases) {
    CAPTURE(row.name);
    const test::TemporaryFile file(row.text);
    CHECK(TraceReader({.path = file.path()}).format().name == row.name);
    const std::vector<TraceRecord> records = records_of({.path = file.path()});
    REQUIRE(records.size() == 2);
    CHECK(records[1].at.value() == Approx(row.second_at).margin(1e-7));
    CHECK(records[1].input_tokens == row.second_input);
    CHECK(records[1].output_tokens == row.second_output);
  }
}

TEST_CASE("packed files give the same requests, whatever their name", "[workloads][serving]") {
  const std::string text = kCases[0].text;
  const test::TemporaryFile plain(text);
  for (const char* ending : {".gz", ".zst", ".csv"}) {
    const test::TemporaryFile file("", std::string("packed") + ending);
    PackedFile packed(file.path());
    packed.write(text.substr(0, 30));
    packed.write(text.substr(30));
    packed.commit();
    const std::string other = file.path() + ".renamed";
    std::filesystem::copy_file(file.path(), other);
    const std::vector<TraceRecord> records = records_of({.path = other});
    CHECK(records.size() == 2);
    CHECK(records[1].at == records_of({.path = plain.path()})[1].at);
    if (std::string(ending) != ".csv") {
      std::filesystem::resize_file(other, std::filesystem::file_size(other) - 6);
      CHECK_THROWS_WITH(records_of({.path = other}), ContainsSubstring("cut off"));
    }
    std::filesystem::remove(other);
  }
}

TEST_CASE("what two formats could mean is refused with both, and taken when one is named", "[workloads][serving]") {
  const test::TemporaryFile file(
      "{\"timestamp\": 61, \"input_length\": 40, \"output_length\": 132}\n"
      "{\"timestamp\": 197, \"input_length\": 40, \"output_length\": 132}\n");
  CHECK_THROWS_WITH(scan_trace({.path = file.path()}), ContainsSubstring("mooncake-lengths") &&
                                                           ContainsSubstring("bailian-lengths") &&
                                                           ContainsSubstring(":1:1:"));
  CHECK(records_of({.path = file.path(), .format = "bailian-lengths"})[1].at == Seconds(136));
  CHECK(records_of({.path = file.path(), .format = "mooncake-lengths"})[1].at.value() == Approx(0.136));
  CHECK_THROWS_WITH(scan_trace({.path = file.path(), .format = "bailian"}), ContainsSubstring("chat_id"));
  CHECK_THROWS_WITH(scan_trace({.path = file.path(), .format = "moon"}), ContainsSubstring("mooncake"));
  // An id for each 16 tokens is Bailian's, the names are everybody's.
  const test::TemporaryFile blocks(
      "{\"timestamp\": 61, \"input_length\": 40, \"output_length\": 1, \"hash_ids\": [1, 2, 3]}\n"
      "{\"timestamp\": 197, \"input_length\": 400, \"output_length\": 1, \"hash_ids\": "
      "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,"
      "15,16,17,18,19,20,21,22,23,24,25]}\n");
  CHECK_THROWS_WITH(scan_trace({.path = blocks.path()}), ContainsSubstring("each 16 tokens"));
  CHECK(records_of({.path = blocks.path(), .columns = {.unit = "s"}})[1].at == Seconds(136));
  CHECK(records_of({.path = blocks.path(), .columns = {.unit = "s"}})[1].blocks.size() == 25);
}

TEST_CASE("the size of blocks shows in their number", "[workloads][serving]") {
  const test::TemporaryFile file(
      "{\"timestamp\": 0, \"input_length\": 300, \"output_length\": 5, \"hash_ids\": [1, 2, 3]}\n"
      "{\"timestamp\": 9, \"input_length\": 128, \"output_length\": 5, \"hash_ids\": [1]}\n");
  TraceReader reader({.path = file.path()});
  CHECK(reader.format().block_tokens == 128);
  CHECK_THAT(reader.evidence(), ContainsSubstring("each 128 tokens"));
}

TEST_CASE("any columns can be named, with their units", "[workloads][serving]") {
  const TraceColumns columns{.time = "ts", .unit = "ms", .input = "usage.prompt", .output = "usage.answer"};
  const test::TemporaryFile json(
      "{\"ts\": 1000, \"usage\": {\"prompt\": 5, \"answer\": 6, \"x\": {\"prompt\": 9}}}\n"
      "{\"ts\": 3000, \"usage\": {\"answer\": 7, \"prompt\": 8}}\n");
  const std::vector<TraceRecord> records = records_of({.path = json.path(), .columns = columns});
  CHECK(records[1].at == Seconds(2));
  CHECK(records[1].input_tokens == 8);
  const test::TemporaryFile table("when;\"tokens, in\";out\n2024-01-01 00:00:00;5;6\n2024-01-01 00:01:00;7;8\n");
  TraceOptions options{.path = table.path(),
                       .columns = {.time = "when", .unit = "date", .input = "tokens, in", .output = "out"}};
  CHECK(records_of(options)[1].at == Seconds(60));
  options.columns.input = "token, in";
  CHECK_THROWS_WITH(scan_trace(options), ContainsSubstring("did you mean \"tokens, in\""));
  options.columns = {.time = "when", .input = "tokens, in", .output = "out"};
  CHECK_THROWS_WITH(scan_trace(options), ContainsSubstring("a column of times without a unit"));
}

TEST_CASE("units that cannot be are refused where they stand", "[workloads][serving]") {
  const test::TemporaryFile epoch("arrival_s,input_tokens,output_tokens\n1700000000000,1,1\n1700000001000,1,1\n");
  CHECK_THROWS_WITH(scan_trace({.path = epoch.path()}),
                    ContainsSubstring(":2:1:") && ContainsSubstring("unit: \"ms\""));
  const test::TemporaryFile wide("arrival_s,input_tokens,output_tokens\n0,1,1\n2000000000,1,1\n");
  CHECK_THROWS_WITH(scan_trace({.path = wide.path()}), ContainsSubstring(":3:1:") && ContainsSubstring("30 years"));
  std::string dense = "arrival_s,input_tokens,output_tokens\n";
  for (int i = 0; i < 2000; ++i) dense += std::to_string(i) + ",1,1\n";
  const test::TemporaryFile file(dense);
  CHECK_THROWS_WITH(scan_trace({.path = file.path(), .columns = {.unit = "ns"}}),
                    ContainsSubstring("requests per second"));
  const test::TemporaryFile endless("arrival_s,input_tokens,output_tokens\ninf,1,1\n0,-3,1\n");
  CHECK_THROWS_WITH(scan_trace({.path = endless.path()}), ContainsSubstring(":2:1:") && ContainsSubstring(":3:3:"));
}

TEST_CASE("faults inside a list have the line and column of the file", "[workloads][serving]") {
  const test::TemporaryFile list(
      "[{\"prompt_len\": 7, \"output_len\": 8},\n {\"prompt_len\": 9,\n  \"output_len\": -10}]\n");
  CHECK_THROWS_WITH(scan_trace({.path = list.path()}), ContainsSubstring(":3:17: output_len: found \"-10\""));
  const test::TemporaryFile open("[{\"prompt_len\": 7, \"output_len\": 8},\n {\"prompt_len\": 9");
  CHECK_THROWS_WITH(scan_trace({.path = open.path()}), ContainsSubstring("']' at the end of the list"));
  const test::TemporaryFile uneven("{\"input_lens\": [1, 2], \"output_lens\": [3]}");
  CHECK_THROWS_WITH(scan_trace({.path = uneven.path()}), ContainsSubstring("lists of equal length"));
  const test::TemporaryFile bad("{\"input_lens\": [1,\n 2.5], \"output_lens\": [3, 4]}");
  CHECK_THROWS_WITH(scan_trace({.path = bad.path()}), ContainsSubstring(":2:2: input_lens: found \"2.5\""));
}

TEST_CASE("texts need somebody who says how long a token is", "[workloads][serving]") {
  const test::TemporaryFile file(
      "[{\"id\": \"a\", \"conversations\": [{\"from\": \"human\", \"value\": \"12345678\"}, {\"from\": \"gpt\", "
      "\"value\": \"\\u00e9\\n\"}]},\n {\"id\": \"b\", \"conversations\": [{\"from\": \"gpt\", \"value\": \"x\"}]}]\n");
  CHECK_THROWS_WITH(scan_trace({.path = file.path()}), ContainsSubstring("bytes_per_token"));
  const std::vector<TraceRecord> records = records_of({.path = file.path(), .columns = {.bytes_per_token = 4}});
  REQUIRE(records.size() == 1);  // the other one has no answer
  CHECK(records[0].input_tokens == 2);
  CHECK(records[0].output_tokens == 1);
}

TEST_CASE("requests that failed are left out and counted", "[workloads][serving]") {
  const test::TemporaryFile file(
      "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,GPT-4,472,0,472,API\n"
      "6,GPT-4,100,3,103,API\n");
  const TraceSummary summary = scan_trace({.path = file.path()});
  CHECK(summary.requests == 1);
  CHECK(summary.failed == 1);
}

TEST_CASE("AIPerf's failed and cancelled requests are counted, wherever they stand", "[workloads][serving]") {
  const std::string good =
      "{\"metadata\":{\"request_start_ns\":2000000000,\"was_cancelled\":false},\"metrics\":{\"input_sequence_length\":"
      "{\"value\":100},\"output_sequence_length\":{\"value\":20}},\"error\":null}\n";
  const std::string failed =
      "{\"metadata\":{\"request_start_ns\":1500000000},\"metrics\":{\"input_sequence_length\":{\"value\":300}},"
      "\"error\":{\"code\":500}}\n";
  const std::string cancelled =
      "{\"metadata\":{\"request_start_ns\":2500000000,\"was_cancelled\":true},\"metrics\":{}}\n";
  const test::TemporaryFile file(failed + good + cancelled);
  const TraceSummary summary = scan_trace({.path = file.path()});
  CHECK(summary.requests == 1);
  CHECK(summary.failed == 2);
  CHECK(summary.input_tokens == 100);
}

TEST_CASE("columns that a file has not, or twice, are refused", "[workloads][serving]") {
  const test::TemporaryFile own("ts;prompt;answer\n0;10;20\n1500;30;40\n");
  const auto with = [](TraceColumns columns) {
    columns.time = "ts", columns.unit = "ms", columns.input = "prompt", columns.output = "answer";
    return columns;
  };
  CHECK(scan_trace({.path = own.path(), .columns = with({})}).requests == 2);
  for (const TraceColumns& columns :
       {with({.session = "promt"}), with({.session = "ts2", .delay = "promt", .delay_unit = "s"}),
        with({.blocks = "promt", .block_tokens = 16})})
    CHECK_THROWS_WITH(scan_trace({.path = own.path(), .columns = columns}),
                      ContainsSubstring("no ") && ContainsSubstring("promt"));
  CHECK_THROWS_WITH(scan_trace({.path = own.path(), .columns = with({.session = "answer"})}),
                    ContainsSubstring("named twice"));
  // Of a format that is known, and of objects, too.
  const test::TemporaryFile moon("{\"timestamp\": 0, \"input_length\": 10, \"output_length\": 5, \"hash_ids\": [1]}\n");
  CHECK_THROWS_WITH(scan_trace({.path = moon.path(), .columns = {.session = "chat"}}), ContainsSubstring("no chat"));
  CHECK_THROWS_WITH(scan_trace({.path = moon.path(), .columns = {.turns = "added"}}),
                    ContainsSubstring("what turns count, without sessions"));
  const test::TemporaryFile later(
      "{\"ts\": 0, \"p\": 10, \"a\": 5, \"chat\": {\"id\": 1}}\n{\"p\": 3, \"a\": 5, \"chat\": {\"id\": 1}, \"after\": "
      "2}\n");
  TraceColumns nested{.time = "ts", .unit = "s", .input = "p", .output = "a", .session = "chat.id"};
  nested.delay = "after", nested.delay_unit = "s";
  CHECK(records_of({.path = later.path(), .columns = nested})[1].delay == Seconds(2));

  const test::TemporaryFile twice("arrival_s,input_tokens,output_tokens,input_tokens\n0,1,2,300\n");
  CHECK_THROWS_WITH(scan_trace({.path = twice.path()}),
                    ContainsSubstring(":1:1: found columns input_tokens and input_tokens, expected one of them"));
  const test::TemporaryFile key(
      "{\"timestamp\":0,\"input_length\":10,\"output_length\":5,\"hash_ids\":[1]}\n"
      "{\"timestamp\":9,\"input_length\":10,\"output_length\":5,\"hash_ids\":[1],\"input_length\":400}\n");
  CHECK_THROWS_WITH(scan_trace({.path = key.path()}),
                    ContainsSubstring(":2:") && ContainsSubstring("input_length: found a second value"));
  const test::TemporaryFile lists(
      "{\"input_lens\": [10], \"output_lens\": [2], \"input_lens\": [3], \"output_lens\": [4]}\n");
  CHECK_THROWS_WITH(scan_trace({.path = lists.path()}), ContainsSubstring("one list of input_lens"));
  const test::TemporaryFile blocks("{\"arrival_s\": 0, \"input_tokens\": 10, \"output_tokens\": 1, \"blocks\": [1]}\n");
  CHECK_THROWS_WITH(scan_trace({.path = blocks.path()}), ContainsSubstring("ids of blocks without their size"));
}

TEST_CASE("numbers in quotes are no texts", "[workloads][serving]") {
  const test::TemporaryFile file("{\"arrival_s\":0,\"input_tokens\":\"500\",\"output_tokens\":\"60\"}\n");
  CHECK_THROWS_WITH(scan_trace({.path = file.path(), .columns = {.bytes_per_token = 4}}),
                    ContainsSubstring("numbers in quotes") && ContainsSubstring("input_tokens"));
  CHECK_THROWS_WITH(scan_trace({.path = file.path()}), ContainsSubstring("a number of tokens without quotes"));
  // A prompt may be a number among others that are none.
  const test::TemporaryFile texts(
      "{\"prompt\": \"12\", \"output_tokens\": 3}\n{\"prompt\": \"What is it?\", \"output_tokens\": 3}\n");
  CHECK(records_of({.path = texts.path(), .columns = {.bytes_per_token = 4}})[1].input_tokens == 3);
}

TEST_CASE("dates are dates, and nothing else is", "[workloads][serving]") {
  const std::string header = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  const test::TemporaryFile wrong(header + "2023-11-16 18:15:99,374,44\n");
  CHECK_THROWS_WITH(scan_trace({.path = wrong.path()}), ContainsSubstring(":2:1: TIMESTAMP"));
  const test::TemporaryFile leap(header + "2016-12-31 23:59:60.5,374,44\n2017-01-01 00:00:01,374,44\n");
  CHECK(scan_trace({.path = leap.path()}).duration == Seconds(0.5));
  CHECK_THROWS_WITH(scan_trace({.path = leap.path(), .columns = {.unit = "ms"}}),
                    ContainsSubstring("unit: \"date\"") && !ContainsSubstring("\"us\""));
}

/// Answers every request `answer` after it came; when each came, and its prompt.
std::vector<std::pair<double, std::int32_t>> replayed(const TraceOptions& options, Seconds answer) {
  TrafficClass traffic{.name = "trace", .arrivals = TraceTimes{}, .lengths = TraceTraffic(options)};
  const auto source = make_traffic({.classes = {traffic}});
  std::vector<std::pair<double, std::int32_t>> seen;
  std::vector<std::pair<Seconds, Request>> under_way;
  for (;;) {
    const auto first = std::ranges::min_element(under_way, {}, [](const auto& entry) { return entry.first; });
    const Seconds done = first == under_way.end() ? kNever : first->first;
    const Seconds next = source->next_arrival();
    if (done == kNever && next == kNever) return seen;
    if (next <= done) {
      const Request request = source->take();
      seen.emplace_back(request.arrival.value(), request.input_tokens);
      under_way.emplace_back(request.arrival + answer, request);
    } else {
      const Request request = first->second;
      under_way.erase(first);
      source->finished(request, done, RequestOutcome::completed);
    }
  }
}

using Seen = std::vector<std::pair<double, std::int32_t>>;

TEST_CASE("later turns wait for earlier ones, and add to what was said", "[workloads][serving]") {
  // AIPerf's own example of sessions.
  const test::TemporaryFile file(
      "{\"session_id\": \"1\", \"timestamp\": 0, \"input_length\": 100, \"output_length\": 40}\n"
      "{\"session_id\": \"1\", \"delay\": 500, \"input_length\": 150, \"output_length\": 50}\n"
      "{\"session_id\": \"2\", \"timestamp\": 100, \"input_length\": 200, \"output_length\": 60}\n"
      "{\"session_id\": \"3\", \"timestamp\": 200, \"input_length\": 80, \"output_length\": 30}\n"
      "{\"session_id\": \"3\", \"delay\": 300, \"input_length\": 120, \"output_length\": 45}\n"
      "{\"session_id\": \"3\", \"delay\": 400, \"input_length\": 90, \"output_length\": 35}\n");
  CHECK(replayed({.path = file.path()}, Seconds(1)) ==
        Seen{{0, 100}, {0.1, 200}, {0.2, 80}, {1.5, 290}, {1.5, 230}, {2.9, 365}});
  const std::vector<TraceRecord> records = records_of({.path = file.path()});
  // 290 tokens of the second turn: blocks of 64, of which the first 140 tokens' were there before.
  CHECK(records[1].blocks.id(0) == records[0].blocks.id(0));
  CHECK(records[1].blocks.size() == 5);
  CHECK(scan_trace({.path = file.path()}).sessions == 3);
}

TEST_CASE("Dynamo's sessions have whole prompts, and delays that show in the times", "[workloads][serving]") {
  const test::TemporaryFile file(
      "{\"session_id\":\"a\",\"timestamp\":1000,\"input_length\":2048,\"output_length\":128,\"hash_ids\":[1,2,3,4]}\n"
      "{\"session_id\":\"a\",\"delay_ms\":50,\"input_length\":2560,\"output_length\":128,\"hash_ids\":[1,2,3,4,5]}\n"
      "{\"session_id\":\"b\",\"timestamp\":1010,\"input_length\":1024,\"output_length\":64,\"hash_ids\":[9,10]}\n"
      "{\"session_id\":\"b\",\"timestamp\":1060,\"input_length\":1536,\"output_length\":64,\"hash_ids\":[9,10,11]}\n");
  const Seen seen = replayed({.path = file.path()}, Seconds(1));
  REQUIRE(seen.size() == 4);
  CHECK(seen[2].first == Approx(1.05));
  CHECK(seen[2].second == 2560);
  CHECK(seen[3].first == Approx(1.06));
  const test::TemporaryFile orphan(
      "{\"session_id\": \"a\", \"delay\": 5, \"input_length\": 1, \"output_length\": 1}\n");
  CHECK_THROWS_WITH(scan_trace({.path = orphan.path()}), ContainsSubstring("a session's first turn without a time"));
}

TEST_CASE("LLMServingSim's sessions chain their calls", "[workloads][serving]") {
  const test::TemporaryFile file(
      "{\"session_id\": \"s\", \"arrival_time_ns\": 0, \"sub_requests\": [{\"input_toks\": 1472, \"output_toks\": 133, "
      "\"tool_duration_ns\": 500000000}, {\"input_toks\": 1582, \"output_toks\": 125, \"tool_duration_ns\": 0}]}\n"
      "{\"input_toks\": 15, \"output_toks\": 3, \"arrival_time_ns\": 100000000}\n");
  CHECK(replayed({.path = file.path()}, Seconds(1)) == Seen{{0, 1472}, {0.1, 15}, {1.5, 1582}});
}

TEST_CASE("a turn that stands too late in its file is refused while it is replayed", "[workloads][serving]") {
  const test::TemporaryFile file(
      "{\"session_id\": \"1\", \"timestamp\": 0, \"input_length\": 100, \"output_length\": 40}\n"
      "{\"session_id\": \"2\", \"timestamp\": 9000, \"input_length\": 200, \"output_length\": 60}\n"
      "{\"session_id\": \"3\", \"timestamp\": 9500, \"input_length\": 200, \"output_length\": 60}\n"
      "{\"session_id\": \"1\", \"delay\": 500, \"input_length\": 150, \"output_length\": 50}\n");
  CHECK_THROWS_WITH(replayed({.path = file.path()}, Seconds(1)), ContainsSubstring("a turn of a session behind"));
}

}  // namespace
}  // namespace flopcast
