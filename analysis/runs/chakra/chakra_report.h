// A replay of execution traces, for people and for programs.
#pragma once
#include <string>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/chakra/chakra_run.h"

namespace flopcast {

std::string chakra_text(const ChakraReport& report, const TextStyle& style);
std::string chakra_json(const ChakraReport& report, const std::string& program);

/// The timeline: a process per rank, a track per stream, thread and communicator. @{
std::string chakra_perfetto(const ChakraJob& job, const ChakraReplay& replay);
std::string chakra_chrome(const ChakraJob& job, const ChakraReplay& replay);
/// @}

}  // namespace flopcast
