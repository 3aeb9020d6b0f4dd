// The closed form of a training step against its replay, and the search over plans that rests on it.
#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "analysis/render/text/format.h"
#include "analysis/runs/training/run.h"
#include "analysis/studies/plan/plan_study.h"
#include "scenarios/proto/plan_report.pb.h"
#include "scenarios/resolve/laws/training_laws.h"
#include "tests/analysis/environment.h"
#include "tests/catch.h"
#include "tests/temporary.h"
#include "workloads/model/key_heads.h"

using namespace flopcast;
using Catch::Matchers::ContainsSubstring;

namespace {

struct OpenSpace {
  Scenario scenario;
  PlanSpace space;
};

OpenSpace open_space(const std::string& name, std::vector<std::string> sets = {},
                     std::vector<std::string> open = {"all"}, std::vector<std::string> allowed = {}) {
  OpenSpace result{testing::resolved(name, sets), {}};
  OpenFields fields;
  fields.stated = load_open_scenario(name, sets, testing::environment().data().libraries()).stated;
  fields.open = std::move(open);
  fields.allowed = std::move(allowed);
  result.space = plan_space(result.scenario, fields, {});
  return result;
}

Seconds replayed(const OpenSpace& open, const PlanChoice& choice, Bytes* memory = nullptr) {
  const TrainingConfig config = with_choice(open.space.base, choice, open.space.precisions);
  const PreparedStep prepared = prepare_step(open.scenario, config);
  if (memory != nullptr) {
    for (const MemoryTable& table : prepared.step.memory) *memory = std::max(*memory, table.total());
  }
  ReplayOptions options;
  return replay(prepared.step.graph, prepared.topology->network(), {}, options).makespan;
}

struct Pair {
  double screened, replayed;
};

/// Every switch drawn on its own. @param shapes of the space
PlanChoice random_choice(const PlanSpace& space, const std::vector<PlanChoice>& shapes, std::mt19937& random) {
  std::vector<PlanChoice> scheduled;
  while (scheduled.empty()) scheduled = space.schedules_of(shapes[random() % shapes.size()]);
  PlanChoice c = scheduled[random() % scheduled.size()];
  const auto draw = [&](const auto& values) { return values[random() % values.size()]; };
  c.zero_stage = draw(space.zero_stage);
  c.dispatcher = draw(space.dispatcher);
  c.context_exchange = draw(space.context_exchange);
  c.sequence_parallel = draw(space.sequence_parallel);
  c.tensor_overlap = draw(space.tensor_overlap);
  c.overlap_gradients = draw(space.overlap_gradients);
  c.overlap_parameters = draw(space.overlap_parameters);
  c.shared_expert_overlap = draw(space.shared_expert_overlap);
  c.split = draw(space.split);
  c.recompute = draw(space.recompute);
  return c;
}

/// Random plans that fit, and what both say of them.
std::vector<Pair> random_pairs(const OpenSpace& open, std::size_t count, std::uint32_t seed, long most_passes) {
  const PlanSpace& space = open.space;
  const std::vector<PlanChoice> shapes = space.shapes();
  const auto estimator = estimator_of(open.scenario, space)();
  std::mt19937 random(seed);
  std::vector<Pair> pairs;
  for (int tried = 0; pairs.size() < count && tried < 100'000; ++tried) {
    const PlanChoice c = random_choice(space, shapes, random);
    const long micro_batches = open.scenario.training->batch.sequences / (long{c.data} * c.micro_batch_sequences);
    if (micro_batches * c.pipeline > most_passes) continue;
    const StepEstimate estimate = estimator->estimate(c);
    if (!estimate.possible) continue;
    INFO(plan_text(c));
    CHECK(estimator->least_memory(c) <= 1.0001 * estimate.memory);
    if (!estimate.fits) continue;
    Bytes memory;
    const Seconds step = replayed(open, c, &memory);
    CHECK(estimate.memory.value() == Approx(memory.value()).epsilon(1e-9));
    CHECK(estimator->lower_bound(c).value() <= 1.0001 * estimate.step.value());
    const StepEstimate bound = estimator->estimate(c, Seconds(0));
    CHECK(bound.beyond);
    CHECK(bound.step > Seconds(0));
    CHECK(bound.step.value() <= (1 + 1e-9) * estimate.step.value());
    pairs.push_back({estimate.step.value(), step.value()});
  }
  return pairs;
}

double kendall_tau(const std::vector<Pair>& pairs) {
  double concordant = 0, discordant = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const double same = (pairs[i].screened - pairs[j].screened) * (pairs[i].replayed - pairs[j].replayed);
      (same > 0 ? concordant : discordant) += same != 0 ? 1 : 0;
    }
  }
  return (concordant - discordant) / (concordant + discordant);
}

}  // namespace

TEST_CASE("The closed form of a step is its replay's within two per cent, its memory to the byte", "[plan]") {
  for (const char* name : {"h100_llama_3_1_8b_bf16_64", "h100_nemotron_4_15b_fp8_16", "mixtral_8x7b_64_h100",
                           "llama_3_1_8b_64_h100", "deepseek_v3_2048_h800"}) {
    CAPTURE(name);
    const OpenSpace open = open_space(name);
    const auto estimator = estimator_of(open.scenario, open.space)();
    const PlanChoice own = choice_of(*open.scenario.training, open.space.precisions);
    const StepEstimate estimate = estimator->estimate_whatever_fits(own);
    REQUIRE(estimate.possible);
    Bytes memory;
    const Seconds step = replayed(open, own, &memory);
    CHECK(estimate.step.value() == Approx(step.value()).epsilon(0.02));
    CHECK(estimate.memory.value() == Approx(memory.value()).epsilon(1e-9));
    const StepParts parts = estimator->parts(own);
    CHECK(parts.total().value() == Approx(estimate.step.value()).epsilon(0.005));
    CHECK(estimator->lower_bound(own) <= estimate.step);
  }
}

TEST_CASE("The closed form sees shard groups that lie over more nodes than the first", "[plan]") {
  // Three nodes of eight, groups of six: the first lies in one node, the second over two.
  const std::vector<std::string> sets = {
      "cluster.nodes=3",        "training.plan.pipeline=1",    "training.plan.data=24",
      "training.plan.tensor=1", "training.plan.zero_stage=3",  "training.plan.shard_group=6",
      "training.schedule=1f1b", "training.batch.sequences=24", "training.batch.micro_batch_sequences=1",
      "training.plan.context=1"};
  const OpenSpace open = open_space("h100_llama_3_1_8b_bf16_64", sets);
  const auto estimator = estimator_of(open.scenario, open.space)();
  const PlanChoice own = choice_of(*open.scenario.training, open.space.precisions);
  const Seconds estimate = estimator->estimate_whatever_fits(own).step, step = replayed(open, own);
  CHECK(estimate.value() == Approx(step.value()).epsilon(0.03));
  CHECK(estimator->lower_bound(own) <= 1.0001 * step);
}

TEST_CASE("plan takes no tensor parallelism that the software refuses to a model with experts", "[plan]") {
  const std::vector<std::string> sets = {"training.plan.sequence_parallel=false",
                                         "training.software=megatron-core-2025.09"};
  const PlanSpace space =
      open_space("mixtral_8x7b_64_h100", sets, {"training.plan.tensor", "training.plan.expert_tensor"}).space;
  for (const PlanChoice& choice : space.shapes()) CHECK(choice.tensor == 1);
}

TEST_CASE("plan searches no groups that heads of keys or nodes do not divide into, nor what the software lacks",
          "[plan]") {
  const PlanSpace grouped = open_space("mixtral_8x7b_64_h100").space;
  CHECK(grouped.tensor == std::vector<int>{1, 2, 4, 8});
  const PlanSpace held = open_space("mixtral_8x7b_64_h100", {"training.software=megatron-core-2025.02"}).space;
  for (const PlanChoice::Split split : held.split) CHECK(split == PlanChoice::Split::even);
  CHECK(held.dispatcher == std::vector<ExpertDispatcher>{ExpertDispatcher::all_to_all});
}

TEST_CASE("Grouped queries: ranks have whole heads of keys and values, or share one", "[plan]") {
  ModelConfig model = testing::resolved("mixtral_8x7b_64_h100").training->model;
  model.attention.heads = 96;
  model.attention.kv_heads = 8;
  for (const int tensor : {1, 2, 4, 8, 16, 24}) CHECK(splits_key_heads(model, tensor));
  for (const int tensor : {3, 6, 12}) CHECK_FALSE(splits_key_heads(model, tensor));
}

TEST_CASE("The closed form follows ranks that stop for messages, and rounds of micro-batches", "[plan]") {
  const std::vector<std::string> cut{"training.plan.pipeline=4", "training.plan.tensor=2", "training.plan.data=8",
                                     "training.plan.zero_stage=1"};
  for (const char* schedule : {"1f1b", "interleaved_1f1b", "gpipe"}) {
    for (const char* rounds : {"1", "2"}) {
      CAPTURE(schedule, rounds);
      const auto steps = [&](const char* software) {
        std::vector<std::string> sets = cut;
        sets.push_back(std::string("training.schedule=") + schedule);
        sets.push_back(std::string("training.batch.rounds=") + rounds);
        sets.push_back(std::string("training.software=") + software);
        if (std::string(schedule) == "interleaved_1f1b") sets.push_back("training.plan.chunks=2");
        const OpenSpace open = open_space("llama_3_1_8b_64_h100", sets);
        const PlanChoice own = choice_of(*open.scenario.training, open.space.precisions);
        const auto estimator = estimator_of(open.scenario, open.space)();
        const Seconds estimate = estimator->estimate_whatever_fits(own).step;
        CHECK(estimator->lower_bound(own) <= estimate);
        return std::pair(estimate.value(), replayed(open, own).value());
      };
      const auto [estimate, replay] = steps("torchtitan-2024.12-compiled");
      CHECK(estimate == Approx(replay).epsilon(0.02));
    }
  }
}

TEST_CASE("What an estimator keeps from other plans changes no figure", "[plan]") {
  for (const char* name : {"llama_3_1_8b_64_h100", "mixtral_8x7b_64_h100", "deepseek_v3_2048_h800"}) {
    CAPTURE(name);
    const OpenSpace open = open_space(name);
    const MakeEstimator make = estimator_of(open.scenario, open.space);
    const auto kept = make();
    const std::vector<PlanChoice> shapes = open.space.shapes();
    std::mt19937 random(5);
    for (int i = 0; i < 25; ++i) {
      const PlanChoice choice = random_choice(open.space, shapes, random);
      const StepEstimate alone = make()->estimate(choice), among_others = kept->estimate(choice);
      INFO(plan_text(choice));
      REQUIRE(alone.possible == among_others.possible);
      CHECK(alone.fits == among_others.fits);
      CHECK(alone.memory.value() == Approx(among_others.memory.value()).epsilon(1e-12));
      CHECK(alone.step.value() == Approx(among_others.step.value()).epsilon(1e-12));
      if (i % 4 == 3) kept->forget_plans();
    }
  }
}

TEST_CASE("A choice says a plan and a plan says a choice", "[plan]") {
  const OpenSpace open = open_space("deepseek_v3_2048_h800");
  const PlanChoice own = choice_of(*open.scenario.training, open.space.precisions);
  const TrainingConfig again = with_choice(*open.scenario.training, own, open.space.precisions);
  CHECK(again == *open.scenario.training);
  CHECK(plan_text(own).find("dualpipe") != std::string::npos);
  CHECK(plan_difference(own, own).empty());
}

TEST_CASE("The closed form ranks random plans as the replay does", "[plan]") {
  for (const char* name : {"llama_3_1_8b_64_h100", "mixtral_8x7b_64_h100"}) {
    CAPTURE(name);
    const std::vector<Pair> pairs = random_pairs(open_space(name), 30, 3, 600);
    REQUIRE(pairs.size() == 30);
    CHECK(kendall_tau(pairs) >= 0.95);
  }
}

TEST_CASE("The closed form knows what lies in the host's memory, and what is on its way from there", "[plan]") {
  for (const char* again : {"training.recompute.full_layer=false", "training.recompute.full_layers=3"}) {
    std::vector<std::string> sets{"training.offload.activations=0.2", again};
    if (std::string(again).ends_with("3")) sets.push_back("training.recompute.full_layer=true");
    OpenSpace open = open_space("llama_3_1_8b_64_h100", sets);
    open.space.recompute = {open.scenario.training->recompute};
    CAPTURE(again);
    CHECK(random_pairs(open, 8, 5, 600).size() == 8);
  }
}

TEST_CASE("The closed form ranks 500 random plans of six models as the replay does", "[plan][slow]") {
  std::vector<Pair> all;
  for (const char* name :
       {"llama_3_1_8b_64_h100", "mixtral_8x7b_64_h100", "h100_nemotron_4_15b_bf16_64", "llama_3_405b_16384_h100",
        "deepseek_v3_2048_h800", "h100_llama_3_1_405b_30_layers_bf16_64"}) {
    CAPTURE(name);
    const std::vector<Pair> pairs = random_pairs(open_space(name), 84, 11, 2000);
    REQUIRE(pairs.size() == 84);
    CHECK(kendall_tau(pairs) >= 0.95);
    all.insert(all.end(), pairs.begin(), pairs.end());
  }
  CHECK(kendall_tau(all) >= 0.95);
}

TEST_CASE("The bound rules out no plan that is among the best, on any number of workers", "[plan]") {
  const OpenSpace open = open_space("h100_llama_3_1_8b_bf16_16", {}, {"all"},
                                    {"plan.tensor=1,2", "plan.context=1,2", "plan.chunks=1", "plan.zero_stage=1,3",
                                     "batch.micro_batch_sequences=1,2", "schedule=1f1b,zb_h1,gpipe"});
  SearchOptions few;
  few.keep = 5;
  few.workers = 3;
  SearchOptions all = few;
  all.keep = 1'000'000;  // nothing is ever ruled out by the bound
  all.workers = 1;
  const SearchResult found = search_plans(open.space, estimator_of(open.scenario, open.space), few);
  const SearchResult every = search_plans(open.space, estimator_of(open.scenario, open.space), all);
  REQUIRE(found.best.size() == 5);
  CHECK(found.best.front().choice == every.best.front().choice);
  CHECK(found.priced <= every.priced);
  few.workers = 1;
  CHECK(found.beyond > 0);
  CHECK(every.beyond == 0);
  for (std::size_t i = 0; i < found.best.size(); ++i) CHECK(found.best[i].estimate.step == every.best[i].estimate.step);
  const SearchResult again = search_plans(open.space, estimator_of(open.scenario, open.space), few);
  REQUIRE(again.best.size() == found.best.size());
  for (std::size_t i = 0; i < found.best.size(); ++i) CHECK(again.best[i].choice == found.best[i].choice);
  CHECK(again.priced == found.priced);
}

TEST_CASE("plan keeps what is stated, searches the rest, and says why not", "[plan]") {
  PlanOptions options;
  options.open.open = {"plan", "schedule"};
  options.open.keep = {"batch.micro_batch_sequences"};  // not stated, so it would vary
  options.open.allowed = {"schedule=1f1b,interleaved_1f1b", "plan.chunks=1,2"};
  options.replays = 3;
  options.where = {"training.peak_memory_bytes < 0.95 hbm", "training.plan.pipeline <= 4"};
  options.why = {"plan.tensor=3", "plan.tensor=8"};
  const PlanStudy study = plan_study("h100_llama_3_1_8b_bf16_16", testing::environment(), {}, options);
  REQUIRE(study.plans.size() >= 3);  // and the scenario's own
  for (const ReplayedPlan& plan : study.plans) {
    CHECK(plan.memory < 0.95 * study.base.cluster.node.gpu.hbm_usable());
    CHECK(plan.screened.choice.pipeline <= 4);
    CHECK(plan.screened.choice.micro_batch_sequences == study.base.training->batch.micro_batch_sequences);
    CHECK(plan.step.value() == Approx(plan.screened.estimate.step.value()).epsilon(0.03));
    if (plan.surely_fits() == study.plans.front().surely_fits()) CHECK(plan.step >= study.plans.front().step);
  }
  REQUIRE(study.own);
  CHECK(study.own->step >= study.plans.front().step);
  if (study.own->step > 1.01 * study.plans.front().step) {
    CHECK(own_text(study).find("What it has instead: ") != std::string::npos);
    CHECK(own_text(study).find("it spends ") != std::string::npos);
  }
  REQUIRE(study.why.size() == 2);
  CHECK(study.why[0].verdict == PlanAnswer::Verdict::impossible);
  CHECK(study.why[0].text.find("divisor of the 32 attention heads") != std::string::npos);
  CHECK(study.why[1].verdict == PlanAnswer::Verdict::slower);
  CHECK(to_message(study).plans_size() == std::ssize(study.plans));
  const std::string page = to_html(study);
  CHECK(page.find(format_time(study.plans.front().step)) != std::string::npos);
  CHECK(page.find("What holds the best back") != std::string::npos);
  CHECK(page.find("divisor of the 32 attention heads") != std::string::npos);
  const std::string text = scenario_text(study, study.plans.front().screened.choice, testing::environment());
  const Scenario written = resolve_text(text, "best.textproto", testing::environment()).value();
  CHECK(choice_of(*written.training, study.space.precisions) == study.plans.front().screened.choice);
}

TEST_CASE("a condition that no plan meets is named, with what comes nearest", "[plan]") {
  const auto refusal = [](const std::string& where, const std::string& why = "") {
    PlanOptions options;
    options.open.open = {"plan.tensor"};
    options.replays = 3;
    options.where = {where};
    if (!why.empty()) options.why = {why};
    try {
      plan_study("h100_llama_3_1_8b_bf16_16", testing::environment(), {}, options);
    } catch (const InputError& error) {
      return to_string(error.diagnostics().front());
    }
    return std::string();
  };
  const std::string time = refusal("training.step_time_s < 1 ms");
  CHECK_THAT(time, ContainsSubstring("--where: found") &&
                       ContainsSubstring("no plan meets training.step_time_s < 1 ms") &&
                       ContainsSubstring("training.step_time_s from") && !ContainsSubstring("leanest"));
  CHECK_THAT(refusal("plan.tensor == 8"), ContainsSubstring("did you mean \"training.plan.tensor\"") ||
                                              ContainsSubstring("did you mean training.plan.tensor"));
  CHECK_THAT(refusal("training.step_time_s < 1 h", "batch.sequences=64"), ContainsSubstring("--why"));
  // `hbm` is what fits, as training.memory_capacity_bytes has it.
  CHECK(refusal("training.memory_capacity_bytes == hbm").empty());
}

TEST_CASE("no two plans of the list differ in chunks alone, and one stage has no chunks", "[plan]") {
  PlanOptions options;
  options.open.open = {"all"};
  const PlanStudy study = plan_study("h100_llama_3_1_8b_bf16_16", testing::environment(), {}, options);
  std::set<std::pair<PlanChoice, bool>> kinds;  // one that surely fits may stand beside a faster one that may not
  for (const ReplayedPlan& plan : study.plans) {
    PlanChoice kind = plan.screened.choice;
    if (study.own && kind == study.own->screened.choice) continue;
    CHECK((kind.pipeline > 1 || kind.chunks == 1));
    kind.chunks = 1;
    kind.recompute = {};
    kind.context_exchange = ContextExchange::ring;
    kind.split = PlanChoice::Split::balanced;
    kind.sequence_parallel = kind.tensor_overlap = kind.overlap_gradients = kind.overlap_parameters = true;
    CHECK(kinds.insert({kind, plan.surely_fits()}).second);
  }
  CHECK(study.plans.size() > 3);
}

TEST_CASE("a file without a plan and a schedule leaves all of both open", "[plan]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", R"(title: "open"
model: "llama-3.1-8b"
cluster { node: "hgx-h100" nodes: 1 fabric: "single-switch" }
training { batch { sequences: 64 sequence_length: 4096 } }
)");
  PlanOptions options;
  options.replays = 2;
  const PlanStudy study = plan_study(file, testing::environment(), {}, options);
  CHECK_FALSE(study.plans.empty());
  CHECK_FALSE(study.own);
}

TEST_CASE("plan refuses what cannot be asked", "[plan]") {
  const auto fault = [](PlanOptions options, const char* name = "h100_llama_3_1_8b_bf16_16") {
    try {
      plan_study(name, testing::environment(), {}, options);
    } catch (const InputError& error) {
      return error.diagnostics().front();
    }
    FAIL("accepted");
    return Diagnostic{};
  };
  PlanOptions options;
  options.open.open = {"plan.tensors"};
  CHECK(fault(options).suggestion == "training.plan.tensor");
  options.open.open = {};
  options.where = {"training.peak_memory_byte < 1 GB"};
  CHECK(fault(options).field == "--where");
  options.where = {"training.plan.tensor < 2 and training.plan.tensor > 4"};
  CHECK(fault(options).field == "--where");
  options.where = {};
  options.open.allowed = {"schedule=2f2b"};
  CHECK(fault(options).suggestion == "");
  options.open.allowed = {};
  CHECK(fault(options, "llama_3_1_70b_serving_8_h100").field == "training");
}

TEST_CASE("plans are compared draw by draw: what both share is off by the same for both", "[plan]") {
  PlanOptions options;
  options.open.open = {"plan.tensor", "plan.data"};
  options.replays = 4;
  const PlanStudy study = plan_study("h100_llama_3_1_8b_bf16_16", testing::environment(), {}, options);
  REQUIRE(study.plans.size() > 1);
  const ReplayedPlan& best = study.plans.front();
  // Those that surely fit come first, of these the fastest.
  for (const ReplayedPlan& plan : study.plans) {
    CHECK(plan.memory_p90 > Bytes(0));
    if (plan.surely_fits()) CHECK((best.surely_fits() && best.step <= plan.step));
  }
  CHECK_THAT(to_text(study, TextStyle(false)), ContainsSubstring("of the draws of what"));
  CHECK(best.range.p5 < best.step.value());
  CHECK(best.range.p95 > best.step.value());
  CHECK(slower_share(best, best) == 0);
  for (std::size_t i = 1; i < study.plans.size(); ++i) {
    const ReplayedPlan& plan = study.plans[i];
    CAPTURE(i, best.step.value(), plan.step.value());
    // Ranges that overlap leave no doubt where what makes them wide is common to both.
    if (plan.step > 1.5 * best.step) CHECK(slower_share(plan, best) > 0.95);
    if (plan.step > best.step) CHECK(slower_share(plan, best) > 0.4);
    CHECK(slower_share(plan, best) + slower_share(best, plan) <= 1);
  }
  // Two plans 1 % apart: kernels of the same shapes are off by the same, others by what they scatter about their fit.
  ReplayedPlan close = best;
  close.step = best.step * 1.01;
  for (double& drawn : close.drawn) drawn *= 1.01;
  CHECK(slower_share(close, best) == 1);
  close.screened.choice.tensor = 2 * best.screened.choice.tensor;
  CHECK(best.shapes_log_sd > 0.005);
  CHECK(slower_share(close, best) > 0.5);
  CHECK(slower_share(close, best) < 0.9);
  CHECK_THAT(to_text(study, TextStyle(false)), ContainsSubstring("of the draws"));
}
