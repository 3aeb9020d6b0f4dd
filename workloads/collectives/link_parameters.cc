#include "workloads/collectives/link_parameters.h"

#include <array>

namespace flopcast {

std::span<const FittedLink> expert_parameters() {
  using L = LinkCalibration;
  static const std::array<FittedLink, 5> list{{
      {{"nic_efficiency", 0.5, 1.0, 0.9}, &L::nic_efficiency},
      {{"nvlink_efficiency", 0.3, 1.0, 0.7}, &L::nvlink_efficiency},
      {{"expert_sm_GBps", 4, 64, 16}, &L::expert_sm_GBps},
      {{"dispatch_setup_us", 5, 200, 35}, &L::dispatch_setup_us},
      {{"combine_setup_us", 5, 200, 50}, &L::combine_setup_us},
  }};
  return list;
}

std::span<const FittedLink> ring_time_parameters() {
  using L = LinkCalibration;
  static const std::array<FittedLink, 2> list{{
      {{"ring_launch_us", 0.5, 50, 6}, &L::ring_launch_us},
      {{"ring_step_us", 0.05, 10, 1}, &L::ring_step_us},
  }};
  return list;
}

std::span<const FittedLink> ring_rate_parameters() {
  static const std::array<FittedLink, 1> list{
      {{{"ring_nvlink_efficiency", 0.3, 1.0, 0.75}, &LinkCalibration::ring_nvlink_efficiency}}};
  return list;
}

std::span<const FittedLink> nccl_parameters() {
  using L = LinkCalibration;
  static const std::array<FittedLink, 19> list{{
      {{"nccl_ll_launch_us", 0.5, 50, 5}, &L::nccl_ll_launch_us},
      {{"nccl_ll_step_us", 0.05, 10, 0.8}, &L::nccl_ll_step_us},
      {{"nccl_ll_efficiency", 0.1, 1.0, 0.5}, &L::nccl_ll_efficiency},
      {{"nccl_ll_widening", 0.01, 2, 0.2}, &L::nccl_ll_widening},
      {{"nccl_ll_widening_kB", 0.5, 500, 10}, &L::nccl_ll_widening_kB},
      {{"nccl_ll_copy_ratio", 0.05, 5, 0.5}, &L::nccl_ll_copy_ratio},
      {{"nccl_ll_gather", 0.2, 2, 0.8}, &L::nccl_ll_gather},
      {{"nccl_launch_us", 0.5, 100, 12}, &L::nccl_launch_us},
      {{"nccl_ll128_step_us", 0.05, 10, 1}, &L::nccl_ll128_step_us},
      {{"nccl_ll128_efficiency", 0.1, 1.0, 0.7}, &L::nccl_ll128_efficiency},
      {{"nccl_step_us", 0.05, 20, 2}, &L::nccl_step_us},
      {{"nccl_efficiency", 0.3, 1.0, 0.85}, &L::nccl_efficiency},
      {{"nccl_filling_us", 1, 500, 50}, &L::nccl_filling_us},
      {{"nccl_filling_MB", 1, 1000, 50}, &L::nccl_filling_MB},
      {{"nccl_copy_ratio", 0.2, 10, 2}, &L::nccl_copy_ratio},
      {{"in_switch_launch_us", 1, 100, 25}, &L::in_switch_launch_us},
      {{"in_switch_efficiency", 0.2, 1.0, 0.6}, &L::in_switch_efficiency},
      {{"in_switch_filling_us", 1, 500, 60}, &L::in_switch_filling_us},
      {{"in_switch_filling_MB", 1, 1000, 20}, &L::in_switch_filling_MB},
  }};
  return list;
}

std::span<const FittedLink> exchange_parameters() {
  using L = LinkCalibration;
  static const std::array<FittedLink, 6> list{{
      {{"exchange_launch_us", 0.5, 50, 7}, &L::exchange_launch_us},
      {{"exchange_small_GBps", 0.5, 100, 6}, &L::exchange_small_GBps},
      {{"exchange_bulk_us", 0.1, 50, 5}, &L::exchange_bulk_us},
      {{"exchange_efficiency", 0.3, 1.0, 0.8}, &L::exchange_efficiency},
      {{"exchange_filling_us", 1, 500, 50}, &L::exchange_filling_us},
      {{"exchange_filling_MB", 1, 1000, 50}, &L::exchange_filling_MB},
  }};
  return list;
}

std::span<const FittedLink> message_parameters() {
  using L = LinkCalibration;
  static const std::array<FittedLink, 4> list{{
      {{"message_launch_us", 0.5, 50, 6}, &L::message_launch_us},
      {{"message_small_GBps", 0.5, 1000, 15}, &L::message_small_GBps},
      {{"message_bulk_us", 0.1, 50, 2}, &L::message_bulk_us},
      {{"message_efficiency", 0.3, 1.0, 0.8}, &L::message_efficiency},
  }};
  return list;
}

std::span<const FittedLink> direct_parameters() {
  using L = LinkCalibration;
  static const std::array<FittedLink, 4> list{{
      {{"direct_launch_us", 0.3, 50, 2}, &L::direct_launch_us},
      {{"direct_rank_us", 0.01, 5, 0.15}, &L::direct_rank_us},
      {{"direct_two_shot_us", 0.5, 50, 6}, &L::direct_two_shot_us},
      {{"direct_efficiency", 0.3, 1.0, 0.65}, &L::direct_efficiency},
  }};
  return list;
}

void name_sources(LinkCalibration& links) {
  const Source deepep{
      "fit on stand-alone DeepEP: README @ dd758ca (H800, EP8 to EP64) and aiconfigurator "
      "wideep_deepep_normal 0.5.6.post2 (H100, 1 to 4 nodes)",
      "2026-11-21", true};
  const Source profile{
      "deepseek-ai/profile-data train.json @ 4496024 (H800, EP64, 20 SMs beside 112), dispatch and "
      "combine kernels over their stand-alone prediction",
      "2026-11-21", true};
  const Source rings{"fit on NCCL within one node, H100: aiconfigurator nccl 2.27.3 and apex_plus @ 8769096",
                     "2026-11-21", true};
  for (auto field : {&LinkCalibration::nic_efficiency, &LinkCalibration::nvlink_efficiency,
                     &LinkCalibration::expert_sm_GBps, &LinkCalibration::dispatch_setup_us,
                     &LinkCalibration::combine_setup_us, &LinkCalibration::notify_per_doubling_us})
    (links.*field).source = deepep;
  links.dispatch_overlap_slowdown.source = links.combine_overlap_slowdown.source = profile;
  links.ring_nvlink_efficiency.source = links.ring_launch_us.source = links.ring_step_us.source = rings;
  const Source nccl{
      "fit on NCCL within one node, H100 and H200, 2 to 8 GPUs: aiconfigurator nccl 2.26.2, 2.27.3 and "
      "2.29.2",
      "2026-11-21", true};
  const Source messages{"fit on NCCL send and receive, two H200: apex_plus @ 8769096", "2026-11-21", true};
  const Source direct{"fit on SGLang 0.5.14 custom all-reduce, H100 and H200, to 16 MiB: aiconfigurator", "2026-11-21",
                      true};
  for (const FittedLink& f : nccl_parameters()) (links.*f.field).source = nccl;
  for (const FittedLink& f : exchange_parameters()) (links.*f.field).source = nccl;
  for (const FittedLink& f : message_parameters()) (links.*f.field).source = messages;
  for (const FittedLink& f : direct_parameters()) (links.*f.field).source = direct;
}

void set_published_network(LinkCalibration& links) {
  const Source tuner{"NVIDIA/nccl, src/graph/tuning.cc, NCCL 2.27: latencies and bandwidths its tuner counts on",
                     "2025", true};
  const Source nics{"46 to 48 GB/s of a 400G NIC are to be expected (NVIDIA, github.com/NVIDIA/nccl-tests/issues/290)",
                    "2025-03-03", true};
  links.nccl_ring_most = {
      0.79,
      {"mean of rings over eight GPUs, large buffers: H100 without NVLink SHARP 368.8 of 450 GB/s (NVIDIA/nccl-tests "
       "issue 309; 212: 370), B300 695 of 900 (NVIDIA/nccl issue 2140), A100 232.5 of 300 (issue 1048)",
       "2026-11-27", true}};
  links.network_efficiency = {0.94, nics};
  links.network_exposed = {
      0.18,
      {"all-reduce of 512 MiB and 1 GiB over two nodes of H100 (skypilot, Together InfiniBand): what "
       "they take beyond the network alone",
       "2026-11-21", true}};
  links.network_ll_GBps = {20.4, tuner};
  links.network_ll_pair_GBps = {39.0, tuner};
  links.network_pat_share = {0.75, tuner};
  links.network_ring_ll_us = {2.7, tuner};
  links.network_ring_ll128_us = {4.0, tuner};
  links.network_ring_us = {14.0, tuner};
  links.network_tree_ll_us = {5.0, tuner};
  links.network_tree_ll128_us = {8.5, tuner};
  links.network_tree_us = {14.0, tuner};
  links.network_in_switch_us = {20.9, tuner};
  links.network_pat_us = {4.0, tuner};
  links.network_pat_rank_us = {2.8, tuner};
  links.network_message_us = {1.0, tuner};
}

}  // namespace flopcast
