#include "hwmodels/link_calibration.h"

namespace flopcast {

const std::array<LinkConstantRow, kLinkConstants>& link_constants() {
  using L = LinkCalibration;
  static const std::array<LinkConstantRow, kLinkConstants> rows{{
      {"nic_efficiency", "", "goodput over line rate of a NIC, large messages", &L::nic_efficiency},
      {"nvlink_efficiency", "", "goodput over NVLink rate in dispatch and combine", &L::nvlink_efficiency},
      {"expert_sm_GBps", "GB/s", "what one SM copies in dispatch and combine", &L::expert_sm_GBps},
      {"dispatch_setup_us", "us", "fixed time of a dispatch", &L::dispatch_setup_us},
      {"combine_setup_us", "us", "fixed time of a combine", &L::combine_setup_us},
      {"notify_per_doubling_us", "us", "handshake before either, per doubling of the nodes",
       &L::notify_per_doubling_us},
      {"dispatch_overlap_slowdown", "", "time of a dispatch beside GEMMs over time alone",
       &L::dispatch_overlap_slowdown},
      {"combine_overlap_slowdown", "", "time of a combine beside GEMMs over time alone",
       &L::combine_overlap_slowdown},
      {"ring_nvlink_efficiency", "", "goodput over NVLink rate of ring collectives",
       &L::ring_nvlink_efficiency},
      {"ring_launch_us", "us", "fixed time of a ring collective", &L::ring_launch_us},
      {"ring_step_us", "us", "each step of a ring", &L::ring_step_us},
  }};
  return rows;
}

}  // namespace flopcast
