#include "workloads/training/passes/unit_parameters.h"

namespace flopcast {

UnitParameters::UnitParameters(const TrainingConfig& config, const ParameterCount& count) {
  const auto units = [](auto parameters) {
    const auto of = [&](auto fill) {
      StageContent content;
      fill(content);
      return parameters(content);
    };
    return Units{of([](StageContent& c) { c.dense_layers = 1; }), of([](StageContent& c) { c.moe_layers = 1; }),
                 of([](StageContent& c) { c.embedding = true; }), of([](StageContent& c) { c.head = true; })};
  };
  held = units([&](const StageContent& content) { return stage_parameters_of(config, count, content); });
  trained = config.adapter_rank == 0
                ? held
                : units([&](const StageContent& content) { return trained_parameters(config, content); });
}

}  // namespace flopcast
