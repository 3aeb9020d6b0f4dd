// Is a model cut into stages as the plan says?
#include "workloads/training/stages.h"

#include <numeric>

#include "tests/catch.h"
#include "tests/workloads/example_config.h"

using namespace flopcast;

namespace {

double layers_in(const std::vector<StageContent>& stages) {
  return std::accumulate(stages.begin(), stages.end(), 0.0,
                         [](double sum, const StageContent& s) { return sum + s.layers(); });
}

}  // namespace

TEST_CASE("every split holds every layer once, dense ones first") {
  TrainingConfig config = deepseek_v3_training();
  for (const char* split :
       {"balanced", "even", "even_with_embedding", "even_with_head", "even_with_both", "filled", "fractional"}) {
    config.plan.layer_split = split;
    for (int stages : {1, 2, 7, 16, 32}) {
      CAPTURE(split, stages);
      const auto cut = split_layers(config, stages, stages % 2 == 0, {1, 1, 0.1, 1.5, 2.5});
      CHECK(layers_in(cut) == Approx(61));
      double dense = 0;
      for (const StageContent& s : cut) dense += s.dense_layers;
      CHECK(dense == Approx(3));
      CHECK(cut.front().embedding);
      CHECK(cut.back().head);
      CHECK(cut.back().mtp_modules == 1);
    }
  }
}

TEST_CASE("embedding and head that count as layers take a layer's place on the first and last stage") {
  TrainingConfig config = deepseek_v3_training();
  config.model.layers = 94;
  const auto counts = [&](const char* split, int stages) {
    config.plan.layer_split = split;
    std::vector<double> out;
    for (const StageContent& stage : split_layers(config, stages, false, {})) out.push_back(stage.layers());
    return out;
  };
  std::vector<double> one_each(96, 1);
  one_each.front() = one_each.back() = 0;
  CHECK(counts("even_with_both", 96) == one_each);
  CHECK(counts("even_with_both", 1) == std::vector<double>{94});
  const std::vector<double> head = counts("even_with_head", 5), embedding = counts("even_with_embedding", 5);
  CHECK(head == std::vector<double>{19, 19, 19, 19, 18});
  CHECK(embedding == std::vector<double>{18, 19, 19, 19, 19});
}

TEST_CASE("stages that are filled one after the other hold what nanotron gives them") {
  TrainingConfig config = deepseek_v3_training();
  config.model.layers = 24;
  config.model.hidden = 2048;
  config.model.vocabulary = 50257;
  config.model.ffn_width = 4096;
  config.model.moe = {};
  config.model.attention = {"multi_head", 32, 32, 64, false, 0, 0, 0, 0, 0};
  config.plan.layer_split = "filled";
  const auto counts = [&](int stages) {
    std::vector<double> out;
    for (const StageContent& stage : split_layers(config, stages, false, {})) out.push_back(stage.layers());
    return out;
  };
  CHECK(counts(2) == std::vector<double>{14, 10});  // layers of 42 M, a head of 103 M: half of them is 13.2 layers
  CHECK(counts(4) == std::vector<double>{7, 7, 6, 4});
  CHECK(counts(8) == std::vector<double>{4, 3, 3, 4, 3, 3, 4, 0});
}

TEST_CASE("a balanced split of equal layers has the smallest possible slowest rank") {
  TrainingConfig config = deepseek_v3_training();
  const LayerCosts costs{1, 1, 0, 1.5, 2.5};
  const auto cut = split_layers(config, 16, true, costs);
  // 61 layers and 4 layers' worth of head and MTP on 8 pairs of stages: 65 / 8 = 8.1, so some pair has 9 and none more.
  for (int r = 0; r < 8; ++r) {
    double load = cut[r].layers() + cut[15 - r].layers();
    if (r == 0) load += costs.head + costs.mtp;
    CHECK(load <= 9.0);
    CHECK(load >= 8.0);
  }
}

TEST_CASE("of equal ranks the one nearest the pipeline's end gets the odd layer: it has least in flight") {
  TrainingConfig config = deepseek_v3_training();
  config.with_mtp = false;
  config.model.moe.first_dense_layers = 0;
  const auto counts = [&](int layers, int stages, bool pairs) {
    config.model.layers = layers;
    std::vector<double> out;
    for (const StageContent& stage : split_layers(config, stages, pairs, {1, 1, 0, 4, 0}))
      out.push_back(stage.layers());
    return out;
  };
  CHECK(counts(17, 4, false) == std::vector<double>{5, 5, 5, 2});
  CHECK(counts(18, 4, false) == std::vector<double>{5, 5, 6, 2});
  // 61 layers and a head of four on eight pairs of stages: one layer is over, and the stage of the head gets it.
  std::vector<double> v3(15, 4.0);
  v3.push_back(1);
  CHECK(counts(61, 16, true) == v3);
}

TEST_CASE("a balanced split evens out ranks, whatever number of stages each holds") {
  TrainingConfig config = deepseek_v3_training();
  config.with_mtp = false;
  config.model.moe.first_dense_layers = 0;
  for (const ScheduleRow& row : schedules()) {
    for (int ranks : {2, 4, 8}) {
      const int chunks = row.choose_chunks ? 3 : 1;
      const Schedule schedule = row.build({ranks, 4 * ranks, chunks});
      CAPTURE(row.name, ranks);
      for (double head : {0.0, 1.5, 4.0}) {
        const LayerCosts costs{1, 1, 0.25, head, 0};
        for (int layers : {24, 61, 64}) {
          config.model.layers = layers;
          const auto cut = split_layers(config, schedule.stages, stage_groups(schedule), costs);
          double slowest = 0;
          for (const std::vector<int>& held : schedule.stage_of) {
            double load = 0;
            for (int stage : held) {
              load += cut[stage].layers() + (cut[stage].embedding ? costs.embedding : 0) + (cut[stage].head ? head : 0);
            }
            slowest = std::max(slowest, load);
          }
          // No whole layer could be taken off the slowest rank: the mean over ranks lies within one layer of it.
          const double sets = static_cast<double>(stage_groups(schedule).size());
          CHECK(slowest < std::max((layers + costs.embedding + head) / sets + 1, head + 1e-9));
        }
      }
    }
  }
}

TEST_CASE("stages that two ranks hold are one group") {
  CHECK(stage_groups(find_schedule("dualpipe")->build({4, 8, 1})) == StageGroups{{0, 3}, {1, 2}});
  CHECK(stage_groups(find_schedule("dualpipev")->build({2, 8, 1})) == StageGroups{{0, 3}, {1, 2}});
  CHECK(stage_groups(find_schedule("interleaved_1f1b")->build({2, 4, 2})) == StageGroups{{0, 2}, {1, 3}});
}

TEST_CASE("an explicit list of layers per stage is taken as it is") {
  TrainingConfig config = deepseek_v3_training();
  config.plan.stage_layers = {10, 20, 20, 11};
  const auto cut = split_layers(config, 4, false, {});
  CHECK(cut[0].dense_layers == 3);
  CHECK(cut[0].moe_layers == 7);
  CHECK(cut[3].first_layer == 50);
  CHECK(cut[3].layers() == 11);
}

TEST_CASE("a stage's parameters: experts are divided among expert-parallel ranks, the rest is not") {
  const TrainingConfig config = deepseek_v3_training();
  StageContent stage;
  stage.moe_layers = 1;
  const StageParameters one = stage_parameters(config, stage);
  CHECK(one.expert == Approx(4 * 3 * 7168.0 * 2048));  // 256 / 64 experts of three matrices
  const ParameterCount count = count_parameters(config.model);
  CHECK(one.replicated ==
        Approx(count.attention_per_layer + count.norms_per_layer + count.shared_expert + count.router));
}

TEST_CASE("all stages of all ranks together hold the published number of parameters") {
  const TrainingConfig config = deepseek_v3_training();
  double sum = 0;
  TrainingConfig without_mtp = config;
  without_mtp.with_mtp = false;
  for (const StageContent& stage : split_layers(without_mtp, 16, true, {})) {
    const StageParameters held = stage_parameters(without_mtp, stage);
    sum += held.replicated + held.expert * config.plan.expert;
  }
  CHECK(sum == Approx(671e9).epsilon(0.005));
}
