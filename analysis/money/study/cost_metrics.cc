#include "analysis/money/study/cost_metrics.h"

#include "analysis/runs/parts/metric_rows.h"

namespace flopcast {
namespace {

using CostRef = const CostReport&;
using PhaseHoursRef = const PhaseHours&;
using ModelRef = const ModelCost&;
using ServiceRef = const ServiceCost&;
using WorkRef = const ServiceWork&;
using PricesRef = const TokenPrices&;
namespace as = metric_value;
namespace show = metric_text;

constexpr MetricRow<CostReport> kCostReportRows[] = {
    {"scenario", "text", "scenario", "Name of the scenario", [](CostRef r) { return as::word(r.scenario); }, nullptr},
    {"title", "text", "title", "What the scenario says it is", [](CostRef r) { return as::word(r.title); }, nullptr},
    {"date", "text", "date", "The day whose prices hold",
     [](CostRef r) { return as::word(r.date ? to_string(*r.date) : std::string()); }, nullptr},
    {"gpu", "text", "GPU", "Kind of GPU", [](CostRef r) { return as::word(r.gpu); }, nullptr},
    {"gpus", "count", "GPUs", "GPUs of the cluster", [](CostRef r) { return as::count(r.gpus); }, show::whole},
    {"gpu_hours", "GPU-hours", "GPU-hours", "GPU-hours of all phases",
     [](CostRef r) { return as::number(r.work.gpu_hours()); }, show::hours},
};

constexpr MetricRow<PhaseHours> kPhaseHoursRows[] = {
    {"gpu_hours", "GPU-hours", "GPU-hours", "GPU-hours of the phase",
     [](PhaseHoursRef p) { return as::number(p.gpu_hours); }, show::hours},
    {"given", "yes/no", "given", "The scenario states the phase's GPU-hours: they are no prediction",
     [](PhaseHoursRef p) { return as::yes_or_no(p.given); }, nullptr},
};

constexpr MetricRow<ModelCost> kModelRows[] = {
    {"usd_per_gpu_hour", "USD/h", "GPU-hour", "Cost of a GPU-hour under the price model",
     [](ModelRef m) { return as::number(m.gpu_hour.usd()); }, show::small_usd},
};
constexpr MetricRow<ModelCost> kModelRunRows[] = {
    {"final_run_usd", "USD", "final run", "Cost of the run's GPU-hours",
     [](ModelRef m) { return as::number(m.run.usd()); }, show::usd},
};
constexpr MetricRow<ModelCost> kProgrammeRows[] = {
    {"programme_usd", "USD", "programme", "Cost of the final run and of what else it took",
     [](ModelRef m) { return as::number(m.programme.usd()); }, show::usd},
};

constexpr MetricRow<ServiceCost> kServiceRows[] = {
    {"usd_per_day", "USD/day", "cost per day", "Cost of the service's GPU-hours, per day",
     [](ServiceRef s) { return as::number(s.usd_per_day); }, show::usd},
    {"usd_per_million_input_tokens", "USD", "cost of 10^6 computed input tokens",
     "Cost of 10^6 input tokens that are computed", [](ServiceRef s) { return as::number(s.usd_per_million_input); },
     show::small_usd},
    {"usd_per_million_cached_tokens", "USD", "cost of 10^6 cached tokens", "Cost of 10^6 input tokens found in a cache",
     [](ServiceRef s) { return as::number(s.usd_per_million_cached); }, show::small_usd},
    {"usd_per_million_output_tokens", "USD", "cost of 10^6 output tokens", "Cost of 10^6 output tokens",
     [](ServiceRef s) { return as::number(s.usd_per_million_output); }, show::small_usd},
    {"revenue_usd_per_day", "USD/day", "revenue per day", "Every token at the market's price, per day",
     [](ServiceRef s) { return as::number(s.revenue_per_day); }, show::usd},
    {"margin", "1", "margin", "(revenue - cost) / cost", [](ServiceRef s) { return as::number(s.margin); },
     show::share},
};

constexpr MetricRow<ServiceWork> kTokenRows[] = {
    {"input", "tokens", "input tokens per day", "Input tokens of a day, cached ones included",
     [](WorkRef w) { return as::number(w.input_tokens); }, show::whole},
    {"cached", "tokens", "cached tokens per day", "Of these, found in a cache",
     [](WorkRef w) { return as::number(w.cached_tokens); }, show::whole},
    {"output", "tokens", "output tokens per day", "Output tokens of a day",
     [](WorkRef w) { return as::number(w.output_tokens); }, show::whole},
};

constexpr MetricRow<TokenPrices> kMarketRows[] = {
    {"vendor", "text", "vendor", "Whose price list", [](PricesRef p) { return as::word(p.vendor); }, nullptr},
    {"model", "text", "model", "The model that is sold", [](PricesRef p) { return as::word(p.model); }, nullptr},
    {"input", "USD", "price of input", "List price of 10^6 input tokens",
     [](PricesRef p) { return as::number(p.input); }, show::small_usd},
    {"cached", "USD", "price of cached input", "List price of 10^6 input tokens found in a cache",
     [](PricesRef p) { return as::number(p.cached.value_or(p.input)); }, show::small_usd},
    {"output", "USD", "price of output", "List price of 10^6 output tokens",
     [](PricesRef p) { return as::number(p.output); }, show::small_usd},
    {"source", "text", "source", "Where the prices were read", [](PricesRef p) { return as::word(p.source); }, nullptr},
    {"confirmed", "yes/no", "confirmed", "The vendor's own page was seen",
     [](PricesRef p) { return as::yes_or_no(p.confirmed); }, nullptr},
};

// The figures of a serving run's `cost`, under the first price model: of priced services.
struct PricedService {
  const ServiceWork& work;
  const ServiceCost& cost;
  double usd_per_gpu_hour;
};

constexpr MetricRow<PricedService> kPricedServiceRows[] = {
    {"usd_per_million_input_tokens", "USD", "cost of 10^6 computed input tokens",
     "Cost of 10^6 input tokens that are computed",
     [](const PricedService& p) -> MetricValue {
       if (p.work.input_tokens <= 0) return Absent{"no input tokens"};
       return as::number(p.cost.usd_per_million_input);
     },
     show::small_usd},
    {"usd_per_million_prompt_tokens", "USD", "cost of 10^6 input tokens",
     "Cost of 10^6 input tokens, cached ones included",
     [](const PricedService& p) -> MetricValue {
       if (p.work.input_tokens <= 0) return Absent{"no input tokens"};
       return as::number(p.cost.usd_per_day * p.work.prefill_share / p.work.input_tokens * 1e6);
     },
     show::small_usd},
    {"usd_per_million_output_tokens", "USD", "cost of 10^6 output tokens", "Cost of 10^6 output tokens",
     [](const PricedService& p) -> MetricValue {
       if (p.work.prefill_share >= 1) return Absent{"prompts bear all of the cost: no token is made by decoding"};
       if (p.work.output_tokens <= 0) return Absent{"no output tokens"};
       return as::number(p.cost.usd_per_million_output);
     },
     show::small_usd},
    {"usd_per_day", "USD/day", "cost per day", "Cost of the service, per day",
     [](const PricedService& p) { return as::number(p.cost.usd_per_day); }, show::usd},
    {"revenue_usd_per_day", "USD/day", "revenue per day", "Tokens at the prices they are sold for, per day",
     [](const PricedService& p) { return as::number(p.cost.revenue_per_day); }, show::usd},
    {"margin", "1", "margin", "(revenue - cost) / cost: 5.45 is what is published as \"545 %\"",
     [](const PricedService& p) -> MetricValue {
       if (p.cost.revenue_per_day <= 0) return Absent{"tokens have no price"};
       return as::number(p.cost.margin);
     },
     show::share},
    {"gpu_usd_per_hour", "USD/h", "price of a GPU-hour", "What a GPU costs per hour",
     [](const PricedService& p) { return as::number(p.usd_per_gpu_hour); }, show::small_usd},
    {"usd_per_million_cached_tokens", "USD", "10^6 cached tokens",
     "Cost of 10^6 input tokens found in a cache, by the work that finding them leaves",
     [](const PricedService& p) { return as::number(p.cost.usd_per_million_cached); }, show::small_usd},
};

constexpr std::string_view kNoService = "the scenario has no service to price";

// @param report null lists what there is; then so is `model`.
void add_model_metrics(MetricList& list, const std::string& key, const CostReport* report, const ModelCost* model) {
  const std::string prefix = "models[" + key + "].";
  list.add<ModelCost>(prefix, kModelRows, model);
  list.add<ModelCost>(prefix, kModelRunRows, model && !report->work.phases.empty() ? model : nullptr,
                      "no run to price");
  list.add<ModelCost>(prefix, kProgrammeRows, model && report->has_programme ? model : nullptr, "no programme stated");
  list.add<ServiceCost>(prefix + "service.", kServiceRows, model && model->service ? &*model->service : nullptr,
                        kNoService);
}

std::vector<Metric> cost_metrics(const CostReport* report) {
  MetricList list;
  const ServiceWork* const work = report && report->work.service ? &*report->work.service : nullptr;
  list.add<CostReport>("", kCostReportRows, report);
  if (report) {
    std::vector<std::string> names;
    for (const PhaseHours& phase : report->work.phases) names.push_back(phase.name);
    const std::vector<std::string> keys = entry_keys(names);
    for (std::size_t i = 0; i < keys.size(); ++i)
      list.add<PhaseHours>("phases[" + keys[i] + "].", kPhaseHoursRows, &report->work.phases[i]);
    for (const ModelCost& model : report->models)
      add_model_metrics(list, std::string(name_of(model.model)), report, &model);
  } else {
    list.add<PhaseHours>("phases[NAME].", kPhaseHoursRows, nullptr);
    add_model_metrics(list, "NAME", nullptr, nullptr);
  }
  list.add<ServiceWork>("tokens_per_day.", kTokenRows, work, kNoService);
  list.add<TokenPrices>("market.", kMarketRows, report && report->market ? &*report->market : nullptr,
                        "nothing is said of what tokens are sold for");
  if (work) {
    const ModelCost& first = report->models.front();
    const PricedService priced{*work, *first.service, first.gpu_hour.usd()};
    list.add<PricedService>("cost.", kPricedServiceRows, &priced);
  } else {
    list.add<PricedService>("cost.", kPricedServiceRows, nullptr, kNoService);
  }
  return list.take();
}

}  // namespace

std::vector<Metric> metrics(const CostReport& report) { return cost_metrics(&report); }

std::vector<MetricKind> all_metric_kinds() {
  std::vector<MetricKind> kinds = metric_kinds();
  kinds.push_back({"given GPU-hours or a given service (as of `flopcast cost`)", cost_metrics(nullptr)});
  return kinds;
}

}  // namespace flopcast
