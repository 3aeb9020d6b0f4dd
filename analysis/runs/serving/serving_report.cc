#include "analysis/runs/serving/serving_report.h"

#include "analysis/runs/parts/message_parts.h"

namespace flopcast {
namespace {

// Message.

void series(const TimeSeries& from, google::protobuf::RepeatedField<double>& out) {
  for (const double value : from.averages()) out.Add(value);
}

void pool_message(const PoolReport& pool, report::ServingPool& out) {
  const PoolTotals& t = pool.totals;
  out.set_name(t.name);
  series(t.kv_share, *out.mutable_kv_share());
  series(t.running, *out.mutable_running());
  series(t.waiting, *out.mutable_waiting());
  series(t.up, *out.mutable_replicas_up());
  series(t.busy, *out.mutable_busy_share());
}

void serving_message(const ServingReport& r, report::Serving& out) {
  for (std::size_t i = 0; i < r.pools.size(); ++i) pool_message(r.pools[i], *out.mutable_pools(static_cast<int>(i)));
  for (int i = 0; i < out.streams_size(); ++i)
    out.mutable_streams(i)->set_name(r.serving().class_names[static_cast<std::size_t>(i)]);
  for (const CurveSample& sample : r.curve) {
    report::CurvePoint& point = *out.add_curve();
    point.set_requests_per_s(sample.requests_per_s);
    point.set_output_tokens_per_s_per_user(sample.tokens_per_s_per_user);
    point.set_output_tokens_per_s_per_gpu(sample.tokens_per_s_per_gpu);
    point.set_ttft_s(sample.ttft_p90);
    point.set_tpot_s(sample.tpot_p90);
    point.set_usd_per_million_output_tokens(sample.usd_per_million_output);
    point.set_state(std::string(name(sample.state)));
    point.set_gpus(sample.gpus);
    point.set_meets(sample.meets);
    point.set_deployment(sample.deployment);
  }
}

}  // namespace

report::Report to_message(const ServingReport& r) {
  report::Report message;
  fill(serving_metrics(&r), message);
  serving_message(r, *message.mutable_serving());
  add_small_print(r.comparisons, r.notes, r.scenario.defaults_used, message);
  return message;
}

}  // namespace flopcast
