// Does the report of a serving run say what became of its requests?
#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/serving/serving_spread.h"
#include "scenarios/resolve/change_work.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/analysis/serving_scenarios.h"
#include "tests/catch.h"
#include "tests/paths.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using testing::flopcast;

/// Numbers of a JSON file by the path of their names; entries of lists by index.
class JsonNumbers {
 public:
  explicit JsonNumbers(const std::string& text) : text_(text) { value(""); }
  double at(const std::string& path) const {
    INFO(path);
    REQUIRE(numbers_.contains(path));
    return numbers_.at(path);
  }

 private:
  void skip() { at_ = std::min(text_.find_first_not_of(" \n,:", at_), text_.size()); }
  std::string word() {
    const std::size_t end = text_.find('"', at_ + 1);
    const std::string out = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return out;
  }
  void value(const std::string& path) {
    skip();
    const char c = text_.at(at_);
    if (c == '"') {
      word();
    } else if (c == '{' || c == '[') {
      ++at_;
      int index = 0;
      for (skip(); text_.at(at_) != '}' && text_.at(at_) != ']'; skip()) {
        const std::string name = c == '{' ? (path.empty() ? "" : ".") + word() : "[" + std::to_string(index++) + "]";
        value(path + name);
      }
      ++at_;
    } else {
      const std::size_t end = text_.find_first_of(",\n}]", at_);
      numbers_[path] = std::atof(text_.substr(at_, end - at_).c_str());
      at_ = end;
    }
  }
  std::string text_;
  std::size_t at_ = 0;
  std::map<std::string, double> numbers_;
};

struct Row {
  double arrival, input, cached, output, scheduled, first, finish;
};

std::vector<Row> rows_of(const std::string& csv) {
  std::vector<Row> rows;
  std::istringstream lines(csv);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::vector<double> f;
    std::istringstream fields(line);
    for (std::string field; std::getline(fields, field, ',');) f.push_back(std::atof(field.c_str()));
    rows.push_back({f[3], f[4], f[5], f[6], f[7], f[8], f[9]});
  }
  return rows;
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const double rank = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(rank);
  return values[low] + (values[std::min(low + 1, values.size() - 1)] - values[low]) * (rank - std::floor(rank));
}

std::string run_text(const std::string& scenario, const std::string& more = "") {
  const test::TemporaryFolder folder;
  return testing::one_line(flopcast("run " + folder.write("s.textproto", scenario) + more).out);
}

TEST_CASE("a die that nobody measured widens the range of a service", "[analysis][serving]") {
  const TimeSpread known{0.8, 1.3, 100};
  const TimeSpread same = widened(known, 0);
  CHECK(same.low == known.low);
  CHECK(same.high == known.high);
  const TimeSpread wider = widened(known, 0.27);
  CHECK(wider.low == Approx(std::exp(-std::hypot(std::log(0.8), 1.645 * 0.27))));
  CHECK(wider.high == Approx(std::exp(std::hypot(std::log(1.3), 1.645 * 0.27))));
  CHECK(wider.rows == 100);
  // Servers that were all slower than predicted say nothing of the other side.
  CHECK(widened({1.1, 1.3, 100}, 0.27).low == Approx(std::exp(-1.645 * 0.27)));
}

TEST_CASE("ranges of a service come from figures with as much evidence, and without any are the wider",
          "[analysis][serving]") {
  const std::string head = "seen,source,engine,gpu,die,model,at_once,of,unit,measured,predicted\n";
  // A known source of model m; errors of others on m, and on models of their own.
  std::string table = head + ",before,vllm-0.9,H100,GH100,m,,,,,\n";
  for (const std::string source : {"a", "b", "c", "d"}) {
    table += source + "," + source + ",vllm-0.12,H100,GH100,m,many,tpot,ms,110,100\n";
    table += source + "," + source + ",vllm-0.12,H100,GH100,of-" + source + ",many,rate,tok/s,100,200\n";
    table += source + "," + source + ",vllm-0.12,H100,GH100,m,few,ttft,ms,80,100\n";
  }
  Scenario scenario = testing::resolved("llama_3_1_70b_serving_8_h100");
  const auto width = [&](const std::string& model, double requests) {
    change_serving(scenario, [&](ServingScenario& serving) {
      for (PoolSpec& pool : serving.pools) {
        pool.engine.name = "vllm-0.18";
        pool.engine.model.name = model;
      }
    });
    const ServingSpread spread = serving_spreads(table, "t.csv", scenario).at(requests);
    CHECK(spread.tpot.low * spread.tpot.high == Approx(1));
    return std::log(spread.tpot.high);
  };
  // Errors of 10 % where the model is known from elsewhere, of twice as much time where it is not.
  CHECK(width("m", 100) == Approx(std::log(1.1)));
  CHECK(width("other", 100) == Approx(std::log(2)));
  CHECK(serving_spreads(table, "t.csv", scenario).few.tpot.rows == 0);  // no figure of few requests at once
  CHECK(serving_spreads(table, "t.csv", scenario).few.ttft.rows == 4);
  CHECK_THROWS_WITH(serving_spreads(test::replaced(table, "many,rate", "much,rate"), "t.csv", scenario),
                    ContainsSubstring("few or many"));
}

TEST_CASE("without the figures of a source, ranges from the others cover some nine in ten of them",
          "[analysis][serving]") {
  const std::string text = testing::contents(testing::source_dir() + "/analysis/data/serving_spread.csv");
  const CsvTable csv = parse_csv(text, "serving_spread.csv");
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::map<std::string, std::string> without;  // the table, by the source left out
  for (std::size_t i = 0; i < csv.size(); ++i) without[csv.text(i, "source")];
  for (auto& [source, rest] : without) {
    std::vector<std::string> kept = lines;
    for (std::size_t i = 0; i < csv.size(); ++i)
      if (csv.text(i, "source") == source) kept[static_cast<std::size_t>(csv.line(i)) - 1].clear();
    for (const std::string& line : kept)
      if (!line.empty()) rest += line + "\n";
  }
  Scenario scenario = testing::resolved("llama_3_1_70b_serving_8_h100");
  int covered = 0, all = 0;
  for (std::size_t i = 0; i < csv.size(); ++i) {
    if (csv.text(i, "predicted").empty()) continue;
    scenario.cluster.node.gpu.die = csv.text(i, "die");
    change_serving(scenario, [&](ServingScenario& serving) {
      for (PoolSpec& pool : serving.pools) {
        pool.engine.name = csv.text(i, "engine");
        pool.engine.model.name = csv.text(i, "model");
      }
    });
    const ServingSpreads spreads = serving_spreads(without.at(csv.text(i, "source")), "t.csv", scenario);
    const ServingSpread& spread = csv.text(i, "at_once") == "few" ? spreads.few : spreads.many;
    const TimeSpread& range = csv.text(i, "of") == "ttft" ? spread.ttft : spread.tpot;
    const double ratio = csv.number(i, "measured") / csv.number(i, "predicted");
    ++all;
    if (ratio >= range.low && ratio <= range.high) ++covered;  // as far to both sides: rates need no turning
  }
  CHECK(all >= 164);
  CHECK(covered >= 0.85 * all);
  CHECK(covered <= 0.95 * all);
}

TEST_CASE("figures of one source count as fewer than as many of different ones", "[analysis][serving]") {
  CHECK(mean_size({}) == 0);
  CHECK(mean_size({{"a", -0.2}, {"b", 0.4}}) == Approx(0.3));
  CHECK(mean_size({{"a", 0.2}, {"a", 0.2}, {"a", 0.2}, {"b", 0.4}}) == Approx((1.5 * 0.2 + 0.4) / 2.5));
}

TEST_CASE("users in step are warned of, a benchmark's client and its warm-up are named", "[analysis][serving]") {
  const std::string users =
      test::replaced(test::replaced(testing::kChat, "requests_per_second: 4", "users: 16"), "requests: \"300\" ", "");
  const std::string fixed = run_text(test::replaced(users, "traffic {", "traffic { requests: \"160\""));
  CHECK_THAT(fixed, ContainsSubstring("of the 16 users ask at the same moment, again and again"));
  const std::string drawn = run_text(test::replaced(users, "users: 16", "users: 16 client: \"inferencex\""));
  CHECK_THAT(drawn, ContainsSubstring("160 requests in"));
  CHECK_THAT(drawn, ContainsSubstring("client of chat: inferencex") && ContainsSubstring("its warm-up (twice as many"));
  CHECK(drawn.find("at the same moment") == std::string::npos);
}

double json_at(const std::string& scenario, const std::string& more, const std::string& path) {
  const test::TemporaryFolder folder;
  const std::string json = folder.path() + "/r.json";
  const testing::Outcome out = flopcast("run " + folder.write("s.textproto", scenario) + " --json " + json + more);
  INFO(out.err);
  REQUIRE(out.code == 0);
  return JsonNumbers(testing::contents(json)).at(path);
}

TEST_CASE("batches are padded to the graph that is captured, and have none beyond the largest", "[analysis][serving]") {
  const std::string users = test::replaced(testing::kChat, "requests_per_second: 4", "users: 42 ramp: \"2 s\"");
  const auto tpot = [&](const std::string& graphs) { return json_at(users, graphs, "serving.tpot_s.mean"); };
  const double each = tpot(""), padded = tpot(" --set 'serving.replicas.graph_sizes=1 2 4 8..512/8'"),
               far = tpot(" --set 'serving.replicas.graph_sizes=1 256'"),
               beyond = tpot(" --set 'serving.replicas.graph_sizes=1 2 4'"),
               none = tpot(" --set serving.replicas.cuda_graphs=false"),
               exact = tpot(" --set 'serving.replicas.graph_sizes=1 256' --set serving.replicas.graph_padding=false");
  CHECK(padded >= each * 0.999);
  CHECK(padded < 1.05 * each);
  CHECK(far > 1.02 * padded);
  CHECK(beyond > 1.02 * each);
  CHECK(beyond == Approx(none).epsilon(0.01));
  CHECK(exact == Approx(none).epsilon(0.01));
}

TEST_CASE("two micro-batches are not taken where launching twice as many kernels costs more", "[analysis][serving]") {
  const std::string decode = R"(title: "Decoding beyond the largest graph"
cluster { node: "hgx-h200" nodes: 4 fabric: "single-switch" }
model: "deepseek-v3"
serving {
  traffic { requests: "2K" stream { users: 2048 input { mean: 500 } output { mean: 20 } cached_share: 0.99 } }
  replicas { attention_data: 32 expert: 32 weights: "fp8" dispatch: "fp8" max_batch: 128 expert_transport: "all_to_all" graph_sizes: "1 8"
    engine: "sglang-0.4" }
}
price { gpu: "2 USD/h" source: "assumed" }
)";
  const auto tpot = [&](const std::string& more) { return json_at(decode, more, "serving.tpot_s.mean"); };
  CHECK(tpot(" --set serving.replicas.two_micro_batches=true") <= tpot("") * 1.001);
  const test::TemporaryFolder folder;
  const testing::Outcome out =
      flopcast("explain " + folder.write("s.textproto", decode) + " --set serving.replicas.two_micro_batches=true");
  INFO(out.err);
  REQUIRE(out.code == 0);
  const auto iteration = out.out.substr(out.out.find("What a decoding iteration consists of"));
  CHECK_THAT(iteration.substr(0, iteration.find("together")), ContainsSubstring("waiting for launches"));
}

TEST_CASE("a slow GPU slows its replica, one of a cluster that nobody serves on nothing", "[analysis][serving]") {
  const auto with = [](const std::string& slow) {
    return test::replaced(testing::kChat, "fabric: \"single-switch\"", "fabric: \"single-switch\" " + slow);
  };
  const double plain = json_at(testing::kChat, "", "serving.tpot_s.mean");
  const double slow = json_at(with("slow { gpu: 1 speed: 0.5 }"), "", "serving.tpot_s.mean");
  const double other = json_at(with("slow { gpu: 7 speed: 0.5 }"), "", "serving.tpot_s.mean");
  CHECK(slow > 1.2 * plain);
  CHECK(slow < 2 * plain);
  CHECK(other == plain);
  CHECK_THAT(run_text(with("slow { gpu: 7 speed: 0.5 }")), ContainsSubstring("no replica has a part of those GPUs"));
  CHECK_THAT(run_text(with("slow { gpu: 1 speed: 0.5 }")), ContainsSubstring("replica 1 has parts slower"));
  const std::string later = test::replaced(testing::kChat, "replicas {",
                                           "fault { at: \"10 s\" node: 0 speed: 0.5 repair: \"20 s\" } replicas {");
  const double for_a_while = json_at(later, "", "serving.tpot_s.mean");
  CHECK(for_a_while > 1.05 * plain);
  CHECK(for_a_while < 1.9 * plain);
  CHECK(json_at(later, "", "serving.failures") == 0);
}

TEST_CASE("what is dropped at a deadline counts against goodput", "[analysis][serving]") {
  const std::string flood =
      test::replaced(test::replaced(testing::kChat, "requests_per_second: 4", "requests_per_second: 400"), "slo {",
                     "first_token_deadline: \"300 ms\" slo {");
  const test::TemporaryFolder folder;
  const std::string json = folder.path() + "/r.json";
  REQUIRE(flopcast("run " + folder.write("s.textproto", flood) + " --json " + json).code == 0);
  const JsonNumbers found(testing::contents(json));
  CHECK(found.at("serving.expired") > 20);
  CHECK(found.at("serving.expired") == found.at("serving.streams[0].expired"));
  CHECK(found.at("serving.completed") + found.at("serving.expired") == 300);
  CHECK(found.at("serving.slo_attainment") <= found.at("serving.completed") / 300);
  CHECK_THAT(run_text(flood), ContainsSubstring("dropped at their deadline"));
}

TEST_CASE("where nobody is answered, there is no latency and the load is not stood", "[analysis][serving]") {
  const std::string hopeless = test::replaced(testing::kChat, "slo {", "deadline: \"100 ms\" slo {");
  const std::string text = testing::one_line(run_text(hopeless));
  CHECK_THAT(text, ContainsSubstring("0 completed, 300 dropped at their deadline") &&
                       ContainsSubstring("The deployment is overloaded") && !ContainsSubstring("0 s 0 s"));
}

TEST_CASE("a full queue turns the lowest priority away first", "[analysis][serving]") {
  // SGLang: one that waits makes room for another of higher priority.
  const std::string two = test::replaced(
      test::replaced(test::replaced(testing::kChat, "stream { name: \"chat\" requests_per_second: 4",
                                    "stream { name: \"high\" priority: 1 requests_per_second: 2 input { mean: 600 } "
                                    "output { mean: 100 } } stream { name: \"low\" requests_per_second: 200"),
                     "count: 2 max_batch: 32", "count: 1 max_batch: 8 max_waiting: 20"),
      "\"300\"", "\"2000\"");
  const test::TemporaryFolder folder;
  const std::string json = folder.path() + "/r.json";
  REQUIRE(flopcast("run " + folder.write("s.textproto", two) + " --json " + json).code == 0);
  const JsonNumbers found(testing::contents(json));
  CHECK(found.at("serving.streams[0].rejected") == 0);
  CHECK(found.at("serving.streams[0].completed") == found.at("serving.streams[0].requests"));
  CHECK(found.at("serving.streams[1].rejected") > 100);
  CHECK_THAT(testing::one_line(run_text(two)), ContainsSubstring("rejected"));
}

TEST_CASE("faults after the end and rolling restarts are told", "[analysis][serving]") {
  const auto with = [](const std::string& fault) {
    return testing::one_line(run_text(test::replaced(testing::kChat, "token_prices", fault + " token_prices")));
  };
  CHECK_THAT(with("fault { at: \"1 h\" node: 0 }"), ContainsSubstring("comes after the end"));
  CHECK_THAT(with("fault { at: \"5 s\" restart: \"replicas\" repair: \"5 s\" }"),
             ContainsSubstring("a rolling restart from 5.00 s on: 2 replicas one by one"));
}

TEST_CASE("the engine's first token comes before the client's", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("apart.textproto", testing::kApart), json = folder.path() + "/r.json";
  REQUIRE(flopcast("run " + file + " --json " + json).code == 0);
  const JsonNumbers plain(testing::contents(json));
  CHECK(plain.at("serving.engine_ttft_s.mean") < plain.at("serving.ttft_s.mean"));
  REQUIRE(flopcast("run " + file + " --set serving.decode.stream_interval=4 --json " + json).code == 0);
  const JsonNumbers four(testing::contents(json));
  CHECK(four.at("serving.inter_token_s.mean") == Approx(4 * plain.at("serving.inter_token_s.mean")));
  CHECK(four.at("serving.tpot_s.mean") == plain.at("serving.tpot_s.mean"));
}

TEST_CASE("every required figure is there and is what the requests' lines say", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("chat.textproto", testing::kChat), json = folder.path() + "/r.json",
                    csv = folder.path() + "/r.csv";
  REQUIRE(flopcast("run " + file + " --json " + json + " --requests " + csv).code == 0);
  const JsonNumbers found(testing::contents(json));
  const std::vector<Row> rows = rows_of(testing::contents(csv));
  REQUIRE(rows.size() == 300);

  double input = 0, cached = 0, output = 0, end = 0, kept = 0;
  std::vector<double> ttft, tpot, whole, queueing;
  for (const Row& r : rows) {
    input += r.input, cached += r.cached, output += r.output;
    end = std::max(end, r.finish);
    ttft.push_back(r.first - r.arrival);
    tpot.push_back((r.finish - r.first) / (r.output - 1));  // the first token is left out
    whole.push_back(r.finish - r.arrival);
    queueing.push_back(r.scheduled - r.arrival);
    kept += ttft.back() <= 0.5 && tpot.back() <= 0.02;
  }
  const double duration = end - rows.front().arrival;
  CHECK(found.at("serving.requests") == 300);
  CHECK(found.at("serving.completed") + found.at("serving.rejected") + found.at("serving.lost") == 300);
  CHECK(found.at("serving.input_tokens") == input);
  CHECK(found.at("serving.cached_tokens") == cached);
  CHECK(found.at("serving.output_tokens") == output);
  CHECK(found.at("serving.duration_s") == Approx(duration));
  const auto latency = [&](const std::string& name, const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v;
    CHECK(found.at(name + ".mean") == Approx(sum / static_cast<double>(values.size())));
    for (const auto& [q, field] : {std::pair(0.5, ".p50"), {0.9, ".p90"}, {0.95, ".p95"}, {0.99, ".p99"}})
      CHECK(found.at(name + field) == Approx(quantile(values, q)).epsilon(1e-6));
  };
  latency("serving.ttft_s", ttft);
  latency("serving.tpot_s", tpot);
  latency("serving.end_to_end_s", whole);
  latency("serving.queueing_s", queueing);
  // Gaps are kept in bins of 1 %; their mean is that of all gaps, which is not the mean of means.
  CHECK(found.at("serving.inter_token_s.mean") == Approx(found.at("serving.tpot_s.mean")).epsilon(0.02));
  CHECK(found.at("serving.slo_attainment") == Approx(kept / 300));
  CHECK(found.at("serving.goodput_requests_per_s") == Approx(kept / duration));

  // Rates leave the end out, in which the last requests run dry. A node has eight GPUs, of which the replicas
  // take two.
  CHECK(found.at("serving.output_tokens_per_s_per_gpu") == Approx(output / duration / 2).epsilon(0.05));
  CHECK(found.at("serving.output_tokens_per_s_per_node") ==
        Approx(found.at("serving.output_tokens_per_s_per_gpu") * 8));
  CHECK(found.at("serving.input_tokens_per_s_per_node") == Approx(input / duration / 2 * 8).epsilon(0.05));
  CHECK(found.at("serving.output_tokens_per_s_per_user") == Approx(1 / found.at("serving.tpot_s.mean")));
  CHECK(found.at("serving.kv_utilization") > 0);
  CHECK(found.at("serving.kv_utilization") < 0.05);

  CHECK(found.at("cost.usd_per_day") == Approx(2 * 2 * 24));  // paid for from the first arrival to the last answer
  const double sold = (input - cached) * 0.2e-6 + cached * 0.1e-6 + output * 2e-6, spent = 4.0 / 3600 * duration;
  CHECK(found.at("cost.margin") == Approx(sold / spent - 1).epsilon(0.1));
  CHECK(found.at("cost.revenue_usd_per_day") / found.at("cost.usd_per_day") == Approx(found.at("cost.margin") + 1));
  const double paid = found.at("cost.usd_per_million_input_tokens") * (input - cached) +
                      found.at("cost.usd_per_million_output_tokens") * output;
  CHECK(paid * 1e-6 == Approx(spent).epsilon(0.05));
  CHECK(found.at("serving.energy_j") > 0);
  CHECK(found.at("serving.pools[0].busy_share[0]") <= 1);
}

TEST_CASE("the report fits 80 columns and shows each part", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  for (const std::string& text : {testing::kChat, testing::kApart}) {
    const testing::Outcome run = flopcast("run " + folder.write("s.textproto", text));
    REQUIRE(run.code == 0);
    std::istringstream lines(run.out);
    for (std::string line; std::getline(lines, line);) {
      INFO(line);
      CHECK(display_width(line) <= 80);
    }
    for (const char* part : {"TTFT", "of it queueing", "TPOT", "between tokens", "end to end", "throughput", "per GPU",
                             "KV in use", "computing", "per million tokens", "Energy", "Defaults used"})
      CHECK_THAT(run.out, ContainsSubstring(part));
  }
}

TEST_CASE("what an iteration consists of sums to it, and mechanisms sum to the mean of the replay",
          "[analysis][serving]") {
  const test::TemporaryFolder folder;
  for (const std::string& text : {testing::kChat, testing::kApart}) {
    const std::string file = folder.write("s.textproto", text), json = folder.path() + "/e.json",
                      run = folder.path() + "/r.json";
    const testing::Outcome outcome = flopcast("explain " + file + " --json " + json);
    REQUIRE(outcome.code == 0);
    REQUIRE(flopcast("run " + file + " --json " + run).code == 0);
    const JsonNumbers explained(testing::contents(json)), replayed(testing::contents(run));
    for (const int i : {0, 1}) {
      const std::string path = "iterations[" + std::to_string(i) + "]";
      double sum = 0;
      for (int part = 0; part < 5; ++part) sum += explained.at(path + ".parts[" + std::to_string(part) + "].time_s");
      CHECK(sum <= explained.at(path + ".time_s") * 1.05);
    }
    CHECK(explained.at("ladder[0].time_s") == Approx(replayed.at("serving.ttft_s.mean")));
    CHECK(explained.at("ladder[1].time_s") == Approx(replayed.at("serving.tpot_s.mean")));
    CHECK(explained.at("ladder[1].bare_s") < explained.at("ladder[1].time_s"));
    // Where answers have their replicas alone, the iteration priced part by part is the replay's.
    if (text == testing::kApart)
      CHECK(explained.at("iterations[1].time_s") == Approx(replayed.at("serving.tpot_s.mean")).epsilon(0.05));
    CHECK_THAT(outcome.out, ContainsSubstring("kernels alone") && ContainsSubstring("attention over the cache"));
  }
}

TEST_CASE("serving: equal runs give equal bytes; timelines are bounded and whole", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("chat.textproto", testing::kChat);
  const auto run = [&](const std::string& to) {
    return flopcast("run " + file + " --json " + to + ".json --trace " + to + ".trace.json --requests " + to + ".csv");
  };
  const std::string a = folder.path() + "/a", b = folder.path() + "/b";
  CHECK(run(a).out == run(b).out);
  for (const char* kind : {".json", ".trace.json", ".csv"})
    CHECK(testing::contents(a + kind) == testing::contents(b + kind));
  const std::string trace = testing::contents(a + ".trace.json");
  CHECK_THAT(trace, ContainsSubstring("\"running requests\"") && ContainsSubstring("\"prompt\"") &&
                        ContainsSubstring("\"answer\""));
  CHECK(trace.ends_with("\n]}\n"));
  CHECK(JsonNumbers(trace).at("traceEvents[1].ts") == 0);
}

TEST_CASE("a page on a serving run shows every part", "[analysis][serving][html]") {
  const test::TemporaryFolder folder;
  const std::string page = folder.path() + "/run.html";
  CHECK(flopcast("run " + folder.write("chat.textproto", testing::kChat) + " --html " + page).code == 0);
  const std::string html = testing::contents(page);
  for (const char* part : {"Latency", "Over time", "Where the time goes", "Replicas", "Cost", "kernels alone"})
    CHECK_THAT(html, ContainsSubstring(part));
  CHECK_THAT(flopcast("list routers").out, ContainsSubstring("power_of_two") && ContainsSubstring("Mitzenmacher"));
}

TEST_CASE("what was not measured is said to be so, and has no figures", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("chat.textproto", testing::kChat), json = folder.path() + "/r.json";
  // The first request would come after 30 years.
  const auto run = flopcast("run " + file + " --set serving.traffic.stream[0].requests_per_second=1e-9 --json " + json);
  CHECK(run.code == 0);
  CHECK_THAT(run.out, ContainsSubstring("No request arrived"));
  CHECK_THAT(run.out, ContainsSubstring("the session was cut after 100 days"));
  CHECK_THAT(run.out, !ContainsSubstring("TTFT"));
  CHECK_THAT(testing::contents(json), !ContainsSubstring("ttft_s") && !ContainsSubstring("usd_per_million"));
}

TEST_CASE("a node that fails takes all its replicas with it before anything is tried again", "[analysis][serving]") {
  const std::string two_nodes =
      test::replaced(test::replaced(testing::kChat, "nodes: 1", "nodes: 2"), "count: 2 max_batch: 32 }",
                     "count: 16 max_batch: 32 } fault { at: \"2 s\" node: 0 repair: \"20 s\" } "
                     "failures { failure_rate: \"0 per GPU-hour\" retries: 1 }");
  const std::string busy = test::replaced(two_nodes, "requests_per_second: 4", "requests_per_second: 60");
  const test::TemporaryFolder folder;
  const std::string json = folder.path() + "/r.json";
  const auto run = flopcast("run " + folder.write("s.textproto", busy) + " --json " + json);
  INFO(run.err);
  REQUIRE(run.code == 0);
  const JsonNumbers found(testing::contents(json));
  CHECK(found.at("serving.completed") == 300);  // one try is enough: the other node's replicas are there
}

TEST_CASE("a token that is shown after its deadline does not count as in time", "[analysis][serving]") {
  const std::string flood =
      test::replaced(test::replaced(testing::kChat, "requests_per_second: 4", "requests_per_second: 400"), "slo {",
                     "first_token_deadline: \"300 ms\" slo {");
  const test::TemporaryFolder folder;
  const std::string csv = folder.path() + "/r.csv";
  REQUIRE(flopcast("run " + folder.write("s.textproto", flood) + " --requests " + csv).code == 0);
  const std::string text = testing::contents(csv);
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  std::vector<std::string> names;
  const auto cells = [](const std::string& row) {
    std::vector<std::string> out;
    std::istringstream in(row);
    for (std::string cell; std::getline(in, cell, ',');) out.push_back(cell);
    return out;
  };
  names = cells(line);
  const auto column = [&](const std::string& name) {
    const auto at = std::find(names.begin(), names.end(), name);
    REQUIRE(at != names.end());
    return static_cast<std::size_t>(at - names.begin());
  };
  const std::size_t arrival = column("arrival_s"), first = column("first_token_s"), outcome = column("outcome");
  int completed = 0;
  while (std::getline(lines, line)) {
    const auto row = cells(line);
    if (row[outcome] != "completed") continue;
    ++completed;
    CHECK(std::stod(row[first]) - std::stod(row[arrival]) <= 0.3 + 1e-6);
  }
  CHECK(completed > 20);
}

TEST_CASE("streams that state equal weights share, those that state none are served as they come", "[analysis]") {
  const auto ttft_of_small = [](const std::string& weight) {
    const std::string text = test::replaced(
        test::replaced(test::replaced(testing::kChat, "stream { name: \"chat\" requests_per_second: 4",
                                      "stream { name: \"small\" requests_per_second: 2 " + weight +
                                          " input { mean: 600 } output { mean: 100 } } stream { name: \"flood\" "
                                          "requests_per_second: 200 " +
                                          weight),
                       "count: 2 max_batch: 32", "count: 1 max_batch: 16"),
        "\"300\"", "\"1500\"");
    const test::TemporaryFolder folder;
    const std::string json = folder.path() + "/r.json";
    REQUIRE(flopcast("run " + folder.write("s.textproto", text) + " --json " + json).code == 0);
    return JsonNumbers(testing::contents(json)).at("serving.streams[0].ttft_s.p50");
  };
  CHECK(ttft_of_small("weight: 1") < 0.2 * ttft_of_small(""));
}

TEST_CASE("prompts that an engine refuses are counted", "[analysis][serving]") {
  const std::string long_prompts =
      test::replaced(test::replaced(testing::kChat, "mean: 600", "mean: 9000"), "count: 2 max_batch: 32",
                     "count: 2 max_batch: 32 engine: \"trtllm-1.0\"");
  CHECK_THAT(testing::one_line(run_text(long_prompts)),
             ContainsSubstring("of an iteration: without chunked_prefill trtllm-1.0 refuses them"));
  CHECK_THAT(run_text(test::replaced(long_prompts, "trtllm-1.0\"", "trtllm-1.0\" chunked_prefill: true")),
             !ContainsSubstring("refuses"));
}

TEST_CASE("a service with a stated duration is clocked and paid for from 0 to its end", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  std::string text = testing::kChat;
  text.replace(text.find("requests: \"300\""), 15, "duration: \"300 s\"");
  text.replace(text.find("requests_per_second: 4"), 22, "requests_per_second: 0.02");
  const std::string file = folder.write("few.textproto", text);
  const JsonNumbers few(flopcast("run " + file + " --json -").out);
  CHECK(few.at("serving.duration_s") == Approx(300));
  const double requests = few.at("serving.requests");
  REQUIRE(requests > 0);
  CHECK(few.at("serving.requests_per_s") == Approx(requests / 300));
}

TEST_CASE("a warm-up that leaves nothing is said to leave nothing out", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("chat.textproto", testing::kChat);
  CHECK_THAT(testing::one_line(flopcast("run " + file + " --set 'serving.warm_up=10 d'").out),
             ContainsSubstring("nothing is left out"));
  CHECK_THAT(flopcast("run " + file + " --set 'serving.warm_up=10 d' --set 'serving.traffic.duration=1 d'").err,
             ContainsSubstring("warm_up"));
}

}  // namespace
}  // namespace flopcast
