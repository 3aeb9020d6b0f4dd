#include "analysis/studies/sweep/study/sweep_study.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>

#include "analysis/face/environment_data.h"
#include "analysis/studies/sweep/study/candidates.h"
#include "analysis/studies/sweep/study/sweep_axes.h"
#include "analysis/studies/sweep/study/sweep_checks.h"
#include "analysis/studies/sweep/study/sweep_judgement.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/fields/field_rules.h"
#include "scenarios/read/fields/set_field.h"
#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/read/text/path_or_name.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/studies/study.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

std::string sweep_path(const Libraries& libraries, const std::string& name_or_file) {
  if (names_file(name_or_file)) return name_or_file;
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
    read_judgement({in_, places_, places_of_axes_, environment_}, faults_, out_);
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

  /// Of a study that is faulty otherwise; names are judged where the base scenario can be read and every axis is there.
  void look_at_conditions() {
    std::vector<Metric> metrics;
    try {
      if (out_.bases.contains(out_.scenario) && out_.axes.size() == static_cast<std::size_t>(in_.axis_size()))
        metrics = metrics_expected_of(resolve(out_.scenario, environment_, out_.sets));
    } catch (const InputError&) {  // said already, or made whole by an axis
    }
    check_conditions(in_, out_, metrics, places_, faults_);
  }

  /// Names of libraries, each read once.
  NamesOf names() {
    return [this](int library) {
      const auto known = names_.find(library);
      if (known != names_.end()) return known->second;
      return names_[library] = libraries_.names(static_cast<LibraryKind>(library));
    };
  }

  // Axes.

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
            "a plain axis (everything drawn moves together without it)");
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

  // Base scenario.

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
    const auto path = names_file(name) ? std::optional(name) : libraries_.find(LibraryKind::scenarios, name);
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
    if (base.has_rl()) seeds.push_back("rl.seed");
    if (base.has_cluster_life() || (base.has_run() && base.has_training())) seeds.push_back("resilience.seed");
    if (seeds.empty()) {
      return add("replicas", fmt::format("{} of a scenario in which nothing is random", in_.replicas()),
                 "a scenario that serves requests, a loop, or a run or a cluster's life with failures");
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
  SweepStudy out_;
};

}  // namespace

SweepStudy load_sweep(const std::string& name_or_file, const Environment& environment,
                      const std::vector<std::string>& sets) {
  const std::string path = sweep_path(environment.data().libraries(), name_or_file);
  return StudyReader(path, environment, sets).read();
}

}  // namespace flopcast
