#include "tests/laws/random_scenarios.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "flopcast/errors.h"
#include "flopcast/metrics.h"
#include "flopcast/run.h"
#include "flopcast/scenario.h"
#include "tests/analysis/environment.h"

namespace flopcast::testing {

std::uint32_t Choices::below(std::uint32_t possibilities) {
  std::uint32_t choice = 0;
  if (!replaying_) {
    choice = static_cast<std::uint32_t>(random_() % possibilities);
  } else if (made_.size() < given_.size()) {
    choice = std::min(given_[made_.size()], possibilities - 1);
  }
  made_.push_back(choice);
  return choice;
}

std::string random_training(Choices& c) {
  struct Model {
    const char* name;
    int heads, layers, experts;
  };
  const auto model = c.one_of<Model>({{"llama-3.1-8b", 32, 32, 1},
                                      {"llama-2-7b", 32, 32, 1},
                                      {"mpt-1b", 16, 24, 1},
                                      {"nemotron-4-15b", 48, 32, 1},
                                      {"mixtral-8x7b", 32, 32, 8},
                                      {"deepseek-v2-lite", 16, 27, 64}});
  const auto node = c.one_of<std::string>({"hgx-h100", "hgx-h800", "hgx-h20", "hgx-h200", "hgx-a100"});
  const int nodes = c.one_of<int>({1, 2, 4, 8}), gpus = 8 * nodes;
  const int tensor = c.one_of<int>({1, 2, 4, 8});
  int pipeline = c.one_of<int>({1, 2, 4});
  if (tensor * pipeline > gpus) pipeline = 1;
  const int data = gpus / tensor / pipeline;
  int expert = model.experts > 1 ? c.one_of<int>({1, 2, 4, 8}) : 1;
  while (expert > data) expert /= 2;
  const auto schedule = c.one_of<std::string>({"1f1b", "gpipe", "zb_h1", "interleaved_1f1b", "zb_v"});
  const int chunks = schedule == "interleaved_1f1b" && pipeline > 1 ? 2 : 1;
  const int micro = c.one_of<int>({1, 2});
  const int micro_batches = pipeline * c.one_of<int>({1, 2, 4});
  const int length = c.one_of<int>({1024, 2048, 4096, 8192});
  std::string plan = fmt::format("pipeline: {} data: {} tensor: {} expert: {} zero_stage: {}", pipeline, data, tensor,
                                 expert, c.one_of<int>({1, 0, 2, 3}));
  if (chunks > 1) plan += fmt::format(" chunks: {}", chunks);
  if (c.yes()) plan += " overlap_gradients: false";
  if (c.yes()) plan += " overlap_parameters: false";
  if (c.yes() && model.experts > 1) plan += " dispatcher: \"all_to_all\"";
  std::string extra;
  if (c.below(4) == 1) extra += "  recompute { full_layer: true }\n";
  if (c.below(4) == 1) extra += "  cuda_graphs: true\n";
  if (c.below(4) == 1) extra += "  fused_loss: true\n";
  const bool flat = pipeline == 1;
  return fmt::format(R"(title: "A random plan"
cluster {{ node: "{}" nodes: {} fabric: "{}" }}
model: "{}"
training {{
  plan {{ {} }}
  schedule: "{}"
  batch {{ sequences: {} sequence_length: {} micro_batch_sequences: {} }}
{}}}
price {{ gpu: "2 USD/h" source: "assumed" }}
)",
                     node, nodes, nodes == 1 ? "single-switch" : c.one_of<std::string>({"rail-ft2", "mpft"}),
                     model.name, plan, flat ? "1f1b" : schedule, data * micro * micro_batches, length, micro, extra);
}

std::string random_serving(Choices& c) {
  const auto node = c.one_of<std::string>({"hgx-h100", "hgx-h800", "hgx-h20", "hgx-h200"});
  const auto model = c.one_of<std::string>({"llama-3.1-8b", "qwen3-32b", "qwen3-30b-a3b", "llama-2-7b"});
  const int tensor = c.one_of<int>({1, 2, 4});
  const int replicas = c.one_of<int>({1, 2});
  const bool apart = c.below(4) == 1;
  const int batch = c.one_of<int>({32, 8, 128});
  const std::string engine = fmt::format("max_batch: {} tensor: {}", batch, tensor);
  std::string pools =
      apart ? fmt::format("  prefill {{ count: 1 tensor: {} }}\n  decode {{ count: 1 {} }}\n", tensor, engine)
            : fmt::format("  replicas {{ count: {} {} }}\n", replicas, engine);
  const std::string shape = c.yes() ? " shape: \"log_normal\" variation: 0.8" : "";
  const std::string arrivals = c.below(3) == 1
                                   ? fmt::format("users: {} think_time: \"1 s\"", c.one_of<int>({1, 8, 32}))
                                   : fmt::format("requests_per_second: {}", c.one_of<double>({1, 0.2, 4, 20}));
  return fmt::format(R"(title: "A random service"
cluster {{ node: "{}" nodes: 1 fabric: "single-switch" }}
model: "{}"
serving {{
  traffic {{ requests: "{}" stream {{ name: "chat" {} input {{ mean: {}{} }} output {{ mean: {}{} }} slo {{ ttft: "2 s" tpot: "50 ms" }} }} }}
{}  seed: {}
}}
price {{ gpu: "2 USD/h" source: "assumed" }}
)",
                     node, model, c.one_of<int>({60, 150, 20}), arrivals, c.one_of<int>({500, 100, 2000}), shape,
                     c.one_of<int>({50, 10, 200}), shape, pools, c.below(1000));
}

std::string random_loop(Choices& c) {
  const auto node = c.one_of<std::string>({"hgx-h100", "hgx-h800", "hgx-h20", "hgx-h200"});
  const auto model = c.one_of<std::string>({"llama-3.1-8b", "llama-2-7b", "qwen3-30b-a3b"});
  const int nodes = c.one_of<int>({1, 2});
  const bool apart = nodes == 2 && c.yes();
  const int trainers = apart ? 8 : 8 * nodes, engines = apart ? 8 : 8 * nodes;
  const int tensor = c.one_of<int>({1, 2, 4});
  std::string extra;
  if (apart && c.yes())
    extra += fmt::format("  asynchrony {{ staleness: {} in_flight: \"{}\" }}\n", c.one_of<int>({1, 2}),
                         c.one_of<std::string>({"recompute", "finish", "keep"}));
  if (apart) extra += "  placement: \"separate\"\n";
  if (c.below(4) == 1) extra += "  tools { calls: 2 time: \"500 ms\" variation: 0.5 }\n";
  if (c.below(4) == 1) extra += "  order: \"longest_first\"\n";
  if (c.below(4) == 1) extra += "  epochs: 2\n";
  return fmt::format(R"(title: "A random loop"
cluster {{ node: "{}" nodes: {} fabric: "{}" }}
model: "{}"
training {{
  plan {{ data: {} zero_stage: 3 }}
  schedule: "1f1b"
  batch {{ sequences: 64 sequence_length: 4096 }}
  recompute {{ full_layer: true }}
}}
rl {{
  algorithm: "{}"
  prompts: {} group: {}
  prompt {{ mean: {} }}
  answer {{ mean: {}{} most: 2000 }}
  rollout {{ count: {} tensor: {} max_batch: {} }}
{}  replayed_steps: {} seed: {}
}}
price {{ gpu: "2 USD/h" source: "assumed" }}
)",
                     node, nodes, nodes == 1 ? "single-switch" : "rail-ft2", model, trainers,
                     c.one_of<std::string>({"grpo", "rloo", "gspo", "reinforce++"}), c.one_of<int>({16, 32}),
                     c.one_of<int>({8, 4}), c.one_of<int>({100, 500}), c.one_of<int>({200, 50, 400}),
                     c.yes() ? " shape: \"log_normal\" variation: 0.8" : "", engines / tensor, tensor,
                     c.one_of<int>({64, 16}), extra, c.one_of<int>({2, 3}), c.below(1000));
}

std::string random_collective(Choices& c) {
  const auto node = c.one_of<std::string>({"hgx-h100", "hgx-h800", "hgx-h20", "hgx-a100"});
  const int nodes = c.one_of<int>({1, 2, 4, 8});
  const auto operation =
      c.one_of<std::string>({"ring_all_reduce", "ring_reduce_scatter", "ring_all_gather", "all_to_all", "broadcast",
                             "hierarchical_all_reduce", "nccl_all_reduce", "nccl_reduce_scatter", "nccl_all_gather",
                             "nccl_all_to_all", "nccl_broadcast"});
  const int ranks = nodes == 1 ? c.one_of<int>({8, 2, 4}) : 8 * nodes;
  return fmt::format(R"(title: "A random collective"
cluster {{ node: "{}" nodes: {} fabric: "{}" }}
collective {{ operation: "{}" bytes: "{} B" ranks: {} }}
)",
                     node, nodes, nodes == 1 ? "single-switch" : c.one_of<std::string>({"rail-ft2", "mpft"}), operation,
                     c.one_of<int>({1 << 20, 1 << 12, 1 << 26, 1 << 30}) / 2, ranks);
}

Report run_text(const std::string& text, const std::vector<std::string>& sets, const RunSettings& settings) {
  return run(resolve_text(text, "random.textproto", environment(), sets), environment(), settings);
}

double value_of(const Report& report, const std::string& metric) {
  for (const Metric& m : metrics(report)) {
    if (m.name != metric) continue;
    if (const auto number = m.number()) return *number;
    break;
  }
  throw std::out_of_range("no value of " + metric);
}

namespace {

struct Trial {
  bool counts = false;  // the law speaks of the scenario, and the program accepts it
  std::string violation;
};

Trial tried(const Law& law, const std::string& scenario) {
  try {
    return {true, law.violation(scenario)};
  } catch (const Skip&) {
    return {};
  } catch (const InputError&) {
    return {};  // refused is not wrong
  } catch (const std::exception& error) {
    return {true, std::string("fails with: ") + error.what()};
  }
}

// Makes choices smaller, one after the other, as long as the law stays broken.
std::vector<std::uint32_t> shrunk(const Law& law, const std::function<std::string(Choices&)>& scenario,
                                  std::vector<std::uint32_t> choices) {
  const auto still_broken = [&](const std::vector<std::uint32_t>& smaller) {
    Choices replay(smaller);
    return !tried(law, scenario(replay)).violation.empty();
  };
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      for (const std::uint32_t to : {0U, choices[i] / 2, choices[i] - 1}) {
        if (to >= choices[i]) continue;
        std::vector<std::uint32_t> candidate = choices;
        candidate[i] = to;
        if (!still_broken(candidate)) continue;
        choices = std::move(candidate);
        smaller = true;
        break;
      }
    }
  }
  return choices;
}

}  // namespace

std::string broken(const Law& law, const std::function<std::string(Choices&)>& scenario, int draws,
                   std::uint64_t seed) {
  int counted = 0;
  for (std::uint64_t draw = 0; counted < draws && draw < static_cast<std::uint64_t>(draws) * 20; ++draw) {
    Choices choices(seed + draw);
    const Trial trial = tried(law, scenario(choices));
    counted += trial.counts ? 1 : 0;
    if (trial.violation.empty()) continue;
    Choices smallest(shrunk(law, scenario, choices.made()));
    const std::string text = scenario(smallest);
    return fmt::format("{}: {}\nseed {}, made smaller to\n{}", law.name, tried(law, text).violation, seed + draw, text);
  }
  if (counted < draws) return fmt::format("{}: only {} of {} draws say anything", law.name, counted, draws);
  return {};
}

}  // namespace flopcast::testing
