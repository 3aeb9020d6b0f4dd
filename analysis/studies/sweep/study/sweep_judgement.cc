#include "analysis/studies/sweep/study/sweep_judgement.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "analysis/money/study/cost_metrics.h"
#include "analysis/runs/metrics.h"
#include "analysis/studies/figure_names.h"
#include "analysis/studies/sweep/study/candidates.h"
#include "analysis/studies/sweep/study/field_values.h"
#include "analysis/studies/sweep/study/sweep_checks.h"
#include "flopcast/scenario.h"
#include "scenarios/read/fields/set_field.h"

namespace flopcast {
namespace {

/// Columns of every table of results, beside inputs and metrics.
constexpr const char* kOwnColumns[] = {"number", "fingerprint", "status", "error", "feasible", "wall_s"};

/// SQLite's limit is 2,000 columns of a table.
constexpr std::size_t kMostColumns = 1900;

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

class JudgementReader {
 public:
  JudgementReader(const StatedJudgement& in, Diagnostics& faults, SweepStudy& out)
      : in_(in), faults_(faults), out_(out) {}

  void read() {
    columns();
    conditions();
  }

 private:
  void add(const std::string& path, std::string found, std::string expected, std::string suggestion = "") {
    faults_.push_back(in_.places.fault(path, std::move(found), std::move(expected), std::move(suggestion)));
  }

  // Columns.

  /// Metrics that reports of the candidates will have, without values.
  std::vector<Metric> expected() {
    std::vector<Metric> out;
    std::set<std::string> seen;
    for (const auto& [name, base] : out_.bases) {
      for (Metric& metric : expected_of(name)) {
        if (seen.insert(metric.name).second) out.push_back(std::move(metric));
      }
    }
    return out;
  }

  std::vector<Metric> expected_of(const std::string& base) {
    // The base alone may be refused where only an axis makes it whole: look for a candidate that is sound.
    constexpr std::uint64_t kTried = 200;
    std::vector<Diagnostic> first;
    for (std::uint64_t i = 0; i <= std::min(kTried, out_.product); ++i) {
      try {
        std::vector<std::string> sets = out_.sets;
        if (i > 0) {
          const SweepCandidate candidate =
              candidate_at(out_, (i - 1) * std::max<std::uint64_t>(1, out_.product / kTried) % out_.product + 1);
          if (candidate.scenario != base) continue;
          sets = candidate.sets;
        }
        return metrics_expected_of(resolve(base, in_.environment, sets));
      } catch (const InputError& error) {
        if (first.empty()) first = error.diagnostics();
      }
    }
    add("scenario", "no candidate that can be read", "at least one");
    faults_.insert(faults_.end(), first.begin(), first.end());
    return {};
  }

  /// Entries of lists go by their names and by their places; one of both is enough.
  static bool is_place(const Metric& metric) {
    const auto open = metric.name.find('[');
    return open != std::string::npos &&
           metric.name.find_first_not_of("0123456789", open + 1) == metric.name.rfind("].");
  }

  void columns() {
    known_ = expected();
    name_figures();
    if (in_.study.keep_size() > 0) {
      for (int i = 0; i < in_.study.keep_size(); ++i) keep(in_.study.keep(i), fmt::format("keep[{}]", i));
    } else {
      std::set<std::string> kept, set;  // what an axis sets is a column already
      for (const SweepAxis& axis : out_.axes)
        for (const AxisColumn& column : axis.columns) set.insert(lower_case(column.name));
      for (const Metric& metric : known_) {
        // "phases[0]" repeats "phases[pre-training]".
        const bool repeats = is_place(metric) && !kept.empty() && named_entry_before(metric);
        if (!repeats && !set.contains(lower_case(metric.name))) keep(metric.name, "");
        kept.insert(metric.name);
      }
    }
    std::set<std::string> taken(std::begin(kOwnColumns), std::end(kOwnColumns));
    for (const std::string& name : out_.keep) taken.insert(lower_case(name));
    for (std::size_t a = 0; a < out_.axes.size(); ++a) {
      for (const AxisColumn& column : out_.axes[a].columns) {
        if (!taken.insert(lower_case(column.name)).second)
          add(in_.places_of_axes[a], quoted(column.name), "a name that no other axis, metric or column has");
      }
    }
    if (taken.size() > kMostColumns)
      add("keep", fmt::format("{} columns", taken.size()), fmt::format("at most {}: name those to keep", kMostColumns));
  }

  bool named_entry_before(const Metric& metric) const {
    const auto it = std::find_if(known_.begin(), known_.end(), [&](const Metric& m) { return m.name == metric.name; });
    if (it == known_.begin()) return false;
    const Metric& before = *std::prev(it);
    const auto open = metric.name.find('['), close = metric.name.rfind("].");
    const auto close_before = before.name.rfind("].");
    return close_before != std::string::npos && before.name.substr(0, open) == metric.name.substr(0, open) &&
           before.name.substr(close_before) == metric.name.substr(close);
  }

  void keep(const std::string& name, const std::string& place) {
    if (std::find(out_.keep.begin(), out_.keep.end(), name) != out_.keep.end()) return;
    const Metric* metric = find_metric(known_, name);
    const std::optional<NamedValue> hardware = hardware_kind(name);
    if (!metric && !hardware)
      return add(place, quoted(name), "a metric that the reports of this scenario have (flopcast list metrics)",
                 nearest_name(name, usable_names(known_)));
    out_.keep.push_back(name);
    out_.units.push_back(metric ? metric->unit : hardware->unit);
  }

  // Conditions.

  /// Whatever a condition may name: columns of axes, fields, metrics, hardware.
  void name_figures() {
    names_.add(axis_columns(out_), [this](std::string_view name) { return input_kind(out_, name); });
    names_.add(known_);
  }

  std::optional<MetricExpression> expression(const std::string& text, const std::string& place) {
    return names_.checked(text, [&](const ExpressionFault& f) { add(place, f.found, f.expected, f.suggestion); });
  }

  void conditions() {
    std::vector<MetricExpression> all;
    std::vector<std::string> places;
    for (int i = 0; i < in_.study.constraint_size(); ++i) {
      const std::string place = fmt::format("constraint[{}]", i);
      std::optional<MetricExpression> condition = expression(in_.study.constraint(i), place);
      if (!condition) continue;
      if (!condition->is_condition()) {
        add(place, quoted(in_.study.constraint(i)), "a condition, such as \"training.step_time_s < 20 s\"");
        continue;
      }
      all.push_back(*condition);
      places.push_back(place);
      file_condition(*condition);
    }
    if (const auto pair = contradiction(all, names_.kinds())) {
      add(places[pair->second],
          pair->first == pair->second
              ? quoted(all[pair->first].text()) + ", which nothing fulfils"
              : fmt::format("{} beside {}", quoted(all[pair->second].text()), quoted(all[pair->first].text())),
          "conditions that can hold together");
    }
    for (int i = 0; i < in_.study.goal_size(); ++i) goal(in_.study.goal(i), fmt::format("goal[{}]", i));
  }

  /// What needs a report is kept, so that the condition can be judged again without a replay.
  void file_condition(const MetricExpression& condition) {
    bool fields_only = true;
    for (const std::string& name : condition.names()) fields_only = fields_only && input_kind(out_, name).has_value();
    (fields_only ? out_.before : out_.after).push_back(condition);
    if (!fields_only) keep_names(condition);
  }

  void keep_names(const MetricExpression& expression) {
    for (const std::string& name : expression.names()) {
      if (!input_kind(out_, name)) keep(name, "");
    }
  }

  void goal(const std::string& text, const std::string& place) {
    const std::optional<StatedGoal> stated = stated_goal(text);
    if (!stated)
      return add(place, quoted(text), "\"min\" or \"max\" and a figure, such as \"min training.step_time_s\"");
    const auto figure = expression(stated->figure, place);
    if (!figure) return;
    if (figure->is_condition()) return add(place, quoted(text), "a figure, not a condition");
    const auto same = std::find_if(out_.goals.begin(), out_.goals.end(),
                                   [&](const SweepGoal& goal) { return goal.expression.text() == figure->text(); });
    if (same != out_.goals.end())
      return add(place, fmt::format("{} beside {}", flopcast::quoted(text), flopcast::quoted(same->text)),
                 "each figure as one goal");
    keep_names(*figure);
    out_.goals.push_back({*figure, stated->smallest, text});
  }

  const StatedJudgement& in_;
  Diagnostics& faults_;
  std::vector<Metric> known_;
  FigureNames names_;
  SweepStudy& out_;
};

}  // namespace

std::vector<Metric> metrics_expected_of(const ResolvedScenario& scenario) {
  if (scenario.work() != Work::given) return expected_metrics(scenario.value());
  for (MetricKind& kind : all_metric_kinds()) {
    if (kind.name == "cost") return std::move(kind.metrics);
  }
  return {};
}

std::optional<StatedGoal> stated_goal(const std::string& text) {
  const bool smallest = text.starts_with("min ");
  if (!smallest && !text.starts_with("max ")) return std::nullopt;
  return StatedGoal{smallest, text.substr(4)};
}

void read_judgement(const StatedJudgement& in, Diagnostics& faults, SweepStudy& out) {
  JudgementReader(in, faults, out).read();
}

}  // namespace flopcast
