// Whether a pool of replicas can be: its degrees against the model, what it asks of the GPU, what has to fit into
// memory.
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "scenarios/resolve/serving/serving_part.h"
#include "workloads/model/key_heads.h"
#include "workloads/serving/pricing/replica_memory.h"

namespace flopcast {
namespace {

std::string gigabytes(Bytes bytes) { return fmt::format("{:.1f} GB", bytes.value() / 1e9); }

class PoolCheck : private ServingPart {
 public:
  PoolCheck(const ServingPart& serving, const PoolSpec& spec, const std::string& path)
      : ServingPart(serving), spec_(spec), path_(path) {}

  /// What is not known (a model, a cluster, whose names are wrong) is not held against it.
  void run() {
    if (context_.model) check_plan();
    if (context_.cluster) check_gpu();
    if (context_.model) check_states();
    if (context_.model && context_.cluster && sound(path_)) {
      const std::size_t others = faults_.size();
      check_memory();
      for (std::size_t i = others; i < faults_.size(); ++i) faults_[i].beyond_memory = true;
    }
  }

 private:
  void check_plan() {
    const EngineConfig& e = spec_.engine;
    const ServingPlan& plan = e.plan;
    const ModelConfig& model = e.model;
    const bool moe = model.moe.experts > 0;
    if (model.attention.heads % plan.tensor != 0)
      fault(path_ + ".tensor", fmt::format("{}", plan.tensor),
            fmt::format("a divisor of the {} heads of {}", model.attention.heads, model.name));
    else if (!splits_key_heads(model, plan.tensor))
      fault(path_ + ".tensor", fmt::format("{}", plan.tensor),
            fmt::format("a divisor or a multiple of the {} heads of keys and values of {}", model.attention.kv_heads,
                        model.name));
    if (plan.pipeline > model.layers)
      fault(path_ + ".pipeline", fmt::format("{}", plan.pipeline),
            fmt::format("at most the {} layers of {}", model.layers, model.name));
    if (plan.expert > 1 && !moe)
      return fault(path_ + ".expert", fmt::format("{}", plan.expert), fmt::format("1: {} has no experts", model.name));
    const int sharing = plan.tensor * plan.attention_data;
    const ExpertTransport transport = transport_of(e);
    if (plan.expert > 1 && transport == ExpertTransport::all_to_all && plan.expert != sharing)
      fault(path_ + ".expert", fmt::format("{}", plan.expert),
            fmt::format("tensor x attention_data = {}, or 1, where tokens are sent to their experts", sharing));
    else if (plan.expert > 1 && sharing % plan.expert != 0)
      fault(path_ + ".expert", fmt::format("{}", plan.expert),
            fmt::format("a divisor of tensor x attention_data = {}", sharing));
    if (transport == ExpertTransport::replicated && plan.attention_data > 1)
      fault(path_ + ".expert_transport", "replicated",
            fmt::format("all_gather or all_to_all: {} attention groups have tokens of their own", plan.attention_data));
    if (plan.expert == 1 && plan.attention_data > 1 && !(moe && transport == ExpertTransport::all_gather))
      fault(path_ + ".attention_data", fmt::format("{}", plan.attention_data),
            moe ? "1, or experts spread over all of them (expert = tensor x attention_data)"
                : "1: copies of a dense model are replicas, count");
    if (plan.expert > 1 && (model.moe.experts + e.redundant_experts) % plan.expert != 0)
      fault(path_ + ".redundant_experts", fmt::format("{}", e.redundant_experts),
            fmt::format("a number that makes {} experts and their copies divide over {} GPUs", model.moe.experts,
                        plan.expert));
    const bool normal_kernels =
        spec_.role != ReplicaRole::decode || e.decode_exchange == ExpertExchange::high_throughput;
    if (plan.expert > model.moe.experts && normal_kernels && moe)
      fault(path_ + ".expert", fmt::format("{}", plan.expert),
            fmt::format("at most the {} experts where prompts are exchanged", model.moe.experts));
    if (e.two_micro_batches && !sends_to_experts(e))
      fault(path_ + ".two_micro_batches", "true",
            plan.expert == 1 ? "experts spread over GPUs (expert), whose exchange it hides"
                             : "expert_transport: \"all_to_all\", which it hides");
    if (e.speculation.depth > 0 && e.speculation.kind == DraftKind::mtp && model.mtp_depth == 0)
      fault(
          "speculation", fmt::format("{} drafts", e.speculation.depth),
          fmt::format("a model with MTP modules, which {} has none of; kind: \"eagle\" or \"lookup\" drafts otherwise",
                      model.name));
    if (e.cache_tokens > 0 && e.cache_memory > Bytes(0))
      fault(path_ + ".cache_tokens", fmt::format("{}", e.cache_tokens), "either cache_tokens or cache_memory");
  }

  void check_gpu() {
    const NodeSpec& node = context_.cluster->node;
    const ServingPlan& plan = spec_.engine.plan;
    if (spec_.engine.precision.linear == Precision::fp8 && node.gpu.fp8_peak <= FlopPerSecond(0))
      fault(path_ + ".weights", "fp8", fmt::format("bf16: {} has no FP8", node.gpu.name));
    const ServingPrecision& precision = spec_.engine.precision;
    const bool fp4 = node.gpu.fp4_peak > FlopPerSecond(0);
    if (precision.linear == Precision::fp4 && !fp4)
      fault(path_ + ".weights", "fp4",
            fmt::format("{}, with weight_format for four-bit weights that kernels unpack: {} has no FP4",
                        node.gpu.fp8_peak > FlopPerSecond(0) ? "bf16 or fp8" : "bf16", node.gpu.name));
    if (precision.linear == Precision::fp4 && precision.stored == WeightFormat::int4)
      fault(path_ + ".weight_format", "int4", "mxfp4 or nvfp4, which FP4 units multiply, or weights: \"bf16\"");
    if (precision.experts != WeightFormat::as_multiplied && context_.model && spec_.engine.model.moe.experts == 0)
      fault(path_ + ".expert_format", "a statement without effect",
            fmt::format("weight_format: {} has no experts", spec_.engine.model.name));
    const bool keeps = precision.bf16_parts != Bf16Parts::by_format;
    if (keeps && precision.linear == Precision::bf16 && precision.stored == WeightFormat::as_multiplied)
      fault(path_ + ".bf16_parts", "a statement without effect",
            "weights in FP8 or in four bits, parts of which stay in BF16");
    if (precision.bf16_parts == Bf16Parts::attention_and_ends && context_.model &&
        spec_.engine.model.dense_layers() == 0)
      fault(path_ + ".bf16_parts", "attention_and_ends",
            fmt::format("attention: {} has no dense FFNs", spec_.engine.model.name));
    if (precision.scaling == Scaling::mx && !fp4)
      fault(path_ + ".scaling", "mx",
            fmt::format("blocks or per_tensor: {} does not apply scales of 1x32", node.gpu.name));
    if (plan.tensor > node.gpus && plan.tensor % node.gpus != 0)
      fault(path_ + ".tensor", fmt::format("{}", plan.tensor),
            fmt::format("up to, or a multiple of, the {} GPUs of a node", node.gpus));
    if (plan.expert > node.gpus && plan.expert % node.gpus != 0)
      fault(path_ + ".expert", fmt::format("{}", plan.expert),
            fmt::format("up to, or a multiple of, the {} GPUs of a node", node.gpus));
    if (spec_.engine.communication_sms >= node.gpu.sms)
      fault(path_ + ".communication_sms", fmt::format("{}", spec_.engine.communication_sms),
            fmt::format("fewer than the {} SMs of {}", node.gpu.sms, node.gpu.name));
  }

  /// The replica of fewest GPUs that holds the weights: tensor parallelism up to a node, stages beyond, experts spread
  /// over all of them where they are now.
  std::optional<ServingPlan> least_plan(EngineConfig engine) const {
    const NodeSpec& node = context_.cluster->node;
    const ServingPlan asked = engine.plan;
    std::optional<ServingPlan> least;
    const auto try_plan = [&](const ServingPlan& plan) {
      if (least && plan.gpus() >= least->gpus()) return;
      engine.plan = plan;
      const ReplicaMemory memory = replica_memory(engine, node.gpu);
      if (memory.table.total() <= memory.usable) least = plan;
    };
    const auto cuts = [&](int tensor) {
      return tensor <= node.gpus && engine.model.attention.heads % tensor == 0 &&
             splits_key_heads(engine.model, tensor);
    };
    int widest = 1;
    while (cuts(2 * widest)) widest *= 2;
    for (int tensor = 1; tensor <= widest; tensor *= 2) {
      for (int more = 1; more <= 64; ++more) {
        ServingPlan plan = asked;
        plan.tensor = tensor;
        if (asked.expert > 1) {
          plan.attention_data = more;
          plan.expert = tensor * more;
          const bool whole_nodes = plan.expert <= node.gpus || plan.expert % node.gpus == 0;
          if (whole_nodes && (engine.model.moe.experts + engine.redundant_experts) % plan.expert == 0) try_plan(plan);
        } else {
          plan.pipeline = more;
          // Stages are for what one node does not hold: nobody runs TP1 x PP11.
          if (more == 1 || (tensor == widest && more <= engine.model.layers)) try_plan(plan);
        }
      }
    }
    return least;
  }

  /// "such as 24 GPUs in a replica (tensor 8 x pipeline 3)": what would hold the weights.
  std::string what_would_hold(const EngineConfig& engine) const {
    const auto said = [](const ServingPlan& plan) {
      std::string degrees = fmt::format("tensor {}", plan.tensor);
      if (plan.pipeline > 1) degrees += fmt::format(" x pipeline {}", plan.pipeline);
      if (plan.attention_data > 1) degrees += fmt::format(" x attention_data {}", plan.attention_data);
      if (plan.expert > 1) degrees += fmt::format(", expert {}", plan.expert);
      return fmt::format("{} GPUs in a replica ({})", plan.gpus(), degrees);
    };
    std::vector<std::string> ways;
    const auto as_it_is = least_plan(engine);
    if (as_it_is) ways.push_back(said(*as_it_is));
    if (engine.precision.linear != Precision::fp8 && context_.cluster->node.gpu.fp8_peak > FlopPerSecond(0)) {
      EngineConfig lighter = engine;
      lighter.precision.linear = Precision::fp8;
      lighter.precision.scaling = Scaling::per_tensor;
      lighter.precision.stored = lighter.precision.experts = WeightFormat::as_multiplied;  // as that statement has it
      const auto plan = least_plan(lighter);
      if (plan && (!as_it_is || plan->gpus() < as_it_is->gpus()))
        ways.push_back(fmt::format("weights: \"fp8\" and {}", said(*plan)));
    }
    if (ways.empty()) return "a GPU with more memory, or a smaller token_budget";
    return fmt::format("{}", fmt::join(ways, ", or "));
  }

  void check_states() {
    const EngineConfig& engine = spec_.engine;
    if (engine.state_share > 0 && engine.model.state_layers.layers == 0)
      fault(path_ + ".state_share", "a statement without effect",
            fmt::format("a model with states of layers: {} has none", engine.model.title));
    if (engine.state_places > 1 && engine.state_share <= 0)
      fault(path_ + ".state_places", "a statement without effect", "a pool for states: state_share");
  }

  /// Weights must fit, and beside them the cache of a request of usual length.
  void check_memory() {
    const ReplicaMemory memory = replica_memory(spec_.engine, context_.cluster->node.gpu);
    const Bytes weights = memory.table.total();
    if (weights > memory.usable) {
      Diagnostic d = context_.places->fault(
          context_.root + path_, fmt::format("{} of weights and workspace per GPU", gigabytes(weights)),
          fmt::format("at most {}, {:.0f} % of the {} of {}", gigabytes(memory.usable),
                      100 * memory.usable / context_.cluster->node.gpu.hbm_usable(),
                      gigabytes(context_.cluster->node.gpu.hbm_usable()), context_.cluster->node.gpu.name));
      faults_.push_back(with_remedy(std::move(d), what_would_hold(spec_.engine)));
      return;
    }
    const Bytes hbm = context_.cluster->node.gpu.hbm_usable();
    if (memory.usable > hbm) {
      const std::string field = spec_.engine.cache_tokens > 0 ? ".cache_tokens" : ".cache_memory";
      return fault(path_ + field,
                   fmt::format("{} for the KV cache beside {} of weights and workspace per GPU",
                               gigabytes(memory.usable - weights), gigabytes(weights)),
                   fmt::format("at most {}, what the {} of {} leave", gigabytes(hbm - weights), gigabytes(hbm),
                               context_.cluster->node.gpu.name));
    }
    double longest = 0;
    for (const TrafficClass& c : out_->traffic.classes) {
      const auto* drawn = std::get_if<DrawnLengths>(&c.lengths);
      if (drawn) longest = std::max(longest, drawn->input.mean() + drawn->output.mean());
    }
    longest = memory.as_tokens(longest);
    if (static_cast<double>(memory.kv_tokens) >= std::max<double>(longest, spec_.page_tokens)) return;
    Diagnostic d = context_.places->fault(
        context_.root + path_,
        fmt::format("room for the cache of {} tokens", std::max<std::int64_t>(0, memory.kv_tokens)),
        fmt::format("room for one request, {:.0f} tokens on average", longest));
    faults_.push_back(with_remedy(std::move(d), "more GPUs per replica, FP8 weights or kv_cache"));
  }

  const PoolSpec& spec_;
  const std::string& path_;
};

}  // namespace

void check_pool(const ServingPart& serving, const PoolSpec& spec, const std::string& path) {
  PoolCheck(serving, spec, path).run();
}

}  // namespace flopcast
