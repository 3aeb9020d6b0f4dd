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
// Ring collectives at one rate for every size (workloads/collectives/collectives.h):
//   time = ring_launch_us + steps x ring_step_us + bytes / (efficiency x rate)
// NCCL's collectives with their protocols, by message size (workloads/collectives/nccl.h has the formulas): nccl_*,
// in_switch_*, exchange_*, message_* on NVLink are fitted; network_* are NCCL's own published constants.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "hwmodels/chips/gpu.h"
#include "hwmodels/kernels/calibration.h"
#include "sim/base/units.h"

namespace flopcast {

/// One fitted number with its meaning and origin.
struct LinkConstant {
  double value = 1.0;
  Source source;
};

struct LinkCalibration {
  LinkConstant nic_efficiency;             ///< goodput over line rate of a NIC, large messages
  LinkConstant nvlink_efficiency;          ///< of NVLink, likewise, in dispatch and combine
  LinkConstant expert_sm_GBps;             ///< what one SM copies in dispatch and combine, GB/s
  LinkConstant dispatch_setup_us;          ///< fixed time of a dispatch (launch, first hop)
  LinkConstant combine_setup_us;           ///< fixed time of a combine
  LinkConstant notify_per_doubling_us;     ///< handshake of all ranks before either, per doubling of the nodes
  LinkConstant dispatch_overlap_slowdown;  ///< time of a dispatch while GEMMs run on the other SMs over time alone
  LinkConstant combine_overlap_slowdown;   ///< of a combine, likewise
  LinkConstant ring_nvlink_efficiency;     ///< ring collectives on NVLink
  LinkConstant ring_launch_us;             ///< fixed time of a collective
  LinkConstant ring_step_us;               ///< each ring step; between nodes the fabric's latency adds to it

  // NCCL on NVLink. A "filling" time is what a pipeline of chunks takes to fill: chunks grow with the
  // message, so it grows with the bytes and levels off at `*_filling_us` beyond `*_filling_MB`.
  LinkConstant nccl_ll_launch_us;      ///< protocol LL (flags beside every 4 bytes): fixed time
  LinkConstant nccl_ll_step_us;        ///< LL: each hop
  LinkConstant nccl_ll_efficiency;     ///< LL: goodput over NVLink rate
  LinkConstant nccl_ll_widening;       ///< LL: what spreading over all channels adds to the fixed time, at most
  LinkConstant nccl_ll_widening_kB;    ///< LL: bytes at which half of it is reached
  LinkConstant nccl_ll_copy_ratio;     ///< LL: rate at which a rank handles its own share, over the NVLink rate
  LinkConstant nccl_ll_gather;         ///< LL: rate of an all-gather over that of a reduction
  LinkConstant nccl_launch_us;         ///< protocols LL128 and Simple: fixed time
  LinkConstant nccl_ll128_step_us;     ///< LL128 (flags beside every 120 bytes): each hop
  LinkConstant nccl_ll128_efficiency;  ///< LL128: goodput over NVLink rate
  LinkConstant nccl_step_us;           ///< Simple (memory fences between chunks): each hop
  LinkConstant nccl_efficiency;        ///< Simple: goodput over NVLink rate
  LinkConstant nccl_filling_us;
  LinkConstant nccl_filling_MB;
  LinkConstant nccl_ring_most;        ///< share of the NVLink rate that rings of more than two keep up at most
  LinkConstant nccl_copy_ratio;       ///< rate at which a rank copies its own share, over the NVLink rate
  LinkConstant in_switch_launch_us;   ///< NVLink SHARP: fixed time
  LinkConstant in_switch_efficiency;  ///< NVLink SHARP: buffer bytes per second over NVLink rate
  LinkConstant in_switch_filling_us;
  LinkConstant in_switch_filling_MB;
  LinkConstant exchange_launch_us;   ///< all-to-all: fixed time
  LinkConstant exchange_small_GBps;  ///< all-to-all by LL: bytes per peer over time
  LinkConstant exchange_bulk_us;     ///< all-to-all by Simple: further fixed time
  LinkConstant exchange_efficiency;  ///< all-to-all by Simple: goodput over NVLink rate
  LinkConstant exchange_filling_us;
  LinkConstant exchange_filling_MB;
  LinkConstant message_launch_us;   ///< send and receive: fixed time
  LinkConstant message_small_GBps;  ///< by LL
  LinkConstant message_bulk_us;     ///< by Simple: further fixed time
  LinkConstant message_efficiency;  ///< by Simple: goodput over NVLink rate
  // All-reduce of the serving engines: every rank reads its peers' buffers itself.
  LinkConstant direct_launch_us;    ///< fixed time in one shot
  LinkConstant direct_rank_us;      ///< each rank's flag
  LinkConstant direct_two_shot_us;  ///< fixed time in two shots
  LinkConstant direct_efficiency;   ///< goodput over NVLink rate
  // NCCL between nodes.
  LinkConstant network_efficiency;    ///< goodput over line rate of a NIC, Simple, large messages
  LinkConstant network_exposed;       ///< share of the shorter of a node's and the network's time that is not hidden
  LinkConstant network_ll_GBps;       ///< LL: bus bandwidth of a node, three nodes and more
  LinkConstant network_ll_pair_GBps;  ///< LL: the same between two nodes
  LinkConstant network_pat_share;     ///< rate of parallel aggregated trees over that of rings
  LinkConstant network_ring_ll_us;    ///< each hop, by algorithm and protocol
  LinkConstant network_ring_ll128_us;
  LinkConstant network_ring_us;
  LinkConstant network_tree_ll_us;
  LinkConstant network_tree_ll128_us;
  LinkConstant network_tree_us;
  LinkConstant network_in_switch_us;  ///< each hop of a tree between nodes that reduce in their NVSwitches
  LinkConstant network_pat_us;        ///< parallel aggregated trees: each doubling
  LinkConstant network_pat_rank_us;   ///< parallel aggregated trees: each rank
  LinkConstant network_message_us;    ///< a NIC's host thread: each message

  /// NCCL within a node, by GPU and operation: errors on rows that the fit did not see.
  std::vector<HeldBackError> held_back;
};

/// Every constant with its name in the data file, its unit and its meaning, in the order of the struct.
struct LinkConstantRow {
  std::string_view name;
  std::string_view unit;
  std::string_view meaning;
  LinkConstant LinkCalibration::*field;
};
constexpr int kLinkConstants = 60;
const std::array<LinkConstantRow, kLinkConstants>& link_constants();

}  // namespace flopcast
