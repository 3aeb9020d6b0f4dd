// Requests from a file, streamed: public trace formats, recognised by content (traces/formats.cc), or columns as a user
// names them.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/random.h"
#include "workloads/serving/cache/prefix_blocks.h"
#include "workloads/serving/traffic/traces/column_lists.h"
#include "workloads/serving/traffic/traces/fields.h"
#include "workloads/serving/traffic/traces/formats.h"
#include "workloads/serving/traffic/traces/line_parsers.h"
#include "workloads/serving/traffic/traces/line_reader.h"
#include "workloads/serving/traffic/traces/recognise.h"
#include "workloads/serving/traffic/traces/session_book.h"

namespace flopcast {

/// Which requests of a trace are taken, and how they are changed.
struct TraceOptions {
  std::string path;
  std::string format = {};    ///< a name of trace_formats(), where content does not say it; empty: found out
  TraceColumns columns = {};  ///< what the user states of columns and units
  double rate_scale = 1.0;    ///< 2: twice the rate, times are halved
  double input_scale = 1.0;   ///< lengths are multiplied, rounded and at least 1
  double output_scale = 1.0;
  std::int32_t keep_one_in = 1;  ///< 10: each request with a probability of 1/10; a tenth of the rate and as bursty
  std::uint64_t seed = 1;        ///< of that choice
  Seconds from;                  ///< window, in the trace's own time since its first request
  Seconds until{std::numeric_limits<double>::infinity()};
  std::int64_t context = 0;          ///< most tokens of prompt and answer together; 0: any
  bool drop_beyond_context = false;  ///< leave them out and count them; else they are faults
  bool any_order = false;            ///< times may go back: records are sorted by them, in memory
};

struct TraceRecord {
  Seconds at;  ///< since the window's beginning, rate_scale applied; 0 where the format has no times
  std::int32_t input_tokens = 0, output_tokens = 0;
  PrefixBlocks blocks;
  std::uint32_t session = 0;  ///< 0: none
  std::uint16_t turn = 0;     ///< of its session, from 0
  bool waits = false;         ///< `delay` after the session's turn before is done; `at` says nothing
  Seconds delay;              ///< not scaled: a user reads and a tool works as long as before
  void archive(StateArchive& state) { state(at, input_tokens, output_tokens, blocks, session, turn, waits, delay); }
};

class TraceReader {
 public:
  /// @throws InputError when the file cannot be read, its format is none that is known, or could be two.
  explicit TraceReader(TraceOptions options);
  /// The next request that is taken; false at the end. Faulty lines are passed over and reported to `faults`.
  bool next(TraceRecord& record, TraceFaults& faults);
  const TraceFormat& format() const { return *recognised_.format; }
  std::shared_ptr<const TraceFormat> shared_format() const { return recognised_.format; }
  const std::string& evidence() const { return recognised_.evidence; }
  bool has_times() const { return format().time_notation != TimeNotation::none; }
  int line() const { return place_.line; }  ///< of the last request
  std::uint64_t dropped_beyond_context() const { return dropped_; }
  std::uint64_t failed() const { return failed_; }         ///< requests without an answer, left out
  std::uint32_t sessions() const { return book_.size(); }  ///< seen so far

 private:
  enum class Verdict : std::uint8_t { take, leave, end };
  /// Where a record begins in its file.
  struct Place {
    int line = 0, column = 1;
  };
  /// One of records that are sorted: its text lies in all_text_.
  struct SortedRecord {
    TraceTime key;
    std::size_t begin = 0, length = 0;
    Place place;
  };
  bool next_parsed(TraceFaults& faults);
  bool next_line(std::string_view& line, TraceFaults& faults);
  bool read_line(std::string_view& line, TraceFaults& faults);
  void sort_records(TraceFaults& faults);
  LineFault placed(LineFault fault, std::string_view text, int& line) const;
  void find_session(TraceRecord& record);
  Verdict judge(TraceRecord& record);
  Verdict check_time(TraceRecord& record);
  void check_order(const TraceTime& before) const;
  bool waits_for_turn(TraceRecord& record);
  void set_lengths(TraceRecord& record);
  bool fits_context(const TraceRecord& record);

  TraceOptions options_;
  LineReader lines_;
  Place place_;  // of the record at hand
  RecognisedTrace recognised_;
  std::unique_ptr<LineParser> parser_;
  RandomStream keep_;
  std::vector<ParsedLine> parsed_;
  std::size_t at_ = 0, count_ = 0;  // of what a record held
  std::string_view text_;           // of that record
  std::vector<ListedRequest> listed_;
  std::size_t next_listed_ = 0;
  std::optional<std::vector<SortedRecord>> sorted_;  // with options_.any_order, once they are read
  std::string all_text_;
  std::size_t next_sorted_ = 0;
  SessionBook book_;
  BlockNames names_;
  std::optional<TraceTime> first_, last_;
  std::uint32_t record_session_ = 0;  // of a record that is a session
  bool first_line_ = true;
  int blank_line_ = 0;
  std::uint64_t dropped_ = 0, failed_ = 0;
};

/// A whole trace at a glance; every line was looked at.
struct TraceSummary {
  std::shared_ptr<const TraceFormat> format;
  std::string evidence;
  std::uint64_t requests = 0;
  std::uint64_t dropped_beyond_context = 0, failed = 0;
  std::uint32_t sessions = 0;
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
