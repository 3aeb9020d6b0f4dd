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
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "hwmodels/chips/fitted.h"
#include "hwmodels/kernels/calibration.h"
#include "sim/base/units.h"

namespace flopcast {

/// A link is ideal where nothing was fitted: ratios of 1.
struct LinkCalibration {
  Fitted nic_efficiency{1};             ///< goodput over line rate of a NIC, large messages
  Fitted nvlink_efficiency{1};          ///< of NVLink, likewise, in dispatch and combine
  Fitted expert_sm_GBps{1};             ///< what one SM copies in dispatch and combine, GB/s
  Fitted dispatch_setup_us{1};          ///< fixed time of a dispatch (launch, first hop)
  Fitted combine_setup_us{1};           ///< fixed time of a combine
  Fitted notify_per_doubling_us{1};     ///< handshake of all ranks before either, per doubling of the nodes
  Fitted dispatch_overlap_slowdown{1};  ///< time of a dispatch while GEMMs run on the other SMs over time alone
  Fitted combine_overlap_slowdown{1};   ///< of a combine, likewise
  Fitted ring_nvlink_efficiency{1};     ///< ring collectives on NVLink
  Fitted ring_launch_us{1};             ///< fixed time of a collective
  Fitted ring_step_us{1};               ///< each ring step; between nodes the fabric's latency adds to it

  // NCCL on NVLink. A "filling" time is what a pipeline of chunks takes to fill: chunks grow with the
  // message, so it grows with the bytes and levels off at `*_filling_us` beyond `*_filling_MB`.
  Fitted nccl_ll_launch_us{1};      ///< protocol LL (flags beside every 4 bytes): fixed time
  Fitted nccl_ll_step_us{1};        ///< LL: each hop
  Fitted nccl_ll_efficiency{1};     ///< LL: goodput over NVLink rate
  Fitted nccl_ll_widening{1};       ///< LL: what spreading over all channels adds to the fixed time, at most
  Fitted nccl_ll_widening_kB{1};    ///< LL: bytes at which half of it is reached
  Fitted nccl_ll_copy_ratio{1};     ///< LL: rate at which a rank handles its own share, over the NVLink rate
  Fitted nccl_ll_gather{1};         ///< LL: rate of an all-gather over that of a reduction
  Fitted nccl_launch_us{1};         ///< protocols LL128 and Simple: fixed time
  Fitted nccl_ll128_step_us{1};     ///< LL128 (flags beside every 120 bytes): each hop
  Fitted nccl_ll128_efficiency{1};  ///< LL128: goodput over NVLink rate
  Fitted nccl_step_us{1};           ///< Simple (memory fences between chunks): each hop
  Fitted nccl_efficiency{1};        ///< Simple: goodput over NVLink rate
  Fitted nccl_filling_us{1};
  Fitted nccl_filling_MB{1};
  Fitted nccl_ring_most{1};        ///< share of the NVLink rate that rings of more than two keep up at most
  Fitted nccl_copy_ratio{1};       ///< rate at which a rank copies its own share, over the NVLink rate
  Fitted in_switch_launch_us{1};   ///< NVLink SHARP: fixed time
  Fitted in_switch_efficiency{1};  ///< NVLink SHARP: buffer bytes per second over NVLink rate
  Fitted in_switch_filling_us{1};
  Fitted in_switch_filling_MB{1};
  Fitted exchange_launch_us{1};   ///< all-to-all: fixed time
  Fitted exchange_small_GBps{1};  ///< all-to-all by LL: bytes per peer over time
  Fitted exchange_bulk_us{1};     ///< all-to-all by Simple: further fixed time
  Fitted exchange_efficiency{1};  ///< all-to-all by Simple: goodput over NVLink rate
  Fitted exchange_filling_us{1};
  Fitted exchange_filling_MB{1};
  Fitted message_launch_us{1};   ///< send and receive: fixed time
  Fitted message_small_GBps{1};  ///< by LL
  Fitted message_bulk_us{1};     ///< by Simple: further fixed time
  Fitted message_efficiency{1};  ///< by Simple: goodput over NVLink rate
  // All-reduce of the serving engines: every rank reads its peers' buffers itself.
  Fitted direct_launch_us{1};    ///< fixed time in one shot
  Fitted direct_rank_us{1};      ///< each rank's flag
  Fitted direct_two_shot_us{1};  ///< fixed time in two shots
  Fitted direct_efficiency{1};   ///< goodput over NVLink rate
  // NCCL between nodes.
  Fitted network_efficiency{1};    ///< goodput over line rate of a NIC, Simple, large messages
  Fitted network_exposed{1};       ///< share of the shorter of a node's and the network's time that is not hidden
  Fitted network_ll_GBps{1};       ///< LL: bus bandwidth of a node, three nodes and more
  Fitted network_ll_pair_GBps{1};  ///< LL: the same between two nodes
  Fitted network_pat_share{1};     ///< rate of parallel aggregated trees over that of rings
  Fitted network_ring_ll_us{1};    ///< each hop, by algorithm and protocol
  Fitted network_ring_ll128_us{1};
  Fitted network_ring_us{1};
  Fitted network_tree_ll_us{1};
  Fitted network_tree_ll128_us{1};
  Fitted network_tree_us{1};
  Fitted network_in_switch_us{1};  ///< each hop of a tree between nodes that reduce in their NVSwitches
  Fitted network_pat_us{1};        ///< parallel aggregated trees: each doubling
  Fitted network_pat_rank_us{1};   ///< parallel aggregated trees: each rank
  Fitted network_message_us{1};    ///< a NIC's host thread: each message

  std::vector<std::string> architectures;  ///< of the GPUs whose links were measured, each once, in order of names
  /// Whether links of GPUs of this architecture were.
  bool measured(std::string_view architecture) const {
    return std::find(architectures.begin(), architectures.end(), architecture) != architectures.end();
  }

  /// NCCL within a node, by GPU and operation: errors on rows that the fit did not see.
  std::vector<HeldBackError> held_back;
};

/// Every constant with its name in the data file, its unit and its meaning, in the order of the struct.
struct LinkConstantRow {
  std::string_view name;
  std::string_view unit;
  std::string_view meaning;
  Fitted LinkCalibration::*field;
};
constexpr int kLinkConstants = 60;
const std::array<LinkConstantRow, kLinkConstants>& link_constants();

}  // namespace flopcast
