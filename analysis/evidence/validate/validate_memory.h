// Published peaks of training memory beside predictions.
#pragma once
#include <string>
#include <vector>

#include "analysis/evidence/published/training_runs.h"
#include "analysis/evidence/validate/validate.h"

namespace flopcast {

struct PeakError {
  PublishedPeak of;
  double predicted_gib = 0;
  double low_gib = 0, high_gib = 0;  ///< of the 90 % range; 0: none
  double error() const { return predicted_gib / of.gib - 1; }
};

/// analysis/data/published_memory.csv.
std::vector<PeakError> predict_published_peaks(const Libraries& libraries, const RunOptions& options);

/// Of what tensors held, with bars; of what PyTorch's allocator held for them, without.
std::vector<Check> summarise_published_peaks(const std::vector<PeakError>& errors);
/// Every peak on a line.
std::string to_text(const std::vector<PeakError>& errors, const TextStyle& style);

}  // namespace flopcast
