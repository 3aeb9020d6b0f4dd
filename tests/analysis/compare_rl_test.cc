// Is the difference between two loops of reinforcement learning attributed to its causes, whole?
#include <algorithm>

#include "analysis/studies/compare/compare.h"
#include "analysis/studies/compare/compare_html.h"
#include "analysis/studies/compare/compare_output.h"
#include "scenarios/proto/policy_report.pb.h"
#include "tests/analysis/environment.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

/// Without the habits of a framework, of which some differ with the placement.
const std::vector<std::string> kSmallLoop{"rl.prompts=16", "rl.replayed_steps=1", "rl.framework="};

Scenario compared_loop(const std::string& name, std::vector<std::string> sets = {}) {
  sets.insert(sets.begin(), kSmallLoop.begin(), kSmallLoop.end());
  return resolve(name, testing::environment(), sets).value();
}

CompareOptions loop_options() {
  CompareOptions out;
  out.workers = 2;
  out.whole_runs = false;
  return out;
}

void check_whole(const Waterfall& w) {
  double forward = 0, reverse = 0;
  for (const CauseShare& cause : w.causes) {
    forward += cause.forward;
    reverse += cause.reverse;
  }
  CHECK(w.unexplained == 0);  // the fields of the table are all that a step depends on
  CHECK(forward == Approx(w.end - w.start));
  CHECK(reverse == Approx(w.end - w.start));
}

std::vector<std::string> ids(const Waterfall& w) {
  std::vector<std::string> out;
  for (const CauseShare& cause : w.causes) out.push_back(cause.id);
  return out;
}

TEST_CASE("in turn against apart and ahead: who has which GPUs is one cause, running ahead another", "[compare][rl]") {
  const Scenario ahead = compared_loop("rl_llama_8b_16_h100", {"rl.placement=separate", "training.plan.data=8",
                                                               "rl.rollout.count=8", "rl.asynchrony.staleness=1"});
  const ScenarioComparison c = compare({compared_loop("rl_llama_8b_16_h100"), ahead}, loop_options());
  const Waterfall& w = c.waterfalls.front();
  check_whole(w);
  CHECK(w.measure == "step of the loop");
  CHECK(ids(w) == std::vector<std::string>{"ahead", "placement"});
  CHECK_THAT(to_text(c, TextStyle()), ContainsSubstring("weight synchronisation"));
  CHECK_THAT(to_csv(c), ContainsSubstring("rl.step_time_s"));
  CHECK_THAT(to_html(c), ContainsSubstring("generation"));
  CHECK(to_message(c).scenarios(0).loop_size() > 20);
}

TEST_CASE("GRPO against PPO: a critic's work is what the algorithm adds", "[compare][rl]") {
  const ScenarioComparison c =
      compare({compared_loop("rl_llama_8b_16_h100"), compared_loop("rl_llama_8b_16_h100", {"rl.algorithm=ppo"})},
              loop_options());
  const Waterfall& w = c.waterfalls.front();
  check_whole(w);
  CHECK(ids(w) == std::vector<std::string>{"algorithm"});
  CHECK(w.end > w.start);
}

TEST_CASE("causes by name change a loop as they say, or say why they cannot", "[compare][rl]") {
  const Scenario scenario = compared_loop("rl_llama_8b_16_h100");
  const std::vector<std::string> names{"ppo", "apart", "one-ahead", "hbm-half"};
  const ScenarioComparison c = compare(scenario, causes_by_name(names, scenario), loop_options());
  check_whole(c.waterfalls.front());
  CHECK(ids(c.waterfalls.front()) == names);
  const auto by_name = [&](std::vector<std::string> asked) { return causes_by_name(asked, scenario); };
  CHECK_THROWS_WITH(by_name({"grpo"}), ContainsSubstring("changes nothing"));
  CHECK_THROWS_WITH(by_name({"fp8"}), ContainsSubstring("changes nothing"));
  CHECK_THROWS_WITH(by_name({"apart", "in-turn"}), ContainsSubstring("one cause on placement"));
  CompareOptions of_steps = loop_options();
  of_steps.measure = Measure::step;
  CHECK_THROWS_WITH(compare(scenario, by_name({"ppo"}), of_steps), ContainsSubstring("rl-step"));
}

}  // namespace
}  // namespace flopcast
