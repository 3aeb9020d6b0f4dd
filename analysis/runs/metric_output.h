// Metrics as a table for programs, and what metrics there are for people.
#pragma once
#include <span>
#include <string>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/metrics.h"

namespace flopcast {

/// A row per metric: name, value, unit, meaning, and why there is no value where there is none. Reports of a kind have
/// the same rows but for lists' entries, so that tables of two runs go into one frame by name.
std::string to_csv(std::span<const Metric> metrics);

/// Name, unit and meaning of every metric of these kinds, each once, for the terminal or as Markdown (docs/metrics.md).
std::string metric_reference(std::span<const MetricKind> kinds, const TextStyle& style);
std::string metric_reference_markdown(std::span<const MetricKind> kinds);

}  // namespace flopcast
