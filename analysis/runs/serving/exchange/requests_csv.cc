#include "analysis/runs/serving/exchange/requests_csv.h"

#include <charconv>
#include <iterator>
#include <string_view>
#include <utility>

#include "analysis/render/text/csv.h"

namespace flopcast {
namespace {

constexpr std::size_t kCsvBuffer = 1u << 16;
constexpr std::string_view kHeader =
    "id,class,outcome,arrival_s,input_tokens,cached_tokens,output_tokens,scheduled_s,first_token_s,finish_s,"
    "queueing_s,ttft_s,"
    "tpot_s,end_to_end_s\n";

std::string_view name(RequestOutcome outcome) {
  switch (outcome) {
    case RequestOutcome::completed:
      return "completed";
    case RequestOutcome::rejected:
      return "rejected";
    case RequestOutcome::lost:
      return "lost";
    case RequestOutcome::expired:
      return "expired";
  }
  return "";
}

template <class Number>
void append(std::string& line, Number number) {
  char digits[32];
  line.append(digits, std::to_chars(std::begin(digits), std::end(digits), number).ptr);
}

/// The comma before it, and the value where there is one.
template <class Number>
void append_field(std::string& line, Number number, bool there = true) {
  line += ',';
  if (there) append(line, number);
}

}  // namespace

RequestsCsv::RequestsCsv(const std::filesystem::path& path, std::vector<std::string> class_names)
    : file_(path), class_names_(std::move(class_names)), buffer_(kHeader) {
  for (std::string& class_name : class_names_) class_name = csv_cell(class_name);
}

std::string RequestsCsv::line_of(const RequestResult& result) const {
  const bool completed = result.outcome == RequestOutcome::completed;
  std::string line;
  append(line, result.id);
  line += ',';
  line += class_names_.at(result.request_class);
  line += ',';
  line += name(result.outcome);
  append_field(line, result.arrival.value());
  append_field(line, result.input_tokens);
  append_field(line, result.cached_tokens);
  append_field(line, result.output_tokens);
  append_field(line, result.scheduled.value(), completed);
  append_field(line, result.first_token.value(), completed);
  append_field(line, result.finish.value());
  append_field(line, result.queueing().value(), completed);
  append_field(line, result.ttft().value(), completed);
  append_field(line, result.has_tpot() ? result.tpot().value() : 0.0, completed && result.has_tpot());
  append_field(line, result.end_to_end().value(), completed);
  return line + '\n';
}

void RequestsCsv::write(const std::string& line) {
  buffer_ += line;
  if (buffer_.size() < kCsvBuffer) return;
  file_.write(buffer_);
  buffer_.clear();
}

void RequestsCsv::add(const RequestResult& result) {
  if (result.id != next_) {
    early_.emplace(result.id, line_of(result));
    return;
  }
  write(line_of(result));
  ++next_;
  while (!early_.empty() && early_.begin()->first == next_) {
    write(early_.extract(early_.begin()).mapped());
    ++next_;
  }
}

void RequestsCsv::commit() {
  for (const auto& [id, line] : early_) write(line);
  early_.clear();
  file_.write(buffer_);
  buffer_.clear();
  file_.commit();
}

}  // namespace flopcast
