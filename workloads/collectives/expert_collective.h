// Expert dispatch and combine as transfers: what the routing says each rank moves, at the pace that the
// communication kernels were measured at.
#pragma once
#include <span>
#include <vector>

#include "workloads/collectives/collectives.h"

namespace flopcast {

enum class ExpertOp : std::uint8_t {
  dispatch,  ///< tokens to experts, and the backward pass of combine
  combine,   ///< expert outputs back to tokens, and the backward pass of dispatch
};

struct ExpertCollectiveRequest {
  std::span<const RankId> ranks;           ///< of the expert-parallel group, node-major
  std::span<const ExpertTraffic> traffic;  ///< of a dispatch, per rank; a combine takes the same way back
  ExpertOp op = ExpertOp::dispatch;
  bool overlapped = false;  ///< while GEMMs run on the GPU's other SMs
  int sms = 20;             ///< SMs given to the communication kernels
};

/// The RDMA part and the NVLink forwarding of a token stream are pipelined, so they run at the same time and
/// the operation ends with the slower. What an overlapped operation loses to the GEMMs beside it (SM issue
/// slots, L2, HBM) slows its own flows and leaves the links to others.
CollectivePhase expert_collective(Topology& topology, const LinkCalibration& links,
                                  const ExpertCollectiveRequest& request);

/// The same in closed form, for one rank whose ports carry nothing else.
struct ExpertTime {
  Seconds notify;    ///< handshake of all ranks
  Seconds transmit;  ///< the kernel that moves the tokens
  Seconds total() const { return notify + transmit; }
};
struct ExpertSetting {
  BytesPerSecond nic, nvlink;  ///< data-sheet rates per GPU and direction
  int nodes = 1;
  ExpertOp op = ExpertOp::dispatch;
  bool overlapped = false;
  int sms = 20;
};
ExpertTime expert_time(const ExpertSetting& setting, const ExpertTraffic& traffic, const LinkCalibration& links);

}  // namespace flopcast
