#include "analysis/runs/serving/serving_spread.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "analysis/render/text/csv.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

/// What a figure, or a scenario, is of.
struct ServedModel {
  std::string engine, die, model;
  auto operator<=>(const ServedModel&) const = default;
};

const ClusterSpec& answering_cluster(const Scenario& scenario) {
  return scenario.rl ? scenario.rl->engine_cluster(scenario.cluster) : scenario.cluster;
}

/// "vllm" of "vllm-0.12": what an engine learns it keeps, versions differ by less than engines.
std::string family_of(const std::string& engine) { return engine.substr(0, engine.find('-')); }

/// Of a time per token by how many requests are answered at once; a first token's is the engine's alone either way.
enum class SpreadKind { first_token, few, many };

struct PredictedFigure {
  ServedModel of;
  SpreadKind kind = SpreadKind::many;
  SourcedError error;
};

struct SpreadTable {
  std::vector<PredictedFigure> figures;
  std::map<ServedModel, std::set<std::string>> sources;

  /// Somebody else measured the same.
  bool known(const ServedModel& of, const std::string& source) const {
    const auto found = sources.find(of);
    if (found == sources.end()) return false;
    return found->second.size() > found->second.count(source);
  }
};

bool one_of_two(const CsvTable& csv, std::size_t row, std::string_view column, std::string_view yes,
                std::string_view no) {
  const std::string& text = csv.text(row, column);
  if (text == yes || text == no) return text == yes;
  Diagnostic d;
  d.file = csv.file();
  d.line = csv.line(row);
  d.field = std::string(column);
  d.found = text;
  d.expected = std::string(yes) + " or " + std::string(no);
  throw InputError(d);
}

SpreadTable table_of(const CsvTable& csv) {
  SpreadTable table;
  for (std::size_t i = 0; i < csv.size(); ++i) {
    PredictedFigure figure;
    figure.of = {family_of(csv.text(i, "engine")), csv.text(i, "die"), csv.text(i, "model")};
    figure.error.source = csv.text(i, "source");
    table.sources[figure.of].insert(figure.error.source);
    if (csv.text(i, "predicted").empty()) continue;  // it had been looked at: its error says nothing of a further one
    figure.kind = one_of_two(csv, i, "at_once", "few", "many") ? SpreadKind::few : SpreadKind::many;
    const bool rate = csv.text(i, "of") == "rate";
    if (!rate && one_of_two(csv, i, "of", "ttft", "tpot")) figure.kind = SpreadKind::first_token;
    const double ratio = csv.number(i, "measured") / csv.number(i, "predicted");
    figure.error.log_error = rate ? -std::log(ratio) : std::log(ratio);
    table.figures.push_back(std::move(figure));
  }
  return table;
}

double weight_in(double of_source) {
  constexpr double kInCommon = 0.5;  // of the variance of an error, about what figures of a source have in common
  return 1 / (1 + (of_source - 1) * kInCommon);
}

std::map<std::string_view, double> counts_of(const std::vector<SourcedError>& errors) {
  std::map<std::string_view, double> counts;
  for (const SourcedError& error : errors) ++counts[error.source];
  return counts;
}

/// ErrorSizes of errors, as far as the table knows them.
class ErrorSizes {
 public:
  explicit ErrorSizes(const SpreadTable& table) {
    for (const SpreadKind measure : {SpreadKind::first_token, SpreadKind::few, SpreadKind::many}) {
      std::vector<SourcedError> all, near, far;
      for (const PredictedFigure& figure : table.figures) {
        if (figure.kind != measure) continue;
        all.push_back(figure.error);
        (table.known(figure.of, figure.error.source) ? near : far).push_back(figure.error);
      }
      Size& size = of(measure);
      size.rows = static_cast<int>(all.size());
      size.known = mean_size(enough(near) ? near : all);
      size.unknown = std::max(size.known, mean_size(enough(far) ? far : all));
    }
    beyond_ = nine_of_ten(table);
  }

  /// Half a range, in the logarithm, and the figures that it comes from.
  TimeSpread spread(SpreadKind measure, bool known) const {
    const Size& size = sizes_[static_cast<std::size_t>(measure)];
    if (size.rows == 0) return {};
    const double reach = beyond_ * (known ? size.known : size.unknown);
    return {std::exp(-reach), std::exp(reach), size.rows};
  }

 private:
  struct Size {
    double known = 0, unknown = 0;
    int rows = 0;
  };

  Size& of(SpreadKind measure) { return sizes_[static_cast<std::size_t>(measure)]; }

  /// Fewer sources say nothing of a further one.
  static bool enough(const std::vector<SourcedError>& errors) { return counts_of(errors).size() >= 4; }

  /// Of all figures, error over the size that its kind leads to expect: what nine of ten, and one to come, stay below.
  double nine_of_ten(const SpreadTable& table) {
    std::vector<SourcedError> all;
    for (const PredictedFigure& figure : table.figures) all.push_back(figure.error);
    const auto counts = counts_of(all);
    std::vector<std::pair<double, double>> sorted;  // error over size, weight
    double whole = 0;
    for (const PredictedFigure& figure : table.figures) {
      const Size& size = of(figure.kind);
      const double expected = table.known(figure.of, figure.error.source) ? size.known : size.unknown;
      sorted.emplace_back(expected > 0 ? std::abs(figure.error.log_error) / expected : 0,
                          weight_in(counts.at(figure.error.source)));
      whole += sorted.back().second;
    }
    std::sort(sorted.begin(), sorted.end());
    double passed = 0;
    for (const auto& [ratio, weight] : sorted) {
      passed += weight;
      if (passed >= 0.9 * (whole + 1)) return ratio;
    }
    return sorted.empty() ? 0 : sorted.back().first;
  }

  std::array<Size, 3> sizes_;
  double beyond_ = 0;
};

}  // namespace

double mean_size(const std::vector<SourcedError>& errors) {
  const auto counts = counts_of(errors);
  double sum = 0, whole = 0;
  for (const SourcedError& error : errors) {
    const double weight = weight_in(counts.at(error.source));
    sum += weight * std::abs(error.log_error);
    whole += weight;
  }
  return whole > 0 ? sum / whole : 0;
}

LatencyRange latency_range(const ServingSpread& spread, const LatencyMeans& here, const LoadedTwins& twins) {
  const auto ttft = [](const LatencyMeans& m, double first, double token) {
    return (m.ttft - m.waited) * first + m.waited * token;
  };
  const LatencyMeans& slower = twins.slower ? *twins.slower : here;
  const LatencyMeans& faster = twins.faster ? *twins.faster : here;
  const auto low = [&](const LatencyMeans& m) { return ttft(m, spread.ttft.low, spread.tpot.low); };
  const auto high = [&](const LatencyMeans& m) { return ttft(m, spread.ttft.high, spread.tpot.high); };
  return {std::min(low(here), low(faster)), std::max(high(here), high(slower)),
          std::min(here.tpot, faster.tpot) * spread.tpot.low, std::max(here.tpot, slower.tpot) * spread.tpot.high};
}

TimeSpread widened(TimeSpread spread, double log_sd) {
  if (log_sd <= 0 || spread.rows == 0) return spread;
  constexpr double kNineOfTen = 1.645;
  const auto reach = [&](double factor) { return std::hypot(std::log(factor), kNineOfTen * log_sd); };
  // A side on which no run lay takes the new error alone.
  spread.low = std::exp(-reach(std::min(1.0, spread.low)));
  spread.high = std::exp(reach(std::max(1.0, spread.high)));
  return spread;
}

const EngineConfig& answering_engine(const Scenario& scenario) {
  return scenario.rl ? scenario.rl->rollout.engine : scenario.serving->answer_pool().engine;
}

ServingSpreads serving_spreads(const std::string& text, const std::string& file, const Scenario& scenario,
                               double log_sd) {
  const SpreadTable table = table_of(parse_csv(text, file));
  const EngineConfig& engine = answering_engine(scenario);
  const bool known =
      table.known({family_of(engine.name), answering_cluster(scenario).node.gpu.die, engine.model.name}, /*source=*/"");
  const ErrorSizes sizes(table);
  const auto spread = [&](bool few) {
    ServingSpread out;
    out.ttft = widened(sizes.spread(SpreadKind::first_token, known), log_sd);
    out.tpot = widened(sizes.spread(few ? SpreadKind::few : SpreadKind::many, known), log_sd);
    out.kind = few ? "few requests at once" : "many requests at once";
    out.kind += known ? ", engine, GPU and model known from other sources"
                      : ", no other source known for this engine, GPU and model";
    if (log_sd > 0) out.kind += ", wider for a die that nobody measured";
    return out;
  };
  return {spread(true), spread(false)};
}

}  // namespace flopcast
