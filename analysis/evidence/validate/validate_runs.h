// Whole training runs beside what is predicted for them: those that the overheads were fitted on, the same predicted by
// a fit that has not seen their model, and published runs that nothing was fitted on.
#pragma once
#include <string>
#include <vector>

#include <string_view>
#include "analysis/evidence/calibrate/fit_overheads.h"

#include "analysis/evidence/validate/validate.h"
#include "analysis/render/text/text_table.h"

namespace flopcast {

/// The scenarios `h100_*` of the library, each with its published step, then medians.
/// @throws InputError when one of them is broken.
std::vector<Check> check_calibration_runs(const Libraries& libraries);

/// analysis/data/published_training_runs.csv, as far as the library has the GPU. Where a source does not say whether
/// layers were computed again, they are when the step would not fit otherwise.
std::vector<RunError> predict_published_runs(const Libraries& libraries, const RunOptions& options);

/// Root mean square of the logarithm of what steps are off, each profile of software counting alike: how far steps of
/// software may lie of which none is known. @param without a profile that is left out; empty: none
double error_between_profiles(const std::vector<RunError>& errors, std::string_view without = {});

/// What a profile of software adds to the range of a step (SoftwareProfile::error) so that nine of ten of its published
/// steps lie within their 90 % range, beside the errors of what each is made of.
double error_of_profile(const std::vector<RunError>& errors, std::string_view profile);
/// Of every profile: its runs, what it states, what they say.
std::string profiles_to_text(const std::vector<RunError>& errors, const TextStyle& style);

/// Their errors by kind of model and by framework. Bars are those of dense and of mixture-of-experts models on H100.
std::vector<Check> summarise_published_runs(const std::vector<RunError>& errors, const Libraries& libraries);

/// Every run on a line.
std::string to_text(const std::vector<RunError>& errors, const TextStyle& style);
/// The runs of the table that are not predicted, each with the reason.
std::string left_out_to_text(const Libraries& libraries, const TextStyle& style);

}  // namespace flopcast
