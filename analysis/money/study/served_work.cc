#include "analysis/money/study/served_work.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/text/format.h"
#include "analysis/runs/parts/notes.h"

namespace flopcast {
namespace {

constexpr double kSecondsPerDay = 86400;
/// Fewer requests within their promises, and the price is one of a service that breaks them.
constexpr double kKept = 0.9;

bool promises_something(const ServingScenario& serving) {
  return std::any_of(serving.levels.begin(), serving.levels.end(), [](const ServiceLevel& level) {
    return level.ttft < kNever || level.tpot < kNever || level.end_to_end < kNever;
  });
}

std::vector<std::string> notes_of(const ServingReport& report) {
  std::vector<std::string> out;
  out.push_back(fmt::format("replayed: {} requests; time to first token {} (90 %), per output token {} (90 %); {}",
                            format_integer(static_cast<double>(report.all.arrived.requests)),
                            format_time(Seconds(report.all.ttft.quantile(0.9))),
                            format_time(Seconds(report.all.tpot.quantile(0.9))), name(report.state)));
  const double kept = report.all.slo_attainment();
  if (promises_something(report.serving())) out.back() += fmt::format("; {} within the promises", format_percent(kept));
  if (kept < kKept)
    out.push_back("too few requests are within the promises: --slo prices the smallest deployment that keeps them");
  if (report.state == LoadState::overloaded)
    out.push_back("overloaded: queues grow, so these are costs of a service that nobody would get");
  if (std::string note = filling_note(report); !note.empty()) out.push_back(std::move(note));
  if (std::string note = unmeasured_note(report.scenario); !note.empty()) out.push_back(std::move(note));
  return out;
}

}  // namespace

PricedWork work_of(const ServingReport& report) {
  const double sample = report.serving().replicas_per_replica();
  const auto per_day = [&](double rate) { return rate * kSecondsPerDay * sample; };
  const auto prompts = static_cast<double>(report.all.completed.input_tokens);
  const double found = prompts > 0 ? static_cast<double>(report.all.cached_tokens) / prompts : 0;
  ServiceWork service;
  service.gpu_hours_per_day = report.mean_gpus * sample * 24;
  service.prefill_share = report.cost.prompt_share;
  service.cached_work = report.cost.cached_work;
  service.input_tokens = per_day(report.input_rate);
  service.cached_tokens = found * service.input_tokens;
  service.output_tokens = per_day(report.output_rate);
  service.source = "replayed";
  PricedWork out;
  out.service = service;
  out.notes = notes_of(report);
  // Energy is of the whole replay, and of the replicas that were replayed.
  const double hours = report.mean_gpus * report.totals.duration().value() / 3600;
  if (hours > 0 && report.energy > Joules(0)) out.kwh_per_gpu_hour = report.energy.value() / 3.6e6 / hours;
  return out;
}

}  // namespace flopcast
