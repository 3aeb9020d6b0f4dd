// The user's own order as text. Errors are collected, with line and column, and thrown together.
#include <algorithm>
#include <charconv>
#include <optional>

#include "workloads/schedules/rank_order.h"
#include "workloads/schedules/schedule.h"
#include "workloads/schedules/schedule_violations.h"

namespace flopcast {
namespace {

constexpr std::size_t kMostPasses = 3 * static_cast<std::size_t>(kMostCells);

std::string half_to_text(char letter, int micro_batch, int chunk, bool show_chunk) {
  return letter + std::to_string(micro_batch) + (show_chunk ? "." + std::to_string(chunk) : "");
}

/// A word of a line and where it starts (1-based column).
struct Word {
  std::string_view text;
  int column;
};

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 24;
  std::string out = "'";
  for (const char c : text.substr(0, kShown)) out += c >= ' ' && c <= '~' ? c : '?';
  return out + (text.size() > kShown ? "...'" : "'");
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::vector<Word> words_of(std::string_view line) {
  std::vector<Word> words;
  std::size_t at = 0;
  while (at < line.size()) {
    while (at < line.size() && is_space(line[at])) ++at;
    const std::size_t begin = at;
    while (at < line.size() && !is_space(line[at])) ++at;
    if (at > begin) words.push_back({line.substr(begin, at - begin), static_cast<int>(begin) + 1});
  }
  return words;
}

std::optional<int> to_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// `F3.1`: letter, micro-batch and, after the dot, chunk.
struct Half {
  char letter;
  int micro_batch;
  int chunk;
};

std::optional<Half> to_half(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const char letter = text.front();
  text.remove_prefix(1);
  std::optional<int> chunk = 0;
  if (const std::size_t dot = text.find('.'); dot != std::string_view::npos) {
    chunk = to_number(text.substr(dot + 1));
    text = text.substr(0, dot);
  }
  const std::optional<int> micro_batch = to_number(text);
  if (!micro_batch || !chunk) return std::nullopt;
  return Half{letter, *micro_batch, *chunk};
}

std::optional<PassKind> to_kind(char letter) {
  switch (letter) {
    case 'F':
      return PassKind::forward;
    case 'B':
      return PassKind::backward;
    case 'I':
      return PassKind::backward_input;
    case 'W':
      return PassKind::backward_weight;
    default:
      return std::nullopt;
  }
}

class Reader {
 public:
  Reader(std::string_view text, const std::string& file, const ScheduleRequest& request)
      : text_(text), file_(file), request_(request), rank_lines_(request.ranks), stage_lines_(request.ranks) {
    schedule_.name = "user";
    schedule_.ranks = request.ranks;
    schedule_.micro_batches = request.micro_batches;
    schedule_.order.resize(request.ranks);
    schedule_.stage_of.resize(request.ranks);
  }

  Schedule read() && {
    read_lines();
    stop_if_wrong();
    find_missing_lines();
    place_stages();
    stop_if_wrong();
    choose_directions();
    schedule_.declared_peak_activations = peak_activations(schedule_);
    report_violations();
    stop_if_wrong();
    return std::move(schedule_);
  }

 private:
  /// Where the pieces of a line stand, to point at them later.
  struct Line {
    int number = 0;  // 0: not seen
    std::vector<int> columns;
  };

  void complain(int line, int column, std::string found, std::string expected, std::string suggestion = "") {
    if (diagnostics_.size() >= kMostViolations) return;
    diagnostics_.push_back({.file = file_,
                            .line = line,
                            .column = column,
                            .field = "training.schedule_file",
                            .found = std::move(found),
                            .expected = std::move(expected),
                            .suggestion = std::move(suggestion)});
  }

  void stop_if_wrong() {
    if (!diagnostics_.empty()) throw InputError(std::move(diagnostics_));
  }

  /// Beyond a few mistakes, and beyond any sane size, reading on serves nobody.
  bool give_up() const { return diagnostics_.size() >= kMostViolations || passes_ > kMostPasses; }

  void read_lines() {
    int number = 0;
    for (std::string_view rest = text_; !rest.empty() && !give_up();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      read_line(rest.substr(0, end), ++number);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }

  void read_line(std::string_view line, int number) {
    line = line.substr(0, line.find('#'));
    const auto control = std::ranges::find_if(line, [](char c) { return c >= 0 && c < ' ' && !is_space(c); });
    if (control != line.end()) {
      complain(number, static_cast<int>(control - line.begin()) + 1,
               "a control character (" + std::to_string(static_cast<int>(*control)) + ")", "text");
      return;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      if (const auto words = words_of(line); !words.empty()) {
        complain(number, words.front().column, quoted(words.front().text),
                 "a line such as `0: F0 B0` or `stages: 0: 0 1`");
      }
      return;
    }
    const auto head = words_of(line.substr(0, colon));
    const int column = head.empty() ? 1 : head.front().column;
    if (head.size() == 1 && head.front().text == "stages") {
      read_stages(line, colon + 1, number);
    } else if (const auto rank = read_rank(head, number, column, rank_lines_)) {
      read_passes(*rank, line, colon + 1, number);
    }
  }

  /// The rank that a line is about, once per kind of line.
  std::optional<int> read_rank(const std::vector<Word>& head, int number, int column, std::vector<Line>& lines) {
    const auto rank = head.size() == 1 ? to_number(head.front().text) : std::nullopt;
    if (!rank || *rank >= request_.ranks) {
      complain(number, column, head.empty() ? "nothing before ':'" : quoted(head.front().text),
               "a rank, 0 to " + std::to_string(request_.ranks - 1) + ", in a line such as `0: F0 B0`");
      return std::nullopt;
    }
    if (lines[*rank].number != 0) {
      complain(number, column, "rank " + std::to_string(*rank) + " again",
               "one line per rank; the first is line " + std::to_string(lines[*rank].number));
      return std::nullopt;
    }
    lines[*rank].number = number;
    return rank;
  }

  void read_stages(std::string_view line, std::size_t begin, int number) {
    const std::size_t colon = line.find(':', begin);
    if (colon == std::string_view::npos) {
      complain(number, static_cast<int>(begin), "no second ':'", "'stages: RANK: stages'");
      return;
    }
    const auto head = words_of(line.substr(0, colon).substr(begin));
    const auto rank = read_rank(head, number, static_cast<int>(begin) + 1, stage_lines_);
    if (!rank) return;
    for (const Word& word : words_of(line.substr(colon + 1))) {
      const int column = word.column + static_cast<int>(colon) + 1;
      const auto stage = to_number(word.text);
      if (!stage || *stage >= request_.ranks * kMostChunks) {
        complain(number, column, quoted(word.text), "a stage, counted from 0");
      } else if (schedule_.stage_of[*rank].size() >= kMostChunks) {
        complain(number, column, "more than " + std::to_string(kMostChunks) + " stages", "fewer on one rank");
        return;
      } else {
        schedule_.stage_of[*rank].push_back(*stage);
      }
    }
    if (schedule_.stage_of[*rank].empty()) complain(number, static_cast<int>(colon) + 1, "no stages", "at least one");
  }

  void read_passes(int rank, std::string_view line, std::size_t begin, int number) {
    auto& order = schedule_.order[rank];
    auto& columns = rank_lines_[rank].columns;
    std::size_t at = begin;
    while (!give_up()) {
      while (at < line.size() && is_space(line[at])) ++at;
      if (at >= line.size()) return;
      const std::size_t word_begin = at;
      while (at < line.size() && !is_space(line[at])) ++at;
      const Word word{line.substr(word_begin, at - word_begin), static_cast<int>(word_begin) + 1};
      const auto pass = read_pass(word, number);
      if (!pass) continue;
      order.push_back(*pass);
      columns.push_back(word.column);
      if (++passes_ > kMostPasses) {
        complain(number, word.column, "more than " + std::to_string(kMostPasses) + " passes", "fewer");
      }
    }
  }

  std::optional<Pass> read_pass(const Word& word, int number) {
    const std::size_t ampersand = word.text.find('&');
    const auto first = to_half(word.text.substr(0, ampersand));
    const auto kind = first ? to_kind(first->letter) : std::nullopt;
    if (!kind) return unknown(word, number);
    if (!in_range(*first, word, number)) return std::nullopt;
    Pass pass{.kind = *kind,
              .chunk = static_cast<std::uint16_t>(first->chunk),
              .micro_batch = static_cast<std::uint16_t>(first->micro_batch)};
    if (ampersand == std::string_view::npos) return pass;

    const auto second = to_half(word.text.substr(ampersand + 1));
    if (!second || first->letter != 'F' || second->letter != 'B') return unknown(word, number);
    if (!in_range(*second, word, number)) return std::nullopt;
    pass.kind = PassKind::overlapped;
    pass.backward_chunk = static_cast<std::uint16_t>(second->chunk);
    pass.backward_micro_batch = static_cast<std::uint16_t>(second->micro_batch);
    return pass;
  }

  std::optional<Pass> unknown(const Word& word, int number) {
    complain(number, word.column, quoted(word.text),
             "a pass: F<micro-batch>, B (full backward), I (input only), W (weights), .<chunk> after it, "
             "F...&B...");
    return std::nullopt;
  }

  bool in_range(const Half& half, const Word& word, int number) {
    if (half.micro_batch >= request_.micro_batches) {
      complain(number, word.column, quoted(word.text),
               "micro-batches 0 to " + std::to_string(request_.micro_batches - 1));
    } else if (half.chunk >= kMostChunks) {
      complain(number, word.column, quoted(word.text), "chunks 0 to " + std::to_string(kMostChunks - 1));
    } else {
      return true;
    }
    return false;
  }

  void find_missing_lines() {
    const bool any_stages = std::ranges::any_of(stage_lines_, [](const Line& line) { return line.number != 0; });
    for (int rank = 0; rank < request_.ranks; ++rank) {
      const std::string number = std::to_string(rank);
      if (rank_lines_[rank].number == 0) complain(0, 0, "no line for rank " + number, "'" + number + ": passes'");
      if (any_stages && stage_lines_[rank].number == 0) {
        complain(0, 0, "stages of some ranks, but not of rank " + number, "'stages: " + number + ": ...'");
      }
    }
  }

  int chunks_used(int rank) const {
    int chunks = 1;
    for (const Pass& pass : schedule_.order[rank]) chunks = std::max({chunks, pass.chunk + 1, pass.backward_chunk + 1});
    return chunks;
  }

  /// Without stage lines the pipeline goes round: chunk c of rank r is stage c P + r.
  void place_stages() {
    if (stage_lines_.front().number == 0) {
      int chunks = 1;
      for (int rank = 0; rank < request_.ranks; ++rank) chunks = std::max(chunks, chunks_used(rank));
      for (int rank = 0; rank < request_.ranks; ++rank) {
        for (int chunk = 0; chunk < chunks; ++chunk) {
          schedule_.stage_of[rank].push_back(round_robin_stage(request_.ranks, rank, chunk));
        }
      }
    }
    for (const auto& stages : schedule_.stage_of) {
      for (const int stage : stages) schedule_.stages = std::max(schedule_.stages, stage + 1);
    }
    const long cells = static_cast<long>(schedule_.stages) * request_.micro_batches;
    if (cells > kMostCells) {
      complain(
          0, 0,
          std::to_string(schedule_.stages) + " stages and " + std::to_string(request_.micro_batches) + " micro-batches",
          "at most " + std::to_string(kMostCells) + " (stage, micro-batch) pairs");
    }
  }

  /// Of two copies of a stage a micro-batch uses the one that its first listed forward names.
  void choose_directions() {
    constexpr std::uint8_t kUndecided = 2;
    std::vector<std::uint8_t> direction(request_.micro_batches, kUndecided);
    const auto ways = {schedule_.path(0), schedule_.path(1)};
    for (int rank = 0; rank < request_.ranks; ++rank) {
      const auto& stages = schedule_.stage_of[rank];
      for (const Pass& pass : schedule_.order[rank]) {
        const bool forward = pass.kind == PassKind::forward || pass.kind == PassKind::overlapped;
        if (!forward || direction[pass.micro_batch] != kUndecided || pass.chunk >= stages.size()) continue;
        const auto here = [&](const std::vector<Schedule::Location>& path) {
          const Schedule::Location& place = path[stages[pass.chunk]];
          return place.rank == rank && place.chunk == pass.chunk;
        };
        const bool up = here(ways.begin()[0]), down = here(ways.begin()[1]);
        if (up != down) direction[pass.micro_batch] = down ? 1 : 0;
      }
    }
    std::ranges::replace(direction, kUndecided, std::uint8_t{0});
    schedule_.direction_of = std::move(direction);
    schedule_.overlaps = std::ranges::any_of(schedule_.order, [](const auto& order) {
      return std::ranges::any_of(order, [](const Pass& pass) { return pass.kind == PassKind::overlapped; });
    });
  }

  void report_violations() {
    for (const Violation& violation : find_violations(schedule_)) {
      Diagnostic diagnostic = violation.diagnostic;
      diagnostic.file = file_;
      if (violation.place) {
        const Line& line = rank_lines_[violation.place->rank];
        diagnostic.line = line.number;
        diagnostic.column = line.columns[violation.place->position];
      }
      diagnostic.field = "training.schedule_file";
      diagnostics_.push_back(std::move(diagnostic));
    }
  }

  std::string_view text_;
  const std::string& file_;
  const ScheduleRequest& request_;
  Schedule schedule_;
  std::vector<Line> rank_lines_, stage_lines_;  // [rank]
  std::vector<Diagnostic> diagnostics_;
  std::size_t passes_ = 0;
};

}  // namespace

Schedule parse_schedule(const std::string& text, const std::string& file, const ScheduleRequest& request) {
  if (auto diagnostics = check_sizes(request, request.chunks); !diagnostics.empty()) {
    throw InputError(std::move(diagnostics));
  }
  return Reader(text, file, request).read();
}

std::string to_text(const Pass& pass, bool show_chunk) {
  if (pass.kind == PassKind::overlapped) {
    return half_to_text('F', pass.micro_batch, pass.chunk, show_chunk) + "&" +
           half_to_text('B', pass.backward_micro_batch, pass.backward_chunk, show_chunk);
  }
  return half_to_text(name(pass.kind).front(), pass.micro_batch, pass.chunk, show_chunk);
}

std::string to_text(const Schedule& schedule) {
  std::string out = "# " + schedule.name + ": " + std::to_string(schedule.ranks) + " ranks, " +
                    std::to_string(schedule.micro_batches) + " micro-batches\n";
  for (int rank = 0; rank < schedule.ranks; ++rank) {
    out += "stages: " + std::to_string(rank) + ":";
    for (const int stage : schedule.stage_of[rank]) out.append(" ").append(std::to_string(stage));
    out += "\n";
  }
  for (int rank = 0; rank < schedule.ranks; ++rank) {
    out += std::to_string(rank) + ":";
    for (const Pass& pass : schedule.order[rank])
      out.append(" ").append(to_text(pass, schedule.stage_of[rank].size() > 1));
    out += "\n";
  }
  return out;
}

}  // namespace flopcast
