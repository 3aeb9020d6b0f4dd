// What the local application answers, as JSON.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "analysis/app/app_run.h"
#include "analysis/app/http.h"
#include "scenarios/read/libraries/libraries.h"
#include "sim/base/diagnostic.h"

namespace flopcast {

HttpAnswer json_answer(std::string body);
HttpAnswer refused(int status, const std::string& why);

std::string strings_json(const std::vector<std::string>& texts);
/// Fields that a scenario's text states, with their values: {"training.plan.pipeline":"4"}.
std::string stated_json(const std::string& text);
/// Entries of a library as they are picked: name, title, figures, group.
std::string library_json(std::span<const LibraryRow> rows);
std::string faults_json(const std::vector<Diagnostic>& faults);

// Of the following the caller holds the run's mutex, but for run_json().
std::string run_json(const AppRun& run, std::size_t id);  ///< one row of the list of runs
std::string state_json(const AppRun& run);
std::string inputs_json(const AppRun& run);  ///< text, overrides and order of passes: what it takes to run it again
std::string points_json(const AppRun& run);  ///< of a study, with the figures that they have

/// Page, JSON, CSV, SVG, figures or passes of a run. @param file its name without suffix, for what is saved
HttpAnswer result_of(const AppRun& run, const std::string& what, const std::string& file, bool save);

/// Figures that differ: before, now, and by which share.
std::string difference_json(std::span<const Metric> before, std::span<const Metric> now);

}  // namespace flopcast
