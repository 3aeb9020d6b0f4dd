// Does every request get its line, in order of arrival, in a form that can be read again?
#include "analysis/runs/serving/exchange/requests_csv.h"

#include "tests/analysis/program.h"
#include "tests/catch.h"
#include "workloads/serving/traffic/trace_reader.h"

namespace flopcast::testing {
namespace {

RequestResult result(std::uint64_t id, RequestOutcome outcome, std::int32_t output) {
  const auto at = static_cast<double>(id);
  return {.id = id,
          .outcome = outcome,
          .input_tokens = 100,
          .cached_tokens = 64,
          .output_tokens = output,
          .arrival = Seconds(at),
          .scheduled = Seconds(at + 0.25),
          .first_token = Seconds(at + 0.5),
          .finish = Seconds(at + 1)};
}

TEST_CASE("lines come in order of arrival and say what happened", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/requests.csv";
  {
    RequestsCsv csv(path, {"chat, long"});
    csv.add(result(2, RequestOutcome::completed, 1));
    csv.add(result(0, RequestOutcome::completed, 3));
    csv.add(result(4, RequestOutcome::lost, 2));
    csv.add(result(1, RequestOutcome::rejected, 0));
    CHECK_FALSE(std::filesystem::exists(path));
    csv.commit();
  }
  CHECK(contents(path) ==
        "id,class,outcome,arrival_s,input_tokens,cached_tokens,output_tokens,scheduled_s,first_token_s,"
        "finish_s,"
        "queueing_s,ttft_s,tpot_s,end_to_end_s\n"
        "0,\"chat, long\",completed,0,100,64,3,0.25,0.5,1,0.25,0.5,0.25,1\n"
        "1,\"chat, long\",rejected,1,100,64,0,,,2,,,,\n"
        "2,\"chat, long\",completed,2,100,64,1,2.25,2.5,3,0.25,0.5,,1\n"
        "4,\"chat, long\",lost,4,100,64,2,,,5,,,,\n");
}

TEST_CASE("a run without a commit leaves no file", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  { RequestsCsv(folder.path() + "/requests.csv", {"all"}).add(result(0, RequestOutcome::completed, 3)); }
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("what came out of a run can go into the next", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/requests.csv";
  RequestsCsv csv(path, {"all"});
  for (const std::uint64_t id : {1, 0, 2}) csv.add(result(id, RequestOutcome::completed, 7));
  csv.commit();
  const TraceSummary summary = scan_trace({.path = path});
  CHECK(summary.requests == 3);
  CHECK(summary.duration == Seconds(2));
  CHECK(summary.output_tokens == 21);
}

}  // namespace
}  // namespace flopcast::testing
