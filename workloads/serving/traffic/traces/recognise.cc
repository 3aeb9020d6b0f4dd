#include "workloads/serving/traffic/traces/recognise.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/base/diagnostic.h"
#include "workloads/serving/traffic/traces/json_cursor.h"
#include "workloads/serving/traffic/traces/line_parsers.h"
#include "workloads/serving/traffic/traces/record_texts.h"

namespace flopcast {
namespace {

constexpr std::string_view kMark = "\xef\xbb\xbf";  // of byte order
/// Of a file this much is looked at before anything is read.
constexpr std::size_t kHead = 256u << 10;
constexpr int kDeepest = 3;  // nested keys that are looked at

struct UnitRow {
  std::string_view name;
  double seconds;  // 0: dates
};
constexpr std::array<UnitRow, 7> kUnits{
    {{"s", 1.0}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"min", 60.0}, {"h", 3600.0}, {"date", 0.0}}};

using Names = std::vector<std::string>;

std::string joined(const Names& names, std::string_view between = ", ") {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : std::string(between)) + name;
  return text;
}

bool has_any(const Names& names, std::string_view alternatives) {
  bool there = false;
  for_each_name(alternatives, [&](std::string_view name) { there = there || std::ranges::count(names, name) > 0; });
  return there;
}

bool has_all(const Names& names, const TraceFormat& format) {
  return std::ranges::all_of(format.needs, [&](const std::string& need) { return has_any(names, need); });
}

/// Whether a file that `general` fits needs less than one that `special` fits.
bool is_special_case(const TraceFormat& special, const TraceFormat& general) {
  if (std::ranges::count(special.instead_of, general.name) > 0) return true;
  return special.needs.size() > general.needs.size() &&
         std::ranges::all_of(general.needs, [&](const std::string& need) {
           return std::ranges::any_of(special.needs, [&](const std::string& own) {
             bool shared = own == need;
             for_each_name(own, [&](std::string_view a) {
               for_each_name(need, [&](std::string_view b) { shared = shared || a == b; });
             });
             return shared;
           });
         });
}

/// Keys of the object that begins here, nested ones with dots, as far as the text goes.
void collect_keys(JsonCursor& cursor, const std::string& prefix, int depth, Names& keys) {
  cursor.expect('{', "");
  if (cursor.accept('}')) return;
  do {
    const std::string key = prefix + std::string(cursor.string(""));
    cursor.expect(':', key);
    keys.push_back(key);
    if (depth < kDeepest && cursor.peek() == '{')
      collect_keys(cursor, key + ".", depth + 1, keys);
    else
      cursor.skip_value(key);
  } while (cursor.accept(','));
  cursor.expect('}', "");
}

/// Also of an object that is cut off.
Names keys_of(std::string_view text) {
  Names keys;
  try {
    JsonCursor cursor(text);
    collect_keys(cursor, "", 1, keys);
  } catch (const LineFault&) {
  }
  return keys;
}

/// A column that two of the roles name; null: none.
const std::string* named_twice(const TraceColumns& columns) {
  const std::string* const all[] = {&columns.time,    &columns.input, &columns.output,
                                    &columns.session, &columns.delay, &columns.blocks};
  for (std::size_t i = 0; i < std::size(all); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (!all[i]->empty() && *all[i] == *all[j]) return all[i];
  return nullptr;
}

class Recogniser {
 public:
  Recogniser(LineReader& file, const std::string& format, const TraceColumns& columns)
      : file_(file), stated_(format), columns_(columns) {}

  RecognisedTrace run() {
    head_ = file_.head(kHead);
    std::string_view text = head_;
    if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos)
      throw InputError(Diagnostic{.file = file_.path(), .found = "an empty file", .expected = "a request trace"});
    text.remove_prefix(first);
    line_ = 1 + static_cast<int>(std::count(head_.begin(), head_.begin() + (text.data() - head_.data()), '\n'));
    check_columns();
    if (text.front() == '{') return object(text);
    if (text.front() == '[') return list(text);
    return table();
  }

 private:
  [[noreturn]] void refuse(std::string found, std::string expected, std::string remedy = "") const {
    throw InputError(Diagnostic{.file = file_.path(),
                                .line = line_,
                                .column = 1,
                                .found = std::move(found),
                                .expected = std::move(expected),
                                .remedy = std::move(remedy)});
  }

  void check_columns() const {
    const auto unknown_unit = [&](const std::string& unit) {
      return !unit.empty() && std::ranges::find(kUnits, unit, &UnitRow::name) == kUnits.end();
    };
    if (unknown_unit(columns_.unit) || unknown_unit(columns_.delay_unit) || columns_.delay_unit == "date")
      refuse("the unit " + shown(unknown_unit(columns_.unit) ? columns_.unit : columns_.delay_unit),
             "s, ms, us, ns, min, h or date");
    if (!columns_.time.empty() && columns_.unit.empty())
      refuse("a column of times without a unit", "unit: \"s\", \"ms\", \"us\", \"ns\", \"min\", \"h\" or \"date\"");
    if (columns_.name_columns() && (columns_.input.empty() || columns_.output.empty()))
      refuse("columns without " + std::string(columns_.input.empty() ? "input" : "output"), "input and output");
    if (columns_.name_columns() && !columns_.blocks.empty() && columns_.block_tokens == 0)
      refuse("ids of blocks without their size", "block_tokens");
    if (columns_.name_columns() && !columns_.delay.empty() && columns_.session.empty())
      refuse("delays without sessions", "the column of sessions");
    if (!columns_.delay.empty() && columns_.delay_unit.empty())
      refuse("a column of delays without a unit", "delay_unit: \"s\", \"ms\", \"us\" or \"ns\"");
    if (!stated_.empty() && find_trace_format(stated_) == nullptr) {
      Names names;
      for (const TraceFormat& format : trace_formats()) names.push_back(format.name);
      throw InputError(Diagnostic{.file = file_.path(),
                                  .found = "the format " + shown(stated_),
                                  .expected = one_of(stated_, names),
                                  .suggestion = nearest_name(stated_, names)});
    }
    if (!stated_.empty() && columns_.name_columns()) refuse("a format and columns", "one of them");
    if (const std::string* twice = named_twice(columns_))
      refuse("the column " + shown(*twice) + " named twice", "a column of its own for each");
  }

  /// Columns that not every record has: a table's header has them, and one of the first objects.
  void check_there(const Names& names, std::string_view text) const {
    Names missing;
    for (const std::string* name : {&columns_.session, &columns_.delay, &columns_.blocks})
      if (!name->empty() && !has_any(names, *name) && !mentions_any(text, *name)) missing.push_back(*name);
    refuse_missing(missing, names);
  }

  void refuse_missing(const Names& missing, const Names& names) const {
    if (missing.empty()) return;
    throw InputError(Diagnostic{.file = file_.path(),
                                .line = line_,
                                .column = 1,
                                .found = "no " + joined(missing, " and no ") + " among " + shown_names(names),
                                .expected = "the columns that were named",
                                .suggestion = nearest_name(missing.front(), names)});
  }

  /// What was stated and would change nothing.
  void check_effects(const TraceFormat& format) const {
    std::vector<Diagnostic> faults;
    const auto need = [&](bool stated, bool holds, const char* found, const char* expected) {
      if (!stated || holds) return;
      faults.push_back({.file = file_.path(), .line = line_, .column = 1, .found = found, .expected = expected});
    };
    const bool sessions = !format.session.empty() || !format.turn_list.empty();
    if (format.shape == TraceShape::columns || format.shape == TraceShape::pairs)
      need(!columns_.session.empty() || !columns_.delay.empty() || !columns_.blocks.empty(), false,
           "sessions, delays or blocks of requests that stand in lists by column, or in pairs",
           "a table, or an object per request");
    need(!columns_.unit.empty(), format.time_notation != TimeNotation::none, "a unit of times without times",
         "the column of times, or no unit");
    need(!columns_.delay.empty(), sessions, "delays without sessions", "the column of sessions");
    need(!columns_.delay_unit.empty(), format.waits(), "a unit of delays without delays",
         "the column of delays, or no delay_unit");
    need(!columns_.turns.empty(), sessions, "what turns count, without sessions", "the column of sessions");
    need(columns_.block_tokens > 0,
         !format.blocks.empty() || !format.token_ids.empty() || format.turns == TurnLength::added,
         "the size of blocks without blocks", "the column of blocks, or no block_tokens");
    need(!columns_.blocks.empty(), format.turns != TurnLength::added, "ids of blocks where turns add to their session",
         "turns: \"whole\"");
    if (!faults.empty()) throw InputError(std::move(faults));
  }

  /// A column that stands twice, or two that mean the same: nobody knows which is meant.
  void check_once(const TraceFormat& format, const Names& names) const {
    std::vector<Diagnostic> faults;
    for (const std::string* role :
         {&format.time, &format.input, &format.output, &format.session, &format.delay, &format.blocks}) {
      Names there;
      for_each_name(*role, [&](std::string_view name) {
        for (std::ptrdiff_t n = std::ranges::count(names, name); n > 0; --n) there.emplace_back(name);
      });
      if (there.size() > 1)
        faults.push_back({.file = file_.path(),
                          .line = line_,
                          .column = 1,
                          .found = "columns " + joined(there, " and "),
                          .expected = "one of them"});
    }
    if (!faults.empty()) throw InputError(std::move(faults));
  }

  /// "500" is a text of one token, and was hardly meant so where all texts of the key are numbers.
  void check_texts(const TraceFormat& format, std::string_view text) const {
    if (columns_.bytes_per_token <= 0 || format.shape != TraceShape::records) return;
    for (const std::string* role : {&format.input, &format.output}) {
      for_each_name(*role, [&](std::string_view name) {
        const std::string_view example = only_numbers(text, last_key(name));
        if (!example.empty())
          refuse("numbers in quotes, such as \"" + std::string(name) + "\": " + shown(example),
                 "texts, or numbers of tokens without quotes");
      });
    }
  }

  /// Lines of objects, or one object with a list for each column.
  RecognisedTrace object(std::string_view text) {
    const Names keys = keys_of(first_that_succeeded(text));
    if (const auto lists = object_of_lists(text)) return *lists;
    check_there(keys, text);
    return finish(decide(keys, TraceShape::records), "an object per line with " + joined(keys), text, false);
  }

  std::optional<RecognisedTrace> object_of_lists(std::string_view text) {
    const Names keys = keys_of(text);
    const auto is_list = [&](std::string_view key) {
      const std::size_t at = text.find('"' + std::string(key) + '"');
      if (at == std::string_view::npos) return false;
      const std::size_t colon = text.find_first_not_of(" \t\r\n:", at + key.size() + 2);
      return colon != std::string_view::npos && text[colon] == '[';
    };
    if (columns_.name_columns()) {
      if (!is_list(columns_.input) || !is_list(columns_.output)) return std::nullopt;
      return finish(named(TraceShape::columns), "lists named by the user", text, false);
    }
    for (const TraceFormat& format : trace_formats()) {
      if (format.shape != TraceShape::columns || (!stated_.empty() && stated_ != format.name)) continue;
      if (!is_list(format.input) || !is_list(format.output)) continue;
      TraceFormat found = format;
      if (!has_any(keys, format.time)) found.time_notation = TimeNotation::none;
      return finish(std::move(found),
                    "one object with lists " + joined(format.needs) +
                        (found.time_notation == TimeNotation::none ? ", no " + format.time : " and " + format.time),
                    text, false);
    }
    return std::nullopt;
  }

  RecognisedTrace list(std::string_view text) {
    std::string_view element = text.substr(1);
    element.remove_prefix(std::min(element.find_first_not_of(" \t\r\n"), element.size()));
    if (element.starts_with('[')) {
      if (columns_.name_columns()) refuse("a list of lists, whose elements have no names", "objects, or no columns");
      return finish(*find_trace_format("pairs"), "a list of lists", text, true);
    }
    if (!element.starts_with('{')) refuse(shown(element), "a list of objects, or of pairs [input, output]");
    const Names keys = keys_of(element);
    check_there(keys, element);
    return finish(decide(keys, TraceShape::records), "a list of objects with " + joined(keys), element, true);
  }

  RecognisedTrace table() {
    std::string_view line;
    bool first = true;
    while (file_.next(line)) {
      if (std::exchange(first, false) && line.starts_with(kMark)) line.remove_prefix(kMark.size());
      const std::size_t begin = line.find_first_not_of(" \t");
      if (begin != std::string_view::npos && line[begin] != '#') break;
    }
    line_ = file_.number();
    const std::string header(line);
    const Names names = header_names(header);
    check_there(names, {});
    RecognisedTrace found = finish(decide(names, TraceShape::table), "a header with " + joined(names), {}, false);
    check_once(*found.format, names);
    found.header = header;
    return found;
  }

  /// A format that the user's columns make.
  TraceFormat named(TraceShape shape) const {
    TraceFormat format{.name = "columns", .title = "columns as stated", .source = "the user", .shape = shape};
    format.time = columns_.time;
    format.input = columns_.input;
    format.output = columns_.output;
    format.session = columns_.session;
    format.delay = columns_.delay;
    format.blocks = columns_.blocks;
    if (columns_.time.empty()) format.time_notation = TimeNotation::none;
    return format;
  }

  TraceFormat decide(const Names& names, TraceShape shape) const {
    if (columns_.name_columns()) {
      Names missing;
      for (const std::string* name : {&columns_.time, &columns_.input, &columns_.output})
        if (!name->empty() && !has_any(names, *name)) missing.push_back(*name);
      // Later turns may have no time: the first record has it, or the file is not what was meant.
      refuse_missing(missing, names);
      return named(shape);
    }
    std::vector<const TraceFormat*> fits;
    for (const TraceFormat& format : trace_formats()) {
      if (format.shape != shape || format.needs.empty() || !has_all(names, format)) continue;
      if (stated_.empty() || stated_ == format.name) fits.push_back(&format);
    }
    std::erase_if(fits, [&](const TraceFormat* general) {
      return std::ranges::any_of(fits, [&](const TraceFormat* special) { return is_special_case(*special, *general); });
    });
    if (fits.empty())
      refuse(shown_names(names), stated_.empty() ? known_formats(shape, names) : needs_of(stated_), remedy());
    if (fits.size() > 1) ambiguous(names, fits);
    return *fits.front();
  }

  static std::string shown_names(const Names& names) {
    constexpr std::size_t kMost = 12;
    Names few(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kMost)));
    return (names.size() == 1 ? "" : "columns ") + (names.empty() ? "no names" : shown(joined(few)));
  }
  static std::string remedy() {
    return "the file's own names: --time, --unit, --input, --output of `flopcast trace`, or trace { file: ... columns "
           "{ "
           "time: \"...\" unit: \"s\" input: \"...\" output: \"...\" } } of a scenario";
  }
  static std::string needs_of(const std::string& name) {
    return joined(find_trace_format(name)->needs) + ", as " + name + " has them";
  }
  /// Those that come nearest to the names that there are, and how many there are beside.
  static std::string known_formats(TraceShape shape, const Names& names) {
    constexpr std::size_t kShown = 3;
    std::vector<const TraceFormat*> known;
    for (const TraceFormat& format : trace_formats())
      if (format.shape == shape && !format.needs.empty()) known.push_back(&format);
    std::ranges::stable_sort(known, std::greater<>(), [&](const TraceFormat* format) {
      return std::ranges::count_if(format->needs, [&](const std::string& need) { return has_any(names, need); });
    });
    std::string text = shape == TraceShape::table ? "a header with" : "an object per request with";
    for (std::size_t i = 0; i < std::min(kShown, known.size()); ++i)
      text += std::string(i == 0 ? " " : "; ") + joined(known[i]->needs) + " (" + known[i]->name + ")";
    if (known.size() > kShown)
      text += ", or one of " + std::to_string(known.size() - kShown) + " others (`flopcast trace formats`)";
    return text;
  }

  [[noreturn]] void ambiguous(const Names& names, const std::vector<const TraceFormat*>& fits) const {
    std::string found = joined(names) + ", which ";
    Names kinds, remedies;
    for (const TraceFormat* format : fits) {
      kinds.push_back(format->name + " has (" + format->title + ")");
      remedies.push_back("format: \"" + format->name + "\"");
    }
    refuse(found + joined(kinds, " and "), "a file that only one format fits", joined(remedies, " or "));
  }

  /// What the user states changes what was found.
  void apply(TraceFormat& format) const {
    if (!columns_.unit.empty() && format.time_notation != TimeNotation::none) {
      const auto unit = std::ranges::find(kUnits, columns_.unit, &UnitRow::name);
      format.time_notation = unit->seconds > 0 ? TimeNotation::number : TimeNotation::date;
      format.time_unit = unit->seconds > 0 ? unit->seconds : 1.0;
    }
    if (!columns_.delay_unit.empty())
      format.delay_unit = std::ranges::find(kUnits, columns_.delay_unit, &UnitRow::name)->seconds;
    if (!columns_.name_columns()) {
      for (const auto& [stated, member] :
           {std::pair(&columns_.session, &TraceFormat::session), std::pair(&columns_.delay, &TraceFormat::delay),
            std::pair(&columns_.blocks, &TraceFormat::blocks)})
        if (!stated->empty()) format.*member = *stated;
      if (!columns_.session.empty()) format.parent.clear();
    }
    if (columns_.block_tokens > 0) format.block_tokens = columns_.block_tokens;
    if (!columns_.turns.empty()) format.turns = columns_.turns == "added" ? TurnLength::added : TurnLength::whole;
    if (columns_.bytes_per_token > 0) format.bytes_per_token = columns_.bytes_per_token;
  }

  /// A few of the first records, to look at numbers.
  std::vector<ParsedLine> sample(const TraceFormat& format, std::string_view text) const {
    TraceFormat lenient = format;
    lenient.blocks.clear();  // counted below
    std::vector<ParsedLine> all, parsed;
    const auto parser = json_record_parser(lenient);
    for (int i = 0; i < kSampledRecords; ++i) {
      const std::size_t end = text.find('\n');
      if (end == std::string_view::npos) break;
      try {
        parser->parse(text.substr(0, end), parsed);
        for (ParsedLine& line : parsed) {
          line.chain.assign(1, ids_in(text.substr(0, end), format.blocks));
          if (line.chain.front() > 0) all.push_back(line);
        }
      } catch (const LineFault&) {
      }
      text.remove_prefix(end + 1);
    }
    return all;
  }

  /// How many tokens a block has shows in the number of ids: one for each that is begun.
  void find_block_size(TraceFormat& format, std::string_view text, std::string& evidence) const {
    if (format.blocks.empty() || columns_.block_tokens > 0 || format.shape != TraceShape::records) return;
    if (format.full_blocks_only) return own_block_size(format, text);
    const std::vector<ParsedLine> lines = sample(format, text);
    if (lines.empty()) return;
    std::vector<int> sizes;
    for (int size = 1; size <= kLargestBlock; size *= 2) {
      const auto fits = [&](const ParsedLine& line) {
        return line.chain.front() == static_cast<std::uint64_t>((line.input_tokens + size - 1) / size);
      };
      if (std::ranges::all_of(lines, fits)) sizes.push_back(size);
    }
    const std::string records = lines.size() == 1 ? "the first record" : "the first " + std::to_string(lines.size());
    if (std::ranges::count(sizes, format.block_tokens) > 0) {
      evidence += "; " + format.blocks + " with one id for each " + std::to_string(format.block_tokens) +
                  " tokens begun, in " + records;
      return;
    }
    if (sizes.size() != 1 || format.name == "bailian") return;  // each line is refused, where it stands
    if (format.name == "mooncake" && sizes.front() == kBailianBlock && stated_.empty() && columns_.unit.empty())
      refuse(joined({"timestamp", "input_length", "output_length", "hash_ids"}) +
                 " with an id for each 16 tokens: Mooncake's and Dynamo's form counts milliseconds, Bailian's, whose "
                 "blocks these are, seconds",
             "a file that only one format fits", "columns { unit: \"s\" } or columns { unit: \"ms\" }");
    format.block_tokens = sizes.front();
    evidence += "; " + format.blocks + " with one id for each " + std::to_string(sizes.front()) + " tokens begun, in " +
                records;
  }

  static void own_block_size(TraceFormat& format, std::string_view text) {
    constexpr std::string_view kKey = "\"block_tokens\":";
    const std::size_t at = text.find(kKey);
    if (at == std::string_view::npos) return;
    const std::size_t begin = text.find_first_not_of(' ', at + kKey.size());
    int size = 0;
    if (begin != std::string_view::npos) std::from_chars(text.data() + begin, text.data() + text.size(), size);
    if (size > 0 && size <= kLargestBlock) format.block_tokens = size;
  }

  RecognisedTrace finish(TraceFormat format, std::string evidence, std::string_view text, bool list) const {
    apply(format);
    check_effects(format);
    check_texts(format, text);
    find_block_size(format, text, evidence);
    if (!stated_.empty()) evidence += "; the format was stated";
    if (columns_.name_columns()) evidence += "; the columns were named";
    // Without ids that cover the whole prompt, a turn's length is what it adds: so AIPerf replays it.
    if (columns_.turns.empty() && format.name == "aiperf" && !mentions(text, format.blocks)) {
      format.turns = TurnLength::added;
      evidence += "; no ids of blocks, so each turn's input is what it adds to its session";
    }
    if (format.turns == TurnLength::added) {
      format.blocks.clear();
      format.block_tokens = columns_.block_tokens > 0 ? columns_.block_tokens : kSessionBlock;
    } else if (format.blocks.empty() && format.token_ids.empty()) {
      format.block_tokens = 0;
    } else if (format.block_tokens == 0) {
      // Of our own records the first with blocks may stand further behind than was looked.
      if (!columns_.blocks.empty() || mentions(text, format.blocks))
        refuse("ids of blocks without their size", "block_tokens");
    }
    return {std::make_shared<const TraceFormat>(std::move(format)), std::move(evidence), "", list};
  }

  static constexpr int kLargestBlock = 4096, kBailianBlock = 16;
  static constexpr int kSessionBlock = 64;  // of the blocks by which turns find what was said before

  LineReader& file_;
  std::string stated_;
  const TraceColumns& columns_;
  std::string_view head_;
  int line_ = 1;
};

constexpr auto kUnitNames = [] {
  std::array<std::string_view, kUnits.size()> names;
  for (std::size_t i = 0; i < kUnits.size(); ++i) names[i] = kUnits[i].name;
  return names;
}();

}  // namespace

std::span<const std::string_view> time_unit_names() { return kUnitNames; }

RecognisedTrace recognise_trace(LineReader& file, const std::string& format, const TraceColumns& columns) {
  return Recogniser(file, format, columns).run();
}

}  // namespace flopcast
