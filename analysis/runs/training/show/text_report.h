// Reports as text for a terminal, at most 100 columns wide.
#pragma once
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/training/training_report.h"

namespace flopcast {

std::string to_text(const TrainingReport& report, const TextStyle& style);
std::string to_text(const CollectiveReport& report, const TextStyle& style);
std::string to_text(const LifeReport& report, const TextStyle& style);

/// Memory of the fullest rank against what the GPU has.
std::string memory_text(const MemoryTable& fullest, Bytes capacity, const TextStyle& style);

/// A bar of `width` columns cut in proportion to `shares` (which sum to at most 1), one symbol each.
std::string stacked_bar(const std::vector<double>& shares, const std::vector<std::string>& symbols, int width);

}  // namespace flopcast
