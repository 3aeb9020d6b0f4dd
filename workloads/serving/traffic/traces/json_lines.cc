// Records that are JSON objects. Only what a trace needs is read; other keys are passed over.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "sim/base/random.h"
#include "workloads/serving/traffic/traces/json_cursor.h"
#include "workloads/serving/traffic/traces/line_parsers.h"

namespace flopcast {
namespace {

enum class JsonRole : std::uint8_t {
  time,
  input,
  output,
  blocks,
  session,
  parent,
  delay,
  turns,
  tokens,
  texts,
  size,
  failure
};

/// Where a value stands: its keys from the outermost on.
struct JsonPath {
  std::vector<std::string> keys;
  JsonRole role;
};

/// Paths that are alive at a depth, one bit each.
using JsonPaths = std::uint32_t;

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> keys;
  for (;;) {
    const std::size_t dot = path.find('.');
    keys.emplace_back(path.substr(0, dot));
    if (dot == std::string_view::npos) return keys;
    path.remove_prefix(dot + 1);
  }
}

class JsonRecordParser final : public LineParser {
 public:
  explicit JsonRecordParser(const TraceFormat& format) : format_(format) {
    add(format.time, JsonRole::time);
    add(format.input, JsonRole::input);
    add(format.output, JsonRole::output);
    add(format.blocks, JsonRole::blocks);
    add(format.session, JsonRole::session);
    add(format.parent, JsonRole::parent);
    add(format.delay, JsonRole::delay);
    add(format.turn_list, JsonRole::turns);
    add(format.token_ids, JsonRole::tokens);
    add(format.conversation, JsonRole::texts);
    add(format.failure, JsonRole::failure);
    if (format.full_blocks_only) add("block_tokens", JsonRole::size);
    for (std::size_t i = 0; i < paths_.size(); ++i) {
      const JsonRole role = paths_[i].role;
      if (role == JsonRole::input || role == JsonRole::output || role == JsonRole::delay || role == JsonRole::tokens)
        turn_paths_ |= JsonPaths{1} << i;
    }
  }

  void parse(std::string_view line, std::vector<ParsedLine>& parsed) const override {
    parsed.resize(1);
    JsonCursor cursor(line);
    Found found;
    clear(parsed.front());
    parse_object(cursor, parsed, parsed.front(), found, all(), 0);
    if (!cursor.done()) cursor.refuse("", "the end of the line");
    if (found.left_out) return parsed.clear();
    if (found.has_turns) return;
    complete(parsed.front(), found);
  }

 private:
  struct Found {
    bool input = false, output = false, has_turns = false, left_out = false, failed = false;
    std::uint32_t seen = 0;  // roles, one bit each
    int blocks = 0;          // column of the list
  };

  void add(std::string_view names, JsonRole role) {
    for_each_name(names, [&](std::string_view name) { paths_.push_back({split_path(name), role}); });
  }
  JsonPaths all() const { return (JsonPaths{1} << paths_.size()) - 1; }
  static void clear(ParsedLine& out) {
    out.time.reset();
    out.delay.reset();
    out.blocks = {};
    out.chain.clear();
    out.session = out.parent = {};
    out.input_tokens = out.output_tokens = 0;
    out.same_session = false;
  }

  void parse_object(JsonCursor& cursor, std::vector<ParsedLine>& parsed, ParsedLine& out, Found& found, JsonPaths alive,
                    std::size_t depth) const {
    cursor.expect('{', "");
    if (cursor.accept('}')) return;
    do {
      const std::string_view key = cursor.string("");
      cursor.expect(':', key);
      JsonPaths below = 0;
      const JsonPath* here = nullptr;
      for (std::size_t i = 0; i < paths_.size(); ++i) {
        if ((alive >> i & 1) == 0 || paths_[i].keys[depth] != key) continue;
        if (paths_[i].keys.size() == depth + 1)
          here = &paths_[i];
        else
          below |= JsonPaths{1} << i;
      }
      if (here != nullptr) {
        read_value(cursor, parsed, out, found, *here);
        if (found.has_turns) return read_behind_turns(cursor, parsed);
      } else if (below != 0 && cursor.peek() == '{') {
        parse_object(cursor, parsed, out, found, below, depth + 1);
      } else {
        cursor.skip_value(key);
      }
    } while (cursor.accept(','));
    cursor.expect('}', "");
  }

  /// Behind a list of turns only the name of their session may still stand.
  void read_behind_turns(JsonCursor& cursor, std::vector<ParsedLine>& parsed) const {
    while (cursor.accept(',')) {
      const std::string_view key = cursor.string("");
      cursor.expect(':', key);
      if (key != format_.session) {
        cursor.skip_value(key);
        continue;
      }
      const Field session = text_or_number(cursor, format_.session);
      for (ParsedLine& turn : parsed) {
        turn.session_field = session;
        turn.session = session.text;
      }
    }
    cursor.expect('}', "");
  }

  void read_value(JsonCursor& cursor, std::vector<ParsedLine>& parsed, ParsedLine& out, Found& found,
                  const JsonPath& path) const {
    const std::string_view name = path.keys.back();
    if (cursor.peek() == 'n') return cursor.skip_value(name);  // null: as if it were not there
    if (path.role == JsonRole::failure) {
      found.failed = found.failed || cursor.peek() != 'f';
      return cursor.skip_value(name);
    }
    const auto role = std::uint32_t{1} << static_cast<unsigned>(path.role);
    if ((found.seen & role) != 0)
      throw LineFault{cursor.column(), std::string(name), "a second value, of this key or of one that means the same",
                      "one in a record"};
    found.seen |= role;
    switch (path.role) {
      case JsonRole::failure:
        break;
      case JsonRole::time:
        out.time_field = text_or_number(cursor, name);
        out.time = parse_time(format_, out.time_field);
        break;
      case JsonRole::input:
        out.input_field = {{}, cursor.column(), name};
        out.input_tokens = tokens(cursor, name, out.input_field, false);
        found.input = true;
        break;
      case JsonRole::output:
        out.output_field = {{}, cursor.column(), name};
        out.output_tokens = tokens(cursor, name, out.output_field, format_.zero_output_is_failure);
        found.output = true;
        break;
      case JsonRole::blocks:
        cursor.expect('[', name);
        found.blocks = cursor.column() - 1;
        parse_blocks(cursor, name, out.blocks);
        break;
      case JsonRole::session:
        out.session_field = text_or_number(cursor, name);
        out.session = out.session_field.text;
        break;
      case JsonRole::parent:
        out.parent = text_or_number(cursor, name).text;
        break;
      case JsonRole::delay: {
        const Field delay = text_or_number(cursor, name);
        out.delay = parse_delay(format_.delay_unit, delay);
        break;
      }
      case JsonRole::turns:
        parse_turns(cursor, parsed, found, name);
        break;
      case JsonRole::tokens:
        parse_token_ids(cursor, name, out.chain);
        break;
      case JsonRole::texts:
        parse_texts(cursor, name, out, found);
        break;
      case JsonRole::size: {
        const Field size = text_or_number(cursor, name);
        if (size.text != std::to_string(format_.block_tokens))
          size.refuse(std::to_string(format_.block_tokens) + ", as in the first record");
        break;
      }
    }
  }

  static Field text_or_number(JsonCursor& cursor, std::string_view name) {
    const int column = cursor.column();
    if (cursor.peek() != '"') return {cursor.scalar(), column, name};
    return {cursor.string(name), column + 1, name};
  }

  std::int32_t of_text(std::string_view text, const Field& place) const {
    if (format_.bytes_per_token == 0) {
      Field shown_text = place;
      shown_text.text = text;
      if (!text.empty() && text.find_first_not_of("0123456789.") == std::string_view::npos)
        shown_text.refuse("a number of tokens without quotes");
      shown_text.refuse("tokens; or how many bytes of text a token has, since no tokenizer is asked here",
                        "columns { bytes_per_token: 4 }, of English and the tokenizers of today");
    }
    const double count = std::ceil(static_cast<double>(decoded_bytes(text)) / format_.bytes_per_token);
    return static_cast<std::int32_t>(std::clamp(count, 1.0, static_cast<double>(kMostTokens)));
  }

  std::int32_t tokens(JsonCursor& cursor, std::string_view name, Field& field, bool may_be_none) const {
    if (cursor.peek() == '"') return of_text(cursor.string(name), field);
    field.text = cursor.scalar();
    return may_be_none ? parse_tokens_or_none(field) : parse_tokens(field);
  }

  void parse_blocks(JsonCursor& cursor, std::string_view name, PrefixBlocks& blocks) const {
    blocks = {};
    if (cursor.accept(']')) return;
    do {
      const Field field = text_or_number(cursor, name);
      blocks.append(parse_block_id(field.text, field));
    } while (cursor.accept(','));
    cursor.expect(']', name);
  }

  /// Numbers of tokens into hashes of full blocks, each of which stands for all tokens up to its end.
  void parse_token_ids(JsonCursor& cursor, std::string_view name, std::vector<std::uint64_t>& chain) const {
    cursor.expect('[', name);
    chain.clear();
    if (cursor.accept(']')) return;
    std::uint64_t hash = 0;
    int count = 0;
    do {
      const Field field = text_or_number(cursor, name);
      hash = RandomStream(hash, parse_block_id(field.text, field)).next();
      if (++count % format_.block_tokens == 0) chain.push_back(hash);
    } while (cursor.accept(','));
    cursor.expect(']', name);
  }

  /// Calls of a session, each with what it waits before the next one.
  void parse_turns(JsonCursor& cursor, std::vector<ParsedLine>& parsed, Found& record, std::string_view name) const {
    cursor.expect('[', name);
    record.has_turns = true;
    const std::optional<TraceTime> start = parsed.front().time;
    const Field start_field = parsed.front().time_field, session_field = parsed.front().session_field;
    const std::string_view session = parsed.front().session;
    if (!start) cursor.refuse(name, "the arrival before the list of turns");
    std::size_t count = 0;
    std::optional<Seconds> wait;
    if (!cursor.accept(']')) {
      do {
        if (parsed.size() == count) parsed.emplace_back();
        ParsedLine turn;
        Found found;
        parse_object(cursor, parsed, turn, found, turn_paths_, 0);
        complete_lengths(turn, found);
        turn.session = session;
        turn.session_field = session_field;
        turn.time_field = start_field;
        turn.same_session = count > 0;
        const std::optional<Seconds> before = std::exchange(wait, turn.delay);
        turn.delay.reset();
        if (count == 0)
          turn.time = start;
        else
          turn.delay = before.value_or(Seconds(0));
        parsed[count++] = std::move(turn);
      } while (cursor.accept(','));
      cursor.expect(']', name);
    }
    parsed.resize(count);
    record.left_out = count == 0;
  }

  /// {"from": "human", "value": "..."} or {"role": "user", "content": "..."}: the first two texts.
  void parse_texts(JsonCursor& cursor, std::string_view name, ParsedLine& out, Found& found) const {
    cursor.expect('[', name);
    int count = 0;
    if (!cursor.accept(']')) {
      do {
        if (cursor.peek() != '{' || count >= 2) {
          cursor.skip_value(name);
          ++count;
          continue;
        }
        cursor.expect('{', name);
        bool there = false;
        if (!cursor.accept('}')) {
          do {
            const std::string_view key = cursor.string(name);
            cursor.expect(':', key);
            if ((key != "value" && key != "content") || cursor.peek() != '"') {
              cursor.skip_value(key);
              continue;
            }
            Field place{{}, cursor.column(), key};
            (count == 0 ? out.input_tokens : out.output_tokens) = of_text(cursor.string(key), place);
            (count == 0 ? out.input_field : out.output_field) = place;
            there = true;
          } while (cursor.accept(','));
          cursor.expect('}', name);
        }
        (count == 0 ? found.input : found.output) = there;
        ++count;
      } while (cursor.accept(','));
      cursor.expect(']', name);
    }
    found.left_out = !found.input || !found.output;
  }

  void complete(ParsedLine& out, const Found& found) const {
    const bool timed = format_.time_notation != TimeNotation::none;
    if (timed && !out.time && !format_.waits()) missing(format_.time);
    if (!found.failed) return complete_lengths(out, found);
    out.output_tokens = 0;
    out.blocks = {};
  }
  void complete_lengths(ParsedLine& out, const Found& found) const {
    if (!found.input) missing(format_.input);
    if (!found.output) missing(format_.output);
    if (found.blocks > 0) check_blocks(out, found.blocks);
  }
  [[noreturn]] static void missing(const std::string& name) {
    throw LineFault{1, name, "no such key", "one in every line"};
  }

  /// One id per started block. What begins and does not fill the last block cannot be reused: engines keep
  /// full blocks.
  void check_blocks(ParsedLine& parsed, int column) const {
    const auto tokens = static_cast<std::size_t>(parsed.input_tokens);
    const auto size = static_cast<std::size_t>(format_.block_tokens);
    if (size == 0) throw LineFault{column, format_.blocks, "ids of blocks without their size", "block_tokens"};
    if (format_.full_blocks_only) {
      // Of a session's turn those of its answer may follow.
      const std::size_t most = (tokens + static_cast<std::size_t>(parsed.output_tokens)) / size;
      if (parsed.blocks.size() <= most) return;
      throw LineFault{
          column, format_.blocks, std::to_string(parsed.blocks.size()) + " ids",
          "at most " + std::to_string(most) + ", one for each full " + std::to_string(size) + " of prompt and answer"};
    }
    const std::size_t started = (tokens + size - 1) / size;
    if (parsed.blocks.size() != started) {
      throw LineFault{column, format_.blocks, std::to_string(parsed.blocks.size()) + " ids",
                      std::to_string(started) + ", one for each " + std::to_string(size) + " of " +
                          std::to_string(tokens) + " tokens"};
    }
    if (tokens % size != 0) parsed.blocks.truncate(tokens / size);
  }

  const TraceFormat& format_;
  std::vector<JsonPath> paths_;
  JsonPaths turn_paths_ = 0;  // those of a turn in a list
};

/// [input, output]
class JsonPairParser final : public LineParser {
 public:
  void parse(std::string_view line, std::vector<ParsedLine>& parsed) const override {
    parsed.resize(1);
    ParsedLine& out = parsed.front();
    JsonCursor cursor(line);
    cursor.expect('[', "");
    int column = cursor.column();
    out.input_field = {cursor.scalar(), column, "input"};
    out.input_tokens = parse_tokens(out.input_field);
    cursor.expect(',', "");
    column = cursor.column();
    out.output_field = {cursor.scalar(), column, "output"};
    out.output_tokens = parse_tokens(out.output_field);
    cursor.expect(']', "");
    if (!cursor.done()) cursor.refuse("", "the end of the pair");
  }
};

}  // namespace

std::size_t decoded_bytes(std::string_view raw) {
  std::size_t bytes = 0;
  for (std::size_t at = 0; at < raw.size(); ++at, ++bytes) {
    if (raw[at] != '\\' || at + 1 == raw.size()) continue;
    ++at;
    if (raw[at] != 'u' || at + 4 >= raw.size()) continue;
    // Two bytes for Latin, Greek and their like, three for others; a pair of surrogates makes four, two each.
    const bool ascii = raw.substr(at + 1, 2) == "00" && raw[at + 3] < '8';
    const bool two = raw[at + 1] == '0' && raw[at + 2] < '8';
    const bool surrogate = (raw[at + 1] == 'd' || raw[at + 1] == 'D') && raw[at + 2] >= '8';
    bytes += ascii ? 0 : two || surrogate ? 1 : 2;
    at += 4;
  }
  return bytes;
}

std::unique_ptr<LineParser> json_record_parser(const TraceFormat& format) {
  return std::make_unique<JsonRecordParser>(format);
}

std::unique_ptr<LineParser> json_pair_parser(const TraceFormat& /*format*/) {
  return std::make_unique<JsonPairParser>();
}

}  // namespace flopcast
