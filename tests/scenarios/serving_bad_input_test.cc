// Is every kind of bad serving scenario, and of bad trace, met by diagnostics that say where, what and what
// instead?
#include "scenarios/resolve/serving/serving_scenario.h"
#include "tests/scenarios/fixture.h"
#include "tests/scenarios/slip.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

const std::string kChat = R"(cluster { node: "hgx-h100" nodes: 2 fabric: "rail-ft2" }
model: "llama-3.1-8b"
serving {
  traffic { requests: "1K"
    stream { name: "chat"
      requests_per_second: 5
      input { mean: 500 }
      output { mean: 100 }
      slo { ttft: "1 s" } } }
  replicas { count: 2 tensor: 2 }
}
)";

TEST_CASE("each slip in a serving scenario has its diagnostic", "[scenarios][serving]") {
  const Slip slip = GENERATE(
      Slip{"unknown field", "requests_per_second", "request_per_second",
           "scenario.textproto:6:7: serving.traffic.stream.request_per_second: found an unknown field"},
      Slip{"no tokens", "input { mean: 500 }", "input { mean: 0 }",
           "scenario.textproto:7:15: serving.traffic.stream[0].input.mean: found 0, expected a number from 1 "
           "to 1e8"},
      Slip{"negative tokens", "output { mean: 100 }", "output { mean: -1 }",
           "scenario.textproto:8:16: serving.traffic.stream[0].output.mean: found -1, expected a number from "
           "1 to 1e8"},
      Slip{"beyond the context", "output { mean: 100 }", "output { mean: 200000 }",
           "serving.traffic.stream[0].input: found 200500 tokens of prompt and answer, expected at most the "
           "131072 positions of "
           "llama-3.1-8b"},
      Slip{"a spread of fixed lengths", "mean: 500", "mean: 500 variation: 1.7",
           "scenario.textproto:7:25: serving.traffic.stream[0].input.variation: found a statement without effect"},
      Slip{"least above most", "mean: 500", "mean: 500 least: 20 most: 10", "found least above most"},
      Slip{"unknown shape", "mean: 500", "mean: 500 shape: \"lognormal\"", "(did you mean \"log_normal\"?)"},
      Slip{"uniform lengths below zero", "mean: 500", "mean: 500 shape: \"uniform\" variation: 3",
           "input.variation: found 3, expected at most 1"},
      Slip{"two ways to come", "requests_per_second: 5", "requests_per_second: 5 users: 3",
           "scenario.textproto:5:5: serving.traffic.stream[0]: found requests_per_second and users, expected "
           "one of them"},
      Slip{"a ramp without users", "requests_per_second: 5", "requests_per_second: 5 ramp: \"3 s\"",
           "ramp: found a statement without effect, expected users, who begin one after the other"},
      Slip{"a limit for users", "requests_per_second: 5", "users: 5 max_concurrency: 3",
           "max_concurrency: found a statement without effect, expected requests_per_second beside it"},
      Slip{"an unknown client", "requests_per_second: 5", "users: 5 client: \"inferencey\"",
           "scenario.textproto:6:16: serving.traffic.stream[0].client: found \"inferencey\", expected one of "
           "inferencex"},
      Slip{"a client that draws lengths, and lengths that are drawn",
           "requests_per_second: 5\n      input { mean: 500 }",
           "users: 5 client: \"inferencex\" input { mean: 500 shape: \"gamma\" }",
           "input.shape: found \"gamma\", expected nothing: inferencex draws lengths between 0.8 and 1"},
      Slip{
          "a client that draws from a data set, and stated lengths", "requests_per_second: 5",
          "users: 5 client: \"sglang_sharegpt\"",
          "input: found lengths beside client \"sglang_sharegpt\", expected nothing: sglang_sharegpt draws from a data "
          "set"},
      Slip{"a tool's time without tools", "slo {", "conversation { turns: 3 tool_time: \"1 s\" } slo {",
           "conversation.tool_time: found a statement without effect, expected tool_calls beside it"},
      Slip{"a deadline of nothing", "slo {", "deadline: \"0 s\" slo {",
           "serving.traffic.stream[0].deadline: found \"0 s\""},
      Slip{"a negative weight", "slo {", "weight: -2 slo {",
           "scenario.textproto:9:7: serving.traffic.stream[0].weight: found -2, expected a number from 0.001 to 1000"},
      Slip{"a first token later than the last", "slo {", "deadline: \"5 s\" first_token_deadline: \"9 s\" slo {",
           "first_token_deadline: found 9 s, expected less than the deadline, 5 s"},
      Slip{"places to be taken where all are alike", "count: 2", "count: 2 priority_preemption: true",
           "priority_preemption: found a statement without effect, expected streams of different priority"},
      Slip{"sizes of graphs that go down", "count: 2", "count: 2 graph_sizes: \"8 4\"",
           "serving.replicas.graph_sizes: found \"8 4\", expected batches from small to large"},
      Slip{"a schedule without times", "count: 2", "count: 2 autoscale { by: \"schedule\" }",
           "serving.replicas.autoscale.step: found none, expected step {"},
      Slip{"a schedule that goes back in time", "count: 2",
           "count: 2 autoscale { by: \"schedule\" step { at: \"9 h\" replicas: 2 } step { at: \"8 h\" replicas: 1 } }",
           "autoscale.step[1].at: found 8 h, expected a time after that of the step before, 9 h"},
      Slip{"more replicas than there are", "count: 2",
           "count: 2 autoscale { by: \"schedule\" step { at: \"9 h\" replicas: 3 } }",
           "autoscale.step[0].replicas: found 3, expected from 1 (minimum) to 2 (count)"},
      Slip{"a queue where the load is followed", "count: 2", "count: 2 autoscale { queue: 3 }",
           "autoscale.queue: found a statement without effect, expected by: \"queue\""},
      Slip{"a slow restart", "replicas {", "fault { at: \"1 s\" restart: \"replicas\" speed: 0.5 } replicas {",
           "serving.fault[0].speed: found 0.5, expected node beside it"},
      Slip{"sessions beside a rate", "slo {", "sessions { file: \"none.csv\" } slo {",
           "requests_per_second: found beside sessions from a file"},
      Slip{"a ramp of recorded sessions", "requests_per_second: 5", "ramp: \"5 s\" sessions { file: \"none.csv\" }",
           "ramp: found a statement without effect, expected no recorded sessions, which have times of their own"},
      Slip{"no way to come", "requests_per_second: 5", "",
           "found no arrivals, expected requests_per_second, users, or a trace"},
      Slip{"a day for users", "requests_per_second: 5", "users: 5 daily_swing: 0.5",
           "scenario.textproto:6:16: serving.traffic.stream[0].daily_swing: found a statement without "
           "effect, expected "
           "requests_per_second beside it"},
      Slip{"bursts without gamma", "requests_per_second: 5", "requests_per_second: 5 burstiness: 4",
           "burstiness: found a statement without effect, expected arrivals: \"gamma\" beside it"},
      Slip{"thinking without users", "requests_per_second: 5", "requests_per_second: 5 think_time: \"3 s\"",
           "think_time: found a statement without effect, expected users, who think"},
      Slip{"unknown arrivals", "requests_per_second: 5", "requests_per_second: 5 arrivals: \"gama\"",
           "(did you mean \"gamma\"?)"},
      Slip{"an end that is none", "requests: \"1K\"", "",
           "serving.traffic: found no end, expected duration or requests"},
      Slip{"a trace beside lengths", "input { mean: 500 }", "input { mean: 500 } trace { file: \"x.csv\" }",
           "found a trace beside input or output, expected input and output, or a trace that has them"},
      Slip{"unknown batching", "count: 2 tensor", "batching: \"mix\" tensor",
           "serving.replicas.batching: found \"mix\", expected one of mixed, prefill_first"},
      Slip{"unknown router", "count: 2 tensor", "router: \"round_robbin\" tensor",
           "serving.replicas.router: found \"round_robbin\", expected one of round_robin, least_outstanding, "
           "least_kv, prefix_aware, "
           "power_of_two, cache_aware (did you mean \"round_robin\"?)"},
      Slip{"unknown format", "count: 2 tensor", "weights: \"fp6\" tensor",
           "serving.replicas.weights: found \"fp6\", expected one of bf16, fp8, fp4"},
      Slip{"FP4 on Hopper", "count: 2 tensor", "weights: \"fp4\" tensor",
           "serving.replicas.weights: found fp4, expected bf16 or fp8, with weight_format for four-bit weights"},
      Slip{"MXFP8 on Hopper", "count: 2 tensor", "weights: \"fp8\" scaling: \"mx\" tensor",
           "serving.replicas.scaling: found mx, expected blocks or per_tensor: h100-sxm"},
      Slip{"unknown four-bit format", "count: 2 tensor", "weight_format: \"int3\" tensor",
           "serving.replicas.weight_format: found \"int3\", expected one of as_multiplied, int4, mxfp4, nvfp4"},
      Slip{"unknown preemption", "count: 2 tensor", "preemption: \"drop\" tensor", "expected one of recompute, swap"},
      Slip{"weights that do not fit", "llama-3.1-8b", "llama-3.1-405b",
           "serving.replicas: found 408.7 GB of weights and workspace per GPU, expected at most 77.0 GB, 90 "
           "% of the 85.5 GB of "
           "h100-sxm (try 16 GPUs in a replica (tensor 8 x pipeline 2), or weights: \"fp8\" and 8 GPUs in a replica "
           "(tensor 8)"},
      Slip{"a cache of two sizes", "count: 2", "count: 2 cache_tokens: 100000 cache_memory: \"10 GB\"",
           "serving.replicas.cache_tokens: found 100000, expected either cache_tokens or cache_memory"},
      Slip{"a cache larger than the GPU", "count: 2", "count: 2 cache_memory: \"79 GB\"",
           "serving.replicas.cache_memory: found 79.0 GB for the KV cache beside"},
      Slip{"drafts of modules that the model lacks", "replicas {", "speculation { depth: 1 } replicas {",
           "kind: \"eagle\" or \"lookup\" drafts otherwise"},
      Slip{"a promise of no time", "ttft: \"1 s\"", "ttft: \"0 s\" tpot: \"-1 ms\"",
           "slo.ttft: found \"0 s\", expected from 1 us to 30 d"},
      Slip{"a promise in kilograms", "ttft: \"1 s\"", "ttft: \"1 kg\"", "slo.ttft: found \"1 kg\""},
      Slip{"more replicas at least than there are", "replicas {", "autoscale { minimum: 5 } replicas {",
           "autoscale.minimum: found 5, expected at most the 2 replicas there are (count)"},
      Slip{"a size of a cache that is off", "replicas {", "prefix_cache { on: false host_memory: \"1 GB\" } replicas {",
           "prefix_cache.host_memory: found a size beside on: false"},
      Slip{"a sample that does not divide", "replicas {", "sample: 3 replicas {",
           "serving.sample: found 3, expected a divisor of the 2 replicas"},
      Slip{"more GPUs than the cluster has", "count: 2", "count: 9",
           "found 18 GPUs in replicas, expected at most the 16 GPUs"});
  INFO(slip.what);
  CHECK_THAT(faults_of(replaced(kChat, slip.from, slip.to)), ContainsSubstring(slip.diagnostic));
}

TEST_CASE("a replica must hold the cache of a usual request", "[scenarios][serving]") {
  const std::string small = replaced(kChat, "count: 2 tensor: 2", "memory_share: 0.25 token_budget: 256 max_batch: 1");
  CHECK(faults_of(small).empty());
  CHECK_THAT(
      faults_of(replaced(small, "mean: 500", "mean: 100000")),
      ContainsSubstring("serving.replicas: found room for the cache of ") &&
          ContainsSubstring("expected room for one request, 100100 tokens on average (try more GPUs per replica"));
}

TEST_CASE("what would hold the weights is what a replica may be, and lighter than what is stated",
          "[scenarios][serving]") {
  const auto advice = [](const std::string& model, const std::string& replicas) {
    return faults_of(replaced(replaced(kChat, "llama-3.1-8b", model), "count: 2 tensor: 2", replicas));
  };
  // Experts over more than a node are over whole nodes.
  CHECK_THAT(advice("deepseek-v3", "count: 1 attention_data: 8 expert: 8 weights: \"bf16\""),
             ContainsSubstring("(try 32 GPUs in a replica (tensor 2 x attention_data 16, expert 32), or weights: "
                               "\"fp8\" and 16 GPUs in a replica (tensor 1 x attention_data 16, expert 16))"));
  // Of four-bit weights FP8 ones are no lighter.
  const std::string narrow = advice("kimi-k2.5", "count: 1");
  CHECK_THAT(narrow, ContainsSubstring("GPUs in a replica (tensor 8") && !ContainsSubstring("weights: \"fp8\""));
}

TEST_CASE("faults of traffic, replicas and promises come at once", "[scenarios][serving]") {
  std::string text = replaced(kChat, "mean: 500", "mean: 0");
  text = replaced(text, "ttft: \"1 s\"", "ttft: \"1 kg\"");
  text = replaced(text, "tensor: 2", "tensor: 2 router: \"fair\" weights: \"int4\"");
  const std::string faults = faults_of(text);
  for (const char* field : {"input.mean", "slo.ttft", "replicas.weights"}) CHECK_THAT(faults, ContainsSubstring(field));
}

/// What is wrong with a scenario that replays this trace, without folders.
std::string trace_faults(const std::string& trace, const std::string& more = "") {
  const TemporaryFolder folder;
  folder.write("trace.csv", trace);
  std::string text = replaced(kChat, "input { mean: 500 }", "trace { file: \"trace.csv\" " + more + " }");
  text = replaced(text, "output { mean: 100 }", "");
  text = replaced(text, "requests_per_second: 5", "");
  try {
    load_scenario(folder.write("scenario.textproto", text), {}, libraries());
    return "";
  } catch (const InputError& error) {
    std::string out = error.what();
    for (auto at = out.find(folder.path() + "/"); at != std::string::npos; at = out.find(folder.path() + "/"))
      out.erase(at, folder.path().size() + 1);
    return out;
  }
}

TEST_CASE("a trace's faults are told by line, all at once, before anything runs", "[scenarios][serving]") {
  const std::string head = "arrival_s,input_tokens,output_tokens\n";
  CHECK(trace_faults(head + "0,10,10\n1,20,5\n").empty());
  CHECK_THAT(trace_faults(""), ContainsSubstring("trace.csv: found an empty file, expected a request trace"));
  CHECK_THAT(trace_faults(head), ContainsSubstring("trace.csv: found no request, expected at least one request"));
  CHECK_THAT(trace_faults("a,b,c\n1,2,3\n"),
             ContainsSubstring("trace.csv:1:1: found columns \"a, b, c\", expected a header with"));
  const std::string all = trace_faults(head + "5,10,10\n5,0,5\n5,-4,5\n1,5,5\n6,7\n7,x,5\n8,6,7,8\n");
  for (const char* fault : {"trace.csv:3:", "trace.csv:4:", "trace.csv:5:", "trace.csv:6:", "trace.csv:7:"})
    CHECK_THAT(all, ContainsSubstring(fault));
  CHECK_THAT(all, ContainsSubstring("not before"));
  CHECK_THAT(trace_faults(head + "0,10,10\n1,20"), ContainsSubstring("trace.csv:3:"));  // cut off
  CHECK_THAT(trace_faults(head + "0,131000,1000\n"), ContainsSubstring("132000 tokens of prompt and answer"));
  CHECK_THAT(trace_faults(head + "0,131000,1000\n", "drop_too_long: true"),
             ContainsSubstring("only requests beyond the context"));
  CHECK(trace_faults(head + "0,131000,1000\n1,10,10\n", "drop_too_long: true").empty());
  CHECK_THAT(trace_faults(head + "0,10," + std::string(5u << 20, '1') + "\n"),
             ContainsSubstring("trace.csv:2:"));  // a huge line
  CHECK_THAT(trace_faults(head + "0,99999999999999999999,5\n"), ContainsSubstring("trace.csv:2:"));
}

TEST_CASE("a trace that is not there is told with where to have it", "[scenarios][serving]") {
  const std::string text =
      replaced(replaced(kChat, "input { mean: 500 }", "trace { file: \"AzureLLMInferenceTrace_conv.csv\" }"),
               "output { mean: 100 }", "");
  const std::string faults = faults_of(text);
  CHECK_THAT(faults, ContainsSubstring("scenario.textproto:7:15: serving.traffic.stream[0].trace.file: found "
                                       "no file \"AzureLLMInferenceTrace_conv.csv\""));
  CHECK_THAT(faults, ContainsSubstring("github.com/Azure/AzurePublicDataset") &&
                         ContainsSubstring("--set serving.traffic.stream[0].trace.file=PATH"));
  // Beside the scenario where the scenario says it, from where one stands where the command line does.
  const TemporaryFolder folder;
  const std::string trace = folder.write("mine.csv", "arrival_s,input_tokens,output_tokens\n0,10,10\n");
  const std::vector<std::string> sets = {"serving.traffic.stream[0].trace.file=" + trace};
  const Scenario scenario = load_scenario(folder.write("s.textproto", text), sets, libraries());
  CHECK(std::get<TraceTraffic>(scenario.serving->traffic.classes[0].lengths).summary.requests == 1);
}

}  // namespace
}  // namespace flopcast::test
