// How much more the busiest GPU has of experts' rows than the mean where what is asked does not change.
#pragma once
#include <cstdint>

#include "workloads/serving/pricing/expert_pace.h"

namespace flopcast {

/// Correlation, between logarithms of experts' loads, of an iteration with what the same traffic gave when copies were
/// placed by it.
/// DeepSeek-R1, EP36 with 32 copies, iterations 100 to 200: the busiest GPU gets 1.115 times the mean, mean of all
/// layers (without copies 2.56); NVIDIA/TensorRT-LLM examples/wide_ep/ep_load_balancer/README.md @ 2a595f8, read
/// 2026-11-26.
constexpr double kAnswersAlike = 0.989;
/// The same of an iteration that only computes prompts, some hundred of them: DeepSeek-V3 on 32 H100 with 32 copies,
/// prompts of 4,096 tokens: even loads give 1.18 times as many tokens per second
/// (lmsys.org/blog/2025-05-05-large-scale-ep).
constexpr double kPromptsAlike = 0.97;

/// Load of the busiest rank over the mean, mean over `layers` whose loads are drawn independently: a coefficient of
/// variation `variation` among experts; copies, where the group has any, placed by loads that correlate by `alike` with
/// those of iterations, else experts in order.
double steady_busiest_load(double variation, double alike, const ExpertGroup& group, int layers, std::uint64_t seed);

}  // namespace flopcast
