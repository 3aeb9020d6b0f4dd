// How fast links and communication kernels really are, fitted on stand-alone measurements of collectives (DeepEP,
// NCCL) by `flopcast calibrate`. Data-sheet rates stay in the node and fabric files; here are ratios to them, fixed
// times, and what one SM can move.
//
// Expert dispatch and combine:  time = setup + slowdown x max(NIC bytes / (nic_efficiency x NIC rate),
//                                                           NVLink bytes / min(nvlink_efficiency x NVLink rate,
//                                                                              SMs x sm_rate))
//                               setup = setup_us + setup_per_doubling_us x log2(nodes)
// Ring collectives:             time = ring_launch_us + steps x ring_step_us + bytes / (efficiency x rate)
#pragma once
#include <array>
#include <string>
#include <string_view>

#include "hwmodels/gpu.h"
#include "sim/units.h"

namespace flopcast {

/// One fitted number with its meaning and origin.
struct LinkConstant {
  double value = 1.0;
  Source source;
};

struct LinkCalibration {
  LinkConstant nic_efficiency;             ///< goodput over line rate of a NIC, large messages
  LinkConstant nvlink_efficiency;          ///< the same of NVLink, in dispatch and combine
  LinkConstant dispatch_sm_GBps;           ///< NVLink bytes that one SM forwards per second in a dispatch, GB/s
  LinkConstant combine_sm_GBps;            ///< the same in a combine, which also adds up
  LinkConstant dispatch_setup_us;          ///< fixed time of a dispatch within one node (launch, layout, first hop)
  LinkConstant combine_setup_us;           ///< the same of a combine
  LinkConstant setup_per_doubling_us;      ///< added to either for each doubling of the nodes (handshake of all ranks)
  LinkConstant dispatch_overlap_slowdown;  ///< time of a dispatch while GEMMs run on the other SMs over time alone
  LinkConstant combine_overlap_slowdown;   ///< the same of a combine
  LinkConstant ring_nvlink_efficiency;     ///< ring collectives on NVLink
  LinkConstant ring_launch_us;             ///< fixed time of a collective
  LinkConstant ring_step_us;               ///< each ring step within a node; between nodes the fabric's latency adds to it
};

/// Every constant with its name in the data file, its unit and its meaning, in the order of the struct.
struct LinkConstantRow {
  std::string_view name;
  std::string_view unit;
  std::string_view meaning;
  LinkConstant LinkCalibration::* field;
};
constexpr int kLinkConstants = 12;
const std::array<LinkConstantRow, kLinkConstants>& link_constants();

}  // namespace flopcast
