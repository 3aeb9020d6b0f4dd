#include "workloads/serving/traffic/trace_reader.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

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
  recognised_ = recognise_trace(lines_, options_.format, options_.columns);
  switch (format().shape) {
    case TraceShape::table:
      parser_ = table_parser(format(), recognised_.header);
      first_line_ = false;
      break;
    case TraceShape::records:
      parser_ = json_record_parser(format());
      break;
    case TraceShape::pairs:
      parser_ = json_pair_parser(format());
      break;
    case TraceShape::columns:
      listed_ = read_column_lists(lines_, format());
      break;
  }
}

/// Empty lines are faults unless nothing follows them; lines that begin with # are remarks of a table.
bool TraceReader::read_line(std::string_view& line, TraceFaults& faults) {
  if (recognised_.list) {
    if (!lines_.next_element(line)) return false;
    place_ = {lines_.number(), lines_.column()};
    return true;
  }
  while (lines_.next(line)) {
    place_ = {lines_.number(), 1};
    if (lines_.too_long()) {
      faults.add(
          lines_.number(),
          {1, "", "a line of more than " + std::to_string(LineReader::kLongestLine >> 20) + " MiB", "a request"});
      continue;
    }
    if (std::exchange(first_line_, false) && line.starts_with(kByteOrderMark))
      line.remove_prefix(kByteOrderMark.size());
    if (!is_blank(line)) {
      if (const int blank = std::exchange(blank_line_, 0)) faults.add(blank, {1, "", "an empty line", "a request"});
      if (format().shape == TraceShape::table && line.front() == '#') continue;
      return true;
    }
    if (blank_line_ == 0) blank_line_ = lines_.number();
  }
  return false;
}

bool TraceReader::next_line(std::string_view& line, TraceFaults& faults) {
  if (!options_.any_order) return read_line(line, faults);
  if (!sorted_) sort_records(faults);
  if (next_sorted_ == sorted_->size()) return false;
  const SortedRecord& record = (*sorted_)[next_sorted_++];
  line = std::string_view(all_text_).substr(record.begin, record.length);
  place_ = record.place;
  return true;
}

/// A record without a time of its own stays behind its session's turn before it in the file, or behind the record
/// above.
void TraceReader::sort_records(TraceFaults& faults) {
  sorted_.emplace();
  std::unordered_map<std::string, TraceTime> of_session;
  TraceTime key;
  for (std::string_view line; read_line(line, faults);) {
    try {
      parser_->parse(line, parsed_);
    } catch (LineFault& fault) {
      int number = 0;
      LineFault here = placed(std::move(fault), line, number);
      faults.add(number, std::move(here));
      continue;
    }
    if (parsed_.empty()) continue;
    const ParsedLine& first = parsed_.front();
    const auto session = of_session.find(std::string(first.session));
    if (first.time)
      key = *first.time;
    else if (session != of_session.end())
      key = session->second;
    if (!first.session.empty()) of_session[std::string(first.session)] = key;
    sorted_->push_back({key, all_text_.size(), line.size(), place_});
    all_text_ += line;
  }
  std::ranges::stable_sort(*sorted_, {}, &SortedRecord::key);
}

/// A record may go over several lines: where in the file a fault stands.
LineFault TraceReader::placed(LineFault fault, std::string_view text, int& line) const {
  line = place_.line;
  const std::string_view before = text.substr(0, static_cast<std::size_t>(std::max(fault.column - 1, 0)));
  const auto ends = static_cast<int>(std::ranges::count(before, '\n'));
  if (ends > 0)
    fault.column = static_cast<int>(before.size() - before.rfind('\n'));
  else
    fault.column += place_.column - 1;
  line += ends;
  return fault;
}

/// The next request into parsed_[at_]; false at the end of the file.
bool TraceReader::next_parsed(TraceFaults& faults) {
  if (format().shape == TraceShape::columns) {
    if (next_listed_ == listed_.size()) return false;
    const ListedRequest& request = listed_[next_listed_++];
    parsed_.resize(1);
    parsed_[0].time = request.time;
    parsed_[0].input_tokens = request.input_tokens;
    parsed_[0].output_tokens = request.output_tokens;
    at_ = 0;
    return true;
  }
  if (++at_ < count_) return true;
  while (next_line(text_, faults)) {
    try {
      parser_->parse(text_, parsed_);
      at_ = 0;
      count_ = parsed_.size();
      if (count_ > 0) return true;
    } catch (LineFault& fault) {
      count_ = 0;
      int line = 0;
      LineFault here = placed(std::move(fault), text_, line);
      faults.add(line, std::move(here));
    }
  }
  count_ = 0;
  return false;
}

bool TraceReader::next(TraceRecord& record, TraceFaults& faults) {
  while (next_parsed(faults)) {
    try {
      const Verdict verdict = judge(record);
      if (verdict == Verdict::end) return false;
      if (verdict == Verdict::take) return true;
    } catch (LineFault& fault) {
      int line = 0;
      LineFault here = placed(std::move(fault), text_, line);
      faults.add(line, std::move(here));
    }
  }
  return false;
}

void TraceReader::find_session(TraceRecord& record) {
  const ParsedLine& parsed = parsed_[at_];
  record.session = 0;
  record.turn = 0;
  if (format().session.empty()) return;
  if (parsed.session.empty() || parsed.session == "null") {
    if (format().turn_list.empty() || (!parsed.same_session && count_ < 2)) {
      if (parsed.delay) {
        throw LineFault{parsed.input_field.column, format().delay, "a delay without a session",
                        "a session whose turn before it follows"};
      }
      return;
    }
    if (!parsed.same_session) record_session_ = book_.unnamed();
    record.session = record_session_;
  } else {
    record.session = format().parent.empty() ? book_.of(parsed.session) : book_.of_turn(parsed.session, parsed.parent);
  }
  record.turn = static_cast<std::uint16_t>(std::min<std::uint32_t>(book_[record.session].turns, 0xffff));
}

void TraceReader::check_order(const TraceTime& before) const {
  if (*parsed_[at_].time >= before) return;
  parsed_[at_].time_field.refuse("a time not before that of the line above", "sorting the trace by time");
}

/// A later turn of a session comes after the one before, at a delay that is stated or shows in the times.
bool TraceReader::waits_for_turn(TraceRecord& record) {
  record.waits = false;
  record.delay = Seconds(0);
  if (record.session == 0 || !format().waits()) return false;
  ParsedLine& parsed = parsed_[at_];
  SessionBook::Session& session = book_[record.session];
  if (session.turns == 0) {
    if (has_times() && !parsed.time) {
      throw LineFault{parsed.input_field.column, format().time, "a session's first turn without a time",
                      "one, in " + format().time};
    }
    return false;
  }
  if (parsed.time && !parsed.delay && format().times_are_arrivals) return false;
  record.waits = true;
  if (parsed.delay) {
    record.delay = *parsed.delay;
  } else if (parsed.time && has_times()) {
    if (*parsed.time < session.last)
      parsed.time_field.refuse("a time not before that of the session's turn before", "sorting the trace by time");
    record.delay = parsed.time->since(session.last);
  }
  return true;
}

TraceReader::Verdict TraceReader::check_time(TraceRecord& record) {
  ParsedLine& parsed = parsed_[at_];
  if (waits_for_turn(record)) return book_[record.session].left_out ? Verdict::leave : Verdict::take;
  if (!has_times()) return Verdict::take;
  if (!parsed.time) throw LineFault{parsed.input_field.column, format().time, "no time", "one in every line"};
  if (!first_) first_ = parsed.time;
  const std::optional<TraceTime> before = std::exchange(last_, parsed.time);
  if (before) check_order(*before);
  constexpr Seconds kLongestTrace = hours(24.0 * 365.25 * 30);
  const Seconds since_first = parsed.time->since(*first_);
  if (since_first > kLongestTrace) {
    parsed.time_field.refuse("a time within 30 years of the first, " + std::to_string(first_->seconds) + " s",
                             "another unit: columns { unit: \"ms\" }");
  }
  if (since_first >= options_.until) return Verdict::end;
  record.at = (since_first - options_.from) / options_.rate_scale;
  return since_first < options_.from ? Verdict::leave : Verdict::take;
}

bool TraceReader::fits_context(const TraceRecord& record) {
  const std::int64_t tokens = std::int64_t{record.input_tokens} + record.output_tokens;
  if (options_.context == 0 || tokens <= options_.context) return true;
  if (!options_.drop_beyond_context) {
    const Field& place = parsed_[at_].input_field;
    throw LineFault{place.column, std::string(place.name), std::to_string(tokens) + " tokens of prompt and answer",
                    "at most " + std::to_string(options_.context) + ", the context"};
  }
  ++dropped_;
  return false;
}

void TraceReader::set_lengths(TraceRecord& record) {
  ParsedLine& parsed = parsed_[at_];
  record.input_tokens = scaled(parsed.input_tokens, options_.input_scale);
  record.output_tokens = scaled(parsed.output_tokens, options_.output_scale);
  const int size = format().block_tokens;
  if (format().turns == TurnLength::added && record.session != 0) {
    SessionBook::Session& session = book_[record.session];
    const std::int64_t prompt = std::int64_t{session.said} + record.input_tokens;
    const std::int64_t all = prompt + record.output_tokens;
    if (all > kMostTokens) {
      throw LineFault{parsed.input_field.column, std::string(parsed.input_field.name),
                      std::to_string(all) + " tokens in one session", "at most " + std::to_string(kMostTokens)};
    }
    record.input_tokens = static_cast<std::int32_t>(prompt);
    session.said = static_cast<std::int32_t>(all);
    record.blocks = book_.blocks(record.session, static_cast<std::size_t>(all / size));
    return;
  }
  if (!parsed.chain.empty() && !format().token_ids.empty()) {
    record.blocks = {};
    const auto most = static_cast<std::size_t>(record.input_tokens / size);
    for (std::size_t i = 0; i < std::min(most, parsed.chain.size()); ++i)
      record.blocks.append(names_.number(parsed.chain[i]));
    return;
  }
  record.blocks = std::move(parsed.blocks);
  if (size > 0 && record.input_tokens < parsed.input_tokens)
    record.blocks.truncate(static_cast<std::size_t>(record.input_tokens / size));
}

TraceReader::Verdict TraceReader::judge(TraceRecord& record) {
  find_session(record);
  Verdict verdict = check_time(record);
  if (verdict == Verdict::end) return verdict;
  if (verdict == Verdict::take && !record.waits && options_.keep_one_in > 1 &&
      keep_.next() % static_cast<std::uint64_t>(options_.keep_one_in) != 0) {
    verdict = Verdict::leave;
  }
  if (record.session != 0) {
    SessionBook::Session& session = book_[record.session];
    if (session.turns++ == 0) session.left_out = verdict == Verdict::leave;
    if (parsed_[at_].time) session.last = *parsed_[at_].time;
  }
  if (verdict == Verdict::leave) return verdict;
  if (parsed_[at_].output_tokens == 0) {
    ++failed_;
    return Verdict::leave;
  }
  set_lengths(record);
  if (fits_context(record)) return Verdict::take;
  if (record.session != 0 && record.turn == 0) book_[record.session].left_out = true;
  return Verdict::leave;
}

namespace {

/// No service answers more per second: somebody's seconds were read as smaller units.
void check_rate(const TraceOptions& options, const TraceSummary& summary) {
  constexpr double kMostPerSecond = 1e5;
  constexpr std::uint64_t kEnough = 1000;
  const double seconds = summary.duration.value() * options.rate_scale;
  if (!summary.has_times() || summary.requests < kEnough || seconds <= 0) return;
  const double rate = static_cast<double>(summary.requests) / seconds;
  if (rate <= kMostPerSecond) return;
  throw InputError(Diagnostic{.file = options.path,
                              .field = summary.format->time,
                              .found = std::to_string(static_cast<std::uint64_t>(rate)) + " requests per second",
                              .expected = "at most 100,000, as any service has",
                              .remedy = "the unit that the times have: columns { unit: \"s\" }"});
}

}  // namespace

TraceSummary scan_trace(const TraceOptions& options) {
  TraceReader reader(options);
  TraceFaults faults(options.path);
  TraceSummary summary{.format = reader.shared_format(), .evidence = reader.evidence()};
  TraceRecord record;
  Seconds first;
  while (reader.next(record, faults)) {
    if (summary.requests++ == 0) first = record.at;
    if (!record.waits) summary.duration = record.at - first;
    summary.input_tokens += record.input_tokens;
    summary.output_tokens += record.output_tokens;
    summary.longest = std::max(summary.longest, std::int64_t{record.input_tokens} + record.output_tokens);
    for (const PrefixBlocks::Run& run : record.blocks.runs()) {
      summary.largest_block = std::max<std::uint64_t>(summary.largest_block, run.first + run.count - 1);
    }
  }
  summary.dropped_beyond_context = reader.dropped_beyond_context();
  summary.failed = reader.failed();
  summary.sessions = reader.sessions();
  faults.throw_if_any();
  if (summary.requests == 0) {
    throw InputError(
        Diagnostic{.file = options.path,
                   .found = summary.dropped_beyond_context > 0 ? "only requests beyond the context" : "no request",
                   .expected = "at least one request"});
  }
  check_rate(options, summary);
  return summary;
}

}  // namespace flopcast
