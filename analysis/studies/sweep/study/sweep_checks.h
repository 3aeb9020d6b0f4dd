// What of a sweep's study can be seen to be wrong before any candidate is looked at.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "analysis/runs/metrics.h"
#include "analysis/studies/sweep/study/sweep_axes.h"
#include "analysis/studies/sweep/study/sweep_study.h"

namespace flopcast {

/// A value that stands twice would be run twice.
void check_once(const SweepAxis& axis, const AxisPlace& at, const Places& places, Diagnostics& faults);

/// One of two statements on a field would have no effect: a setting of the study (the first `own` of its sets) or of
/// --set beside an axis over the same field, or two axes.
void check_settings(const SweepStudy& study, std::size_t own, const std::vector<std::string>& places_of_axes,
                    const Places& places, Diagnostics& faults);

/// Names of the columns of its axes.
std::vector<std::string> axis_columns(const SweepStudy& study);

/// Conditions and goals of a study that is faulty otherwise: their form, and the names in them as far as metrics are
/// known; none: they are not.
void check_conditions(const proto::Study& in, const SweepStudy& study, const std::vector<Metric>& metrics,
                      const Places& places, Diagnostics& faults);

}  // namespace flopcast
