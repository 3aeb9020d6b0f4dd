#include "analysis/studies/compare/served.h"

#include <algorithm>

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
  return out;
}

ServedFigures serve(const Scenario& scenario, const PowerModel& power) {
  ServingOptions options;
  options.power = power;
  return figures_of(run_serving(scenario, options));
}

void put(const ServedFigures& f, Lines& lines) {
  for (const double value : {f.answer_rate, f.answer_gpus, f.output_per_gpu, f.prompt_rate, f.prompt_gpus,
                             f.tpot.value(), f.ttft.value(), f.under_way_per_gpu, f.kv_share, f.attention_share,
                             f.per_million_input.value(), f.per_million_output.value(), f.slo_attainment, f.rejected})
    lines.put(value);
  lines.put(f.state);
}

ServedFigures take_served(Lines& lines) {
  ServedFigures f;
  f.answer_rate = lines.take();
  f.answer_gpus = lines.take();
  f.output_per_gpu = lines.take();
  f.prompt_rate = lines.take();
  f.prompt_gpus = lines.take();
  f.tpot = Seconds(lines.take());
  f.ttft = Seconds(lines.take());
  f.under_way_per_gpu = lines.take();
  f.kv_share = lines.take();
  f.attention_share = lines.take();
  f.per_million_input = Usd(lines.take());
  f.per_million_output = Usd(lines.take());
  f.slo_attainment = lines.take();
  f.rejected = lines.take();
  f.state = lines.take_text();
  return f;
}

}  // namespace flopcast
