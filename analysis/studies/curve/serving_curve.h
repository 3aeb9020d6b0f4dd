// The throughput-interactivity curve of a deployment: the more users it serves at once, the more tokens a GPU
// gives and the fewer each user sees per second. InferenceMAX (SemiAnalysis 2025) made it the habit of
// comparing chips.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/serving/serving_run.h"
#include "sim/base/fields.h"

namespace flopcast {

namespace report {
class ServingCurves;
}

/// The deployment with a constant number of requests under way: as soon as one is answered, the next is
/// asked.
struct CurveRung {
  int users = 0;
  double tokens_per_s_per_user = 0;                               ///< of answers: 1 / mean TPOT
  double output_per_gpu = 0;                                      ///< tokens per second, over all GPUs
  double tokens_per_gpu = 0;                                      ///< of prompts (cached ones included) and answers
  double ttft_p50 = 0, ttft_p90 = 0, tpot_p50 = 0, tpot_p90 = 0;  ///< seconds
  double requests_per_s = 0;
  double usd_per_million_output = 0;  ///< all GPUs over the answers
  double usd_per_million = 0;         ///< all GPUs over all tokens
  double kv_utilization = 0, slo_attainment = 0;
  bool on_front = false;  ///< no other rung gives both a user and a GPU as many tokens

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("users", &CurveRung::users);
    field("tokens_per_s_per_user", &CurveRung::tokens_per_s_per_user);
    field("output_per_gpu", &CurveRung::output_per_gpu);
    field("tokens_per_gpu", &CurveRung::tokens_per_gpu);
    field("ttft_p50", &CurveRung::ttft_p50);
    field("ttft_p90", &CurveRung::ttft_p90);
    field("tpot_p50", &CurveRung::tpot_p50);
    field("tpot_p90", &CurveRung::tpot_p90);
    field("requests_per_s", &CurveRung::requests_per_s);
    field("usd_per_million_output", &CurveRung::usd_per_million_output);
    field("usd_per_million", &CurveRung::usd_per_million);
    field("kv_utilization", &CurveRung::kv_utilization);
    field("slo_attainment", &CurveRung::slo_attainment);
    field("on_front", &CurveRung::on_front);
  }
};

struct ServingCurve {
  Scenario scenario;
  int gpus = 0;
  std::vector<CurveRung> rungs;  ///< from few users to many
};

struct CurveOptions {
  std::vector<int> users;  ///< of each rung; empty: 1, 2, 4, ... until a GPU gives no more, or the batches are full
  ServingOptions serving;
  std::function<void(const std::string&)> stage;  ///< what is being replayed; may be empty
  int workers = 1;                                ///< rungs at a time
};

/// Lengths, prefixes and shares of the streams are the scenario's, arrivals are not. @param scenario has
/// `serving`.
ServingCurve curve_of(const Scenario& scenario, const CurveOptions& options);

/// Marks the rungs that no other beats or equals in both figures.
void mark_front(std::span<CurveRung> rungs);

std::string to_text(std::span<const ServingCurve> curves, const TextStyle& style = TextStyle());
report::ServingCurves to_message(std::span<const ServingCurve> curves);
std::string to_csv(std::span<const ServingCurve> curves);
std::string to_html(std::span<const ServingCurve> curves);

}  // namespace flopcast
