#include "analysis/compare/causes.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "analysis/compare/scenario_fields.h"
#include "analysis/format.h"
#include "scenarios/training_laws.h"
#include "sim/diagnostic.h"

namespace flopcast {
namespace {

// ------------------------------------------------------------------------------------------- differences

/// The values that differ, the first few of them.
std::string change_text(const std::vector<const ScenarioField*>& fields, const Scenario& from,
                        const Scenario& to) {
  constexpr std::size_t kMost = 3;
  std::vector<std::string> parts;
  for (const ScenarioField* field : fields) {
    const std::string before = field->text(from), after = field->text(to);
    if (before == after || (before.empty() && after.empty())) continue;
    parts.push_back(fmt::format("{} {} -> {}", field->name, before.empty() ? "none" : before,
                                after.empty() ? "none" : after));
  }
  const std::size_t more = parts.size() > kMost ? parts.size() - kMost : 0;
  parts.resize(parts.size() - more);
  return fmt::format("{}{}", fmt::join(parts, "; "), more > 0 ? fmt::format("; {} more", more) : "");
}

std::string title_of(const FieldGroup& group, const std::vector<const ScenarioField*>& fields) {
  // Chips that differ in nothing but their names are priced by their own measurements.
  const bool only_names = std::all_of(fields.begin(), fields.end(), [](const ScenarioField* f) {
    return f->group == "compute" && (f->name == "gpu" || f->name == "base" || f->name == "architecture");
  });
  return only_names ? "kernels as measured on each GPU" : std::string(group.title);
}

Cause cause_of(std::string id, std::string title, std::vector<const ScenarioField*> fields,
               const Scenario& from, const Scenario& to) {
  const std::string change = change_text(fields, from, to);
  return {std::move(id), std::move(title), change, [fields = std::move(fields), to](Scenario& scenario) {
            for (const ScenarioField* field : fields) field->copy(to, scenario);
          }};
}

// ------------------------------------------------------------------------------------------- named causes

const TrainingConfig& config(const Scenario& s) { return *s.training; }
bool has_experts(const Scenario& s) { return config(s).model.moe.experts > 0; }
bool is_latent(const Scenario& s) { return config(s).model.attention.type == AttentionType::latent; }

std::string rates(BytesPerSecond from, BytesPerSecond to) {
  return fmt::format("{} -> {} per direction", format_rate(from), format_rate(to));
}

// FP8 undone: operands, dispatched tokens and kept activations in BF16. Optimiser states stay as they are.
std::string fp8_change(const Scenario& s) {
  return config(s).precision.linear == Precision::fp8 ? "linear layers, dispatch, activations fp8 -> bf16"
                                                      : "";
}
void undo_fp8(const Scenario&, Scenario& s) {
  PrecisionPlan& p = s.training->precision;
  p.linear = Precision::bf16;
  p.scaling = Scaling::none;
  for (Precision* of : {&p.attention, &p.head, &p.dispatch, &p.combine, &p.activations}) {
    if (*of == Precision::fp8) *of = Precision::bf16;
  }
}

void plain_attention(const AttentionConfig& latent, int kv_heads, Scenario& s) {
  AttentionConfig plain;
  plain.type = kv_heads == latent.heads ? AttentionType::multi_head : AttentionType::grouped_query;
  plain.heads = latent.heads;
  plain.kv_heads = kv_heads;
  plain.head_dim = latent.v_dim;
  s.training->model.attention = plain;
}
std::string mha_change(const Scenario& s) {
  return is_latent(s) ? fmt::format("{} heads of {}, keys and values for each",
                                    config(s).model.attention.heads, config(s).model.attention.v_dim)
                      : "";
}
void use_mha(const Scenario& original, Scenario& s) {
  const AttentionConfig& latent = config(original).model.attention;
  plain_attention(latent, latent.heads, s);
}
// Eight groups of keys and values, as DeepSeek 67B and the Llama 3 models have.
constexpr int kGroups = 8;
std::string gqa_change(const Scenario& s) {
  const AttentionConfig& a = config(s).model.attention;
  return is_latent(s) && a.heads % kGroups == 0
             ? fmt::format("{} heads of {} in {} groups", a.heads, a.v_dim, kGroups)
             : "";
}
void use_gqa(const Scenario& original, Scenario& s) {
  plain_attention(config(original).model.attention, kGroups, s);
}

// An equally capable dense model: by a rule of thumb a mixture of experts is worth a dense model of the
// geometric mean of its active and total parameters (an assumption; see the README). Only the width of the
// FFN is changed.
int dense_width(const ModelConfig& moe) {
  const ParameterCount count = count_parameters(moe);
  const double wanted = std::sqrt(count.active * count.total);
  const double besides =
      count.embedding + count.head + moe.layers * (count.attention_per_layer + count.norms_per_layer);
  const double per_width = (moe.gated_ffn ? 3.0 : 2.0) * moe.hidden * moe.layers;
  constexpr double kMultiple = 1024;  // widths that GPUs like
  return static_cast<int>(std::max(1.0, std::round((wanted - besides) / per_width / kMultiple)) * kMultiple);
}
std::string dense_change(const Scenario& s) {
  if (!has_experts(s)) return "";
  const ParameterCount count = count_parameters(config(s).model);
  return fmt::format("{} parameters, {} active -> {} dense", format_count(count.total),
                     format_count(count.active), format_count(std::sqrt(count.active * count.total)));
}
void use_dense(const Scenario& original, Scenario& s) {
  TrainingConfig& c = *s.training;
  c.model.ffn_width = dense_width(config(original).model);
  c.model.moe = {};
  c.plan.expert = 1;
  c.expert_load = {};
}

std::string schedule_change(const Scenario& s, const char* to) {
  return config(s).schedule.empty() || config(s).schedule == to
             ? ""
             : fmt::format("{} -> {}", config(s).schedule, to);
}

std::string routing_change(const Scenario& s) {
  const MoeConfig& moe = config(s).model.moe;
  return has_experts(s) && moe.groups_per_token < moe.groups
             ? fmt::format("{} of {} groups per token -> all", moe.groups_per_token, moe.groups)
             : "";
}
void free_routing(const Scenario&, Scenario& s) {
  s.training->model.moe.groups = 1;
  s.training->model.moe.groups_per_token = 1;
}

constexpr BytesPerSecond kH100NvLink(450e9), kH800NvLink(200e9);  // data/gpus/h100-sxm, h800-sxm
void set_nvlink(Scenario& s, BytesPerSecond rate) {
  s.cluster.node.nvlink_bandwidth = rate;
  s.cluster.node.gpu.nvlink_bandwidth = rate;
}
std::string nvlink_change(const Scenario& s, BytesPerSecond to) {
  return s.cluster.node.nvlink_bandwidth == to ? "" : rates(s.cluster.node.nvlink_bandwidth, to);
}

constexpr NamedCause kCauses[] = {
    {"fp8", "BF16 instead of FP8", "precision", fp8_change, undo_fp8},
    {"mha", "multi-head instead of latent attention", "attention", mha_change, use_mha},
    {"gqa", "grouped-query instead of latent attention", "attention", gqa_change, use_gqa},
    {"dense", "a dense model instead of experts", "experts", dense_change, use_dense},
    {"1f1b", "1F1B", "schedule", [](const Scenario& s) { return schedule_change(s, "1f1b"); },
     [](const Scenario&, Scenario& s) { s.training->schedule = "1f1b"; }},
    {"zb1p", "ZB1P", "schedule", [](const Scenario& s) { return schedule_change(s, "zb_h1"); },
     [](const Scenario&, Scenario& s) { s.training->schedule = "zb_h1"; }},
    {"dualpipe", "DualPipe", "schedule", [](const Scenario& s) { return schedule_change(s, "dualpipe"); },
     [](const Scenario&, Scenario& s) { s.training->schedule = "dualpipe"; }},
    {"free-routing", "experts on any node", "routing", routing_change, free_routing},
    {"nvlink-900", "NVLink of 900 GB/s both directions", "nvlink",
     [](const Scenario& s) { return nvlink_change(s, kH100NvLink); },
     [](const Scenario&, Scenario& s) { set_nvlink(s, kH100NvLink); }},
    {"nvlink-400", "NVLink of 400 GB/s both directions", "nvlink",
     [](const Scenario& s) { return nvlink_change(s, kH800NvLink); },
     [](const Scenario&, Scenario& s) { set_nvlink(s, kH800NvLink); }},
    {"hbm-half", "half the memory bandwidth", "memory",
     [](const Scenario& s) {
       const BytesPerSecond now = s.cluster.node.gpu.hbm_bandwidth;
       return fmt::format("{} -> {}", format_rate(now), format_rate(0.5 * now));
     },
     [](const Scenario& original, Scenario& s) {
       s.cluster.node.gpu.hbm_bandwidth = 0.5 * original.cluster.node.gpu.hbm_bandwidth;
     }},
    {"nic-half", "NICs of half the bandwidth", "nic",
     [](const Scenario& s) {
       return rates(s.cluster.node.nic_bandwidth, 0.5 * s.cluster.node.nic_bandwidth);
     },
     [](const Scenario& original, Scenario& s) {
       s.cluster.node.nic_bandwidth = 0.5 * original.cluster.node.nic_bandwidth;
     }},
    {"compute-half", "half the computing rate", "compute",
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
  throw InputError(Diagnostic{"", 0, 0, "--cause", "\"" + id + "\"",
                              fmt::format("one of {}", fmt::join(ids, ", ")), nearest_name(id, ids)});
}

}  // namespace

std::vector<Cause> differences(const Scenario& from, const Scenario& to, bool whole_structure) {
  std::vector<Cause> causes;
  std::vector<const ScenarioField*> structure;
  for (const FieldGroup& group : field_groups()) {
    std::vector<const ScenarioField*> fields;
    for (const ScenarioField& field : scenario_fields()) {
      if (field.group == group.id && !field.same(from, to)) fields.push_back(&field);
    }
    if (fields.empty()) continue;
    if (group.structure && whole_structure)
      structure.insert(structure.end(), fields.begin(), fields.end());
    else {
      // Before `fields` moves away: arguments are evaluated in any order.
      std::string title = title_of(group, fields);
      causes.push_back(cause_of(std::string(group.id), std::move(title), std::move(fields), from, to));
    }
  }
  if (!structure.empty())
    causes.push_back(cause_of("work", "model, plan, batch and schedule", std::move(structure), from, to));
  return causes;
}

std::span<const NamedCause> named_causes() { return kCauses; }

std::vector<Cause> causes_by_name(std::span<const std::string> ids, const Scenario& scenario) {
  std::vector<const NamedCause*> rows;
  for (const std::string& id : ids) {
    const NamedCause& row = cause_named(id);
    const auto rival =
        std::find_if(rows.begin(), rows.end(), [&](const auto* r) { return r->topic == row.topic; });
    if (rival != rows.end()) {
      throw InputError(Diagnostic{"", 0, 0, "--cause", fmt::format("both {} and {}", (*rival)->id, id),
                                  fmt::format("one cause on {}", row.topic), ""});
    }
    if (row.change(scenario).empty()) {
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

std::string unsound(const Scenario& scenario) {
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
