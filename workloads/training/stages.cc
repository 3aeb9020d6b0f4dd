#include "workloads/training/stages.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <tuple>
#include <utility>

namespace flopcast {

namespace {

/// Hands out whole layers one by one, each to the group that is cheapest with it: for equal layers this minimises the
/// slowest group. Inside a group the same rule evens out its stages. Of equals the one nearest the pipeline's end gets
/// it: fewer micro-batches are in flight there, so that splits that are limited by memory and those that are not agree.
std::vector<int> balanced_counts(const ModelConfig& model, int stages, const StageGroups& groups,
                                 const LayerCosts& costs, std::span<const int> most_layers) {
  std::vector<double> stage_cost(stages, 0.0);
  // Leading dense layers sit on the first stage; their difference to MoE layers is charged there.
  const int dense = model.moe.experts > 0 ? std::min(model.moe.first_dense_layers, model.layers / stages) : 0;
  stage_cost.front() += costs.embedding + dense * (costs.dense - costs.moe);
  stage_cost.back() += costs.head + costs.mtp;
  struct Group {
    const std::vector<int>* stages;
    bool full;
    double cost;
    int stage;  ///< that would get the next layer
    int place;  ///< among the groups
  };
  const auto cheaper = [](const Group& a, const Group& b) {
    if (a.full != b.full) return b.full;
    if (a.cost != b.cost) return a.cost < b.cost;
    return a.stage != b.stage ? a.stage > b.stage : a.place < b.place;
  };
  std::vector<int> count(stages, 0);
  const auto stage_full = [&](int s) { return !most_layers.empty() && count[s] >= most_layers[s]; };
  const auto state_of = [&](const std::vector<int>& group, int place) {
    double cost = 0;
    for (int s : group) cost += stage_cost[s];
    const int next = *std::min_element(group.begin(), group.end(), [&](int a, int b) {
      return std::tuple(stage_full(a), stage_cost[a], -a) < std::tuple(stage_full(b), stage_cost[b], -b);
    });
    return Group{&group, stage_full(next), cost, next, place};
  };
  // A heap, the cheapest first; one whose cost grew sinks from the top.
  std::vector<Group> states;
  for (const std::vector<int>& group : groups) states.push_back(state_of(group, static_cast<int>(states.size())));
  const auto dearer = [&](const Group& a, const Group& b) { return cheaper(b, a); };
  std::make_heap(states.begin(), states.end(), dearer);
  for (int layer = 0; layer < model.layers; ++layer) {
    const Group cheapest = states.front();
    ++count[cheapest.stage];
    stage_cost[cheapest.stage] += costs.moe;
    const Group grown = state_of(*cheapest.stages, cheapest.place);
    std::size_t at = 0;
    for (std::size_t child = 1; child < states.size(); child = 2 * at + 1) {
      if (child + 1 < states.size() && cheaper(states[child + 1], states[child])) ++child;
      if (!cheaper(states[child], grown)) break;
      states[at] = states[child];
      at = child;
    }
    states[at] = grown;
  }
  return count;
}

std::vector<int> even_counts(int layers, int stages) {
  std::vector<int> count(stages, layers / stages);
  for (int s = 0; s < layers % stages; ++s) ++count[s];
  return count;
}

/// Each stage takes layers until it has passed its share of the elements that multiply, the output head's among them
/// (huggingface/nanotron, src/nanotron/models/base.py, build_model).
std::vector<int> filled_counts(const ModelConfig& model, int stages) {
  const ParameterCount count = count_parameters(model);
  const auto of_layer = [&](int layer) {
    const double moe = count.shared_expert + model.moe.experts_per_token * count.expert;
    return count.attention_per_layer + (model.is_moe_layer(layer) ? moe : count.dense_ffn);
  };
  double all = static_cast<double>(model.vocabulary) * model.hidden;
  for (int layer = 0; layer < model.layers; ++layer) all += of_layer(layer);
  std::vector<int> result(stages, 0);
  double passed = 0;
  int stage = 0;
  for (int layer = 0; layer < model.layers; ++layer) {
    ++result[stage];
    passed += of_layer(layer);
    if (passed > all * (stage + 1) / stages && stage + 1 < stages) ++stage;
  }
  return result;
}

std::vector<StageContent> from_counts(const ModelConfig& model, const std::vector<int>& counts) {
  std::vector<StageContent> result(counts.size());
  int layer = 0;
  for (std::size_t s = 0; s < counts.size(); ++s) {
    result[s].first_layer = layer;
    for (int i = 0; i < counts[s]; ++i, ++layer) {
      (model.is_moe_layer(layer) ? result[s].moe_layers : result[s].dense_layers) += 1;
    }
  }
  return result;
}

std::vector<StageContent> fractional(const ModelConfig& model, int stages) {
  StageContent share;
  share.moe_layers = static_cast<double>(model.moe_layers()) / stages;
  share.dense_layers = static_cast<double>(model.dense_layers()) / stages;
  std::vector<StageContent> result(stages, share);
  for (int s = 0; s < stages; ++s) result[s].first_layer = model.layers * s / stages;
  return result;
}

}  // namespace

int local_experts(const TrainingConfig& config) {
  const int slots = config.model.moe.experts + config.expert_load.redundant_experts;
  return config.model.moe.experts == 0 ? 0 : (slots + config.plan.expert - 1) / config.plan.expert;
}

StageParameters stage_parameters(const TrainingConfig& config, const StageContent& stage) {
  return stage_parameters_of(config, count_parameters(config.model), stage);
}

StageParameters stage_parameters_of(const TrainingConfig& config, const ParameterCount& count,
                                    const StageContent& stage) {
  const ModelConfig& model = config.model;
  const double tensor = config.plan.tensor;
  const auto layers = [&](double dense, double moe) {
    StageParameters e;
    e.replicated = (dense + moe) * (count.attention_per_layer / tensor + count.norms_per_layer) +
                   dense * count.dense_ffn / tensor + moe * (count.shared_expert / tensor + count.router);
    e.expert = moe * count.expert * local_experts(config) / config.plan.expert_tensor;
    return e;
  };
  StageParameters e = layers(stage.dense_layers, stage.moe_layers);
  const double table = config.software.whole_embedding ? 1 : tensor;
  if (stage.embedding) e.replicated += count.embedding / table + static_cast<double>(model.further_parameters) / tensor;
  // Of tied embeddings, the last of several stages holds a copy.
  if (stage.head)
    e.replicated += model.tied_embeddings && !stage.embedding ? count.embedding / table : count.head / tensor;
  const bool moe = model.mtp_has_experts();
  for (int m = 0; m < static_cast<int>(stage.mtp_modules); ++m) {
    e += layers(moe ? 0 : 1, moe ? 1 : 0);
    e.replicated += 2.0 * model.hidden * model.hidden;  // the projection; embedding and head are shared
  }
  return e;
}

StageParameters trained_parameters(const TrainingConfig& config, const StageContent& stage) {
  return trained_parameters_of(config, config.adapter_rank == 0 ? count_parameters(config.model) : ParameterCount(),
                               stage);
}

StageParameters trained_parameters_of(const TrainingConfig& config, const ParameterCount& count,
                                      const StageContent& stage) {
  if (config.adapter_rank == 0) return stage_parameters_of(config, count, stage);
  const ModelConfig& model = config.model;
  const AttentionConfig& a = model.attention;
  const double h = model.hidden, gate = model.gated_ffn ? 2 : 1;
  const double query = static_cast<double>(a.heads) * a.qk_dim(), out = static_cast<double>(a.heads) * a.value_dim();
  const double keys = static_cast<double>(a.kv_heads) * (a.qk_dim() + a.value_dim());
  // A matrix of k rows and n columns has an adapter of rank (k + n) elements.
  const auto ffn = [&](double width) { return width > 0 ? h + gate * width + width + h : 0.0; };
  const AdapterTargets targets = config.adapter_targets;
  const bool beside_ffn = targets == AdapterTargets::all || targets == AdapterTargets::ffn;
  const double attention = (targets != AdapterTargets::ffn ? h + query + keys : 0) +
                           (targets == AdapterTargets::all || targets == AdapterTargets::attention ? out + h : 0);
  const double dense = attention + (beside_ffn ? ffn(model.mean_ffn_width()) : 0);
  const double moe = attention + (beside_ffn && model.moe.experts > 0 ? ffn(model.moe.width_of_shared()) : 0);
  StageParameters e;
  e.replicated = config.adapter_rank * (stage.dense_layers * dense + stage.moe_layers * moe) / config.plan.tensor;
  return e;
}

StageGroups stage_groups(const Schedule& schedule) {
  StageGroups groups;
  for (std::vector<int> stages : schedule.stage_of) {
    std::sort(stages.begin(), stages.end());
    if (std::find(groups.begin(), groups.end(), stages) == groups.end()) groups.push_back(std::move(stages));
  }
  return groups;
}

CountedEnds counted_ends(const ParallelPlan& plan) {
  const bool both = plan.layer_split == "even_with_both";
  return {both || plan.layer_split == "even_with_embedding", both || plan.layer_split == "even_with_head"};
}

std::vector<StageContent> split_layers(const TrainingConfig& config, int stages, bool pairs, const LayerCosts& costs,
                                       std::span<const int> most_layers) {
  assert(stages >= 1 && (!pairs || stages % 2 == 0));
  StageGroups groups;
  for (int s = 0; s < (pairs ? stages / 2 : stages); ++s) {
    groups.push_back(pairs ? std::vector<int>{s, stages - 1 - s} : std::vector<int>{s});
  }
  return split_layers(config, stages, groups, costs, most_layers);
}

std::vector<StageContent> split_layers(const TrainingConfig& config, int stages, const StageGroups& groups,
                                       const LayerCosts& costs, std::span<const int> most_layers) {
  assert(stages >= 1);
  const ModelConfig& model = config.model;
  std::vector<StageContent> result;
  if (!config.plan.stage_layers.empty()) {
    assert(static_cast<int>(config.plan.stage_layers.size()) == stages);
    assert(std::accumulate(config.plan.stage_layers.begin(), config.plan.stage_layers.end(), 0) == model.layers);
    result = from_counts(model, config.plan.stage_layers);
  } else if (config.plan.layer_split == "fractional") {
    result = fractional(model, stages);
  } else if (config.plan.layer_split == "filled") {
    result = from_counts(model, filled_counts(model, stages));
  } else if (const CountedEnds ends = counted_ends(config.plan);
             ends.count() > 0 || config.plan.layer_split == "even") {
    std::vector<int> counts = even_counts(model.layers + ends.count(), stages);
    counts.front() -= int{ends.embedding};
    counts.back() -= int{ends.head};
    result = from_counts(model, counts);
  } else {
    result = from_counts(model, balanced_counts(model, stages, groups, costs, most_layers));
  }
  if (config.mechanisms.embedding_head_mtp) {
    result.front().embedding = true;
    result.back().head = true;
    if (config.with_mtp) result.back().mtp_modules = model.mtp_depth;
  }
  return result;
}

}  // namespace flopcast
