// What training frameworks do differently, by name and version: mechanisms with units, each with its source and date
// (workloads/data/software/*.textproto). The defaults here are those of an ideal framework.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hwmodels/chips/gpu.h"  // Source
#include "hwmodels/chips/precision.h"
#include "sim/base/fields.h"
#include "sim/base/units.h"

namespace flopcast {

/// What carries tokens to experts and back.
enum class ExpertDispatcher : std::uint8_t {
  deep_ep,     ///< DeepEP's kernels: a token goes once to each node, NVLink forwards it; they take SMs of their own
  all_to_all,  ///< NCCL all-to-all of token copies, one per expert rank
  hybrid_ep,   ///< as DeepEP, by the copy engines of few SMs, which fill NVLink (DeepEP's branch hybrid-ep)
};
constexpr std::array<std::string_view, 3> enum_names(ExpertDispatcher) {
  return {"deep_ep", "all_to_all", "hybrid_ep"};
}
/// A token goes once to each rank that wants it, by kernels that take SMs; else once to each expert that does.
constexpr bool sends_tokens_once(ExpertDispatcher dispatcher) { return dispatcher != ExpertDispatcher::all_to_all; }

/// Runs whose published steps an error was read off.
enum class SeenRuns : std::uint8_t { nothing, dense, experts, all };
constexpr std::array<std::string_view, 4> enum_names(SeenRuns) { return {"nothing", "dense", "experts", "all"}; }

struct SoftwareProfile {
  std::string name;
  std::string title;
  std::string released;  ///< 2025-09, or a day

  // Memory.
  double loss_bytes = 4;          ///< per logit, at the peak of loss and its gradient, as a chain of kernels
  double sharded_loss_bytes = 0;  ///< the same where a tensor-parallel group shares logits; 0: as many
  double fused_loss_bytes = 4;    ///< where one kernel makes the loss of the logits
  Bytes workspace;                ///< scratch that libraries keep for good: cuBLAS, Transformer Engine
  Bytes expert_workspace;         ///< the same for the GEMMs of experts
  bool fused_activation = true;   ///< activation and product in one kernel; else its input and both results are kept
  bool joint_values = false;   ///< values are a view of one product with queries and keys, all of which stays with them
  bool joint_queries = false;  ///< queries of multi-head attention are; keys and values are copied out of it
  bool copied_attention = false;   ///< attention's result is kept in both orders, of several sequences in a micro-batch
  bool keeps_sent = false;         ///< what a stage of a pipeline has sent on stays until its backward pass
  bool frees_gradients = false;    ///< gradients are there from their backward pass to the optimiser alone
  bool shards_are_master = false;  ///< sharded weights (ZeRO-3) are the master weights: nothing else is kept of them
  bool keeps_stages_gathered = false;  ///< with stages of a pipeline, sharded weights stay gathered through a step
  bool gathers_edges = false;          ///< embedding and head are gathered (ZeRO-3) together, and stay so
  bool whole_embedding = false;        ///< under tensor parallelism each GPU has all of the embedding
  bool whole_logits = false;           ///< and gathers all logits before the loss

  // Time.
  bool repeats_keys = false;       ///< keys and values are repeated for every head of queries before attention
  bool gathers_context = false;    ///< keys and values of a shared sequence gathered at once, gradients in FP32 by ring
  bool complex_positions = false;  ///< rotary positions as products of complex numbers, fused with nothing
  bool shard_copies = false;       ///< parameters out of, gradients into the buffers of their exchange by copies
  bool foreach_optimizer = false;  ///< optimiser and clipping as chains of kernels
  bool separate_projections = false;  ///< queries, keys, values, gate and up by products of their own
  bool distributed_tensors = false;   ///< gathered inputs are kept; exchanges have nothing beside them, or are fused
  bool scatters_per_product = false;  ///< gradients of a shared input are scattered product by product
  bool reduces_last = false;          ///< sharded gradients are summed up whole, and reduced with the last micro-batch
  std::string libraries = "current";  ///< of kernels; "2024": products as measured then; "cudnn": its attention
  bool compiled_layers = false;       ///< blocks compiled by PyTorch's Inductor
  bool torch_edges = false;           ///< loss and embedding by PyTorch's own kernels
  bool fused_norms = false;           ///< with `eager`: a norm is one kernel forward, two backward
  int expert_bias_kernels = 0;        ///< 1: biases of experts' second products by PyTorch's kernels; 2: of both
  bool bf16_loss = false;             ///< a chain of kernels makes the loss of logits in BF16
  bool stops_early = false;        ///< a layer done again ends before its last product, and what is sent back after it
  bool experts_keep_late = false;  ///< with `stops_early`: experts done again compute their last product too
  bool eager = false;  ///< norms, rotary positions, activations and residuals as chains of PyTorch's kernels
  /// Attention computes no faster, forward and backward, on 132 SMs at 1,830 MHz (an H100); 0: as measured on its
  /// kernels.
  FlopPerSecond attention_rate;
  FlopPerSecond attention_rate_a100;  ///< on 108 SMs at 1,410 MHz; 0: as many per SM and cycle
  double expert_cast_bytes = 0;  ///< moved per parameter of an expert and micro-batch, in FP8 with scales per tensor
  Seconds host_module;           ///< host time of each call of a linear layer or attention, beside launches
  Seconds host_module_fp8;       ///< what a linear layer in FP8 takes more
  Seconds host_experts;          ///< host time of routing, dispatch and combine, per layer with experts and direction
  bool deep_ep = true;           ///< DeepEP is among its dispatchers
  bool autograd = false;  ///< gradients of weights with those of inputs, not beside the exchange of a lone backward
  bool experts_split_sequence = false;  ///< experts under tensor parallelism only with sequence parallelism
  double error = 0.05;                ///< of published steps, beside those of kernels and links: log standard deviation
  SeenRuns seen = SeenRuns::nothing;  ///< where `error` is from
  bool memory_seen = false;           ///< its peaks of memory were held against published ones
  bool indexed_rows = false;          ///< rows of experts moved by gather, index_select and scatter_add
  bool indexed_once = false;          ///< by index_select and index_add_ alone, in BF16; PyTorch's own top-k and sort
  bool fuses_expert_activation =
      false;                       ///< scales of 32: experts' products apply the activation, and cast what it gives
  double accumulation_bytes = 0;   ///< moved per parameter to add a micro-batch's gradients to those before
  bool blocking_messages = false;  ///< both ranks of a pipeline's message stop for it
  bool scatters_messages = false;  ///< GPUs that share matrices send a part of it each, put together behind it
  Seconds host_message;            ///< host time of a pipeline's message that comes in, with nothing queued on the GPU
  Seconds host_layer;              ///< host time of a layer, forward, beside modules and launches; twice that backward
  Seconds host_exchange;           ///< host time of each exchange within a layer
  Seconds host_dispatch;           ///< host time of each operation on distributed tensors, not compiled
  Seconds host_sizes;              ///< until the host has read how many rows go where, and has sent them off
  Seconds host_adapter;            ///< host time of each product of an adapter, beside its launch

  // What plans may ask for.
  std::vector<std::string> schedules;  ///< of pipelines that it has; empty: all
  std::vector<std::string> lacks;      ///< degrees of a plan that are 1 with it

  // What plans leave open.
  bool expert_tensor_follows_tensor = false;  ///< experts are sliced like dense matrices, unless a plan says otherwise
  bool overlaps_exchange = true;              ///< gradients and parameters of data parallelism travel beside compute
  ExpertDispatcher dispatcher = ExpertDispatcher::deep_ep;
  std::string splits_sequence = "always";  ///< or "dense_alone": without pipelines and experts; or "never"
  bool overlaps_tensor = true;             ///< gathers and scatters of tensor parallelism run beside GEMMs
  bool flash2 = false;                     ///< attention is FlashAttention-2
  bool flex_windows = false;               ///< attention with windows is FlexAttention
  bool unfused_attention = false;          ///< attention writes its scores and reads them again
  std::string splits_layers = "balanced";  ///< over stages: ParallelPlan::layer_split
  Precision gradients = Precision::fp32;   ///< reduced
  bool bf16_states = false;                ///< master weights and moments are kept in BF16
  std::map<std::string, Source> sources;

  /// Whether `error` is that of such runs.
  bool has_seen(bool experts, bool adapters) const {
    return !adapters && (seen == SeenRuns::all || seen == (experts ? SeenRuns::experts : SeenRuns::dense));
  }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("name", &SoftwareProfile::name, {.cause = "software", .shown = "software", .resolved = true});
    field("title", &SoftwareProfile::title, {kLabel});
    field("released", &SoftwareProfile::released, {kLabel});
    field("loss_bytes", &SoftwareProfile::loss_bytes, {"software"});
    field("sharded_loss_bytes", &SoftwareProfile::sharded_loss_bytes, {"software"});
    field("fused_loss_bytes", &SoftwareProfile::fused_loss_bytes, {"software"});
    field("workspace", &SoftwareProfile::workspace, {"software"});
    field("expert_workspace", &SoftwareProfile::expert_workspace, {"software"});
    field("fused_activation", &SoftwareProfile::fused_activation, {"software"});
    field("joint_values", &SoftwareProfile::joint_values, {"software"});
    field("joint_queries", &SoftwareProfile::joint_queries, {"software"});
    field("copied_attention", &SoftwareProfile::copied_attention, {"software"});
    field("keeps_sent", &SoftwareProfile::keeps_sent, {"software"});
    field("frees_gradients", &SoftwareProfile::frees_gradients, {"software"});
    field("shards_are_master", &SoftwareProfile::shards_are_master, {"software"});
    field("keeps_stages_gathered", &SoftwareProfile::keeps_stages_gathered, {"software"});
    field("gathers_edges", &SoftwareProfile::gathers_edges, {"software"});
    field("whole_embedding", &SoftwareProfile::whole_embedding, {"software"});
    field("whole_logits", &SoftwareProfile::whole_logits, {"software"});
    field("eager", &SoftwareProfile::eager, {"software"});
    field("attention_rate", &SoftwareProfile::attention_rate, {"software"});
    field("attention_rate_a100", &SoftwareProfile::attention_rate_a100, {"software"});
    field("expert_cast_bytes", &SoftwareProfile::expert_cast_bytes, {"software"});
    field("host_module", &SoftwareProfile::host_module, {"software"});
    field("host_module_fp8", &SoftwareProfile::host_module_fp8, {"software"});
    field("host_experts", &SoftwareProfile::host_experts, {"software"});
    field("deep_ep", &SoftwareProfile::deep_ep, {"software"});
    field("experts_split_sequence", &SoftwareProfile::experts_split_sequence, {"software"});
    field("autograd", &SoftwareProfile::autograd, {"software"});
    field("error", &SoftwareProfile::error, {kLabel});
    field("expert_tensor_follows_tensor", &SoftwareProfile::expert_tensor_follows_tensor, {"software"});
    field("overlaps_exchange", &SoftwareProfile::overlaps_exchange, {"software"});
    field("dispatcher", &SoftwareProfile::dispatcher, {"software"});
    field("overlaps_tensor", &SoftwareProfile::overlaps_tensor, {"software"});
    field("flash2", &SoftwareProfile::flash2, {"software"});
    field("repeats_keys", &SoftwareProfile::repeats_keys, {"software"});
    field("gathers_context", &SoftwareProfile::gathers_context, {"software"});
    field("complex_positions", &SoftwareProfile::complex_positions, {"software"});
    field("shard_copies", &SoftwareProfile::shard_copies, {"software"});
    field("foreach_optimizer", &SoftwareProfile::foreach_optimizer, {"software"});
    field("separate_projections", &SoftwareProfile::separate_projections, {"software"});
    field("distributed_tensors", &SoftwareProfile::distributed_tensors, {"software"});
    field("scatters_per_product", &SoftwareProfile::scatters_per_product, {"software"});
    field("reduces_last", &SoftwareProfile::reduces_last, {"software"});
    field("libraries", &SoftwareProfile::libraries, {"software"});
    field("compiled_layers", &SoftwareProfile::compiled_layers, {"software"});
    field("torch_edges", &SoftwareProfile::torch_edges, {"software"});
    field("fused_norms", &SoftwareProfile::fused_norms, {"software"});
    field("expert_bias_kernels", &SoftwareProfile::expert_bias_kernels, {"software"});
    field("bf16_loss", &SoftwareProfile::bf16_loss, {"software"});
    field("stops_early", &SoftwareProfile::stops_early, {"software"});
    field("experts_keep_late", &SoftwareProfile::experts_keep_late, {"software"});
    field("flex_windows", &SoftwareProfile::flex_windows, {"software"});
    field("unfused_attention", &SoftwareProfile::unfused_attention, {"software"});
    field("splits_layers", &SoftwareProfile::splits_layers, {"software"});
    field("gradients", &SoftwareProfile::gradients, {"software"});
    field("bf16_states", &SoftwareProfile::bf16_states, {"software"});
    field("indexed_rows", &SoftwareProfile::indexed_rows, {"software"});
    field("indexed_once", &SoftwareProfile::indexed_once, {"software"});
    field("fuses_expert_activation", &SoftwareProfile::fuses_expert_activation, {"software"});
    field("host_adapter", &SoftwareProfile::host_adapter, {"software"});
    field("accumulation_bytes", &SoftwareProfile::accumulation_bytes, {"software"});
    field("blocking_messages", &SoftwareProfile::blocking_messages, {"software"});
    field("scatters_messages", &SoftwareProfile::scatters_messages, {"software"});
    field("host_message", &SoftwareProfile::host_message, {"software"});
    field("host_layer", &SoftwareProfile::host_layer, {"software"});
    field("host_exchange", &SoftwareProfile::host_exchange, {"software"});
    field("host_dispatch", &SoftwareProfile::host_dispatch, {"software"});
    field("splits_sequence", &SoftwareProfile::splits_sequence, {"software"});
    field("host_sizes", &SoftwareProfile::host_sizes, {"software"});
    field("schedules", &SoftwareProfile::schedules, {"software"});
    field("lacks", &SoftwareProfile::lacks, {"software"});
    field("seen", &SoftwareProfile::seen, {kLabel});
    field("memory_seen", &SoftwareProfile::memory_seen, {kLabel});
    field("sources", &SoftwareProfile::sources, {.cause = kLabel, .resolved = true});
  }
};

/// What it assumes, in one line for lists and reports.
std::string to_text(const SoftwareProfile& software);

}  // namespace flopcast
