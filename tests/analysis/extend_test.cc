// Do a caller's own functions replace schedules, routers and batching policies exactly, and fail in the open?
#include <stdexcept>
#include <string>

#include "flopcast/flopcast.h"
#include "tests/analysis/serving_scenarios.h"
#include "tests/catch.h"

using namespace flopcast;

namespace {

const std::string kTraining = R"(title: "Two stages"
cluster { node: "hgx-h800" nodes: 4 fabric: "mpft" }
model: "deepseek-v2-lite"
training {
  plan { pipeline: 2 data: 16 expert: 16 }
  schedule: "dualpipe"
  batch { sequences: 128 sequence_length: 4096 }
}
)";

const Environment& shipped_environment() {
  static const Environment kEnvironment = load_environment();
  return kEnvironment;
}

/// Without the scenario, which names the policies.
std::string serving_of(const Report& report) {
  const std::string json = report.json();
  return json.substr(json.find("\"serving\""));
}

Report served(const std::string& text, const std::string& set) {
  return run(resolve_text(text, "s.textproto", shipped_environment(), {set}), shipped_environment());
}

}  // namespace

TEST_CASE("an order of passes that copies a schedule of the library gives its step", "[face]") {
  const ResolvedScenario scenario = resolve_text(kTraining, "s.textproto", shipped_environment());
  PipelineSizes asked;
  const ResolvedScenario own = extend(scenario, {.schedule = [&](const PipelineSizes& sizes) {
                                        asked = sizes;
                                        return order_of_passes("dualpipe", sizes);
                                      }});
  CHECK(asked.ranks == 2);
  CHECK(asked.micro_batches == 8);
  const std::string expected = run(scenario, shipped_environment()).json(),
                    found = run(own, shipped_environment()).json();
  CHECK(found.substr(found.find("\"training\"")) == expected.substr(expected.find("\"training\"")));
  CHECK_THROWS_AS(extend(scenario, {.schedule = [](const PipelineSizes&) { return "0: F0 B0"; }}), InputError);
  CHECK_THROWS_AS(extend(resolve_text(testing::kChat, "s.textproto", shipped_environment()),
                         {.schedule = [](const PipelineSizes&) { return ""; }}),
                  InputError);
  CHECK_THROWS_AS(order_of_passes("dualpip", {}), InputError);
}

TEST_CASE("a router of the caller's takes the place of the library's, and its exceptions come out", "[face]") {
  const ResolvedScenario scenario = resolve_text(testing::kChat, "s.textproto", shipped_environment());
  std::size_t turn = 0;
  const auto in_turn = [&](const RoutedRequest& request, std::span<const ReplicaView> replicas) {
    CHECK(request.pool == "replicas");
    return std::optional(turn++ % replicas.size());
  };
  const Report own = run(extend(scenario, {.routers = {{"", in_turn}}}), shipped_environment());
  CHECK(serving_of(own) == serving_of(served(testing::kChat, "serving.replicas.router=round_robin")));
  const auto fail = [](const RoutedRequest&, std::span<const ReplicaView>) -> std::optional<std::size_t> {
    throw std::logic_error("mine");
  };
  CHECK_THROWS_AS(run(extend(scenario, {.routers = {{"", fail}}}), shipped_environment()), std::logic_error);
  const auto beyond = [](const RoutedRequest&, std::span<const ReplicaView> all) { return std::optional(all.size()); };
  CHECK_THROWS_AS(run(extend(scenario, {.routers = {{"", beyond}}}), shipped_environment()), InputError);
  CHECK_THROWS_AS(extend(scenario, {.routers = {{"prefill", beyond}}}), InputError);
  CHECK_THROWS_AS(extend(scenario, {.routers = {{"", nullptr}}}), InputError);
}

TEST_CASE("a batching policy of the caller's takes the place of the library's, as long as a report lives", "[face]") {
  const ResolvedScenario scenario = resolve_text(testing::kChat, "s.textproto", shipped_environment());
  const auto prompts = [](IterationPlan& plan) { plan.admit_waiting(plan.continue_prompts(plan.token_budget)); };
  const Report own = run(extend(scenario, {.batching = {{"", {prompts, false}}}}), shipped_environment());
  CHECK(serving_of(own) == serving_of(served(testing::kChat, "serving.replicas.batching=prefill_first")));
  const auto nothing = [](IterationPlan&) {};
  CHECK_THROWS_AS(run(extend(scenario, {.batching = {{"", {nothing}}}}), shipped_environment()), InputError);
  // Extended twice: what came first stays.
  const ResolvedScenario twice =
      extend(extend(scenario, {.batching = {{"", {prompts, false}}}}),
             {.routers = {{"", [](const RoutedRequest&, std::span<const ReplicaView>) { return std::optional(0u); }}}});
  CHECK(serving_of(run(twice, shipped_environment())) != serving_of(own));
}

TEST_CASE("a batching policy may ask twice and in any order: no prompt is computed twice, no request is lost",
          "[face]") {
  const ResolvedScenario scenario = resolve_text(testing::kChat, "s.textproto", shipped_environment());
  const auto figures = [&](auto compose) {
    std::vector<double> out;
    const Report report = run(extend(scenario, {.batching = {{"", {compose}}}}), shipped_environment());
    for (const Metric& metric : metrics(report))
      if (metric.name.ends_with(".completed") || metric.name.ends_with(".prompt_tokens_computed"))
        if (const auto* count = std::get_if<std::uint64_t>(&metric.value)) out.push_back(static_cast<double>(*count));
    return out;
  };
  const auto once = figures([](IterationPlan& plan) { plan.admit_waiting(plan.continue_prompts(300)); });
  CHECK(once.size() >= 2);
  CHECK(figures([](IterationPlan& plan) {
          plan.continue_prompts(100);
          plan.admit_waiting(plan.continue_prompts(200));
        }) == once);
  CHECK(figures([](IterationPlan& plan) { plan.continue_prompts(plan.admit_waiting(300)); }) == once);
}
