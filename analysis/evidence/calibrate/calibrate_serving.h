// The engine constants, fitted on measured serving runs; and how well each run is met.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/kernels/calibration.h"
#include "scenarios/read/libraries/libraries.h"
#include "workloads/serving/pricing/engine_constants.h"

namespace flopcast {

/// A measured run of one replica: a constant number of users, each with one request under way.
struct ServingRow {
  std::string table;  ///< model, GPU, engine and its version
  std::string model, node, engine;
  std::string quantisation;  ///< "bf16", "fp8", "fp8_block"
  int tensor = 1, input = 0, output = 0, users = 0;
  double ttft_ms = 0, tpot_ms = 0;
  bool use_ttft = true;  ///< it waits for nothing but other prompts
  std::string left_out;  ///< why the row is not used at all; empty: it is
  double predicted_ttft_ms = 0, predicted_tpot_ms = 0;
};

/// Rows of e2e-measured/serving_calibration_h100_h200.csv, filtered:
///  - rows that do not state their concurrency are left out;
///  - tables are left out that hold a row whose tokens per second would need over 60 % of the GPUs' peak: not so many
///    requests can have been under way;
///  - TTFT is not used where it differs by more than 30 % between output lengths, all else alike: such requests
///    have waited for a place in the batch, whose size the table does not state.
std::vector<ServingRow> read_serving_rows(const std::string& text, const std::string& file, const Libraries& libraries);

struct ServingFit {
  EngineConstants constants;
  std::vector<ServingRow> rows;
  std::string summary;
};

/// Fits the six engine constants on serving runs and the four of low-latency exchange on DeepEP's tables below
/// `measurements` (reference/ and data/kernels/). @throws InputError naming missing files.
ServingFit fit_serving(const std::filesystem::path& measurements, std::shared_ptr<const KernelCalibration> kernels,
                       std::shared_ptr<const LinkCalibration> links, const Libraries& libraries);

/// Errors of every row, as they are kept beside the constants (no measured values).
std::string errors_csv(const std::vector<ServingRow>& rows);

}  // namespace flopcast
