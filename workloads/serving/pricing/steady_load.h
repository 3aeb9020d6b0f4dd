// How much more the busiest GPU has of experts' rows than the mean where what is asked does not change.
#pragma once
#include <cstdint>

#include "workloads/serving/pricing/expert_pace.h"

namespace flopcast {

/// Correlation, between logarithms of experts' loads, of an iteration with what the same traffic gave when copies were
/// placed by it: where thousands of answers are under way. The busiest of 72 GPUs then gets 1.6 times the mean, of
/// 36 1.35 times; placed by the very iterations that are counted, 1.115 times on 36 (NVIDIA/TensorRT-LLM
/// examples/wide_ep/ep_load_balancer/README.md @ 2a595f8).
constexpr double kAnswersAlike = 0.9;
/// The same where only the prompts of some hundred requests are: SGLang measured that copies placed so leave 15 to 18 %
/// of prefill over 32 GPUs to even loads (lmsys.org/blog/2025-05-05-large-scale-ep, read 2026-11-26).
constexpr double kPromptsAlike = 0.84;

/// Load of the busiest rank over the mean, mean over `layers` whose loads are drawn independently: a coefficient of
/// variation `variation` among experts; copies, where the group has any, placed by loads that correlate by `alike` with
/// those of iterations, else experts in order.
double steady_busiest_load(double variation, double alike, const ExpertGroup& group, int layers, std::uint64_t seed);

}  // namespace flopcast
