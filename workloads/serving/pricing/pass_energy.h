// What the kernels of an iteration draw on one GPU, idle power apart. Collectives draw nothing beyond idle here: nobody
// has measured them.
#pragma once
#include <cstdint>

#include "workloads/serving/pricing/forward.h"

namespace flopcast {

/// What a GPU spends in the mean of its replica on a decoding iteration of `batch` requests of one attention group with
/// `kv_tokens` cached tokens each.
Joules decode_energy(const ForwardModel& model, double batch, double kv_tokens);

/// An iteration in which `requests` prompts of one attention group get `tokens` tokens each, the cache then holding
/// `kv_tokens` of each.
Joules prompt_energy(const ForwardModel& model, double requests, double tokens, double kv_tokens);

/// Mean power of a GPU that does that much work in `time`, never above its board's limit; zero where no power is known.
Watts mean_power(const KernelModel& kernels, Joules work, Seconds busy, Seconds time);

}  // namespace flopcast
