// Settings of frameworks that change nothing of what is predicted here. "wandb-*" stands for all that begin so.
// Internal to scenarios/imports/runs.
#pragma once
#include <span>
#include <string_view>

namespace flopcast {

std::span<const std::string_view> megatron_without_effect();
std::span<const std::string_view> torchtitan_without_effect();
std::span<const std::string_view> deepspeed_without_effect();
std::span<const std::string_view> vllm_without_effect();
std::span<const std::string_view> sglang_without_effect();
std::span<const std::string_view> trtllm_without_effect();

}  // namespace flopcast
