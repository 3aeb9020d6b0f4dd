// What frameworks call things that have another name here: read by imports (run_training.cc, run_megatron.cc) and by
// exports (analysis/runs/training/show/framework_settings.h).
#pragma once
#include <string_view>

#include "workloads/training/training.h"

namespace flopcast {

/// A schedule of torchtitan, with how many stages a rank has where nothing says it.
struct TitanSchedule {
  std::string_view theirs, ours;
  int stages;
  bool exported = true;  ///< what is named `ours` is written so
};
inline constexpr TitanSchedule kTitanSchedules[] = {
    {"1F1B", "1f1b", 1},
    {"GPipe", "gpipe", 1},
    {"Interleaved1F1B", "interleaved_1f1b", 2},
    {"ZBVZeroBubble", "zb_v", 2},
    {"DualPipeV", "dualpipev", 2},
    {"InterleavedZeroBubble", "zb_h1", 2, false},  // theirs has two stages on a rank, ours one
};

/// A model of torchtitan beside those whose flavor is their size (llama3). The last of a family is meant by flavors
/// that none begins.
struct TitanModel {
  std::string_view family, flavor, ours;
};
inline constexpr TitanModel kTitanModels[] = {
    {"llama4", "17bx16e", "llama-4-scout"},
    {"llama4", "17bx128e", "llama-4-maverick"},
    {"deepseek_v3", "16B", "deepseek-v2-lite"},
    {"deepseek_v3", "671B", "deepseek-v3"},
};

/// What Megatron-LM may recompute, and the field of `training.recompute` that says so.
struct MegatronRecompute {
  std::string_view module, field;
  bool RecomputePlan::*member;
};
inline constexpr MegatronRecompute kMegatronRecompute[] = {
    {"core_attn", "attention_core", &RecomputePlan::attention_core},
    {"mla_up_proj", "attention_up_projections", &RecomputePlan::attention_up_projections},
    {"moe_act", "activation_function", &RecomputePlan::activation_function},
    {"layernorm", "norms", &RecomputePlan::norms},
    {"mlp", "mlp", &RecomputePlan::mlp},
};

}  // namespace flopcast
