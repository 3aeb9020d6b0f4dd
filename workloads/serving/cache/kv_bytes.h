// What a token leaves in the KV cache.
#pragma once
#include "hwmodels/chips/precision.h"
#include "sim/base/units.h"
#include "workloads/model/model.h"

namespace flopcast {

/// Elements that all layers keep of one more token: keys and values of every KV head; with latent attention the
/// compressed latent and the shared rotary key, once for all heads (DeepSeek-V2, arXiv 2405.04434, 2.1.2
/// and 2.1.3). Layers with a window or a state are left out: see below.
double kv_elements_per_token(const ModelConfig& model);

/// Bytes of one more token over all layers of the model, MTP modules left out. FP8: one byte per element, scales
/// left out. In BF16: DeepSeek-V3 70,272, Llama 3.1 405B 516,096, Qwen2.5 72B 327,680 (arXiv 2505.09343,
/// Table 1).
Bytes kv_bytes_per_token(const ModelConfig& model, Precision precision);

/// Bytes of one token on each of `tensor` GPUs that share the attention heads, one pipeline stage: KV heads
/// are divided as far as there are any, then copied; the latent of latent attention is copied to every GPU.
Bytes kv_bytes_per_token_and_gpu(const ModelConfig& model, Precision precision, int tensor);

/// Bytes that a sequence takes on each GPU for layers with a window, once it is as long as that. gpt-oss-120b in BF16:
/// 18 layers x 128 tokens x 2,048 B = 4.7 MB. A shorter one takes its tokens' share.
Bytes kv_bytes_per_window_and_gpu(const ModelConfig& model, Precision precision, int tensor);

/// Bytes that a sequence takes on each GPU however long it is: states of the layers that have one.
Bytes kv_bytes_per_state_and_gpu(const ModelConfig& model, int tensor);

}  // namespace flopcast
