// Does `--set path=value` change exactly what it names, and say what is wrong when it cannot?
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("--set replaces, adds, lists and takes back") {
  CHECK(load_text(kSmall, {"training.batch.sequences=128"}).training->batch.sequences == 128);
  CHECK(load_text(kSmall, {"price.gpu=3.5 USD/h"}).price.gpu.value() == Approx(3.5 / 3600));
  CHECK(load_text(kSmall, {"price.gpu=\"3.5 USD/h\""}).price.gpu.value() == Approx(3.5 / 3600));
  CHECK_FALSE(
      load_text(kSmall, {"training.mechanisms.expert_communication=off"}).training->mechanisms.expert_communication);
  CHECK(load_text(kSmall, {"training.plan.stage_layers=30,31"}).training->plan.stage_layers ==
        std::vector<int>{30, 31});
  CHECK(load_text(kSmall, {"training.plan.stage_layers=[31, 30]"}).training->plan.stage_layers ==
        std::vector<int>{31, 30});
  CHECK(load_text(kSmall, {"training.plan.expert="}).training->plan.expert == 1);
  const Scenario slow = load_text(kSmall, {"cluster.slow[0].gpu=3", "cluster.slow[0].speed=0.8",
                                           "cluster.slow[1].nic=5", "cluster.slow[1].speed=0.5"});
  REQUIRE(slow.cluster.slow_parts.size() == 2);
  CHECK(slow.cluster.slow_parts[0].kind == SlowPart::Kind::gpu);
  CHECK(slow.cluster.slow_parts[1].rank == 5);
}

TEST_CASE("zeros within numbers are no zeros before them") {
  const auto spread = [](const std::string& number) {
    return load_text(replaced(kSmall, "schedule: \"1f1b\"",
                              "schedule: \"1f1b\" mechanisms { gpu_speed_spread: " + number + " }"))
        .training->mechanisms.gpu_speed_spread;
  };
  CHECK(spread("1e-02") == 0.01);
  CHECK(spread("0.010") == 0.01);
  CHECK(spread("0") == 0);
  CHECK(load_text(kSmall, {"training.mechanisms.gpu_speed_spread=1e-02"}).training->mechanisms.gpu_speed_spread ==
        0.01);
}

TEST_CASE("the last of several --set wins") {
  CHECK(load_text(kSmall, {"training.batch.sequences=128", "training.batch.sequences=256"}).training->batch.sequences ==
        256);
}

struct Refused {
  const char* assignment;
  const char* diagnostic;
};

TEST_CASE("--set says what is wrong with it") {
  const Refused refused =
      GENERATE(Refused{"training.plan.dta=4",
                       "--set: training.plan.dta: found an unknown field, expected one of pipeline, data, tensor"},
               Refused{"trainig.plan.data=4", "(did you mean \"training\"?)"},
               Refused{"plan.tensor=4",
                       "--set: plan.tensor: found an unknown field, expected the whole path of a field (did you mean "
                       "\"training.plan.tensor\"?)"},
               Refused{"gpu_speed_spread=0", "(did you mean \"training.mechanisms.gpu_speed_spread\"?)"},
               Refused{"training.plan.data=four", "--set: training.plan.data: found \"four\", expected a whole number"},
               Refused{"training.plan.data=99999999999999",
                       "--set: training.plan.data: found \"99999999999999\", expected a whole number"},
               Refused{"training.batch.sequences=064",
                       "--set: training.batch.sequences: found \"064\", expected a decimal number without zeros before "
                       "it (did you mean \"64\"?)"},
               Refused{"training.with_mtp=maybe", "--set: training.with_mtp: found \"maybe\", expected true or false"},
               Refused{"training.mechanisms.gpu_speed_spread=fast", "expected a number"},
               Refused{"training.plan=4",
                       "--set: training.plan: found \"4\", expected a value for one of its fields, such as "
                       "training.plan.pipeline=..."},
               Refused{"training.plan.data.x=4",
                       "--set: training.plan.data: found a field within a value, expected nothing after data"},
               Refused{"cluster.slow.gpu=3",
                       "--set: cluster.slow: found a list without an index, expected slow[0] for its first entry"},
               Refused{"cluster.slow[5].gpu=3", "--set: cluster.slow[5]: found index 5, expected an index from 0 to 0"},
               Refused{"cluster.slow[x].gpu=3", "expected a field with an index such as slow[0]"},
               Refused{"training.plan[0].data=3",
                       "--set: training.plan[0]: found an index, expected none, plan is a single field"},
               Refused{"training.plan.data", "expected path=value, such as training.plan.data=64"},
               Refused{"=4", "expected path=value"}, Refused{"", "expected path=value"}, Refused{"..=1", "--set: "},
               Refused{"a[=1", "--set: "}, Refused{"price.gpu=2", "--set: price.gpu: found \"2\" without a unit"},
               Refused{"training.plan.data=4", "expected the 16 GPUs of the cluster"});
  INFO(refused.assignment);
  CHECK_THAT(faults_of(kSmall, {refused.assignment}), ContainsSubstring(refused.diagnostic));
}

}  // namespace
}  // namespace flopcast::test
