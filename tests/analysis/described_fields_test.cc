// Does what follows from the descriptions of structs reach the reader: projections, causes, mechanisms?
#include <algorithm>
#include <set>

#include <google/protobuf/util/json_util.h>

#include "analysis/runs/training/projection.h"
#include "analysis/studies/compare/causes.h"
#include "analysis/studies/compare/compare.h"
#include "analysis/studies/compare/scenario_fields.h"
#include "analysis/studies/explain/explain.h"
#include "flopcast/environment.h"
#include "flopcast/scenario.h"
#include "scenarios/proto/report.pb.h"
#include "scenarios/resolve/change_work.h"
#include "tests/analysis/program.h"
#include "tests/analysis/serving_scenarios.h"
#include "tests/paths.h"
#include "tests/scenarios/described_structs.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using test::TemporaryFolder;

Scenario scenario_of(const std::string& text, const std::vector<std::string>& sets = {}) {
  const TemporaryFolder folder;
  return resolve(folder.write("s.textproto", text), load_environment({testing::source_dir()}), sets).value();
}

bool timed(std::string_view group) {
  return std::find(std::begin(kUntimedGroups), std::end(kUntimedGroups), group) == std::end(kUntimedGroups);
}

void check_groups(const std::vector<testing::DescribedField>& fields, const std::set<std::string>& known) {
  for (const testing::DescribedField& field : fields) {
    INFO(field.name);
    if (field.is_struct || field.holds_structs) continue;
    CHECK((!timed(field.cause) || known.contains(std::string(field.cause))));
  }
}

TEST_CASE("every described field that time may depend on belongs to a group of causes", "[compare]") {
  // Phases, a job's life and collectives are not compared.
  std::set<std::string> known{"run", "life", "collective"};
  for (const FieldGroup& group : field_groups()) known.insert(std::string(group.id));
  testing::for_each_described([&](auto part) { check_groups(testing::described_fields<decltype(part)>(), known); });
}

TEST_CASE("the overheads that are fitted are those that are described", "[calibrate]") {
  std::set<std::string_view> described, fitted;
  for_each_field<TrainingOverheads>([&](const auto& row) { described.insert(row.name); });
  for (const OverheadRow& row : overhead_rows()) fitted.insert(row.name);
  CHECK(described == fitted);
}

/// A change of one field is one cause, which turns the one scenario into the other.
void check_change(const Scenario& from, const Scenario& to, std::string_view group, std::string_view name) {
  INFO(name);
  const std::vector<Cause> causes = differences(from, to, false);
  REQUIRE(causes.size() == 1);
  CHECK(causes[0].id == group);
  Scenario turned = from;
  causes[0].apply(turned);
  CHECK(turned == to);
}

TEST_CASE("whatever field of a training scenario differs, a cause covers it", "[compare]") {
  const Scenario from = scenario_of(testing::kSparse);
  int fields = 0;
  const auto check = [&](const std::vector<testing::Leaf>& leaves, auto part_of) {
    for (const testing::Leaf& leaf : leaves) {
      if (!timed(leaf.cause)) continue;
      Scenario to = from;
      leaf.change_in(part_of(to));
      check_change(from, to, leaf.cause, leaf.shown);
      ++fields;
    }
  };
  check(testing::leaves_of<TrainingConfig>(), [](Scenario& s) -> TrainingConfig& { return *s.training; });
  check(testing::leaves_of<ClusterSpec>(), [](Scenario& s) -> ClusterSpec& { return s.cluster; });
  CHECK(fields > 120);
}

TEST_CASE("whatever field of a deployment differs, a cause covers it", "[compare]") {
  const Scenario from = scenario_of(testing::kChat);
  const auto changed = [&](auto change_it) {
    Scenario to = from;
    change_serving(to, [&](ServingScenario& serving) { change_it(serving); });
    return to;
  };
  for (const testing::Leaf& leaf : testing::leaves_of<PoolSpec>()) {
    if (!timed(leaf.cause)) continue;
    check_change(from, changed([&](ServingScenario& s) { leaf.change_in(s.pools.front()); }), leaf.cause, leaf.shown);
  }
  for (const testing::Leaf& leaf : testing::leaves_of<ServingScenario>()) {
    if (!timed(leaf.cause) || leaf.shown == "pools") continue;
    check_change(from, changed([&](ServingScenario& s) { leaf.change_in(s); }), leaf.cause, leaf.shown);
  }
}

TEST_CASE("switches of a plan and of the software are causes, not what none covers", "[compare]") {
  const std::vector<std::string> small{"training.plan.tensor=2", "training.plan.data=2"};
  const auto with = [&](std::vector<std::string> sets) {
    sets.insert(sets.end(), small.begin(), small.end());
    return scenario_of(testing::kDense, sets);
  };
  CompareOptions options;
  options.whole_runs = false;
  const Waterfall w =
      compare({with({}), with({"training.plan.tensor_overlap=false", "training.attention_kernel=flash2"})}, options)
          .waterfalls.at(0);
  CHECK(w.end > w.start);
  CHECK(w.unexplained == 0);
  REQUIRE(w.causes.size() == 2);
  CHECK(w.causes[0].id == "overlap");
  CHECK(w.causes[0].change == "tensor_overlap yes -> no");
  CHECK(w.causes[1].id == "software");
}

TEST_CASE("a spread that nobody stated is called as calibrated", "[compare]") {
  const std::vector<Cause> causes =
      differences(scenario_of(testing::kDense, {"training.mechanisms.gpu_speed_spread=0.015"}),
                  scenario_of(testing::kDense), false);
  REQUIRE(causes.size() == 1);
  CHECK(causes[0].change == "gpu_speed_spread 0.015 -> as calibrated");
}

TEST_CASE("a phase with any field of plan or batch of its own is replayed on its own", "[analysis]") {
  Scenario scenario;
  scenario.cluster.node.gpus = 8;
  scenario.training.emplace();
  scenario.training->schedule = "1f1b";
  scenario.phases.push_back({"main", 1e6, scenario.training->batch, 0, 0, scenario.training->plan, {}, ""});
  const auto steps_of = [&](const Scenario& s) {
    return project(s, {Seconds(1), 0.4, {}}, [](const TrainingConfig&) { return Seconds(2); }).phases[0].step_time;
  };
  CHECK(steps_of(scenario) == Seconds(1));
  const auto check = [&](const std::vector<testing::Leaf>& leaves, auto part_of) {
    for (const testing::Leaf& leaf : leaves) {
      INFO(leaf.name);
      Scenario changed = scenario;
      leaf.change_in(part_of(changed));
      CHECK(steps_of(changed) == Seconds(2));
    }
  };
  check(testing::leaves_of<ParallelPlan>(), [](Scenario& s) -> ParallelPlan& { return s.phases[0].plan; });
  check(testing::leaves_of<BatchConfig>(), [](Scenario& s) -> BatchConfig& { return s.phases[0].batch; });
}

TEST_CASE("a phase without overlap takes as long as a step without it", "[analysis]") {
  const auto steps = [](const std::string& phase, const std::vector<std::string>& sets) {
    const TemporaryFolder folder;
    const std::string text =
        test::replaced(testing::kDense, "name: \"all\" tokens: \"10B\"", "name: \"all\" tokens: \"10B\" " + phase);
    std::string command = "run " + folder.write("s.textproto", text) + " --json -";
    for (const std::string& set : sets) command += " --set " + set;
    const testing::Outcome outcome = testing::flopcast(command);
    report::Report message;
    REQUIRE(google::protobuf::util::JsonStringToMessage(outcome.out, &message).ok());
    return std::pair(message.training().step_time_s(), message.projection().phases(0).step_time_s());
  };
  const std::vector<std::string> tensor{"training.plan.tensor=2", "training.plan.data=2"};
  const auto [main, phase] = steps("plan { tensor_overlap: false }", tensor);
  const auto replayed =
      steps("", {"training.plan.tensor=2", "training.plan.data=2", "training.plan.tensor_overlap=false"}).first;
  CHECK(phase > 1.01 * main);
  CHECK(phase == Approx(replayed).epsilon(1e-9));
}

const Mechanism* mechanism_of(std::string_view set) {
  for (const Mechanism& m : mechanisms()) {
    if (m.set.starts_with(set)) return &m;
  }
  return nullptr;
}

TEST_CASE("every switch among the mechanisms can be explained", "[explain]") {
  for_each_field<Mechanisms>([](const auto& row) {
    INFO(row.name);
    if (row.traits.cause == kLabel) return;
    CHECK(mechanism_of("training.mechanisms." + std::string(row.name) + "=") != nullptr);
  });
}

TEST_CASE("what switches a mechanism off on the command line switches it off in explain", "[explain]") {
  for (const std::string& text : {testing::kDense, testing::kSparse}) {
    for (const Mechanism& m : mechanisms()) {
      INFO(m.set);
      TrainingConfig off = *scenario_of(text).training;
      m.switch_off(off);
      CHECK(off == *scenario_of(text, {std::string(m.set)}).training);
    }
  }
}

TEST_CASE("a mechanism that is in force changes the step when it alone is switched off", "[explain]") {
  const std::pair<const std::string&, std::vector<std::string>> cases[] = {
      {testing::kDense, {"training.plan.zero_stage=3"}},
      {testing::kDense, {"training.plan.tensor=2", "training.plan.data=2"}},
      {testing::kDense, {"cluster.node=hgx-a100", "cluster.gpu_override.tdp=200 W"}},
      {testing::kSparse, {}}};
  for (const auto& [text, sets] : cases) {
    const Scenario scenario = scenario_of(text, sets);
    const Seconds whole = step_time(scenario, *scenario.training, {});
    for (const Mechanism& m : mechanisms()) {
      if (!m.in_force_in(scenario) || m.set.starts_with("training.plan.layer_split")) continue;
      CAPTURE(m.set, sets);
      TrainingConfig off = *scenario.training;
      m.switch_off(off);
      CHECK(step_time(scenario, off, {}) < whole);
    }
  }
  // What a collective takes from the compute beside it is no matter of experts.
  CHECK(mechanism_of("training.mechanisms.communication_sms")
            ->in_force(*scenario_of(testing::kDense, {"training.plan.zero_stage=3"}).training));
}

TEST_CASE("a calibrated spread and exchange inside layers are in force where they take time", "[explain]") {
  const TrainingConfig dense = *scenario_of(testing::kDense).training;
  REQUIRE(dense.gpu_speed_spread() > 0);
  CHECK(mechanism_of("training.mechanisms.gpu_speed_spread")->in_force(dense));
  const Mechanism& exchange = *mechanism_of("training.mechanisms.tensor_context_communication");
  CHECK_FALSE(exchange.in_force(dense));
  const Scenario wide = scenario_of(testing::kDense, {"training.plan.tensor=2", "training.plan.data=2"});
  CHECK(exchange.in_force(*wide.training));
  const Explanation ladder = explain(wide, {}, 2);
  const auto cost = std::find_if(ladder.costs.begin(), ladder.costs.end(),
                                 [&](const MechanismCost& c) { return c.mechanism == &exchange; });
  REQUIRE(cost != ladder.costs.end());
  CHECK(cost->adds > Seconds(0));
}

}  // namespace
}  // namespace flopcast
