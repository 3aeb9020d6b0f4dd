#include "scenarios/read/libraries/known_traces.h"

#include <filesystem>

namespace flopcast {
namespace {

constexpr KnownTrace kTraces[] = {
    {"AzureLLMInferenceTrace_conv.csv", "github.com/Azure/AzurePublicDataset, data/ (CC-BY 4.0)"},
    {"AzureLLMInferenceTrace_code.csv", "github.com/Azure/AzurePublicDataset, data/ (CC-BY 4.0)"},
    {"conversation_trace.jsonl", "github.com/kvcache-ai/Mooncake, FAST25-release/traces/ (Apache 2.0)"},
    {"synthetic_trace.jsonl", "github.com/kvcache-ai/Mooncake, FAST25-release/traces/ (Apache 2.0)"},
    {"toolagent_trace.jsonl", "github.com/kvcache-ai/Mooncake, FAST25-release/traces/ (Apache 2.0)"},
    {"BurstGPT_without_fails_1.csv", "github.com/HPMLL/BurstGPT, data/ (CC-BY 4.0)"},
    {"BurstGPT_without_fails_2.csv", "github.com/HPMLL/BurstGPT, data/ (CC-BY 4.0)"},
    {"splitwise_conv.csv", "github.com/microsoft/vidur, data/processed_traces/ (MIT)"},
    {"splitwise_code.csv", "github.com/microsoft/vidur, data/processed_traces/ (MIT)"},
    {"arxiv_summarization_stats_llama2_tokenizer_filtered_v2.csv",
     "github.com/microsoft/vidur, data/processed_traces/ (MIT)"},
};

}  // namespace

const KnownTrace* find_known_trace(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string();
  for (const KnownTrace& trace : kTraces)
    if (trace.file == name) return &trace;
  return nullptr;
}

}  // namespace flopcast
