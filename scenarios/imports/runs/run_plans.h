// What settings of a framework amount to. Internal to scenarios/imports/runs.
#pragma once
#include <string>
#include <vector>

#include "scenarios/imports/runs/foreign_settings.h"
#include "scenarios/imports/runs/import_run.h"
#include "workloads/model/model.h"

namespace flopcast {

/// Of a model, as far as a command shapes it; 0: not said.
struct RunShape {
  int layers = 0, hidden = 0, ffn_width = 0, heads = 0, kv_heads = 0, head_dim = 0, vocabulary = 0, positions = 0;
  int experts = 0, experts_per_token = 0, expert_width = 0, shared_width = 0, dense_layers = 0, mtp = 0;
  int groups = 1, groups_per_token = 1;
  int q_rank = 0, kv_rank = 0, nope = 0, rope = 0, v_dim = 0;
  int window_tokens = 0, window_layers = 0;  ///< layers that attend to the last tokens only
  bool gated = true, tied = false, latent = false, qkv_bias = false, head_norms = false, sinks = false;
  std::string called;  ///< names that may say whose shape it is: of the run, of its tokenizer
  bool stated() const { return layers > 0 && hidden > 0 && heads > 0; }
};

struct RunJob {
  std::string framework;
  std::string model;     ///< of the library
  std::string override;  ///< text of `model_override`, or empty
  int gpus = 0;
  std::string body;  ///< of `training { ... }` or `serving { ... }`, braces included
  std::string run;   ///< `run { ... }`, or empty
};

/// A model of the library with this shape, or one that is changed into it.
void take_shape(const RunShape& shape, const Libraries& libraries, ForeignSettings& settings, RunJob& job);
/// The same without a fault: empty, if there is none.
std::string known_model(const std::string& name, const Libraries& libraries);
/// The model of the library that people call so: "meta-llama/Llama-3.1-70B-Instruct". Empty, with a fault, if there is
/// none.
std::string library_model(const std::string& name, const Libraries& libraries, ForeignSettings& settings,
                          const RunSetting* at);

RunJob megatron_job(ForeignSettings& settings, int gpus, const Libraries& libraries, const ImportRunOptions& options,
                    const std::string& framework);
RunJob torchtitan_job(ForeignSettings& settings, int gpus, const Libraries& libraries, const ImportRunOptions& options);
RunJob deepspeed_job(ForeignSettings& settings, int gpus, const Libraries& libraries, const ImportRunOptions& options);
RunJob vllm_job(ForeignSettings& settings, const std::string& model, const Libraries& libraries,
                const ImportRunOptions& options);
RunJob sglang_job(ForeignSettings& settings, const std::string& model, const Libraries& libraries,
                  const ImportRunOptions& options);
RunJob trtllm_job(ForeignSettings& settings, const std::string& model, const Libraries& libraries,
                  const ImportRunOptions& options);

}  // namespace flopcast
