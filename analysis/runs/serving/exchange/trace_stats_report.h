// A trace's statistics, for people and for programs.
#pragma once
#include <string>

#include "analysis/render/text/text_table.h"
#include "workloads/serving/metrics/trace_stats.h"

namespace flopcast {

std::string trace_stats_text(const std::string& file, const TraceStats& stats, const TextStyle& style);
/// The formats that are recognised, and the columns that they are recognised by.
std::string trace_formats_text(const TextStyle& style);
std::string trace_stats_json(const std::string& file, const std::string& program, const TraceStats& stats);

}  // namespace flopcast
