#include "analysis/studies/sweep/sweep_study.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>

#include "analysis/face/environment_data.h"
#include "analysis/money/cost_metrics.h"
#include "analysis/runs/metrics.h"
#include "analysis/studies/sweep/candidates.h"
#include "analysis/studies/sweep/field_values.h"
#include "analysis/studies/sweep/sweep_axes.h"
#include "analysis/studies/sweep/sweep_checks.h"
#include "flopcast/scenario.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/field_rules.h"
#include "scenarios/read/library_entries.h"
#include "scenarios/read/set_field.h"
#include "scenarios/read/text_file.h"
#include "scenarios/studies/study.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

/// Columns of every table of results, beside inputs and metrics.
constexpr const char* kOwnColumns[] = {"number", "fingerprint", "status", "error", "feasible", "wall_s"};

/// SQLite's limit is 2,000 columns of a table.
constexpr std::size_t kMostColumns = 1900;

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string sweep_path(const Libraries& libraries, const std::string& name_or_file) {
  std::error_code error;
  const bool looks_like_path = name_or_file.find('/') != std::string::npos || name_or_file.ends_with(".textproto");
  if (looks_like_path || fs::exists(name_or_file, error)) return name_or_file;
  if (const auto path = study_file(libraries, name_or_file)) return *path;
  const auto names = study_names(libraries, StudyKind::sweep);
  throw InputError(Diagnostic{"", 0, 0, "", quoted(name_or_file),
                              fmt::format("a study with axes, a file or one of {}", fmt::join(names, ", ")),
                              nearest_name(name_or_file, names)});
}

class StudyReader {
 public:
  StudyReader(std::string path, const Environment& environment, const std::vector<std::string>& sets)
      : environment_(environment), libraries_(environment.data().libraries()), more_sets_(sets) {
    out_.file = std::move(path);
  }

  SweepStudy read() {
    if (!parse_text(read_text_file(out_.file), out_.file, in_, places_, faults_)) throw InputError(faults_);
    check_fields(in_, "", places_, names(), true, faults_);
    out_.name = fs::path(out_.file).stem().string();
    out_.title = in_.title();
    out_.notes.assign(in_.note().begin(), in_.note().end());
    out_.sets.assign(in_.set().begin(), in_.set().end());
    out_.sets.insert(out_.sets.end(), more_sets_.begin(), more_sets_.end());
    out_.seed = static_cast<std::uint64_t>(in_.seed());
    if (in_.has_sample()) out_.sample = static_cast<std::uint64_t>(in_.sample());
    if (out_.name.starts_with("sqlite_") || out_.name.starts_with("flopcast_"))
      add("", flopcast::quoted(out_.name), "a name of the file that does not begin with sqlite_ or flopcast_");
    if (in_.axis_size() == 0) add("axis", "nothing", "at least one axis { ... } to vary");
    axes();
    check_settings(out_, static_cast<std::size_t>(in_.set_size()), places_of_axes_, places_, faults_);
    base();
    // What does not hang on what is wrong is looked at all the same, so that it is said at once.
    if (out_.bases.contains(out_.scenario) && !out_.axes.empty()) {
      count();
      check_axes();
      replicas();
      count();
    }
    if (!faults_.empty()) look_at_conditions();
    stop_if_faulty();
    columns();
    conditions();
    stop_if_faulty();
    refuse_empty();
    stop_if_faulty();
    return std::move(out_);
  }

 private:
  void add(const std::string& path, std::string found, std::string expected, std::string suggestion = "") {
    faults_.push_back(places_.fault(path, std::move(found), std::move(expected), std::move(suggestion)));
  }

  void stop_if_faulty() {
    if (faults_.empty()) return;
    if (faults_.size() > kMostDiagnostics) {
      const std::size_t more = faults_.size() - kMostDiagnostics;
      faults_.resize(kMostDiagnostics);
      add("", fmt::format("{} more faults", more), "fewer");
    }
    throw InputError(faults_);
  }

  /// Names of libraries, each read once.
  NamesOf names() {
    return [this](int library) {
      const auto known = names_.find(library);
      if (known != names_.end()) return known->second;
      return names_[library] = libraries_.names(static_cast<LibraryKind>(library));
    };
  }

  // ----------------------------------------------------------------------------------------------- axes

  void axes() {
    const AxisContext context{libraries_, places_, out_.seed, in_.draws(), out_.file};
    std::vector<SweepAxis> drawn;
    std::size_t drawn_at = 0;
    for (int i = 0; i < in_.axis_size(); ++i) {
      const AxisPlace at{&in_.axis(i), fmt::format("axis[{}]", i)};
      SweepAxis axis = at.axis->joint_size() > 0 ? joint(at, context) : expanded(at, context, faults_);
      if (axis.values.empty()) continue;  // a fault says why
      if (!at.axis->has_draw()) check_once(axis, at, places_, faults_);
      if (at.axis->has_draw()) {
        if (drawn.empty()) drawn_at = out_.axes.size();
        drawn.push_back(std::move(axis));
        continue;
      }
      out_.axes.push_back(std::move(axis));
      places_of_axes_.push_back(at.path);
    }
    if (in_.has_draws() && drawn.empty() && in_.axis_size() > 0)
      add("draws", fmt::format("{}", in_.draws()), "an axis with draw { ... }");
    if (drawn.empty()) return;
    const auto position = static_cast<std::ptrdiff_t>(drawn_at);
    out_.axes.insert(out_.axes.begin() + position, zipped(drawn, "draw"));
    places_of_axes_.insert(places_of_axes_.begin() + position, "axis");
  }

  SweepAxis joint(const AxisPlace& at, const AxisContext& context) {
    std::vector<SweepAxis> parts;
    const proto::Axis& axis = *at.axis;
    if (axis.path_size() + axis.value_size() + axis.point_size() > 0 || axis.has_range() || axis.has_draw() ||
        axis.has_entries()) {
      add(at.path, "values beside joint axes", "either");
      return {};
    }
    const std::size_t before = faults_.size();
    for (int i = 0; i < axis.joint_size(); ++i) {
      const AxisPlace part{&axis.joint(i), fmt::format("{}.joint[{}]", at.path, i)};
      if (part.axis->joint_size() > 0 || part.axis->has_draw()) {
        add(part.path, part.axis->has_draw() ? "random values" : "joint axes within joint axes",
            "a plain axis (all that is drawn moves together anyhow)");
        continue;
      }
      parts.push_back(expanded(part, context, faults_));
    }
    if (faults_.size() > before) return {};
    for (std::size_t i = 1; i < parts.size(); ++i) {
      if (parts[i].values.size() == parts[0].values.size()) continue;
      add(fmt::format("{}.joint[{}]", at.path, i), fmt::format("{} values", parts[i].values.size()),
          fmt::format("{}, as the first of the joint axes has", parts[0].values.size()));
      return {};
    }
    std::vector<std::string> part_names;
    for (const SweepAxis& part : parts) part_names.push_back(part.name);
    return zipped(parts, axis.has_name() ? axis.name() : fmt::format("{}", fmt::join(part_names, " + ")));
  }

  // ----------------------------------------------------------------------------------------------- base scenario

  bool every_value_has_a_base() const {
    return std::any_of(out_.axes.begin(), out_.axes.end(), [](const SweepAxis& axis) {
      return std::all_of(axis.values.begin(), axis.values.end(),
                         [](const AxisValue& v) { return !v.scenario.empty(); });
    });
  }

  void base() {
    if (in_.has_scenario()) {
      out_.scenario = beside_study(out_.file, in_.scenario());
    } else if (every_value_has_a_base()) {
      for (const SweepAxis& axis : out_.axes) {
        if (!axis.values.front().scenario.empty()) out_.scenario = axis.values.front().scenario;
      }
    } else {
      if (in_.axis_size() > 0)
        add("scenario", "nothing", "the scenario that candidates start from, here or as an axis over \"scenario\"");
      return;
    }
    std::set<std::string> bases{out_.scenario};
    for (const SweepAxis& axis : out_.axes)
      for (const AxisValue& value : axis.values)
        if (!value.scenario.empty()) bases.insert(value.scenario);
    for (const std::string& name : bases) read_base(name);
    const auto first = out_.bases.find(out_.scenario);
    if (first == out_.bases.end()) return;
    for (const std::string& set : out_.sets) set_field(set, *first->second.message, base_places_, faults_);
    // What the study sets is in force for conditions on every base.
    for (auto& [name, scenario] : out_.bases) {
      if (name == out_.scenario) continue;
      Diagnostics again;
      for (const std::string& set : out_.sets) set_field(set, *scenario.message, base_places_, again);
    }
  }

  void read_base(const std::string& name) {
    std::error_code error;
    const bool is_path = name.find('/') != std::string::npos || name.ends_with(".textproto") || fs::exists(name, error);
    const auto path = is_path ? std::optional(name) : libraries_.find(LibraryKind::scenarios, name);
    if (!path) {
      const auto known = libraries_.names(LibraryKind::scenarios);
      add("scenario", quoted(name), fmt::format("a scenario file, or one of {}", fmt::join(known, ", ")),
          nearest_name(name, known));
      return;
    }
    try {
      BaseScenario base{*path, read_text_file(*path), std::make_shared<proto::Scenario>()};
      Places places(*path);
      if (parse_text(base.text, *path, *base.message, places, faults_)) out_.bases.emplace(name, std::move(base));
      if (name == out_.scenario) base_places_ = std::move(places);
    } catch (const InputError& fault) {
      faults_.insert(faults_.end(), fault.diagnostics().begin(), fault.diagnostics().end());
    }
  }

  /// Values that no scenario may have, whatever the other axes say. Laws across fields are for the candidates.
  void check_axes() {
    constexpr std::size_t kMostChecked = 2000;
    const proto::Scenario& base = *out_.bases.at(out_.scenario).message;
    for (std::size_t a = 0; a < out_.axes.size(); ++a) {
      const SweepAxis& axis = out_.axes[a];
      for (std::size_t v = 0; v < axis.values.size() && v < kMostChecked && faults_.size() < kMostDiagnostics; ++v) {
        if (check_value(axis.values[v], base, places_of_axes_[a])) continue;
        break;  // one such value per axis says enough
      }
    }
  }

  bool check_value(const AxisValue& value, const proto::Scenario& base, const std::string& place) {
    proto::Scenario scenario = base;
    Places places;
    Diagnostics found;
    for (const std::string& set : value.sets) set_field(set, scenario, places, found);
    if (found.empty()) {
      check_fields(scenario, "", places, names(), false, found);
      std::erase_if(found, [&](const Diagnostic& d) { return !is_set(value, d.field); });
    }
    for (const Diagnostic& d : found) {
      Diagnostic here = places_.fault(place, d.found, d.expected, d.suggestion);
      here.field = d.field;
      here.remedy = d.remedy;
      faults_.push_back(std::move(here));
    }
    return found.empty();
  }

  static bool is_set(const AxisValue& value, const std::string& path) {
    return std::any_of(value.sets.begin(), value.sets.end(), [&](const std::string& set) {
      const std::string own = set.substr(0, set.find('='));
      return path == own || path.starts_with(own + "[");
    });
  }

  void replicas() {
    if (in_.replicas() == 1) return;
    std::vector<std::string> seeds;
    const proto::Scenario& base = *out_.bases.at(out_.scenario).message;
    if (base.has_serving()) seeds.push_back("serving.seed");
    if (base.has_cluster_life() || (base.has_run() && base.has_training())) seeds.push_back("resilience.seed");
    if (seeds.empty()) {
      return add("replicas", fmt::format("{} of a scenario in which nothing is random", in_.replicas()),
                 "a scenario that serves requests, or a run or a cluster's life with failures");
    }
    SweepAxis axis{"replica", {{"replica", "", true}}, {}};
    for (int i = 0; i < in_.replicas(); ++i) {
      AxisValue value{{fmt::format("{}", i + 1)}, "", {}};
      for (const std::string& seed : seeds)
        value.sets.push_back(fmt::format("{}={}", seed, out_.seed + static_cast<std::uint64_t>(i)));
      axis.values.push_back(std::move(value));
    }
    out_.axes.push_back(std::move(axis));
    places_of_axes_.emplace_back("replicas");
  }

  void count() {
    out_.product = 1;
    std::vector<std::string> sizes;
    double all = 1;
    for (const SweepAxis& axis : out_.axes) {
      all *= static_cast<double>(axis.values.size());
      sizes.push_back(fmt::format("{} ({})", axis.values.size(), axis.name));
    }
    if (all > static_cast<double>(kMostCandidates)) {
      add("", fmt::format("{:.3g} candidates, {}", all, fmt::join(sizes, " x ")),
          fmt::format("at most {}", kMostCandidates));
      faults_.back().remedy =
          "fewer values of the longest axes, `joint` axes where only some pairs matter, or `draws` instead of a grid";
      stop_if_faulty();
    }
    for (const SweepAxis& axis : out_.axes) out_.product *= axis.values.size();
  }

  // ----------------------------------------------------------------------------------------------- columns

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
        return expected_of(resolve(base, environment_, sets));
      } catch (const InputError& error) {
        if (first.empty()) first = error.diagnostics();
      }
    }
    add("scenario", "no candidate that can be read", "at least one");
    faults_.insert(faults_.end(), first.begin(), first.end());
    return {};
  }

  static std::vector<Metric> expected_of(const ResolvedScenario& scenario) {
    if (scenario.work() != Work::given) return expected_metrics(scenario.value());
    for (MetricKind& kind : all_metric_kinds()) {
      if (kind.name == "cost") return std::move(kind.metrics);
    }
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
    kinds_ = metric_kinds_lookup(known_);
    if (in_.keep_size() > 0) {
      for (int i = 0; i < in_.keep_size(); ++i) keep(in_.keep(i), fmt::format("keep[{}]", i));
    } else {
      std::set<std::string> kept;
      for (const Metric& metric : known_) {
        // "phases[0]" repeats "phases[pre-training]".
        const bool repeats = is_place(metric) && !kept.empty() && named_entry_before(metric);
        if (!repeats) keep(metric.name, "");
        kept.insert(metric.name);
      }
    }
    std::set<std::string> taken(std::begin(kOwnColumns), std::end(kOwnColumns));
    for (const std::string& name : out_.keep) taken.insert(lower_case(name));
    for (std::size_t a = 0; a < out_.axes.size(); ++a) {
      for (const AxisColumn& column : out_.axes[a].columns) {
        if (!taken.insert(lower_case(column.name)).second)
          add(places_of_axes_[a], quoted(column.name), "a name that no other axis, metric or column has");
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
    if (!metric && !hardware) {
      std::vector<std::string> known = hardware_names();
      for (const Metric& m : known_) known.push_back(m.name);
      return add(place, quoted(name), "a metric that the reports of this scenario have (flopcast list metrics)",
                 nearest_name(name, known));
    }
    out_.keep.push_back(name);
    out_.units.push_back(metric ? metric->unit : hardware->unit);
  }

  // ----------------------------------------------------------------------------------------------- conditions

  /// Kinds of whatever a condition may name: columns of axes, fields, metrics, hardware.
  std::optional<NamedValue> kind_of_name(std::string_view name) const {
    if (const auto input = input_kind(out_, name)) return input;
    if (const auto metric = kinds_(name)) return metric;
    return hardware_kind(name);
  }

  std::optional<MetricExpression> expression(const std::string& text, const std::string& place) {
    try {
      MetricExpression out(text);
      std::vector<std::string> known = hardware_names();
      for (const Metric& metric : known_) known.push_back(metric.name);
      for (const SweepAxis& axis : out_.axes)
        for (const AxisColumn& column : axis.columns) known.push_back(column.name);
      const auto found = faults_of(
          out, [this](std::string_view name) { return kind_of_name(name); }, known);
      for (const ExpressionFault& f : found) add(place, f.found, f.expected, f.suggestion);
      if (found.empty()) return out;
    } catch (const InputError& error) {
      for (const Diagnostic& d : error.diagnostics()) add(place, d.found, d.expected, d.suggestion);
    }
    return std::nullopt;
  }

  void conditions() {
    std::vector<MetricExpression> all;
    std::vector<std::string> places;
    for (int i = 0; i < in_.constraint_size(); ++i) {
      const std::string place = fmt::format("constraint[{}]", i);
      std::optional<MetricExpression> condition = expression(in_.constraint(i), place);
      if (!condition) continue;
      if (!condition->is_condition()) {
        add(place, quoted(in_.constraint(i)), "a condition, such as \"training.step_time_s < 20 s\"");
        continue;
      }
      all.push_back(*condition);
      places.push_back(place);
      file_condition(*condition);
    }
    const auto kinds = [this](std::string_view name) { return kind_of_name(name); };
    if (const auto pair = contradiction(all, kinds)) {
      add(places[pair->second],
          pair->first == pair->second
              ? quoted(all[pair->first].text()) + ", which nothing fulfils"
              : fmt::format("{} beside {}", quoted(all[pair->second].text()), quoted(all[pair->first].text())),
          "conditions that can hold together");
    }
    for (int i = 0; i < in_.goal_size(); ++i) goal(in_.goal(i), fmt::format("goal[{}]", i));
  }

  /// Of a study that is faulty otherwise; names are judged where the base scenario can be read and every axis is there.
  void look_at_conditions() {
    std::vector<Metric> metrics;
    try {
      if (out_.bases.contains(out_.scenario) && out_.axes.size() == static_cast<std::size_t>(in_.axis_size()))
        metrics = expected_of(resolve(out_.scenario, environment_, out_.sets));
    } catch (const InputError&) {  // said already, or made whole by an axis
    }
    check_conditions(in_, out_, metrics, places_, faults_);
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
    keep_names(*figure);
    out_.goals.push_back({*figure, stated->smallest, text});
  }

  /// A study whose conditions leave nothing to run is a slip.
  void refuse_empty() {
    constexpr std::uint64_t kLookedAt = 5'000'000;
    if (out_.before.empty()) return;
    for (std::uint64_t number = 1; number <= std::min(out_.product, kLookedAt); ++number) {
      if (wanted(out_, candidate_at(out_, number))) return;
    }
    if (out_.product > kLookedAt) return;  // too many to look at here; the run says how many were left
    add("constraint", fmt::format("conditions that none of the {} candidates fulfils", out_.product),
        "at least one candidate");
  }

  const Environment& environment_;
  const Libraries& libraries_;
  const std::vector<std::string>& more_sets_;
  proto::Study in_;
  Places places_, base_places_;
  Diagnostics faults_;
  std::map<int, std::vector<std::string>> names_;
  std::vector<std::string> places_of_axes_;
  std::vector<Metric> known_;
  NameLookup kinds_;
  SweepStudy out_;
};

}  // namespace

std::optional<StatedGoal> stated_goal(const std::string& text) {
  const bool smallest = text.starts_with("min ");
  if (!smallest && !text.starts_with("max ")) return std::nullopt;
  return StatedGoal{smallest, text.substr(4)};
}

SweepStudy load_sweep(const std::string& name_or_file, const Environment& environment,
                      const std::vector<std::string>& sets) {
  const std::string path = sweep_path(environment.data().libraries(), name_or_file);
  return StudyReader(path, environment, sets).read();
}

}  // namespace flopcast
