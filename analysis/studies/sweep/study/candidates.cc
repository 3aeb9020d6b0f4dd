#include "analysis/studies/sweep/study/candidates.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "analysis/face/environment_data.h"
#include "analysis/studies/digest.h"
#include "analysis/studies/sweep/study/field_values.h"
#include "scenarios/proto/scenario.pb.h"
#include "sim/base/random.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

/// The `index`-th of the numbers 0 .. size - 1 in an order that only the seed decides, each once: a Feistel network
/// over the next power of four, walked until it is back within the size.
std::uint64_t shuffled(std::uint64_t index, std::uint64_t size, std::uint64_t seed) {
  int half = 1;
  while ((std::uint64_t{1} << (2 * half)) < size) ++half;
  const std::uint64_t mask = (std::uint64_t{1} << half) - 1;
  do {
    std::uint64_t left = index >> half, right = index & mask;
    for (std::uint64_t round = 0; round < 6; ++round) {
      const std::uint64_t mixed = RandomStream(seed ^ (round << 56), right + 1).next() & mask;
      left = std::exchange(right, left ^ mixed);
    }
    index = (left << half) | right;
  } while (index >= size);
  return index;
}

const AxisColumn* column_named(const SweepStudy& study, std::string_view name, std::size_t& position) {
  position = 0;
  for (const SweepAxis& axis : study.axes) {
    for (const AxisColumn& column : axis.columns) {
      if (column.name == name) return &column;
      ++position;
    }
  }
  return nullptr;
}

NamedValue cell_value(const AxisColumn& column, std::string_view cell) {
  const auto* field = column.path.empty() ? nullptr : field_at(*proto::Scenario::descriptor(), column.path);
  if (field) return field_value(*field, cell);
  if (!column.numbers) return {std::string(cell)};
  return {std::stod(std::string(cell))};
}

}  // namespace

SweepCandidate candidate_at(const SweepStudy& study, std::uint64_t number) {
  SweepCandidate out{number, study.scenario, study.sets, {}};
  std::vector<const AxisValue*> values(study.axes.size());
  std::uint64_t rest = number - 1;
  for (std::size_t a = study.axes.size(); a-- > 0;) {
    const auto& axis = study.axes[a].values;
    values[a] = &axis[rest % axis.size()];
    rest /= axis.size();
  }
  for (const AxisValue* value : values) {
    if (!value->scenario.empty()) out.scenario = value->scenario;
    out.sets.insert(out.sets.end(), value->sets.begin(), value->sets.end());
    out.cells.insert(out.cells.end(), value->cells.begin(), value->cells.end());
  }
  return out;
}

std::optional<NamedValue> input_value(const SweepStudy& study, const SweepCandidate& candidate, std::string_view name) {
  std::size_t position = 0;
  if (const AxisColumn* column = column_named(study, name, position))
    return cell_value(*column, candidate.cells[position]);
  const auto* field = field_at(*proto::Scenario::descriptor(), name);
  if (!field) return std::nullopt;
  for (auto set = candidate.sets.rbegin(); set != candidate.sets.rend(); ++set) {
    if (set->size() > name.size() && set->starts_with(name) && (*set)[name.size()] == '=')
      return field_value(*field, std::string_view(*set).substr(name.size() + 1));
  }
  return message_value(*study.bases.at(candidate.scenario).message, name);
}

std::optional<NamedValue> input_kind(const SweepStudy& study, std::string_view name) {
  std::size_t position = 0;
  if (const AxisColumn* column = column_named(study, name, position)) {
    if (study.product > 0) return input_value(study, candidate_at(study, 1), name);
    return cell_value(*column, "");
  }
  const auto* field = field_at(*proto::Scenario::descriptor(), name);
  if (!field) return std::nullopt;
  return input_value(study, candidate_at(study, 1), name);
}

bool wanted(const SweepStudy& study, const SweepCandidate& candidate) {
  const NameLookup lookup = [&](std::string_view name) { return input_value(study, candidate, name); };
  return std::all_of(study.before.begin(), study.before.end(),
                     [&](const MetricExpression& condition) { return condition.holds(lookup) == true; });
}

void for_each_wanted(const SweepStudy& study, const std::function<bool(const SweepCandidate&)>& visit) {
  const auto show = [&](std::uint64_t number) {
    const SweepCandidate candidate = candidate_at(study, number);
    return !wanted(study, candidate) || visit(candidate);
  };
  if (!study.sample || *study.sample >= study.product) {
    for (std::uint64_t number = 1; number <= study.product; ++number)
      if (!show(number)) return;
    return;
  }
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t i = 0; i < *study.sample; ++i) numbers.push_back(shuffled(i, study.product, study.seed) + 1);
  std::sort(numbers.begin(), numbers.end());
  for (const std::uint64_t number : numbers)
    if (!show(number)) return;
}

SweepFingerprints::SweepFingerprints(const SweepStudy& study, const Environment& environment) {
  const std::string data = digest_of_data(environment.data().libraries());
  for (const auto& [name, base] : study.bases) {
    WideHash hash;
    hash.add(version());
    hash.add(data);
    hash.add(digest_of_text(base.text, fs::path(base.path).parent_path().string()));
    digest_of_base_[name] = hash.text();
  }
}

std::string SweepFingerprints::of(const SweepCandidate& candidate) const {
  WideHash hash;
  hash.add(digest_of_base_.at(candidate.scenario));
  // Of several statements on a field the last one counts, and the order of fields does not.
  std::map<std::string_view, std::string_view> last;
  for (const std::string& set : candidate.sets) {
    const std::size_t equals = set.find('=');
    last[std::string_view(set).substr(0, equals)] = std::string_view(set).substr(equals + 1);
  }
  for (const auto& [path, value] : last) {
    hash.add(path);
    hash.add(value);
  }
  return hash.text();
}

std::string SweepFingerprints::of_study(const SweepStudy& study) const {
  WideHash hash;
  const auto add_list = [&](const auto& list, const auto& text) {
    hash.add(fmt::format("{}", list.size()));
    for (const auto& item : list) hash.add(text(item));
  };
  const auto as_it_is = [](const std::string& text) -> const std::string& { return text; };
  const auto expression = [](const MetricExpression& e) -> const std::string& { return e.text(); };
  for (const auto& [name, digest] : digest_of_base_) hash.add(name), hash.add(digest);
  hash.add(study.scenario);
  add_list(study.sets, as_it_is);
  for (const SweepAxis& axis : study.axes) {
    add_list(axis.columns, [](const AxisColumn& column) -> const std::string& { return column.name; });
    for (const AxisValue& value : axis.values) {
      add_list(value.cells, as_it_is);
      hash.add(value.scenario);
      add_list(value.sets, as_it_is);
    }
  }
  add_list(study.before, expression);
  add_list(study.after, expression);
  add_list(study.goals, [](const SweepGoal& goal) -> const std::string& { return goal.text; });
  add_list(study.keep, as_it_is);
  hash.add(fmt::format("{} {}", study.seed, study.sample.value_or(0)));
  return hash.text();
}

}  // namespace flopcast
