#include "analysis/studies/explain/explain.h"

#include <fmt/format.h>

#include "analysis/render/text/format.h"
#include "scenarios/proto/report.pb.h"
#include "sim/jobs/packed.h"

namespace flopcast {
namespace {

using Config = TrainingConfig;

bool has_experts(const Config& c) { return c.model.moe.experts > 0; }
bool uneven_load(const Config& c) { return has_experts(c) && c.expert_load.kind != ExpertLoad::Kind::balanced; }
bool whole_layers(const Config& c) {
  return c.plan.pipeline > 1 && (c.plan.layer_split != "fractional" || !c.plan.stage_layers.empty());
}

bool shares_sms(const Config& c) {
  const bool collectives = c.mechanisms.gradient_collectives && c.overheads.collective_share > 0 &&
                           (c.plan.overlap_gradients || c.plan.overlap_parameters) && c.plan.replicas() > 1;
  return c.mechanisms.communication_sms && (has_experts(c) || collectives);
}

/// By its limit, or by a lower one than the board is sold with where prices hold that.
bool limited_by_board(const Scenario& scenario) {
  constexpr PowerLoad kBeyondAnyBoard{Seconds(1), 1, Joules(1e9)};
  const GpuSpec& gpu = scenario.cluster.node.gpu;
  return gpu.tdp < gpu.rated_power() ||
         training_kernels(scenario, *scenario.training).settled(kBeyondAnyBoard).clock < 1;
}

void fractional_layers(Config& c) {
  c.plan.layer_split = "fractional";
  c.plan.stage_layers.clear();
}

}  // namespace

const std::vector<Mechanism>& mechanisms() {
  static const std::vector<Mechanism> kMechanisms = {
      {"layers that do not divide evenly over stages", "training.plan.layer_split=fractional", whole_layers,
       fractional_layers},
      {"embedding, output head and MTP on their stages", "training.mechanisms.embedding_head_mtp=false",
       [](const Config& c) { return c.mechanisms.embedding_head_mtp; },
       [](Config& c) { c.mechanisms.embedding_head_mtp = false; }},
      {"clock under the board's power limit", "training.mechanisms.board_limit=false",
       [](const Config& c) { return c.mechanisms.board_limit; }, [](Config& c) { c.mechanisms.board_limit = false; },
       limited_by_board},
      {"host that starts kernels", "training.mechanisms.host=false", [](const Config& c) { return c.mechanisms.host; },
       [](Config& c) { c.mechanisms.host = false; }},
      {"tensor and context exchange inside layers", "training.mechanisms.tensor_context_communication=false",
       [](const Config& c) {
         return c.mechanisms.tensor_context_communication &&
                (c.plan.tensor > 1 || c.plan.context > 1 || c.plan.expert_tensor > 1);
       },
       [](Config& c) { c.mechanisms.tensor_context_communication = false; }},
      {"expert dispatch and combine", "training.mechanisms.expert_communication=false",
       [](const Config& c) { return has_experts(c) && c.mechanisms.expert_communication; },
       [](Config& c) { c.mechanisms.expert_communication = false; }},
      {"uneven expert load", "training.expert_load.kind=balanced", uneven_load,
       [](Config& c) { c.expert_load.kind = ExpertLoad::Kind::balanced; }},
      {"transfers between stages", "training.mechanisms.pipeline_transfers=false",
       [](const Config& c) { return c.plan.pipeline > 1 && c.mechanisms.pipeline_transfers; },
       [](Config& c) { c.mechanisms.pipeline_transfers = false; }},
      {"gradient and parameter collectives", "training.mechanisms.gradient_collectives=false",
       [](const Config& c) { return c.mechanisms.gradient_collectives; },
       [](Config& c) { c.mechanisms.gradient_collectives = false; }},
      // Behind every exchange that it comes with: SMs of dispatch and combine, and of collectives beside compute.
      {"communication takes SMs from compute", "training.mechanisms.communication_sms=false", shares_sms,
       [](Config& c) { c.mechanisms.communication_sms = false; }},
      {"spread of speed between GPUs", "training.mechanisms.gpu_speed_spread=0",
       [](const Config& c) { return c.gpu_speed_spread() > 0; }, [](Config& c) { c.mechanisms.gpu_speed_spread = 0; }},
  };
  return kMechanisms;
}

Explanation explain(const Scenario& scenario, const RunOptions& options, int workers) {
  std::vector<const Mechanism*> in_force;
  for (const Mechanism& mechanism : mechanisms()) {
    if (mechanism.in_force_in(scenario)) in_force.push_back(&mechanism);
  }
  // Rung i has the first i mechanisms on and the others off.
  const auto rung = [&](std::size_t i) {
    Config config = *scenario.training;
    for (std::size_t off = i; off < in_force.size(); ++off) in_force[off]->switch_off(config);
    return config;
  };
  RunOptions quiet = options;
  quiet.allow_oom = true;  // a bare step is a what-if: whether it fits is not the question
  quiet.stage = {};
  quiet.progress = {};
  const std::vector<Seconds> times = parallel_map<Seconds>(
      in_force.size() + 1, workers, [&](std::size_t i) { return step_time(scenario, rung(i), quiet); });
  Explanation explanation{times.front(), times.back(), {}};
  for (std::size_t i = 0; i < in_force.size(); ++i) explanation.costs.push_back({in_force[i], times[i + 1] - times[i]});
  return explanation;
}

std::string to_text(const Explanation& explanation, const TextStyle& style) {
  std::string out =
      style.bold(wrap(fmt::format("One step takes {:.3f} s; a rough estimate without these mechanisms {:.3f} s.",
                                  explanation.step_time.value(), explanation.bare.value()),
                      style.width(), "")) +
      "\n\n";
  TextTable table({Align::left, Align::right, Align::right});
  table.header({"mechanism, and what switches it off", "adds", "step"});
  table.row({"none of these", "", fmt::format("{:.3f} s", explanation.bare.value())});
  Seconds step = explanation.bare;
  for (const MechanismCost& cost : explanation.costs) {
    step += cost.adds;
    table.row({std::string(cost.mechanism->name), fmt::format("{:+.3f} s", cost.adds.value()),
               fmt::format("{:.3f} s", step.value())});
    table.row({"  --set " + std::string(cost.mechanism->set)});
  }
  out += table.render(style);
  return out +
         style.dim("  " + wrap("Each is added to those above it; in another order they would share the difference "
                               "otherwise.",
                               style.width() - 2, "  ")) +
         "\n";
}

report::Explanation to_message(const Explanation& explanation) {
  report::Explanation message;
  message.set_step_time_s(explanation.step_time.value());
  message.set_bare_step_time_s(explanation.bare.value());
  for (const MechanismCost& cost : explanation.costs) {
    report::Mechanism& item = *message.add_mechanisms();
    item.set_name(std::string(cost.mechanism->name));
    item.set_set(std::string(cost.mechanism->set));
    item.set_adds_s(cost.adds.value());
  }
  return message;
}

}  // namespace flopcast
