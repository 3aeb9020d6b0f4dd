#include "workloads/serving/traffic/traces/formats.h"

namespace flopcast {
namespace {

constexpr TraceFormat kFormats[] = {
    {.name = "mooncake",
     .title = "Mooncake (Kimi): requests with ids of their prefix blocks",
     .source = "kvcache-ai/Mooncake, FAST25-release/traces; Qin et al. 2025, FAST '25",
     .json_lines = true,
     .time = "timestamp",
     .input = "input_length",
     .output = "output_length",
     .time_unit = 1e-3,
     .blocks = "hash_ids",
     .block_tokens = 512},
    {.name = "bailian",
     .title = "Qwen on Bailian: turns of chats, with ids of their prefix blocks",
     .source = "alibaba-edu/qwen-bailian-usagetraces-anon; Wang et al. 2025, arXiv 2506.02634",
     .json_lines = true,
     .time = "timestamp",
     .input = "input_length",
     .output = "output_length",
     .blocks = "hash_ids",
     .block_tokens = 16,
     .marker = "chat_id"},
    {.name = "azure",
     .title = "Azure LLM inference",
     .source = "Azure/AzurePublicDataset; Patel et al. 2024, Splitwise, ISCA '24",
     .time = "TIMESTAMP",
     .input = "ContextTokens",
     .output = "GeneratedTokens",
     .time_notation = TimeNotation::date},
    {.name = "vidur",
     .title = "Vidur, processed",
     .source = "microsoft/vidur, data/processed_traces",
     .time = "arrived_at",
     .input = "num_prefill_tokens",
     .output = "num_decode_tokens"},
    {.name = "vidur-lengths",
     .title = "Vidur, lengths without arrivals",
     .source = "microsoft/vidur, data/processed_traces",
     .input = "num_prefill_tokens",
     .output = "num_decode_tokens",
     .time_notation = TimeNotation::none},
    {.name = "burstgpt",
     .title = "BurstGPT",
     .source = "HPMLL/BurstGPT; Wang et al. 2024, arXiv 2401.17644",
     .time = "Timestamp",
     .input = "Request tokens",
     .output = "Response tokens"},
    {.name = "flopcast",
     .title = "Flopcast, per-request results or a trace of your own",
     .source = "this program",
     .time = "arrival_s",
     .input = "input_tokens",
     .output = "output_tokens"},
};

}  // namespace

std::span<const TraceFormat> trace_formats() { return kFormats; }

}  // namespace flopcast
