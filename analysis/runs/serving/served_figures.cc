#include "analysis/runs/serving/served_figures.h"

#include <algorithm>

#include "analysis/runs/serving/saturation.h"

namespace flopcast {

ServedFigures figures_of(const ServingReport& report) {
  const double gpus_per_node = report.scenario.cluster.node.gpus;
  ServedFigures out;
  out.answer_rate = report.output_rate;
  out.prompt_rate = report.input_rate;
  out.output_per_gpu = report.output_per_gpu;
  if (report.output_per_node > 0) out.answer_gpus = report.output_rate / report.output_per_node * gpus_per_node;
  if (report.input_per_node > 0) out.prompt_gpus = report.input_rate / report.input_per_node * gpus_per_node;
  out.tpot = Seconds(report.all.tpot.mean());
  out.ttft = Seconds(report.all.ttft.mean());
  const PoolReport& answers = report.answer_pool();
  out.under_way_per_gpu = out.answers_per_gpu() * out.tpot.value();  // Little's law
  out.kv_share = answers.totals.mean_kv_share;
  out.attention_share = answers.attention_share;
  out.per_million_input = report.cost.per_million_computed;
  out.per_million_output = report.cost.per_million_output;
  out.slo_attainment = report.all.slo_attainment();
  const auto arrived = static_cast<double>(std::max<std::int64_t>(1, report.all.arrived.requests));
  out.rejected = static_cast<double>(report.all.rejected.requests) / arrived;
  out.state = name(report.state);
  out.promised = promises_something(report);
  out.keeps_up = report.state == LoadState::stable && out.rejected == 0 && !waits_for_answers(report.serving().traffic);
  return out;
}

bool promises_something(const ServingReport& report) {
  const auto levels = report.totals.metrics.levels();
  return std::any_of(levels.begin(), levels.end(),
                     [](const ServiceLevel& l) { return l.ttft < kNever || l.tpot < kNever || l.end_to_end < kNever; });
}

ServedFigures serve(const Scenario& scenario, const PowerModel& power) {
  ServingOptions options;
  options.power = power;
  return figures_of(run_serving(scenario, options));
}

}  // namespace flopcast
