// What a scenario says was published beside what its report predicts.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analysis/runs/parts/run_facts.h"
#include "flopcast/metrics.h"

namespace flopcast {

/// Asked for only where something is published: runs that publish nothing make no list.
using MetricsOf = std::function<std::vector<Metric>()>;

/// @param kind metrics of reports of the scenario's kind, without values
/// @throws InputError when a published figure is of something that no report of this scenario holds.
void check_published(const Scenario& scenario, const MetricsOf& kind);

/// The number of an entry of a list that is no metric, `training.ranks[0].bubble_s`, by its path.
using ListedNumber = std::function<std::optional<double>(const std::string& path)>;

/// Adds a comparison per published figure. Figures that the report turns out to lack become notes, with the reason.
/// @param metrics of the report
void compare_with_published(const Scenario& scenario, const MetricsOf& metrics, std::vector<Comparison>& comparisons,
                            std::vector<std::string>& notes, const ListedNumber& listed = {});

}  // namespace flopcast
