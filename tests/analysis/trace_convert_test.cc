// Does a trace in another form say the same: every request, at its time, in its session, waiting for what it waited
// for?
#include "analysis/runs/serving/exchange/trace_convert.h"

#include "tests/analysis/program.h"
#include "tests/catch.h"
#include "tests/workloads/serving/trace_records.h"

namespace flopcast::testing {
namespace {

using Catch::Matchers::ContainsSubstring;

const char* const kBailian =
    "{\"chat_id\": 159, \"parent_chat_id\": -1, \"timestamp\": 61.114, \"input_length\": 40, \"output_length\": 10, "
    "\"turn\": 1, \"hash_ids\": [1,2,3]}\n"
    "{\"chat_id\": 7, \"parent_chat_id\": -1, \"timestamp\": 62.5, \"input_length\": 9, \"output_length\": 10, "
    "\"turn\": 1, \"hash_ids\": [4]}\n"
    "{\"chat_id\": 160, \"parent_chat_id\": 159, \"timestamp\": 71.114, \"input_length\": 70, \"output_length\": 10, "
    "\"turn\": 2, \"hash_ids\": [1,2,3,5,6]}\n";

const char* const kAgents =
    "{\"session_id\": \"a\", \"timestamp\": 0, \"input_length\": 100, \"output_length\": 40}\n"
    "{\"session_id\": \"a\", \"delay\": 500, \"input_length\": 150, \"output_length\": 50}\n"
    "{\"session_id\": \"b\", \"timestamp\": 700, \"input_length\": 80, \"output_length\": 30}\n";

void check_same(const std::vector<TraceRecord>& is, const std::vector<TraceRecord>& was) {
  REQUIRE(is.size() == was.size());
  for (std::size_t i = 0; i < is.size(); ++i) {
    CAPTURE(i);
    if (!was[i].waits) CHECK(is[i].at.value() == Approx(was[i].at.value()).margin(1e-9));
    CHECK(is[i].input_tokens == was[i].input_tokens);
    CHECK(is[i].output_tokens == was[i].output_tokens);
    CHECK(is[i].session == was[i].session);
    CHECK(is[i].turn == was[i].turn);
    CHECK(is[i].waits == was[i].waits);
    CHECK(is[i].delay.value() == Approx(was[i].delay.value()));
  }
}

TEST_CASE("sessions stay open or closed loops in both of our forms", "[analysis][trace]") {
  const test::TemporaryFolder folder;
  const std::string open = folder.write("bailian.jsonl", kBailian), closed = folder.write("agents.jsonl", kAgents);
  for (const std::string& from : {open, closed}) {
    const std::vector<TraceRecord> was = records_of({.path = from});
    const std::string table = folder.path() + "/out.csv", objects = folder.path() + "/out.jsonl";
    CHECK(convert_trace({.path = from}, TraceForm::flopcast_csv, table).sessions == 2);
    check_same(records_of({.path = table}), was);
    convert_trace({.path = from}, TraceForm::flopcast_json, objects);
    check_same(records_of({.path = objects}), was);
    const std::vector<TraceRecord> is = records_of({.path = objects});
    for (std::size_t i = 0; i < was.size(); ++i) CHECK(is[i].blocks.size() == was[i].blocks.size());
    // And from there again.
    convert_trace({.path = objects}, TraceForm::flopcast_csv, table);
    check_same(records_of({.path = table}), was);
  }
  CHECK(records_of({.path = open})[2].waits == false);
  CHECK(records_of({.path = closed})[1].waits);
}

TEST_CASE("what Mooncake's form cannot say is said, or refused", "[analysis][trace]") {
  const test::TemporaryFolder folder;
  const std::string out = folder.path() + "/out.jsonl", own = folder.path() + "/own.jsonl";
  const std::string burst =
      folder.write("burst.csv", "Timestamp,Session ID,Request tokens,Response tokens\n5,a,472,18\n45,a,1087,230\n");
  CHECK(convert_trace({.path = burst}, TraceForm::mooncake, out).sessions_left_out);
  CHECK(records_of({.path = out, .format = "mooncake-lengths"})[1].at.value() == Approx(40));
  convert_trace({.path = burst}, TraceForm::flopcast_json, own);
  CHECK_THROWS_WITH(convert_trace({.path = own}, TraceForm::mooncake, out),
                    ContainsSubstring("own.jsonl:2: ") || ContainsSubstring("without ids of blocks"));
}

TEST_CASE("sorting keeps every request, and turns behind the ones they wait for", "[analysis][trace]") {
  const test::TemporaryFolder folder;
  const std::string out = folder.path() + "/out.csv";
  const std::string table =
      folder.write("unsorted.csv", "arrival_s,input_tokens,output_tokens\n7,1,1\n9,2,1\n3,3,1\n8,4,1\n3.5,5,1\n");
  CHECK_THROWS_WITH(scan_trace({.path = table}), ContainsSubstring("unsorted.csv:4:1"));
  CHECK(convert_trace({.path = table, .any_order = true}, TraceForm::flopcast_csv, out).requests == 5);
  CHECK(contents(out) == "arrival_s,input_tokens,output_tokens\n0,3,1\n0.5,5,1\n4,1,1\n5,4,1\n6,2,1\n");
  // The window counts from the earliest request, too.
  CHECK(records_of({.path = table, .from = Seconds(0.2), .until = Seconds(4.5), .any_order = true}).size() == 2);

  const std::string sessions =
      folder.write("sessions.jsonl",
                   "{\"session_id\": \"a\", \"input_length\": 100, \"output_length\": 10, \"timestamp\": 5000}\n"
                   "{\"session_id\": \"a\", \"input_length\": 50, \"output_length\": 20, \"delay\": 100}\n"
                   "{\"session_id\": \"c\", \"input_length\": 7, \"output_length\": 2, \"timestamp\": 2500}\n"
                   "{\"session_id\": \"b\", \"input_length\": 10, \"output_length\": 10, \"timestamp\": 1000}\n"
                   "{\"session_id\": \"c\", \"input_length\": 5, \"output_length\": 2, \"timestamp\": 2000}\n");
  convert_trace({.path = sessions, .any_order = true}, TraceForm::flopcast_csv, out);
  // Of session c the second line comes first: its prompt is what the other adds to.
  CHECK(contents(out) ==
        "arrival_s,input_tokens,output_tokens,session,delay_s\n0,10,10,1,\n1,5,2,2,\n,14,2,2,0.5\n4,100,10,3,\n"
        ",160,20,3,0.1\n");

  const std::string faulty = folder.write("faulty.csv", "arrival_s,input_tokens,output_tokens\n7,1,1\n9,x,1\n3,3,0\n");
  CHECK_THROWS_WITH(convert_trace({.path = faulty, .any_order = true}, TraceForm::flopcast_csv, out),
                    ContainsSubstring("faulty.csv:3:3") && ContainsSubstring("faulty.csv:4:5"));
}

}  // namespace
}  // namespace flopcast::testing
