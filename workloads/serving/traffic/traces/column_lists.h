// One JSON object with a list for each column, as benchmarks write their results.
#pragma once
#include <cstdint>
#include <vector>

#include "workloads/serving/traffic/traces/fields.h"
#include "workloads/serving/traffic/traces/formats.h"
#include "workloads/serving/traffic/traces/line_reader.h"

namespace flopcast {

struct ListedRequest {
  TraceTime time;
  std::int32_t input_tokens = 0, output_tokens = 0;  ///< no output: it failed
};

/// Reads the three lists that the format names and passes over everything else, whatever its size; the requests in the
/// order of their times, for clients that send at the same moment note them in any order.
/// @throws InputError with the place of what is wrong.
std::vector<ListedRequest> read_column_lists(LineReader& file, const TraceFormat& format);

}  // namespace flopcast
