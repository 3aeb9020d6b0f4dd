#include "analysis/runs/serving/serving_spread.h"

#include <algorithm>
#include <cmath>

#include "analysis/render/text/csv.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {

/// Rows of one engine, model and GPU are alike, and a new server is like none of them: with each of these groups left
/// out in turn, quantiles at 4 and 96 % of the others cover nine of ten of its rows (time per token 92 % with experts,
/// 95 % of dense models; first tokens 93 and 90 %).
constexpr double kTail = 0.04;

TimeSpread time_spread_of(std::vector<double> ratios) {
  TimeSpread out;
  if (ratios.empty()) return out;
  std::sort(ratios.begin(), ratios.end());
  const double n = static_cast<double>(ratios.size());
  const auto at = [&](double rank) { return ratios[static_cast<std::size_t>(std::clamp(rank, 1.0, n)) - 1]; };
  out.low = at(std::floor(kTail * (n + 1)));
  out.high = at(std::ceil((1 - kTail) * (n + 1)));
  out.rows = static_cast<int>(ratios.size());
  return out;
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

ServingSpread serving_spread(const std::string& text, const std::string& file, const Scenario& scenario,
                             double log_sd) {
  const CsvTable table = parse_csv(text, file);
  const EngineConfig& engine = answering_engine(scenario);
  const bool experts = engine.model.moe.experts > 0;
  std::vector<double> ttft, tpot;
  for (std::size_t i = 0; i < table.size(); ++i) {
    if ((table.text(i, "experts") == "yes") != experts) continue;
    if (!table.text(i, "tpot").empty()) tpot.push_back(table.number(i, "tpot"));
    if (!table.text(i, "ttft").empty()) ttft.push_back(table.number(i, "ttft"));
  }
  ServingSpread out;
  out.tpot = time_spread_of(std::move(tpot));
  out.ttft = time_spread_of(std::move(ttft));
  out.kind = experts ? "models with experts" : "dense models";
  if (log_sd <= 0) return out;
  out.tpot = widened(out.tpot, log_sd);
  out.ttft = widened(out.ttft, log_sd);
  out.kind += ", wider for a die that nobody measured";
  return out;
}

}  // namespace flopcast
