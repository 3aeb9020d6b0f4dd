#include "analysis/runs/serving/serving_cost.h"

#include <algorithm>
#include <cmath>

#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/pricing/pass_energy.h"

namespace flopcast {
namespace {

/// Iterations full of mean prompts, as they are and with nothing before them: what a cached token adds over
/// what another takes.
double cached_work(const ServingReport& report, BuiltPool& pool) {
  const auto requests = static_cast<double>(report.all.completed.requests);
  const auto cached = static_cast<std::int64_t>(share(static_cast<double>(report.all.cached_tokens), requests));
  const auto whole = static_cast<std::int64_t>(share(static_cast<double>(report.all.completed.input_tokens), requests));
  if (cached < 1 || whole <= cached) return 0;
  const int budget = pool.config.replica.scheduler.token_budget;
  const std::int64_t computed = std::min<std::int64_t>(whole - cached, budget);
  PromptLoad with, without;
  for (std::int64_t n = std::max<std::int64_t>(1, budget / computed); n > 0; --n) {
    with.add(computed, cached, true);
    without.add(computed, 0, true);
  }
  IterationPricer& pricer = *pool.pricers.front();
  const Ticks base = pricer.prompt(without, 0, 0), more = pricer.prompt(with, 0, 0);
  return std::max(0.0, share(static_cast<double>(more - base), static_cast<double>(base)) *
                           static_cast<double>(computed) / static_cast<double>(cached));
}

}  // namespace

Watts gpu_power(const PoolTotals& totals, const PoolReport& pool, const BuiltPool& built) {
  const ForwardModel* model = built.pricers.front()->forward();
  if (model == nullptr || totals.up_time <= Seconds(0)) return Watts(0);
  const ReplicaCounters& c = totals.counters;
  const double groups = built.config.replica.groups, batch = pool.mean_batch / groups;
  Joules work;
  if (batch > 0) {
    const double cached =
        totals.mean_kv_share * static_cast<double>(totals.kv_capacity_tokens) / totals.replicas / groups;
    const double decoding = static_cast<double>(c.decode_requests) / pool.mean_batch;
    work += decode_energy(*model, std::max(1.0, batch), cached / std::max(1.0, batch)) * decoding;
  }
  if (c.prompt_iterations > 0) {
    const auto times = static_cast<double>(c.prompt_iterations);
    const double tokens = static_cast<double>(c.prompt_tokens) / times / groups;
    const double requests = std::max(1.0, static_cast<double>(c.prompts_done) / times / groups);
    const double whole = share(static_cast<double>(c.prompt_tokens_done), static_cast<double>(c.prompts_done));
    work += prompt_energy(*model, requests, tokens / requests, whole) * times;
  }
  return mean_power(*model->setting().kernels, work, to_seconds(c.busy), totals.up_time);
}

Joules energy_of(const ServingReport& report, const PowerModel& power) {
  const NodeSpec& node = report.scenario.cluster.node;
  const Watts beside = node.overhead_power / node.gpus * power.busy_fraction;
  Joules sum;
  for (const PoolReport& pool : report.pools) {
    const Watts gpu = pool.gpu_power > Watts(0) ? pool.gpu_power + beside : step_power(node, power, pool.busy).training;
    sum += gpu * (pool.totals.up_time * pool.totals.gpus);
    sum += step_power(node, power, 0).training * (pool.totals.idle_time() * pool.totals.gpus);
  }
  return sum * report.scenario.price.pue;
}

ServingCostReport cost_of(const ServingReport& report, BuiltPool& prompt_pool) {
  ServingCostReport cost;
  const UsdPerSecond gpu = report.scenario.price.gpu;
  cost.priced = gpu > UsdPerSecond(0);
  const double seconds = report.totals.duration().value();
  if (seconds <= 0) return cost;
  double prompts = 0, answers = 0;  // GPUs
  for (const PoolReport& pool : report.pools) {
    const ReplicaCounters& did = pool.totals.counters;
    // What a decode replica computes again after a preemption belongs to its answers, and so do prompts that are
    // computed again after a failure and the time that is lost.
    const double again =
        share(static_cast<double>(report.totals.retried_tokens), static_cast<double>(did.prompt_tokens));
    const double up = pool.totals.up_time.value() / seconds * pool.totals.gpus;
    const double broken = pool.totals.idle_time().value() / seconds * pool.totals.gpus;
    const double part =
        pool.totals.role == ReplicaRole::decode ? 0
        : hands_on(pool.totals.role)
            ? 1
            : (1 - std::min(1.0, again)) * share(to_seconds(did.prompt_time).value(), to_seconds(did.busy).value());
    prompts += up * part + broken * hands_on(pool.totals.role);
    answers += up * (1 - part) + broken * gives_answers(pool.totals.role);
  }
  cost.rate = gpu * (prompts + answers);
  cost.prompt_share = share(prompts, prompts + answers);
  cost.cached_work = cached_work(report, prompt_pool);
  const double cached = report.input_rate * share(static_cast<double>(report.all.cached_tokens),
                                                  static_cast<double>(report.all.completed.input_tokens));
  const double computed = report.input_rate - cached, output = report.output_rate;
  const auto per_million = [&](double gpus, double rate) {
    return rate > 0 ? Usd(gpu.value() * gpus / rate * 1e6) : Usd();
  };
  cost.per_million_computed = per_million(prompts, computed + cost.cached_work * cached);
  cost.per_million_cached = cost.cached_work * cost.per_million_computed;
  cost.per_million_prompt = per_million(prompts, report.input_rate);
  cost.per_million_output = per_million(answers, output);
  const TokenPriceTable& prices = report.serving().token_prices;
  cost.revenue = UsdPerSecond(
      1e-6 * (prices.input.value() * computed + prices.cached.value() * cached + prices.output.value() * output));
  return cost;
}

}  // namespace flopcast
