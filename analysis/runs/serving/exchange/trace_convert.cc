#include "analysis/runs/serving/exchange/trace_convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "sim/base/diagnostic.h"
#include "workloads/serving/traffic/traces/byte_source.h"

namespace flopcast {
namespace {

constexpr std::size_t kBuffered = 1u << 20;
constexpr int kMooncakeBlock = 512;

class TraceWriter {
 public:
  TraceWriter(const TraceReader& reader, TraceForm form, const std::string& path)
      : file_(path),
        form_(form),
        timed_(reader.has_times()),
        sessions_(!reader.format().session.empty()),
        waits_(reader.format().waits()),
        block_tokens_(reader.format().block_tokens) {
    if (form != TraceForm::flopcast_csv) return;
    text_ = timed_ ? "arrival_s,input_tokens,output_tokens" : "num_prefill_tokens,num_decode_tokens";
    text_ += sessions_ ? ",session,delay_s\n" : "\n";
  }

  void write(const TraceRecord& record) {
    switch (form_) {
      case TraceForm::flopcast_csv:
        table_row(record);
        break;
      case TraceForm::flopcast_json:
        object(record);
        break;
      case TraceForm::mooncake:
        mooncake_object(record);
        break;
    }
    if (text_.size() >= kBuffered) flush();
  }
  void commit() {
    flush();
    file_.commit();
  }
  bool blocks_left_out() const { return blocks_left_out_; }

 private:
  template <class... Values>
  void add(fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Values>(values)...);
  }
  void flush() {
    file_.write(text_);
    text_.clear();
  }
  void table_row(const TraceRecord& record) {
    if (timed_) {
      if (!record.waits) add("{:.12g}", seconds_of(record));
      text_ += ',';
    }
    add("{},{}", record.input_tokens, record.output_tokens);
    if (sessions_) {
      text_ += ',';
      if (record.session != 0) add("{}", record.session);
      text_ += ',';
      if (record.waits) add("{:.9g}", record.delay.value());
    }
    text_ += '\n';
    blocks_left_out_ = blocks_left_out_ || !record.blocks.empty();
  }
  void object(const TraceRecord& record) {
    text_ += '{';
    if (!record.waits) add("\"arrival_s\": {:.12g}, ", seconds_of(record));
    add("\"input_tokens\": {}, \"output_tokens\": {}", record.input_tokens, record.output_tokens);
    if (record.session != 0) add(", \"session\": {}", record.session);
    if (record.waits) add(", \"delay_s\": {:.9g}", record.delay.value());
    if (block_tokens_ > 0) {
      add(", \"block_tokens\": {}", block_tokens_);
      ids("blocks", record, 0);
    }
    text_ += "}\n";
  }
  void mooncake_object(const TraceRecord& record) {
    constexpr double kMilli = 1e-3;
    text_ += '{';
    if (record.session != 0 && waits_) add("\"session_id\": \"{}\", ", record.session);
    if (record.waits)
      add("\"delay\": {:.9g}, ", record.delay.value() / kMilli);
    else
      add("\"timestamp\": {:.12g}, ", seconds_of(record) / kMilli);
    add("\"input_length\": {}, \"output_length\": {}", record.input_tokens, record.output_tokens);
    // The begun block at a prompt's end has an id that nothing else has, from the top of the numbers down.
    if (block_tokens_ > 0) ids("hash_ids", record, kLargestTraceBlock - begun_);
    text_ += "}\n";
  }
  /// @param begun the id of a block that is begun and not full; 0: it has none.
  void ids(const char* key, const TraceRecord& record, std::uint64_t begun) {
    add(", \"{}\": [", key);
    const char* between = "";
    const auto full = static_cast<std::uint64_t>(record.input_tokens / block_tokens_);
    std::uint64_t count = 0;
    record.blocks.visit_while([&](std::uint64_t id) {
      if (begun != 0 && count == full) return false;
      add("{}{}", between, id);
      between = ", ";
      ++count;
      return true;
    });
    if (begun != 0) {
      for (; count < full || (count == full && record.input_tokens % block_tokens_ != 0); ++count) {
        add("{}{}", between, kLargestTraceBlock - begun_++);
        between = ", ";
      }
    }
    text_ += ']';
  }
  static double seconds_of(const TraceRecord& record) { return record.at.value(); }

  PackedFile file_;
  TraceForm form_;
  bool timed_, sessions_, waits_;
  int block_tokens_;
  std::uint64_t begun_ = 0;
  std::string text_;
  bool blocks_left_out_ = false;
};

void check_form(const TraceReader& reader, TraceForm form, const std::string& file) {
  const bool own_table = form == TraceForm::flopcast_csv;
  if (!own_table && !reader.has_times())
    throw InputError(Diagnostic{.file = file,
                                .found = "a trace without times",
                                .expected = "times, for objects per request have them",
                                .remedy = "--to flopcast and a name that ends in .csv"});
  if (own_table && !reader.has_times() && !reader.format().session.empty())
    throw InputError(Diagnostic{.file = file,
                                .found = "sessions without times",
                                .expected = "times, for the table of sessions has them",
                                .remedy = "leaving the column of sessions out"});
  const int size = reader.format().block_tokens;
  if (form == TraceForm::mooncake && size != 0 && size != kMooncakeBlock)
    throw InputError(Diagnostic{.file = file,
                                .found = fmt::format("blocks of {} tokens", size),
                                .expected = "blocks of 512, as Mooncake's form has them",
                                .remedy = "--to flopcast and a name that ends in .jsonl"});
  if (form == TraceForm::mooncake && size == 0 && reader.format().waits())
    throw InputError(Diagnostic{.file = file,
                                .found = "turns that wait for answers, with whole prompts and without ids of blocks",
                                .expected = "ids of blocks, for without them a turn's input there is what it adds",
                                .remedy = "--to flopcast"});
}

}  // namespace

TraceConversion convert_trace(const TraceOptions& options, TraceForm form, const std::string& path) {
  TraceReader reader(options);
  check_form(reader, form, options.path);
  TraceFaults faults(options.path);
  TraceWriter writer(reader, form, path);
  TraceConversion conversion{.format = reader.format().name, .evidence = reader.evidence()};
  for (TraceRecord record; reader.next(record, faults);) {
    ++conversion.requests;
    if (form == TraceForm::mooncake && reader.format().waits() && record.turn > 0 && !record.waits)
      throw InputError(Diagnostic{.file = options.path,
                                  .line = reader.line(),
                                  .found = "a later turn at a time of its own",
                                  .expected = "turns that wait for the answer before them, as in Mooncake's form",
                                  .remedy = "--to flopcast"});
    writer.write(record);
  }
  faults.throw_if_any();
  if (conversion.requests == 0)
    throw InputError(Diagnostic{.file = options.path, .found = "no request", .expected = "at least one"});
  writer.commit();
  conversion.failed = reader.failed();
  conversion.sessions = reader.sessions();
  conversion.blocks_left_out = writer.blocks_left_out();
  conversion.sessions_left_out = form == TraceForm::mooncake && conversion.sessions > 0 && !reader.format().waits();
  return conversion;
}

}  // namespace flopcast
