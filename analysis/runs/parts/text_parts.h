// Parts that texts on runs of every kind have (pages: page_parts.h).
#pragma once
#include <span>
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/parts/run_facts.h"
#include "flopcast/metrics.h"

namespace flopcast {

/// A fact on lines of its own, broken at the text's width.
std::string fact(const std::string& text, const TextStyle& style);

/// What was predicted beside what was published, under a title; empty where nothing was.
/// @param metrics of the report
std::string published_text(const std::vector<Comparison>& comparisons, std::span<const Metric> metrics,
                           const TextStyle& style);

/// A line with a dash for each, or more where it is long.
std::string bullets(const std::vector<std::string>& items, const TextStyle& style);

/// Fields of the scenario that kept their defaults, a fact for each message: "serving.decode.tensor = 1" and
/// "serving.decode.pipeline = 1" are "serving.decode: tensor = 1, pipeline = 1".
std::string default_facts(const std::vector<std::string>& settings, const TextStyle& style);

}  // namespace flopcast
