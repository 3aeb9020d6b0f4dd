#include "scenarios/resolve/serving/load_serving.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "scenarios/proto/serving.pb.h"
#include "scenarios/read/fields/load_fields.h"
#include "scenarios/read/libraries/engine_profile.h"
#include "scenarios/read/text/quantity.h"
#include "scenarios/resolve/serving/serving_part.h"
#include "workloads/serving/cache/kv_bytes.h"
#include "workloads/serving/router.h"
#include "workloads/serving/traffic/clients.h"

namespace flopcast {

namespace {

/// The engine's page: 16 tokens of vLLM, 32 of TensorRT-LLM (page_tokens of its profile). Of pages of one token, as
/// SGLang has them, eight at a time: a turn finds at most seven too few, and blocks stay countable.
int drawn_block(int page_tokens) {
  constexpr int kFewest = 8;
  return page_tokens >= kFewest ? page_tokens : (kFewest + page_tokens - 1) / page_tokens * page_tokens;
}

}  // namespace

void ServingScenario::set_prefix_blocks() {
  int of_traces = 0, of_pages = 1;
  bool drawn = false;
  for (const TrafficClass& c : traffic.classes) {
    if (const auto* trace = std::get_if<TraceTraffic>(&c.lengths))
      of_traces = std::max(of_traces, trace->summary.format->block_tokens);
    if (const auto* recorded = std::get_if<RecordedSessions>(&c.lengths))
      of_traces = std::max(of_traces, recorded->block_tokens);
    drawn |= c.sessions.has_value();
  }
  for (const PoolSpec& pool : pools)
    if (pool.prefix.on) of_pages = std::lcm(of_pages, drawn_block(pool.page_tokens));
  const int block = of_traces > 0 ? of_traces : drawn ? of_pages : 0;
  for (TrafficClass& c : traffic.classes)
    if (c.sessions && block > 0) c.sessions->block_tokens = block;
  for (PoolSpec& pool : pools) pool.prefix.block_tokens = block;
}

bool ServingScenario::autoscaled() const {
  return std::any_of(pools.begin(), pools.end(), [](const PoolSpec& pool) { return pool.autoscale.on; });
}

int ServingScenario::gpus() const {
  int sum = 0;
  for (const PoolSpec& pool : pools) sum += pool.engine.plan.gpus() * pool.replicas;
  return sum;
}

namespace {

class ServingLoader : private ServingPart {
 public:
  ServingLoader(const proto::Serving& in, const ServingContext& context, Diagnostics& faults)
      : ServingPart{in, context, faults, std::make_shared<ServingScenario>()} {}

  std::shared_ptr<ServingScenario> load() {
    plain_fields();
    load_traffic(*this);
    pools();
    blocks();
    if (context_.cluster && !context_.open) gpu_count();
    if (context_.cluster && !context_.open) stated_faults();
    if (context_.cluster && !context_.open) slow_parts();
    if (!context_.open) sample();
    return out_;
  }

  std::optional<PoolSpec> replicas_alone(const proto::Replicas& replicas, const std::string& path) {
    pool(replicas, path, ReplicaRole::unified);
    if (out_->pools.empty()) return std::nullopt;
    return std::move(out_->pools.front());
  }

 private:
  void plain_fields() {
    load_fields(in_, *out_);
    if (in_.has_failures()) out_->failures = loaded<FailureConfig>(in_.failures());
    out_->failures.seed = out_->seed;
    out_->expert_pace_stated = in_.has_expert_skew();
  }

  // Replicas.

  void pools() {
    const bool together = in_.has_replicas(), apart = in_.has_prefill() || in_.has_decode();
    if (together == apart)
      return fault(together ? "replicas" : "", together ? "replicas beside prefill or decode" : "no replicas",
                   "replicas { ... }, or prefill { ... } and decode { ... }");
    if (together && in_.has_kv_transfer())
      fault("kv_transfer", "a statement without effect", "prefill and decode replicas apart");
    if (together) return pool(in_.replicas(), "replicas", ReplicaRole::unified);
    if (!in_.has_prefill()) return fault("prefill", "nothing", "prefill { ... } beside decode { ... }");
    if (!in_.has_decode()) return fault("decode", "nothing", "decode { ... } beside prefill { ... }");
    pool(in_.prefill(), "prefill", ReplicaRole::prefill);
    pool(in_.decode(), "decode", ReplicaRole::decode);
    if (out_->pools.size() == 2) out_->pools.front().next = 1;
    if (in_.prefill().kv_cache() != in_.decode().kv_cache())
      fault("decode.kv_cache", in_.decode().kv_cache(),
            "as prefill.kv_cache, " + in_.prefill().kv_cache() + ": caches move between them");
    const auto family = [](const std::string& engine) { return engine.substr(0, engine.find('-')); };
    const std::string &first = in_.prefill().engine(), &then = in_.decode().engine();
    if (!first.empty() && !then.empty() && family(first) != family(then))
      fault("decode.engine", flopcast::quoted(then),
            fmt::format("a version of {}, as prefill.engine is: engines do not hand caches to others", family(first)));
  }

  void pool(const proto::Replicas& r, const std::string& path, ReplicaRole role) {
    if (!sound(path)) return;
    auto spec = loaded<PoolSpec>(r);
    spec.name = path;
    spec.role = role;
    autoscale(r, path, spec);
    graph_sizes(spec, path);
    if (r.priority_preemption() && role != ReplicaRole::prefill) {
      out_->classes.preempt = true;
      const bool differ = std::ranges::any_of(
          out_->classes.of, [&](const ClassRule& rule) { return rule.priority != out_->classes.of.front().priority; });
      if (context_.root == "serving." && !differ)
        fault(path + ".priority_preemption", "a statement without effect", "streams of different priority");
    }
    check_name(r.router(), routers(), path + ".router");
    check_name(r.batching(), batching_policies(), path + ".batching");
    check_name(r.preemption(), preemption_policies(), path + ".preemption");
    check_name(r.admission(), admission_policies(), path + ".admission");
    EngineConfig& engine = spec.engine;
    if (context_.model) engine.model = *context_.model;
    // An engine in a loop has its weights from the trainer, which holds them in 16 bits.
    const bool served = context_.root == "serving.";
    if (served && context_.model && !r.has_weights() && !r.has_weight_format()) take_published(r, engine);
    if (engine.precision.linear != Precision::fp8) engine.precision.scaling = Scaling::none;
    if (r.has_memory_share()) engine.memory_rule = MemoryRule::stated;
    if (!engine.name.empty() && context_.libraries) take_profile(engine, *context_.libraries);
    engine.cold = std::ranges::any_of(in_.traffic().stream(), [](const proto::TrafficClass& stream) {
      const ClientRow* client = find_policy(benchmark_clients(), stream.client());
      return client != nullptr && client->one_prompt;
    });
    if (in_.has_speculation()) engine.speculation = loaded<SpeculationConfig>(in_.speculation());
    load_draft_model(*this, engine);
    prefix_cache(spec);
    if (!context_.open) check_pool(*this, spec, path);
    out_->pools.push_back(std::move(spec));
  }

  /// Weights as their files have them, as far as the GPU multiplies in that format: FP8 without units for it is no
  /// engine's default.
  void take_published(const proto::Replicas& r, EngineConfig& engine) {
    const PublishedWeights published = engine.model.published_weights;
    const WeightFormat experts = r.has_expert_format() ? WeightFormat::as_multiplied : engine.model.published_experts;
    if ((published == PublishedWeights::bf16 && experts == WeightFormat::as_multiplied) || !context_.cluster) return;
    const GpuSpec& gpu = context_.cluster->node.gpu;
    ServingPrecision& precision = engine.precision;
    const bool fp8 = published == PublishedWeights::fp8_blocks || published == PublishedWeights::fp8;
    if (fp8 && gpu.fp8_peak <= FlopPerSecond(0) && experts == WeightFormat::as_multiplied) return;
    if (experts != WeightFormat::as_multiplied) precision.experts = experts;
    if (fp8 && gpu.fp8_peak <= FlopPerSecond(0)) {
      // The other layers stay in BF16.
    } else if (fp8) {
      precision.linear = Precision::fp8;
      if (!r.has_scaling())
        precision.scaling = published == PublishedWeights::fp8 ? Scaling::per_tensor : Scaling::blocks;
    } else if (published == PublishedWeights::nvfp4 && gpu.fp4_peak > FlopPerSecond(0)) {
      precision.linear = Precision::fp4;
    } else if (published != PublishedWeights::bf16) {
      precision.stored = published == PublishedWeights::int4    ? WeightFormat::int4
                         : published == PublishedWeights::mxfp4 ? WeightFormat::mxfp4
                                                                : WeightFormat::nvfp4;
    }
    engine.weights_as_published = true;
  }

  void graph_sizes(const PoolSpec& spec, const std::string& path) {
    const std::string& text = spec.engine.graph_sizes;
    if (text.empty() || parse_graph_sizes(text)) return;
    fault(path + ".graph_sizes", flopcast::quoted(text),
          "batches from small to large, such as \"1 2 4 8..512/8\" (from, to and step)");
  }

  void autoscale(const proto::Replicas& r, const std::string& path, PoolSpec& spec) {
    if (!r.has_autoscale() && !in_.has_autoscale()) return;
    const std::string where = r.has_autoscale() ? path + ".autoscale" : "autoscale";
    if (!sound(where)) return;
    const proto::Autoscale& a = r.has_autoscale() ? r.autoscale() : in_.autoscale();
    spec.autoscale = loaded<AutoscaleConfig>(a);
    spec.autoscale.on = true;
    scale_steps(a, where, spec);
    if (a.minimum() > spec.replicas)
      fault(where + ".minimum", fmt::format("{}", a.minimum()),
            fmt::format("at most the {} replicas there are (count)", spec.replicas));
  }

  /// What is stated for another way to scale than the chosen one has no effect.
  void scale_steps(const proto::Autoscale& a, const std::string& where, PoolSpec& spec) {
    AutoscaleConfig& config = spec.autoscale;
    const auto idle = [&](bool stated, const char* field, const char* expected) {
      if (stated) fault(where + "." + field, "a statement without effect", expected);
    };
    idle(config.by != ScaleBy::queue && a.has_queue(), "queue", "by: \"queue\"");
    idle((config.by == ScaleBy::queue || config.by == ScaleBy::schedule) && a.has_target(), "target",
         "by: \"load\" or \"slo\"");
    idle(config.by != ScaleBy::schedule && a.step_size() > 0, "step", "by: \"schedule\"");
    idle(config.by == ScaleBy::schedule && a.has_interval(), "interval",
         "another way to scale: a schedule has its times");
    if (config.by == ScaleBy::schedule && a.step_size() == 0)
      fault(where + ".step", "none", "step { at: \"8 h\" replicas: 4 }: replicas by the time of the day");
    if (config.by == ScaleBy::slo) {
      const bool prompts = computes_prompts(spec.role), answers = gives_answers(spec.role);
      const bool promised = std::ranges::any_of(out_->levels, [&](const ServiceLevel& level) {
        return (prompts && level.ttft < kNever) || (answers && level.tpot < kNever);
      });
      if (!promised)
        fault(where + ".by", "\"slo\"",
              fmt::format("a promise to follow: slo {{ {} }} of a stream", prompts ? "ttft" : "tpot"));
    }
    for (int i = 0; i < a.step_size(); ++i) {
      const std::string path = fmt::format("{}.step[{}]", where, i);
      const ScaleStep step{seconds(a.step(i).at()), a.step(i).replicas()};
      if (!config.steps.empty() && step.at <= config.steps.back().at)
        fault(path + ".at", a.step(i).at(), "a time after that of the step before, " + a.step(i - 1).at());
      if (step.replicas > spec.replicas || step.replicas < a.minimum())
        fault(path + ".replicas", fmt::format("{}", step.replicas),
              fmt::format("from {} (minimum) to {} (count)", a.minimum(), spec.replicas));
      config.steps.push_back(step);
      config.steps_text += fmt::format("{}{}: {}", i > 0 ? ", " : "", a.step(i).at(), step.replicas);
    }
  }

  void prefix_cache(PoolSpec& spec) {
    if (!sound("prefix_cache")) return;
    const proto::PrefixCache& cache = in_.prefix_cache();
    spec.prefix = loaded<PrefixCacheConfig>(cache);
    if (!cache.on() && spec.role != ReplicaRole::decode)
      for (const auto& [stated, field] : {std::pair(spec.prefix.host_memory > Bytes(0), "host_memory"),
                                          std::pair(spec.prefix.storage > Bytes(0), "storage")})
        if (stated) fault(fmt::format("prefix_cache.{}", field), "a size beside on: false", "no size, or on: true");
    if (cache.has_storage_bandwidth() && !cache.has_storage() && spec.role != ReplicaRole::decode)
      fault("prefix_cache.storage_bandwidth", "a statement without effect", "storage beside it, its size");
  }

  void blocks() {
    out_->set_prefix_blocks();
    for (const PoolSpec& pool : out_->pools) {
      const int block = pool.prefix.block_tokens;
      // Blocks are whole pages.
      if (pool.prefix.on && block > 0 && block % pool.page_tokens != 0)
        fault(pool.name + ".page_tokens", fmt::format("{}", pool.page_tokens),
              fmt::format("a divisor of the traffic's blocks of {} tokens", block));
    }
  }

  void gpu_count() {
    if (out_->gpus() <= context_.cluster->gpus()) return;
    fault(in_.has_replicas() ? "replicas.count" : "decode.count", fmt::format("{} GPUs in replicas", out_->gpus()),
          fmt::format("at most the {} GPUs of the cluster", context_.cluster->gpus()));
  }

  /// Nodes as the replicas that stand on them, pools as theirs: replicas take the cluster's GPUs in order.
  void stated_faults() {
    for (int i = 0; i < in_.fault_size(); ++i) {
      const proto::ServingFault& f = in_.fault(i);
      const std::string path = fmt::format("fault[{}]", i);
      if (!sound(path)) continue;
      if (f.has_node() == f.has_restart()) {
        fault(path, f.has_node() ? "both node and restart" : "neither node nor restart",
              "a node that fails, or a pool that restarts");
        continue;
      }
      if (in_.sample() > 1)
        fault(path, "a stated fault beside a sample", "no sample: the replica that stops may not be in it");
      StatedFault out;
      out.at = seconds(f.at());
      out.repair = seconds(f.repair());
      if (f.has_speed()) out.speed = f.speed();
      if (f.has_speed() && f.has_restart())
        fault(path + ".speed", fmt::format("{:g}", f.speed()), "node beside it: what restarts is not slow");
      out.one_by_one = f.has_restart();
      const int per_node = context_.cluster->node.gpus;
      int gpu = 0;
      std::size_t number = 0;
      for (const PoolSpec& pool : out_->pools) {
        for (int r = 0; r < pool.replicas; ++r, ++number, gpu += pool.engine.plan.gpus()) {
          const bool on_node = gpu / per_node <= f.node() && (gpu + pool.engine.plan.gpus() - 1) / per_node >= f.node();
          if (f.has_restart() ? pool.name == f.restart() : on_node) out.replicas.push_back(number);
        }
      }
      if (out.replicas.empty())
        fault(path + (f.has_node() ? ".node" : ".restart"),
              f.has_node() ? fmt::format("{}", f.node()) : flopcast::quoted(f.restart()),
              f.has_node() ? fmt::format("a node with replicas, 0 to {}", (gpu - 1) / per_node)
                           : "a pool of this deployment");
      out_->failures.stated.push_back(std::move(out));
    }
    std::stable_sort(out_->failures.stated.begin(), out_->failures.stated.end(),
                     [](const StatedFault& a, const StatedFault& b) { return a.at < b.at; });
    fault_description();
  }

  /// A replica is as slow as its slowest GPU, and its NICs and NVLink as theirs.
  void slow_parts() {
    bool found = false;
    int gpu = 0;
    for (PoolSpec& pool : out_->pools) {
      set_slow_replicas(pool, context_.cluster->slow_parts, gpu, 0);
      found |= !pool.slow.empty();
      gpu += pool.replicas * pool.engine.plan.gpus();
    }
    if (found && in_.sample() > 1 && !out_->sample_time)
      fault("sample", fmt::format("{}", in_.sample()),
            "1, or sample_by: \"time\": the replica with a slow part (cluster.slow) may not be in the sample");
  }

  void fault_description() {
    for (const proto::ServingFault& f : in_.fault()) out_->faults += stated_text(f) + "; ";
  }

  void sample() {
    if (out_->sample < 1) return;  // a fault already
    if (out_->sample_time) {
      for (std::size_t i = 0; i < out_->traffic.classes.size(); ++i)
        if (out_->sample > 1 && std::holds_alternative<TraceTimes>(out_->traffic.classes[i].arrivals))
          fault(fmt::format("traffic.stream[{}].trace", i), "the times of a trace",
                "requests_per_second or users, where the sample is one of time");
      return;
    }
    for (const PoolSpec& pool : out_->pools)
      if (pool.replicas % out_->sample != 0)
        fault("sample", fmt::format("{}", out_->sample),
              fmt::format("a divisor of the {} replicas of {}, or sample_by: \"time\"", pool.replicas, pool.name));
  }
};

}  // namespace

std::shared_ptr<ServingScenario> load_serving(const proto::Serving& serving, const ServingContext& context,
                                              Diagnostics& faults) {
  return ServingLoader(serving, context, faults).load();
}

void set_slow_replicas(PoolSpec& pool, std::span<const SlowPart> slow_parts, int first_gpu, int last_on_first) {
  const int each = pool.engine.plan.gpus();
  for (int r = 0; r < pool.replicas; ++r) {
    const int behind = r - (pool.replicas - last_on_first);
    const int gpu = behind >= 0 ? behind * each : first_gpu + r * each;
    ReplicaSpeed speed;
    for (const SlowPart& part : slow_parts) {
      if (part.rank < gpu || part.rank >= gpu + each) continue;
      double& slowest = part.kind == SlowPart::Kind::gpu   ? speed.gpu
                        : part.kind == SlowPart::Kind::nic ? speed.nic
                                                           : speed.nvlink;
      slowest = std::min(slowest, part.speed);
    }
    if (speed == ReplicaSpeed{}) continue;
    pool.slow.resize(static_cast<std::size_t>(pool.replicas));
    pool.slow[static_cast<std::size_t>(r)] = speed;
  }
}

std::optional<PoolSpec> load_replicas(const proto::Replicas& replicas, const proto::Speculation* speculation,
                                      const std::string& path, const ServingContext& context, Diagnostics& faults) {
  proto::Serving beside;
  if (speculation) *beside.mutable_speculation() = *speculation;
  return ServingLoader(beside, context, faults).replicas_alone(replicas, path);
}

}  // namespace flopcast
