#include "analysis/studies/size/serving_size.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "analysis/render/text/format.h"
#include "analysis/runs/serving/serving_pools.h"
#include "scenarios/read/text/quantity.h"
#include "scenarios/resolve/change_work.h"

namespace flopcast {
namespace {

class Sizer {
 public:
  Sizer(const Scenario& scenario, const SizeOptions& options)
      : scenario_(scenario),
        options_(options),
        length_(scenario.serving->traffic),
        prices_(std::make_shared<KeptPrices>()) {}

  SizeResult run() {
    const ServingScenario& serving = *scenario_.serving;
    std::vector<int> most;
    int left = scenario_.cluster.gpus();
    // Prefill and decode replicas may take as many GPUs each as the cluster leaves beside one of the other kind.
    for (std::size_t p = 0; p < serving.pools.size(); ++p) {
      int others = 0;
      for (std::size_t q = 0; q < serving.pools.size(); ++q)
        if (q != p) others += serving.pools[q].engine.plan.gpus();
      most.push_back(std::max(1, (left - others) / serving.pools[p].engine.plan.gpus()));
    }
    return serving.pools.size() == 1 ? one_pool(most[0]) : two_pools(most[0], most[1]);
  }

 private:
  SizeResult one_pool(int most) {
    const int count = fewest(most, [](int n) { return std::vector<int>{n}; });
    return finish({count});
  }

  SizeResult two_pools(int most_prefill, int most_decode) {
    // As many prefill replicas as the cluster holds beside so many decode replicas.
    const auto plan = [&](std::size_t p) { return scenario_.serving->pools[p].engine.plan.gpus(); };
    const auto beside = [&](int decode) {
      return std::clamp((scenario_.cluster.gpus() - decode * plan(1)) / plan(0), 1, most_prefill);
    };
    const int decode = fewest(most_decode, [&](int n) { return std::vector<int>{beside(n), n}; });
    if (!met_) return finish({beside(decode), decode});
    const int prefill = fewest(beside(decode), [&](int n) { return std::vector<int>{n, decode}; });
    return finish({prefill, decode});
  }

  int gpus_of(std::size_t pool) const { return scenario_.serving->pools[pool].engine.plan.gpus(); }

  /// Load is doubled until the promise breaks and then bisected to 2 %. What a load of the scenario's traffic is, the
  /// first replay says.
  PoolRatio most_load(int prefill, int decode) {
    constexpr double kClose = 1.02, kLeast = 1.0 / 64, kMost = 64;
    PoolRatio out{prefill, decode, prefill * gpus_of(0) + decode * gpus_of(1), {}};
    const auto meets_at = [&](double load) {
      const CurveSample found = sample({prefill, decode}, load);
      if (found.meets) out.at_most = found;
      return found.meets;
    };
    if (const double low = doubled_load(meets_at, kLeast, kMost); low > 0) bisect_load(meets_at, low, kClose);
    return out;
  }

 public:
  std::vector<PoolRatio> ratios() {
    std::vector<PoolRatio> out;
    const int gpus = scenario_.cluster.gpus();
    // From the decode side and from the prefill side: every split that leaves no room for one more of either kind.
    for (int decode = 1; decode * gpus_of(1) + gpus_of(0) <= gpus; ++decode) {
      const int prefill = (gpus - decode * gpus_of(1)) / gpus_of(0);
      const bool room = gpus - decode * gpus_of(1) - prefill * gpus_of(0) >= gpus_of(1);
      if (!room) out.push_back(most_load(prefill, decode));
    }
    return out;
  }

 private:
  /// Fewest that meet the promise: doubled until it is met, then halved in between. The most there can be when it never
  /// is.
  template <class Counts>
  int fewest(int most, Counts counts) {
    int low = 0, high = 1;
    while (!meets(counts(high))) {
      low = high;
      if (high == most) return most;
      high = std::min(most, 2 * high);
    }
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (meets(counts(middle)) ? high : low) = middle;
    }
    met_ = true;
    return high;
  }

  CurveSample sample(const std::vector<int>& counts, double load) {
    Scenario scenario = scenario_;
    int gpus = 0;
    std::string deployment;
    change_serving(scenario, [&](ServingScenario& serving) {
      for (std::size_t p = 0; p < counts.size(); ++p) {
        serving.pools[p].replicas = counts[p];
        serving.pools[p].autoscale.on = false;
        gpus += counts[p] * serving.pools[p].engine.plan.gpus();
        deployment += fmt::format("{}{} {}", p ? " + " : "", counts[p], serving.pools[p].name);
      }
      serving.sample = 1;
      serving.levels.assign(serving.levels.size(), options_.promise);
      if (load != 1) serving.traffic = times_as_much(serving.traffic, load);
      length_.cut(serving, load);
    });
    if (options_.stage) options_.stage(fmt::format("{}, load {:g}", deployment, load));
    ServingOptions serving = options_.serving;
    serving.prices = prices_;
    const ServingReport report = run_serving(scenario, serving);
    length_.replayed(report, load);
    CurveSample out = sample_of(report);
    out.gpus = gpus;
    attainment_ = report.all.slo_attainment();
    out.meets = attainment_ >= options_.attainment && report.state != LoadState::overloaded;
    out.deployment = deployment;
    return out;
  }

  bool meets(const std::vector<int>& counts) {
    for (const auto& [known, verdict] : verdicts_)
      if (known == counts) return verdict;
    result_.tried.push_back(sample(counts, 1));
    const bool verdict = result_.tried.back().meets;
    verdicts_.emplace_back(counts, verdict);
    if (!met_ && attainment_ > nearest_) {
      nearest_ = attainment_;
      nearest_counts_ = counts;
    }
    return verdict;
  }

  SizeResult finish(std::vector<int> counts) {
    result_.met = met_;
    if (!met_ && !nearest_counts_.empty()) counts = nearest_counts_;
    result_.counts = std::move(counts);
    for (std::size_t p = 0; p < result_.counts.size(); ++p)
      result_.gpus += result_.counts[p] * scenario_.serving->pools[p].engine.plan.gpus();
    const CurveSample here = sample(result_.counts, 1);
    result_.attainment = attainment_;
    if (!options_.curve) return std::move(result_);
    if (waits_for_answers(scenario_.serving->traffic)) {
      result_.saturation.note = "none: users wait for their answers";
    } else {
      result_.saturation = find_saturation([&](double load) {
        const CurveSample s = load == 1 ? here : sample(result_.counts, load);
        return LoadTrial{s.state, s.requests_per_s};
      });
    }
    const double full = result_.saturation.load > 0 ? result_.saturation.load : 1;
    for (const double share : {0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2})
      result_.curve.push_back(sample(result_.counts, share * full));
    return std::move(result_);
  }

  const Scenario& scenario_;
  const SizeOptions& options_;
  ReplayLength length_;
  std::shared_ptr<KeptPrices> prices_;
  SizeResult result_;
  bool met_ = false;
  double attainment_ = 0, nearest_ = -1;
  std::vector<int> nearest_counts_;
  std::vector<std::pair<std::vector<int>, bool>> verdicts_;
};

}  // namespace

SizeResult size_deployment(const Scenario& scenario, const SizeOptions& options) {
  return Sizer(scenario, options).run();
}

std::vector<PoolRatio> pool_ratios(const Scenario& scenario, const SizeOptions& options) {
  if (scenario.serving->pools.size() == 2) return Sizer(scenario, options).ratios();
  Diagnostic d;
  d.file = scenario.file;
  d.field = "serving.replicas";
  d.found = "replicas of one kind";
  d.expected = "prefill { ... } and decode { ... }, whose ratio can be looked for";
  throw InputError(d);
}

std::vector<PoolRatio>::const_iterator best_ratio(const std::vector<PoolRatio>& ratios) {
  const auto best = std::max_element(ratios.begin(), ratios.end(), [](const PoolRatio& a, const PoolRatio& b) {
    return a.requests_per_gpu() < b.requests_per_gpu();
  });
  return best == ratios.end() || best->at_most.requests_per_s > 0 ? best : ratios.end();
}

ServiceLevel parse_promise(const std::string& text) {
  ServiceLevel level;
  std::vector<Diagnostic> faults;
  const auto fault = [&](const std::string& found, const std::string& expected, const std::string& suggestion = "") {
    Diagnostic d;
    d.field = "--slo";
    d.found = found;
    d.expected = expected;
    d.suggestion = suggestion;
    faults.push_back(std::move(d));
  };
  const std::vector<std::string> names = {"ttft", "tpot", "e2e"};
  std::set<std::string> seen;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t equals = part.find('=');
    const std::string key = part.substr(0, equals), value = equals == std::string::npos ? "" : part.substr(equals + 1);
    if (std::find(names.begin(), names.end(), key) == names.end()) {
      fault("`" + part + "`", "ttft=TIME, tpot=TIME or e2e=TIME, such as ttft=2s,tpot=50ms", nearest_name(key, names));
      continue;
    }
    if (!seen.insert(key).second) {
      fault(key + " twice", "each limit once");
      continue;
    }
    const auto parsed = parse_quantity(value, Dimension::time);
    if (const auto* bad = std::get_if<QuantityFault>(&parsed)) {
      fault(key + "=" + bad->found, bad->expected, bad->suggestion);
    } else if (std::get<double>(parsed) <= 0) {
      fault(part, "a time above zero");
    } else {
      (key == "ttft" ? level.ttft : key == "tpot" ? level.tpot : level.end_to_end) = Seconds(std::get<double>(parsed));
    }
  }
  if (!faults.empty()) throw InputError(std::move(faults));
  return level;
}

}  // namespace flopcast
