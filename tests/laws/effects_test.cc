// Does every figure of hardware have an effect on something, or a reason why it has none?
#include <algorithm>
#include <map>

#include "flopcast/errors.h"
#include "flopcast/metrics.h"
#include "scenarios/read/fields/field_reference.h"
#include "tests/catch.h"
#include "tests/laws/random_scenarios.h"

namespace flopcast {
namespace {

/// Small scenarios that together use all there is: each mechanism of the hardware in at least one.
const std::vector<std::string> kScenarios{
    // Training of a dense model in FP8 over two nodes, tensor and data parallel, with energy and checkpoints.
    R"(cluster { node: "hgx-h100" nodes: 4 fabric: "rail-ft2" } model: "llama-3.1-8b"
training { plan { tensor: 4 pipeline: 2 data: 4 } batch { sequences: 16 sequence_length: 4096 } schedule: "1f1b"
  precision { linear: "fp8" } })",
    // What lies in the host's memory.
    R"(cluster { node: "hgx-a100" nodes: 1 fabric: "rail-ft2" } model: "llama-3.1-8b"
training { plan { data: 8 } batch { sequences: 8 sequence_length: 4096 } schedule: "1f1b"
  offload { optimizer: 1 activations: 1 overlap: false } })",
    // Experts over nodes.
    R"(cluster { node: "hgx-h100" nodes: 4 fabric: "rail-ft2" } model: "mixtral-8x7b"
training { plan { pipeline: 4 data: 8 expert: 8 } batch { sequences: 32 sequence_length: 4096 } schedule: "1f1b" })",
    // A split deployment: caches travel, prefixes are kept in the host's memory.
    R"(cluster { node: "hgx-h100" nodes: 2 fabric: "rail-ft2" } model: "llama-3.1-8b"
serving { traffic { requests: "60" stream { requests_per_second: 8 input { mean: 2000 } output { mean: 60 } } }
  prefill { count: 1 tensor: 2 } decode { count: 1 tensor: 2 } })",
    // A lone collective over leaves of a small fabric.
    R"(cluster { node: "hgx-h100" nodes: 64 fabric: "rail-ft2" } collective {
  operation: "ring_all_reduce" ranks: 512 bytes: "64 MiB" })"};

/// Figures that decide nothing that is run, and what they are for.
const std::map<std::string, std::string> kElsewhere{
    {"fp4_peak", "products of four-bit operands (replicas.weights: \"fp4\"), which no chip here multiplies"},
    {"int8_peak", "TPP of an export rule"},
    {"tf32_peak", "TPP of an export rule"},
    {"fp6_peak", "TPP of an export rule"},
    {"fp64_peak", "TPP of an export rule"},
    {"fp32_peak", "TPP of an export rule"},
    {"tpp", "an export rule"},
    {"datacenter_marketed", "an export rule"},
    {"transistors", "an export rule of the AI diffusion framework"},
    {"die_area", "performance density of an export rule"},
    {"memory_area", "an export rule"},
    {"price", "the cost of owning a GPU (flopcast cost)"},
    {"l2_capacity", "told in `list gpus`; kernels are measured with their caches"},
    {"pcie_bandwidth", "weights on their way to rollout engines, states that are offloaded"},
    {"hbm_capacity", "what fits (usable_memory)"},
    {"layers", "how large a fabric may be"},
    {"site_latency", "fabrics of several sites"},
    {"site_bandwidth", "fabrics of several sites"},
};

using Figures = std::map<std::string, double>;

std::optional<Figures> figures(const std::string& text, const std::vector<std::string>& sets) {
  try {
    Figures all;
    for (const Metric& metric : metrics(testing::run_text(text, sets)))
      if (const auto number = metric.number()) all[metric.name] = *number;
    return all;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

TEST_CASE("every figure of hardware moves something, or says what it is for", "[laws]") {
  std::vector<Figures> before;
  for (const std::string& text : kScenarios) {
    const auto of = figures(text, {});
    REQUIRE(of);
    before.push_back(*of);
  }
  for (const std::string section : {"cluster.gpu_override", "cluster.node_override", "cluster.fabric_override"}) {
    for (const FieldReference& field : fields_below(section)) {
      if (field.type == "text" || field.type == "section" || !field.library.empty()) continue;
      if (field.path.find('[') != std::string::npos || kElsewhere.contains(field.name)) continue;
      bool accepted = false, moved = false;
      for (std::size_t i = 0; i < kScenarios.size() && !moved; ++i) {
        for (const char* by : {"0.5", "2"}) {
          const auto now = figures(
              kScenarios[i], {section + ".scale[0].field=" + field.name, section + ".scale[0].by=" + std::string(by)});
          accepted |= now.has_value();
          moved |= now && *now != before[i];
        }
      }
      INFO(field.path);
      CHECK((moved || !accepted));
    }
  }
}

}  // namespace
}  // namespace flopcast
