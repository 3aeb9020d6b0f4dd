#include "analysis/evidence/validate/measured_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "analysis/render/text/format.h"
#include "scenarios/read/calibrations/calibration_file.h"
#include "scenarios/read/calibrations/engine_calibration.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"
#include "workloads/model/layer_kernels.h"
#include "workloads/schedules/schedule.h"
#include "workloads/serving/pricing/iteration.h"
#include "workloads/training/memory/memory.h"

namespace flopcast {
namespace {

struct CardOfRows {
  const char* card;
  const char* node;
  const char* file;
};
constexpr CardOfRows kCardsOfRows[] = {{"H100", "hgx-h100", "hwmodels/data/measured_models_h100.csv"},
                                       {"H200", "hgx-h200", "hwmodels/data/measured_models_h200.csv"}};

/// The models of hwmodels/calibration/measure/models/network.py.
struct KnownModel {
  std::string_view name;
  int hidden, heads, kv_heads, head_dim, ffn_width, vocabulary;
  bool tied, head_norms;
};
constexpr KnownModel kKnownModels[] = {{"llama-160m", 768, 12, 12, 64, 3072, 32000, false, false},
                                       {"llama-3.2-1b", 2048, 32, 8, 64, 8192, 128256, true, false},
                                       {"llama-3.2-3b", 3072, 24, 8, 128, 8192, 128256, true, false},
                                       {"llama-3.1-8b", 4096, 32, 8, 128, 14336, 128256, false, false},
                                       {"qwen3-0.6b", 1024, 16, 8, 128, 3072, 151936, true, true},
                                       {"qwen3-4b", 2560, 32, 8, 128, 9728, 151936, true, true},
                                       {"qwen3-8b", 4096, 32, 8, 128, 12288, 151936, false, true}};

const KnownModel* known_model(std::string_view name) {
  const auto known = std::find_if(std::begin(kKnownModels), std::end(kKnownModels),
                                  [&](const KnownModel& m) { return m.name == name; });
  return known == std::end(kKnownModels) ? nullptr : known;
}

ModelConfig dense_model(const MeasuredModel& of) {
  const KnownModel* const known = known_model(of.model);
  ModelConfig model;
  model.name = known->name;
  model.layers = of.layers;
  model.hidden = known->hidden;
  model.vocabulary = known->vocabulary;
  model.ffn_width = known->ffn_width;
  model.tied_embeddings = known->tied;
  model.attention.type = known->kv_heads < known->heads ? "grouped_query" : "multi_head";
  model.attention.heads = known->heads;
  model.attention.kv_heads = known->kv_heads;
  model.attention.head_dim = known->head_dim;
  if (known->head_norms) model.attention.head_norms = HeadNorms::per_head;
  return model;
}

/// Of a blank-separated list such as "checkpoint chunks=8".
std::optional<std::string> option_of(const std::string& list, std::string_view name) {
  std::size_t at = 0;
  while (at < list.size()) {
    const std::size_t end = std::min(list.find(' ', at), list.size());
    const std::string_view word = std::string_view(list).substr(at, end - at);
    if (word == name) return "";
    if (word.starts_with(name) && word.size() > name.size() && word[name.size()] == '=')
      return std::string(word.substr(name.size() + 1));
    at = end + 1;
  }
  return std::nullopt;
}

constexpr const char* kFirstDay = "2026-11-26";

std::vector<MeasuredModel> rows_of_card(const CardOfRows& from, const CsvTable& table) {
  std::vector<MeasuredModel> rows;
  std::vector<Diagnostic> unknown;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto whole = [&](const char* column) {
      return table.text(i, column).empty() ? 0 : static_cast<std::int64_t>(table.number(i, column));
    };
    MeasuredModel row;
    row.card = from.card;
    row.node = from.node;
    row.measured = table.text(i, "measured");
    row.section = table.text(i, "section");
    row.model = table.text(i, "model");
    row.mode = table.text(i, "mode");
    if (row.section != "moe" && known_model(row.model) == nullptr) {
      unknown.push_back({table.file(), table.line(i), 0, "model", row.model,
                         "one of those in hwmodels/calibration/measure/models/network.py", ""});
    }
    row.part = table.text(i, "part");
    if (row.part == "forward" || row.part == "backward" || row.part == "optimizer") continue;  // of the step before
    row.layers = static_cast<int>(whole("layers"));
    row.without_gradients = option_of(table.text(i, "notes"), "no_gradients").has_value();
    row.batch = whole("batch");
    row.length = whole("length");
    row.context = whole("context");
    row.experts = static_cast<int>(whole("experts"));
    row.tokens = whole("tokens");
    const std::string& options = table.text(i, "options");
    row.checkpoint = option_of(options, "checkpoint").has_value();
    row.loss_chunks = std::stoi(option_of(options, "chunks").value_or("1"));
    row.skew = std::stod(option_of(options, "skew").value_or("0"));
    row.picks = std::stoll(option_of(table.text(i, "notes"), "picks").value_or("0"));
    row.time_us = table.number(i, "time_us");
    if (!table.text(i, "gpu_us").empty()) row.gpu_us = table.number(i, "gpu_us");
    if (!table.text(i, "p20_us").empty()) row.spread = table.number(i, "p80_us") / table.number(i, "p20_us");
    // What the first day's cases had made was not all freed before the next ones.
    if (row.section == "train" && row.measured != kFirstDay && !table.text(i, "peak_gb").empty())
      row.peak_gb = table.number(i, "peak_gb");
    rows.push_back(std::move(row));
  }
  if (!unknown.empty()) throw InputError(std::move(unknown));
  return rows;
}

/// PyTorch's SDPA takes cuDNN on Hopper (kernels' names in profiles of these runs).
constexpr const char* kLibraries = "cudnn";

/// Between kernels of a CUDA graph beside what each takes in one: 200 and 1,000 equal kernels take 0 to 0.2 us more
/// each than CUPTI says they run.
constexpr double kGraphGapUs = 0.1;

/// CardPrices on one card, without an engine round the model: no scheduling, no sampling on the host.
class CardPrices {
 public:
  CardPrices(const ValidationInput& input, const std::string& node) : libraries_(*input.libraries) {
    scenario_.cluster.node = libraries_.node(node);
    scenario_.cluster.node.gpus = 1;
    scenario_.cluster.nodes = 1;
    scenario_.cluster.fabric = libraries_.fabric("rail-ft2");
    scenario_.kernels = input.scenario->kernels;
    scenario_.links = input.scenario->links;
    overheads_ = read_training_calibration(required_file(libraries_, kTrainingCalibrationFile)).overheads;
    serving_.cluster = scenario_.cluster;
    serving_.kernels = std::make_shared<const KernelModel>(scenario_.cluster.node.gpu, scenario_.kernels,
                                                           ClockState::benchmark, MeasuredLibraries{kLibraries});
    serving_.links = input.scenario->links;
    auto constants =
        std::make_shared<EngineConstants>(read_engine_calibration(required_file(libraries_, kEngineCalibrationFile)));
    for (const auto host : {&EngineConstants::iteration_us, &EngineConstants::sequence_us,
                            &EngineConstants::prompt_token_us, &EngineConstants::launch_us})
      (*constants.*host).value = 0;
    constants->graph_gap_us.value = kGraphGapUs;
    serving_.engine.kernels = KernelLibrary::torch_compile;
    serving_.constants = std::move(constants);
  }

  /// @return false where the program has no such case
  bool predict(MeasuredModelError& row) const {
    const MeasuredModel& of = row.of;
    if (of.section == "train") return train(row);
    if (of.section == "moe") {
      row.predicted_us = moe_us(of);
      return true;
    }
    if (of.mode != "compiled") return false;
    row.predicted_us = of.section == "decode" ? decode_us(of) : prefill_us(of);
    return true;
  }

 private:
  ForwardSetting setting(const MeasuredModel& of) const {
    ForwardSetting out = serving_;
    out.engine.model = dense_model(of);
    return out;
  }

  double decode_us(const MeasuredModel& of) const {
    IterationPricer pricer(setting(of));
    return to_seconds(pricer.decode(of.batch).at(of.batch * of.context)).value() * 1e6;
  }

  double prefill_us(const MeasuredModel& of) const {
    IterationPricer pricer(setting(of));
    PromptLoad prompts;
    for (std::int64_t i = 0; i < of.batch; ++i) prompts.add(of.length, 0, true);
    return to_seconds(pricer.prompt(prompts, 0, 0, 0)).value() * 1e6;
  }

  /// Plain PyTorch: everything in BF16, the optimiser's states too; loss in FP32.
  bool train(MeasuredModelError& row) const {
    const MeasuredModel& of = row.of;
    Scenario scenario = scenario_;
    TrainingConfig config;
    config.model = dense_model(of);
    config.plan.zero_stage = 0;
    config.batch.sequences = of.batch;
    config.batch.sequence_length = of.length;
    config.batch.micro_batch_sequences = static_cast<int>(of.batch);
    config.precision.gradients = config.precision.master = config.precision.moments = Precision::bf16;
    config.recompute.full_layer = of.checkpoint;
    config.schedule = "1f1b";
    config.software = libraries_.software("generic");
    config.software.autograd = config.software.stops_early = true;
    config.software.libraries = kLibraries;
    config.software.torch_edges = true;
    config.software.compiled_layers = of.mode == "compiled";
    config.software.fused_norms = true;
    config.loss_parts = of.loss_chunks;
    if (of.mode == "eager") {
      config.software.eager = true;
      config.software.fused_activation = false;
      config.software.host_module = libraries_.software("pytorch-fsdp-eager").host_module;
    }
    config.software.joint_values = config.software.frees_gradients = true;
    config.attention_kernel = attention_kernel_of(config.software, config.model);
    config.overheads = overheads_;
    if (of.peak_gb > 0) row.predicted_peak_gb = peak_of(config).value() / 1e9;
    scenario.training = config;
    RunOptions options;
    options.allow_oom = true;
    row.predicted_us = step_time(scenario, config, options).value() * 1e6;
    return true;
  }

  static Bytes peak_of(const TrainingConfig& config) {
    const Schedule schedule = find_schedule(config.schedule)->build({1, config.micro_batches(), 1});
    return memory_totals(config, split_layers(config, 1, false, {}), schedule, 1).front();
  }

  double moe_us(const MeasuredModel& of) const {
    const ModelConfig model = libraries_.model(of.model);
    LayerWork work(model);
    work.habits.eager_elementwise = true;
    work.habits.indexed_once = true;
    work.habits.row_map_kernels = 0;
    work.tokens = work.own_tokens = static_cast<double>(of.tokens);
    work.moe = true;
    work.experts.shared_tokens = work.tokens;
    work.experts.rows = static_cast<double>(of.picks);
    work.experts.sums = work.tokens;
    work.experts.skew = of.skew;
    work.experts.experts = static_cast<int>(std::min<std::int64_t>(of.experts, of.picks));
    LayerKernels list;
    add_ffn_input(list, work, KernelPass::forward);
    add_ffn_block(list, work, KernelPass::forward);
    PassTime sum;
    for (const LayerKernel& kernel : list.kernels) {
      if (of.part == "experts" && kernel.part != LayerPart::routed_experts) continue;
      const KernelTime once = std::visit([&](const auto& shape) { return price(shape); }, kernel.shape);
      sum.time += kernel.count * (once.time + Seconds(kGraphGapUs * 1e-6));
      sum.energy += kernel.count * once.energy;
      sum.on_sms += kernel.count * once.on_sms;
    }
    return under_limit(*serving_.kernels, sum.time, sum.on_sms, sum.energy).time.value() * 1e6;
  }

  KernelTime price(const GemmShape& shape) const { return serving_.kernels->gemm(shape); }
  KernelTime price(const AttentionShape& shape) const { return serving_.kernels->attention(shape); }
  KernelTime price(const LatentBlockShape& shape) const { return serving_.kernels->latent_block(shape); }
  KernelTime price(const MemoryTraffic& traffic) const {
    return serving_.kernels->memory_bound(traffic.kernel, traffic.bytes, 0, traffic.origin);
  }

  const Libraries& libraries_;
  Scenario scenario_;
  ForwardSetting serving_;
  TrainingOverheads overheads_;
};

}  // namespace

std::string MeasuredModel::what() const {
  if (section == "decode") return fmt::format("{}, decoding {} x {}", model, batch, context);
  if (section == "prefill") return fmt::format("{}, prompts {} x {}", model, batch, length);
  if (section == "moe") {
    return fmt::format("{}, {} of {} experts, {} tokens{}", model, part == "layer" ? "layer with" : "products of",
                       experts, tokens, skew > 0 ? ", skewed" : "");
  }
  return fmt::format("{}, {} layers, training {} x {}{}{}", model, layers, batch, length,
                     checkpoint ? ", computed again" : "", loss_chunks > 1 ? ", loss in parts" : "");
}

std::vector<MeasuredModel> read_measured_models(const Libraries& libraries) {
  std::vector<MeasuredModel> rows;
  for (const CardOfRows& from : kCardsOfRows) {
    const std::string file = required_file(libraries, from.file);
    std::vector<MeasuredModel> of_card = rows_of_card(from, parse_csv(read_text_file(file), file));
    rows.insert(rows.end(), of_card.begin(), of_card.end());
  }
  return rows;
}

std::vector<MeasuredModelError> predict_measured_models(const ValidationInput& input) {
  std::map<std::string, CardPrices> cards;
  std::vector<MeasuredModelError> errors;
  for (MeasuredModel& row : read_measured_models(*input.libraries)) {
    auto card = cards.find(row.node);
    if (card == cards.end()) card = cards.emplace(row.node, CardPrices(input, row.node)).first;
    MeasuredModelError error{std::move(row), 0};
    if (card->second.predict(error)) errors.push_back(std::move(error));
  }
  return errors;
}

std::string to_text(const std::vector<MeasuredModelError>& errors, const TextStyle& style) {
  TextTable table({Align::left, Align::left, Align::left, Align::left, Align::right, Align::right, Align::right});
  table.header({"whole model or layer", "", "", "", "predicted", "measured", "error"});
  for (const MeasuredModelError& row : errors) {
    table.row({row.of.what(), row.of.mode, row.of.card, row.of.measured, fmt::format("{:.1f} us", row.predicted_us),
               fmt::format("{:.1f} us", row.of.time_us),
               format_error(row.error()) + (row.of.paced_by_host()     ? " (host)"
                                            : row.of.without_gradients ? " (no gradients)"
                                                                       : "")});
  }
  for (const MeasuredModelError& row : errors) {
    if (row.of.peak_gb <= 0) continue;
    table.row({row.of.what() + ", memory", row.of.mode, row.of.card, row.of.measured,
               fmt::format("{:.2f} GB", row.predicted_peak_gb), fmt::format("{:.2f} GB", row.of.peak_gb),
               format_error(row.predicted_peak_gb / row.of.peak_gb - 1)});
  }
  return table.render(style);
}

}  // namespace flopcast
