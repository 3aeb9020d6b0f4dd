#include "analysis/runs/rl/rl_machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/text/format.h"
#include "analysis/runs/training/run.h"
#include "hwmodels/fabric/fabric_graph.h"
#include "hwmodels/fabric/node_count.h"
#include "sim/base/diagnostic.h"
#include "workloads/model/weights.h"
#include "workloads/rl/loop.h"
#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/session/session.h"

namespace flopcast {
namespace {

ClusterSpec cut_to(ClusterSpec cluster, int nodes) {
  cluster.nodes = std::max(1, std::min(cluster.nodes, nodes));
  return cluster;
}

const ClusterSpec& engine_cluster(const Scenario& scenario) { return scenario.rl->engine_cluster(scenario.cluster); }

/// The models that are frozen, or trained beside the policy, are the policy's size unless they have a name.
const ModelConfig& or_policy(const ModelConfig& model, const ModelConfig& policy) {
  return model.name.empty() ? policy : model;
}

/// The critic is trained on the trainer's GPUs, after the policy.
bool critic_beside(const RlScenario& rl) { return rl.loop.algorithm->critic && rl.loop.critic.gpus == 0; }

/// Mean length of the sequence, prompt and answer, that a token is in.
double sequence_token_mean(const RlConfig& config) {
  const LengthCurve prompt(config.prompt), answer(config.answer);
  // What tools add stands beside the prompt.
  const double given = config.tools.mean_tokens(), p = prompt.mean() + given, a = answer.mean();
  const double prompt_squares = prompt.mean() * (prompt.token_mean() + 2 * given) + given * given;
  const double squares = prompt_squares + 2 * p * a + a * answer.token_mean();
  return squares / (p + a);
}

}  // namespace

RlMachine::RlMachine(const Scenario& scenario, const ReplayOptions& replay) : scenario_(scenario), replay_(replay) {
  if (rl().trains())
    trainer_topology_ =
        std::make_unique<Topology>(cut_to(scenario.cluster, nodes_for(rl().trainer_gpus(), scenario.cluster.node)));
  if (const int frozen = rl().loop.frozen.replica_gpus(); rl().loop.frozen.gpus > 0)
    frozen_topology_ = std::make_unique<Topology>(cut_to(scenario.cluster, nodes_for(frozen, scenario.cluster.node)));
  if (const int critic = rl().loop.critic.gpus; critic > 0)
    critic_topology_ = std::make_unique<Topology>(cut_to(scenario.cluster, nodes_for(critic, scenario.cluster.node)));
  if (!rl().generates()) return;
  PriceSources sources;
  sources.cluster = cut_to(engine_cluster(scenario), nodes_for(rl().engine_gpus(), engine_cluster(scenario).node));
  sources.kernels = engine_kernels(rl().rollout.engine, sources.cluster.node.gpu, scenario.kernels);
  sources.links = scenario.links;
  sources.constants = rl().constants;
  PoolSpec rollout = rl().rollout;
  if (rl().loop.token_time > Seconds(0)) {
    std::optional<Seconds>& sequence = rollout.engine.host.sequence;
    sequence = sequence.value_or(Seconds(sources.constants->sequence_us.value * 1e-6)) + rl().loop.token_time;
  }
  engine_ = build_pool(rollout, sources, 0);
}

TrainerSetting RlMachine::setting(const ModelConfig& model, const MicroBatchShape& shape) {
  TrainerSetting out;
  out.config = rl().update;
  out.config.model = model;
  if (model.moe.experts == 0) out.config.plan.expert = out.config.plan.expert_tensor = 1;
  if (!(model == rl().update.model)) {
    out.config.plan.stage_layers.clear();
    out.config.expert_load = {};
  }
  out.shape = shape;
  out.topology = trainer_topology_.get();
  auto& kernels = kernels_[number_of(model)];
  if (!kernels) kernels = std::make_unique<KernelModel>(training_kernels(scenario_, out.config));
  out.kernels = kernels.get();
  out.links = scenario_.links.get();
  out.replay = replay_;
  return out;
}

TrainerSetting RlMachine::frozen_setting(const ModelConfig& model, const MicroBatchShape& shape) {
  TrainerSetting out = setting(model, shape);
  const OwnGpus& pool = rl().loop.frozen;
  ParallelPlan plan;
  plan.tensor = pool.tensor;
  plan.pipeline = pool.pipeline;
  plan.expert_tensor = model.moe.experts > 0 ? pool.tensor : 1;
  plan.zero_stage = 0;
  plan.sequence_parallel = pool.tensor > 1;
  plan.dispatcher = ExpertDispatcher::all_to_all;
  out.config.plan = plan;
  out.config.expert_load = {};
  out.config.schedule = "1f1b";
  out.topology = frozen_topology_.get();
  return out;
}

TrainerSetting RlMachine::critic_setting(const MicroBatchShape& shape) {
  TrainerSetting out = setting(critic_model(), shape);
  const OwnGpus& pool = rl().loop.critic;
  ParallelPlan& plan = out.config.plan;
  plan.tensor = pool.tensor;
  plan.pipeline = pool.pipeline;
  plan.data = pool.replicas();
  plan.context = plan.chunks = 1;
  plan.shard_group = 0;
  plan.stage_layers.clear();
  plan.sequence_parallel = pool.tensor > 1;
  out.config.schedule = "1f1b";
  out.topology = critic_topology_.get();
  return out;
}

std::vector<RlMachine::FrozenModel> RlMachine::frozen_models(const RlConfig& config) const {
  std::vector<FrozenModel> out;
  const ModelConfig& policy = rl().update.model;
  if (config.algorithm->trains && config.with_reference()) out.push_back({"reference model", &reference_model()});
  if (config.algorithm->trains && config.algorithm->teacher) out.push_back({"teacher", &config.teacher});
  if (config.with_reward_model()) out.push_back({"reward model", &or_policy(config.reward.model, policy)});
  return out;
}

/// One model after the other reads an answer.
FrozenReads RlMachine::frozen_reads(const RlConfig& config, const MicroBatchShape& shape) {
  FrozenReads out;
  out.replicas = config.frozen.gpus / config.frozen.replica_gpus();
  for (const auto& [role, model] : frozen_models(config)) {
    const auto [known, fresh] =
        frozen_lines_.try_emplace(std::make_tuple(number_of(*model), shape.sequence_length, shape.sequences));
    if (fresh) known->second = forward_line(frozen_setting(*model, shape), 2.0 * config.frozen.pipeline + 1);
    out.models.fixed += known->second.fixed;
    out.models.per_micro_batch += known->second.per_micro_batch;
  }
  return out;
}

const PassLine& RlMachine::line(const ModelConfig& model, bool update, const MicroBatchShape& shape,
                                double micro_batches) {
  const TrainerSetting of = setting(model, shape);
  const int about = std::min(static_cast<int>(micro_batches), 2 * of.config.plan.pipeline + 1);
  const auto key = std::make_tuple(number_of(model), update, shape.sequence_length, shape.sequences, about);
  const auto found = lines_.find(key);
  if (found != lines_.end()) return found->second;
  return lines_[key] = update ? update_line(of, micro_batches) : forward_line(of, micro_batches);
}

TrainerPrices RlMachine::trainer_prices(const RlConfig& config) {
  TrainerPrices out;
  if (!rl().trains()) return out;
  const ModelConfig& policy = rl().update.model;
  const AlgorithmRow& row = *config.algorithm;
  out.shape = micro_batch_shape(rl().update, config.packing, sequence_token_mean(config));
  out.replicas = rl().update.plan.data;
  const double tokens = config.prompt.mean + config.tools.mean_tokens() + config.answer.mean;
  const bool padded = config.packing == AnswerPacking::padded;
  const double each = padded ? 1.0 / out.shape.sequences : tokens / out.shape.tokens();
  const double all = static_cast<double>(config.answers()) * each / out.replicas;
  const double part = all / rl().updates();
  const auto forward = [&](const ModelConfig& model) { return line(model, false, out.shape, all); };
  if (row.trains) {
    out.update = line(policy, true, out.shape, part);
    if (config.with_old_log_probs()) out.forward = forward(policy);
    const bool apart = config.frozen.gpus > 0;
    if (config.with_reference() && !apart) out.reference_forward = forward(reference_model());
    if (row.critic && config.critic.gpus > 0) {
      const TrainerSetting of = critic_setting(out.shape);
      const double of_one = static_cast<double>(config.answers()) * each / config.critic.replicas();
      out.critic_update = update_line(of, of_one / rl().updates());
      out.critic_forward = forward_line(of, of_one);
    } else if (row.critic) {
      out.critic_update = line(critic_model(), true, out.shape, part);
      out.critic_forward = forward(critic_model());
    }
    if (row.teacher && !apart) out.teacher_forward = forward(config.teacher);
  }
  if (config.with_reward_model() && config.frozen.gpus == 0)
    out.reward_forward = forward(or_policy(config.reward.model, policy));
  out.held_up = held_up(out.shape, row.trains ? part : all);
  return out;
}

/// A pass takes as long as its slowest part lets it: a GPU that runs at `speed` computes for 1 / speed of what the pass
/// would take on GPUs and links that are as their data sheets say.
double RlMachine::held_up(const MicroBatchShape& shape, double micro_batches) {
  const int gpus = rl().trainer_gpus();
  std::vector<double> speeds(static_cast<std::size_t>(gpus), 1.0);
  bool slow = false;
  for (const SlowPart& part : scenario_.cluster.slow_parts) {
    if (part.rank >= gpus) continue;
    slow = true;
    double& speed = speeds[static_cast<std::size_t>(part.rank)];
    if (part.kind == SlowPart::Kind::gpu) speed = std::min(speed, part.speed);
  }
  if (!slow) return 0;
  ClusterSpec as_they_should_be = trainer_topology_->cluster();
  as_they_should_be.slow_parts.clear();
  Topology topology(as_they_should_be);
  const TrainerSetting as_is = setting(rl().update.model, shape);
  TrainerSetting even = as_is;
  even.topology = &topology;
  const auto time = [&](const TrainerSetting& of) {
    const bool update = rl().loop.algorithm->trains;
    return (update ? update_line(of, micro_batches) : forward_line(of, micro_batches)).at(micro_batches);
  };
  const double share = std::min(1.0, time(even) / time(as_is));
  double waits = 0;
  for (const double speed : speeds) waits += 1 - std::min(1.0, share / speed);
  return waits / gpus;
}

std::size_t RlMachine::number_of(const ModelConfig& model) {
  const auto known = std::find(models_.begin(), models_.end(), model);
  if (known == models_.end()) {
    models_.push_back(model);
    return models_.size() - 1;
  }
  return static_cast<std::size_t>(known - models_.begin());
}

const ModelConfig& RlMachine::critic_model() const { return or_policy(rl().loop.critic_model, rl().update.model); }

const ModelConfig& RlMachine::reference_model() const {
  return or_policy(rl().loop.reference_model, rl().update.model);
}

const MemoryTable& RlMachine::update_memory_of(const ModelConfig& model) {
  const std::size_t number = number_of(model);
  const auto known = update_memory_.find(number);
  if (known != update_memory_.end()) return known->second;
  return update_memory_.emplace(number, update_memory(setting(model, {}))).first->second;
}

Bytes RlMachine::held(const ModelConfig& model, const char* item) {
  Bytes sum;
  for (const MemoryRow& row : update_memory_of(model).rows) {
    if (row.item == item) sum += row.bytes;
  }
  return sum;
}

/// BF16, spread over the trainer's GPUs as its plan spreads a model.
Bytes RlMachine::frozen_per_gpu(const ModelConfig& model) const {
  ParallelPlan plan = rl().update.plan;
  if (const OwnGpus& pool = rl().loop.frozen; pool.gpus > 0) {
    plan = ParallelPlan{};
    plan.tensor = plan.expert_tensor = pool.tensor;
    plan.pipeline = pool.pipeline;
  }
  const WeightBytes weights = weight_bytes(model, formats_of(Precision::bf16));
  const double over_layers = static_cast<double>(plan.pipeline);
  if (plan.zero_stage >= 3) return weights.total() / static_cast<double>(plan.gpus());
  const double experts = model.moe.experts > 0 ? plan.expert * plan.expert_tensor : 1;
  return weights.others / (over_layers * plan.tensor) + weights.experts / (over_layers * experts);
}

const SyncCost& RlMachine::sync() {
  if (sync_) return *sync_;
  if (!rl().loop.algorithm->trains || !rl().generates()) return sync_.emplace();
  const ClusterSpec& engine = engine_cluster(scenario_);
  const int trainer_nodes = nodes_for(rl().trainer_gpus(), scenario_.cluster.node);
  SyncRequest request;
  request.sync = rl().loop.sync;
  request.placement = rl().loop.placement;
  request.trainer = rl().update;
  request.engine = rl().rollout.engine;
  // Replicas on the trainer's own GPUs are no further from it than the others.
  request.replicas = rl().rollout.replicas - rl().loop.overlap;
  ClusterSpec all = scenario_.cluster;
  if (rl().rollout_cluster) {
    // Both clusters hang on one fabric; the slower NIC counts.
    request.first_engine_gpu = trainer_nodes * all.node.gpus;
    request.engine_port = engine.node.nics_of_gpu();
    all.nodes = trainer_nodes + nodes_for(rl().engine_gpus(), all.node);
    all.slow_parts.clear();
  } else {
    request.first_engine_gpu = rl().separate() ? rl().trainer_gpus() : 0;
    all = cut_to(all, nodes_for(rl().working_gpus(), all.node));
  }
  Topology topology(all);
  return sync_.emplace(weight_sync_cost(request, topology, *scenario_.links, replay_));
}

Seconds RlMachine::reference_copy() const {
  const RlConfig& config = rl().loop;
  if (!config.algorithm->trains || !config.with_reference()) return Seconds(0);
  const NodeSpec& node = scenario_.cluster.node;
  const GpuSpec& gpu = node.gpu;
  const Bytes weights = frozen_per_gpu(rl().update.model);
  // Over the NIC of a GPU that holds a part of it.
  if (config.frozen.gpus > 0) return weights / endpoint_bandwidth(scenario_.cluster);
  if (!config.handover.reference) return 2 * weights / gpu.hbm_bandwidth;  // read and written
  return gpu.pcie_bandwidth > BytesPerSecond(0) ? weights / gpu.pcie_bandwidth : Seconds(0);
}

RlPrices RlMachine::prices(const RlConfig& config) {
  RlPrices out;
  out.trainer = trainer_prices(config);
  out.sync = sync().total();
  const bool shared = (!rl().separate() || rl().loop.overlap > 0) && rl().trains() && rl().generates();
  const BytesPerSecond pcie = scenario_.cluster.node.gpu.pcie_bandwidth;
  const auto copy = [&](Bytes bytes) { return pcie > BytesPerSecond(0) ? bytes / pcie : Seconds(0); };
  if (shared) {
    Bytes states, parameters;  // gradients are made anew
    std::vector<const ModelConfig*> models{&rl().update.model};
    if (critic_beside(rl())) models.push_back(&critic_model());
    for (const ModelConfig* model : models) {
      if (config.handover.optimizer) states += held(*model, "optimiser states");
      if (config.handover.parameters) parameters += held(*model, "parameters");
    }
    out.to_training = copy(states + parameters);
    const Seconds leaves =
        std::max(copy(states), pcie > BytesPerSecond(0) ? states / config.handover.copy_rate : Seconds(0));
    out.to_generation = leaves + copy(parameters) + (config.handover.engine ? config.handover.wake : Seconds(0));
  }
  if (config.critic.gpus > 0) out.critic_copies = config.critic.replicas();
  out.reference_copy = reference_copy();
  if (config.frozen.gpus > 0) {
    out.frozen = frozen_reads(config, out.trainer.shape);
  } else if (config.handover.reference && rl().trains()) {
    const auto swap = [&](const ModelConfig& model) { return 2 * copy(frozen_per_gpu(model)); };
    if (config.with_reference()) out.reference_swap = swap(reference_model());
    if (config.algorithm->teacher) out.teacher_swap = swap(config.teacher);
    if (config.with_reward_model()) out.reward_model_swap = swap(or_policy(config.reward.model, rl().update.model));
  }
  return out;
}

std::unique_ptr<ServingSession> RlMachine::session(std::uint64_t seed) {
  SessionConfig config;
  config.pools.push_back(engine_->config);
  config.levels = {ServiceLevel{}};
  config.seed = seed;
  return std::make_unique<ServingSession>(std::move(config), std::vector<PoolPricers>{engine_->prices()}, nullptr,
                                          nullptr);
}

RlMachine::Loop RlMachine::run(const RlConfig& config, const std::array<bool, kRlParts>& free,
                               const std::function<bool(std::int64_t)>& keep_going) {
  RlPrices all = prices(config);
  all.free = free;
  Loop out;
  out.prices = all.trainer;
  const std::unique_ptr<ServingSession> engine = rl().generates() ? session(config.seed) : nullptr;
  const int replicas = rl().generates() ? rl().rollout.replicas : 0;
  const int blocks = rl().generates() && rl().rollout.prefix.on ? rl().rollout.prefix.block_tokens : 0;
  RlLoop loop(config, rl().updates(), std::move(all), engine.get(), replicas, blocks);
  out.outcome = loop.run(keep_going);
  return out;
}

Seconds RlMachine::write_answers(const RlConfig& config, int answers) {
  RlConfig alone = config;
  alone.algorithm = find_algorithm("rejection_sampling");
  alone.prompts = answers;
  alone.group = 1;
  alone.asynchrony = {};
  alone.overlap = 0;
  alone.replayed_steps = 1;
  RlPrices none;
  const std::unique_ptr<ServingSession> engine = session(config.seed);
  RlLoop loop(alone, 1, none, engine.get(), rl().rollout.replicas, rl().rollout.prefix.block_tokens);
  return loop.run().steps.front().length();
}

// Memory.

namespace {

/// Elements of all adapters.
double trained_elements(const TrainingConfig& update) {
  StageContent whole;
  whole.dense_layers = update.model.dense_layers();
  whole.moe_layers = update.model.moe_layers();
  return trained_parameters(update, whole).replicated * update.plan.tensor;
}

}  // namespace

ModelStates RlMachine::states() const {
  ModelStates out;
  const RlConfig& config = rl().loop;
  const auto frozen = [](const ModelConfig& model) { return weight_bytes(model, formats_of(Precision::bf16)).total(); };
  if (config.algorithm->trains) {
    const PrecisionPlan& p = rl().update.precision;
    const double each = bytes_per_element(p.parameters) + bytes_per_element(p.gradients) + bytes_per_element(p.master) +
                        2 * bytes_per_element(p.moments);
    const double all = count_parameters(rl().update.model).total;
    const double trained = rl().update.adapter_rank > 0 ? trained_elements(rl().update) : all;
    out.policy = Bytes(all * bytes_per_element(p.parameters) + trained * (each - bytes_per_element(p.parameters)));
    if (trained < all) out.policy += Bytes(trained * bytes_per_element(p.parameters));  // adapters beside the matrices
    if (config.algorithm->critic) out.critic = Bytes(count_parameters(critic_model()).total * each);
    if (config.with_reference()) out.reference = frozen(reference_model());
    if (config.algorithm->teacher) out.teacher = frozen(config.teacher);
  }
  if (config.with_reward_model()) out.reward = frozen(or_policy(config.reward.model, rl().update.model));
  return out;
}

std::vector<PhaseMemory> RlMachine::memory() {
  std::vector<PhaseMemory> out;
  const RlConfig& config = rl().loop;
  const bool shared = (!rl().separate() || rl().loop.overlap > 0) && rl().trains() && rl().generates();
  const GpuSpec& gpu = scenario_.cluster.node.gpu;
  const auto row = [](PhaseMemory& phase, std::string item, Bytes bytes, std::string detail) {
    if (bytes > Bytes(0)) phase.table.rows.push_back({std::move(item), bytes, std::move(detail)});
  };
  Bytes states;             // of the trainer, that stay while the engine works
  Bytes states_of_trainer;  // that has GPUs of its own
  const bool frozen_here = config.frozen.gpus == 0, frozen_stays = frozen_here && !config.handover.reference;
  if (config.algorithm->trains) {
    PhaseMemory update;
    update.phase = "update";
    const ModelConfig& policy = rl().update.model;
    update.table = update_memory_of(policy);
    update.capacity = gpu.hbm_usable();
    std::vector<const ModelConfig*> models{&policy};
    if (critic_beside(rl())) {
      const ModelConfig& critic = critic_model();
      models.push_back(&critic);
      // A critic that is larger than the policy fills the GPU when its own turn comes.
      const bool larger = update_memory_of(critic).total() > update.table.total();
      if (larger) update.table = update_memory_of(critic);
      const std::string of = larger ? "policy's" : "critic's";
      const ModelConfig& beside = larger ? policy : critic;
      const auto other = [&](bool offloaded, const char* item) {
        return shared && offloaded ? Bytes(0) : held(beside, item);
      };
      // Beside the model that is updated; its gradients are made anew.
      row(update, of + " parameters", other(config.handover.parameters, "parameters"), "");
      row(update, of + " optimiser states", other(config.handover.optimizer, "optimiser states"), "");
    }
    if (frozen_stays)
      for (const auto& [role, model] : frozen_models(config))
        row(update, role, frozen_per_gpu(*model), "BF16, not offloaded");
    if (shared && !config.handover.engine)
      row(update, "engine", engine_->memory.usable, "weights and cache, not given up");
    out.push_back(std::move(update));
    for (const ModelConfig* model : models) {
      states_of_trainer += held(*model, "parameters") + held(*model, "optimiser states");
      if (!config.handover.parameters) states += held(*model, "parameters") + held(*model, "gradients");
      if (!config.handover.optimizer) states += held(*model, "optimiser states");
    }
  }
  if (frozen_here && !frozen_stays) {
    // Each comes from the host for its pass; beside it what of the trainer is never sent there.
    for (const auto& [role, model] : frozen_models(config)) {
      PhaseMemory pass;
      pass.phase = fmt::format("pass of the {}", role);
      pass.capacity = gpu.hbm_usable();
      row(pass, "weights", frozen_per_gpu(*model), "BF16, from the host");
      row(pass, "trainer", shared ? states : states_of_trainer, "parameters and optimiser states, not offloaded");
      if (shared && !config.handover.engine)
        row(pass, "engine", engine_->memory.usable, "weights and cache, not given up");
      out.push_back(std::move(pass));
    }
  }
  if (config.critic.gpus > 0) {
    PhaseMemory critic;
    critic.phase = "critic";
    critic.capacity = gpu.hbm_usable();
    critic.table = update_memory(critic_setting({}));
    out.push_back(std::move(critic));
  }
  if (config.frozen.gpus > 0) {
    PhaseMemory frozen;
    frozen.phase = "frozen models";
    frozen.capacity = gpu.hbm_usable();
    for (const auto& [role, model] : frozen_models(config))
      row(frozen, fmt::format("{}: {}", role, model->name), frozen_per_gpu(*model), "BF16, of a replica's part");
    out.push_back(std::move(frozen));
  }
  if (rl().generates()) {
    PhaseMemory generation;
    generation.phase = "generation";
    generation.capacity = engine_cluster(scenario_).node.gpu.hbm_usable();
    generation.table.rows = engine_->memory.table.rows;
    row(generation, "KV cache", engine_->memory.usable - engine_->memory.table.total(),
        fmt::format("{} tokens per attention group", engine_->memory.kv_tokens));
    if (shared) row(generation, "trainer", states, "parameters, gradients and optimiser states, not offloaded");
    if (shared && frozen_stays)
      for (const auto& [role, model] : frozen_models(config))
        row(generation, role, frozen_per_gpu(*model), "BF16, not offloaded");
    out.push_back(std::move(generation));
  }
  return out;
}

void RlMachine::check_memory() {
  std::vector<Diagnostic> faults;
  for (const PhaseMemory& phase : memory()) {
    if (phase.total() <= phase.capacity) continue;
    const bool update = phase.phase == "update", frozen = phase.phase == "frozen models",
               critic = phase.phase == "critic", pass = phase.phase.starts_with("pass of");
    Diagnostic fault;
    fault.file = scenario_.file;
    fault.field = update || pass ? "training.plan"
                  : frozen       ? "rl.frozen"
                  : critic       ? "rl.critic"
                                 : "rl.rollout.memory_share";
    fault.found = fmt::format("{} on the fullest GPU during {}, {} too much", format_bytes(phase.total()), phase.phase,
                              format_bytes(phase.total() - phase.capacity));
    fault.expected = fmt::format("at most {}", format_bytes(phase.capacity));
    const bool recomputes = rl().update.recompute.full_layer && rl().update.recompute.full_layers == 0;
    std::string remedy = "a smaller memory_share";
    if (update) {
      remedy = "a smaller training.batch.sequence_length, more of training.plan";
      if (!recomputes) remedy = "training.recompute.full_layer: true, " + remedy;
    }
    if (pass)
      remedy = "a larger tensor or pipeline, or GPUs of its own: rl.frozen";
    else if (frozen || critic)
      remedy = fmt::format("a larger {}.tensor or pipeline", fault.field);
    else if (!rl().separate() || rl().loop.overlap > 0)
      remedy += update && !rl().loop.handover.engine
                    ? ", a smaller rl.rollout.memory_share, handover { engine: true }, or what else rl.handover sends "
                      "to the host"
                    : ", or what rl.handover sends to the host";
    fault.remedy = remedy;
    // What it consists of, the largest first.
    std::vector<MemoryRow> rows = phase.table.rows;
    std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
    std::string parts;
    for (std::size_t i = 0; i < std::min<std::size_t>(rows.size(), 3); ++i)
      parts += fmt::format("{}{} {}", i > 0 ? ", " : "", rows[i].item, format_bytes(rows[i].bytes));
    fault.found += fmt::format(" ({}{})", parts, rows.size() > 3 ? ", ..." : "");
    faults.push_back(fault);
  }
  if (!faults.empty()) throw InputError(faults);
}

}  // namespace flopcast
