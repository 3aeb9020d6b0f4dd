// Kinds of attention: one file in attention/ and one row each. A row says what a kind holds (matrices, KV cache, what a
// backward pass keeps) and which kernels it runs; everything else of a layer is the same for all.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "workloads/model/kernel_writer.h"

namespace flopcast {

/// Widths that recur in an attention block, in elements per token on one GPU. Heads are whole: with fewer key-value
/// heads than GPUs, some share one. Where layers differ, the widths of projections are the mean over layers.
struct AttentionWidths {
  double hidden, heads, kv_heads, qk, v, rope, query, key, value, q_rank, kv_rank, projected;
  explicit AttentionWidths(const LayerWork& work);
  void mix(const LayerWork& work);
  /// Inputs of the output projection, on average over layers.
  double output() const { return projected; }
};

/// What activations that wait for the backward pass take.
struct KeptActivations {
  double bytes_per_element = 2;  ///< of a kept GEMM input
  bool norms = true;             ///< outputs of norms are kept, not computed again
  bool up_projections = true;    ///< and so are queries, keys and values
};

struct AttentionKindRow {
  std::string_view name;  ///< in model files
  /// Fields of an attention section that a model must state, and others that this kind reads. Those that no other kind
  /// names either are read for all.
  std::vector<std::string_view> needs, reads;

  // What it holds.
  double (*matrix_elements)(const AttentionConfig& a, double hidden) = nullptr;  ///< projections of one layer
  double (*vector_elements)(const AttentionConfig& a) = nullptr;                 ///< biases, norms inside the block
  int (*tensors)(const AttentionConfig& a) = nullptr;  ///< of one layer, norms of heads left out
  /// Of a token, in one layer, on each of `tensor` GPUs that share the heads.
  int (*cache_elements)(const AttentionConfig& a, int tensor) = nullptr;
  /// Queries, keys and values of a token that one layer keeps for its backward pass, and what they are made of.
  double (*kept_bytes)(const AttentionConfig& a, const KeptActivations& kept) = nullptr;

  // Kernels between the norm of the block and its core, and those of their gradients.
  void (*input)(KernelWriter& list, const AttentionWidths& w) = nullptr;
  void (*input_again)(KernelWriter& list, const AttentionWidths& w) = nullptr;  ///< null: nothing to recompute
  void (*input_gradient)(KernelWriter& list, const AttentionWidths& w) = nullptr;
  void (*input_weights)(KernelWriter& list, const AttentionWidths& w) = nullptr;
  /// Between the core and the output projection; null: nothing.
  void (*output)(KernelWriter& list, const AttentionWidths& w) = nullptr;
  /// Before the core of a prompt; null: keys and values lie in the cache as the core reads them.
  void (*unpack_cache)(KernelWriter& list, const AttentionWidths& w) = nullptr;

  // Under context parallelism.
  double (*travelling)(const AttentionWidths& w) = nullptr;  ///< elements of a token that go to other ranks
  /// What a rank does with `tokens` that arrived before its core can read them; null: nothing.
  void (*unpack_hop)(KernelWriter& list, const AttentionWidths& w, double tokens, bool backward) = nullptr;
};

std::span<const AttentionKindRow> attention_kinds();
/// Null: there is none of this name.
const AttentionKindRow* find_attention_kind(std::string_view name);
const AttentionKindRow& attention_kind(const AttentionConfig& a);
/// What other kinds need or read, and this one does not.
std::vector<std::string_view> unread_fields(const AttentionKindRow& kind);

}  // namespace flopcast
