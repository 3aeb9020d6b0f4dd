// How fast links and communication kernels really are, fitted on stand-alone measurements of collectives
// (DeepEP, NCCL) by `flopcast calibrate`. Data-sheet rates stay in the node and fabric files; here are ratios
// to them, fixed times, and what one SM can move.
//
// Expert dispatch and combine (token streams over NICs, forwarded over NVLink, copied by SMs):
//   time = notify + setup + slowdown x max(NIC bytes / (nic_efficiency x NIC rate),
//                                          NVLink bytes / (nvlink_efficiency x NVLink rate),
//                                          (NVLink bytes + passes x network bytes) / (SMs x expert_sm_GBps))
//   notify = notify_per_doubling_us x log2(nodes)
//   network bytes: what goes through network buffers, the own node's tokens included. A dispatch handles them
//   once (to send), a combine twice (summed where they are forwarded, and again where they arrive).
// Ring collectives:
//   time = ring_launch_us + steps x ring_step_us + bytes / (efficiency x rate)
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
  LinkConstant nic_efficiency;          ///< goodput over line rate of a NIC, large messages
  LinkConstant nvlink_efficiency;       ///< the same of NVLink, in dispatch and combine
  LinkConstant expert_sm_GBps;          ///< what one SM copies in dispatch and combine, GB/s
  LinkConstant dispatch_setup_us;       ///< fixed time of a dispatch (launch, first hop)
  LinkConstant combine_setup_us;        ///< the same of a combine
  LinkConstant notify_per_doubling_us;  ///< handshake of all ranks before either, per doubling of the nodes
  LinkConstant
      dispatch_overlap_slowdown;  ///< time of a dispatch while GEMMs run on the other SMs over time alone
  LinkConstant combine_overlap_slowdown;  ///< the same of a combine
  LinkConstant ring_nvlink_efficiency;    ///< ring collectives on NVLink
  LinkConstant ring_launch_us;            ///< fixed time of a collective
  LinkConstant ring_step_us;              ///< each ring step; between nodes the fabric's latency adds to it
};

/// Every constant with its name in the data file, its unit and its meaning, in the order of the struct.
struct LinkConstantRow {
  std::string_view name;
  std::string_view unit;
  std::string_view meaning;
  LinkConstant LinkCalibration::*field;
};
constexpr int kLinkConstants = 11;
const std::array<LinkConstantRow, kLinkConstants>& link_constants();

}  // namespace flopcast
