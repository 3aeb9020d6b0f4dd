// Does a field that somebody changes change what it should, and nothing else? Closed forms of what ran with exit 0 and
// the wrong figure.
#include <string>
#include <vector>

#include "flopcast/flopcast.h"
#include "tests/analysis/environment.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using Sets = std::vector<std::string>;

const std::string kStep = R"(title: "Eight layers on one GPU"
cluster { node: "hgx-h100" nodes: 1 fabric: "rail-ft2" node_override { gpus: 1 } }
model: "llama-3.1-8b"
model_override { layers: 8 }
training { plan { } schedule: "1f1b" batch { sequences: 8 sequence_length: 4096 } }
)";

const std::string kLone = R"(title: "One user"
model: "llama-3.1-8b"
cluster { node: "hgx-h100" nodes: 1 fabric: "single-switch" }
serving {
  traffic { requests: "20" stream { name: "s" users: 1 input { mean: 8000 } output { mean: 20 } } }
  replicas { count: 1 engine: "vllm-0.18" }
}
price { gpu: "2 USD/h" source: "assumed" }
)";

Report run_with(const std::string& text, const Sets& sets) {
  return run(resolve_text(text, "s.textproto", testing::environment(), sets), testing::environment());
}

const Metric& metric(const std::vector<Metric>& all, const std::string& name) {
  for (const Metric& one : all)
    if (one.name == name) return one;
  FAIL("no metric " << name);
  return all.front();
}

double figure(const std::string& text, const Sets& sets, const std::string& name) {
  const std::vector<Metric> all = metrics(run_with(text, sets));
  return metric(all, name).number().value_or(-1);
}

double step(const Sets& sets, const std::string& name = "training.step_time_s") { return figure(kStep, sets, name); }

bool says(const Report& report, const std::string& part) {
  constexpr int kOneLine = 10'000;
  return report.text(false, kOneLine).find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a lone prompt passes all stages of a pipeline before its first token", "[what-if]") {
  const std::string name = "serving.ttft_s.p50";
  const double whole = figure(kLone, {}, name);
  for (const char* stages : {"2", "8"}) {
    const double piped = figure(kLone, {std::string("serving.replicas.pipeline=") + stages}, name);
    CHECK(piped >= whole);
    CHECK(piped <= 1.05 * whole);
  }
}

TEST_CASE("what is said to be cached costs no more than computing it, and is loaded only from storage there is",
          "[what-if]") {
  const std::string name = "serving.ttft_s.p50", share = "serving.traffic.stream[0].cached_share=0.9";
  const double computed = figure(kLone, {}, name), cached = figure(kLone, {share}, name);
  CHECK(cached < 0.3 * computed);
  const double stored = figure(
      kLone, {share, "serving.prefix_cache.storage=1 TB", "serving.prefix_cache.storage_bandwidth=5 GB/s"}, name);
  // 7,200 tokens of 131,072 bytes.
  CHECK(stored - cached == Approx(7200 * 131072 / 5e9).epsilon(0.01));
}

TEST_CASE("a batch is counted over iterations that decode", "[what-if]") {
  CHECK(figure(kLone, {"serving.traffic.stream[0].output.mean=2"}, "serving.pools[replicas].mean_batch") == 1);
}

TEST_CASE("tokens that nobody pays for have no margin", "[what-if]") {
  const std::vector<Metric> all = metrics(run_with(kLone, {}));
  CHECK(std::holds_alternative<Absent>(metric(all, "cost.margin").value));
}

TEST_CASE("GPUs that cost nothing leave no margin to tell", "[what-if]") {
  std::string text = kLone.substr(0, kLone.find("price {"));
  text.insert(text.find("  replicas"), "  token_prices { input: 0.2 cached: 0.1 output: 2 source: \"assumed\" }\n");
  const std::vector<Metric> all = metrics(run_with(text, {}));
  CHECK(std::holds_alternative<Absent>(metric(all, "cost.margin").value));
  CHECK(metric(all, "cost.revenue_usd_per_day").number().value_or(0) > 0);
}

TEST_CASE("documents are no longer than their sequence", "[what-if]") {
  const std::string mfu = "training.mfu_bf16_causal";
  CHECK(step({"training.batch.document_length=4096"}, mfu) == step({}, mfu));
  CHECK_THROWS_AS(step({"training.batch.document_length=100000"}), InputError);
  CHECK(step({"training.batch.document_length=1024"}) < step({}));
}

TEST_CASE("a context-parallel GPU holds its part of every document", "[what-if]") {
  const Sets two = {"cluster.node_override.gpus=2", "training.plan.context=2", "training.batch.sequence_length=16384"};
  Sets halves = two;
  halves.push_back("training.batch.document_length=8192");
  // Half the pairs of query and key: a GPU's pieces are shorter than its part of the sequence or not.
  CHECK(step(halves) < 0.99 * step(two));
}

TEST_CASE("supposed matrix units of twice the rate are used", "[what-if]") {
  const std::string peak = "cluster.gpu_override.bf16_peak=";
  const double today = step({peak + "989.4 TFLOPS"});
  CHECK(step({peak + "1978.8 TFLOPS"}) < 0.9 * today);
  CHECK(step({peak + "500 TFLOPS"}) > 1.3 * today);
  // Fewer SMs with the same sum are not stronger ones.
  CHECK(step({peak + "989.4 TFLOPS", "cluster.gpu_override.sms=100"}) > 1.05 * today);
}

TEST_CASE("a board's limit is a mechanism on every die, and switched off costs nothing", "[what-if]") {
  const std::string off = "training.mechanisms.board_limit=false";
  for (const char* node : {"hgx-a100", "hgx-b200", "hgx-h100"}) {
    INFO(node);
    const Sets capped = {std::string("cluster.node=") + node, "cluster.gpu_override.tdp=220 W"};
    const Sets sold = {capped.front()};
    const double free = step({sold.front(), off});
    CHECK(step(capped) > 1.05 * step(sold));
    CHECK(step({capped.front(), capped.back(), off}) == Approx(free).epsilon(1e-9));
  }
}

TEST_CASE("a board's limit that no card keeps is said to be one", "[what-if]") {
  const std::string kept = "cluster.gpu_override.tdp=300 W", unkept = "cluster.gpu_override.tdp=100 W";
  for (const std::string& work : {kStep, kLone}) {
    CHECK(says(run_with(work, {unkept}), "keeps to 100 W"));
    CHECK_FALSE(says(run_with(work, {kept}), "keeps to"));
  }
  CHECK(step({unkept}) == Approx(step({"cluster.gpu_override.tdp=150 W"})));
}

TEST_CASE("hours of a run that states how it is interrupted are as unsure as its step and its own failures",
          "[what-if]") {
  const std::string run =
      "run { phase { name: \"all\" tokens: \"10B\" } }\nprice { gpu: \"2 USD/h\" source: \"assumed\" }\n";
  const auto of = [&](const std::string& name, const std::string& rate) {
    return figure(kStep + run, {"resilience.checkpoint_interval=1 h", "resilience.failure_rate=" + rate}, name);
  };
  const auto over_hours = [&](const std::string& quantile, const std::string& rate) {
    return of("projection.gpu_hours_range." + quantile, rate) / of("projection.gpu_hours", rate);
  };
  const auto over_step = [&](const std::string& quantile) {
    return of("training.step_time_range_s." + quantile, "0 per GPU-hour") /
           of("training.step_time_s", "0 per GPU-hour");
  };
  const std::string often = "1e-2 per GPU-hour";
  CHECK(over_hours("p5", often) <= over_step("p5") * (1 + 1e-6));
  CHECK(over_hours("p95", often) > over_step("p95") * (1 - 1e-6));
  CHECK(over_hours("p95", often) >= over_hours("p95", "0 per GPU-hour") * (1 - 1e-6));
}

TEST_CASE("what is stated and changes nothing is said to", "[what-if]") {
  CHECK(says(run_with(kStep, {"training.plan.dispatcher=all_to_all", "training.grouped_experts=false"}),
             "llama-3.1-8b has no experts: training.plan.dispatcher, training.grouped_experts changes nothing"));
  CHECK(says(run_with(kStep, {"training.open=dispatcher"}), "training.open: of dispatcher there is nothing else"));
  CHECK(says(run_with(kStep, {"cluster.gpu_override.l2_capacity=10 MB"}), "changes no time by l2_capacity"));
  CHECK_FALSE(says(run_with(kStep, {"training.open=recompute"}), "training.open: of"));
  CHECK_THROWS_WITH(run_with(kStep, {"training.open[0]=recompute", "training.open[1]=recompute"}),
                    ContainsSubstring("\"recompute\" once more"));
}

TEST_CASE("frozen weights have no gradients to count", "[what-if]") {
  const std::string mfu = "training.mfu_bf16_causal", adapters = "training.adapter_rank=16";
  const double all = step({}, mfu) * step({}), frozen = step({adapters}, mfu) * step({adapters});
  CHECK(frozen / all > 0.66);  // 4 N of 6 N, and all of the attention's products
  CHECK(frozen / all < 0.72);
}

TEST_CASE("further parameters are held and trained", "[what-if]") {
  const std::string memory = "training.peak_memory_bytes";
  const Sets further = {"model_override.further_parameters=100000000"};
  CHECK(step(further, memory) - step({}, memory) == Approx(18e8).epsilon(0.01));  // 2 + 4 + 4 + 8 bytes each
  CHECK(step(further) > step({}));
}

TEST_CASE("norms behind attention and FFN take time and memory", "[what-if]") {
  const Sets four = {"model_override.norms_per_layer=4"};
  CHECK(step(four) > 1.002 * step({}));
  // Inputs of two norms in each of 8 layers, 4,096 tokens of 4,096 elements in two bytes.
  CHECK(step(four, "training.peak_memory_bytes") - step({}, "training.peak_memory_bytes") ==
        Approx(2.0 * 8 * 4096 * 4096 * 2).epsilon(0.02));
}

TEST_CASE("what a model cannot do is refused: positions beyond a learned table", "[what-if]") {
  CHECK_THROWS_AS(run_with(kStep, {"model_override.learned_positions=1024"}), InputError);
}

}  // namespace flopcast
