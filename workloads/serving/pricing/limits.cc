#include "workloads/serving/pricing/limits.h"

#include <algorithm>

#include "hwmodels/fabric/fabric_graph.h"

namespace flopcast {

Seconds exchange_time(const ExchangeBound& b) {
  return Bytes(b.tokens * b.copies * b.hidden * (b.bytes_dispatched + b.bytes_combined)) / b.rate;
}

Seconds tpot_bound(const ExchangeBound& b) { return exchange_time(b) * b.micro_batches * b.layers; }

Seconds nic_bound(const EngineConfig& engine, const ClusterSpec& cluster, double batch) {
  const int per_node = std::min(engine.plan.expert, cluster.node.gpus);
  const int nodes = std::max(1, engine.plan.expert / std::max(1, per_node));
  if (!sends_to_experts(engine) || nodes <= 1) return Seconds(0);
  ExchangeBound bound;
  bound.tokens = batch * (1 + engine.speculation.depth) / engine.plan.tensor;
  // Low-latency kernels send each copy on its own, normal ones each token once per node: no fewer than one.
  const bool low_latency = engine.decode_exchange == ExpertExchange::low_latency;
  bound.copies = (low_latency ? engine.model.moe.experts_per_token : 1.0) * (1 - 1.0 / nodes);
  bound.hidden = engine.model.hidden;
  bound.bytes_dispatched = bytes_per_element(engine.precision.dispatch);
  bound.bytes_combined = bytes_per_element(engine.precision.combine);
  bound.layers = engine.model.moe_layers();
  bound.micro_batches = 1;
  bound.rate = endpoint_bandwidth(cluster);
  return tpot_bound(bound) / engine.speculation.tokens_per_iteration();
}

}  // namespace flopcast
