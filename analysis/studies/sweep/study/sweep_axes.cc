#include "analysis/studies/sweep/study/sweep_axes.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include "analysis/studies/sweep/study/field_values.h"
#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/fields/field_rules.h"
#include "scenarios/read/text/quantity.h"
#include "scenarios/studies/study.h"
#include "sim/base/fnv.h"
#include "sim/base/random.h"

namespace flopcast {
namespace {

/// "50 GB/s per direction" as 50 and the rest.
struct Amount {
  double number = 0;
  std::string unit;
};

std::optional<Amount> amount_of(const std::string& text) {
  Amount out;
  const char* const end = text.data() + text.size();
  const auto [after, error] = std::from_chars(text.data(), end, out.number);
  if (error != std::errc() || !std::isfinite(out.number)) return std::nullopt;
  out.unit = std::string(after, end);
  while (!out.unit.empty() && out.unit.front() == ' ') out.unit.erase(0, 1);
  return out;
}

/// What only people read: a sweep over it would run the same thing again and again.
bool is_label(const std::string& path) {
  const std::string bare = without_indices(path), last = bare.substr(bare.rfind('.') + 1);
  return last == "name" || last == "title" || last == "source" || last == "text" || last.ends_with("_source") ||
         bare.starts_with("published") || bare.find("sources") != std::string::npos;
}

class AxisExpansion {
 public:
  AxisExpansion(const AxisPlace& at, const AxisContext& context, Diagnostics& faults)
      : axis_(*at.axis), path_(at.path), context_(context), faults_(faults), before_(faults.size()) {}

  SweepAxis expand() {
    const int kinds = (axis_.value_size() > 0) + axis_.has_range() + axis_.has_draw() + axis_.has_entries() +
                      (axis_.point_size() > 0);
    if (kinds != 1) {
      fault("", kinds == 0 ? "no values" : "values of several kinds",
            "one of value, range, draw, entries, point and joint");
      return {};
    }
    check_paths();
    // An unknown kind the law of its field has refused, with its place.
    if (faulty() || (axis_.has_entries() && !known_entries(axis_.entries().kind()))) return {};
    SweepAxis out;
    out.name = axis_.has_name() ? axis_.name() : axis_.path_size() > 0 ? axis_.path(0) : "";
    if (axis_.point_size() > 0)
      points(out);
    else
      for (std::string& value : texts()) out.values.push_back(value_of(std::move(value)));
    if (faulty() || out_of_bounds_) return {};
    if (out.values.empty()) {
      fault("", "no value at all", "at least one: an axis without values leaves nothing to run");
      return {};
    }
    const bool own = axis_.path_size() > 0 && axis_.path(0) != kScenarioPath;
    const bool numbers = std::all_of(out.values.begin(), out.values.end(), [](const AxisValue& value) {
      const auto amount = amount_of(value.cells[0]);
      return amount && amount->unit.empty();
    });
    out.columns = {{out.name, own ? axis_.path(0) : "", numbers}};
    return out;
  }

 private:
  bool faulty() const { return faults_.size() > before_; }

  void fault(const std::string& field, std::string found, std::string expected, std::string suggestion = "") {
    const std::string path = field.empty() ? path_ : path_ + "." + field;
    faults_.push_back(context_.places.fault(path, std::move(found), std::move(expected), std::move(suggestion)));
  }

  void check_paths() {
    if (axis_.point_size() > 0) {
      if (axis_.path_size() > 0)
        fault("path", quoted(axis_.path(0)), "none beside `point`, whose settings name their fields");
      if (!axis_.has_name()) fault("name", "nothing", "a name for the points' column");
      return;
    }
    if (axis_.path_size() == 0) fault("path", "nothing", "the field that varies, such as training.plan.tensor");
    for (int i = 0; i < axis_.path_size(); ++i) {
      const std::string& path = axis_.path(i);
      if (path == kScenarioPath || !is_label(path)) continue;
      fault(fmt::format("path[{}]", i), quoted(path) + ", which no result depends on", "a field that a replay reads");
    }
  }

  // Values.

  AxisValue value_of(std::string text) const {
    AxisValue value;
    for (const std::string& path : axis_.path()) {
      if (path == kScenarioPath)
        value.scenario = beside_study(context_.study, text);
      else
        value.sets.push_back(path + "=" + text);
    }
    value.cells = {std::move(text)};
    return value;
  }

  std::vector<std::string> texts() {
    if (axis_.has_range()) return range();
    if (axis_.has_draw()) return drawn();
    if (axis_.has_entries()) return entries_where(axis_.entries(), path_ + ".entries", context_, faults_);
    return {axis_.value().begin(), axis_.value().end()};
  }

  void points(SweepAxis& out) {
    for (int i = 0; i < axis_.point_size(); ++i) {
      const proto::AxisPoint& point = axis_.point(i);
      if (point.set_size() == 0 && !point.has_name())
        fault(fmt::format("point[{}]", i), "neither a name nor settings", "set: \"path=value\"");
      AxisValue value;
      for (const std::string& set : point.set()) {
        if (set.starts_with(std::string(kScenarioPath) + "="))
          value.scenario = beside_study(context_.study, set.substr(set.find('=') + 1));
        else
          value.sets.push_back(set);
      }
      value.cells = {point.has_name() ? point.name() : fmt::format("{}", fmt::join(point.set(), " "))};
      out.values.push_back(std::move(value));
    }
  }

  /// The field that varies, where there is one: null of the base scenario.
  const google::protobuf::FieldDescriptor* field() const {
    return field_at(*proto::Scenario::descriptor(), axis_.path(0));
  }
  bool whole_numbers() const {
    using Field = google::protobuf::FieldDescriptor;
    const Field* const f = field();
    return f && (f->cpp_type() == Field::CPPTYPE_INT32 || f->cpp_type() == Field::CPPTYPE_INT64);
  }

  /// Both ends in one unit. Absent: faults say why.
  std::optional<std::pair<Amount, Amount>> ends(const std::string& part, const std::string& low,
                                                const std::string& high) {
    const std::optional<Amount> from = amount_of(low), to = amount_of(high);
    if (!from) fault(part + ".from", quoted(low), "a number with the unit of the field");
    if (!to) fault(part + ".to", quoted(high), "a number with the unit of the field");
    if (!from || !to) return std::nullopt;
    Amount upper = *to;
    if (!upper.unit.empty() && upper.unit != from->unit) {
      fault(part + ".to", quoted(high), fmt::format("the unit of `from`, {}", quoted(from->unit)));
      return std::nullopt;
    }
    upper.unit = from->unit;
    return std::pair(*from, upper);
  }

  std::string text_of(double value, const std::string& unit) const {
    std::string number = whole_numbers() ? fmt::format("{:.0f}", value) : fmt::format("{:.6g}", value);
    return unit.empty() ? number : number + " " + unit;
  }

  std::vector<std::string> range() {
    const proto::AxisRange& r = axis_.range();
    if (r.has_step() + r.has_count() + r.has_factor() != 1) {
      fault("range", "none or several of step, count and factor", "one of them");
      return {};
    }
    const auto both = ends("range", r.from(), r.to());
    if (!both) return {};
    const double from = both->first.number, to = both->second.number;
    const bool factors = r.has_factor() || r.logarithmic();
    if (factors && (from <= 0 || to <= 0)) fault("range", fmt::format("{} to {}", r.from(), r.to()), "ends above 0");
    if (r.has_step() && r.step() <= 0) fault("range.step", fmt::format("{}", r.step()), "a step above 0");
    if (r.has_factor() && r.factor() <= 1) fault("range.factor", fmt::format("{}", r.factor()), "a factor above 1");
    if (faulty()) return {};
    if (r.has_count() && r.count() < 2) {
      out_of_bounds_ = true;
      return {};
    }
    double steps = r.count() - 1;
    if (r.has_step()) steps = (to - from) / r.step();
    if (r.has_factor()) steps = std::log(to / from) / std::log(r.factor());
    if (to < from) {
      fault("range", fmt::format("{} to {}, an empty range", r.from(), r.to()), "`to` at or above `from`");
      return {};
    }
    constexpr double kMostValues = 1e6;
    if (steps >= kMostValues) {
      fault("range", fmt::format("{:.0f} values", steps + 1), fmt::format("at most {:.0f}", kMostValues));
      return {};
    }
    std::vector<std::string> out;
    const auto count = static_cast<int>(std::floor(steps + 1e-9));
    for (int i = 0; i <= count; ++i) {
      const double along = r.has_count() ? static_cast<double>(i) / count : i;
      double value = factors ? from * std::pow(to / from, along) : from + (to - from) * along;
      if (r.has_step()) value = from + r.step() * i;
      if (r.has_factor()) value = from * std::pow(r.factor(), i);
      std::string text = text_of(value, both->first.unit);
      if (out.empty() || out.back() != text) out.push_back(std::move(text));
    }
    return out;
  }

  std::vector<std::string> drawn() {
    if (context_.draws == 0) {
      fault("draw", "random values", "`draws`, how many of them, beside the axes");
      return {};
    }
    const proto::AxisDraw& d = axis_.draw();
    const bool uniform = d.distribution().ends_with("uniform"), logarithmic = d.distribution().starts_with("log_");
    if (uniform && (!d.has_from() || !d.has_to())) fault("draw", d.distribution(), "`from` and `to`");
    if (!uniform && (!d.has_mean() || !d.has_deviation())) fault("draw", d.distribution(), "`mean` and `deviation`");
    if (faulty()) return {};
    const auto both = uniform ? ends("draw", d.from(), d.to()) : ends("draw", d.mean(), d.mean());
    if (!both) return {};
    const double from = both->first.number, to = both->second.number;
    if (logarithmic && (from <= 0 || to <= 0)) fault("draw", fmt::format("{} to {}", from, to), "values above 0");
    if (uniform && to < from)
      fault("draw", fmt::format("{} to {}, an empty range", d.from(), d.to()), "`to` above `from`");
    if (faulty()) return {};
    RandomStream stream(context_.seed, fnv1a(axis_.has_name() ? axis_.name() : axis_.path(0)));
    std::vector<std::string> out;
    for (int i = 0; i < context_.draws; ++i) {
      const double u = uniform ? stream.uniform() : stream.normal();
      double value = 0;
      if (uniform)
        value = logarithmic ? from * std::pow(to / from, u) : from + (to - from) * u;
      else
        value = logarithmic ? from * std::exp(d.deviation() * u) : from * (1 + d.deviation() * u);
      out.push_back(text_of(whole_numbers() ? std::round(value) : value, both->first.unit));
    }
    return out;
  }

  const proto::Axis& axis_;
  const std::string& path_;
  const AxisContext& context_;
  Diagnostics& faults_;
  std::size_t before_;
  bool out_of_bounds_ = false;  // a number that the bounds of its field have refused: nothing can be made of it
};

}  // namespace

SweepAxis expanded(const AxisPlace& at, const AxisContext& context, Diagnostics& faults) {
  return AxisExpansion(at, context, faults).expand();
}

SweepAxis zipped(const std::vector<SweepAxis>& axes, const std::string& name) {
  SweepAxis out{name, {}, axes.front().values};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    out.columns.insert(out.columns.end(), axes[i].columns.begin(), axes[i].columns.end());
    for (std::size_t at = 0; i > 0 && at < out.values.size(); ++at) {
      AxisValue& value = out.values[at];
      const AxisValue& more = axes[i].values[at];
      value.cells.insert(value.cells.end(), more.cells.begin(), more.cells.end());
      value.sets.insert(value.sets.end(), more.sets.begin(), more.sets.end());
      if (!more.scenario.empty()) value.scenario = more.scenario;
    }
  }
  return out;
}

}  // namespace flopcast
