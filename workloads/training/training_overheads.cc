#include "workloads/training/training.h"

#include <algorithm>
#include <cassert>
#include <cstdint>

namespace flopcast {
namespace {

/// Seconds in a unit of time of the data file.
double seconds_in(std::string_view unit) {
  assert(unit == "ms" || unit == "us");
  return unit == "ms" ? 1e-3 : 1e-6;
}

}  // namespace

double OverheadRow::get(const TrainingOverheads& overheads) const {
  if (const auto* ratio = std::get_if<double TrainingOverheads::*>(&field)) return overheads.**ratio;
  return (overheads.*std::get<Seconds TrainingOverheads::*>(field)).value() / seconds_in(unit);
}

void OverheadRow::set(TrainingOverheads& overheads, double value) const {
  if (const auto* ratio = std::get_if<double TrainingOverheads::*>(&field)) {
    overheads.** ratio = value;
  } else {
    overheads.*std::get<Seconds TrainingOverheads::*>(field) = Seconds(value * seconds_in(unit));
  }
}

bool stays_gathered(const TrainingConfig& config) {
  return config.software.keeps_stages_gathered && config.plan.pipeline > 1 && config.plan.zero_stage >= 3;
}

bool reduces_last(const TrainingConfig& config) {
  return config.plan.zero_stage >= 2 && (config.software.reduces_last || stays_gathered(config));
}

AttentionKernel attention_kernel_of(const SoftwareProfile& software, const ModelConfig& model) {
  if (software.unfused_attention) return AttentionKernel::unfused;
  if (software.flex_windows && model.windowed_layers() > 0) return AttentionKernel::flex;
  return software.flash2 ? AttentionKernel::flash2 : AttentionKernel::fused;
}

int expert_tensor_of(const SoftwareProfile& software, const ParallelPlan& plan, const ModelConfig& model) {
  if (!software.expert_tensor_follows_tensor || model.moe.experts == 0) return 1;
  // A plan that is still to be refused may state sizes of 0.
  if (std::min({plan.pipeline, plan.expert, plan.tensor}) < 1) return 1;
  return plan.gpus() / plan.pipeline % (std::int64_t{plan.expert} * plan.tensor) == 0 ? plan.tensor : 1;
}

std::span<const OverheadRow> overhead_rows() {
  using O = TrainingOverheads;
  static constexpr OverheadRow kRows[] = {
      {"tensor_exposed", "", "share of a tensor-parallel collective that stays visible beside a long enough GEMM",
       &O::tensor_exposed},
      {"context_exposed", "", "share of a hop of ring attention that stays visible beside attention",
       &O::context_exposed},
      {"collective_share", "", "share of the GPU's speed that a collective takes from the compute beside it",
       &O::collective_share},
      {"vendor_clock", "",
       "clock of a long run whose GEMMs are cuBLAS's, over the one that the board's power limit leaves",
       &O::vendor_clock},
      {"fp8_exact_sums", "",
       "time of a per-tensor FP8 product whose sums are kept exact (gradients), over one with fast accumulation",
       &O::fp8_exact_sums},
      {"gpu_speed_spread", "", "standard deviation of speed among GPUs of one type, where a scenario states none",
       &O::gpu_speed_spread},
      {"step_ms", "ms", "host work of every step of several GPUs: data, logging, bookkeeping of the optimiser",
       &O::step},
      {"host_launch_us", "us", "host time per kernel launch, hidden while the GPU has longer work", &O::host_launch},
      {"flash2_forward", "", "speed of FlashAttention-2 over that of kernels made for Hopper", &O::flash2_forward},
      {"flash2_backward", "", "the same of its backward pass", &O::flash2_backward},
      {"flash2_energy", "",
       "energy per FLOP of attention kernels not made for Hopper (FlashAttention-2, FlexAttention), over attention's",
       &O::flash2_energy},
      {"flex_forward", "", "speed of FlexAttention over that of kernels made for Hopper", &O::flex_forward},
      {"flex_backward", "", "the same of its backward pass", &O::flex_backward},
      {"flash2_forward_blackwell", "", "speed of FlashAttention-2 over that of kernels made for Blackwell",
       &O::flash2_forward_blackwell},
      {"flash2_backward_blackwell", "", "the same of its backward pass", &O::flash2_backward_blackwell},
      {"flex_forward_ampere", "", "speed of FlexAttention over FlashAttention-2 on Ampere", &O::flex_forward_ampere},
      {"flex_backward_ampere", "", "the same of its backward pass", &O::flex_backward_ampere},
      {"graph_gap_us", "us", "between two kernels of a CUDA graph", &O::graph_gap},
  };
  return kRows;
}

}  // namespace flopcast
