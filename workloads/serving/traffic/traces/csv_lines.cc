// Tables: a header line names the columns.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/plain_text.h"
#include "workloads/serving/traffic/traces/line_parsers.h"

namespace flopcast {
namespace {

/// Without the quotes around it (RFC 4180); quotes within stay doubled, for no name or number has any.
std::string_view unquoted(std::string_view text) {
  text = trimmed(text, " ");
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') return text.substr(1, text.size() - 2);
  return text;
}

/// Where the field that begins at `begin` ends: a separator outside of quotes.
std::size_t field_end(std::string_view line, std::size_t begin, char separator) {
  std::size_t at = begin;
  if (at < line.size() && line[at] == '"') {
    for (++at; at < line.size(); ++at) {
      if (line[at] != '"') continue;
      if (at + 1 < line.size() && line[at + 1] == '"') {
        ++at;  // a quote inside
        continue;
      }
      break;
    }
  }
  return std::min(line.find(separator, std::min(at, line.size())), line.size());
}

/// Calls `visit(index, field, begin)` for each field; their number.
template <class Visit>
std::size_t for_each_field(std::string_view line, char separator, Visit&& visit) {
  std::size_t begin = 0;
  for (std::size_t index = 0;; ++index) {
    const std::size_t end = field_end(line, begin, separator);
    visit(index, line.substr(begin, end - begin), begin);
    if (end == line.size()) return index + 1;
    begin = end + 1;
  }
}

class TableParser final : public LineParser {
 public:
  TableParser(const TraceFormat& format, std::string_view header) : format_(format), separator_(separator_of(header)) {
    const std::vector<std::string> names = header_names(header);
    columns_ = names.size();
    roles_.assign(columns_, Role::none);
    const std::pair<Role, const std::string*> wanted[] = {
        {Role::time, &format.time},       {Role::input, &format.input}, {Role::output, &format.output},
        {Role::session, &format.session}, {Role::delay, &format.delay}, {Role::blocks, &format.blocks}};
    for (const auto& [role, alternatives] : wanted) {
      for_each_name(*alternatives, [&, role = role](std::string_view name) {
        const auto found = std::ranges::find(names, name);
        if (found != names.end()) roles_[static_cast<std::size_t>(found - names.begin())] = role;
      });
    }
  }

  void parse(std::string_view line, std::vector<ParsedLine>& parsed) const override {
    parsed.resize(1);
    ParsedLine& out = parsed.front();
    out.blocks = {};
    out.time.reset();
    out.delay.reset();
    out.session = {};
    Field blocks;
    const std::size_t count =
        for_each_field(line, separator_, [&](std::size_t index, std::string_view text, std::size_t begin) {
          if (index >= columns_ || roles_[index] == Role::none) return;
          const auto place = [&](const std::string& name) {
            return Field{unquoted(text), static_cast<int>(begin) + 1, name};
          };
          switch (roles_[index]) {
            case Role::time:
              out.time_field = place(format_.time);
              break;
            case Role::input:
              out.input_field = place(format_.input);
              break;
            case Role::output:
              out.output_field = place(format_.output);
              break;
            case Role::session:
              out.session_field = place(format_.session);
              out.session = out.session_field.text;
              break;
            case Role::delay:
              if (const Field delay = place(format_.delay); !delay.text.empty())
                out.delay = parse_delay(format_.delay_unit, delay);
              break;
            case Role::blocks:
              blocks = place(format_.blocks);
              break;
            case Role::none:
              break;
          }
        });
    if (count != columns_) {
      throw LineFault{static_cast<int>(line.size()) + 1, "", std::to_string(count) + " columns",
                      std::to_string(columns_) + ", as in the header"};
    }
    const bool timed = format_.time_notation != TimeNotation::none;
    if (timed && !(format_.waits() && out.time_field.text.empty())) out.time = parse_time(format_, out.time_field);
    out.input_tokens = parse_tokens(out.input_field);
    out.output_tokens =
        format_.zero_output_is_failure ? parse_tokens_or_none(out.output_field) : parse_tokens(out.output_field);
    if (!blocks.text.empty()) parse_blocks(blocks, out);
  }

 private:
  enum class Role : std::uint8_t { none, time, input, output, session, delay, blocks };

  /// "[1, 2, 3]", "1 2 3" or "1;2;3".
  void parse_blocks(const Field& field, ParsedLine& out) const {
    constexpr std::string_view kBetween = "[] ,;|";
    std::size_t at = 0;
    while ((at = field.text.find_first_not_of(kBetween, at)) != std::string_view::npos) {
      const std::size_t end = std::min(field.text.find_first_of(kBetween, at), field.text.size());
      out.blocks.append(parse_block_id(field.text.substr(at, end - at), field));
      at = end;
    }
    const int size = format_.block_tokens;
    const std::size_t full = static_cast<std::size_t>(out.input_tokens / size);
    const std::size_t started = full + (out.input_tokens % size != 0 ? 1 : 0);
    if (out.blocks.size() != started && out.blocks.size() != full)
      field.refuse(std::to_string(started) + " ids, one for each " + std::to_string(size) + " of " +
                   std::to_string(out.input_tokens) + " tokens");
    out.blocks.truncate(full);
  }

  const TraceFormat& format_;
  char separator_;
  std::size_t columns_ = 0;
  std::vector<Role> roles_;
};

}  // namespace

TraceTime parse_time(const TraceFormat& format, const Field& field) {
  return format.time_notation == TimeNotation::date ? parse_date_time(field) : parse_number_of(format.time_unit, field);
}

char separator_of(std::string_view header) {
  char best = ',';
  std::size_t most = 1;
  for (const char separator : {'\t', ',', ';'}) {
    const std::size_t fields = for_each_field(header, separator, [](std::size_t, std::string_view, std::size_t) {});
    if (fields > most) best = separator;
    most = std::max(most, fields);
  }
  return best;
}

std::vector<std::string> header_names(std::string_view header) {
  std::vector<std::string> names;
  for_each_field(header, separator_of(header),
                 [&](std::size_t, std::string_view field, std::size_t) { names.emplace_back(unquoted(field)); });
  return names;
}

std::unique_ptr<LineParser> table_parser(const TraceFormat& format, std::string_view header) {
  return std::make_unique<TableParser>(format, header);
}

}  // namespace flopcast
