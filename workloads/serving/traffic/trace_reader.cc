#include "workloads/serving/traffic/trace_reader.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string_view>
#include <utility>

namespace flopcast {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

bool has_key(std::string_view line, std::string_view key) {
  return line.find('"' + std::string(key) + '"') != std::string_view::npos;
}

/// By the key that marks a format, else the one without a mark.
const TraceFormat* json_format(std::string_view line) {
  const TraceFormat* unmarked = nullptr;
  for (const TraceFormat& format : trace_formats()) {
    if (!format.json_lines) continue;
    if (format.marker.empty())
      unmarked = &format;
    else if (has_key(line, format.marker))
      return &format;
  }
  return unmarked;
}

/// Two formats have the same keys and other units of time: without ids of blocks and a mark, a fraction of a
/// millisecond is more likely a second.
bool unclear_unit(const TraceFormat& format, std::string_view line) {
  if (!format.marker.empty() || has_key(line, format.blocks)) return false;
  const std::size_t key = line.find('"' + std::string(format.time) + '"');
  if (key == std::string_view::npos) return false;
  const std::string_view value = line.substr(key, line.find_first_of(",}", key) - key);
  return value.find('.') != std::string_view::npos;
}

/// "a header with arrived_at, num_prefill_tokens, num_decode_tokens, or ..."
std::string known_formats() {
  std::string text = "an object per line with timestamp, input_length, output_length, or a header with";
  for (const TraceFormat& format : trace_formats()) {
    if (format.json_lines) continue;
    text += format.time.empty() ? " " : " " + std::string(format.time) + ", ";
    text += std::string(format.input) + ", " + std::string(format.output) + " (" + std::string(format.name) + ");";
  }
  text.pop_back();
  return text;
}

std::int32_t scaled(std::int32_t tokens, double scale) {
  if (scale == 1.0) return tokens;
  const double length = std::round(tokens * scale);
  return static_cast<std::int32_t>(std::clamp(length, 1.0, static_cast<double>(kMostTokens)));
}

}  // namespace

TraceReader::TraceReader(TraceOptions options)
    : options_(std::move(options)), lines_(options_.path), keep_(options_.seed, 0x7472616365) {
  assert(options_.rate_scale > 0 && options_.input_scale > 0 && options_.output_scale > 0);
  assert(options_.keep_one_in >= 1);
  recognise();
}

void TraceReader::recognise() {
  std::string_view line;
  while (lines_.next(line) && is_blank(line)) {
  }
  if (line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  if (is_blank(line)) {
    throw InputError(Diagnostic{.file = options_.path, .found = "an empty file", .expected = "a request trace"});
  }
  first_line_ = line;
  const std::string_view text = std::string_view(first_line_).substr(first_line_.find_first_not_of(" \t"));
  if (text.starts_with('{')) {
    format_ = json_format(text);
    if (unclear_unit(*format_, text)) {
      Diagnostic fault{.file = options_.path, .line = lines_.number(), .column = 1};
      fault.field = std::string(format_->time);
      fault.found = "a time with a fraction in a line without " + std::string(format_->blocks) +
                    ": milliseconds (mooncake) or seconds (bailian)";
      fault.expected = "a file that says which";
      fault.remedy =
          "a key \"chat_id\" in every line for seconds, whole milliseconds, or a CSV with arrival_s, input_tokens, "
          "output_tokens";
      throw InputError(fault);
    }
    parser_ = json_line_parser(*format_);
    first_line_pending_ = true;
    return;
  }
  format_ = csv_format_of(first_line_);
  if (!format_) {
    throw InputError(Diagnostic{.file = options_.path,
                                .line = lines_.number(),
                                .column = 1,
                                .found = shown(first_line_),
                                .expected = known_formats()});
  }
  parser_ = csv_line_parser(*format_, first_line_);
}

/// Empty lines are faults unless nothing follows them.
bool TraceReader::next_line(std::string_view& line, TraceFaults& faults) {
  if (std::exchange(first_line_pending_, false)) {
    line = first_line_;
    return true;
  }
  while (lines_.next(line)) {
    if (lines_.too_long()) {
      faults.add(
          lines_.number(),
          {1, "", "a line of more than " + std::to_string(LineReader::kLongestLine >> 20) + " MiB", "a request"});
      continue;
    }
    if (!is_blank(line)) {
      if (const int blank = std::exchange(blank_line_, 0)) faults.add(blank, {1, "", "an empty line", "a request"});
      return true;
    }
    if (blank_line_ == 0) blank_line_ = lines_.number();
  }
  return false;
}

bool TraceReader::next(TraceRecord& record, TraceFaults& faults) {
  std::string_view line;
  while (next_line(line, faults)) {
    try {
      parser_->parse(line, parsed_);
      const Verdict verdict = judge(record);
      if (verdict == Verdict::end) return false;
      if (verdict == Verdict::take) return true;
    } catch (LineFault& fault) {
      faults.add(lines_.number(), std::move(fault));
    }
  }
  return false;
}

TraceReader::Verdict TraceReader::check_time(TraceRecord& record) {
  if (!has_times()) return Verdict::take;
  if (!first_) first_ = parsed_.time;
  const std::optional<TraceTime> before = std::exchange(last_, parsed_.time);
  if (before && parsed_.time < *before) {
    parsed_.time_field.refuse("a time not before that of the line above", "sorting the trace by time");
  }
  const Seconds since_first = parsed_.time.since(*first_);
  if (since_first >= options_.until) return Verdict::end;
  record.at = (since_first - options_.from) / options_.rate_scale;
  return since_first < options_.from ? Verdict::leave : Verdict::take;
}

bool TraceReader::fits_context(const TraceRecord& record) {
  const std::int64_t tokens = std::int64_t{record.input_tokens} + record.output_tokens;
  if (options_.context == 0 || tokens <= options_.context) return true;
  if (!options_.drop_beyond_context) {
    throw LineFault{parsed_.input_field.column, std::string(parsed_.input_field.name),
                    std::to_string(tokens) + " tokens of prompt and answer",
                    "at most " + std::to_string(options_.context) + ", the context"};
  }
  ++dropped_;
  return false;
}

TraceReader::Verdict TraceReader::judge(TraceRecord& record) {
  if (const Verdict verdict = check_time(record); verdict != Verdict::take) return verdict;
  if (options_.keep_one_in > 1 && keep_.next() % static_cast<std::uint64_t>(options_.keep_one_in) != 0) {
    return Verdict::leave;
  }
  record.input_tokens = scaled(parsed_.input_tokens, options_.input_scale);
  record.output_tokens = scaled(parsed_.output_tokens, options_.output_scale);
  if (!fits_context(record)) return Verdict::leave;
  record.blocks = std::move(parsed_.blocks);
  if (format_->block_tokens > 0 && record.input_tokens < parsed_.input_tokens) {
    record.blocks.truncate(static_cast<std::size_t>(record.input_tokens / format_->block_tokens));
  }
  return Verdict::take;
}

TraceSummary scan_trace(const TraceOptions& options) {
  TraceReader reader(options);
  TraceFaults faults(options.path);
  TraceSummary summary{.format = &reader.format()};
  TraceRecord record;
  Seconds first;
  while (reader.next(record, faults)) {
    if (summary.requests++ == 0) first = record.at;
    summary.duration = record.at - first;
    summary.input_tokens += record.input_tokens;
    summary.output_tokens += record.output_tokens;
    summary.longest = std::max(summary.longest, std::int64_t{record.input_tokens} + record.output_tokens);
    for (const PrefixBlocks::Run& run : record.blocks.runs()) {
      summary.largest_block = std::max<std::uint64_t>(summary.largest_block, run.first + run.count - 1);
    }
  }
  summary.dropped_beyond_context = reader.dropped_beyond_context();
  faults.throw_if_any();
  if (summary.requests == 0) {
    throw InputError(
        Diagnostic{.file = options.path,
                   .found = summary.dropped_beyond_context > 0 ? "only requests beyond the context" : "no request",
                   .expected = "at least one request"});
  }
  return summary;
}

}  // namespace flopcast
