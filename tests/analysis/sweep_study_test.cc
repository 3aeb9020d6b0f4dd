// Is a study read as it is meant, and refused with all that is wrong with it?
#include <set>

#include "analysis/studies/sweep/study/candidates.h"
#include "flopcast/errors.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "workloads/rl/algorithms.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

/// A study beside a small dense scenario.
class StudyFile {
 public:
  explicit StudyFile(const std::string& axes, const std::string& scenario = testing::kDense) {
    folder_.write("base.textproto", scenario);
    path_ = folder_.write("study.textproto", "title: \"A test\"\nscenario: \"./base.textproto\"\n" + axes);
  }
  SweepStudy load() const { return load_sweep(path_, testing::environment()); }
  /// Every diagnostic, one a line.
  std::string faults() const {
    try {
      load();
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  }
  const test::TemporaryFolder& folder() const { return folder_; }

 private:
  test::TemporaryFolder folder_;
  std::string path_;
};

std::vector<std::string> labels(const SweepAxis& axis) {
  std::vector<std::string> out;
  for (const AxisValue& value : axis.values) out.push_back(value.cells[0]);
  return out;
}

std::vector<std::uint64_t> numbers(const SweepStudy& study) {
  std::vector<std::uint64_t> out;
  for_each_wanted(study, [&](const SweepCandidate& candidate) { return out.push_back(candidate.number), true; });
  return out;
}

TEST_CASE("Axes are lists, ranges, factors, draws, entries, points and joint axes", "[sweep]") {
  const SweepStudy study = StudyFile(R"(
axis { path: "training.batch.sequences" value: ["64", "128"] }
axis { path: "cluster.node_override.nvlink_bandwidth" range { from: "100 GB/s per direction" to: "400" count: 3 logarithmic: true } }
axis { path: "training.plan.tensor" range { from: "1" to: "8" factor: 2 } }
axis { name: "link" path: "cluster.node_override.nic_bandwidth" range { from: "25 GB/s per direction" to: "50" step: 12.5 } }
axis { path: "cluster.node" entries { kind: "nodes" where: "gpus == 8 and gpu.architecture == 'hopper' and gpu.hbm_capacity > 90 GB" } }
axis { name: "overheads" point { name: "as they are" } point { name: "spread" set: "training.mechanisms.gpu_speed_spread=0.01" } }
axis { joint { path: "training.plan.pipeline" value: ["1", "2"] } joint { path: "training.plan.data" value: ["16", "8"] } }
)")
                               .load();
  REQUIRE(study.axes.size() == 7);
  CHECK(labels(study.axes[1]) ==
        std::vector<std::string>{"100 GB/s per direction", "200 GB/s per direction", "400 GB/s per direction"});
  CHECK(labels(study.axes[2]) == std::vector<std::string>{"1", "2", "4", "8"});
  CHECK(labels(study.axes[3]) ==
        std::vector<std::string>{"25 GB/s per direction", "37.5 GB/s per direction", "50 GB/s per direction"});
  CHECK(labels(study.axes[4]) == std::vector<std::string>{"grand-teton-h100", "hgx-h20", "hgx-h200"});
  CHECK(study.axes[6].columns.size() == 2);
  CHECK(study.product == 2 * 3 * 4 * 3 * 3 * 2 * 2);
  const SweepCandidate last = candidate_at(study, study.product);
  CHECK(last.cells == std::vector<std::string>{"128", "400 GB/s per direction", "8", "50 GB/s per direction",
                                               "hgx-h200", "spread", "2", "8"});
  CHECK(last.sets.back() == "training.plan.data=8");
}

TEST_CASE("Draws are the same for the same seed, move together, and lie in their range", "[sweep]") {
  const std::string text = R"(
draws: 50
axis { path: "training.batch.sequences" draw { from: "64" to: "640" } }
axis { path: "cluster.node_override.nvlink_bandwidth" draw { distribution: "log_uniform" from: "50 GB/s per direction" to: "900" } }
)";
  const SweepStudy one = StudyFile(text).load(), again = StudyFile(text).load(),
                   other = StudyFile(text + "seed: 2").load();
  REQUIRE(one.axes.size() == 1);
  CHECK(one.product == 50);
  CHECK(candidate_at(one, 7).sets == candidate_at(again, 7).sets);
  CHECK(candidate_at(one, 7).sets != candidate_at(other, 7).sets);
  for (const AxisValue& value : one.axes[0].values)
    CHECK((std::stoi(value.cells[0]) >= 64 && std::stoi(value.cells[0]) <= 640));
}

TEST_CASE("Conditions over fields choose candidates, those over metrics are kept for later", "[sweep]") {
  const SweepStudy study = StudyFile(R"(
axis { path: "training.plan.tensor" value: ["1", "2", "4", "8"] }
axis { path: "training.plan.data" value: ["1", "2", "4", "8", "16"] }
constraint: "training.plan.tensor * training.plan.data * training.plan.pipeline == 16"
constraint: "training.peak_memory_bytes < 0.9 hbm"
goal: "min training.step_time_s"
keep: "training.step_time_s"
)")
                               .load();
  CHECK(study.before.size() == 1);
  CHECK(study.after.size() == 1);
  CHECK(study.keep == std::vector<std::string>{"training.step_time_s", "training.peak_memory_bytes", "hbm"});
  CHECK(numbers(study).size() == 3);  // pipeline 4 stands in the base scenario: 1 x 4, 2 x 2, 4 x 1
}

TEST_CASE("A field is stated once, and all slips are said at once", "[sweep]") {
  const auto refused = [](const std::string& text) {
    try {
      StudyFile(text).load();
    } catch (const InputError& error) {
      std::string all;
      for (const Diagnostic& d : error.diagnostics()) all += to_string(d) + "\n";
      return all;
    }
    return std::string();
  };
  const std::string tensor = "axis { path: \"training.plan.tensor\" value: [\"1\", \"2\"] }\n";
  CHECK_THAT(refused(tensor + "set: \"training.plan.tensor=4\"\n"), ContainsSubstring("which an axis varies"));
  CHECK_THAT(
      refused(tensor + "axis { path: [\"training.plan.data\", \"training.plan.tensor\"] value: \"2\" name: \"d\" }\n"),
      ContainsSubstring("another axis varies too"));
  CHECK_THAT(refused("axis { path: \"training.plan.tensor\" value: [\"1\", \"2\", \"2\"] }\n"),
             ContainsSubstring("study.textproto:3:") && ContainsSubstring("axis[0].value[2]") &&
                 ContainsSubstring("\"2\" twice"));
  const std::string all = refused(
      "axis { path: \"training.plan.tensor\" value: [\"1\", \"0\"] }\nconstraint: \"training.plan.tenser == 1\"\n"
      "constraint: \"1 <\"\ngoal: \"training.step_time_s\"\n");
  CHECK_THAT(all, ContainsSubstring("training.plan.tensor") && ContainsSubstring("constraint[0]") &&
                      ContainsSubstring("constraint[1]") && ContainsSubstring("goal[0]"));
}

TEST_CASE("A sample is a part of the product that the seed decides", "[sweep]") {
  const std::string text =
      "axis { path: \"training.batch.sequences\" range { from: \"1\" to: \"1000\" step: 1 } }\nsample: 100\n";
  const std::vector<std::uint64_t> one = numbers(StudyFile(text).load());
  CHECK(one.size() == 100);
  CHECK(std::set<std::uint64_t>(one.begin(), one.end()).size() == 100);
  CHECK(one == numbers(StudyFile(text).load()));
  CHECK(one != numbers(StudyFile(text + "seed: 9").load()));
}

TEST_CASE("Fingerprints follow what a candidate sets, not its number or the order of axes", "[sweep]") {
  const std::string tensor = "axis { path: \"training.plan.tensor\" value: [\"1\", \"2\"] }\n";
  const std::string data = "axis { path: \"training.plan.data\" value: [\"2\", \"4\"] }\n";
  const StudyFile file(tensor + data);
  const SweepStudy study = file.load();
  file.folder().write("other.textproto", "title: \"Other\"\nscenario: \"./base.textproto\"\n" + data + tensor);
  const SweepStudy turned = load_sweep(file.folder().path() + "/other.textproto", testing::environment());
  const SweepFingerprints one(study, testing::environment()), two(turned, testing::environment());
  CHECK(one.of(candidate_at(study, 2)) == two.of(candidate_at(turned, 3)));
  CHECK(one.of(candidate_at(study, 2)) != two.of(candidate_at(turned, 2)));
  CHECK(one.of_study(study) != two.of_study(turned));
  const std::string before = one.of(candidate_at(study, 1));
  file.folder().write("base.textproto", testing::kDense + "# a word more\n");
  const SweepStudy changed = file.load();
  CHECK(SweepFingerprints(changed, testing::environment()).of(candidate_at(changed, 1)) != before);
}

TEST_CASE("Everything wrong with a study is said at once, where it stands", "[sweep]") {
  const std::string faults = StudyFile(R"(
axis { path: "training.plan.tensr" value: "1" }
axis { path: "training.plan.data" value: "many" }
axis { path: "cluster.node" value: "hgx-h1000" }
axis { path: "training.batch.sequences" value: "-5" }
)")
                                 .faults();
  CHECK_THAT(faults, ContainsSubstring("study.textproto:4:1: training.plan.tensr: found an unknown field"));
  CHECK_THAT(faults, ContainsSubstring("did you mean \"tensor\""));
  CHECK_THAT(faults, ContainsSubstring("training.plan.data: found \"many\", expected a whole number"));
  CHECK_THAT(faults, ContainsSubstring("did you mean \"hgx-h100\""));
  CHECK_THAT(faults, ContainsSubstring("training.batch.sequences: found -5"));
}

TEST_CASE("Studies that mean nothing are refused", "[sweep]") {
  const std::string axis = "axis { path: \"training.plan.tensor\" value: [\"1\", \"2\"] }\n";
  const auto refused = [&](const std::string& text) { return StudyFile(text).faults(); };
  CHECK_THAT(refused(""), ContainsSubstring("at least one axis"));
  CHECK_THAT(refused("axis { path: \"training.plan.tensor\" }"), ContainsSubstring("found no values"));
  CHECK_THAT(refused("axis { path: \"title\" value: \"x\" }"), ContainsSubstring("which no result depends on"));
  CHECK_THAT(
      refused("axis { name: \"a\" point { name: \"on\" set: \"training.plan.tensor=1\" } point { name: \"on\" set: "
              "\"training.plan.tensor=2\" } }"),
      ContainsSubstring("axis[0].point[1]") && ContainsSubstring("\"on\" twice"));
  const std::string few =
      refused("axis { path: \"training.batch.sequences\" range { from: \"8\" to: \"16\" count: 1 } }");
  CHECK_THAT(few, ContainsSubstring("axis[0].range.count: found 1") && !ContainsSubstring("nan") &&
                      !ContainsSubstring("no value"));
  CHECK_THAT(refused(axis + "set: \"training.batch.sequence=64\""),
             ContainsSubstring("study.textproto:") && ContainsSubstring("training.batch.sequence: found an unknown") &&
                 !ContainsSubstring("--set"));
  CHECK_THAT(refused(axis + "set: \"training.batch.sequences=-1\""),
             ContainsSubstring("study.textproto:") && ContainsSubstring("training.batch.sequences: found -1"));
  CHECK_THAT(refused(axis + "constraint: \"training.peak_memory_bytes < 80\""),
             ContainsSubstring("80 without a unit beside bytes"));
  CHECK_THAT(refused(axis + "goal: \"min training.step_time_s\"\ngoal: \"max training.step_time_s\""),
             ContainsSubstring("each figure as one goal"));
  CHECK_THAT(refused("axis { path: \"training.plan\" value: \"x\" }"),
             ContainsSubstring("a value for one of its fields"));
  CHECK_THAT(refused("axis { path: \"training.plan.tensor\" range { from: \"8\" to: \"1\" step: 1 } }"),
             ContainsSubstring("an empty range"));
  CHECK_THAT(refused("axis { path: \"cluster.node\" entries { kind: \"nodes\" where: \"gpus == 3\" } }"),
             ContainsSubstring("none of the"));
  CHECK_THAT(refused("axis { path: \"cluster.node\" entries { kind: \"nodes\" where: \"gpuss == 8\" } }"),
             ContainsSubstring("did you mean \"gpus\""));
  CHECK_THAT(refused("axis { joint { path: \"training.plan.tensor\" value: [\"1\", \"2\"] } joint { path: "
                     "\"training.plan.data\" value: \"1\" } }"),
             ContainsSubstring("found 1 values, expected 2"));
  CHECK_THAT(refused(axis + "constraint: \"training.plan.tensor > 4\"\nconstraint: \"training.plan.tensor < 2\""),
             ContainsSubstring("conditions that can hold together"));
  CHECK_THAT(refused(axis + "constraint: \"training.plan.tensor > 4\""), ContainsSubstring("none of the 2 candidates"));
  CHECK_THAT(refused(axis + "constraint: \"training.step_tim_s < 4 s\""),
             ContainsSubstring("did you mean \"training.step_time_s\""));
  CHECK_THAT(refused(axis + "constraint: \"training.step_time_s < 4 GB\""), ContainsSubstring("figures of one kind"));
  CHECK_THAT(refused(axis + "goal: \"training.step_time_s\""), ContainsSubstring("\"min\" or \"max\""));
  CHECK_THAT(refused(axis + "keep: \"serving.tpot_s.p50\""),
             ContainsSubstring("a metric that the reports of this scenario have"));
  CHECK_THAT(refused(axis + "axis { name: \"training.plan.tensor\" path: \"training.plan.data\" value: \"1\" }"),
             ContainsSubstring("a name that no other axis"));
  CHECK_THAT(refused(axis + "axis { name: \"Status\" path: \"training.plan.data\" value: \"1\" }"),
             ContainsSubstring("a name that no other axis"));
  CHECK_THAT(refused("axis { path: \"training.plan.tensor\" range { from: \"1\" to: \"1024\" step: 1 } }\n"
                     "axis { path: \"training.plan.pipeline\" range { from: \"1\" to: \"1024\" step: 1 } }\n"
                     "axis { path: \"training.plan.data\" range { from: \"1\" to: \"9999\" step: 1 } }"),
             ContainsSubstring("e+10 candidates, 1024 (training.plan.tensor) x 1024 (training.plan.pipeline) x 9999"));
}

TEST_CASE("Replicas need something random", "[sweep]") {
  const std::string axis = "replicas: 3\naxis { path: \"training.plan.tensor\" value: [\"1\", \"2\"] }\n";
  const SweepStudy study = StudyFile(axis).load();  // the run has failures, drawn at random
  CHECK(study.product == 6);
  CHECK(candidate_at(study, 3).sets.back() == "resilience.seed=3");
  const std::string step = testing::kDense.substr(0, testing::kDense.find("run {"));
  CHECK_THAT(StudyFile(axis, step).faults(), ContainsSubstring("in which nothing is random"));
  // What is wrong with a library's name stands where it is written.
  const std::string of_library = "axis { path: \"training.schedule\" entries { kind: \"algoritms\" } }\n";
  CHECK_THAT(StudyFile(of_library).faults(),
             ContainsSubstring("axis[0].entries.kind: found \"algoritms\"") && ContainsSubstring(".textproto:"));
  const std::string loop =
      testing::contents(testing::source_dir() + "/scenarios/library/rl_llama_8b_16_h100.textproto");
  const SweepStudy drawn = StudyFile(
                               "replicas: 2\naxis { name: \"algorithm\" path: \"rl.algorithm\" entries { kind: "
                               "\"algorithms\" where: \"name != 'ppo'\" } }\n",
                               loop)
                               .load();
  CHECK(drawn.product == 2 * (algorithms().size() - 1));
  CHECK(candidate_at(drawn, 2).sets.back().starts_with("rl.seed="));
}

}  // namespace
}  // namespace flopcast
