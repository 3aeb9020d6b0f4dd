// Parts that pages on runs of every kind have.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/page.h"
#include "analysis/runs/parts/run_facts.h"
#include "flopcast/metrics.h"
#include "workloads/training/memory/memory.h"

namespace flopcast {

/// What was predicted beside what was published: a picture of the errors and the figures. Nothing, where nothing was.
/// @param metrics of the report
void add_published(const std::vector<Comparison>& comparisons, std::span<const Metric> metrics, Page& page);

/// What was assumed, and what was left open.
void add_small_print(const std::vector<std::string>& notes, const std::vector<std::string>& defaults, Page& page);

/// Every figure of the report, folded.
void add_metrics(std::span<const Metric> metrics, Page& page);

/// A figure of the table of metrics for the head of the page, under its title there or another one. Absent ones are
/// left out.
void add_key_figure(std::span<const Metric> metrics, std::string_view name, std::vector<KeyFigure>& figures,
                    std::string_view title = {}, std::string_view remark = {});

/// What stands in a GPU's memory, and where it has its end.
struct MemoryBar {
  std::string name;  ///< "rank 3", "update"
  const MemoryTable* table = nullptr;
  Bytes capacity;
};
/// Bars of memory, item by item; its capacity, where all have the same one, as a line across. @param rows_are what a
/// bar is: "pipeline rank". The title is the caller's.
StackedChart memory_chart(const std::vector<MemoryBar>& bars, const std::string& rows_are);

}  // namespace flopcast
