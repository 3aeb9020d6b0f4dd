#include "workloads/serving/traffic/clients.h"

namespace flopcast {
namespace {

constexpr ClientRow kClients[] = {
    {.name = "inferencex",
     .title = "InferenceX (InferenceMAX): users all at once, lengths of 0.8 to 1 of those stated, ten requests a user",
     .source =
         "SemiAnalysisAI/InferenceX, benchmarks: RANDOM_RANGE_RATIO 0.8, --num-prompts 10 x CONC, --max-concurrency "
         "CONC, --request-rate inf; read 2026-11-27",
     .shortest = 0.8,
     .longest = 1,
     .requests_per_user = 10,
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
    {.name = "aiperf",
     .title = "AIPerf, GenAI-Perf: lengths as stated, users who each have one request or session under way",
     .source = "docs.nvidia.com/aiperf: --concurrency, --concurrency-ramp-duration, --isl-stddev 0, "
               "--warmup-request-count; read 2026-11-27",
     .warm_up = "none unless it is told"},
};

}  // namespace

std::span<const ClientRow> benchmark_clients() { return kClients; }

}  // namespace flopcast
