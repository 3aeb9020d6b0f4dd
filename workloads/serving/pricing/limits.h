// Closed forms that no replay may beat.
#pragma once
#include "hwmodels/fabric/cluster.h"
#include "sim/base/units.h"
#include "workloads/serving/pricing/engine.h"

namespace flopcast {

/// Exchange of experts in decoding when every copy of a token crosses the network and nothing else takes time (arXiv
/// 2505.09343, 2.3.2): tokens x copies x hidden x (dispatch + combine bytes) / rate per micro-batch and layer; two
/// micro-batches take turns.
struct ExchangeBound {
  double tokens = 32;  ///< per GPU and micro-batch
  double copies = 9;   ///< experts that a token goes to, shared ones included
  double hidden = 7000;
  double bytes_dispatched = 1;  ///< per element
  double bytes_combined = 2;
  int layers = 61;
  int micro_batches = 2;
  BytesPerSecond rate;
};
Seconds exchange_time(const ExchangeBound& bound);  ///< dispatch and combine of one micro-batch in one layer
Seconds tpot_bound(const ExchangeBound& bound);     ///< of all micro-batches in all layers

/// What the NICs alone take for the experts' exchange of one decoding iteration of `batch` requests per attention
/// group; zero when nothing crosses nodes. Per token: divided by what speculation yields.
Seconds nic_bound(const EngineConfig& engine, const ClusterSpec& cluster, double batch);

}  // namespace flopcast
