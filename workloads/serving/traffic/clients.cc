#include "workloads/serving/traffic/clients.h"

namespace flopcast {
namespace {

// ShareGPT_V3_unfiltered_cleaned_split.json: first prompt and answer of a conversation, of 4 tokens and more, prompts
// of at most 1,024 and both together of at most 2,048. 1,000 such requests had 213,987 tokens of prompts and 199,771 of
// answers (vllm-project/vllm pull request 7062, 2024-08-02), 1,648 had 369,103 and 326,408 (sgl-project/sglang issue
// 2805, 2025-01-09). A spread is published nowhere: a coefficient of variation of 1 is assumed.
constexpr ClientLengths kShareGpt{
    .input = 214, .output = 200, .variation = 1, .least = 4, .most_input = 1024, .most_output = 1024};

constexpr ClientRow kClients[] = {
    {.name = "inferencex",
     .title = "InferenceX (InferenceMAX): users all at once, lengths of 0.8 to 1 of those stated, ten requests a user",
     .source =
         "SemiAnalysisAI/InferenceX, benchmarks: RANDOM_RANGE_RATIO 0.8, --num-prompts 10 x CONC, --max-concurrency "
         "CONC, --request-rate inf; read 2026-11-27",
     .shortest = 0.8,
     .longest = 1,
     .requests_per_user = 10,
     .warm_up = "twice as many requests as users, all with one prompt, answered before",
     .one_prompt = true},
    {.name = "aiconfigurator",
     .title = "aiconfigurator's own runs: users all at once, lengths as stated, twenty requests a user",
     .source =
         "ai-dynamo/aiconfigurator @ 095f58a, generator/config/backend_templates/benchmark/bench_run.sh.j2: aiperf "
         "profile --isl-stddev 0 --osl-stddev 0 --concurrency C --num-requests 20 x C --warmup-request-count 2 x "
         "C; read 2026-11-27",
     .requests_per_user = 20,
     .warm_up = "twice as many requests as users, answered before"},
    {.name = "vllm_bench",
     .title = "vllm bench serve, random prompts: lengths as stated, 1,000 requests",
     .source = "docs.vllm.ai, cli/bench/serve: --random-range-ratio 0.0, --num-prompts 1000, --burstiness 1.0; read "
               "2026-11-27",
     .requests = 1000,
     .warm_up = "one request, answered before"},
    {.name = "sglang_bench",
     .title = "sglang.bench_serving, random prompts: lengths from one token to those stated, 1,000 requests",
     .source = "sgl-project/sglang, bench_serving.py: --random-range-ratio 0.0 of whole lengths, --num-prompts 1000, "
               "--warmup-requests 1; read 2026-11-27",
     .shortest = 0,
     .longest = 1,
     .requests = 1000,
     .warm_up = "one request, answered before"},
    {.name = "vllm_sharegpt",
     .title = "vllm bench serve, ShareGPT: prompts of 214 tokens on average, answers of 200, 1,000 requests",
     .source = "vllm-project/vllm pull request 7062: --dataset-name sharegpt, 1,000 requests of 213,987 and 199,771 "
               "tokens; spread assumed (coefficient of variation 1); read 2026-11-27",
     .lengths = &kShareGpt,
     .requests = 1000,
     .warm_up = "one request, answered before"},
    {.name = "sglang_sharegpt",
     .title = "sglang.bench_serving, ShareGPT (its default): prompts of 214 tokens on average, answers of 200, 1,000 "
              "requests",
     .source = "sgl-project/sglang, bench_serving.py: --dataset-name sharegpt, --num-prompts 1000; lengths as of "
               "vllm_sharegpt (issue 2805: 224 and 198); read 2026-11-27",
     .lengths = &kShareGpt,
     .requests = 1000,
     .warm_up = "one request, answered before"},
    {.name = "aiperf",
     .title = "AIPerf, GenAI-Perf: lengths as stated, users who each have one request or session under way",
     .source = "docs.nvidia.com/aiperf: --concurrency, --concurrency-ramp-duration, --isl-stddev 0, "
               "--warmup-request-count; read 2026-11-27",
     .warm_up = "none unless it is told"},
};

}  // namespace

std::span<const ClientRow> benchmark_clients() { return kClients; }

}  // namespace flopcast
