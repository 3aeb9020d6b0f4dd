// Whole models and layers timed on one GPU (hwmodels/data/measured_models_*.csv) and what the program makes of them.
// Nothing is fitted on them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "analysis/evidence/validate/validate.h"
#include "analysis/render/text/text_table.h"

namespace flopcast {

/// A row: a decode iteration, a prompt, a training step or an MoE layer.
struct MeasuredModel {
  std::string card;      ///< "H100"
  std::string node;      ///< the library's
  std::string measured;  ///< the day
  std::string section;   ///< decode, prefill, train, moe
  std::string model;
  std::string mode;  ///< eager, compiled
  std::string part;  ///< iteration, step, layer; experts: their products and activation alone
  int layers = 0;
  std::int64_t batch = 0, length = 0, context = 0;
  int experts = 0;          ///< held by this GPU
  std::int64_t tokens = 0;  ///< of an MoE layer
  std::int64_t picks = 0;   ///< that fall on those experts
  double skew = 0;          ///< loads fall as a power of the expert's rank
  bool checkpoint = false;  ///< blocks are computed again in the backward pass
  int loss_chunks = 1;      ///< the head and the loss too, part by part
  double time_us = 0;
  double gpu_us = 0;  ///< kernels of it alone; 0: not measured
  double spread = 1;  ///< 80th over 20th percentile of the runs
  double peak_gb =
      0;  ///< most that tensors held, of training steps; 0: not measured, or something else lay beside them
  /// The GPU waited for the host: what was timed is that host and its Python, not the card.
  bool paced_by_host() const { return (gpu_us > 0 && gpu_us < 0.9 * time_us) || spread > 1.12; }
  /// A step whose tokens were their own targets: a head that is the embedding knows them, gradients vanish, and
  /// products of zeros draw about half the power (590 W at 1,900 MHz where other models' steps run at 700 W and 1,500
  /// to 1,700).
  bool without_gradients = false;
  std::string what() const;
};

/// All files there are.
std::vector<MeasuredModel> read_measured_models(const Libraries& libraries);

struct MeasuredModelError {
  MeasuredModel of;
  double predicted_us = 0, predicted_peak_gb = 0;
  double error() const { return predicted_us / of.time_us - 1; }
};

/// Those that the program can predict, in their order.
std::vector<MeasuredModelError> predict_measured_models(const ValidationInput& input);

/// Errors by what was timed and card; of training steps the memory's too.
std::vector<Check> check_models(const std::vector<MeasuredModelError>& rows);
/// One line each.
std::string to_text(const std::vector<MeasuredModelError>& errors, const TextStyle& style);

}  // namespace flopcast
