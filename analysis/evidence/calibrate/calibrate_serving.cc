#include "analysis/evidence/calibrate/calibrate_serving.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <deque>
#include <map>

#include "analysis/render/text/csv.h"
#include "analysis/render/text/text_table.h"
#include "hwmodels/calibration/least_squares.h"
#include "hwmodels/fabric/fabric_graph.h"
#include "scenarios/read/calibrations/engine_calibration.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"
#include "workloads/serving/pricing/deployment.h"
#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/session/session.h"

namespace flopcast {
namespace {

constexpr double kImpossibleShareOfPeak = 0.6;
constexpr double kWaitingSpread = 1.3;
constexpr const char* kServingTable = "data/kernels/e2e-measured/serving_calibration_h100_h200.csv";

/// How the engines ran. The table does not say. What its publisher's rules for benchmarks say is taken from
/// there (aiconfigurator generator/rule_plugin/benchmark/*.rule, bench_run.sh: equal lengths; for newer
/// SGLang: prompts mixed with decoding, iterations of batch + input + 1500 tokens), TensorRT-LLM's admission
/// from its defaults. The other budgets are read off the rows: 2,048 tokens for the engines that mix, 16,384
/// for prompts alone. All run the same kernels: with TensorRT-LLM's own (KernelLibrary) its FP8 rows
/// of 1.0.0rc3 come out 13 % too fast from 32 users on.
struct EngineHabits {
  const char* engine;  ///< how its name begins
  const char* batching;
  const char* admission;
  int token_budget;         ///< 0: batch + input + 1500
  bool overlap_scheduling;  ///< TensorRT-LLM and SGLang by default; vLLM not before 0.14
};
constexpr EngineHabits kHabits[] = {{"vllm", "mixed", "prompt", 2048, false},
                                    {"trtllm", "mixed", "whole", 2048, true},
                                    {"sglang 0.5.6", "mixed", "prompt", 0, true},
                                    {"sglang", "prefill_first", "prompt", 16384, true}};
constexpr int kRounds = 10;  // requests of each user; all ask at once first

const EngineHabits& habits_of(const std::string& engine) {
  const auto found = std::ranges::find_if(kHabits, [&](const EngineHabits& h) { return engine.starts_with(h.engine); });
  assert(found != std::end(kHabits));
  return *found;
}

/// A closed loop as benchmarks have it.
class BenchmarkUsers final : public RequestSource {
 public:
  explicit BenchmarkUsers(const ServingRow& row)
      : row_(row), left_(row.users * kRounds), ready_(static_cast<std::size_t>(row.users)) {}
  Seconds next_arrival() const override { return left_ > 0 && !ready_.empty() ? ready_.front() : kNever; }
  Request take() override {
    Request request;
    request.id = taken_++;
    request.arrival = ready_.front();
    request.input_tokens = row_.input;
    request.output_tokens = row_.output;
    ready_.pop_front();
    --left_;
    return request;
  }
  void finished(const Request&, Seconds when, RequestOutcome) override { ready_.push_back(when); }

 private:
  const ServingRow& row_;
  int left_;
  std::uint64_t taken_ = 0;
  std::deque<Seconds> ready_;
};

double share_of_peak(const ServingRow& row, const Libraries& libraries) {
  const double seconds = (row.ttft_ms + (row.output - 1) * row.tpot_ms) * 1e-3;
  const double tokens_per_second = row.users * (row.input + row.output) / seconds;
  const GpuSpec gpu = libraries.node(row.node).gpu;
  const Precision precision = row.quantisation == "bf16" ? Precision::bf16 : Precision::fp8;
  return tokens_per_second * 2 * count_parameters(libraries.model(row.model)).active /
         (gpu.peak(precision).value() * row.tensor);
}

void leave_out_impossible(std::vector<ServingRow>& rows, const Libraries& libraries) {
  std::map<std::string, double> largest;
  for (const ServingRow& row : rows)
    if (row.left_out.empty()) largest[row.table] = std::max(largest[row.table], share_of_peak(row, libraries));
  for (ServingRow& row : rows)
    if (row.left_out.empty() && largest[row.table] > kImpossibleShareOfPeak)
      row.left_out = fmt::format("a row of its table would need {:.0f} % of peak", 100 * largest[row.table]);
}

void mark_waiting(std::vector<ServingRow>& rows) {
  std::map<std::string, std::pair<double, double>> range;
  const auto key = [](const ServingRow& row) {
    return fmt::format("{} {} {} {}", row.table, row.tensor, row.input, row.users);
  };
  for (const ServingRow& row : rows) {
    auto& [low, high] = range.try_emplace(key(row), row.ttft_ms, row.ttft_ms).first->second;
    low = std::min(low, row.ttft_ms);
    high = std::max(high, row.ttft_ms);
  }
  for (ServingRow& row : rows) {
    const auto& [low, high] = range[key(row)];
    row.use_ttft = high <= kWaitingSpread * low;
  }
}

/// Replays the rows with one set of constants. Rows of one engine share tables of prices.
class Predictor {
 public:
  Predictor(std::shared_ptr<const KernelCalibration> kernels, std::shared_ptr<const LinkCalibration> links,
            const Libraries& libraries)
      : kernels_(std::move(kernels)), links_(std::move(links)), libraries_(libraries) {}

  void predict(std::vector<ServingRow>& rows, const EngineConstants& constants) {
    const auto shared = std::make_shared<const EngineConstants>(constants);
    std::map<std::string, BuiltPool> pools;
    for (ServingRow& row : rows) {
      if (!row.left_out.empty()) continue;
      const EngineHabits& habits = habits_of(row.engine);
      auto& pool = pools[fmt::format("{} {}", row.table, row.tensor)];
      if (pool.pricers.empty()) pool = build(row, habits, shared);
      pool.config.replica.scheduler.token_budget =
          habits.token_budget > 0 ? habits.token_budget : row.users + row.input + 1500;
      BenchmarkUsers users(row);
      SessionConfig session;
      session.pools = {pool.config};
      session.levels = {ServiceLevel{}};
      ServingSession run(session, {pool.prices()}, nullptr, &users);
      run.run();
      const ClassMetrics all = run.totals().metrics.all();
      row.predicted_ttft_ms = all.ttft.mean() * 1e3;
      row.predicted_tpot_ms = all.tpot.mean() * 1e3;
    }
  }

 private:
  BuiltPool build(const ServingRow& row, const EngineHabits& habits,
                  const std::shared_ptr<const EngineConstants>& constants) {
    PriceSources sources;
    sources.cluster.node = libraries_.node(row.node);
    auto& model = models_[row.node];
    if (!model) model = std::make_shared<const KernelModel>(sources.cluster.node.gpu, kernels_);
    sources.kernels = model;
    sources.links = links_;
    sources.constants = constants;
    PoolSpec spec;
    spec.engine.model = libraries_.model(row.model);
    spec.engine.plan.tensor = row.tensor;
    if (row.quantisation != "bf16") {
      spec.engine.precision.linear = Precision::fp8;
      spec.engine.precision.scaling = row.quantisation == "fp8_block" ? Scaling::blocks : Scaling::per_tensor;
    }
    spec.engine.scheduler.admission = find_policy(admission_policies(), habits.admission);
    spec.engine.overlap_scheduling = habits.overlap_scheduling;
    spec.engine.scheduler.batching = find_policy(batching_policies(), habits.batching);
    spec.engine.scheduler.max_batch = row.users > 1024 ? row.users : 1024;
    return build_pool(spec, sources, 0);
  }

  std::shared_ptr<const KernelCalibration> kernels_;
  std::shared_ptr<const LinkCalibration> links_;
  const Libraries& libraries_;
  std::map<std::string, std::shared_ptr<const KernelModel>> models_;
};

constexpr ParameterInfo kEngineParameters[] = {
    {"iteration_us", 10, 3000, 200}, {"sequence_us", 0.1, 100, 20},   {"prompt_token_us", 1e-3, 1, 0.02},
    {"launch_us", 0.5, 15, 4},       {"request_us", 10, 60000, 3000}, {"graph_gap_us", 0.05, 5, 1},
};

EngineConstants with_engine_values(EngineConstants constants, std::span<const double> values) {
  constants.iteration_us.value = values[0];
  constants.sequence_us.value = values[1];
  constants.prompt_token_us.value = values[2];
  constants.launch_us.value = values[3];
  constants.request_us.value = values[4];
  constants.graph_gap_us.value = values[5];
  return constants;
}

// Low-latency exchange.

struct ExchangeRow {
  LowLatencyExchange shape;
  double us = 0;
};

void add_exchange_rows(const CsvTable& table, std::size_t i, int nodes, const NodeSpec& node,
                       const ClusterSpec& cluster, std::vector<ExchangeRow>& rows) {
  constexpr double kTokenElements = 7168;
  for (const bool dispatch : {true, false}) {
    ExchangeRow row;
    row.shape = {table.number(i, "num_token"),
                 8,
                 8 * nodes,
                 8,
                 Bytes(kTokenElements * (dispatch ? 1 + kScaleBytesPerElement : 2)),
                 endpoint_bandwidth(cluster),
                 node_link_bandwidth(node)};
    row.us = table.number(i, dispatch ? "dispatch_avg_t_us" : "combine_avg_t_us");
    rows.push_back(row);
  }
}

std::vector<ExchangeRow> read_exchange_rows(const std::filesystem::path& folder, const Libraries& libraries) {
  std::vector<ExchangeRow> rows;
  const auto read = [&](const char* path) {
    const std::string file = (folder / path).string();
    return parse_csv(read_text_file(file), file);
  };
  const auto cluster_of = [&](const char* name) {
    ClusterSpec cluster;
    cluster.node = libraries.node(name);
    cluster.fabric.port_bandwidth = cluster.node.nic_bandwidth;
    return cluster;
  };
  const ClusterSpec h100 = cluster_of("hgx-h100"), h800 = cluster_of("hgx-h800");
  const CsvTable measured =
      read("data/kernels/aiconfigurator/h100_sxm__comm__sglang__0.5.6.post2__wideep_deepep_ll_perf.csv");
  for (std::size_t i = 0; i < measured.size(); ++i)
    add_exchange_rows(measured, i, static_cast<int>(measured.number(i, "node_num")), h100.node, h100, rows);
  const CsvTable published = read("reference/deepep.csv");
  for (std::size_t i = 0; i < published.size(); ++i) {
    if (published.text(i, "mode") != "low_latency" || published.text(i, "version") != "V1 latest") continue;
    const bool dispatch = published.text(i, "op").starts_with("dispatch");
    rows.push_back({{128, 8, static_cast<int>(published.number(i, "EP")), 8,
                     Bytes(7168 * (dispatch ? 1 + kScaleBytesPerElement : 2)), endpoint_bandwidth(h800),
                     node_link_bandwidth(h800.node)},
                    published.number(i, "latency_us")});
  }
  return rows;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

EngineConstants fit_exchange(const std::vector<ExchangeRow>& rows, std::string& summary) {
  static constexpr ParameterInfo kParameters[] = {{"exchange_setup_us", 2, 80, 15},
                                                  {"exchange_doubling_us", 0.1, 40, 6},
                                                  {"exchange_nic", 0.3, 1, 0.9},
                                                  {"exchange_nvlink", 0.2, 1, 0.6}};
  const auto constants = [](std::span<const double> v) {
    EngineConstants c;
    c.exchange_setup_us.value = v[0];
    c.exchange_doubling_us.value = v[1];
    c.exchange_nic.value = v[2];
    c.exchange_nvlink.value = v[3];
    return c;
  };
  LeastSquaresProblem problem;
  problem.parameters = kParameters;
  for (const ParameterInfo& info : kParameters) problem.start.push_back(info.start);
  problem.free.assign(problem.start.size(), true);
  problem.weights.assign(rows.size(), 1.0);
  problem.residuals = [&](std::span<const double> values, std::span<double> out) {
    const EngineConstants c = constants(values);
    for (std::size_t i = 0; i < rows.size(); ++i)
      out[i] = std::log(low_latency_time(rows[i].shape, c).value() * 1e6 / rows[i].us);
  };
  const EngineConstants fitted = constants(solve(problem));
  std::vector<double> errors;
  for (const ExchangeRow& row : rows)
    errors.push_back(std::abs(low_latency_time(row.shape, fitted).value() * 1e6 / row.us - 1));
  summary += fmt::format("low-latency exchange: {} rows, median error {:.1f} %\n", rows.size(), 100 * median(errors));
  return fitted;
}

// Summaries.

std::string fit_table(const std::vector<ServingRow>& rows) {
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.header({"serving runs", "rows", "TPOT median", "90th", "TTFT rows", "TTFT median"});
  std::map<std::string, std::vector<const ServingRow*>> tables;
  for (const ServingRow& row : rows) tables[row.table].push_back(&row), tables["~all"].push_back(&row);
  for (const auto& [name, members] : tables) {
    std::vector<double> tpot, ttft;
    std::string left_out;
    for (const ServingRow* row : members) {
      if (!row->left_out.empty()) {
        left_out = row->left_out;
        continue;
      }
      tpot.push_back(std::abs(row->predicted_tpot_ms / row->tpot_ms - 1));
      if (row->use_ttft) ttft.push_back(std::abs(row->predicted_ttft_ms / row->ttft_ms - 1));
    }
    const auto percent = [](double share) { return fmt::format("{:.1f} %", 100 * share); };
    if (tpot.empty()) {
      table.row({name + ": left out, " + left_out, fmt::format("{}", members.size())});
      continue;
    }
    std::vector<double> sorted = tpot;
    std::sort(sorted.begin(), sorted.end());
    table.row({name == "~all" ? "all" : name, fmt::format("{}", tpot.size()), percent(median(tpot)),
               percent(sorted[sorted.size() * 9 / 10]), fmt::format("{}", ttft.size()),
               ttft.empty() ? "" : percent(median(ttft))});
  }
  return table.render(TextStyle(false, 140));
}

}  // namespace

std::vector<ServingRow> read_serving_rows(const std::string& text, const std::string& file,
                                          const Libraries& libraries) {
  const CsvTable table = parse_csv(text, file);
  std::vector<ServingRow> rows;
  for (std::size_t i = 0; i < table.size(); ++i) {
    ServingRow row;
    const std::string& path = table.text(i, "model_path");
    row.model = path.find("Qwen3-32B") != std::string::npos ? "qwen3-32b" : "llama-3.1-8b";
    row.node = table.text(i, "system").starts_with("h200") ? "hgx-h200" : "hgx-h100";
    row.engine = table.text(i, "backend") + " " + table.text(i, "backend_version");
    const std::string& quantisation = table.text(i, "gemm_quant_mode");
    row.quantisation = quantisation.empty() ? "bf16" : quantisation;
    row.table = fmt::format("{}, {}, {}, {}", row.model, row.node, row.engine, row.quantisation);
    row.tensor = static_cast<int>(table.number(i, "tp_size"));
    row.input = static_cast<int>(table.number(i, "isl"));
    row.output = static_cast<int>(table.number(i, "osl"));
    row.ttft_ms = table.number(i, "silicon_ttft_ms");
    row.tpot_ms = table.number(i, "silicon_tpot_ms");
    if (table.text(i, "concurrency").empty()) {
      row.left_out = "concurrency not stated";
    } else {
      row.users = static_cast<int>(table.number(i, "concurrency"));
    }
    rows.push_back(std::move(row));
  }
  leave_out_impossible(rows, libraries);
  mark_waiting(rows);
  return rows;
}

ServingFit fit_serving(const std::filesystem::path& measurements, std::shared_ptr<const KernelCalibration> kernels,
                       std::shared_ptr<const LinkCalibration> links, const Libraries& libraries) {
  ServingFit fit;
  const std::string file = (measurements / kServingTable).string();
  fit.rows = read_serving_rows(read_text_file(file), file, libraries);
  const EngineConstants exchange = fit_exchange(read_exchange_rows(measurements, libraries), fit.summary);

  Predictor predictor(std::move(kernels), std::move(links), libraries);
  LeastSquaresProblem problem;
  problem.parameters = kEngineParameters;
  for (const ParameterInfo& info : kEngineParameters) problem.start.push_back(info.start);
  problem.free.assign(problem.start.size(), true);
  // Two residuals per row. TTFT hangs on how users happen to fall into step and weighs half.
  for (const ServingRow& row : fit.rows) {
    problem.weights.push_back(row.left_out.empty() ? 1.0 : 0.0);
    problem.weights.push_back(row.left_out.empty() && row.use_ttft ? 0.5 : 0.0);
  }
  problem.residuals = [&](std::span<const double> values, std::span<double> out) {
    predictor.predict(fit.rows, with_engine_values(exchange, values));
    for (std::size_t i = 0; i < fit.rows.size(); ++i) {
      const ServingRow& row = fit.rows[i];
      const bool used = row.left_out.empty();
      out[2 * i] = used ? std::log(row.predicted_tpot_ms / row.tpot_ms) : 0;
      out[2 * i + 1] = used && row.use_ttft ? std::log(row.predicted_ttft_ms / row.ttft_ms) : 0;
    }
  };
  fit.constants = with_engine_values(exchange, solve(problem));
  predictor.predict(fit.rows, fit.constants);
  for (const EngineConstantRow& row : engine_constants()) {
    const bool of_exchange = row.name.starts_with("exchange");
    (fit.constants.*row.field).source = {
        of_exchange ? "fit on DeepEP low latency: docs/legacy.md @ dd758ca (H800, EP8 to EP256), aiconfigurator "
                      "wideep_deepep_ll 0.5.6.post2 (H100, 1 to 8 nodes)"
                    : "fit on aiconfigurator systems/silicon_sample.csv @ 095f58a (Llama 3.1 8B and Qwen3 32B on "
                      "H100 and H200, one replica)",
        "2026-11-21", true};
  }
  // What others measured is as the data file states it. Of caches on their way: nine sizes from 20 MB to 4.5 GB over
  // NICs of 200 GB/s in all, errors up to 7 %: 380 us and 136 GB/s. A large message reaches 0.97 of a line.
  const EngineConstants stated = read_engine_calibration(required_file(libraries, kEngineCalibrationFile));
  using C = EngineConstants;
  for (Fitted C::*const one : {&C::cache_setup_us, &C::cache_efficiency, &C::expert_variation, &C::answers_alike,
                               &C::prompts_alike, &C::one_shot_goodput, &C::network_call_us})
    fit.constants.*one = stated.*one;
  fit.constants.launch_us.source = {"at its start value: no row of the fit is bound by it", "2026-11-21", false};
  fit.summary += fit_table(fit.rows);
  for (const EngineConstantRow& row : engine_constants())
    fit.summary += fmt::format("  {:<22} {:>10.4g}  {}\n", row.name, (fit.constants.*row.field).value, row.meaning);
  return fit;
}

std::string errors_csv(const std::vector<ServingRow>& rows) {
  std::string out =
      "# Predicted over measured, less one, of serving runs in aiconfigurator systems/silicon_sample.csv @ "
      "095f58a (Apache-2.0).\n"
      "# Written by `flopcast calibrate`. Empty TTFT: it held time in a queue. Rows and tables left out: "
      "analysis/evidence/calibrate/calibrate_serving.h.\n"
      "table,tensor,input,output,users,tpot_error,ttft_error\n";
  for (const ServingRow& row : rows) {
    if (!row.left_out.empty()) continue;
    out += fmt::format("\"{}\",{},{},{},{},{:.4f},{}\n", row.table, row.tensor, row.input, row.output, row.users,
                       row.predicted_tpot_ms / row.tpot_ms - 1,
                       row.use_ttft ? fmt::format("{:.4f}", row.predicted_ttft_ms / row.ttft_ms - 1) : "");
  }
  return out;
}

}  // namespace flopcast
