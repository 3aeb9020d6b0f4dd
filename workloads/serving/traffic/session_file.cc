#include "workloads/serving/traffic/session_file.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

#include "sim/base/diagnostic.h"
#include "workloads/serving/traffic/traces/fields.h"
#include "workloads/serving/traffic/traces/line_reader.h"

namespace flopcast {
namespace {

constexpr std::array<std::string_view, 4> kSessionColumns = {"session", "at_s", "input_tokens", "output_tokens"};
enum SessionColumn : std::size_t { kSession, kAt, kInput, kOutput };

std::vector<Field> session_fields(std::string_view line) {
  std::vector<Field> fields;
  for (std::size_t begin = 0;;) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    fields.push_back({line.substr(begin, end - begin), static_cast<int>(begin) + 1, {}});
    if (end == line.size()) return fields;
    begin = end + 1;
  }
}

struct FileTurn {
  RecordedTurn turn;
  int line = 0;
};

class SessionFileReader {
 public:
  SessionFileReader(const std::string& path, std::int64_t context)
      : path_(path), context_(context), lines_(path), faults_(path) {}

  RecordedSessions read() {
    header();
    std::string_view line;
    int blank = 0;
    while (lines_.next(line)) {
      if (line.find_first_not_of(" \t") == std::string_view::npos) {
        if (blank == 0) blank = lines_.number();
        continue;
      }
      if (blank > 0) faults_.add(blank, {1, "", "an empty line", "a turn"});
      blank = 0;
      try {
        turn(session_fields(line), line);
      } catch (LineFault& fault) {
        faults_.add(lines_.number(), std::move(fault));
      }
    }
    faults_.throw_if_any();
    if (sessions_.empty())
      throw InputError(Diagnostic{.file = path_, .found = "no turn", .expected = "a line per turn below the header"});
    return together();
  }

 private:
  void header() {
    std::string_view line;
    if (!lines_.next(line))
      throw InputError(Diagnostic{.file = path_, .found = "an empty file", .expected = expected()});
    const std::vector<Field> names = session_fields(line);
    columns_ = names.size();
    std::vector<Diagnostic> missing;
    for (std::size_t c = 0; c < kSessionColumns.size(); ++c) {
      const auto found = std::ranges::find(names, kSessionColumns[c], &Field::text);
      place_[c] = static_cast<std::size_t>(found - names.begin());
      if (found == names.end())
        missing.push_back({.file = path_,
                           .line = 1,
                           .column = 1,
                           .field = std::string(kSessionColumns[c]),
                           .found = "no such column",
                           .expected = expected()});
    }
    if (!missing.empty()) throw InputError(std::move(missing));
  }
  static std::string expected() { return "a header with session, at_s, input_tokens, output_tokens"; }

  void turn(const std::vector<Field>& fields, std::string_view line) {
    if (fields.size() != columns_)
      throw LineFault{static_cast<int>(line.size()) + 1, "", std::to_string(fields.size()) + " columns",
                      std::to_string(columns_) + ", as in the header"};
    const auto field = [&](SessionColumn c) {
      Field f = fields[place_[c]];
      f.name = kSessionColumns[c];
      return f;
    };
    const Field who = field(kSession), when = field(kAt);
    if (who.text.empty()) who.refuse("the session's name");
    FileTurn next;
    next.line = lines_.number();
    next.turn.at = parse_number_of(1.0, when).since(TraceTime{});
    next.turn.asked = parse_tokens(field(kInput));
    next.turn.answer = parse_tokens(field(kOutput));
    const auto [known, fresh] = numbers_.try_emplace(std::string(who.text), sessions_.size());
    if (fresh) {
      sessions_.emplace_back();
      said_.push_back(0);
    }
    std::vector<FileTurn>& turns = sessions_[known->second];
    if (!turns.empty() && next.turn.at < turns.back().turn.at)
      when.refuse("a time not before that of the session's turn in line " + std::to_string(turns.back().line),
                  "the turns of a session in the order of time");
    std::int64_t& said = said_[known->second];
    said += std::int64_t{next.turn.asked} + next.turn.answer;
    const std::int64_t most = context_ > 0 ? context_ : kMostTokens;
    if (said > most)
      throw LineFault{field(kInput).column, "input_tokens",
                      std::to_string(said) + " tokens of all that was said up to this answer",
                      "at most " + std::to_string(most) + ", the context"};
    turns.push_back(next);
  }

  RecordedSessions together() const {
    Seconds first = sessions_.front().front().turn.at;
    for (const std::vector<FileTurn>& turns : sessions_) first = std::min(first, turns.front().turn.at);
    RecordedSessions out;
    for (const std::vector<FileTurn>& turns : sessions_) {
      for (const FileTurn& t : turns) out.turns.push_back({t.turn.at - first, t.turn.asked, t.turn.answer});
      out.begins.push_back(out.turns.size());
    }
    return out;
  }

  std::string path_;
  std::int64_t context_;
  LineReader lines_;
  TraceFaults faults_;
  std::size_t columns_ = 0;
  std::array<std::size_t, kSessionColumns.size()> place_{};
  std::unordered_map<std::string, std::size_t> numbers_;  // only looked up, never listed
  std::vector<std::vector<FileTurn>> sessions_;
  std::vector<std::int64_t> said_;
};

}  // namespace

RecordedSessions RecordedSessions::one_in(std::int32_t n) const {
  RecordedSessions out;
  out.block_tokens = block_tokens;
  for (std::size_t s = 0; s < size(); s += static_cast<std::size_t>(n)) {
    out.turns.insert(out.turns.end(), turns.begin() + static_cast<std::ptrdiff_t>(begins[s]),
                     turns.begin() + static_cast<std::ptrdiff_t>(begins[s + 1]));
    out.begins.push_back(out.turns.size());
  }
  return out;
}

RecordedSessions read_session_file(const std::string& path, std::int64_t context) {
  return SessionFileReader(path, context).read();
}

}  // namespace flopcast
