// What training frameworks do differently, by name and version: mechanisms with units, each with its source and date
// (workloads/data/software/*.textproto). The defaults here are those of an ideal framework.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "hwmodels/chips/gpu.h"  // Source
#include "sim/base/fields.h"
#include "sim/base/units.h"

namespace flopcast {

/// What carries tokens to experts and back.
enum class ExpertDispatcher : std::uint8_t {
  deep_ep,     ///< DeepEP's kernels: a token goes once to each node, NVLink forwards it; they take SMs of their own
  all_to_all,  ///< NCCL all-to-all of token copies, one per expert rank
};
constexpr std::array<std::string_view, 2> enum_names(ExpertDispatcher) { return {"deep_ep", "all_to_all"}; }

struct SoftwareProfile {
  std::string name;
  std::string title;
  std::string released;  ///< 2025-09, or a day

  // Memory.
  double loss_bytes = 4;         ///< per logit, at the peak of loss and its gradient, as a chain of kernels
  double fused_loss_bytes = 4;   ///< where one kernel makes the loss of the logits
  Bytes workspace;               ///< scratch that libraries keep for good: cuBLAS, Transformer Engine
  Bytes expert_workspace;        ///< the same for the GEMMs of experts
  bool fused_activation = true;  ///< activation and product in one kernel; else its input and both results are kept

  // Time.
  bool eager = false;            ///< norms, rotary positions, activations and residuals as chains of PyTorch's kernels
  FlopPerSecond attention_rate;  ///< attention computes no faster, forward and backward; 0: as measured on its kernels
  double expert_cast_bytes = 0;  ///< moved per parameter of an expert and micro-batch, in FP8 with scales per tensor

  // What plans leave open.
  bool expert_tensor_follows_tensor = false;  ///< experts are sliced like dense matrices, unless a plan says otherwise
  bool overlaps_exchange = true;              ///< gradients and parameters of data parallelism travel beside compute
  ExpertDispatcher dispatcher = ExpertDispatcher::deep_ep;
  std::map<std::string, Source> sources;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("name", &SoftwareProfile::name, {.cause = "software", .shown = "software", .resolved = true});
    field("title", &SoftwareProfile::title, {kLabel});
    field("released", &SoftwareProfile::released, {kLabel});
    field("loss_bytes", &SoftwareProfile::loss_bytes, {"software"});
    field("fused_loss_bytes", &SoftwareProfile::fused_loss_bytes, {"software"});
    field("workspace", &SoftwareProfile::workspace, {"software"});
    field("expert_workspace", &SoftwareProfile::expert_workspace, {"software"});
    field("fused_activation", &SoftwareProfile::fused_activation, {"software"});
    field("eager", &SoftwareProfile::eager, {"software"});
    field("attention_rate", &SoftwareProfile::attention_rate, {"software"});
    field("expert_cast_bytes", &SoftwareProfile::expert_cast_bytes, {"software"});
    field("expert_tensor_follows_tensor", &SoftwareProfile::expert_tensor_follows_tensor, {"software"});
    field("overlaps_exchange", &SoftwareProfile::overlaps_exchange, {"software"});
    field("dispatcher", &SoftwareProfile::dispatcher, {"software"});
    field("sources", &SoftwareProfile::sources, {.cause = kLabel, .resolved = true});
  }
};

/// What it assumes, in one line for lists and reports.
std::string to_text(const SoftwareProfile& software);

}  // namespace flopcast
