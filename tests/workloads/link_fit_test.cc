// Does the fit recover constants from measurements that obey them, and does it read tables as they are?
#include "workloads/collectives/link_fit.h"

#include <algorithm>

#include "sim/base/diagnostic.h"
#include "tests/catch.h"
#include "tests/temporary.h"
#include "workloads/collectives/link_parameters.h"

using namespace flopcast;

namespace {

std::map<std::string, NodeSpec> data_sheets() {
  NodeSpec h100, h800;
  h100.nvlink_bandwidth = 450_GBps;
  h800.nvlink_bandwidth = 200_GBps;
  h100.in_switch_reduction = true;
  h100.nic_bandwidth = h800.nic_bandwidth = 50_GBps;
  return {{"h100-sxm", h100}, {"h800-sxm", h800}};
}

LinkCalibration known_constants() {
  LinkCalibration c;
  c.nic_efficiency.value = 0.93;
  c.nvlink_efficiency.value = 0.62;
  c.expert_sm_GBps.value = 15;
  c.dispatch_setup_us.value = 30;
  c.combine_setup_us.value = 60;
  c.notify_per_doubling_us.value = 25;
  c.dispatch_overlap_slowdown.value = 1.7;
  c.combine_overlap_slowdown.value = 1.3;
  c.ring_nvlink_efficiency.value = 0.72;
  c.ring_launch_us.value = 5;
  c.ring_step_us.value = 0.8;
  c.nccl_ll_launch_us.value = 4;
  c.nccl_ll_step_us.value = 0.9;
  c.nccl_ll_efficiency.value = 0.55;
  c.nccl_ll_widening.value = 0.15;
  c.nccl_ll_widening_kB.value = 6;
  c.nccl_ll_copy_ratio.value = 0.6;
  c.nccl_ll_gather.value = 0.85;
  c.nccl_launch_us.value = 15;
  c.nccl_ll128_step_us.value = 0.9;
  c.nccl_ll128_efficiency.value = 0.72;
  c.nccl_step_us.value = 2.5;
  c.nccl_efficiency.value = 0.88;
  c.nccl_filling_us.value = 90;
  c.nccl_filling_MB.value = 100;
  c.nccl_copy_ratio.value = 1.6;
  c.in_switch_launch_us.value = 22;
  c.in_switch_efficiency.value = 0.62;
  c.in_switch_filling_us.value = 75;
  c.in_switch_filling_MB.value = 15;
  c.exchange_launch_us.value = 7;
  c.exchange_small_GBps.value = 7;
  c.exchange_bulk_us.value = 5;
  c.exchange_efficiency.value = 0.78;
  c.exchange_filling_us.value = 70;
  c.exchange_filling_MB.value = 60;
  c.message_launch_us.value = 6;
  c.message_small_GBps.value = 50;
  c.message_bulk_us.value = 3;
  c.message_efficiency.value = 0.8;
  c.direct_launch_us.value = 2.1;
  c.direct_rank_us.value = 0.17;
  c.direct_two_shot_us.value = 5.8;
  c.direct_efficiency.value = 0.68;
  set_published_network(c);
  return c;
}

ExpertMeasurement measured(const LinkCalibration& truth, int nodes, std::int64_t tokens, ExpertOp op, int sms,
                           bool overlapped = false) {
  ExpertMeasurement m;
  m.table = overlapped ? "profile" : "alone";
  m.gpu = overlapped ? "h800-sxm" : "h100-sxm";
  m.nodes = nodes;
  m.op = op;
  m.sms = sms;
  m.overlapped = overlapped;
  m.traffic = expert_traffic({.ranks = 8 * nodes,
                              .ranks_per_node = 8,
                              .experts = 256,
                              .experts_per_token = 8,
                              .groups = nodes,
                              .groups_per_token = std::min(nodes, 4),
                              .tokens_per_rank = tokens,
                              .bytes_per_token = Bytes(op == ExpertOp::dispatch ? 7392 : 14336),
                              .rank_load = {}})[0];
  const ExpertTime time = predict(m, data_sheets().at(m.gpu), truth);
  m.transmit = time.transmit;
  m.notify = time.notify;
  return m;
}

LinkMeasurements synthetic(const LinkCalibration& truth) {
  LinkMeasurements all;
  for (const ExpertOp op : {ExpertOp::dispatch, ExpertOp::combine}) {
    for (const int nodes : {1, 2, 4, 8})
      for (const int sms : {4, 12, 20})
        for (const std::int64_t tokens : {8, 64, 512, 4096, 32768})
          all.experts.push_back(measured(truth, nodes, tokens, op, sms));
    all.experts.push_back(measured(truth, 8, 4096, op, 20, true));
  }
  for (const int gpus : {4, 8})
    for (double bytes = 1e3; bytes < 1e9; bytes *= 4) {
      RingMeasurement m;
      m.table = "rings";
      m.gpu = "h100-sxm";
      m.steps = gpus - 1;
      m.through = Bytes(bytes);
      m.time = predict(m, data_sheets().at(m.gpu), truth);
      all.rings.push_back(m);
    }
  for (const int gpus : {2, 4, 8})
    for (double bytes = 256; bytes < 2e9; bytes *= 2) {
      const auto add = [&](NcclOp op, bool direct) {
        NcclMeasurement m{"nccl", "h100-sxm", op, direct, gpus, Bytes(bytes), {}, true};
        m.time = predict(m, data_sheets().at(m.gpu), truth);
        all.nccl.push_back(m);
      };
      for (const NcclOp op : {NcclOp::all_reduce, NcclOp::all_gather, NcclOp::reduce_scatter, NcclOp::all_to_all})
        add(op, false);
      if (gpus == 2) add(NcclOp::send_recv, false);
      add(NcclOp::all_reduce, true);
    }
  return all;
}

}  // namespace

TEST_CASE("constants behind synthetic measurements are found again") {
  const LinkCalibration truth = known_constants();
  const LinkFit fit = fit_links(synthetic(truth), data_sheets(), 1);
  for (const LinkConstantRow& row : link_constants()) {
    INFO(row.name);
    CHECK((fit.calibration.*(row.field)).value == Approx((truth.*(row.field)).value).epsilon(0.01));
    CHECK_FALSE((fit.calibration.*(row.field)).source.text.empty());
  }
  for (const LinkFitError& error : fit.errors) CHECK(error.median < 0.01);
}

TEST_CASE("rows marked for comparison do not move the fit") {
  const LinkCalibration truth = known_constants();
  LinkMeasurements all = synthetic(truth);
  const double before = fit_links(all, data_sheets(), 1).calibration.nic_efficiency.value;
  ExpertMeasurement broken = measured(truth, 8, 4096, ExpertOp::dispatch, 20);
  broken.usable = false;
  broken.transmit *= 3.0;
  for (int i = 0; i < 100; ++i) all.experts.push_back(broken);
  CHECK(fit_links(all, data_sheets(), 1).calibration.nic_efficiency.value == Approx(before).epsilon(1e-6));
}

TEST_CASE("a missing table or an unknown GPU is refused by name") {
  CHECK_THROWS_AS(fit_links(read_link_measurements("/nonexistent", "/nonexistent"), data_sheets(), 1), InputError);
  CHECK_THROWS_AS(fit_links(synthetic(known_constants()), {}, 1), InputError);
}

TEST_CASE("published bandwidths count the own node's tokens; the time they imply is read back") {
  const test::TemporaryFolder folder;
  folder.write("deepep.csv",
               "mode,version,op,EP,latency_us,bandwidth_GBps,bottleneck,setting\n"
               "normal,V1 latest,dispatch(FP8),64,,51,RDMA,\"4096 tok, hidden 7168\"\n"
               "normal,V1 initial 2025-02,dispatch(FP8),64,,46,RDMA,old\n"
               "low_latency,V1 latest,dispatch(FP8),8,77,98,RDMA,other\n");
  const auto read = read_link_measurements(folder.path(), folder.path());
  REQUIRE(read.experts.size() == 1);
  // 4096 tokens x 3.63 nodes x 7392 B over 51 GB/s.
  CHECK(read.experts[0].transmit.value() == Approx(4096 * 3.629 * 7392 / 51e9).epsilon(0.001));
  CHECK(read.experts[0].nodes == 8);
}

TEST_CASE("a malformed table is an input error that names the line") {
  const test::TemporaryFolder folder;
  folder.write("deepep.csv", "mode,version,op,EP,bandwidth_GBps\nnormal,V1 latest,dispatch,8,fast\n");
  try {
    read_link_measurements(folder.path(), folder.path());
    FAIL("accepted");
  } catch (const InputError& error) {
    CHECK(error.diagnostics()[0].line == 2);
    CHECK(error.diagnostics()[0].field == "bandwidth_GBps");
  }
}
