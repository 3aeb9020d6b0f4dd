// How fast links and communication kernels really are, fitted on stand-alone measurements of collectives (DeepEP,
// NCCL) by `flopcast calibrate`. Data-sheet rates stay in the node and fabric files; here are only the ratios.
#pragma once
#include <string>
#include <vector>

#include "hwmodels/gpu.h"
#include "sim/units.h"

namespace flopcast {

/// One fitted number with its meaning and origin.
struct LinkConstant {
  double value = 1.0;
  Source source;
};

struct LinkCalibration {
  LinkConstant nic_efficiency;       ///< goodput over line rate of expert dispatch/combine on the NIC, large messages
  LinkConstant nvlink_efficiency;    ///< the same on NVLink
  LinkConstant dispatch_setup_us;    ///< fixed time of a dispatch (layout, notify, first hop), balanced ranks
  LinkConstant combine_setup_us;
  LinkConstant overlap_slowdown;     ///< of dispatch/combine while GEMMs run on the other SMs (shared HBM and L2)
  LinkConstant ring_nic_efficiency;  ///< ring collectives and point-to-point over NICs
  LinkConstant ring_nvlink_efficiency;
  LinkConstant ring_step_us;         ///< latency of one ring step within a node
  LinkConstant ring_step_inter_us;   ///< and between nodes
};

}  // namespace flopcast
