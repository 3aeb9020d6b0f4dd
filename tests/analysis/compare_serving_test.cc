// Is what a service gives compared as steps are: side by side, cause by cause, by a measure that one can
// choose?
#include <google/protobuf/util/json_util.h>

#include <sstream>

#include "analysis/render/text/format.h"
#include "analysis/studies/compare/compare.h"
#include "analysis/studies/compare/compare_html.h"
#include "analysis/studies/compare/compare_output.h"
#include "scenarios/proto/policy_report.pb.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using test::TemporaryFolder;

// 40 users of one GPU, always.
constexpr const char* kComparedService = R"(
title: "Llama 3.1 8B on one GPU"
model: "llama-3.1-8b"
cluster { node: "hgx-h800" nodes: 1 fabric: "single-switch" }
serving {
  traffic {
    requests: "300"
    stream { users: 40 input { mean: 200 } output { mean: 100 shape: "uniform" variation: 0.5 } }
  }
  replicas { max_batch: 64 }
}
price { gpu: "2 USD/h" source: "an assumption" }
)";

Scenario loaded_service(const std::vector<std::string>& sets = {}) {
  const TemporaryFolder folder;
  return testing::resolved(folder.write("s.textproto", kComparedService), sets);
}

CompareOptions service_options(std::optional<Measure> measure = {}) {
  CompareOptions o;
  o.workers = 2;
  o.measure = measure;
  return o;
}

ScenarioComparison compared_with(const std::vector<std::string>& causes, std::optional<Measure> measure = {}) {
  const Scenario s = loaded_service();
  return compare(s, causes_by_name(causes, s), service_options(measure));
}

TEST_CASE("what changes in the requests is told, and a seed's effect is theirs", "[compare][serving]") {
  const auto requests = [](const std::string& set) {
    const ScenarioComparison c = compare({loaded_service(), loaded_service({set})}, service_options());
    const Waterfall& w = c.waterfalls.at(0);
    CHECK(w.unexplained == 0);
    REQUIRE(w.causes.size() == 1);
    CHECK(w.causes[0].id == "traffic");
    return w.causes[0].change;
  };
  const std::string before = "requests 300 in all, 40 users, 200 tokens in and 100 out -> ";
  CHECK(requests("serving.traffic.stream[0].input.mean=400") ==
        before + "300 in all, 40 users, 400 tokens in and 100 out");
  CHECK(requests("serving.traffic.requests=200") == before + "200 in all, 40 users, 200 tokens in and 100 out");
  CHECK(requests("serving.seed=5") == before + "300 in all, 40 users, 200 tokens in and 100 out, seed 5");
}

TEST_CASE("blocks of prefixes follow the pages; faults and deadlines are causes like others", "[compare][serving]") {
  const auto causes = [](const std::vector<std::string>& before, const std::vector<std::string>& after) {
    const ScenarioComparison c =
        compare({loaded_service(before), loaded_service(after)}, service_options(Measure::tpot));
    const Waterfall& w = c.waterfalls.at(0);
    CHECK(w.unexplained == 0);
    std::vector<std::string> ids;
    for (const auto& cause : w.causes) ids.push_back(cause.id);
    return ids;
  };
  using Ids = std::vector<std::string>;
  const std::string talk = "serving.traffic.stream[0].conversation.turns=3";
  CHECK(causes({talk}, {talk, "serving.replicas.page_tokens=16"}) == Ids{"engine"});
  CHECK(causes({}, {"serving.fault[0].at=2 s", "serving.fault[0].node=0", "serving.fault[0].repair=3 s"}) ==
        Ids{"upkeep"});
  CHECK(causes({}, {"serving.traffic.stream[0].deadline=900 ms"}) == Ids{"traffic"});
}

TEST_CASE("services side by side: causes sum to the difference, and memory bandwidth is the one that decides",
          "[compare][serving]") {
  const Scenario h800 = loaded_service();
  const Scenario other =
      loaded_service({"cluster.gpu_override.scale[0].field=hbm_bandwidth", "cluster.gpu_override.scale[0].by=0.5",
                      "serving.replicas.max_batch=32", "serving.traffic.stream[0].input.mean=220"});
  const ScenarioComparison c = compare({h800, other}, service_options());
  const Waterfall& w = c.waterfalls.at(0);
  CHECK(w.measure == "GPU-hours per 10^6 output tokens");
  CHECK(w.start == Approx(c.scenarios[0].service->answer_hours()));
  CHECK(w.end == Approx(c.scenarios[1].service->answer_hours()));
  CHECK(w.unexplained == 0);  // the table of fields has all that a service depends on
  REQUIRE(w.causes.size() == 3);
  CHECK(w.causes[0].id == "memory-bandwidth");
  CHECK(w.causes[1].id == "engine");
  CHECK(w.causes[1].change == "max_batch 64 -> 32");
  CHECK(w.causes[2].id == "traffic");
  double forward = 0, reverse = 0;
  for (const CauseShare& cause : w.causes) {
    forward += cause.forward;
    reverse += cause.reverse;
  }
  CHECK(forward == Approx(w.end - w.start));
  CHECK(reverse == Approx(w.end - w.start));
  CHECK(w.causes[0].forward > 0.3 * w.start);  // decoding is bound by memory
}

TEST_CASE("services that keep up with one load are compared by what a user waits for", "[compare][serving]") {
  const std::vector<std::string> slower{"cluster.gpu_override.scale[0].field=hbm_bandwidth",
                                        "cluster.gpu_override.scale[0].by=0.5"};
  const auto at = [](const std::string& rate, const std::vector<std::string>& sets) {
    std::string text = kComparedService;
    text.replace(text.find("users: 40"), 9, "requests_per_second: " + rate);
    const TemporaryFolder folder;
    return testing::resolved(folder.write("s.textproto", text), sets);
  };
  const ScenarioComparison c = compare({at("4", {}), at("4", slower)}, service_options());
  const Waterfall& w = c.waterfalls.at(0);
  CHECK(w.measure == "time per output token");
  CHECK(w.end > 1.2 * w.start);  // half the bandwidth, which GPU-hours per token do not show
  CHECK(c.scenarios[1].service->answer_hours() == Approx(c.scenarios[0].service->answer_hours()).epsilon(0.05));
  const std::string text = to_text(c, TextStyle());
  CHECK_THAT(text, ContainsSubstring("all keep up with the same load") && !ContainsSubstring("within the promises"));
  CHECK_THAT(text, !ContainsSubstring("per node"));  // one GPU of a node of eight
  CHECK_THAT(to_csv(c), !ContainsSubstring("slo_attainment") && !ContainsSubstring("per_node"));
  // At a load that one of them does not stand tokens are its own.
  CHECK(compare({at("80", {}), at("80", slower)}, service_options()).waterfalls.at(0).measure ==
        "GPU-hours per 10^6 output tokens");
}

TEST_CASE("a service beside itself has no causes, and answers under way follow Little's law", "[compare][serving]") {
  const ScenarioComparison c = compare({loaded_service(), loaded_service()}, service_options());
  CHECK(c.waterfalls[0].causes.empty());
  const ServedFigures& f = *c.scenarios[0].service;
  CHECK(f.answers_per_gpu() > 0);
  CHECK(f.under_way_per_gpu < 40);
  CHECK(f.under_way_per_gpu == Approx(f.answers_per_gpu() * f.tpot.value()));
  // 2 USD an hour, answers paid for what prompts leave.
  CHECK(f.per_million_output.value() < 2 * f.answer_hours());
  CHECK(f.per_million_output.value() > f.answer_hours());
}

TEST_CASE("the waterfall is of what was asked for", "[compare][serving]") {
  const Waterfall tpot = compared_with({"hbm-half"}, Measure::tpot).waterfalls[0];
  CHECK(tpot.unit == "ms");
  CHECK(tpot.end > 1.3 * tpot.start);
  CHECK(tpot.end < 2.1 * tpot.start);  // no more than the bandwidth that is lost, and what waits for it
  CHECK(compared_with({"hbm-half"}, Measure::answer_usd).waterfalls[0].unit == "USD");
  CHECK_THROWS_WITH(compared_with({"hbm-half"}, Measure::step), ContainsSubstring("tpot"));
}

TEST_CASE("causes of training do not apply to a service, nor those that change nothing in it", "[compare][serving]") {
  for (const char* id : {"1f1b", "dense", "fp8", "mtp", "no-mtp", "one-batch", "two-batches", "kv-bf16", "mha"}) {
    INFO(id);
    CHECK_THROWS_WITH(compared_with({id}), ContainsSubstring("changes nothing"));
  }
  CHECK(compared_with({"kv-fp8"}).waterfalls[0].causes[0].change == "KV cache bf16 -> fp8");
}

TEST_CASE("V3 decoding: each technique undone costs what it should", "[compare][serving][slow]") {
  const Scenario v3 = testing::resolved("deepseek_v3_decode_unit", {});
  const std::vector<std::string> ids{"fp8", "gqa", "mtp", "one-batch", "nvlink-900", "hbm-half", "nic-half"};
  const Waterfall w = compare(v3, causes_by_name(ids, v3), service_options()).waterfalls[0];
  const auto alone = [&](const std::string& id) {
    for (const CauseShare& cause : w.causes) {
      if (cause.id == id) return cause.alone;
    }
    FAIL(id);
    return 0.0;
  };
  for (const char* id : {"fp8", "gqa", "one-batch", "hbm-half"}) {
    INFO(id);
    CHECK(alone(id) > 0);
  }
  CHECK(alone("mtp") < 0);
  // Half the memory bandwidth makes decoding at most half as fast.
  CHECK(alone("hbm-half") < w.start);
}

TEST_CASE("what does not fit is told", "[compare][serving]") {
  const std::vector<std::string> narrow{"serving.prefill.expert=16", "serving.prefill.attention_data=16"};
  const Scenario s = testing::resolved("deepseek_v3_decode_unit", narrow);
  CHECK_THROWS_WITH(compare(s, causes_by_name(std::vector<std::string>{"fp8"}, s), service_options()),
                    ContainsSubstring("prefill") && ContainsSubstring("weights and workspace"));
}

TEST_CASE("compare of services: text, JSON, CSV, page and refusals of the command", "[compare][serving]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", kComparedService);
  const auto text = testing::flopcast("compare " + file + " --cause hbm-half --cause kv-fp8 --measure tpot");
  CHECK(text.code == 0);
  CHECK_THAT(text.out, ContainsSubstring("output tokens/s, per GPU") && ContainsSubstring("time per output token 8."));
  std::istringstream lines(text.out);
  for (std::string line; std::getline(lines, line);) CHECK(display_width(line) <= 80);
  report::ComparisonReport message;
  REQUIRE(google::protobuf::util::JsonStringToMessage(
              testing::flopcast("compare " + file + " " + file + " --json -").out, &message)
              .ok());
  CHECK(message.scenarios(0).service().output_tokens_per_s_per_gpu() > 0);
  CHECK_THAT(testing::flopcast("compare " + file + " " + file + " --csv -").out,
             ContainsSubstring("scenario,measure,unit,value,from,cause,") &&
                 ContainsSubstring("output_tokens_per_s_per_gpu,tokens/s,"));
  CHECK_THAT(to_html(compared_with({"hbm-half"})), ContainsSubstring("output/s per GPU"));
  const auto mixed = testing::flopcast("compare " + file + " deepseek_v3_2048_h800");
  CHECK(mixed.code == 2);
  CHECK_THAT(mixed.err, ContainsSubstring("a training scenario"));
}

}  // namespace
}  // namespace flopcast
