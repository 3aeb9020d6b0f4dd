// What a replayed service gives, in the figures by which services are compared.
#pragma once
#include <string>

#include "analysis/runs/parts/energy.h"
#include "analysis/runs/serving/serving_run.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

struct ServedFigures {
  double answer_rate = 0, answer_gpus = 0;  ///< tokens per second; GPUs that give answers
  double output_per_gpu = 0;                ///< tokens of answers per second, over all GPUs, as reports have it
  double prompt_rate = 0, prompt_gpus = 0;  ///< cached tokens included; GPUs that compute prompts
  Seconds tpot, ttft;                       ///< means
  double under_way_per_gpu = 0;             ///< answers being written, on GPUs that write them
  double kv_share = 0, attention_share = 0;
  Usd per_million_input, per_million_output;  ///< 0: GPUs have no price
  double slo_attainment = 1, rejected = 0;    ///< shares of the requests
  bool promised = false;                      ///< a stream states a promise: without one slo_attainment says nothing
  bool keeps_up = false;  ///< requests come of themselves, and all are answered as they come: rates are the load's
  std::string state;
  /// Over the GPUs that answer, or compute prompts, alone.
  double answers_per_gpu() const { return answer_gpus > 0 ? answer_rate / answer_gpus : 0; }
  double prompts_per_gpu() const { return prompt_gpus > 0 ? prompt_rate / prompt_gpus : 0; }
  /// Over the nodes that do. 0: they are part of a node, and give no node's tokens.
  double answers_per_node(int node) const { return answer_gpus < node ? 0 : answers_per_gpu() * node; }
  double prompts_per_node(int node) const { return prompt_gpus < node ? 0 : prompts_per_gpu() * node; }
  /// GPU-hours of those that answer for 10^6 tokens of answers, and likewise of prompts.
  double answer_hours() const { return answer_rate > 0 ? answer_gpus / answer_rate * 1e6 / 3600 : 0; }
  double prompt_hours() const { return prompt_rate > 0 ? prompt_gpus / prompt_rate * 1e6 / 3600 : 0; }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("answer_rate", &ServedFigures::answer_rate);
    field("answer_gpus", &ServedFigures::answer_gpus);
    field("output_per_gpu", &ServedFigures::output_per_gpu);
    field("prompt_rate", &ServedFigures::prompt_rate);
    field("prompt_gpus", &ServedFigures::prompt_gpus);
    field("tpot", &ServedFigures::tpot);
    field("ttft", &ServedFigures::ttft);
    field("under_way_per_gpu", &ServedFigures::under_way_per_gpu);
    field("kv_share", &ServedFigures::kv_share);
    field("attention_share", &ServedFigures::attention_share);
    field("per_million_input", &ServedFigures::per_million_input);
    field("per_million_output", &ServedFigures::per_million_output);
    field("slo_attainment", &ServedFigures::slo_attainment);
    field("rejected", &ServedFigures::rejected);
    field("promised", &ServedFigures::promised);
    field("keeps_up", &ServedFigures::keeps_up);
    field("state", &ServedFigures::state);
  }
};

ServedFigures figures_of(const ServingReport& report);

/// A stream states a time that its requests are answered within.
bool promises_something(const ServingReport& report);

/// Replays it. @throws InputError.
ServedFigures serve(const Scenario& scenario, const PowerModel& power);

}  // namespace flopcast
