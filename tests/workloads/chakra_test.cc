// Are execution traces of every version read as what they say, faults told with node and byte, and replayed in the time
// that closed forms give?
#include "workloads/chakra/et_file.h"
#include "workloads/chakra/job_graph.h"

#include "sim/replay.h"
#include "tests/catch.h"
#include "tests/scenarios/fixture.h"
#include "tests/workloads/et_writer.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using testing::EtAttributes;
using testing::EtText;

/// Ranks of a job in files of a folder; groups by name, the first of all.
class Job {
 public:
  explicit Job(const std::vector<std::string>& traces, std::vector<CommGroup> groups = {}) {
    for (const std::string& trace : traces) {
      const int rank = static_cast<int>(job_.traces.size());
      job_.traces.push_back(
          read_et_file(folder_.write("job." + std::to_string(rank) + ".et", trace), rank, job_.texts));
    }
    job_.ranks = static_cast<int>(traces.size());
    CommGroup all;
    for (int rank = 0; rank < job_.ranks; ++rank) all.ranks.push_back(rank);
    job_.groups.push_back(all);
    job_.group_of.assign(job_.texts.size(), 0);
    for (CommGroup& group : groups) {
      job_.group_of[job_.texts.number(group.name)] = static_cast<std::int32_t>(job_.groups.size());
      job_.groups.push_back(std::move(group));
    }
  }
  ChakraJob& operator*() { return job_; }

 private:
  test::TemporaryFolder folder_;
  ChakraJob job_;
};

// One GPU a node, 50 GB/s each way, 1 us between nodes; 1 TFLOP/s and 100 GB/s within.
ClusterSpec line(int ranks) {
  ClusterSpec cluster;
  cluster.node.gpus = 1;
  cluster.node.nic_bandwidth = 50_GBps;
  cluster.node.nic_efficiency = cluster.node.nvlink_efficiency = 1;
  cluster.node.nvlink_bandwidth = 400_GBps;
  cluster.node.gpu.bf16_peak = 1_TFLOPS;
  cluster.node.gpu.hbm_bandwidth = 100_GBps;
  cluster.node.gpu.pcie_bandwidth = 10_GBps;
  cluster.nodes = ranks;
  cluster.fabric.port_bandwidth = 50_GBps;
  cluster.fabric.same_leaf_latency = cluster.fabric.cross_leaf_latency = 1_us;
  return cluster;
}

Seconds job_time(ChakraJob& job, const JobPrices& prices = {}) {
  Topology topology(line(job.ranks));
  const JobGraph graph = build_job_graph(job, match_communication(job), topology, prices);
  return replay(graph.graph, topology.network(), {}).makespan;
}

std::vector<std::string> same_as(int ranks, const EtText& trace) { return std::vector(ranks, trace.str()); }

std::string faults_of_trace(const std::string& bytes) {
  const test::TemporaryFolder folder;
  TextPool texts;
  try {
    read_et_file(folder.write("x.0.et", bytes), 0, texts);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("a collective of a trace takes what its closed form says", "[chakra]") {
  constexpr double kBytes = 1 << 20, kPort = 50e9, kHop = 1e-6;
  const auto time = [&](int kind, int ranks) {
    Job job(same_as(ranks, EtText().collective(0, kind, 1 << 20)));
    return job_time(*job).value();
  };
  CHECK(time(0, 8) == Approx(2 * 7.0 / 8 * kBytes / kPort + 14 * kHop).epsilon(1e-9));  // all-reduce
  CHECK(time(7, 4) == Approx(3.0 / 4 * kBytes / kPort + 3 * kHop).epsilon(1e-9));       // reduce-scatter
  // What an all-gather is given is a rank's share.
  CHECK(time(2, 4) == Approx(3 * kBytes / kPort + 3 * kHop).epsilon(1e-9));
  CHECK(time(6, 4) == Approx(3.0 / 4 * kBytes / kPort).epsilon(0.1));
  CHECK(time(5, 4) == Approx(kBytes / kPort + 3 * kHop).epsilon(1e-9));  // broadcast
  CHECK(time(1, 4) == Approx(time(5, 4)).epsilon(1e-9));                 // reduce
  CHECK(time(3, 4) == Approx(3 * kBytes / kPort + kHop).epsilon(1e-9));  // gather: through the root's port
  CHECK(time(4, 4) == Approx(3.0 / 4 * kBytes / kPort + kHop).epsilon(1e-9));
  CHECK(time(9, 4) < 10e-6);
}

TEST_CASE("what depends on nothing goes on at once, a stream does one thing at a time", "[chakra]") {
  // Two computations of 300 us on one stream, a load of 1 ms beside them, 100 us of the host.
  EtText one;
  one.compute(1, 300).compute(2, 300).node(3, testing::kLoad, {}, 1000);
  one.node(4, testing::kCompute, {}, 100, EtAttributes().boolean("is_cpu_op", true));
  Job lone({one.str()});
  CHECK(job_time(*lone).value() == Approx(1e-3));

  EtText after;
  after.compute(1, 300).compute(2, 300).compute(3, 50, {1, 2});
  Job chain({after.str()});
  CHECK(job_time(*chain).value() == Approx(650e-6));

  EtText streams;
  streams.node(1, testing::kCompute, {}, 300, EtAttributes().integer("stream", 7));
  streams.node(2, testing::kCompute, {}, 300, EtAttributes().integer("stream", 20));
  Job both({streams.str()});
  CHECK(job_time(*both).value() == Approx(300e-6));
}

TEST_CASE("collectives of different groups run at once and share the ports", "[chakra]") {
  const auto pair = [](std::uint64_t first, const char* a, const char* b) {
    return EtText().collective(first, 0, 1 << 20, {}, a).collective(first + 1, 0, 1 << 20, {}, b).str();
  };
  const double alone = 2 * 0.5 * (1 << 20) / 50e9;
  Job job({pair(0, "a", "b"), pair(5, "a", "b")}, {{"a", {0, 1}}, {"b", {0, 1}}});
  CHECK(job_time(*job).value() == Approx(2 * alone + 2e-6).epsilon(1e-6));  // both share every port
  // One communicator does one after the other.
  Job serial({pair(0, "a", "a"), pair(5, "a", "a")}, {{"a", {0, 1}}});
  CHECK(job_time(*serial).value() == Approx(2 * alone + 4e-6).epsilon(1e-6));
}

TEST_CASE("messages go from rank to rank by tag, and receivers wait for them", "[chakra]") {
  const auto message = [](const char* end, int peer, int tag) {
    return EtAttributes().integer("comm_size", 1 << 20).integer(end, peer).integer("comm_tag", tag);
  };
  EtText sender, receiver;
  sender.compute(1, 100).node(2, testing::kSend, {1}, 0, message("comm_dst", 1, 7));
  receiver.node(1, testing::kReceive, {}, 0, message("comm_src", 0, 7)).compute(2, 50, {1});
  Job job({sender.str(), receiver.str()});
  CHECK(job_time(*job).value() == Approx(150e-6 + 1e-6 + (1 << 20) / 50e9).epsilon(1e-9));

  EtText deaf;
  deaf.compute(2, 50);
  Job lost({sender.str(), deaf.str()});
  CHECK_THROWS_WITH(match_communication(*lost), ContainsSubstring("a message to rank 1, tag 7, that nobody receives"));
}

TEST_CASE("nodes without a time are priced by the roofline of the chip", "[chakra]") {
  const auto sized = [](std::int64_t flop, std::int64_t bytes, std::uint64_t micros) {
    return EtText()
        .node(1, testing::kCompute, {}, micros, EtAttributes().integer("num_ops", flop).integer("tensor_size", bytes))
        .str();
  };
  const auto time = [](const std::string& trace, NodePricing pricing) {
    Job job({trace});
    return job_time(*job, {pricing}).value();
  };
  CHECK(time(sized(2'000'000'000, 1'000'000, 0), NodePricing::automatic) == Approx(2e-3));  // bound by FLOP
  CHECK(time(sized(1'000'000, 500'000'000, 0), NodePricing::automatic) == Approx(5e-3));    // by bytes
  CHECK(time(sized(2'000'000'000, 1'000'000, 700), NodePricing::automatic) == Approx(700e-6));
  CHECK(time(sized(2'000'000'000, 1'000'000, 700), NodePricing::roofline) == Approx(2e-3));
  CHECK(time(sized(2'000'000'000, 1'000'000, 0), NodePricing::recorded) == 0);
}

TEST_CASE("what stands behind a node without time starts once", "[chakra]") {
  // Roots without time whose dependants are behind, before and between them in the file.
  const std::string chain =
      EtText().compute(1, 0).compute(2, 100, {1}).compute(3, 0, {1}).compute(4, 50, {3, 2}).compute(5, 0, {4}).str();
  Job lone({chain});
  CHECK(job_time(*lone).value() == Approx(150e-6));
  Job backwards({EtText().compute(4, 50, {2}).compute(2, 100, {1}).compute(1, 0).str()});
  CHECK(job_time(*backwards).value() == Approx(150e-6));
  const double reduce = 2 * 0.5 * (1 << 20) / 50e9 + 2e-6;
  Job both(same_as(2, EtText().compute(1, 0).collective(2, 0, 1 << 20, {1}).compute(3, 30, {2})));
  CHECK(job_time(*both).value() == Approx(reduce + 30e-6).epsilon(1e-9));
}

TEST_CASE("the older layouts say the same", "[chakra]") {
  // 0.0.3: typed attributes, parents. {name = 1, type = 2, i = 6}
  const auto typed = [](const char* name, std::uint64_t value) {
    WireWriter attribute;
    attribute.bytes(1, name);
    attribute.varint(2, 2);
    attribute.varint(6, value);
    return attribute;
  };
  WireWriter compute, reduce;
  compute.varint(1, 1);
  compute.bytes(2, "work");
  compute.varint(3, 4);
  compute.message(11, typed("runtime", 100));
  reduce.varint(1, 2);
  reduce.bytes(2, "reduce");
  reduce.varint(3, 7);
  reduce.varint(4, 1);
  reduce.message(11, typed("comm_type", 3));  // reduce-scatter, then
  reduce.message(11, typed("comm_size", 1 << 20));
  const std::string old = EtText("").message(compute).message(reduce).str();
  const double expected = 100e-6 + 3.0 / 4 * (1 << 20) / 50e9 + 3e-6;
  Job job(std::vector(4, old));
  CHECK((*job).traces[0].schema == EtSchema::attributes);
  CHECK(job_time(*job).value() == Approx(expected).epsilon(1e-9));

  // 0.0.1: a field per property, kinds counted from load = 1.
  WireWriter first, second;
  first.varint(1, 1);
  first.bytes(2, "work");
  first.varint(3, 3);
  first.varint(6, 1'000'000);     // tensor_size
  first.varint(12, 100'000'000);  // num_ops: 100 us
  second.varint(1, 2);
  second.bytes(2, "reduce");
  second.varint(3, 6);
  second.varint(4, 1);
  second.varint(13, 4);
  second.varint(18, 1 << 20);
  const std::string oldest = EtText("").message(first).message(second).str();
  Job fields(std::vector(4, oldest));
  CHECK((*fields).traces[0].schema == EtSchema::fields);
  CHECK(job_time(*fields).value() == Approx(expected).epsilon(1e-9));
}

TEST_CASE("control dependencies are waited for, unless PyTorch means callers by them", "[chakra]") {
  EtText ordered;
  ordered.node(1, testing::kCompute, {}, 100, EtAttributes().integer("stream", 1));
  ordered.node(2, testing::kCompute, {}, 100, EtAttributes().integer("stream", 2), {1});
  Job job({ordered.str()});
  CHECK(job_time(*job).value() == Approx(200e-6));

  EtText called;
  called.node(1, testing::kCompute, {}, 100, EtAttributes().integer("stream", 1).integer("rf_id", 3), {1, 77});
  called.node(2, testing::kCompute, {}, 100, EtAttributes().integer("stream", 2), {1});
  Job calls({called.str()});
  CHECK(job_time(*calls).value() == Approx(100e-6));
}

TEST_CASE("a trace that cannot be read is refused with node and byte", "[chakra]") {
  const std::string whole = EtText().compute(1, 10).compute(2, 10, {1}).str();
  CHECK(faults_of_trace(whole).empty());
  CHECK_THAT(faults_of_trace(whole.substr(0, whole.size() - 3)),
             ContainsSubstring("x.0.et") && ContainsSubstring("byte 23") && ContainsSubstring("was not cut off"));
  CHECK_THAT(faults_of_trace(""), ContainsSubstring("no nodes"));
  CHECK_THAT(faults_of_trace("hello, this is no trace"), ContainsSubstring("byte"));
  CHECK_THAT(faults_of_trace(EtText("0.0.9").compute(1, 10).str()), ContainsSubstring("version \"0.0.9\""));
  CHECK_THAT(faults_of_trace(whole + whole), ContainsSubstring("a second GlobalMetadata"));
  CHECK_THAT(faults_of_trace(EtText().compute(1, 10, {2}).compute(2, 10, {1}).str()),
             ContainsSubstring("go round in a circle: 1 needs 2 needs 1"));
  CHECK_THAT(faults_of_trace(EtText().compute(1, 10, {9}).str()),
             ContainsSubstring("node 1 (byte 9)") && ContainsSubstring("a data dependency on node 9"));
  CHECK_THAT(faults_of_trace(EtText().compute(1, 10).compute(1, 10).str()),
             ContainsSubstring("an id that the node at"));
  CHECK_THAT(faults_of_trace(EtText().node(1, 12, {}, 0).str()), ContainsSubstring("type 12"));
  CHECK_THAT(faults_of_trace(EtText().collective(1, 0, -4).str()), ContainsSubstring("comm_size of -4"));
  CHECK_THAT(faults_of_trace(EtText().collective(1, 99, 4).str()), ContainsSubstring("comm_type 99"));
  CHECK_THAT(faults_of_trace(EtText().node(1, testing::kCollective, {}, 0).str()),
             ContainsSubstring("a collective without comm_type"));

  WireWriter of_another_version;
  of_another_version.varint(1, 2);
  of_another_version.varint(18, 100);
  CHECK_THAT(faults_of_trace(EtText().compute(1, 10).message(of_another_version).str()),
             ContainsSubstring("field 18, which nodes of version 0.0.4 do not have"));
}

TEST_CASE("ranks whose collectives do not belong together are refused", "[chakra]") {
  const auto refusal = [](const std::vector<std::string>& traces, std::vector<CommGroup> groups = {}) {
    Job job(traces, std::move(groups));
    try {
      job_time(*job);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(refusal({EtText().collective(1, 0, 8).str(), EtText().collective(1, 0, 16).str()}),
             ContainsSubstring("all-reduce of 16 bytes") && ContainsSubstring("all-reduce of 8 bytes, as rank 0"));
  CHECK_THAT(refusal({EtText().collective(1, 0, 8).str(), EtText().compute(1, 1).str()}),
             ContainsSubstring("of which rank 1 has 0"));
  CHECK_THAT(
      refusal({EtText().collective(1, 0, 8, {}, "a").str(), EtText().collective(1, 0, 8, {}, "a").str()}, {{"a", {0}}}),
      ContainsSubstring("a collective of group \"a\" on rank 1"));
  // In one order here, in the other there: by name they still belong together ...
  EtText forward, backward;
  forward.collective(1, 0, 8).collective(2, 0, 16);
  backward.collective(2, 0, 16).collective(1, 0, 8);
  CHECK(refusal({forward.str(), backward.str()}).empty());
  // ... but not when each rank makes one wait for the other.
  EtText first, last;
  first.collective(1, 0, 8).collective(2, 0, 16, {1});
  last.collective(2, 0, 16).collective(1, 0, 8, {2});
  CHECK_THAT(refusal({first.str(), last.str()}), ContainsSubstring("waits for ever for rank"));
}

}  // namespace
}  // namespace flopcast
