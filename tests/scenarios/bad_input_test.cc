// Is every kind of bad input met by a diagnostic that says where, what, what instead, and what may have been
// meant?
#include "scenarios/read/fields/field_reference.h"
#include "tests/scenarios/fixture.h"
#include "tests/scenarios/slip.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

/// Nearly all picks for one of DeepSeek-V3's 256 experts.
const std::string kBusyExpert = [] {
  std::string text = "schedule: \"1f1b\" expert_load { kind: \"given\" shares: [9";
  for (int i = 1; i < 256; ++i) text += ", 0.01";
  return text + "] }";
}();

TEST_CASE("a sound small scenario loads") {
  const Scenario s = load_text(kSmall);
  CHECK(s.name == "small");
  CHECK(s.cluster.gpus() == 16);
  CHECK(s.training->micro_batches() == 8);
}

TEST_CASE("each slip of the pen has its diagnostic") {
  const Slip slip = GENERATE(
      Slip{"unknown field", "pipeline: 2", "pipelin: 2",
           "scenario.textproto:5:10: training.plan.pipelin: found an unknown field, expected one of "
           "pipeline, data, tensor, context, "
           "expert, chunks, zero_stage, stage_layers, layer_split, expert_tensor, shard_group, "
           "sequence_parallel, "
           "tensor_overlap, overlap_gradients, overlap_parameters, context_exchange, dispatcher, "
           "shared_expert_overlap (did you mean \"pipeline\"?)"},
      Slip{"unknown node", "hgx-h800", "hgx-h900",
           "scenario.textproto:2:11: cluster.node: found \"hgx-h900\", expected one of aws-p4d, "},
      Slip{"unknown fabric", "\"mpft\"", "\"mptf\"", "(did you mean \"mpft\"?)"},
      Slip{"unknown model", "deepseek-v3\"", "deepsek-v3\"",
           "scenario.textproto:3:1: model: found \"deepsek-v3\", expected one of "},
      Slip{"unknown schedule", "\"1f1b\"", "\"1f1\"",
           "scenario.textproto:6:3: training.schedule: found \"1f1\", expected one of gpipe, 1f1b, "},
      Slip{"missing unit", "2 USD/h", "2",
           "scenario.textproto:9:9: price.gpu: found \"2\" without a unit, expected a price over time such "
           "as \"2 USD/h\""},
      Slip{"wrong unit", "2 USD/h", "2 W",
           "price.gpu: found \"2 W\", which is a power, expected a price over time such as \"2 USD/h\""},
      Slip{"negative price", "2 USD/h", "-2 USD/h",
           "price.gpu: found \"-2 USD/h\", expected from 0 USD/h to 10000 USD/h"},
      Slip{"absurd price", "2 USD/h", "2e9 USD/h",
           "price.gpu: found \"2e9 USD/h\", expected from 0 USD/h to 10000 USD/h"},
      Slip{"zero degree", "pipeline: 2", "pipeline: 0",
           "training.plan.pipeline: found 0, expected a number from 1 to 4096"},
      Slip{"octal", "sequences: 64", "sequences: 064",
           "training.batch.sequences: found 064, expected a decimal number without zeros before it (did you mean "
           "\"64\"?)"},
      Slip{"hexadecimal", "sequences: 64", "sequences: 0x40",
           "training.batch.sequences: found 0x40, expected a decimal number without zeros before it"},
      Slip{"documents longer than sequences", "sequences: 64", "sequences: 64 document_length: 5000",
           "training.batch.document_length: found 5000, expected at most 4096, the sequence_length"},
      Slip{"negative batch", "sequences: 64", "sequences: -64",
           "training.batch.sequences: found -64, expected a number from 1 to 1000000000"},
      Slip{"not a number", "schedule: \"1f1b\"", "schedule: \"1f1b\" mechanisms { gpu_speed_spread: nan }",
           "training.mechanisms.gpu_speed_spread: found nan, expected a finite number"},
      Slip{"infinite", "schedule: \"1f1b\"", "schedule: \"1f1b\" mechanisms { gpu_speed_spread: inf }",
           "training.mechanisms.gpu_speed_spread: found inf, expected a finite number"},
      Slip{"unknown precision", "schedule: \"1f1b\"", "schedule: \"1f1b\" precision { linear: \"fp6\" }",
           "training.precision.linear: found \"fp6\", expected one of fp32, bf16, fp8, fp4 (did you mean "
           "\"fp8\"?)"},
      Slip{"degrees that do not multiply", "data: 8", "data: 4",
           "scenario.textproto:5:3: training.plan: found data 4 x tensor 1 x context 1 x pipeline 2 = 8, "
           "expected the 16 GPUs of the "
           "cluster (2 nodes of 8) (try data: 8 or nodes: 1)"},
      Slip{"batch that does not divide", "sequences: 64", "sequences: 63",
           "scenario.textproto:7:11: training.batch.sequences: found 63, expected a multiple of 8 (data 8 x "
           "micro_batch_sequences 1) (try "
           "56 or 64)"},
      Slip{"experts that do not divide", "expert: 8", "expert: 6",
           "training.plan.expert: found 6, expected a divisor of the 256 experts of deepseek-v3"},
      Slip{"experts wider than the replicas", "expert: 8", "expert: 16",
           "training.plan.expert: found 16, expected a divisor of data x context x tensor = 8, whose ranks "
           "share the "
           "experts (try expert: 8)"},
      Slip{"matrices over too many GPUs", "data: 8", "data: 8 tensor: 3",
           "training.plan.tensor: found 3, expected a divisor of the 128 attention heads of deepseek-v3 (try "
           "tensor: 1)"},
      Slip{"shards that do not divide the replicas", "data: 8", "data: 8 shard_group: 3",
           "training.plan.shard_group: found 3, expected a divisor of data x context = 8 (try shard_group: "
           "1)"},
      Slip{"shards of nothing", "data: 8", "data: 8 shard_group: 2 zero_stage: 0",
           "training.plan.shard_group: found 2, expected 0: nothing is sharded with zero_stage 0"},
      Slip{"slices of an expert that do not divide it", "data: 8", "data: 8 expert_tensor: 3",
           "training.plan.expert_tensor: found 3, expected a divisor of the experts' width, 2048"},
      Slip{"chunks of a schedule that fixes them", "data: 8", "data: 8 chunks: 2",
           "training.plan.chunks: found 2, expected 1: 1f1b fixes how many pieces a GPU holds"},
      Slip{"layers that are not the model's", "data: 8", "data: 8 stage_layers: 30 stage_layers: 30",
           "training.plan.stage_layers: found 60 layers in all, expected the 61 layers of deepseek-v3"},
      Slip{"stages that are not the plan's", "data: 8", "data: 8 stage_layers: 61",
           "training.plan.stage_layers: found 1 stages, expected the 2 stages of the schedule"},
      Slip{"schedule that needs more micro-batches", "schedule: \"1f1b\"\n  batch { sequences: 64",
           "schedule: \"dualpipe\"\n  batch { sequences: 24",
           "scenario.textproto:6:3: training.schedule: found \"dualpipe\" with "},
      Slip{"no schedule", "schedule: \"1f1b\"", "",
           "training.schedule: found nothing, expected either schedule, one of gpipe, 1f1b, "},
      Slip{"no batch", "batch { sequences: 64 sequence_length: 4096 }", "",
           "training.batch: found nothing, expected batch { ... }"},
      Slip{"no model", "model: \"deepseek-v3\"", "", "model: found nothing, expected the model to train, such as "},
      Slip{"scales without FP8", "schedule: \"1f1b\"", "schedule: \"1f1b\" precision { scaling: \"blocks\" }",
           "training.precision.scaling: found scales for operands that are not FP8, expected none, or "
           "linear: \"fp8\""},
      Slip{"shares that are not the experts'", "schedule: \"1f1b\"",
           "schedule: \"1f1b\" expert_load { kind: \"given\" shares: [1, 2] }",
           "training.expert_load.shares: found 2 shares, expected one for each of the 256 experts of "
           "deepseek-v3"},
      Slip{"an expert that gets more than every token", "schedule: \"1f1b\"", kBusyExpert.c_str(),
           "training.expert_load.shares: found 77.9 % for expert 0, expected at most 12.5 % for one: a token goes to 8 "
           "different experts"},
      Slip{"a spread that nothing takes", "schedule: \"1f1b\"",
           "schedule: \"1f1b\" expert_load { coefficient_of_variation: 0.6 }",
           "training.expert_load.coefficient_of_variation: found 0.6 beside kind: \"balanced\", expected 0, unless "
           "kind: "
           "\"skewed\" takes it (try kind: \"skewed\")"},
      Slip{"a level of nothing", "schedule: \"1f1b\"", "schedule: \"1f1b\" expert_load { level: \"rank\" }",
           "training.expert_load.level: found \"rank\" beside kind: \"balanced\", expected nothing, unless "},
      Slip{"skewed, and not how much", "schedule: \"1f1b\"", "schedule: \"1f1b\" expert_load { kind: \"skewed\" }",
           "training.expert_load.coefficient_of_variation: found nothing, expected how much the loads vary"},
      Slip{"a spread beyond all tokens to the same experts", "schedule: \"1f1b\"",
           "schedule: \"1f1b\" expert_load { kind: \"skewed\" coefficient_of_variation: 6 }",
           "training.expert_load.coefficient_of_variation: found 6, expected at most 5.57"},
      Slip{"copies that nobody places", "schedule: \"1f1b\"", "schedule: \"1f1b\" expert_load { redundant_experts: 8 }",
           "training.expert_load.redundant_experts: found 8, expected 0, unless placement: \"eplb\" places "
           "them"},
      Slip{"a slow GPU that is not there", "nodes: 2", "nodes: 2 slow { gpu: 16 speed: 0.8 }",
           "scenario.textproto:2:37: cluster.slow[0]: found GPU 16, expected a GPU from 0 to 15"},
      Slip{"a GPU that is slow twice", "nodes: 2", "nodes: 2 slow { gpu: 3 speed: 0.8 } slow { gpu: 3 speed: 0.8 }",
           "cluster.slow[1]: found the same part of GPU 3 again, expected each part once"},
      Slip{"a slow nothing", "nodes: 2", "nodes: 2 slow { speed: 0.8 }",
           "cluster.slow[0]: found not exactly one part, expected exactly one of gpu, nic and nvlink"},
      Slip{"a link of unknown direction", "nodes: 2", "nodes: 2 gpu_override { nvlink_bandwidth: \"400 GB/s\" }",
           "cluster.gpu_override.nvlink_bandwidth: found \"400 GB/s\", which does not say whether it counts "
           "one direction or both"},
      Slip{"bits for bytes", "nodes: 2", "nodes: 2 gpu_override { hbm_capacity: \"80 Gb\" }",
           "cluster.gpu_override.hbm_capacity: found \"80 Gb\", which is in bits (b), expected an amount of "
           "data in bytes such as \"64 MiB\" (try "
           "80 GB if bytes were meant, 10 GB if bits were)"},
      Slip{"more SMs for communication than there are", "schedule: \"1f1b\"",
           "schedule: \"1f1b\" communication_sms: 132",
           "training.communication_sms: found 132, expected fewer than the 132 SMs of h800-sxm"},
      Slip{"a cluster beyond reason", "nodes: 2", "nodes: 1000000",
           "cluster.nodes: found 8000000 GPUs in all, expected at most 1048576"},
      Slip{"a field stated twice", "nodes: 2", "nodes: 2 nodes: 3", "scenario.textproto:2:"},
      Slip{"a brace too few", "price { gpu: \"2 USD/h\" }", "price { gpu: \"2 USD/h\"",
           "found the end of the text, expected "},
      Slip{"a phase of neither kind", "price {", "run { phase { name: \"a\" } }\nprice {",
           "run.phase[0]: found neither tokens nor given_gpu_hours, expected tokens to have the phase "
           "predicted, or given_gpu_hours"},
      Slip{"half a ramp", "price {", "run { phase { name: \"a\" tokens: \"1T\" ramp_tokens: \"1B\" } }\nprice {",
           "run.phase[0]: found half a ramp, expected both ramp_from_sequences and ramp_tokens, or neither"},
      Slip{"a phase whose plan does not fit", "price {",
           "run { phase { name: \"a\" tokens: \"1T\" plan { data: 4 } } }\nprice {",
           "run.phase[0].plan: found data 4 x tensor 1 x context 1 x pipeline 2 = 8, expected the 16 GPUs"},
      Slip{"a missing schedule file", "schedule: \"1f1b\"", "schedule_file: \"mine.order\"",
           "mine.order: found no such file, expected a text file"});
  INFO(slip.what);
  CHECK_THAT(faults_of(replaced(kSmall, slip.from, slip.to)), ContainsSubstring(slip.diagnostic));
}

TEST_CASE("all faults come at once, in one list") {
  std::string text = replaced(kSmall, "hgx-h800", "hgx-h8000");
  text = replaced(text, "2 USD/h", "2 USD");
  text = replaced(text, "schedule:", "scheduel:");
  text = replaced(text, "data: 8", "data: -8");
  const std::string faults = faults_of(text);
  CHECK_THAT(faults, ContainsSubstring("cluster.node") && ContainsSubstring("price.gpu") &&
                         ContainsSubstring("training.scheduel") && ContainsSubstring("training.plan.data"));
}

TEST_CASE("one slip does not drag consequences into the list") {
  const std::string faults = faults_of(replaced(kSmall, "pipeline: 2", "pipelin: 2"));
  CHECK(std::count(faults.begin(), faults.end(), '\n') == 0);
}

TEST_CASE("a scenario with nothing to run, or with two things, is refused") {
  const std::string cluster = "cluster { node: \"hgx-h800\" nodes: 2 fabric: \"mpft\" }\n";
  const std::string collective = "collective { operation: \"all_to_all\" bytes: \"64 MiB\" ranks: 16 }\n";
  CHECK_THAT(faults_of(cluster),
             ContainsSubstring("found nothing to run, expected either training { ... } or collective { ... }"));
  CHECK_THAT(faults_of(kSmall + collective), ContainsSubstring("found both training and collective"));
  CHECK(faults_of(cluster + collective).empty());
  CHECK_THAT(faults_of(cluster + replaced(collective, "ranks: 16", "ranks: 17")),
             ContainsSubstring("collective.ranks: found 17, expected at most the 16 GPUs"));
  CHECK_THAT(faults_of(cluster + replaced(collective, "all_to_all", "all_to_al")),
             ContainsSubstring("(did you mean \"all_to_all\"?)"));
}

TEST_CASE("files that are no scenario files are refused without reading on") {
  const TemporaryFolder folder;
  const auto fault = [&](const std::string& path) -> std::string {
    try {
      load_scenario(path, {}, libraries());
      return "";
    } catch (const InputError& error) {
      return error.what();
    }
  };
  CHECK_THAT(fault(folder.path()), ContainsSubstring("found a folder, expected a text file"));
  CHECK_THAT(fault(folder.path() + "/none.textproto"), ContainsSubstring("found no such file, expected a text file"));
  CHECK_THAT(fault(folder.write("empty.textproto", "")), ContainsSubstring("found an empty file"));
  CHECK_THAT(fault(folder.write("blank.textproto", " \n\t\n")), ContainsSubstring("found an empty file"));
  CHECK_THAT(fault(folder.write("binary.textproto", std::string("\x7f"
                                                                "ELF\0\0\1",
                                                                7))),
             ContainsSubstring("found a binary file"));
  CHECK_THAT(fault(folder.write("huge.textproto", std::string(100'000'000, '#'))),
             ContainsSubstring("found a file of 100.0 MB, expected a text file of at most 1 MiB"));
  CHECK_THAT(fault(folder.write("deep.textproto", std::string(500'000, '{'))),
             ContainsSubstring("found braces nested more than 32 deep"));
  CHECK_THAT(fault(folder.write("prose.textproto", "Dear simulator, how long will it take?")),
             ContainsSubstring("prose.textproto:1:"));
  CHECK_THAT(fault("/dev/zero"), ContainsSubstring("found neither a file nor a folder"));
  CHECK_THAT(fault("deepseek_v3_2048_h8000"), ContainsSubstring("(did you mean \"deepseek_v3_2048_h800\"?)"));
}

TEST_CASE("software that nobody knows is told once, with those that are known") {
  const std::string faults = faults_of(replaced(kSmall, "training {", "training { software: \"megatron-core-2025.9\""));
  CHECK(std::count(faults.begin(), faults.end(), '\n') <= 1);
  CHECK_THAT(faults, ContainsSubstring("did you mean \"megatron-core-2025.09\""));
  CHECK_THAT(faults, !ContainsSubstring("that version comes"));
}

TEST_CASE("a version that is not there is told with those before and after it") {
  const auto with = [](const std::string& name) {
    return faults_of(replaced(kSmall, "training {", "training { software: \"" + name + "\""));
  };
  CHECK_THAT(with("megatron-core-2024.12"),
             ContainsSubstring("that version comes between megatron-core-2024.11 and megatron-core-2025.02"));
  CHECK_THAT(with("torchtitan-2024.01"), ContainsSubstring("that version comes before torchtitan-2024.12"));
  CHECK_THAT(with("fairseq-2020"), !ContainsSubstring("that version comes"));
}

TEST_CASE("what a plan leaves open of sequence parallelism is the software's habit") {
  const auto split = [](const std::string& software, std::vector<std::string> sets = {}) {
    for (const char* set : {"model=llama-3.1-8b", "training.plan.expert=1", "training.plan.pipeline=1"})
      sets.insert(sets.begin(), set);
    sets.push_back("training.software=" + software);
    return load_text(kSmall, sets).training->plan.sequence_parallel;
  };
  const std::vector<std::string> shared{"training.plan.tensor=2"};
  const std::vector<std::string> staged{"training.plan.tensor=2", "training.plan.data=4", "training.plan.pipeline=2"};
  CHECK(split("megatron-core-2025.09", shared));
  CHECK(split("megatron-core-2025.09", staged));
  CHECK_FALSE(split("nemo-automodel-2025.10", shared));
  CHECK(split("nemo-automodel-2025.10", {"training.plan.tensor=2", "training.plan.sequence_parallel=true"}));
  CHECK(split("kempnerforge-2026.04", shared));
  CHECK_FALSE(split("kempnerforge-2026.04", staged));
}

TEST_CASE("a text with a thousand faults ends in a short list") {
  std::string text = kSmall;
  for (int i = 0; i < 10'000; ++i) text += "nonsense_" + std::to_string(i) + ": 1\n";
  const std::string faults = faults_of(text);
  CHECK(std::count(faults.begin(), faults.end(), '\n') <= 51);
}

TEST_CASE("a user's schedule is read beside the scenario and its faults are the scenario's") {
  const TemporaryFolder folder;
  const std::string path =
      folder.write("scenario.textproto", replaced(kSmall, "schedule: \"1f1b\"", "schedule_file: \"mine.order\""));
  folder.write("mine.order", "0: F0 B0\n1: F0 B0\n");
  CHECK_THROWS_AS(load_scenario(path, {}, libraries()), InputError);
  std::string order;
  for (int rank = 0; rank < 2; ++rank) {
    order += std::to_string(rank) + ":";
    for (int m = 0; m < 8; ++m) order += " F" + std::to_string(m);
    for (int m = 0; m < 8; ++m) order += " B" + std::to_string(m);
    order += "\n";
  }
  folder.write("mine.order", order);
  CHECK(load_scenario(path, {}, libraries()).training->schedule_text == order);
}

TEST_CASE("no size of 0, below 0 or beyond all bounds ends the program") {
  // With experts, stages and a sample: what is resolved before a fault is told divides by many a field.
  const std::string& training = kSmall;
  const std::string serving = R"(cluster { node: "hgx-h100" nodes: 2 fabric: "rail-ft2" }
model: "mixtral-8x7b"
serving {
  traffic { requests: "1K" stream { requests_per_second: 5 input { mean: 500 } output { mean: 100 } } }
  replicas { count: 2 tensor: 2 expert: 2 }
  sample: 2
})";
  CHECK(faults_of(training).empty());
  CHECK(faults_of(serving).empty());
  for (const FieldReference& field : fields_below("")) {
    if (field.type != "whole number" || field.path.find("[]") != std::string::npos) continue;
    INFO(field.path);
    for (const char* value : {"=0", "=-1", "=2147483647"}) {
      if (field.path.starts_with("training.")) faults_of(training, {field.path + value});
      if (field.path.starts_with("serving.")) faults_of(serving, {field.path + value});
    }
    SUCCEED();
  }
}

TEST_CASE("software is not asked for what it does not have") {
  const auto with = [](const std::string& software) {
    return replaced(kSmall, "training {", "training { software: \"" + software + "\"");
  };
  CHECK_THAT(faults_of(with("deepspeed-zero3-2021")),
             ContainsSubstring("training.software") && ContainsSubstring("deepseek-v3: experts, which"));
  CHECK_THAT(faults_of(with("deepspeed-zero3-2021")),
             ContainsSubstring("training.plan.expert") && ContainsSubstring("deepspeed-zero3-2021 of 2021"));
  CHECK_THAT(faults_of(with("megatron-core-2024.09"), {"training.schedule=dualpipe"}),
             ContainsSubstring("training.schedule") && ContainsSubstring("of 2024-09 does not have"));
  CHECK_THAT(faults_of(with("deepseek-2024.12"), {"training.schedule=dualpipe"}), !ContainsSubstring("does not have"));
  CHECK_THAT(faults_of(with("deepspeed-zero3-2021"), {"training.precision.linear=fp8"}),
             ContainsSubstring("training.precision.linear"));
}

TEST_CASE("a plan does not ask software for parallelism and schedules that it lacks") {
  const auto with = [](const std::string& software) {
    return replaced(kSmall, "training {", "training { software: \"" + software + "\"");
  };
  CHECK_THAT(faults_of(with("pytorch-fsdp-eager")),
             ContainsSubstring("training.plan.expert") &&
                 ContainsSubstring("expert parallelism, which pytorch-fsdp-eager of 2025 does not have"));
  CHECK_THAT(faults_of(with("pytorch-fsdp-eager"), {"training.schedule=dualpipe"}),
             ContainsSubstring("training.schedule") && ContainsSubstring("schedule: \"1f1b\""));
  CHECK_THAT(faults_of(with("huggingface-fsdp-2025.06")), ContainsSubstring("training.plan.pipeline"));
  CHECK_THAT(faults_of(with("megatron-core-2025.09"), {"training.schedule=zb_h1"}),
             ContainsSubstring("one of 1f1b, interleaved_1f1b, overlapped_1f1b"));
}

TEST_CASE("heads are shared out among the GPUs of a sequence, and a graph of the whole step is a graph") {
  CHECK_THAT(faults_of(kSmall, {"training.plan.context_exchange=all_to_all", "training.plan.context=256"}),
             ContainsSubstring("training.plan.context_exchange") && ContainsSubstring("128 heads"));
  CHECK_THAT(faults_of(kSmall, {"training.iteration_graph=true"}), ContainsSubstring("training.cuda_graphs: true"));
}

TEST_CASE("what is offloaded needs a place to lie and a way there") {
  CHECK_THAT(faults_of(kSmall, {"training.offload.parameters=true"}),
             ContainsSubstring("training.offload.parameters") && ContainsSubstring("zero_stage: 3"));
  CHECK_THAT(
      faults_of(kSmall, {"training.offload.optimizer=0.5", "cluster.node_override.host_memory_bandwidth=0 GB/s"}),
      ContainsSubstring("training.offload.optimizer") && ContainsSubstring("host_memory_bandwidth"));
  const std::string all = faults_of(
      kSmall, {"training.plan.zero_stage=3", "training.offload.parameters=true", "training.offload.activations=0.5",
               "cluster.node_override.host_bandwidth=0 GB/s per direction"});
  CHECK_THAT(all, ContainsSubstring("training.offload.parameters: found a GPU whose link to the host is not known"));
  CHECK_THAT(all, ContainsSubstring("training.offload.activations: found a GPU whose link"));
  CHECK_THAT(all, !ContainsSubstring("training.offload.optimizer"));
  CHECK_THAT(faults_of(kSmall, {"training.offload.activations=1.5"}),
             ContainsSubstring("training.offload.activations"));
}

TEST_CASE("what a model has not cannot be done again") {
  CHECK_THAT(faults_of(kSmall, {"training.recompute.full_layer=true", "training.recompute.full_layers=999"}),
             ContainsSubstring("training.recompute.full_layers") && ContainsSubstring("at most 61"));
  CHECK_THAT(faults_of(kSmall, {"training.recompute.full_layer=true", "training.recompute.full_layers=1",
                                "training.recompute.norms=true"}),
             ContainsSubstring("training.recompute.norms"));
  CHECK_THAT(faults_of(replaced(kSmall, "\"deepseek-v3\"", "\"llama-3.1-8b\""),
                       {"training.recompute.attention_up_projections=true"}),
             ContainsSubstring("llama-3.1-8b has no latent attention"));
}

}  // namespace
}  // namespace flopcast::test
