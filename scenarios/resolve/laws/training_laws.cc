#include "scenarios/resolve/laws/training_laws.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "scenarios/read/libraries/library_entries.h"
#include "workloads/collectives/collectives.h"
#include "workloads/model/key_heads.h"
#include "workloads/schedules/schedule.h"
#include "workloads/training/stages.h"

namespace flopcast {
namespace {

/// Passes carry 16-bit micro-batch numbers (workloads/schedules/schedule.h), and every pass of a step is replayed.
constexpr std::int64_t kMostMicroBatches = 65535;
constexpr std::int64_t kMostPasses = 10'000'000;

/// The bounds of these fields in scenario.proto: nothing beyond them is worth offering.
constexpr std::int64_t kMostSequences = 1'000'000'000;
constexpr std::int64_t kLongestSequence = 100'000'000;
constexpr std::int64_t kMostReplicas = 1'000'000;

/// "20 or 40": multiples of `step` next to `value`, to offer; none above `most`.
std::string neighbours(std::int64_t value, std::int64_t step, std::int64_t most) {
  std::vector<std::string> out;
  const std::int64_t below = value / step * step;
  if (below > 0) out.push_back(fmt::format("{}", below));
  if (below + step <= most) out.push_back(fmt::format("{}", below + step));
  return fmt::format("{}", fmt::join(out, " or "));
}

std::string product(const ParallelPlan& p) {
  return fmt::format("data {} x tensor {} x context {} x pipeline {} = {}", p.data, p.tensor, p.context, p.pipeline,
                     p.gpus());
}

/// One change that makes the product come out, if there is one.
std::string gpu_count_remedy(const ParallelPlan& p, const ClusterSpec& cluster) {
  const std::int64_t others = std::int64_t{p.tensor} * p.context * p.pipeline;
  const std::int64_t used = others * p.data;
  std::vector<std::string> remedies;
  const std::int64_t data = cluster.gpus() / others;
  if (cluster.gpus() % others == 0 && data <= kMostReplicas) remedies.push_back(fmt::format("data: {}", data));
  if (used % cluster.node.gpus == 0 && used <= kMostGpus)
    remedies.push_back(fmt::format("nodes: {}", used / cluster.node.gpus));
  return fmt::format("{}", fmt::join(remedies, " or "));
}

void check_stage_layers(const ParallelPlan& plan, std::int64_t stages, const ModelConfig& model,
                        const std::string& path, const Places& places, Diagnostics& faults) {
  const auto count = static_cast<std::int64_t>(plan.stage_layers.size());
  const std::int64_t sum = std::accumulate(plan.stage_layers.begin(), plan.stage_layers.end(), std::int64_t{0});
  if (count != stages) {
    faults.push_back(
        places.fault(path, fmt::format("{} stages", count), fmt::format("the {} stages of the schedule", stages)));
  }
  if (sum != model.layers) {
    faults.push_back(places.fault(path, fmt::format("{} layers in all", sum),
                                  fmt::format("the {} layers of {}", model.layers, model.name)));
  }
}

void check_experts(const ParallelPlan& plan, const ModelConfig& model, const std::string& path, const Places& places,
                   Diagnostics& faults) {
  const std::string field = path + ".expert";
  const std::string found = fmt::format("{}", plan.expert);
  const std::int64_t ranks = std::int64_t{plan.data} * plan.context * plan.tensor;
  if (model.moe.experts == 0) {
    const std::string expected = fmt::format("1, because {} has no experts", model.name);
    if (plan.expert > 1) faults.push_back(places.fault(field, found, expected));
    if (plan.expert_tensor > 1)
      faults.push_back(places.fault(path + ".expert_tensor", fmt::format("{}", plan.expert_tensor), expected));
    return;
  }
  if (model.moe.experts % plan.expert != 0) {
    faults.push_back(with_remedy(
        places.fault(field, found, fmt::format("a divisor of the {} experts of {}", model.moe.experts, model.name)),
        fmt::format("expert: {}", std::gcd<std::int64_t>(model.moe.experts, ranks))));
  }
  if (model.moe.expert_width % plan.expert_tensor != 0) {
    faults.push_back(places.fault(path + ".expert_tensor", fmt::format("{}", plan.expert_tensor),
                                  fmt::format("a divisor of the experts' width, {}", model.moe.expert_width)));
  }
  const std::int64_t group = std::int64_t{plan.expert} * plan.expert_tensor;
  if (ranks % group != 0) {
    faults.push_back(with_remedy(
        places.fault(
            field,
            plan.expert_tensor > 1 ? fmt::format("{} x expert_tensor {}", plan.expert, plan.expert_tensor) : found,
            fmt::format("a divisor of data x context x tensor = {}, whose ranks share the experts", ranks)),
        fmt::format("expert: {}",
                    std::gcd<std::int64_t>(plan.expert, ranks / std::gcd<std::int64_t>(plan.expert_tensor, ranks)))));
  } else if (ranks % std::lcm<std::int64_t>(group, plan.tensor) != 0) {
    faults.push_back(places.fault(field, fmt::format("groups of {} GPUs beside tensor {}", group, plan.tensor),
                                  fmt::format("groups that fill data x context x tensor = {} together", ranks)));
  }
}

void check_tensor(const ParallelPlan& plan, const ModelConfig& model, const std::string& path, const Places& places,
                  Diagnostics& faults) {
  const std::string field = path + ".tensor";
  const std::string found = fmt::format("{}", plan.tensor);
  if (model.attention.heads % plan.tensor != 0) {
    faults.push_back(with_remedy(
        places.fault(field, found,
                     fmt::format("a divisor of the {} attention heads of {}", model.attention.heads, model.name)),
        fmt::format("tensor: {}", std::gcd(model.attention.heads, plan.tensor))));
  }
  // Grouped queries: a rank has whole heads of keys and values, or ranks share one. Megatron-Core and vLLM refuse the
  // rest ("num_query_groups must be a multiple or divisor of tensor_model_parallel_size").
  if (model.attention.heads % plan.tensor == 0 && !splits_key_heads(model, plan.tensor)) {
    faults.push_back(
        with_remedy(places.fault(field, found,
                                 fmt::format("a divisor or a multiple of the {} heads of keys and values of {}",
                                             model.attention.kv_heads, model.name)),
                    fmt::format("tensor: {}", std::gcd(model.attention.kv_heads, plan.tensor))));
  }
  if (model.ffn_width % plan.tensor != 0) {
    faults.push_back(
        places.fault(field, found, fmt::format("a divisor of the FFN width {} of {}", model.ffn_width, model.name)));
  }
}

/// Who changes pieces of sequences for heads needs some for each GPU.
void check_context_heads(const ParallelPlan& plan, const ModelConfig& model, const std::string& path,
                         const Places& places, Diagnostics& faults) {
  if (plan.context < 2 || plan.context_exchange != ContextExchange::all_to_all) return;
  const int heads = std::gcd(model.attention.heads, model.attention.kv_heads);
  if (heads % (plan.tensor * plan.context) == 0) return;
  faults.push_back(places.fault(
      path + ".context_exchange", fmt::format("\"all_to_all\" over context {} x tensor {}", plan.context, plan.tensor),
      fmt::format("\"ring\", or GPUs that divide the {} heads of keys and values of {}", heads, model.name)));
}

void check_sharding(const ParallelPlan& plan, const std::string& path, const Places& places, Diagnostics& faults) {
  if (plan.shard_group == 0) return;
  const std::string found = fmt::format("{}", plan.shard_group);
  if (plan.zero_stage == 0) {
    faults.push_back(places.fault(path + ".shard_group", found, "0: nothing is sharded with zero_stage 0"));
  } else if (plan.replicas() % plan.shard_group != 0) {
    faults.push_back(with_remedy(
        places.fault(path + ".shard_group", found, fmt::format("a divisor of data x context = {}", plan.replicas())),
        fmt::format("shard_group: {}", std::gcd(plan.shard_group, plan.replicas()))));
  }
}

/// The number of micro-batches nearest to the request's with which the schedule can do; 0 if there is none.
int nearest_micro_batches(const ScheduleRow& row, ScheduleRequest request) {
  const int wanted = request.micro_batches;
  const auto does = [&](int micro_batches) {
    request.micro_batches = micro_batches;
    return micro_batches >= 1 && micro_batches <= kMostMicroBatches && row.check(request).empty();
  };
  // No schedule asks for more than two micro-batches per rank, or a multiple of the ranks.
  const int farthest = 2 * request.ranks + 2;
  for (int distance = 1; distance <= farthest; ++distance) {
    if (does(wanted + distance)) return wanted + distance;
    if (does(wanted - distance)) return wanted - distance;
  }
  return 0;
}

/// `sequences: 15360, which makes 120 micro-batches`
std::string batch_remedy(const ScheduleRow& row, const ScheduleRequest& request, const TrainingConfig& training) {
  const int micro_batches = nearest_micro_batches(row, request);
  const std::int64_t sequences =
      std::int64_t{micro_batches} * training.plan.data * training.batch.micro_batch_sequences;
  if (sequences < 1 || sequences > kMostSequences) return "";
  return fmt::format("sequences: {}, which makes {} micro-batches", sequences, micro_batches);
}

}  // namespace

void check_plan(const ParallelPlan& plan, const ModelConfig& model, const PlanPaths& paths, const Places& places,
                Diagnostics& faults) {
  check_tensor(plan, model, paths.plan, places, faults);
  check_context_heads(plan, model, paths.plan, places, faults);
  check_sharding(plan, paths.plan, places, faults);
  check_experts(plan, model, paths.plan, places, faults);
}

void check_stages(const ParallelPlan& plan, std::int64_t stages, const ModelConfig& model, const PlanPaths& paths,
                  const Places& places, Diagnostics& faults) {
  // Stated layers may leave a stage with nothing but the embedding or the output head, and so may those that count
  // them.
  const int counted = counted_ends(plan).count();
  if (stages > model.layers + counted && plan.stage_layers.empty()) {
    Diagnostic fault =
        places.fault(paths.plan + ".pipeline",
                     fmt::format("{} stages ({} on each of {} ranks)", stages, stages / plan.pipeline, plan.pipeline),
                     fmt::format("at most {}, the layers of {}{}", model.layers + counted, model.name,
                                 counted > 0 ? " and what layer_split counts with them" : ""));
    if (stages <= model.layers + 2)
      fault = with_remedy(std::move(fault),
                          "layer_split: \"even_with_both\", which counts embedding and output head as a layer each");
    faults.push_back(std::move(fault));
  }
  if (!plan.stage_layers.empty()) check_stage_layers(plan, stages, model, paths.plan + ".stage_layers", places, faults);
}

void check_gpu_count(const ParallelPlan& plan, const ClusterSpec& cluster, const PlanPaths& paths, const Places& places,
                     Diagnostics& faults) {
  const std::int64_t used = plan.gpus();
  if (used == cluster.gpus()) return;
  faults.push_back(with_remedy(places.fault(paths.plan, product(plan),
                                            fmt::format("the {} GPUs of the cluster ({} nodes of {})", cluster.gpus(),
                                                        cluster.nodes, cluster.node.gpus)),
                               gpu_count_remedy(plan, cluster)));
}

bool check_batch(const BatchConfig& batch, const ParallelPlan& plan, const PlanPaths& paths, const Places& places,
                 Diagnostics& faults) {
  const std::size_t before = faults.size();
  const std::int64_t step = std::int64_t{plan.data} * batch.micro_batch_sequences;
  if (batch.sequences % step != 0) {
    faults.push_back(with_remedy(places.fault(paths.batch + ".sequences", fmt::format("{}", batch.sequences),
                                              fmt::format("a multiple of {} (data {} x micro_batch_sequences {})", step,
                                                          plan.data, batch.micro_batch_sequences)),
                                 neighbours(batch.sequences, step, kMostSequences)));
  }
  if (batch.sequence_length % plan.context != 0) {
    faults.push_back(with_remedy(
        places.fault(paths.batch + ".sequence_length", fmt::format("{}", batch.sequence_length),
                     fmt::format("a multiple of {}, the GPUs that share a sequence (context)", plan.context)),
        neighbours(batch.sequence_length, plan.context, kLongestSequence)));
  }
  if (batch.document_length > batch.sequence_length) {
    faults.push_back(
        places.fault(paths.batch + ".document_length", fmt::format("{}", batch.document_length),
                     fmt::format("at most {}, the sequence_length, for documents are packed into sequences; "
                                 "0: none are",
                                 batch.sequence_length)));
  }
  const std::int64_t micro_batches = batch.sequences / step;
  const std::int64_t most = std::min(kMostMicroBatches, kMostPasses / plan.pipeline);
  if (micro_batches > most) {
    faults.push_back(
        with_remedy(places.fault(paths.batch + ".sequences", fmt::format("{} micro-batches per step", micro_batches),
                                 fmt::format("at most {}", most)),
                    "more data parallelism or larger micro-batches"));
  }
  return faults.size() == before;
}

namespace {

/// Shares of all picks, of which every token makes as many as it has experts, each another one.
void check_shares(const ExpertLoad& load, const ModelConfig& model, const std::string& path, const Places& places,
                  Diagnostics& faults) {
  const double all = std::accumulate(load.shares.begin(), load.shares.end(), 0.0);
  if (all <= 0) {
    faults.push_back(places.fault(path + "shares", "only zeros", "at least one positive share"));
    return;
  }
  const auto busiest = std::max_element(load.shares.begin(), load.shares.end());
  const double most = 1.0 / std::max(1, model.moe.experts_per_token);
  if (*busiest <= all * most * (1 + 1e-9)) return;
  faults.push_back(places.fault(
      path + "shares", fmt::format("{:.1f} % for expert {}", 100 * *busiest / all, busiest - load.shares.begin()),
      fmt::format("at most {:.1f} % for one: a token goes to {} different experts", 100 * most,
                  model.moe.experts_per_token)));
}

}  // namespace

void check_expert_load(const ExpertLoad& load, const ParallelPlan& plan, const ModelConfig& model, const Places& places,
                       Diagnostics& faults) {
  const std::string path = "training.expert_load.";
  const auto add = [&](const char* field, std::string found, std::string expected, std::string remedy = "") {
    faults.push_back(with_remedy(places.fault(path + field, std::move(found), std::move(expected)), std::move(remedy)));
  };
  const auto shares = static_cast<int>(load.shares.size());
  if (load.kind == ExpertLoad::Kind::given) {
    if (shares != model.moe.experts)
      add("shares", fmt::format("{} shares", shares),
          fmt::format("one for each of the {} experts of {}", model.moe.experts, model.name));
    else
      check_shares(load, model, path, places, faults);
  } else if (shares > 0) {
    add("shares", fmt::format("{} shares", shares), "shares only with kind: \"given\"", "kind: \"given\"");
  }
  const double most = most_of_mean(model.moe.experts, model.moe.experts_per_token);
  if (const double widest = std::sqrt(std::max(0.0, most - 1));
      load.kind == ExpertLoad::Kind::skewed && model.moe.experts > 0 && load.coefficient_of_variation > widest) {
    add("coefficient_of_variation", fmt::format("{:g}", load.coefficient_of_variation),
        fmt::format("at most {:.3g}: all tokens then go to the same {} of {} experts", widest,
                    model.moe.experts_per_token, model.moe.experts));
  }
  if (load.capacity_factor && *load.capacity_factor > most && model.moe.experts > 0) {
    add("capacity_factor", fmt::format("{:g}", *load.capacity_factor),
        fmt::format("at most {:g}: an expert then takes every token ({} experts, {} per token)", most,
                    model.moe.experts, model.moe.experts_per_token));
  }
  const std::int64_t copies = std::int64_t{model.moe.experts} + load.redundant_experts;
  if (load.redundant_experts > 0 && load.placement != ExpertLoad::Placement::eplb) {
    add("redundant_experts", fmt::format("{}", load.redundant_experts), "0, unless placement: \"eplb\" places them");
  } else if (load.redundant_experts > 0 && copies % plan.expert != 0) {
    add("redundant_experts", fmt::format("{} experts with their copies", copies),
        fmt::format("a multiple of {} (expert)", plan.expert),
        fmt::format("{}", (copies / plan.expert + 1) * plan.expert - model.moe.experts));
  }
}

void check_precision(const PrecisionPlan& precision, const Places& places, Diagnostics& faults) {
  if (precision.scaling != Scaling::none && precision.linear != Precision::fp8) {
    faults.push_back(
        places.fault("training.precision.scaling", "scales for operands that are not FP8", "none, or linear: \"fp8\""));
  }
  if (precision.bf16_layers > 0 && !is_narrow(precision.linear)) {
    faults.push_back(places.fault("training.precision.bf16_layers", fmt::format("{}", precision.bf16_layers),
                                  "nothing, or linear: \"fp8\" or \"fp4\": all layers are as wide"));
  }
}

void check_recompute(const RecomputePlan& again, const Places& places, Diagnostics& faults) {
  if (again.full_layer && again.selective_operations) {
    faults.push_back(places.fault("training.recompute.selective_operations", "true beside full_layer: true",
                                  "one of them: a layer is done again as a whole, or in part"));
  }
  if (again.full_layers > 0 && !again.full_layer) {
    faults.push_back(with_remedy(places.fault("training.recompute.full_layers", fmt::format("{}", again.full_layers),
                                              "0, unless full_layer: true"),
                                 "full_layer: true"));
  }
  // Other layers would do these parts again, those that are done again as a whole would not.
  const std::pair<const char*, bool> parts[] = {{"norms", again.norms},
                                                {"attention_up_projections", again.attention_up_projections},
                                                {"activation_function", again.activation_function},
                                                {"attention_core", again.attention_core},
                                                {"mlp", again.mlp}};
  for (const auto& [field, done_again] : parts) {
    if (done_again && again.full_layer && again.full_layers > 0)
      faults.push_back(places.fault(std::string("training.recompute.") + field,
                                    fmt::format("true beside full_layers: {}", again.full_layers),
                                    "one of them: some layers are done again as a whole, or all of them in part"));
  }
}

void check_recompute(const RecomputePlan& again, const ModelConfig& model, const Places& places, Diagnostics& faults) {
  if (again.full_layers > model.layers)
    faults.push_back(places.fault("training.recompute.full_layers", fmt::format("{}", again.full_layers),
                                  fmt::format("at most {}, the layers of {}", model.layers, model.name)));
  if (again.attention_up_projections && !model.attention.from_latent())
    faults.push_back(places.fault("training.recompute.attention_up_projections", "true",
                                  fmt::format("false: {} has no latent attention, whose keys, values and queries are "
                                              "projected up",
                                              model.name)));
}

void check_precision_on(const GpuSpec& gpu, const PrecisionPlan& p, const Places& places, Diagnostics& faults) {
  // Units that apply scales of 1x32 came with FP4.
  if (p.scaling == Scaling::mx && gpu.fp4_peak <= FlopPerSecond(0))
    faults.push_back(
        places.fault("training.precision.scaling", "\"mx\"",
                     fmt::format("blocks or per_tensor (the GPU {} does not apply scales of 1x32)", gpu.name)));
  if (p.linear == Precision::fp4 && gpu.fp4_peak <= FlopPerSecond(0))
    faults.push_back(places.fault("training.precision.linear", "\"fp4\"",
                                  fmt::format("{} (the GPU {} has no FP4 units)",
                                              gpu.fp8_peak > FlopPerSecond(0) ? "fp8 or bf16" : "bf16", gpu.name)));
  if (gpu.fp8_peak > FlopPerSecond(0)) return;
  const std::pair<const char*, Precision> fields[] = {
      {"linear", p.linear},          {"attention", p.attention}, {"head", p.head},
      {"dispatch", p.dispatch},      {"combine", p.combine},     {"gradients", p.gradients},
      {"parameters", p.parameters},  {"master", p.master},       {"moments", p.moments},
      {"activations", p.activations}};
  for (const auto& [field, precision] : fields) {
    if (precision != Precision::fp8) continue;
    faults.push_back(places.fault(std::string("training.precision.") + field, "\"fp8\"",
                                  fmt::format("bf16 (the GPU {} has no FP8 units)", gpu.name)));
  }
}

void check_schedule(const TrainingConfig& training, const PlanPaths& paths, const Places& places, Diagnostics& faults) {
  const ScheduleRow* row = find_schedule(training.schedule);
  if (!row) return;  // an unknown name has been reported already
  if (training.plan.chunks > 1 && !row->choose_chunks) {
    faults.push_back(places.fault(paths.plan + ".chunks", fmt::format("{}", training.plan.chunks),
                                  fmt::format("1: {} fixes how many pieces a GPU holds", row->name)));
    return;
  }
  if (training.plan.zero_stage >= 2 && row->two_copies) {
    faults.push_back(with_remedy(
        places.fault(paths.plan + ".zero_stage", fmt::format("{}", training.plan.zero_stage),
                     fmt::format("0 or 1: {} holds every stage on two ranks, which are done with it at different times",
                                 row->name)),
        "zero_stage: 1"));
  }
  if (training.batch.rounds > 1 && training.rounds() != training.batch.rounds) {
    faults.push_back(
        places.fault(paths.batch + ".rounds", fmt::format("{}", training.batch.rounds),
                     fmt::format("a divisor of the {} micro-batches of a step", training.micro_batches())));
    return;
  }
  const ScheduleRequest request{training.plan.pipeline, training.micro_batches() / training.rounds(),
                                training.plan.chunks};
  for (Diagnostic fault : row->check(request)) {
    const Place place = places.find(paths.schedule);
    fault.file = place.file;
    fault.line = place.line;
    fault.column = place.column;
    if (fault.field == "training.batch.sequences") fault.remedy = batch_remedy(*row, request, training);
    fault.field = paths.schedule;
    fault.found = fmt::format("\"{}\" with {}", row->name, fault.found);
    const bool said = std::any_of(faults.begin(), faults.end(), [&](const Diagnostic& d) {
      return d.found == fault.found && d.expected == fault.expected && d.remedy == fault.remedy;
    });
    if (!said) faults.push_back(std::move(fault));
  }
}

void check_offload(const TrainingConfig& training, const NodeSpec& node, const PlanPaths& paths, const Places& places,
                   Diagnostics& faults) {
  const OffloadPlan& offload = training.offload;
  const ParallelPlan& plan = training.plan;
  const auto add = [&](const char* field, std::string found, std::string expected) {
    faults.push_back(places.fault(std::string("training.offload.") + field, std::move(found), std::move(expected)));
  };
  if (offload.parameters && (plan.zero_stage < 3 || plan.shards() < 2))
    add("parameters", fmt::format("true with zero_stage {} over {} GPUs", plan.zero_stage, plan.shards()),
        fmt::format("false, or shards to come from the host: {}.zero_stage: 3 over several GPUs", paths.plan));
  if (offload.parameters && offload.optimizer > 0 && offload.optimizer < 1)
    add("optimizer", fmt::format("{:g} beside parameters: true", offload.optimizer),
        "nothing: all of the optimiser goes with the parameters");
  if (offload.optimizer_share() > 0 && node.host_memory_bandwidth <= BytesPerSecond(0))
    add(offload.parameters ? "parameters" : "optimizer", "an optimiser on CPUs whose memory is not known",
        fmt::format("cluster.node_override.host_memory_bandwidth, which {} does not state", node.name));
  const std::pair<const char*, bool> moves[] = {{"activations", offload.activations > 0},
                                                {"optimizer", offload.optimizer > 0},
                                                {"parameters", offload.parameters}};
  for (const auto& [field, asked] : moves) {
    if (asked && node.host_bandwidth <= BytesPerSecond(0))
      add(field, "a GPU whose link to the host is not known", "cluster.node_override.host_bandwidth");
  }
}

void check_software_plan(const TrainingConfig& training, const PlanPaths& paths, const Places& places,
                         Diagnostics& faults) {
  const SoftwareProfile& software = training.software;
  const ParallelPlan& plan = training.plan;
  const std::pair<const char*, int> degrees[] = {
      {"pipeline", plan.pipeline}, {"tensor", plan.tensor}, {"context", plan.context}, {"expert", plan.expert}};
  for (const auto& [field, degree] : degrees) {
    if (degree < 2 || std::find(software.lacks.begin(), software.lacks.end(), field) == software.lacks.end()) continue;
    faults.push_back(places.fault(paths.plan + "." + field,
                                  fmt::format("{}: {} parallelism, which {} of {} does not have", degree, field,
                                              software.name, software.released),
                                  "1, or another software"));
  }
  const std::vector<std::string>& known = software.schedules;
  if (plan.pipeline < 2 || known.empty() || !training.schedule_file.empty() ||
      find_schedule(training.schedule) == nullptr)
    return;
  if (std::find(known.begin(), known.end(), training.schedule) != known.end()) return;
  const std::string cut = plan.chunks > 1 ? "interleaved_1f1b" : "1f1b";
  const bool nearest = std::find(known.begin(), known.end(), cut) != known.end();
  faults.push_back(with_remedy(places.fault(paths.schedule,
                                            fmt::format("\"{}\", which {} of {} does not have", training.schedule,
                                                        software.name, software.released),
                                            fmt::format("one of {}, or another software", fmt::join(known, ", "))),
                               fmt::format("schedule: \"{}\"", nearest ? cut : known.front())));
}

Diagnostics plan_faults(const TrainingConfig& training, const ClusterSpec& cluster) {
  const PlanPaths paths{"training.plan", "training.batch"};
  const Places nowhere;
  Diagnostics faults;
  check_plan(training.plan, training.model, paths, nowhere, faults);
  if (const ScheduleRow* row = find_schedule(training.schedule)) {
    check_stages(training.plan, stages_of(*row, training.plan.pipeline, training.plan.chunks), training.model, paths,
                 nowhere, faults);
  }
  check_gpu_count(training.plan, cluster, paths, nowhere, faults);
  const bool divides = check_batch(training.batch, training.plan, paths, nowhere, faults);
  if (divides && training.schedule_file.empty()) check_schedule(training, paths, nowhere, faults);
  check_expert_load(training.expert_load, training.plan, training.model, nowhere, faults);
  check_software_plan(training, paths, nowhere, faults);
  check_offload(training, cluster.node, paths, nowhere, faults);
  if (faults.empty()) check_local_updates(training, cluster, paths, nowhere, faults);
  return faults;
}

}  // namespace flopcast
