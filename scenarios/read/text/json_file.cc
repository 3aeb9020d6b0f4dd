#include "scenarios/read/text/json_file.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

namespace flopcast {
namespace {

constexpr const char* kBlanks = " \t\r\n";

/// Lines and columns of a text's characters.
class LineIndex {
 public:
  LineIndex(const std::string& text, std::string file) : file_(std::move(file)) {
    for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1))
      starts_.push_back(at + 1);
  }
  Place place(std::size_t offset) const {
    const auto line = std::upper_bound(starts_.begin(), starts_.end(), offset) - 1;
    return {file_, static_cast<int>(line - starts_.begin()) + 1, static_cast<int>(offset - *line) + 1};
  }

 private:
  std::string file_;
  std::vector<std::size_t> starts_{0};
};

/// The quote that closes the string beginning at `open`.
std::size_t end_of_string(const std::string& text, std::size_t open) {
  std::size_t at = open + 1;
  while (at < text.size() && text[at] != text[open]) at += text[at] == '\\' ? 2 : 1;
  return std::min(at, text.size());
}

/// Python writes numbers that are none, which JSON has not: the largest one stands for infinity, a text of one
/// character (kNotANumber) for what is no number, so that every place stays where it was.
std::string without_python_numbers(std::string text) {
  struct Word {
    std::string_view python, json;
  };
  constexpr Word kWords[] = {{"-Infinity", "-1e308   "}, {"Infinity", "1e308   "}, {"NaN", "\"\x7f\""}};
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      i = end_of_string(text, i);
      continue;
    }
    for (const Word& word : kWords) {
      if (text.compare(i, word.python.size(), word.python) != 0) continue;
      text.replace(i, word.json.size(), word.json);
      i += word.json.size() - 1;
      break;
    }
  }
  return text;
}

/// Protobuf does not say where a field stood. It has accepted the text, so that names of the outermost object
/// are the strings one brace deep with a colon behind them; names of objects in it are kept where they are no others.
Places places_of_fields(const std::string& text, const std::string& file) {
  const LineIndex lines(text, file);
  Places places(file);
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c != '"' && c != '\'') continue;
    const std::size_t end = end_of_string(text, i);
    const std::size_t next = end < text.size() ? text.find_first_not_of(kBlanks, end + 1) : std::string::npos;
    const std::string name = text.substr(i + 1, end - i - 1);
    const bool field = next != std::string::npos && text[next] == ':';
    if (field && (depth == 1 || (depth == 2 && places.find(name).line == 0))) places.set(name, lines.place(i));
    i = end;
  }
  return places;
}

/// What Protobuf complained about, and where.
struct Complaint {
  std::string message;
  Place place;
};

/// Up to version 21 the complaint ends in an excerpt of the text, whose last line marks a character with `^`.
std::optional<std::size_t> marked_offset(const std::string& complaint, const std::string& text) {
  const auto first = complaint.find('\n'), last = complaint.rfind('\n');
  if (first == std::string::npos || complaint.back() != '^') return std::nullopt;
  const std::size_t marked = complaint.size() - last - 2;
  const std::string excerpt = first == last ? "" : complaint.substr(first + 1, last - first - 1);
  if (excerpt.empty()) return text.find_last_not_of(kBlanks);  // the text ended too early
  const auto at = text.find(excerpt);
  const bool once = at != std::string::npos && text.find(excerpt, at + 1) == std::string::npos;
  return once ? std::optional(at + marked) : std::nullopt;
}

Complaint understood(const std::string& complaint, const std::string& text, const std::string& file) {
  Complaint out{complaint.substr(0, complaint.find('\n')), {file, 0, 0}};
  if (const auto offset = marked_offset(complaint, text)) {
    out.place = LineIndex(text, file).place(*offset);
  } else if (const auto near = complaint.find("near "); near != std::string::npos) {  // from version 22 on
    std::sscanf(complaint.c_str() + near, "near %d:%d", &out.place.line, &out.place.column);
  }
  while (out.message.ends_with('.')) out.message.pop_back();
  return out;
}

[[noreturn]] void refuse(const Place& place, std::string found) {
  throw InputError(Diagnostic{place.file, place.line, place.column, "", std::move(found),
                              "one JSON object: { \"name\": value, ... }", ""});
}

}  // namespace

JsonObject parse_json_object(const std::string& as_written, const std::string& file) {
  const std::string text = without_python_numbers(as_written);
  const std::size_t start = std::min(text.find_first_not_of(kBlanks), text.size());
  if (start == text.size()) refuse({file, 0, 0}, "an empty text");
  if (text[start] != '{')
    refuse(LineIndex(text, file).place(start), "a text that begins with " + quoted(text.substr(start, 1)));
  google::protobuf::Struct object;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &object);
  if (!status.ok()) {
    const Complaint complaint = understood(std::string(status.message()), text, file);
    refuse(complaint.place, fmt::format("broken JSON ({})", complaint.message));
  }
  return {{object.fields().begin(), object.fields().end()}, places_of_fields(text, file)};
}

}  // namespace flopcast
