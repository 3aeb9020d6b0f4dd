// Which tables of measured kernels there are, and how the columns of each become shapes and times.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "analysis/render/text/csv.h"
#include "hwmodels/calibration/fit_kernels.h"

namespace flopcast {

/// Rows of one file as they arrive, numbered.
class Collector {
 public:
  Collector(std::vector<Measurement>& out, std::string table, std::string gpu)
      : out_(out), table_(std::move(table)), gpu_(std::move(gpu)) {}

  /// Adds a row and returns it for further marks. Rows with no usable time are counted and left out.
  Measurement& add(KernelShape shape, double microseconds) {
    Measurement m;
    m.table = table_;
    m.gpu = gpu_;
    m.shape = shape;
    m.microseconds = microseconds;
    m.row = next_row_++;
    out_.push_back(std::move(m));
    return out_.back();
  }

 private:
  std::vector<Measurement>& out_;
  std::string table_, gpu_;
  std::uint64_t next_row_ = 0;
};

struct TableFile {
  std::string path;
  std::vector<std::string> gpu;  ///< library names it may go by, the first known one is taken
  std::string table;             ///< for summaries
  std::function<void(const CsvTable&, Collector&)> read;
};
std::vector<TableFile> table_files();

}  // namespace flopcast
