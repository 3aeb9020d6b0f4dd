// Whole models timed on one GPU (hwmodels/data/measured_models_h100.csv) in `flopcast validate`: decoding in a CUDA
// graph and prefill, as the compiler fuses them. Nothing is fitted on them. Eager PyTorch runs other kernels than
// engines do, and its rows are left out.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "analysis/evidence/validate/validate.h"
#include "scenarios/read/calibrations/calibration_file.h"
#include "scenarios/read/calibrations/engine_calibration.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"
#include "workloads/serving/pricing/iteration.h"

namespace flopcast {
namespace {

constexpr const char* kFile = "hwmodels/data/measured_models_h100.csv";

struct MeasuredModel {
  std::string_view name;
  int hidden, heads, kv_heads, head_dim, ffn_width, vocabulary;
};
constexpr MeasuredModel kMeasuredModels[] = {{"llama-160m", 768, 12, 12, 64, 3072, 32000},
                                             {"llama-3.2-1b", 2048, 32, 8, 64, 8192, 128256},
                                             {"llama-3.2-3b", 3072, 24, 8, 128, 8192, 128256},
                                             {"llama-3.1-8b", 4096, 32, 8, 128, 14336, 128256}};

ModelConfig model_of(const MeasuredModel& measured, int layers) {
  ModelConfig model;
  model.name = measured.name;
  model.layers = layers;
  model.hidden = measured.hidden;
  model.vocabulary = measured.vocabulary;
  model.ffn_width = measured.ffn_width;
  model.attention.type = measured.kv_heads < measured.heads ? AttentionType::grouped_query : AttentionType::multi_head;
  model.attention.heads = measured.heads;
  model.attention.kv_heads = measured.kv_heads;
  model.attention.head_dim = measured.head_dim;
  return model;
}

/// Between kernels of a CUDA graph beside what each takes in one: 200 and 1,000 equal kernels take 0 to 0.2 us more
/// each than CUPTI says they run.
constexpr double kGraphGapUs = 0.1;

/// Prices without an engine round the model: no scheduling, no sampling on the host.
class ModelPrices {
 public:
  explicit ModelPrices(const ValidationInput& input) {
    setting_.cluster.node = input.libraries->node("hgx-h100");
    setting_.kernels = std::make_shared<const KernelModel>(setting_.cluster.node.gpu, input.scenario->kernels,
                                                           ClockState::power_limited);
    setting_.links = input.scenario->links;
    auto constants = std::make_shared<EngineConstants>(
        read_engine_calibration(required_file(*input.libraries, kEngineCalibrationFile)));
    for (const auto host : {&EngineConstants::iteration_us, &EngineConstants::sequence_us,
                            &EngineConstants::prompt_token_us, &EngineConstants::launch_us})
      (*constants.*host).value = 0;
    constants->graph_gap_us.value = kGraphGapUs;
    setting_.engine.kernels = KernelLibrary::torch_compile;
    setting_.constants = std::move(constants);
  }

  double decode_us(const ModelConfig& model, std::int64_t batch, std::int64_t context) const {
    IterationPricer pricer(setting(model));
    return to_seconds(pricer.decode(batch).at(batch * context)).value() * 1e6;
  }

  double prefill_us(const ModelConfig& model, std::int64_t batch, std::int64_t length) const {
    IterationPricer pricer(setting(model));
    PromptLoad prompts;
    for (std::int64_t i = 0; i < batch; ++i) prompts.add(length, 0, true);
    return to_seconds(pricer.prompt(prompts, 0, 0, 0)).value() * 1e6;
  }

 private:
  ForwardSetting setting(const ModelConfig& model) const {
    ForwardSetting out = setting_;
    out.engine.model = model;
    return out;
  }

  ForwardSetting setting_;
};

}  // namespace

std::vector<Check> check_models(const ValidationInput& input) {
  const std::string file = required_file(*input.libraries, kFile);
  const CsvTable table = parse_csv(read_text_file(file), file);
  const ModelPrices prices(input);
  std::vector<Check> checks;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::string& section = table.text(i, "section");
    if (table.text(i, "mode") != "compiled" || (section != "decode" && section != "prefill")) continue;
    const auto known = std::find_if(std::begin(kMeasuredModels), std::end(kMeasuredModels),
                                    [&](const MeasuredModel& m) { return m.name == table.text(i, "model"); });
    if (known == std::end(kMeasuredModels)) continue;
    const auto whole = [&](const char* column) { return static_cast<std::int64_t>(table.number(i, column)); };
    const ModelConfig model = model_of(*known, static_cast<int>(whole("layers")));
    Check check;
    check.group = "whole models on one H100, nothing fitted";
    check.unit = "us";
    check.published = table.number(i, "time_us");
    if (section == "decode") {
      check.what = fmt::format("{}, decoding {} x {}", known->name, whole("batch"), whole("context"));
      check.predicted = prices.decode_us(model, whole("batch"), whole("context"));
    } else {
      check.what = fmt::format("{}, prompts {} x {}", known->name, whole("batch"), whole("length"));
      check.predicted = prices.prefill_us(model, whole("batch"), whole("length"));
    }
    check.tolerance = 0.12;
    check.source = "one H100 SXM, PyTorch 2.11, compiled, CUDA graphs, 2026-11-26";
    checks.push_back(std::move(check));
  }
  return checks;
}

}  // namespace flopcast
