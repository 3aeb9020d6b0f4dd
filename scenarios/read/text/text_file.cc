#include "scenarios/read/text/text_file.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

namespace pb = google::protobuf;

/// UTF-8 needs none, but some editors write it.
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

/// Deeper nesting than any schema has; also keeps the parser's recursion shallow.
constexpr int kDeepestNesting = 32;

/// `path` without its last step: "a.b[2]" -> "a.b" -> "a" -> "".
std::string parent_of(const std::string& path) {
  const auto cut = path.find_last_of(".[");
  return cut == std::string::npos ? "" : path.substr(0, cut);
}

std::vector<std::string> field_names(const std::string& message_type) {
  std::vector<std::string> names;
  const auto* type = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(message_type);
  for (int i = 0; type && i < type->field_count(); ++i) names.push_back(type->field(i)->name());
  return names;
}

/// Between the quotes that follow `before`: the names that Protobuf's messages carry.
std::string quoted_after(const std::string& message, const std::string& before) {
  const auto start = message.find(before + "\"");
  if (start == std::string::npos) return "";
  const auto from = start + before.size() + 1;
  return message.substr(from, message.find('"', from) - from);
}

/// Calls `visit(i)` for each character of `text` that is neither in a string nor in a comment.
template <class Visit>
void for_each_plain_character(const std::string& text, Visit visit) {
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote) {
      if (c == '\\')
        ++i;
      else if (c == quote || c == '\n')
        quote = 0;
    } else if (c == '#') {
      while (i + 1 < text.size() && text[i + 1] != '\n') ++i;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else {
      visit(i);
    }
  }
}

std::size_t start_of_line(const std::string& text, int line) {
  std::size_t at = 0;
  for (int l = 0; l < line && at < text.size(); ++l) at = std::min(text.find('\n', at), text.size() - 1) + 1;
  return at;
}

/// Where Protobuf's line and column, both from 0, stand in the text. Its columns count tabs to multiples of eight.
std::size_t offset_of(const std::string& text, int line, int column) {
  constexpr int kTab = 8;
  std::size_t at = start_of_line(text, line);
  for (int c = 0; c < column && at < text.size() && text[at] != '\n'; ++at)
    c = text[at] == '\t' ? (c / kTab + 1) * kTab : c + 1;
  return at;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// The messages open at a place of the text, as a path without indices and with a dot after each:
/// "run.phase.".
std::string enclosing_path(const std::string& text, std::size_t offset) {
  std::vector<std::string> open;
  std::string word;
  bool complete = false;
  for_each_plain_character(text.substr(0, offset), [&](std::size_t i) {
    const char c = text[i];
    if (c == '{')
      open.push_back(word);
    else if (c == '}' && !open.empty())
      open.pop_back();
    if (is_word(c) && complete) word.clear();
    if (is_word(c)) word += c;
    complete = !is_word(c);
  });
  std::string path;
  for (const std::string& message : open) path += message + ".";
  return path;
}

/// A piece of the text, `field: value`.
struct Statement {
  std::string field;
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// Past the single value at `at`, which is no message.
std::size_t end_of_value(const std::string& text, std::size_t at) {
  const char quote = text[at];
  if (quote != '"' && quote != '\'') return std::min(text.find_first_of(" \t\r\n,;{}[]#", at), text.size());
  for (std::size_t i = at + 1; i < text.size() && text[i] != '\n'; ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == quote)
      return i + 1;
  }
  return std::min(text.find('\n', at), text.size());
}

/// The statement whose value, or one of whose values in brackets, stands at `at`.
std::optional<Statement> statement_round(const std::string& text, std::size_t at) {
  if (at >= text.size() || std::string_view("{}<>[]:").find(text[at]) != std::string_view::npos) return std::nullopt;
  std::size_t end = end_of_value(text, at);
  std::size_t begin = at;
  const auto back_over = [&](auto matches) {
    while (begin > 0 && matches(text[begin - 1])) --begin;
  };
  back_over([](char c) { return is_space(c) || c == '-'; });
  if (begin > 0 && (text[begin - 1] == '[' || text[begin - 1] == ',')) {
    begin = text.find_last_of("[{}", begin - 1);
    if (begin == std::string::npos || text[begin] != '[') return std::nullopt;
    end = text.find(']', end);
    if (end++ == std::string::npos) return std::nullopt;
    back_over(is_space);
  }
  if (begin == 0 || text[begin - 1] != ':') return std::nullopt;
  --begin;
  back_over(is_space);
  const std::size_t end_of_name = begin;
  back_over(is_word);
  if (begin == end_of_name) return std::nullopt;
  return Statement{text.substr(begin, end_of_name - begin), begin, end};
}

/// Protobuf's complaints as diagnostics. Unknown fields arrive as warnings, so that one does not hide the
/// next.
class Collector : public pb::io::ErrorCollector {
 public:
  Collector(const std::string& text, const std::string& file, Diagnostics& out) : text_(text), file_(file), out_(out) {}
  void AddError(int line, int column, const std::string& message) override {
    misfit_ = misfit_in(offset_of(text_, line, column), message);
    add(line, column, message);
  }
  /// Placing a fault reads the text up to it: beyond the faults that are reported none is placed.
  void AddWarning(int line, int column, const std::string& message) override {
    if (out_.size() < kMostDiagnostics) add(line, column, message);
  }

  /// The statement whose value ended the reading because it is not of the field's type.
  const std::optional<Statement>& misfit() const { return misfit_; }
  /// The fault that ended the reading.
  const Diagnostic& last() const { return last_; }

 private:
  /// Protobuf complains of a misfit before it reads on, but of a switch only afterwards.
  std::optional<Statement> misfit_in(std::size_t at, const std::string& message) const {
    const std::string name = quoted_after(message, "boolean field ");
    if (name.empty()) return statement_round(text_, at);
    const std::size_t begin = text_.rfind(name, at);
    if (begin == std::string::npos || begin >= at) return std::nullopt;
    return Statement{name, begin, at};
  }

  void add(int line, int column, const std::string& message) {
    Diagnostic d;
    d.file = file_;
    d.line = std::max(line, 0) + 1;
    d.column = std::max(column, 0) + 1;
    const std::string name = quoted_after(message, "has no field named ");
    if (name.empty()) {
      if (misfit_) d.field = enclosing_path(text_, misfit_->begin) + misfit_->field;
      syntax(message, d);
    } else {
      const auto candidates = field_names(quoted_after(message, "Message type "));
      d.field = enclosing_path(text_, offset_of(text_, line, column)) + name;
      d.column = start_of(name, line, column) + 1;
      d.found = kUnknownField;
      d.expected = one_of(name, candidates);
      d.suggestion = nearest_name(name, candidates);
    }
    last_ = d;
    if (out_.size() < kMostDiagnostics) out_.push_back(std::move(d));
  }

  /// The parser has read past the name when it complains.
  int start_of(const std::string& name, int line, int column) const {
    const std::size_t from = start_of_line(text_, line);
    const std::size_t at = text_.rfind(name, from + static_cast<std::size_t>(column));
    return at == std::string::npos || at < from ? column : static_cast<int>(at - from);
  }

  /// What Protobuf's names of types say to people.
  static std::string in_words(const std::string& type) {
    if (type == "integer") return "a whole number";
    if (type == "double") return "a number";
    if (type == "string") return "a text in quotes";
    return type;
  }

  /// "Expected identifier, got: {" takes the two places it has in a diagnostic; the rest stays as Protobuf
  /// words it.
  static void syntax(const std::string& message, Diagnostic& d) {
    const std::string start = "Expected ";
    for (const std::string middle : {", got: ", ", found "}) {
      const auto cut = message.find(middle);
      if (!message.starts_with(start) || cut == std::string::npos) continue;
      const std::string found = message.substr(cut + middle.size());
      d.found = found.empty() || found == "\"\"." ? "the end of the text" : found;
      d.expected = in_words(message.substr(start.size(), cut - start.size()));
      if (d.expected == "a text in quotes" && !d.found.empty() &&
          std::all_of(d.found.begin(), d.found.end(), [](unsigned char c) { return std::isalnum(c) || c == '.'; }))
        d.remedy = "\"" + d.found + "\", and its unit within the quotes where it has one";
      return;
    }
    if (const std::string value = quoted_after(message, "Value: "); !value.empty()) {
      d.found = value;
      d.expected = "true or false";
      return;
    }
    if (message.starts_with("Interpreting non ascii codepoint")) {
      d.found = "a character that is not ASCII";
      d.expected = "such characters only within quotes and comments";
      return;
    }
    if (message.starts_with("Integer out of range")) {
      const auto from = std::min(message.find('('), message.size() - 1) + 1;
      d.found = message.substr(from, message.find(')', from) - from);
      d.expected = "a whole number within the range of the field";
      return;
    }
    d.found = message;
    d.expected = "Protobuf text format (field: value, or field { ... })";
  }

  const std::string& text_;
  const std::string& file_;
  Diagnostics& out_;
  std::optional<Statement> misfit_;
  Diagnostic last_;
};

/// Depth of braces outside strings and comments, at its deepest.
int deepest_nesting(const std::string& text) {
  int depth = 0, deepest = 0;
  for_each_plain_character(text, [&](std::size_t i) {
    const char c = text[i];
    if (c == '{' || c == '<' || c == '[')
      deepest = std::max(deepest, ++depth);
    else if (c == '}' || c == '>' || c == ']')
      --depth;
  });
  return deepest;
}

/// Spaces instead of the statement: everything else stays where it is.
void blank(std::string& text, const Statement& statement) {
  for (std::size_t i = statement.begin; i < statement.end; ++i) {
    if (!is_space(text[i])) text[i] = ' ';
  }
}

/// A number with zeros before it is taken out and reported: Protobuf would read 010 as 8.
void refuse_misleading_zeros(std::string& readable, const std::string& file, Diagnostics& faults) {
  std::vector<std::size_t> found;
  for_each_plain_character(readable, [&](std::size_t i) {
    const char before = i > 0 ? readable[i - 1] : ' ';
    const bool exponent = (before == '-' || before == '+') && i > 1 && is_word(readable[i - 2]);  // 1e-05
    const bool inside = is_word(before) || before == '.' || exponent;
    if (readable[i] == '0' && !inside && misleading_zeros(std::string_view(readable).substr(i, 2))) found.push_back(i);
  });
  for (const std::size_t at : found) {
    if (faults.size() >= kMostDiagnostics) return;
    if (readable[at] != '0') continue;  // taken out with another of its list
    const std::optional<Statement> statement = statement_round(readable, at);
    Diagnostic d;
    d.file = file;
    d.line =
        static_cast<int>(std::count(readable.begin(), readable.begin() + static_cast<std::ptrdiff_t>(at), '\n')) + 1;
    d.column = static_cast<int>(at - (at == 0 ? 0 : readable.rfind('\n', at - 1) + 1)) + 1;
    d.field = enclosing_path(readable, at) + (statement ? statement->field : "");
    if (d.field.ends_with('.')) d.field.pop_back();
    const std::string number = readable.substr(at, end_of_value(readable, at) - at);
    d.found = number;
    d.expected = kPlainNumber;
    d.suggestion = without_zeros(number);
    faults.push_back(std::move(d));
    if (statement) blank(readable, *statement);
  }
}

void record_places(const pb::Message& message, const pb::TextFormat::ParseInfoTree& tree, const std::string& file,
                   const std::string& prefix, Places& places) {
  std::vector<const pb::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const auto* field : fields) {
    const int count = field->is_repeated() ? message.GetReflection()->FieldSize(message, field) : 1;
    pb::TextFormat::ParseLocation last;
    for (int i = 0; i < count; ++i) {
      const int index = field->is_repeated() ? i : -1;
      auto where = tree.GetLocation(field, index);
      if (where.line < 0 && i > 0) where = last;  // Protobuf records a list in brackets once, where it begins
      last = where;
      const std::string path = prefix + field->name() + (field->is_repeated() ? fmt::format("[{}]", i) : "");
      places.set(path, {file, where.line + 1, where.column + 1});
      if (i == 0 && field->is_repeated()) places.set(prefix + field->name(), {file, where.line + 1, where.column + 1});
      if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
      const auto& nested = field->is_repeated() ? message.GetReflection()->GetRepeatedMessage(message, field, i)
                                                : message.GetReflection()->GetMessage(message, field);
      if (const auto* subtree = tree.GetTreeForNested(field, index))
        record_places(nested, *subtree, file, path + ".", places);
    }
  }
}

[[noreturn]] void refuse(const std::string& path, std::string found, std::string expected,
                         std::string suggestion = "") {
  throw InputError(Diagnostic{path, 0, 0, "", std::move(found), std::move(expected), std::move(suggestion)});
}

void check_size(const std::string& path, std::size_t size, const TextFileKind& kind) {
  if (size <= kind.largest) return;
  refuse(path, fmt::format("a file of {:.1f} MB", static_cast<double>(size) / 1e6),
         fmt::format("a text file of at most {} MiB", kind.largest >> 20));
}

/// Where it stands: a file in another encoding has such bytes in a comment or a title.
[[noreturn]] void refuse_character(const std::string& path, const std::string& text, std::size_t at) {
  const std::size_t line_start = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
  const auto line = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n') + 1;
  const std::string_view rest = std::string_view(text).substr(at);
  throw InputError(Diagnostic{path, static_cast<int>(line), static_cast<int>(at - line_start) + 1, "",
                              fmt::format("the byte {}, no character of a text", visible(rest.substr(0, 1))),
                              "text in UTF-8, without control characters", ""});
}

bool is_text(const std::string& contents) {
  return std::none_of(contents.begin(), contents.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == 0x7f || (byte < 0x20 && c != '\n' && c != '\r' && c != '\t');
  });
}

}  // namespace

std::string quoted(const std::string& text) {
  constexpr std::size_t kLongest = 60;
  return fmt::format("\"{}{}\"", visible(cut_text(text, kLongest)), text.size() > kLongest ? "..." : "");
}

bool misleading_zeros(std::string_view number) {
  if (number.starts_with('-')) number.remove_prefix(1);
  if (number.size() < 2 || number[0] != '0') return false;
  return std::isdigit(static_cast<unsigned char>(number[1])) != 0 || number[1] == 'x' || number[1] == 'X';
}

std::string without_zeros(std::string_view number) {
  const std::string sign = number.starts_with('-') ? "-" : "";
  const std::size_t at = std::min(number.find_first_not_of('0', sign.size()), number.size());
  const std::string rest(number.substr(at));
  if (rest.starts_with('x') || rest.starts_with('X')) return "";
  return sign + (rest.empty() || rest[0] == '.' ? "0" : "") + rest;
}

std::string without_indices(const std::string& path) {
  std::string out;
  bool in_index = false;
  for (const char c : path) {
    in_index = in_index || c == '[';
    if (!in_index) out += c;
    in_index = in_index && c != ']';
  }
  return out;
}

void Places::overlay(const Places& other, const std::string& path) {
  for (const auto& [field, place] : other.by_path_) by_path_[path + field] = place;
}

Place Places::find(const std::string& path) const {
  for (std::string at = path; !at.empty(); at = parent_of(at)) {
    const auto found = by_path_.find(at);
    if (found != by_path_.end()) return found->second;
  }
  if (lines_ && !path.empty()) return {file_, 1, 1};
  return {file_, 0, 0};
}

Diagnostic Places::fault(const std::string& path, std::string found, std::string expected,
                         std::string suggestion) const {
  const Place place = find(path);
  return {place.file, place.line, place.column, path, std::move(found), std::move(expected), std::move(suggestion)};
}

Diagnostic placed(Diagnostic fault, const Places& places) {
  const Place place = places.find(fault.field);
  const bool elsewhere = !fault.file.empty() && fault.file != places.find("").file;
  if (fault.line > 0 || fault.field.empty() || elsewhere) return fault;
  fault.file = place.file, fault.line = place.line, fault.column = place.column;
  return fault;
}

std::string read_text_file(const std::string& path, const TextFileKind& kind) {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status)) refuse(path, "no such file", "a text file");
  if (fs::is_directory(status)) refuse(path, "a folder", "a text file");
  if (!fs::is_regular_file(status)) refuse(path, "neither a file nor a folder", "a text file");
  const auto size = fs::file_size(path, error);
  if (!error) check_size(path, static_cast<std::size_t>(size), kind);
  std::ifstream in(path, std::ios::binary);
  const bool opened = in.is_open();
  std::string contents(error ? 0 : static_cast<std::size_t>(size), '\0');
  const auto take = [&](char* to, std::size_t most) {
    in.read(to, static_cast<std::streamsize>(most));
    return static_cast<std::size_t>(in.gcount());
  };
  contents.resize(take(contents.data(), contents.size()));
  std::array<char, 4096> more;  // of a file that grew
  while (const std::size_t count = in ? take(more.data(), more.size()) : 0) contents.append(more.data(), count);
  if (!opened || in.bad() || (size > 0 && contents.empty()))
    refuse(path, "a file that cannot be read", "a readable text file");
  return checked_text(std::move(contents), path, kind);
}

std::string checked_text(std::string text, const std::string& file, const TextFileKind& kind) {
  check_size(file, text.size(), kind);
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  if (!is_text(text)) refuse(file, "a binary file", "a text file " + kind.content);
  if (const std::size_t at = first_unplain(text, LineEnds::allowed); at != std::string::npos)
    refuse_character(file, text, at);
  if (text.find_first_not_of(" \t\r\n") == std::string::npos)
    refuse(file, "an empty file", "a text file that states something");
  return text;
}

bool parse_text(const std::string& text, const std::string& file, pb::Message& message, Places& places,
                Diagnostics& faults) {
  places = Places(file, true);
  if (deepest_nesting(text) > kDeepestNesting) {
    faults.push_back({file, 0, 0, "", fmt::format("braces nested more than {} deep", kDeepestNesting),
                      "the nesting of the schema", ""});
    return false;
  }
  // A value of the wrong type ends Protobuf's reading. It is noted and taken out, so that it hides no other fault.
  std::string readable = text;
  Diagnostics misfits;
  refuse_misleading_zeros(readable, file, misfits);
  for (;;) {
    Diagnostics found;
    Collector collector(readable, file, found);
    pb::TextFormat::Parser parser;
    pb::TextFormat::ParseInfoTree tree;
    parser.RecordErrorsTo(&collector);
    parser.WriteLocationsTo(&tree);
    parser.AllowUnknownField(true);  // they come as warnings, which the collector reports as faults
    const bool complete = parser.ParseFromString(readable, &message);
    if (!complete && collector.misfit() && misfits.size() < kMostDiagnostics) {
      misfits.push_back(collector.last());
      blank(readable, *collector.misfit());
      continue;
    }
    if (!complete && found.empty()) found.push_back({file, 0, 0, "", "unreadable text", "Protobuf text format", ""});
    faults.insert(faults.end(), misfits.begin(), misfits.end());
    faults.insert(faults.end(), found.begin(), found.end());
    if (complete) record_places(message, tree, file, "", places);
    return complete;
  }
}

}  // namespace flopcast
