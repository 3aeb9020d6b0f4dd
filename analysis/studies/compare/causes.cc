#include "analysis/studies/compare/causes.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "analysis/render/text/format.h"
#include "analysis/studies/compare/loop_causes.h"
#include "analysis/studies/compare/scenario_fields.h"
#include "scenarios/resolve/change_work.h"
#include "scenarios/resolve/laws/training_laws.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/diagnostic.h"
#include "workloads/serving/pricing/replica_memory.h"

namespace flopcast {
namespace {

// Differences.

/// The values that differ, the first few of them.
std::string change_text(const std::vector<const ScenarioField*>& fields, const Scenario& from, const Scenario& to) {
  constexpr std::size_t kMost = 3;
  std::vector<std::string> parts;
  for (const ScenarioField* field : fields) {
    const std::string before = field->text(from), after = field->text(to);
    if (before == after || (before.empty() && after.empty())) continue;
    parts.push_back(
        fmt::format("{} {} -> {}", field->name, before.empty() ? "none" : before, after.empty() ? "none" : after));
  }
  const std::size_t more = parts.size() > kMost ? parts.size() - kMost : 0;
  parts.resize(parts.size() - more);
  return fmt::format("{}{}", fmt::join(parts, "; "), more > 0 ? fmt::format("; {} more", more) : "");
}

/// What follows from other fields follows them: blocks of prefixes are whole pages of the engines.
void settle(Scenario& scenario) {
  if (scenario.serving) change_serving(scenario, [](ServingScenario& serving) { serving.set_prefix_blocks(); });
  if (scenario.rl)
    change_loop(scenario, [](RlScenario& rl) { rl.rollout.prefix.block_tokens = rl.rollout.page_tokens; });
}

Cause cause_of(std::string id, std::string title, std::vector<const ScenarioField*> fields, const Scenario& from,
               const Scenario& to) {
  const std::string change = change_text(fields, from, to);
  return {std::move(id), std::move(title), change, [fields = std::move(fields), to](Scenario& scenario) {
            for (const ScenarioField* field : fields) field->copy(to, scenario);
            settle(scenario);
          }};
}

// Named causes.

const TrainingConfig& config(const Scenario& s) { return *s.training; }
const EngineConfig& engine(const Scenario& s) { return s.serving->answer_pool().engine; }
const ModelConfig& model_of(const Scenario& s) { return s.training ? s.training->model : engine(s).model; }
bool has_experts(const Scenario& s) { return model_of(s).moe.experts > 0; }
bool is_latent(const Scenario& s) { return model_of(s).attention.from_latent(); }

void change_engines(Scenario& s, const std::function<void(EngineConfig&)>& change) {
  change_serving(s, [&](ServingScenario& serving) {
    for (PoolSpec& pool : serving.pools) change(pool.engine);
  });
}
void change_models(Scenario& s, const std::function<void(ModelConfig&)>& change) {
  if (s.training) return change(s.training->model);
  change_engines(s, [&](EngineConfig& engine) { change(engine.model); });
}

std::string rates(BytesPerSecond from, BytesPerSecond to) {
  return fmt::format("{} -> {} per direction", format_rate(from), format_rate(to));
}

// FP8 undone: operands, dispatched tokens and kept activations in BF16. Optimiser states and the KV cache
// stay as they are.
std::string fp8_change(const Scenario& s) {
  if (s.serving) return engine(s).precision.linear == Precision::fp8 ? "linear layers, dispatch fp8 -> bf16" : "";
  const Precision linear = config(s).precision.linear;
  if (!is_narrow(linear)) return "";
  return fmt::format("linear layers, dispatch, activations {} -> bf16", name(linear));
}
void to_bf16(std::initializer_list<Precision*> formats) {
  for (Precision* format : formats) {
    if (is_narrow(*format)) *format = Precision::bf16;
  }
}
void undo_fp8(const Scenario&, Scenario& s) {
  if (s.serving) {
    return change_engines(s, [](EngineConfig& e) {
      e.precision.scaling = Scaling::none;
      to_bf16({&e.precision.linear, &e.precision.dispatch, &e.precision.combine});
    });
  }
  PrecisionPlan& p = s.training->precision;
  p.scaling = Scaling::none;
  p.bf16_layers = 0;
  to_bf16({&p.linear, &p.attention, &p.head, &p.dispatch, &p.combine, &p.activations});
}

void plain_attention(const AttentionConfig& latent, int kv_heads, Scenario& s) {
  AttentionConfig plain;
  plain.type = kv_heads == latent.heads ? "multi_head" : "grouped_query";
  plain.heads = latent.heads;
  plain.kv_heads = kv_heads;
  plain.head_dim = latent.v_dim;
  change_models(s, [&](ModelConfig& model) { model.attention = plain; });
}
std::string mha_change(const Scenario& s) {
  const AttentionConfig& a = model_of(s).attention;
  return is_latent(s) ? fmt::format("{} heads of {}, keys and values for each", a.heads, a.v_dim) : "";
}
void use_mha(const Scenario& original, Scenario& s) {
  const AttentionConfig& latent = model_of(original).attention;
  plain_attention(latent, latent.heads, s);
}
// Eight groups of keys and values, as DeepSeek 67B and the Llama 3 models have.
constexpr int kGroups = 8;
std::string gqa_change(const Scenario& s) {
  const AttentionConfig& a = model_of(s).attention;
  return is_latent(s) && a.heads % kGroups == 0 ? fmt::format("{} heads of {} in {} groups", a.heads, a.v_dim, kGroups)
                                                : "";
}
void use_gqa(const Scenario& original, Scenario& s) { plain_attention(model_of(original).attention, kGroups, s); }

// Serving only.
std::string kv_change(const Scenario& s, Precision to) {
  const Precision from = engine(s).precision.kv;
  return from == to ? "" : fmt::format("KV cache {} -> {}", name(from), name(to));
}
void set_kv(Scenario& s, Precision to) {
  change_engines(s, [&](EngineConfig& e) { e.precision.kv = to; });
}
// One draft, kept in 85 % of cases: arXiv 2505.09343, 2.3.3 (80 to 90 %).
constexpr SpeculationConfig kDrafts{1, 0.85};
std::string drafts_change(const Scenario& s, const SpeculationConfig& to) {
  const int from = engine(s).speculation.depth;
  return (from > 0) == (to.depth > 0) || (to.depth > 0 && model_of(s).mtp_depth == 0)
             ? ""
             : fmt::format("drafts per iteration {} -> {}", from, to.depth);
}
void set_drafts(Scenario& s, const SpeculationConfig& to) {
  change_engines(s, [&](EngineConfig& e) { e.speculation = to; });
}
std::string batches_change(const Scenario& s, bool two) {
  const EngineConfig& e = engine(s);
  if (e.two_micro_batches == two || e.plan.expert == 1) return "";
  return two ? "compute of one half beside exchange of the other" : "compute, then exchange";
}
void set_batches(Scenario& s, bool two) {
  change_engines(s, [&](EngineConfig& e) { e.two_micro_batches = two; });
}

// An equally capable dense model: by a rule of thumb a mixture of experts is worth a dense model of the
// geometric mean of its active and total parameters (an assumption; see docs/policy.md). Only the width of the
// FFN is changed.
int dense_width(const ModelConfig& moe) {
  const ParameterCount count = count_parameters(moe);
  const double wanted = std::sqrt(count.active * count.total);
  const double besides =
      count.embedding + count.head + moe.layers * (count.attention_per_layer + count.norms_per_layer);
  const double per_width = static_cast<double>(moe.ffn_matrices()) * moe.hidden * moe.layers;
  constexpr double kMultiple = 1024;  // widths that GPUs like
  return static_cast<int>(std::max(1.0, std::round((wanted - besides) / per_width / kMultiple)) * kMultiple);
}
std::string dense_change(const Scenario& s) {
  if (!has_experts(s)) return "";
  const ParameterCount count = count_parameters(config(s).model);
  return fmt::format("{} parameters, {} active -> {} dense", format_count(count.total), format_count(count.active),
                     format_count(std::sqrt(count.active * count.total)));
}
void use_dense(const Scenario& original, Scenario& s) {
  TrainingConfig& c = *s.training;
  c.model.ffn_width = dense_width(config(original).model);
  c.model.moe = {};
  c.plan.expert = 1;
  c.expert_load = {};
}

std::string schedule_change(const Scenario& s, const char* to) {
  return config(s).schedule.empty() || config(s).schedule == to ? "" : fmt::format("{} -> {}", config(s).schedule, to);
}

std::string routing_change(const Scenario& s) {
  const MoeConfig& moe = model_of(s).moe;
  return has_experts(s) && moe.groups_per_token < moe.groups
             ? fmt::format("{} of {} groups per token -> all", moe.groups_per_token, moe.groups)
             : "";
}
void free_routing(const Scenario&, Scenario& s) {
  change_models(s, [](ModelConfig& model) {
    model.moe.groups = 1;
    model.moe.groups_per_token = 1;
  });
}

constexpr BytesPerSecond kH100NvLink(450e9), kH800NvLink(200e9);  // data/gpus/h100-sxm, h800-sxm
void set_nvlink(Scenario& s, BytesPerSecond rate) {
  s.cluster.node.nvlink_bandwidth = rate;
  s.cluster.node.gpu.nvlink_bandwidth = rate;
}
std::string nvlink_change(const Scenario& s, BytesPerSecond to) {
  return s.cluster.node.nvlink_bandwidth == to ? "" : rates(s.cluster.node.nvlink_bandwidth, to);
}

using Of = NamedCause::Of;
constexpr NamedCause kCauses[] = {
    {"fp8", "BF16 instead of FP8", "precision", Of::both, fp8_change, undo_fp8},
    {"mha", "multi-head instead of latent attention", "attention", Of::both, mha_change, use_mha},
    {"gqa", "grouped-query instead of latent attention", "attention", Of::both, gqa_change, use_gqa},
    {"kv-fp8", "an FP8 KV cache", "KV cache", Of::serving,
     [](const Scenario& s) { return kv_change(s, Precision::fp8); },
     [](const Scenario&, Scenario& s) { set_kv(s, Precision::fp8); }},
    {"kv-bf16", "a BF16 KV cache", "KV cache", Of::serving,
     [](const Scenario& s) { return kv_change(s, Precision::bf16); },
     [](const Scenario&, Scenario& s) { set_kv(s, Precision::bf16); }},
    {"mtp", "drafts by MTP, 85 % kept", "drafts", Of::serving,
     [](const Scenario& s) { return drafts_change(s, kDrafts); },
     [](const Scenario&, Scenario& s) { set_drafts(s, kDrafts); }},
    {"no-mtp", "no drafts", "drafts", Of::serving, [](const Scenario& s) { return drafts_change(s, {}); },
     [](const Scenario&, Scenario& s) { set_drafts(s, {}); }},
    {"one-batch", "one micro-batch", "micro-batches", Of::serving,
     [](const Scenario& s) { return batches_change(s, false); },
     [](const Scenario&, Scenario& s) { set_batches(s, false); }},
    {"two-batches", "two micro-batches", "micro-batches", Of::serving,
     [](const Scenario& s) { return batches_change(s, true); },
     [](const Scenario&, Scenario& s) { set_batches(s, true); }},
    {"dense", "a dense model instead of experts", "experts", Of::training, dense_change, use_dense},
    {"1f1b", "1F1B", "schedule", Of::training, [](const Scenario& s) { return schedule_change(s, "1f1b"); },
     [](const Scenario&, Scenario& s) { s.training->schedule = "1f1b"; }},
    {"zb1p", "ZB1P", "schedule", Of::training, [](const Scenario& s) { return schedule_change(s, "zb_h1"); },
     [](const Scenario&, Scenario& s) { s.training->schedule = "zb_h1"; }},
    {"dualpipe", "DualPipe", "schedule", Of::training, [](const Scenario& s) { return schedule_change(s, "dualpipe"); },
     [](const Scenario&, Scenario& s) { s.training->schedule = "dualpipe"; }},
    {"free-routing", "experts on any node", "routing", Of::both, routing_change, free_routing},
    {"nvlink-900", "NVLink of 900 GB/s both directions", "nvlink", Of::any,
     [](const Scenario& s) { return nvlink_change(s, kH100NvLink); },
     [](const Scenario&, Scenario& s) { set_nvlink(s, kH100NvLink); }},
    {"nvlink-400", "NVLink of 400 GB/s both directions", "nvlink", Of::any,
     [](const Scenario& s) { return nvlink_change(s, kH800NvLink); },
     [](const Scenario&, Scenario& s) { set_nvlink(s, kH800NvLink); }},
    {"hbm-half", "half the memory bandwidth", "memory", Of::any,
     [](const Scenario& s) {
       const BytesPerSecond now = s.cluster.node.gpu.hbm_bandwidth;
       return fmt::format("{} -> {}", format_rate(now), format_rate(0.5 * now));
     },
     [](const Scenario& original, Scenario& s) {
       s.cluster.node.gpu.hbm_bandwidth = 0.5 * original.cluster.node.gpu.hbm_bandwidth;
     }},
    {"nic-half", "NICs of half the bandwidth", "nic", Of::any,
     [](const Scenario& s) { return rates(s.cluster.node.nic_bandwidth, 0.5 * s.cluster.node.nic_bandwidth); },
     [](const Scenario& original, Scenario& s) {
       s.cluster.node.nic_bandwidth = 0.5 * original.cluster.node.nic_bandwidth;
     }},
    {"compute-half", "half the computing rate", "compute", Of::any,
     [](const Scenario& s) {
       return fmt::format("{:.4g} -> {:.4g} TFLOPS BF16", s.cluster.node.gpu.bf16_peak.value() / 1e12,
                          s.cluster.node.gpu.bf16_peak.value() / 2e12);
     },
     [](const Scenario& original, Scenario& s) {
       const GpuSpec& gpu = original.cluster.node.gpu;
       s.cluster.node.gpu.bf16_peak = 0.5 * gpu.bf16_peak;
       s.cluster.node.gpu.fp8_peak = 0.5 * gpu.fp8_peak;
       s.cluster.node.gpu.fp32_peak = 0.5 * gpu.fp32_peak;
     }},
};

const NamedCause& cause_named(const std::string& id) {
  std::vector<std::string> ids;
  for (const NamedCause& cause : named_causes()) {
    if (cause.id == id) return cause;
    ids.emplace_back(cause.id);
  }
  throw InputError(Diagnostic{"", 0, 0, "--cause", "\"" + id + "\"", fmt::format("one of {}", fmt::join(ids, ", ")),
                              nearest_name(id, ids)});
}

}  // namespace

namespace {

std::span<const ScenarioField> fields_of(const Scenario& s) {
  return s.rl ? rl_fields() : s.training ? training_fields() : serving_fields();
}

bool concerns(Of of, const Scenario& s) {
  switch (of) {
    case Of::any:
      return true;
    case Of::both:
      return s.training || s.serving;
    case Of::training:
      return s.training.has_value();
    case Of::serving:
      return s.serving != nullptr;
    case Of::loop:
      return s.rl != nullptr;
  }
  return false;
}

}  // namespace

std::vector<Cause> differences(const Scenario& from, const Scenario& to, bool whole_structure) {
  std::vector<Cause> causes;
  std::vector<const ScenarioField*> structure;
  for (const FieldGroup& group : field_groups()) {
    std::vector<const ScenarioField*> fields;
    for (const ScenarioField& field : fields_of(from)) {
      if (field.group == group.id && !field.same(from, to)) fields.push_back(&field);
    }
    if (fields.empty()) continue;
    if ((group.structure && whole_structure) || (from.rl && leans_on_placement(group.id, from, to)))
      structure.insert(structure.end(), fields.begin(), fields.end());
    else {
      causes.push_back(cause_of(std::string(group.id), std::string(group.title), std::move(fields), from, to));
    }
  }
  if (!structure.empty())
    causes.push_back(whole_structure
                         ? cause_of("work", "model, plan, batch and schedule", std::move(structure), from, to)
                         : cause_of("placement", "who has which GPUs, and plans", std::move(structure), from, to));
  return causes;
}

std::span<const NamedCause> named_causes() {
  static const std::vector<NamedCause> kAll = [] {
    std::vector<NamedCause> all(std::begin(kCauses), std::end(kCauses));
    all.insert(all.end(), loop_causes().begin(), loop_causes().end());
    return all;
  }();
  return kAll;
}

std::vector<Cause> causes_by_name(std::span<const std::string> ids, const Scenario& scenario) {
  std::vector<const NamedCause*> rows;
  for (const std::string& id : ids) {
    const NamedCause& row = cause_named(id);
    const auto rival = std::find_if(rows.begin(), rows.end(), [&](const auto* r) { return r->topic == row.topic; });
    if (rival != rows.end()) {
      throw InputError(Diagnostic{"", 0, 0, "--cause", fmt::format("both {} and {}", (*rival)->id, id),
                                  fmt::format("one cause on {}", row.topic), ""});
    }
    if (!concerns(row.of, scenario) || row.change(scenario).empty()) {
      throw InputError(Diagnostic{"", 0, 0, "--cause",
                                  fmt::format("{}, which changes nothing in {}", id, scenario.name),
                                  "a cause that does", ""});
    }
    rows.push_back(&row);
  }
  std::vector<Cause> causes;
  for (const NamedCause* row : rows) {
    causes.push_back({std::string(row->id), std::string(row->title), row->change(scenario),
                      [row, scenario](Scenario& s) { row->apply(scenario, s); }});
  }
  return causes;
}

namespace {

/// Weights and the cache of one request of usual length must fit.
std::string unsound_memory(const PoolSpec& pool, const Scenario& scenario) {
  const ReplicaMemory memory = replica_memory(pool.engine, scenario.cluster.node.gpu);
  if (memory.table.total() > memory.usable) {
    return fmt::format("{}: {} of weights and workspace on a GPU that has {} for them", pool.name,
                       format_bytes(memory.table.total()), format_bytes(memory.usable));
  }
  double longest = pool.page_tokens;
  for (const TrafficClass& c : scenario.serving->traffic.classes) {
    if (const auto* drawn = std::get_if<DrawnLengths>(&c.lengths))
      longest = std::max(longest, drawn->input.mean() + drawn->output.mean());
  }
  if (static_cast<double>(memory.kv_tokens) >= memory.as_tokens(longest)) return "";
  return fmt::format("{}: room for the cache of {} tokens, less than a request of {:.0f}", pool.name, memory.kv_tokens,
                     longest);
}

std::string unsound_service(const Scenario& scenario) {
  const ServingScenario& serving = *scenario.serving;
  const GpuSpec& gpu = scenario.cluster.node.gpu;
  if (serving.gpus() > scenario.cluster.gpus())
    return fmt::format("{} GPUs in replicas on a cluster of {}", serving.gpus(), scenario.cluster.gpus());
  std::size_t replicas = 0;
  for (const PoolSpec& pool : serving.pools) {
    const EngineConfig& e = pool.engine;
    if (e.precision.linear == Precision::fp8 && gpu.fp8_peak <= FlopPerSecond(0))
      return fmt::format("FP8 weights on {}, which has no FP8", gpu.name);
    if (e.plan.expert > 1 && (e.model.moe.experts + e.redundant_experts) % e.plan.expert != 0)
      return fmt::format("{}: experts and their copies that do not divide over {} GPUs", pool.name, e.plan.expert);
    if (e.communication_sms >= gpu.sms)
      return fmt::format("{}: {} SMs for exchange on a GPU of {}", pool.name, e.communication_sms, gpu.sms);
    if (pool.prefix.on && pool.prefix.block_tokens % pool.page_tokens != 0)
      return fmt::format("{}: blocks of {} tokens in pages of {}", pool.name, pool.prefix.block_tokens,
                         pool.page_tokens);
    if (std::string fault = unsound_memory(pool, scenario); !fault.empty()) return fault;
    replicas += static_cast<std::size_t>(pool.replicas);
  }
  for (const StatedFault& fault : serving.failures.stated)
    for (const std::size_t replica : fault.replicas)
      if (replica >= replicas) return fmt::format("a fault of replica {} of {}, numbered from 0", replica, replicas);
  return "";
}

}  // namespace

std::string unsound(const Scenario& scenario) {
  if (scenario.serving) return unsound_service(scenario);
  if (scenario.rl) return unsound_loop(scenario);
  const TrainingConfig& c = *scenario.training;
  const PlanPaths paths{"training.plan", "training.batch"};
  const Places places;
  Diagnostics faults;
  check_plan(c.plan, c.model, paths, places, faults);
  check_gpu_count(c.plan, scenario.cluster, paths, places, faults);
  const bool divides = check_batch(c.batch, c.plan, paths, places, faults);
  if (divides && c.schedule_file.empty()) check_schedule(c, paths, places, faults);
  check_precision_on(scenario.cluster.node.gpu, c.precision, places, faults);
  check_expert_load(c.expert_load, c.plan, c.model, places, faults);
  return faults.empty() ? "" : to_string(faults.front());
}

}  // namespace flopcast
