// A whole trace in memory.
#pragma once
#include <vector>

#include "workloads/serving/traffic/trace_reader.h"

namespace flopcast {

/// @throws InputError with all faults of the trace.
inline std::vector<TraceRecord> records_of(const TraceOptions& options) {
  TraceReader reader(options);
  TraceFaults faults(options.path);
  std::vector<TraceRecord> records;
  for (TraceRecord record; reader.next(record, faults);) records.push_back(record);
  faults.throw_if_any();
  return records;
}

}  // namespace flopcast
