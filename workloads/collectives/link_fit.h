// Fits link and communication-kernel constants on stand-alone measurements of collectives.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "hwmodels/fabric/cluster.h"
#include "hwmodels/fabric/link_calibration.h"
#include "workloads/collectives/link_measurements.h"

namespace flopcast {

/// How well the fit predicts one group of measurements.
struct LinkFitError {
  std::string table;
  std::string group;   ///< e.g. "h100-sxm, 4 nodes, dispatch"
  bool fitted = true;  ///< false: none of the group took part in the fit
  int rows = 0;
  int held_back = 0;  ///< of them not fitted on; median and 90th percentile are over these when there are any
  double median = 0;  ///< of |predicted / measured - 1|
  double percentile_90 = 0;
  double bias = 0;  ///< median of predicted / measured - 1
};

struct LinkFit {
  LinkCalibration calibration;
  std::vector<LinkFitError> errors;
  std::vector<std::string> notes;
};

/// @param nodes data sheets of the nodes that were measured, by the library name of their GPU.
/// @param seed decides which fifth of the rows is held back.
/// @throws InputError when a measured GPU is not among `nodes`, or a table that is needed was not found.
LinkFit fit_links(const LinkMeasurements& measurements, const std::map<std::string, NodeSpec>& nodes,
                  std::uint64_t seed);

/// Predicted time of one measurement.
ExpertTime predict(const ExpertMeasurement& measurement, const NodeSpec& node, const LinkCalibration& links);
Seconds predict(const RingMeasurement& measurement, const NodeSpec& node, const LinkCalibration& links);
Seconds predict(const NcclMeasurement& measurement, const NodeSpec& node, const LinkCalibration& links);

}  // namespace flopcast
