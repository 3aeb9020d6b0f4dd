#include "analysis/studies/sweep/sweep_frame.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>

#include <fmt/format.h>

#include "analysis/render/text/format.h"
#include "analysis/runs/metrics.h"
#include "analysis/studies/figure_names.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

/// What a study without goals is looked at by; the first that its table has.
constexpr const char* kUsualGoals[] = {"min training.step_time_s",        "max serving.output_tokens_per_s_per_gpu",
                                       "max serving.output_tokens_per_s", "min collective.time_s",
                                       "max life.effective_share",        "min cost.total_usd"};

/// Names of a condition or goal as columns of the table.
class ColumnLookup {
 public:
  explicit ColumnLookup(const StoredSweep& sweep) : sweep_(sweep) {}

  const StoredColumn* find(std::string_view name) const {
    for (const StoredColumn& column : sweep_.columns)
      if (column.name == name) return &column;
    return nullptr;
  }
  /// What its conditions and goals may name.
  FigureNames names() const {
    std::vector<std::string> columns;
    for (const StoredColumn& column : sweep_.columns) columns.push_back(column.name);
    FigureNames out;
    out.add(columns, [this](std::string_view name) { return kind(name); });
    return out;
  }
  /// Some value of the column's kind. Axes may hold anything.
  std::optional<NamedValue> kind(std::string_view name) const {
    const StoredColumn* const column = find(name);
    if (!column) return std::nullopt;
    if (column->role == ColumnRole::input) return NamedValue{};
    if (column->unit == "text") return NamedValue{std::string()};
    if (column->unit == "yes/no") return NamedValue{true};
    return NamedValue{1.0, column->unit};
  }
  NamedValue value(const StoredColumn& column, const SweepCell& cell) const {
    NamedValue out{{}, column.unit};
    if (const double* number = std::get_if<double>(&cell)) out.value = *number;
    if (const std::string* text = std::get_if<std::string>(&cell)) out.value = *text;
    if (const auto* whole = std::get_if<std::int64_t>(&cell)) {
      if (column.unit == "yes/no")
        out.value = *whole != 0;
      else
        out.value = static_cast<double>(*whole);
    }
    return out;
  }

 private:
  const StoredSweep& sweep_;
};

std::optional<MetricExpression> parsed(const std::string& text, const std::string& option, const ColumnLookup& columns,
                                       Diagnostics& faults) {
  return columns.names().checked(text, [&](const ExpressionFault& f) {
    faults.push_back({"", 0, 0, option, f.found, f.expected, f.suggestion});
  });
}

struct ParsedGoal {
  FrameGoal goal;
  MetricExpression expression;
};

std::optional<ParsedGoal> parsed_goal(const std::string& text, const ColumnLookup& columns, Diagnostics& faults) {
  const std::optional<StatedGoal> stated = stated_goal(text);
  if (!stated) {
    faults.push_back(
        {"", 0, 0, "--goal", quoted(text), "min or max and a figure, such as \"min training.step_time_s\"", ""});
    return std::nullopt;
  }
  const std::string& title = stated->figure;
  const auto expression = parsed(title, "--goal", columns, faults);
  if (!expression) return std::nullopt;
  const StoredColumn* const column = columns.find(title);
  return ParsedGoal{{text, title, column ? column->unit : "", stated->smallest, {}}, *expression};
}

std::vector<ParsedGoal> parsed_goals(const StoredSweep& sweep, const FrameOptions& options, const ColumnLookup& columns,
                                     Diagnostics& faults) {
  std::vector<std::string> texts = options.goals.empty() ? sweep.goals : options.goals;
  for (const char* usual : kUsualGoals) {
    if (texts.empty() && columns.find(std::string(usual).substr(4))) texts.emplace_back(usual);
  }
  for (const StoredColumn& column : sweep.columns) {
    const bool figure = column.role == ColumnRole::metric && column.unit != "text" && column.unit != "yes/no";
    if (texts.empty() && figure) texts.push_back("min " + column.name);
  }
  std::vector<ParsedGoal> out;
  for (const std::string& text : texts)
    if (auto goal = parsed_goal(text, columns, faults)) out.push_back(std::move(*goal));
  return out;
}

/// "400 GB/s" as 400 and "GB/s".
std::optional<std::pair<double, std::string>> number_and_unit(const std::string& text) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [after, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  std::string unit(after, end);
  while (!unit.empty() && unit.front() == ' ') unit.erase(0, 1);
  return std::pair(number, unit);
}

/// Levels as numbers, in their order.
void sort_levels(FrameAxis& axis) {
  std::vector<double> values;
  for (const std::string& level : axis.levels) {
    const auto found = number_and_unit(level);
    if (!found || (!values.empty() && found->second != axis.unit)) return;
    axis.unit = found->second;
    values.push_back(found->first);
  }
  std::vector<std::uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return values[a] < values[b]; });
  std::vector<std::uint32_t> place(order.size());
  std::vector<std::string> levels;
  for (std::uint32_t i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    levels.push_back(axis.levels[order[i]]);
    axis.values.push_back(values[order[i]]);
  }
  axis.levels = std::move(levels);
  for (std::uint32_t& level : axis.level_of_row) level = place[level];
}

std::vector<double> measures_of(const SweepFrame& frame) {
  std::vector<double> out = frame.goals.front().of_row;
  const bool positive = std::all_of(out.begin(), out.end(), [](double value) { return value > 0; });
  if (positive)
    for (double& value : out) value = std::log(value);
  return out;
}

/// Sum of squares between groups.
template <class Group>
double between(const std::vector<double>& values, const Group& group) {
  std::map<std::uint64_t, std::pair<double, double>> sums;  // sum and count
  double all = 0;
  for (std::size_t row = 0; row < values.size(); ++row) {
    auto& [sum, count] = sums[group(row)];
    sum += values[row];
    count += 1;
    all += values[row];
  }
  const double mean = all / static_cast<double>(values.size());
  double out = 0;
  for (const auto& [key, of] : sums) out += of.second * (of.first / of.second - mean) * (of.first / of.second - mean);
  return out;
}

/// What is asked of a table.
struct FrameQuestion {
  std::vector<ParsedGoal> goals;
  std::optional<MetricExpression> where;
};

/// @throws InputError with everything wrong in it.
FrameQuestion question_of(const SqliteFile& file, const StoredSweep& sweep, const FrameOptions& options,
                          const ColumnLookup& columns) {
  Diagnostics faults;
  FrameQuestion out{parsed_goals(sweep, options, columns, faults), std::nullopt};
  if (!options.where.empty()) {
    out.where = parsed(options.where, "--where", columns, faults);
    if (out.where && !out.where->is_condition())
      faults.push_back({"", 0, 0, "--where", quoted(options.where), "a condition", ""});
  }
  if (out.goals.empty() && faults.empty())
    faults.push_back({file.path(), 0, 0, "", "no figures in the table", "a metric to look at", ""});
  if (!faults.empty()) throw InputError(faults);
  return out;
}

/// Columns that are read: those of the axes, then what goals and conditions name.
std::vector<std::string> needed_columns(const StoredSweep& sweep, const FrameQuestion& question) {
  std::vector<std::string> needed;
  const auto need = [&](const std::string& name) {
    if (std::find(needed.begin(), needed.end(), name) == needed.end()) needed.push_back(name);
  };
  for (const StoredColumn& column : sweep.columns)
    if (column.role == ColumnRole::input) need(column.name);
  for (const ParsedGoal& goal : question.goals)
    for (const std::string& name : goal.expression.names()) need(name);
  if (question.where)
    for (const std::string& name : question.where->names()) need(name);
  return needed;
}

/// A row's figure for each goal; none: the row is left out.
std::optional<std::vector<double>> figures_of_row(const FrameQuestion& question, const NameLookup& lookup) {
  std::vector<double> figures;
  try {
    if (question.where && question.where->holds(lookup) != true) return std::nullopt;
    for (const ParsedGoal& goal : question.goals) {
      const std::optional<double> figure = goal.expression.number(lookup);
      if (!figure) return std::nullopt;
      figures.push_back(*figure);
    }
  } catch (const InputError&) {  // a text where other rows have a number
    return std::nullopt;
  }
  return figures;
}

}  // namespace

SweepFrame load_frame(const SqliteFile& file, const StoredSweep& sweep, const FrameOptions& options) {
  const ColumnLookup columns(sweep);
  FrameQuestion question = question_of(file, sweep, options, columns);
  SweepFrame frame;
  frame.sweep = sweep;
  for (const StoredColumn& column : sweep.columns)
    if (column.role == ColumnRole::input) frame.axes.push_back({column.name, {}, {}, "", {}});
  const std::vector<std::string> needed = needed_columns(sweep, question);
  std::vector<std::string> list;
  for (const std::string& name : needed) list.push_back(sql_name(name));
  SqliteStatement rows =
      file.prepare(fmt::format("SELECT number, feasible{}{} FROM {} WHERE status = 'ok' ORDER BY number",
                               list.empty() ? "" : ", ", fmt::join(list, ", "), sql_name(sweep.name)));
  const NameLookup lookup = [&](std::string_view name) -> std::optional<NamedValue> {
    const auto at = std::find(needed.begin(), needed.end(), name);
    if (at == needed.end()) return std::nullopt;
    return columns.value(*columns.find(name), rows.cell(2 + static_cast<int>(at - needed.begin())));
  };
  std::vector<std::map<std::string, std::uint32_t>> levels(frame.axes.size());
  while (rows.step()) {
    const bool breaks = !rows.null(1) && rows.whole(1) == 0;
    const auto figures =
        options.infeasible || !breaks ? figures_of_row(question, lookup) : std::optional<std::vector<double>>();
    if (!figures) {
      ++frame.left_out;
      continue;
    }
    frame.number.push_back(static_cast<std::uint64_t>(rows.whole(0)));
    for (std::size_t g = 0; g < figures->size(); ++g) question.goals[g].goal.of_row.push_back((*figures)[g]);
    for (std::size_t a = 0; a < frame.axes.size(); ++a) {
      const std::string level = text_of(rows.cell(2 + static_cast<int>(a)));
      const auto [at, is_new] = levels[a].emplace(level, static_cast<std::uint32_t>(frame.axes[a].levels.size()));
      if (is_new) frame.axes[a].levels.push_back(level);
      frame.axes[a].level_of_row.push_back(at->second);
    }
  }
  for (FrameAxis& axis : frame.axes) sort_levels(axis);
  for (ParsedGoal& goal : question.goals) frame.goals.push_back(std::move(goal.goal));
  return frame;
}

std::string shown_goal(const FrameGoal& goal, double value) {
  if (const auto metric = describe_metric(goal.title); metric && metric->text) return metric->text(value);
  return fmt::format("{:.4g}{}{}", value, goal.unit.empty() || goal.unit == "1" ? "" : " ",
                     goal.unit == "1" ? "" : goal.unit);
}

std::vector<std::size_t> ranked_rows(const SweepFrame& frame) {
  std::vector<std::size_t> out(frame.rows());
  std::iota(out.begin(), out.end(), std::size_t{0});
  const FrameGoal& goal = frame.goals.front();
  std::stable_sort(out.begin(), out.end(),
                   [&](std::size_t a, std::size_t b) { return goal.better(goal.of_row[a], goal.of_row[b]); });
  return out;
}

std::vector<std::size_t> pareto_rows(const SweepFrame& frame) {
  std::vector<std::size_t> front;
  const auto beaten_by = [&](std::size_t row, std::size_t other) {
    return std::none_of(frame.goals.begin(), frame.goals.end(),
                        [&](const FrameGoal& goal) { return goal.better(goal.of_row[row], goal.of_row[other]); });
  };
  // In the order of the first goal a row can only be beaten by one before it, or by an equal one after it.
  std::vector<std::size_t> order = ranked_rows(frame);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    for (const FrameGoal& goal : frame.goals) {
      if (goal.of_row[a] != goal.of_row[b]) return goal.better(goal.of_row[a], goal.of_row[b]);
    }
    return a < b;
  });
  for (const std::size_t row : order) {
    if (std::none_of(front.begin(), front.end(), [&](std::size_t other) { return beaten_by(row, other); }))
      front.push_back(row);
  }
  return front;
}

std::vector<AxisEffect> axis_effects(const SweepFrame& frame, std::size_t pairs_of) {
  std::vector<AxisEffect> out;
  if (frame.rows() < 2) return out;
  const std::vector<double> values = measures_of(frame);
  const double all = between(values, [](std::size_t row) { return static_cast<std::uint64_t>(row); });
  if (all <= 0) return out;
  std::vector<double> alone;
  for (std::size_t a = 0; a < frame.axes.size(); ++a) {
    const auto& level = frame.axes[a].level_of_row;
    alone.push_back(between(values, [&](std::size_t row) { return static_cast<std::uint64_t>(level[row]); }));
    if (frame.axes[a].levels.size() > 1) out.push_back({a, std::nullopt, alone.back() / all});
  }
  const auto larger = [](const AxisEffect& x, const AxisEffect& y) { return x.share > y.share; };
  std::stable_sort(out.begin(), out.end(), larger);
  const std::size_t mains = std::min(out.size(), pairs_of);
  for (std::size_t i = 0; i < mains; ++i) {
    for (std::size_t j = i + 1; j < mains; ++j) {
      const std::size_t a = out[i].axis, b = out[j].axis;
      const auto &one = frame.axes[a].level_of_row, &two = frame.axes[b].level_of_row;
      const double both =
          between(values, [&](std::size_t row) { return (static_cast<std::uint64_t>(one[row]) << 32) | two[row]; });
      out.push_back({a, b, std::max(0.0, both - alone[a] - alone[b]) / all});
    }
  }
  std::stable_sort(out.begin(), out.end(), larger);
  return out;
}

std::vector<LevelFigures> level_figures(const SweepFrame& frame, std::size_t axis) {
  const FrameGoal& goal = frame.goals.front();
  const bool positive = std::all_of(goal.of_row.begin(), goal.of_row.end(), [](double value) { return value > 0; });
  std::vector<LevelFigures> out(frame.axes[axis].levels.size());
  for (std::size_t row = 0; row < frame.rows(); ++row) {
    LevelFigures& level = out[frame.axes[axis].level_of_row[row]];
    const double value = goal.of_row[row];
    if (level.count == 0 || goal.better(value, level.best)) level.best = value;
    if (level.count == 0 || goal.better(level.worst, value)) level.worst = value;
    level.mean += positive ? std::log(value) : value;
    ++level.count;
  }
  for (LevelFigures& level : out) {
    if (level.count > 0) level.mean /= static_cast<double>(level.count);
    if (positive && level.count > 0) level.mean = std::exp(level.mean);
  }
  return out;
}

}  // namespace flopcast
