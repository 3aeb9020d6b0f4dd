// Requests from a file, streamed: public trace formats, recognised by content (traces/formats.cc).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "sim/base/random.h"
#include "workloads/serving/cache/prefix_blocks.h"
#include "workloads/serving/traffic/traces/fields.h"
#include "workloads/serving/traffic/traces/formats.h"
#include "workloads/serving/traffic/traces/line_parsers.h"
#include "workloads/serving/traffic/traces/line_reader.h"

namespace flopcast {

/// Which requests of a trace are taken, and how they are changed.
struct TraceOptions {
  std::string path;
  double rate_scale = 1.0;   ///< 2: twice the rate, times are halved
  double input_scale = 1.0;  ///< lengths are multiplied, rounded and at least 1
  double output_scale = 1.0;
  std::int32_t keep_one_in = 1;  ///< 10: each request with a probability of 1/10; a tenth of the rate and as bursty
  std::uint64_t seed = 1;        ///< of that choice
  Seconds from;                  ///< window, in the trace's own time since its first request
  Seconds until{std::numeric_limits<double>::infinity()};
  std::int64_t context = 0;          ///< most tokens of prompt and answer together; 0: any
  bool drop_beyond_context = false;  ///< leave them out and count them; else they are faults
};

struct TraceRecord {
  Seconds at;  ///< since the window's beginning, rate_scale applied; 0 where the format has no times
  std::int32_t input_tokens = 0, output_tokens = 0;
  PrefixBlocks blocks;
};

class TraceReader {
 public:
  /// @throws InputError when the file cannot be read or its format is none that is known.
  explicit TraceReader(TraceOptions options);
  /// The next request that is taken; false at the end. Faulty lines are passed over and told to `faults`.
  bool next(TraceRecord& record, TraceFaults& faults);
  const TraceFormat& format() const { return *format_; }
  bool has_times() const { return format_->time_notation != TimeNotation::none; }
  std::uint64_t dropped_beyond_context() const { return dropped_; }

 private:
  enum class Verdict : std::uint8_t { take, leave, end };
  bool next_line(std::string_view& line, TraceFaults& faults);
  void recognise();
  Verdict judge(TraceRecord& record);
  Verdict check_time(TraceRecord& record);
  bool fits_context(const TraceRecord& record);

  TraceOptions options_;
  LineReader lines_;
  const TraceFormat* format_ = nullptr;
  std::unique_ptr<LineParser> parser_;
  RandomStream keep_;
  ParsedLine parsed_;
  std::optional<TraceTime> first_, last_;
  bool first_line_pending_ = false;  // a JSON file's first line is a request, read when the format was found out
  std::string first_line_;
  int blank_line_ = 0;
  std::uint64_t dropped_ = 0;
};

/// A whole trace at a glance; every line was looked at.
struct TraceSummary {
  const TraceFormat* format = nullptr;
  std::uint64_t requests = 0;
  std::uint64_t dropped_beyond_context = 0;
  Seconds duration;                            ///< from the window's first to its last arrival
  double input_tokens = 0, output_tokens = 0;  ///< in all
  std::int64_t longest = 0;                    ///< prompt and answer together
  std::uint64_t largest_block = 0;
  bool has_times() const { return format->time_notation != TimeNotation::none; }
};

/// Reads all of it. @throws InputError with every fault of the file (the first 20 in full), or when nothing
/// is left to replay.
TraceSummary scan_trace(const TraceOptions& options);

}  // namespace flopcast
