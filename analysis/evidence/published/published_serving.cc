#include "analysis/evidence/published/published_serving.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "scenarios/read/calibrations/calibration_file.h"
#include "scenarios/read/calibrations/engine_calibration.h"
#include "scenarios/read/libraries/data_file.h"
#include "sim/base/diagnostic.h"
#include "workloads/serving/cache/kv_bytes.h"
#include "workloads/serving/experts/steady_load.h"
#include "workloads/serving/pricing/deployment.h"
#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/session/session.h"

namespace flopcast {
namespace {

using Kind = PublishedServing::Kind;

constexpr std::int64_t kPrefillTokens = 16384;  // per GPU, in the published prefill rows
constexpr int kPrefillSms = 24;                 // that communication takes there (deepseek-ai/profile-data)

/// All at once, all alike.
class Crowd final : public RequestSource {
 public:
  explicit Crowd(const PublishedServing& row) : row_(row) {}
  Seconds next_arrival() const override { return taken_ < row_.requests ? Seconds(0) : kNever; }
  Request take() override {
    Request request;
    request.id = static_cast<std::uint64_t>(taken_++);
    request.input_tokens = row_.input;
    request.output_tokens = row_.output;
    return request;
  }

 private:
  const PublishedServing& row_;
  int taken_ = 0;
};

EngineConfig engine_of(const PublishedServing& row, const Libraries& libraries) {
  EngineConfig engine;
  engine.model = libraries.model(row.model);
  engine.plan = {row.tensor, row.attention_data, 1, row.expert};
  engine.redundant_experts = row.redundant;
  if (row.precision != "bf16") {
    engine.precision.linear = Precision::fp8;
    engine.precision.scaling = row.precision == "fp8_block" ? Scaling::blocks : Scaling::per_tensor;
    if (row.expert > 1) engine.precision.dispatch = Precision::fp8;
  }
  if (row.kv == "fp8") engine.precision.kv = Precision::fp8;
  if (row.engine.starts_with("TensorRT-LLM")) {
    engine.kernels = KernelLibrary::tensorrt_llm;
    engine.head_norm_kernels = 1;                           // as workloads/data/serving/engines/trtllm-1.0.textproto
    engine.expert_transport = ExpertTransport::all_gather;  // on Hopper
  }
  return engine;
}

/// Loads of the busiest GPU where experts are as unequal as a real router leaves them; copies are placed by EPLB.
std::vector<double> busiest_of(const PublishedServing& row, const EngineConfig& engine, const PriceSources& sources) {
  if (row.balanced || engine.plan.expert <= 1) return {};
  constexpr int kPeriods = 64;
  ExpertPaceConfig pace;
  pace.variation = router_variation(engine.model, *sources.constants);
  pace.eplb = row.redundant > 0;
  ExpertGroup group;
  group.experts = engine.model.moe.experts;
  group.experts_per_token = engine.model.moe.experts_per_token;
  group.redundant = engine.redundant_experts;
  group.ranks = engine.plan.expert;
  group.ranks_per_node = std::min(engine.plan.expert, sources.cluster.node.gpus);
  if (row.redundant > 0) {
    const EngineConstants& constants = *sources.constants;
    const Fitted& alike = row.kind == Kind::prefill ? constants.prompts_alike : constants.answers_alike;
    return {steady_busiest_load(pace.variation, alike.value, group, engine.model.moe_layers(), 1)};
  }
  return busiest_rank_loads(pace, group, kPeriods, 1);
}

double variation_of(const PublishedServing& row, const ModelConfig& model, const PriceSources& sources) {
  return row.balanced ? 0 : router_variation(model, *sources.constants);
}

/// What trtllm-bench sets where no flag does (tensorrt_llm/bench/build/tuning.py @ 04cba88): as many requests as the
/// cache holds, as many tokens as they come to with the prompts that take the place of finished ones.
void tune_as_trtllm_bench(const PublishedServing& row, const GpuSpec& gpu, EngineConfig& engine) {
  const auto round_up = [](double x, int step) { return static_cast<int>(std::ceil(x / step)) * step; };
  engine.memory_share = 0.95;
  engine.memory_rule = MemoryRule::stated;
  const ReplicaMemory memory = replica_memory(engine, gpu);
  const double held = static_cast<double>(memory.kv_tokens) / memory.as_tokens(row.input + row.output);
  const double batch = std::min(held, 4096.0);
  const double tokens = std::min(batch * (1 + static_cast<double>(row.input) / row.output), 32768.0);
  SchedulerConfig& scheduler = engine.scheduler;
  scheduler.admission = find_policy(admission_policies(), "whole");
  scheduler.chunked_prefill = false;
  scheduler.max_batch = batch < 256    ? std::max(64, round_up(batch, 32))
                        : batch < 1024 ? round_up(batch, 128)
                                       : round_up(batch, 256);
  scheduler.token_budget = tokens < 4096   ? std::max(2048, round_up(tokens, 256))
                           : tokens < 8192 ? round_up(tokens, 512)
                                           : round_up(tokens, 1024);
}

double throughput(const PublishedServing& row, const PriceSources& sources, EngineConfig engine) {
  tune_as_trtllm_bench(row, sources.cluster.node.gpu, engine);
  PoolSpec spec;
  spec.expert_variation = variation_of(row, engine.model, sources);
  const std::vector<double> busiest = busiest_of(row, engine, sources);
  spec.engine = std::move(engine);
  BuiltPool pool = build_pool(spec, sources, 0, busiest, ExpertPaceConfig{}.drift_period);
  Crowd crowd(row);
  SessionConfig session;
  session.pools = {pool.config};
  session.levels = {ServiceLevel{}};
  ServingSession run(session, {pool.prices()}, nullptr, &crowd);
  run.run();
  return static_cast<double>(row.requests) * row.output / run.totals().duration().value();
}

/// Tokens per second and node of one iteration at full load.
double steady(const PublishedServing& row, const PriceSources& sources, EngineConfig engine) {
  const double groups_per_node = sources.cluster.node.gpus / static_cast<double>(row.tensor);
  engine.two_micro_batches = true;
  engine.communication_sms = kPrefillSms;
  const std::vector<double> busiest = busiest_of(row, engine, sources);
  const double hot = busiest.empty()
                         ? 1.0
                         : std::accumulate(busiest.begin(), busiest.end(), 0.0) / static_cast<double>(busiest.size());
  const double variation = variation_of(row, engine.model, sources);
  IterationPricer pricer(
      {std::move(engine), sources.cluster, sources.kernels, sources.links, sources.constants, hot, variation});
  if (row.kind == Kind::decode) {
    const Seconds iteration = to_seconds(pricer.decode(row.batch).at(std::int64_t{row.batch} * row.input));
    return row.batch * groups_per_node / iteration.value();
  }
  PromptLoad prompts;
  for (std::int64_t i = 0; i < kPrefillTokens / row.input; ++i) prompts.add(row.input, 0, true);
  return static_cast<double>(prompts.tokens) * groups_per_node / to_seconds(pricer.prompt(prompts, 0, 0)).value();
}

}  // namespace

std::string PublishedServing::what() const {
  const std::string chip = node.starts_with("hgx-") ? node.substr(4) : node;
  const int gpus = tensor * attention_data;
  switch (kind) {
    case Kind::throughput:
      return fmt::format("{}, {} x {}, {}/{}", model, gpus, chip, input, output);
    case Kind::decode:
      return fmt::format("{} decode EP{}, {}, {} x {}", model, expert, chip, batch, input);
    case Kind::prefill:
      return fmt::format("{} prefill EP{}, {}, {}{}", model, expert, chip, input, balanced ? ", even" : "");
  }
  return {};
}

std::vector<PublishedServing> read_published_serving(const CsvTable& table, const std::string& file) {
  const std::map<std::string, Kind> kinds = {
      {"throughput", Kind::throughput}, {"decode", Kind::decode}, {"prefill", Kind::prefill}};
  std::vector<PublishedServing> rows;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto kind = kinds.find(table.text(i, "kind"));
    if (kind == kinds.end())
      throw InputError(Diagnostic{file, 0, 0, "kind", table.text(i, "kind"), "throughput, decode or prefill", ""});
    const auto count = [&](const char* column) {
      return table.text(i, column).empty() ? 0 : static_cast<int>(table.number(i, column));
    };
    PublishedServing row;
    row.kind = kind->second;
    row.model = table.text(i, "model");
    row.node = table.text(i, "node");
    row.precision = table.text(i, "precision");
    row.kv = table.text(i, "kv");
    row.engine = table.text(i, "engine");
    row.source = table.text(i, "source");
    row.tensor = count("tensor");
    row.attention_data = count("attention_data");
    row.expert = count("expert");
    row.redundant = count("redundant");
    row.input = count("input");
    row.output = count("output");
    row.requests = count("requests");
    row.batch = count("batch");
    row.value = table.number(i, "value");
    row.balanced = table.text(i, "balanced") == "yes";
    rows.push_back(std::move(row));
  }
  return rows;
}

void predict_published_serving(std::vector<PublishedServing>& rows, const Libraries& libraries) {
  const auto kernels = std::make_shared<const KernelCalibration>(
      read_kernel_calibration(required_file(libraries, kKernelCalibrationFile)));
  PriceSources sources;
  sources.links =
      std::make_shared<const LinkCalibration>(read_link_calibration(required_file(libraries, kLinkCalibrationFile)));
  sources.constants = std::make_shared<const EngineConstants>(
      read_engine_calibration(required_file(libraries, kEngineCalibrationFile)));
  std::map<std::pair<std::string, KernelLibrary>, std::shared_ptr<const KernelModel>> models;
  for (PublishedServing& row : rows) {
    sources.cluster.node = libraries.node(row.node);
    sources.cluster.fabric.port_bandwidth = sources.cluster.node.nic_bandwidth;
    sources.cluster.nodes = std::max(1, row.tensor * row.attention_data / sources.cluster.node.gpus);
    const EngineConfig engine = engine_of(row, libraries);
    auto& model = models[{row.node, engine.kernels}];
    if (!model) model = engine_kernels(engine, sources.cluster.node.gpu, kernels);
    sources.kernels = model;
    row.predicted = row.kind == Kind::throughput ? throughput(row, sources, engine) : steady(row, sources, engine);
  }
}

}  // namespace flopcast
