#include "analysis/runs/training/figures.h"

#include <fmt/format.h>

#include <string_view>

#include "analysis/render/format.h"

namespace flopcast {
namespace {

std::string seconds_text(double value) { return fmt::format("{:.3f} s", value); }
std::string share_text(double value) { return format_percent(value, 2); }
std::string tflops_text(double value) { return fmt::format("{:.0f} TFLOPS", value); }
std::string whole_hours_text(double value) { return format_integer(value) + " h"; }
std::string days_text(double value) { return fmt::format("{:.1f}", value); }
std::string usd_text(double value) { return format_usd(Usd(value)); }
std::string bytes_text(double value) { return format_bytes(Bytes(value)); }
std::string tokens_text(double value) { return fmt::format("{:.1f} B", value / 1e9); }
std::string number_text(double value) { return fmt::format("{:.4g}", value); }

struct Row {
  std::string_view field;
  std::string_view name;
  std::string (*text)(double);
};

constexpr Row kFigures[] = {
    {"training.step_time_s", "step", seconds_text},
    {"training.forward_s", "1F, lone forward", seconds_text},
    {"training.backward_input_s", "1B, gradient of inputs", seconds_text},
    {"training.backward_weight_s", "1W, gradient of weights", seconds_text},
    {"training.overlapped_s", "1F1B, overlapped", seconds_text},
    {"training.bubble_s", "bubble", seconds_text},
    {"training.optimizer_s", "optimiser", seconds_text},
    {"training.exposed_communication_s", "exposed communication", seconds_text},
    {"training.tokens_per_day", "tokens per day", tokens_text},
    {"training.mfu_bf16_causal", "MFU, causal", share_text},
    {"training.mfu_bf16_noncausal", "MFU, non-causal", share_text},
    {"training.tflops_per_gpu_causal", "per GPU, causal", tflops_text},
    {"training.tflops_per_gpu_noncausal", "per GPU, non-causal", tflops_text},
    {"training.peak_memory_bytes", "peak memory", bytes_text},
    {"projection.gpu_hours", "GPU-hours, whole run", whole_hours_text},
    {"projection.predicted_gpu_hours", "GPU-hours, predicted part", whole_hours_text},
    {"projection.days", "days, whole run", days_text},
    {"life.closed_form.effective_training_time", "effective training time", share_text},
    {"life.replayed.effective_training_time.median", "effective training time", share_text},
    {"life.replayed.interruptions.median", "interruptions", number_text},
    {"life.replayed.unexpected_interruptions.median", "unexpected interruptions", number_text},
    {"life.replayed.planned_interruptions.median", "planned interruptions", number_text},
    {"projection.cost_usd", "cost, whole run", usd_text},
};

// Of one phase: `projection.phases[INDEX or NAME].gpu_hours`, by the end of the path.
constexpr Row kPhaseFigures[] = {
    {"].gpu_hours", "GPU-hours", whole_hours_text},
    {"].cost_usd", "cost", usd_text},
    {"].days", "days", days_text},
};

std::string phase_name(const std::string& field, const std::optional<Projection>& projection) {
  const std::size_t open = field.find('['), close = field.find(']');
  std::string key = field.substr(open + 1, close - open - 1);
  for (std::size_t i = 0; projection && i < projection->phases.size(); ++i) {
    if (key == std::to_string(i)) return projection->phases[i].name;
  }
  return key;
}

}  // namespace

Figure find_figure(const std::string& field, const std::optional<Projection>& projection) {
  for (const Row& row : kFigures) {
    if (row.field == field) return {std::string(row.name), row.text};
  }
  for (const Row& row : kPhaseFigures) {
    if (field.ends_with(row.field)) return {fmt::format("{}, {}", row.name, phase_name(field, projection)), row.text};
  }
  return {field, number_text};
}

}  // namespace flopcast
