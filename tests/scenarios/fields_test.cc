// Do the descriptions of structs and the schema of files say the same?
#include <algorithm>
#include <set>

#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/fields/load_fields.h"
#include "tests/scenarios/described_structs.h"
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

namespace pb = google::protobuf;

/// What is compared of a struct and the message it is loaded from.
struct Comparison {
  std::vector<std::string> unknown;    ///< described, and the schema does not have it
  std::vector<std::string> forgotten;  ///< in the schema, and no struct knows it
  std::vector<std::string> words;      ///< allowed by the schema, and the program has no value for it
};

void compare_fields(const std::vector<testing::DescribedField>& fields, const pb::Descriptor& schema,
                    std::set<std::string>& described, Comparison& out) {
  for (const testing::DescribedField& row : fields) {
    if (row.name.empty()) {
      compare_fields(row.inner, schema, described, out);
      continue;
    }
    const std::string name(row.name);
    described.insert(name);
    const auto* field = schema.FindFieldByName(name);
    if (!field) {
      if (!row.resolved) out.unknown.push_back(name);
      continue;
    }
    const proto::Rule& rule = field->options().GetExtension(proto::rule);
    for (const std::string& word : rule.one_of()) {
      if (!row.words.empty() && std::find(row.words.begin(), row.words.end(), word) == row.words.end())
        out.words.push_back(name + " " + word);
    }
    if (!row.on.empty() && std::count(rule.one_of().begin(), rule.one_of().end(), std::string(row.on)) != 1)
      out.words.push_back(name + " " + std::string(row.on));
  }
}

void check_fields_of(const std::vector<testing::DescribedField>& fields, const pb::Descriptor* schema,
                     const std::set<std::string>& elsewhere) {
  INFO(schema->full_name());
  Comparison out;
  std::set<std::string> described;
  compare_fields(fields, *schema, described, out);
  for (int i = 0; i < schema->field_count(); ++i) {
    const std::string& name = schema->field(i)->name();
    if (!described.contains(name) && !elsewhere.contains(name)) out.forgotten.push_back(name);
    CHECK_FALSE((described.contains(name) && elsewhere.contains(name)));
  }
  CHECK(out.unknown == std::vector<std::string>{});
  CHECK(out.forgotten == std::vector<std::string>{});
  CHECK(out.words == std::vector<std::string>{});
}

/// @param elsewhere fields of the message that another part of the program reads.
template <class T>
void check_pair(const pb::Descriptor* schema, const std::set<std::string>& elsewhere = {}) {
  check_fields_of(testing::described_fields<T>(), schema, elsewhere);
}

TEST_CASE("every field of the schema belongs to a struct, and every field of a struct is in the schema") {
  check_pair<ParallelPlan>(proto::Plan::descriptor());
  check_pair<BatchConfig>(proto::Batch::descriptor());
  check_pair<PrecisionPlan>(proto::Precision::descriptor());
  check_pair<RecomputePlan>(proto::Recompute::descriptor());
  check_pair<OffloadPlan>(proto::Offload::descriptor());
  check_pair<ExpertLoad>(proto::ExpertLoad::descriptor());
  check_pair<Mechanisms>(proto::Mechanisms::descriptor());
  check_pair<TrainingConfig>(proto::Training::descriptor());
  check_pair<CollectiveConfig>(proto::Collective::descriptor());
  check_pair<TrainingPhase>(proto::Phase::descriptor());
  check_pair<ClusterLifeConfig>(proto::ClusterLife::descriptor());
  // A size over a rate is a time to write and read: load_resilience.cc.
  check_pair<ResilienceConfig>(proto::Resilience::descriptor(),
                               {"checkpoint_size", "storage_bandwidth", "node_storage_bandwidth"});
  check_pair<Scenario::Published>(proto::Published::descriptor());
  // Looked up, and held against the GPU: resolver.cc.
  check_pair<Scenario>(proto::Scenario::descriptor(), {"model", "model_override", "under_rule"});

  // What rules and prices look at is read from the message itself (scenarios/policy/chip.cc, analysis/money/).
  check_pair<GpuSpec>(
      proto::Gpu::descriptor(),
      {"int8_peak", "fp6_peak", "tf32_peak", "fp64_peak", "memory_type", "scale_up", "die_area", "process", "price",
       "tpp", "datacenter_marketed", "unknown", "alias", "scale", "transistors", "memory_area"});
  check_pair<NodeSpec>(proto::Node::descriptor(), {"base", "scale"});
  check_pair<FabricSpec>(proto::Fabric::descriptor(), {"base", "scale"});
  check_pair<SlowPart>(proto::SlowPart::descriptor(), {"gpu", "nic", "nvlink"});
  check_pair<ClusterSpec>(proto::Cluster::descriptor(),
                          {"base", "gpu_override", "node_override", "fabric_override", "sources"});
  check_pair<WindowConfig>(proto::Window::descriptor());
  check_pair<IndexerConfig>(proto::Indexer::descriptor());
  check_pair<StateLayersConfig>(proto::StateLayers::descriptor());
  check_pair<AttentionConfig>(proto::Attention::descriptor());
  check_pair<MoeConfig>(proto::MixtureOfExperts::descriptor());
  check_pair<ModelConfig>(proto::Model::descriptor(), {"base"});

  // Pools, and what is said once of all of them: load_serving.cc.
  check_pair<ServingScenario>(proto::Serving::descriptor(),
                              {"replicas", "prefill", "decode", "prefix_cache", "speculation", "autoscale"});
  check_pair<EngineHost>(proto::HostTimes::descriptor());
  check_pair<PoolSpec>(proto::Replicas::descriptor());
  check_pair<PrefixCacheConfig>(proto::PrefixCache::descriptor());
  check_pair<SpeculationConfig>(proto::Speculation::descriptor(), {"model"});
  check_pair<ExpertPaceConfig>(proto::ExpertSkew::descriptor());
  check_pair<FailureConfig>(proto::ReplicaFailures::descriptor());
  check_pair<AutoscaleConfig>(proto::Autoscale::descriptor());
  check_pair<TokenPriceTable>(proto::TokenPrices::descriptor());
  check_pair<ServiceLevel>(proto::Promise::descriptor());

  // `training` stands beside it, drafts are the engine's: load_rl.cc.
  check_pair<RlScenario>(proto::Rl::descriptor(), {"speculation"});
  check_pair<TokenLengths>(proto::TokenLengths::descriptor());
  check_pair<AsynchronyConfig>(proto::Asynchrony::descriptor());
  check_pair<RewardConfig>(proto::Reward::descriptor());
  check_pair<ToolConfig>(proto::Tools::descriptor());
  check_pair<SyncConfig>(proto::WeightSync::descriptor());
  check_pair<HandoverConfig>(proto::Handover::descriptor());
  check_pair<RlRunConfig>(proto::RlRun::descriptor());
  check_pair<GrowthPoint>(proto::GrowthPoint::descriptor());

  check_pair<PriceConfig>(proto::Price::descriptor());
  check_pair<RentalConfig>(proto::RentalTerms::descriptor());
  check_pair<OwnedConfig>(proto::OwnedTerms::descriptor());
  check_pair<AmortisedConfig>(proto::AmortisedTerms::descriptor());
  check_pair<SiteConfig>(proto::Site::descriptor());
  check_pair<Spending>(proto::Spending::descriptor());
  check_pair<StaffConfig>(proto::Staff::descriptor());
  check_pair<ProgrammeConfig>(proto::Programme::descriptor());
  check_pair<GivenServiceConfig>(proto::GivenService::descriptor());
  check_pair<MarketConfig>(proto::Market::descriptor());
  // A distribution is one of several messages: load_money.cc.
  check_pair<UncertainConfig>(proto::Uncertain::descriptor(),
                              {"normal", "log_normal", "triangular", "uniform", "empirical"});
  check_pair<CorrelatedConfig>(proto::Correlated::descriptor());
  check_pair<UncertaintyConfig>(proto::Uncertainty::descriptor());
}

void check_named_once(const std::vector<testing::DescribedField>& fields) {
  std::set<std::string> names;
  for (const testing::DescribedField& field : fields) {
    if (field.name.empty()) continue;
    INFO(field.name);
    CHECK(names.insert(std::string(field.name) + " " + std::string(field.shown)).second);
  }
}

TEST_CASE("a description names each member once") {
  testing::for_each_described([](auto part) { check_named_once(testing::described_fields<decltype(part)>()); });
}

TEST_CASE("a field is loaded from the text of the file into the member of its name") {
  const Scenario s = load_text(
      replaced(kSmall, "plan {", "attention_kernel: \"flash2\" plan { context_exchange: \"all_gather\""),
      {"training.plan.tensor_overlap=false", "training.precision.linear=fp8", "training.precision.scaling=blocks",
       "training.expert_load.kind=skewed", "training.expert_load.coefficient_of_variation=0.25"});
  const TrainingConfig& t = *s.training;
  CHECK(t.plan.context_exchange == ContextExchange::all_gather);
  CHECK_FALSE(t.plan.tensor_overlap);
  CHECK(t.attention_kernel == AttentionKernel::flash2);
  CHECK(t.precision.linear == Precision::fp8);
  CHECK(t.precision.scaling == Scaling::blocks);
  CHECK(t.expert_load.kind == ExpertLoad::Kind::skewed);
  CHECK_FALSE(t.mechanisms.gpu_speed_spread.has_value());
  CHECK(s.price.gpu.value() == Approx(2.0 / 3600));
}

TEST_CASE("equal files give equal scenarios, and a changed field another") {
  CHECK(load_text(kSmall).training == load_text(kSmall).training);
  CHECK(load_text(kSmall).cluster == load_text(kSmall).cluster);
  CHECK_FALSE(load_text(kSmall).training == load_text(kSmall, {"training.plan.tensor_overlap=false"}).training);
}

}  // namespace
}  // namespace flopcast::test
