// Which model of the library a command means.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <tuple>

#include <fmt/format.h>

#include "scenarios/imports/runs/run_plans.h"
#include "scenarios/read/libraries/library_entries.h"

namespace flopcast {
namespace {

/// What people append to a model's name without making it another one.
constexpr std::array<std::string_view, 20> kTails{"instruct", "it",       "chat",  "base", "hf",   "fp8",   "bf16",
                                                  "awq",      "gptq",     "nvfp4", "fp4",  "int4", "w4a16", "dynamic",
                                                  "block",    "thinking", "v0.1",  "v0.3", "tee",  "mxfp4"};

bool is_tail(std::string_view word) {
  const bool date = word.size() == 4 && std::ranges::all_of(word, [](char c) { return c >= '0' && c <= '9'; });
  return date || std::ranges::find(kTails, word) != kTails.end();
}

/// "meta-llama/Meta-Llama-3.1-70B-Instruct" -> "llama-3.1-70b"
std::string plain_model(std::string_view name) {
  while (name.ends_with('/')) name.remove_suffix(1);
  if (const std::size_t slash = name.rfind('/'); slash != std::string_view::npos) name.remove_prefix(slash + 1);
  std::string plain = run_setting_name(name);
  for (;;) {
    const std::size_t hyphen = plain.rfind('-');
    if (hyphen == std::string::npos || !is_tail(std::string_view(plain).substr(hyphen + 1))) break;
    plain.resize(hyphen);
  }
  for (const std::string_view head : {"meta-", "nvidia-"})
    if (plain.starts_with(head)) plain.erase(0, head.size());
  return plain;
}

/// Where there are experts: in which layers, shared ones beside them, and how far tokens may go.
bool routed_alike(const RunShape& shape, const MoeConfig& moe) {
  if (shape.experts == 0) return true;
  const bool free = moe.groups <= 1 || moe.groups_per_token >= moe.groups;
  return moe.every == 1 && moe.layers < 0 && shape.dense_layers == moe.first_dense_layers &&
         shape.shared_width == moe.width_of_shared() && shape.groups == (free ? 1 : moe.groups) &&
         shape.groups_per_token == (free ? 1 : moe.groups_per_token);
}

bool alike(const RunShape& shape, const ModelConfig& model) {
  const auto agrees = [](int stated, int has) { return stated == 0 || stated == has; };
  const AttentionConfig& a = model.attention;
  const bool latent = a.from_latent();
  // Vocabularies are padded for tensor parallelism, and tokenizers say what they are.
  const bool vocabulary =
      shape.vocabulary == 0 || std::abs(shape.vocabulary - model.vocabulary) <= model.vocabulary / 50;
  return shape.layers == model.layers && shape.hidden == model.hidden && shape.heads == a.heads && vocabulary &&
         shape.latent == latent && (latent || agrees(shape.kv_heads, a.kv_heads)) &&
         (latent || agrees(shape.head_dim, a.head_dim)) && shape.experts == model.moe.experts &&
         agrees(shape.experts_per_token, model.moe.experts_per_token) &&
         agrees(shape.expert_width, model.moe.expert_width) && shape.gated == model.gated_ffn &&
         (shape.experts > 0 || agrees(shape.ffn_width, model.ffn_width)) && routed_alike(shape, model.moe) &&
         shape.tied == model.tied_embeddings && (shape.mtp == 0 || shape.mtp == model.mtp_depth) &&
         (!latent || (shape.q_rank == a.q_lora_rank && shape.kv_rank == a.kv_lora_rank && shape.nope == a.qk_nope_dim &&
                      shape.rope == a.qk_rope_dim && shape.v_dim == a.v_dim)) &&
         model.state_layers.layers == 0 && a.sinks == shape.sinks && a.window.layers == shape.window_layers &&
         (shape.window_layers == 0 || a.window.tokens == shape.window_tokens);
}

std::string override_text(const RunShape& s) {
  std::string out = fmt::format("  title: \"as the command shapes it\"\n  layers: {} hidden: {}", s.layers, s.hidden);
  if (s.vocabulary > 0) out += fmt::format(" vocabulary: {}", s.vocabulary);
  if (s.ffn_width > 0) out += fmt::format(" ffn_width: {}", s.ffn_width);
  if (s.positions > 0) out += fmt::format(" max_positions: {}", s.positions);
  out += fmt::format("\n  gated_ffn: {} tied_embeddings: {} mtp_depth: {}\n", s.gated, s.tied, s.mtp);
  if (s.latent) {
    out += fmt::format(
        "  attention {{ heads: {} q_lora_rank: {} kv_lora_rank: {} qk_nope_dim: {} qk_rope_dim: {} "
        "v_dim: {} }}\n",
        s.heads, s.q_rank, s.kv_rank, s.nope, s.rope, s.v_dim);
  } else {
    out += fmt::format("  attention {{ heads: {} kv_heads: {} head_dim: {} qkv_bias: {}{}", s.heads,
                       s.kv_heads > 0 ? s.kv_heads : s.heads, s.head_dim > 0 ? s.head_dim : s.hidden / s.heads,
                       s.qkv_bias, s.sinks ? " sinks: true" : "");
    if (s.window_layers > 0)
      out += fmt::format(" window {{ tokens: {} layers: {} }}", s.window_tokens, s.window_layers);
    out += " }\n";
  }
  if (s.experts > 0) {
    const int width = s.expert_width > 0 ? s.expert_width : s.ffn_width;
    out += fmt::format(
        "  moe {{ experts: {} experts_per_token: {} expert_width: {} first_dense_layers: {} "
        "groups: {} groups_per_token: {}",
        s.experts, std::max(1, s.experts_per_token), width, s.dense_layers, s.groups, s.groups_per_token);
    out += s.shared_width > 0 ? fmt::format(" shared_experts: 1 shared_width: {} }}\n", s.shared_width)
                              : std::string(" shared_experts: 0 }\n");
  }
  return out;
}

}  // namespace

void take_shape(const RunShape& shape, const Libraries& libraries, ForeignSettings& settings, RunJob& job) {
  std::vector<std::string> alike_names;
  for (const std::string& name : libraries.names(LibraryKind::models))
    if (alike(shape, libraries.model(name))) alike_names.push_back(name);
  if (!alike_names.empty()) {
    const std::string called = run_setting_name(shape.called);
    // Norms of heads, a family that a name tells ("Llama2Tokenizer", "llama_7b"); what was trained further has the
    // shape of what it was trained from. Else the first by its name: the others are said.
    const auto further = [&](const std::string& name) {
      const bool norms = libraries.model(name).attention.head_norms != HeadNorms::none;
      const bool family = called.find(name.substr(0, name.find('-'))) != std::string::npos;
      const bool variant = !load_entry<proto::Model>(libraries, name).changed.empty();
      return std::tuple(norms != shape.head_norms, !family, variant);
    };
    job.model = *std::ranges::min_element(alike_names, {}, further);
    std::string others;
    for (const std::string& name : alike_names)
      if (name != job.model) others += (others.empty() ? "; of the same shape: " : ", ") + libraries.model(name).title;
    settings.note(fmt::format("the model is {}, by its layers, widths, heads and experts{}{}",
                              libraries.model(job.model).title, others, others.empty() ? "" : " (--model NAME)"));
    return;
  }
  job.model = shape.latent ? "deepseek-v3" : shape.experts > 0 ? "mixtral-8x7b" : "llama-3.1-8b";
  job.override = override_text(shape);
  settings.note("no model of the library has this shape: one is changed into it (model_override)");
  if (shape.vocabulary == 0)
    settings.note("the vocabulary is not stated: that of " + job.model + " is taken; state --vocab-size");
}

std::string known_model(const std::string& name, const Libraries& libraries) {
  const std::string plain = plain_model(name);
  for (const std::string& known : libraries.names(LibraryKind::models))
    if (known == name || known == plain || plain_model(known) == plain) return known;
  return "";
}

std::string library_model(const std::string& name, const Libraries& libraries, ForeignSettings& settings,
                          const RunSetting* at) {
  const std::vector<std::string> names = libraries.names(LibraryKind::models);
  if (std::string known = known_model(name, libraries); !known.empty()) return known;
  const std::string plain = plain_model(name);
  settings.fault(at, name.empty() ? "no model" : "the model " + quoted(name),
                 "one of the library (`flopcast list models`), or --model NAME", nearest_name(plain, names));
  return "";
}

}  // namespace flopcast
