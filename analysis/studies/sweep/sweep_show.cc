#include "analysis/studies/sweep/sweep_show.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "analysis/render/text/format.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

std::string percent_off(const FrameGoal& goal, double best, double value) {
  if (best == 0 || value == best) return "";
  const double off = goal.smallest ? value / best - 1 : 1 - value / best;
  return fmt::format("{:.1f} % worse", 100 * off);
}

TextTable rows_table(const SweepFrame& frame, const std::vector<std::size_t>& rows, std::size_t at_most) {
  std::vector<Align> align{Align::right};
  std::vector<std::string> header{"number"};
  // An axis with one value says nothing.
  std::vector<const FrameAxis*> axes;
  for (const FrameAxis& axis : frame.axes) {
    if (axis.levels.size() < 2) continue;
    axes.push_back(&axis);
    align.push_back(axis.values.empty() ? Align::left : Align::right);
    header.push_back(axis.name.substr(axis.name.rfind('.') + 1));
  }
  for (const FrameGoal& goal : frame.goals) {
    align.push_back(Align::right);
    header.push_back(goal.title.substr(goal.title.find('.') + 1));
  }
  align.push_back(Align::right);
  TextTable table(align);
  table.header(header);
  for (std::size_t i = 0; i < std::min(rows.size(), at_most); ++i) {
    const std::size_t row = rows[i];
    std::vector<std::string> cells{fmt::format("{}", frame.number[row])};
    for (const FrameAxis* axis : axes) cells.push_back(shorten(axis->levels[axis->level_of_row[row]], 28));
    for (const FrameGoal& goal : frame.goals) cells.push_back(shown_goal(goal, goal.of_row[row]));
    const FrameGoal& first = frame.goals.front();
    cells.push_back(percent_off(first, first.of_row[rows.front()], first.of_row[row]));
    table.row(std::move(cells));
  }
  return table;
}

/// Where a value lies between two others, by its logarithm where all are positive.
double along(double value, double low, double high) {
  if (high <= low) return 0.5;
  if (low > 0) return std::log(value / low) / std::log(high / low);
  return (value - low) / (high - low);
}

std::pair<double, double> range_of_goal(const FrameGoal& goal) {
  const auto [low, high] = std::minmax_element(goal.of_row.begin(), goal.of_row.end());
  return {*low, *high};
}

/// Lines of prose in a page of the terminal's width.
std::string prose(const std::string& text, const TextStyle& style) {
  return "  " + wrap(text, style.width() - 2, "  ");
}

constexpr int kMostPictureColumns = 64, kPictureLines = 16;
/// What stands before a picture's columns: a label and the axis.
constexpr int kPictureMargin = 18;

/// Both goals as a cloud of characters: how many lie in a cell; * on the front.
std::string cloud(const SweepFrame& frame, const std::vector<std::size_t>& front, const TextStyle& style) {
  const FrameGoal &x = frame.goals[0], &y = frame.goals[1];
  const auto [x_low, x_high] = range_of_goal(x);
  const auto [y_low, y_high] = range_of_goal(y);
  const int columns = std::clamp(static_cast<int>(style.width()) - kPictureMargin, 16, kMostPictureColumns);
  std::vector<std::vector<int>> count(kPictureLines, std::vector<int>(static_cast<std::size_t>(columns)));
  // clang 14 captures no structured binding by reference.
  const auto cell = [&, x_low = x_low, x_high = x_high, y_low = y_low, y_high = y_high](std::size_t row) -> int& {
    const auto column = static_cast<std::size_t>(along(x.of_row[row], x_low, x_high) * (columns - 1) + 0.5);
    const auto line = static_cast<std::size_t>((1 - along(y.of_row[row], y_low, y_high)) * (kPictureLines - 1) + 0.5);
    return count[line][column];
  };
  for (std::size_t row = 0; row < frame.rows(); ++row) ++cell(row);
  for (const std::size_t row : front) cell(row) = -1;
  std::string out =
      style.dim(prose(
          fmt::format("{} (up) over {} (right), * on the front; both logarithmic where positive", y.title, x.title),
          style)) +
      "\n";
  for (int line = 0; line < kPictureLines; ++line) {
    const std::string label = line == 0 ? shown_goal(y, y_high) : line == kPictureLines - 1 ? shown_goal(y, y_low) : "";
    out += "  " + pad_left(label, 14) + " |";
    std::string text;
    for (const int n : count[static_cast<std::size_t>(line)])
      text += n < 0 ? '*' : n == 0 ? ' ' : n == 1 ? '.' : n < 5 ? 'o' : '#';
    out += text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
  }
  out += "  " + std::string(15, ' ') + "+" + std::string(static_cast<std::size_t>(columns), '-') + "\n";
  const std::string right = shown_goal(x, x_high);
  return out + std::string(kPictureMargin, ' ') +
         pad_right(shown_goal(x, x_low), static_cast<std::size_t>(columns) - display_width(right)) + right + "\n";
}

std::string figures_of(const FrameGoal& goal, const LevelFigures& level) {
  return fmt::format("{}, mean {}", shown_goal(goal, level.best), shown_goal(goal, level.mean));
}

/// An axis' levels as bars from best to worst, o at the mean.
std::string strips(const SweepFrame& frame, std::size_t axis, const TextStyle& style) {
  const FrameGoal& goal = frame.goals.front();
  const auto [low, high] = range_of_goal(goal);
  const std::vector<LevelFigures> levels = level_figures(frame, axis);
  std::size_t width = 8, figures = 0;
  for (const LevelFigures& level : levels) {
    if (level.count > 0) figures = std::max(figures, display_width(figures_of(goal, level)));
  }
  for (const std::string& level : frame.axes[axis].levels)
    width = std::max(width, std::min<std::size_t>(display_width(level), 28));
  constexpr std::size_t kLeastBar = 12, kMostBar = 48, kGaps = 6;
  const std::size_t taken = width + figures + kGaps, whole = static_cast<std::size_t>(style.width());
  const std::size_t length = std::clamp(whole > taken ? whole - taken : 0, kLeastBar, kMostBar);
  const auto place = [low = low, high = high, length](double value) {
    return static_cast<std::size_t>(along(value, low, high) * static_cast<double>(length - 1) + 0.5);
  };
  std::string out = style.dim(prose(fmt::format("{} from best to worst, o at the mean, {} to {}", goal.title,
                                                shown_goal(goal, low), shown_goal(goal, high)),
                                    style)) +
                    "\n";
  constexpr std::size_t kMostLevels = 24;
  for (std::size_t i = 0; i < std::min(levels.size(), kMostLevels); ++i) {
    if (levels[i].count == 0) continue;
    std::string bar(length, ' ');
    const auto [from, to] = std::minmax({place(levels[i].best), place(levels[i].worst)});
    for (std::size_t at = from; at <= to; ++at) bar[at] = '-';
    bar[place(levels[i].mean)] = 'o';
    out += fmt::format("  {}  {}  {}\n", pad_right(shorten(frame.axes[axis].levels[i], 28), width), bar,
                       figures_of(goal, levels[i]));
  }
  if (levels.size() > kMostLevels) out += fmt::format("  and {} more values\n", levels.size() - kMostLevels);
  return out;
}

std::string faults_text(const SqliteFile& file, const SweepFrame& frame, const TextStyle& style) {
  constexpr std::size_t kShown = 8;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> by_error;  // count, first number
  SqliteStatement rows = file.prepare(
      fmt::format("SELECT number, error FROM {} WHERE status != 'ok' ORDER BY number", sql_name(frame.sweep.name)));
  while (rows.step()) {
    std::string error = rows.text(1);
    // Alike but for their figures.
    std::string kind;
    for (const char c : error.substr(0, error.find('\n')))
      if (!std::isdigit(static_cast<unsigned char>(c))) kind += c;
    auto& [count, first] = by_error[kind];
    if (count++ == 0) first = static_cast<std::uint64_t>(rows.whole(0));
  }
  if (by_error.empty()) return "";
  std::vector<std::pair<std::uint64_t, std::uint64_t>> kinds;
  for (const auto& [kind, of] : by_error) kinds.push_back(of);
  std::sort(kinds.begin(), kinds.end(),
            [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
  std::string out = "\n" + style.bold("What gave no result") + "\n";
  SqliteStatement error =
      file.prepare(fmt::format("SELECT error FROM {} WHERE number = ?", sql_name(frame.sweep.name)));
  for (std::size_t i = 0; i < std::min(kinds.size(), kShown); ++i) {
    error.bind(1, static_cast<std::int64_t>(kinds[i].second)).step();
    const std::string text = error.text(0);
    error.reset();
    out += fmt::format("  {:>6} x  {}\n", kinds[i].first,
                       wrap(fmt::format("number {}: {}", kinds[i].second, text.substr(0, text.find('\n'))),
                            style.width() - 11, "            "));
  }
  if (kinds.size() > kShown) out += fmt::format("  and {} other reasons\n", kinds.size() - kShown);
  return out;
}

std::string effects_text(const SweepFrame& frame, const std::vector<AxisEffect>& effects, const TextStyle& style) {
  std::string out = "\n" + style.bold("What matters") + "\n";
  TextTable table({Align::right, Align::left, Align::left});
  constexpr std::size_t kShown = 8;
  for (std::size_t i = 0; i < std::min(effects.size(), kShown); ++i) {
    const AxisEffect& effect = effects[i];
    if (effect.share < 0.001) continue;
    std::string name = frame.axes[effect.axis].name;
    if (effect.other) name += " with " + frame.axes[*effect.other].name;
    table.row({fmt::format("{:.1f} %", 100 * effect.share),
               std::string(static_cast<std::size_t>(effect.share * 30 + 0.5), '#'), name});
  }
  out += table.render(style);
  return out +
         style.dim(
             prose(fmt::format("of the variance of {}{}; where candidates are missing the shares overlap",
                               range_of_goal(frame.goals.front()).first > 0 ? "log " : "", frame.goals.front().title),
                   style)) +
         "\n";
}

}  // namespace

std::string to_text(const SqliteFile& file, const SweepFrame& frame, int top, const TextStyle& style) {
  const StoreCounts& counts = frame.sweep.counts;
  std::string out =
      style.bold(wrap(frame.sweep.title.empty() ? frame.sweep.name : frame.sweep.title, style.width(), "")) + "\n";
  std::string found = fmt::format(
      "{} of {} candidates have results: {} ok, {} refused, {} failed",
      format_integer(static_cast<double>(counts.all())),
      format_integer(static_cast<double>(frame.sweep.wanted > 0 ? frame.sweep.wanted : frame.sweep.product)), counts.ok,
      counts.refused, counts.failed);
  if (frame.left_out > 0) found += fmt::format("; {} break a condition or lack a figure", frame.left_out);
  out += prose(found, style) + "\n";
  if (frame.rows() > 0) {
    const std::vector<std::size_t> ranked = ranked_rows(frame);
    out += "\n" + style.bold("Best by " + frame.goals.front().text) + "\n" +
           rows_table(frame, ranked, static_cast<std::size_t>(top)).render(style);
    const std::vector<std::size_t> front = frame.goals.size() > 1 ? pareto_rows(frame) : std::vector<std::size_t>{};
    if (!front.empty()) {
      constexpr std::size_t kShown = 20;
      out += "\n" + style.bold(fmt::format("Pareto front: {} that no other beats", front.size())) + "\n" +
             rows_table(frame, front, kShown).render(style);
      if (front.size() > kShown) out += fmt::format("  and {} more\n", front.size() - kShown);
      out += "\n" + cloud(frame, front, style);
    }
    const std::vector<AxisEffect> effects = axis_effects(frame);
    if (!effects.empty()) {
      out += effects_text(frame, effects, style);
      const auto main = std::find_if(effects.begin(), effects.end(), [](const AxisEffect& e) { return !e.other; });
      if (main != effects.end())
        out += "\n" + style.bold(frame.axes[main->axis].name) + "\n" + strips(frame, main->axis, style);
    }
  }
  return out + faults_text(file, frame, style);
}

// Two sweeps.

namespace {

/// Rows by their values in the shared axes.
std::map<std::string, std::size_t> rows_by_inputs(const SweepFrame& frame, const std::vector<std::string>& shared) {
  std::map<std::string, std::size_t> out;
  for (std::size_t row = 0; row < frame.rows(); ++row) {
    std::vector<std::string> parts;
    for (const std::string& name : shared) {
      const auto axis =
          std::find_if(frame.axes.begin(), frame.axes.end(), [&](const FrameAxis& a) { return a.name == name; });
      parts.push_back(fmt::format("{}={}", name, axis->levels[axis->level_of_row[row]]));
    }
    const std::string key = fmt::format("{}", fmt::join(parts, "  "));
    if (out.emplace(key, row).second) continue;
    throw InputError(Diagnostic{"", 0, 0, "", fmt::format("several candidates of {} with {}", frame.sweep.name, key),
                                "one for each combination of the axes that both have (--where narrows them down)", ""});
  }
  return out;
}

}  // namespace

SweepComparison compared_sweeps(const SweepFrame& a, const SweepFrame& b) {
  SweepComparison out{a.sweep.title, b.sweep.title, a.goals.front().title, a.goals.front().smallest, {}, {}, {}};
  out.left_out_a = a.sweep.counts.all() - a.rows();
  out.left_out_b = b.sweep.counts.all() - b.rows();
  const auto has = [](const SweepFrame& frame, const std::string& name) {
    return std::any_of(frame.axes.begin(), frame.axes.end(), [&](const FrameAxis& axis) { return axis.name == name; });
  };
  for (const FrameAxis& axis : a.axes) (has(b, axis.name) ? out.shared_axes : out.other_axes).push_back(axis.name);
  for (const FrameAxis& axis : b.axes)
    if (!has(a, axis.name)) out.other_axes.push_back(axis.name);
  if (out.shared_axes.empty())
    throw InputError(Diagnostic{"", 0, 0, "", "two sweeps without an axis in common", "axes that both have", ""});
  const auto rows_a = rows_by_inputs(a, out.shared_axes), rows_b = rows_by_inputs(b, out.shared_axes);
  for (const auto& [inputs, row] : rows_a) {
    const auto other = rows_b.find(inputs);
    if (other == rows_b.end())
      ++out.only_a;
    else
      out.pairs.push_back({inputs, a.goals.front().of_row[row], b.goals.front().of_row[other->second]});
  }
  out.only_b = rows_b.size() - out.pairs.size();
  std::stable_sort(out.pairs.begin(), out.pairs.end(), [](const SweepPair& x, const SweepPair& y) {
    return std::abs(std::log(x.b / x.a)) > std::abs(std::log(y.b / y.a));
  });
  return out;
}

std::string to_text(const SweepComparison& c, const TextStyle& style) {
  std::string out = style.bold(wrap("Two sweeps by " + c.goal, style.width(), "")) + "\n" +
                    prose("A  " + c.title_a, style) + "\n" + prose("B  " + c.title_b, style) + "\n";
  out +=
      prose(fmt::format("{} candidates stand in both; {} only in A, {} only in B", c.pairs.size(), c.only_a, c.only_b),
            style) +
      "\n";
  if (c.left_out_a + c.left_out_b > 0)
    out += prose(fmt::format("left out: {} of A and {} of B, which gave no result, lack the figure, or do not keep a "
                             "condition",
                             c.left_out_a, c.left_out_b),
                 style) +
           "\n";
  if (!c.other_axes.empty())
    out += prose(fmt::format("axes of one of them alone: {}", fmt::join(c.other_axes, ", ")), style) + "\n";
  double sum = 0;
  std::size_t equal = 0, better = 0, counted = 0;
  for (const SweepPair& pair : c.pairs) {
    if (pair.a == pair.b) ++equal;
    if (pair.a != pair.b && (pair.b < pair.a) == c.smallest) ++better;
    if (pair.a > 0 && pair.b > 0) {
      sum += std::log(pair.b / pair.a);
      ++counted;
    }
  }
  if (c.pairs.empty()) return out;
  std::string verdict =
      fmt::format("B is better in {}, equal in {}, worse in {}", better, equal, c.pairs.size() - better - equal);
  if (counted > 0)
    verdict += fmt::format("; B / A is {:.4f} in the geometric mean", std::exp(sum / static_cast<double>(counted)));
  out += prose(verdict, style) + "\n\n" + style.bold("Largest differences") + "\n";
  TextTable table({Align::right, Align::right, Align::right, Align::left});
  table.header({"A", "B", "B / A", ""});
  constexpr std::size_t kShown = 12;
  const FrameGoal goal{"", c.goal, "", c.smallest, {}};
  for (std::size_t i = 0; i < std::min(c.pairs.size(), kShown); ++i) {
    const SweepPair& pair = c.pairs[i];
    if (pair.a == pair.b) break;
    table.row(
        {shown_goal(goal, pair.a), shown_goal(goal, pair.b), fmt::format("{:.4f}", pair.b / pair.a), pair.inputs});
  }
  return table.empty() ? out + "  none: all are equal\n" : out + table.render(style);
}

}  // namespace flopcast
