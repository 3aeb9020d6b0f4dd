// What the classes of the transformers library fix, or assume where a config.json is silent.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "workloads/model/model.h"

namespace flopcast {

/// Whose width experts have: of a field of their own, or of the dense FFN's.
enum class ExpertWidth : std::uint8_t { own, ffn };

/// Which layers look back at a window only, where neither layer_types nor a pattern says so.
enum class WindowLayers : std::uint8_t {
  all,             ///< as soon as a window is stated (Mistral, Phi-3)
  second,          ///< every second one, the first among them (Gemma 2, gpt-oss)
  all_but_fourth,  ///< three of four (Cohere 2, OLMo 3, Llama 4)
  all_but_sixth,   ///< five of six (Gemma 3)
  none,            ///< a stated window is not used
};

struct ModelClass {
  std::string_view architecture;
  std::string_view model_type;
  bool experts = false;  ///< the class has experts
  ExpertWidth expert_width = ExpertWidth::own;
  bool gated = true;
  bool tied = false;  ///< unless stated
  bool qkv_bias = false;
  bool output_bias = false;
  bool ffn_bias = false;
  HeadNorms head_norms = HeadNorms::none;
  bool sinks = false;
  bool output_gate = false;  ///< queries come with a gate
  bool learned_positions = false;
  bool alibi = false;  ///< unless a file says otherwise
  int norms = 2;       ///< of a layer
  WindowLayers windows = WindowLayers::all;
  int window = 0;                                                            ///< tokens, unless stated
  int shared_experts = 0;                                                    ///< unless stated
  int vocabulary = 0, positions = 0, head_dim = 0, heads = 0, kv_heads = 0;  ///< unless stated
  int first_dense = 0;            ///< leading layers without experts, unless stated
  bool experts_optional = false;  ///< the class has dense models too
  bool both_halves = false;       ///< intermediate_size is that of gate and values together
};

std::span<const ModelClass> model_classes();
/// By the name of a class, or by a model_type; null when there is none.
const ModelClass* find_model_class(std::string_view architecture);
const ModelClass* model_class_of_type(std::string_view model_type);

/// What is read of a class that is not known by name: everything by its fields. @param gated as the activation has it.
ModelClass class_by_fields(std::string_view architecture, bool gated);

/// Why a model of this type is none that can be said; empty: it may be.
std::string_view why_refused(std::string_view model_type, std::string_view architecture);

}  // namespace flopcast
