#include "analysis/studies/claims/functions.h"

#include <algorithm>
#include <iterator>
#include <map>

#include <fmt/format.h>

#include "analysis/face/environment_data.h"
#include "analysis/money/fleet/fleet.h"
#include "analysis/money/study/cost_study.h"
#include "analysis/runs/rl/rl_run.h"
#include "analysis/runs/serving/serving_run.h"
#include "analysis/studies/compare/causes.h"
#include "flopcast/scenario.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "workloads/model/model.h"
#include "workloads/serving/cache/kv_bytes.h"

namespace flopcast {
namespace {

using Arguments = std::vector<std::string>;

[[noreturn]] void refuse(const std::string& found, const std::vector<std::string>& candidates) {
  throw InputError(Diagnostic{"", 0, 0, "compute", quoted(found), fmt::format("one of {}", fmt::join(candidates, ", ")),
                              nearest_name(found, candidates)});
}

/// A value by its name.
double pick(const std::map<std::string, double>& values, const std::string& name) {
  const auto found = values.find(name);
  if (found != values.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [key, value] : values) names.push_back(key);
  refuse(name, names);
}

Date day(const std::string& text) {
  if (const auto date = parse_date(text)) return *date;
  throw InputError(Diagnostic{"", 0, 0, "compute", quoted(text), "a day such as 2023-11-17", ""});
}

double gpu(const Arguments& a, const ClaimContext& c) {
  const ChipFigures chip = load_chip(c.environment.data().libraries(), a[0]);
  const GpuSpec spec = c.environment.data().libraries().gpu(a[0]);
  return pick({{"tpp", chip.tpp.value_or(0)},
               {"density", chip.density.value_or(0)},
               {"io_gb_s", chip.io.value_or(BytesPerSecond()).value() / 1e9},
               {"memory_gb_s", spec.hbm_bandwidth.value() / 1e9},
               {"memory_gb", spec.hbm_capacity.value() / 1e9},
               {"nvlink_gb_s", 2 * spec.nvlink_bandwidth.value() / 1e9},
               {"bf16_tflops", spec.bf16_peak.value() / 1e12},
               {"fp8_tflops", spec.fp8_peak.value() / 1e12}},
              a[1]);
}

/// Keys and values that one token leaves in all layers' caches, in elements.
double cache_elements(const ModelConfig& m) { return kv_elements_per_token(m); }
/// The same had the model plain multi-head attention of its heads.
double plain_cache_elements(const ModelConfig& m) {
  return 2.0 * m.attention.heads * m.attention.value_dim() * m.layers;
}

double model(const Arguments& a, const ClaimContext& c) {
  const ModelConfig m = c.environment.data().libraries().model(a[0]);
  const ParameterCount count = count_parameters(m);
  constexpr double kBf16 = 2;
  return pick({{"parameters", count.total},
               {"active", count.active},
               {"layers", m.layers},
               {"experts", m.moe.experts},
               {"experts_per_token", m.moe.experts_per_token},
               {"dense_layers", m.moe.first_dense_layers},
               {"kv_bytes", kBf16 * cache_elements(m)},
               {"kv_bytes_multi_head", kBf16 * plain_cache_elements(m)}},
              a[1]);
}

double flop(const Arguments& a, const ClaimContext& c) {
  const ModelConfig m = c.environment.data().libraries().model(a[0]);
  return training_flop_per_token(m, static_cast<std::int64_t>(std::stod(a[1])), true, false);
}

/// A short name of a metric, as claims had them before metrics had names: `metric` over `unit`, or over another metric.
struct ShortName {
  std::string_view name, metric;
  double unit = 1;
  std::string_view over;
};

constexpr ShortName kTrained[] = {
    {"step_s", "training.step_time_s"},
    {"tokens_per_day", "training.tokens_per_day"},
    {"mfu", "training.mfu_bf16_causal"},
    {"bubble_s", "training.bubble_s"},
    {"bubble_share", "training.bubble_s", 1, "training.step_time_s"},
    {"exposed_communication_s", "training.exposed_communication_s"},
    {"memory_gb", "training.peak_memory_bytes", 1e9},
    {"gpu_hours", "projection.gpu_hours"},
    {"cost_usd", "projection.cost_usd"},
    {"days", "projection.days"},
    {"first_phase_gpu_hours", "projection.phases[0].gpu_hours"},
};

/// @throws InputError when `field` is neither a number that reports of the scenario have nor one of `short_names`.
void check_field(const std::string& field, const Scenario& scenario, std::vector<std::string> short_names) {
  std::vector<std::string> known;
  for (const Metric& metric : expected_metrics(scenario)) {
    if (metric.text != nullptr) known.push_back(metric.name);
  }
  if (std::find(known.begin(), known.end(), field) != known.end()) return;
  if (std::find(short_names.begin(), short_names.end(), field) != short_names.end()) return;
  known.insert(known.end(), short_names.begin(), short_names.end());
  throw InputError(Diagnostic{"", 0, 0, "compute", quoted(field),
                              fmt::format("one of {}, or a metric of `flopcast list metrics` that reports of {} have",
                                          fmt::join(short_names, ", "), scenario.name),
                              nearest_name(field, known)});
}

/// @throws InputError when it turned out to have no value.
double value_of(std::span<const Metric> metrics, std::string_view name) {
  const Metric* const metric = find_metric(metrics, name);
  if (const auto value = metric ? metric->number() : std::nullopt) return *value;
  const Absent* const absent = metric ? std::get_if<Absent>(&metric->value) : nullptr;
  throw InputError(Diagnostic{"", 0, 0, "compute", fmt::format("`{}`, which has no value", name),
                              "a metric with a value" + (absent ? ": " + absent->reason : ""), ""});
}

Scenario training_of(const std::string& name, const std::vector<std::string>& sets, const ClaimContext& c) {
  Scenario scenario = resolve(name, c.environment, sets).value();
  if (!scenario.training) {
    throw InputError(
        Diagnostic{scenario.file, 0, 0, "compute", "a scenario without `training`", "a training scenario", ""});
  }
  return scenario;
}

double trained(const std::string& field, const Scenario& scenario, const ClaimContext& c) {
  std::vector<std::string> short_names;
  for (const ShortName& row : kTrained) short_names.emplace_back(row.name);
  check_field(field, scenario, short_names);
  const auto row =
      std::find_if(std::begin(kTrained), std::end(kTrained), [&](const ShortName& r) { return r.name == field; });
  const ShortName wanted = row != std::end(kTrained) ? *row : ShortName{field, field};
  RunOptions run = c.run;
  run.project = wanted.metric.starts_with("projection.");
  const std::vector<Metric> found = metrics(run_training(scenario, run));
  const double value = value_of(found, wanted.metric) / wanted.unit;
  return wanted.over.empty() ? value : value / value_of(found, wanted.over);
}

double train(const Arguments& a, const ClaimContext& c) {
  return trained(a[1], training_of(a[0], std::vector(a.begin() + 2, a.end()), c), c);
}

/// Causes of compare turned on in a training scenario; what has a "=" is set before.
double train_with_causes(const Arguments& a, const ClaimContext& c) {
  std::vector<std::string> sets, causes;
  std::partition_copy(a.begin() + 2, a.end(), std::back_inserter(sets), std::back_inserter(causes),
                      [](const std::string& word) { return word.find('=') != std::string::npos; });
  Scenario scenario = training_of(a[0], sets, c);
  const Scenario original = scenario;
  for (const Cause& cause : causes_by_name(causes, original)) cause.apply(scenario);
  return trained(a[1], scenario, c);
}

/// Figures by which services are compared, per GPU or node of those that do the work in question.
std::map<std::string, double> short_figures(const ServedFigures& f, int gpus_per_node) {
  return {{"output_tokens_per_s_per_gpu", f.answers_per_gpu()},
          {"output_tokens_per_s_per_node", f.answers_per_gpu() * gpus_per_node},
          {"input_tokens_per_s_per_node", f.prompts_per_gpu() * gpus_per_node},
          {"tokens_per_s_per_user", f.tpot > Seconds(0) ? 1 / f.tpot.value() : 0},
          {"tpot_ms", f.tpot.value() * 1e3},
          {"ttft_s", f.ttft.value()},
          {"answers_per_gpu", f.under_way_per_gpu},
          {"usd_per_million_output_tokens", f.per_million_output.value()},
          {"usd_per_million_input_tokens", f.per_million_input.value()}};
}

/// A service with some causes turned on; `asked` tells it from others.
double served(const std::string& field, const Arguments& asked, Scenario scenario, const std::vector<Cause>& causes,
              const ClaimContext& c) {
  if (!scenario.serving) {
    throw InputError(
        Diagnostic{scenario.file, 0, 0, "compute", "a scenario without `serving`", "a serving scenario", ""});
  }
  for (const Cause& cause : causes) cause.apply(scenario);
  if (const std::string fault = unsound(scenario); !fault.empty())
    throw InputError(Diagnostic{scenario.file, 0, 0, "compute", fault, "a deployment that can run", ""});
  std::vector<std::string> short_names;
  for (const auto& [name, value] : short_figures({}, 1)) short_names.push_back(name);
  check_field(field, scenario, short_names);
  auto known = c.served.find(asked);
  if (known == c.served.end()) {
    ServingOptions options;
    options.power = c.run.power;
    const ServingReport report = run_serving(scenario, options);
    known = c.served.emplace(asked, ServedAnswer{figures_of(report), metrics(report)}).first;
  }
  const auto figures = short_figures(known->second.figures, scenario.cluster.node.gpus);
  const auto figure = figures.find(field);
  return figure != figures.end() ? figure->second : value_of(known->second.metrics, field);
}

double serve_with_sets(const Arguments& a, const ClaimContext& c) {
  Arguments asked = a;
  asked[1] = "sets";
  return served(a[1], asked, resolve(a[0], c.environment, std::vector(a.begin() + 2, a.end())).value(), {}, c);
}

double serve_with_causes(const Arguments& a, const ClaimContext& c) {
  Arguments asked = a;
  asked[1] = "causes";
  const Scenario scenario = resolve(a[0], c.environment).value();
  return served(a[1], asked, scenario, causes_by_name(std::vector(a.begin() + 2, a.end()), scenario), c);
}

/// "step_time_s" of a claim is the metric rl.step_time_s.
double learn(const Arguments& a, const ClaimContext& c) {
  const Scenario scenario = resolve(a[0], c.environment, std::vector(a.begin() + 2, a.end())).value();
  if (!scenario.rl)
    throw InputError(Diagnostic{scenario.file, 0, 0, "compute", "a scenario without `rl`", "a loop", ""});
  const std::string name = a[1].starts_with("rl.") ? a[1] : "rl." + a[1];
  check_field(name, scenario, {});
  Arguments asked = a;
  asked[1] = name.starts_with("rl.run.") ? "run" : "step";  // a step alone is replayed sooner
  auto known = c.learned.find(asked);
  if (known == c.learned.end()) {
    RlOptions options;
    options.power = c.run.power;
    options.project = asked[1] == "run";
    options.allow_oom = true;
    known = c.learned.emplace(asked, metrics(run_rl(scenario, options))).first;
  }
  return value_of(known->second, name);
}

double price(const Arguments& a, const ClaimContext& c) {
  const TokenPrices tokens = c.environment.data().prices().tokens(a[0], a[1], day(a[2]));
  return pick({{"input", tokens.input}, {"cached", tokens.cached.value_or(tokens.input)}, {"output", tokens.output}},
              a[3]);
}

double price_change(const Arguments& a, const ClaimContext& c) {
  return 100 * c.environment.data().prices().token_change(a[0] == "all" ? "" : a[0], day(a[1]), day(a[2]));
}

double price_index(const Arguments& a, const ClaimContext& c) {
  const PriceBook::TokenIndex index = c.environment.data().prices().token_index(a[0], day(a[1]));
  return pick({{"newest", index.newest}, {"cheapest", index.cheapest}}, a[2]);
}

double rent(const Arguments& a, const ClaimContext& c) {
  return c.environment.data().prices().rent(a[0], {"on demand", ""}, day(a[1])).usd_per_hour;
}

double server(const Arguments& a, const ClaimContext& c) {
  return c.environment.data().prices().server(a[0], day(a[1])).usd;
}

double cost(const Arguments& a, const ClaimContext& c) {
  const EnvironmentData& data = c.environment.data();
  const Scenario scenario = resolve(a[0], c.environment).value();
  const auto work = given_work(scenario);
  if (!work || work->phases.empty())
    throw InputError(Diagnostic{scenario.file, 0, 0, "compute", "a scenario whose GPU-hours are not given",
                                "a run with given_gpu_hours", ""});
  CostQuestion question;
  for (const PriceModel model : {PriceModel::stated, PriceModel::rental, PriceModel::owned, PriceModel::amortised}) {
    if (name_of(model) == a[1]) question.models = {model};
  }
  if (question.models.empty()) refuse(a[1], {"stated", "rental", "owned", "amortised"});
  question.date = day(a[2]);
  question.draws = 0;
  return cost_study(scenario, *work, data.prices(), data.power(scenario.cluster.node.gpu.architecture),
                    data.usual_spreads(), question)
      .models.front()
      .run.usd();
}

double fleet(const Arguments& a, const ClaimContext& c) {
  const EnvironmentData& data = c.environment.data();
  const std::vector<std::string> sets(a.begin() + 3, a.end());
  const FleetResult result = fleet_ledger(load_fleet(a[0], sets, data.libraries(), data.prices()), {});
  std::vector<std::string> known;
  for (const FleetOutcomeRow& row : fleet_outcomes()) {
    known.emplace_back(row.id);
    if (row.id != a[1]) continue;
    const FleetSpread& s = result.of(row.outcome);
    return pick({{"point", s.value}, {"p5", s.p5}, {"p50", s.p50}, {"p95", s.p95}}, a[2]);
  }
  refuse(a[1], known);
}

double controlled(const Arguments& a, const ClaimContext& c) {
  const Date when = day(a[1]);
  const ChipFigures chip = load_chip(c.environment.data().libraries(), a[0]);
  const auto on_that_day = [&](const std::vector<ControlledPeriod>& periods) {
    return std::find_if(periods.begin(), periods.end(), [&](const ControlledPeriod& p) { return p.holds_on(when); });
  };
  const auto known = controlled_periods(chip, c.rules), unknown = unknown_periods(chip, c.rules);
  if (on_that_day(known) != known.end()) return 1;
  if (const auto open = on_that_day(unknown); open != unknown.end()) {
    throw InputError(Diagnostic{
        "", 0, 0, "compute", fmt::format("{} on {}, which {} cannot compute", a[0], a[1], fmt::join(open->rules, ", ")),
        "a chip whose figures are known, as far as the rules of the day hang on them", ""});
  }
  return 0;
}

double released(const Arguments& a, const ClaimContext& c) {
  const Date from = day(a[0]), to = day(a[1]);
  return static_cast<double>(std::count_if(c.rules.rules().begin(), c.rules.rules().end(), [&](const ExportRule& rule) {
    const auto when = parse_date(rule.released);
    const bool thresholds = rule.kind == "export" || rule.kind == "letter" || rule.kind == "foundry";
    return when && thresholds && from <= *when && *when <= to;
  }));
}

double days(const Arguments& a, const ClaimContext&) { return static_cast<double>(day(a[1]).days_since(day(a[0]))); }

constexpr ClaimFunction kFunctions[] = {
    {"gpu", "CHIP, FIELD",
     "tpp, density, io_gb_s, memory_gb_s, memory_gb, nvlink_gb_s (both directions), bf16_tflops, fp8_tflops", gpu},
    {"model", "MODEL, FIELD",
     "parameters, active, layers, experts, experts_per_token, dense_layers, kv_bytes (of a token, BF16), "
     "kv_bytes_multi_head (had it plain attention)",
     model},
    {"flop", "MODEL, TOKENS", "training FLOP per token at this length of a sequence", flop},
    {"train", "SCENARIO, FIELD, SET...",
     "replays: step_s, tokens_per_day, mfu, bubble_s, bubble_share, exposed_communication_s, memory_gb; of "
     "the whole run: "
     "gpu_hours, first_phase_gpu_hours, cost_usd, days; or any metric of `flopcast list metrics`",
     train, true},
    {"train_with", "SCENARIO, FIELD, CAUSE...",
     "the same with causes of `flopcast compare` turned on; words with a = are set before", train_with_causes, true},
    {"serve", "SCENARIO, FIELD, SET...",
     "replays: output_tokens_per_s_per_gpu (of those that give answers), output_tokens_per_s_per_node, "
     "input_tokens_per_s_per_node, tokens_per_s_per_user, tpot_ms, ttft_s, answers_per_gpu, "
     "usd_per_million_output_tokens, usd_per_million_input_tokens; or any metric of `flopcast list metrics`",
     serve_with_sets, true},
    {"serve_with", "SCENARIO, FIELD, CAUSE...", "the same with causes of `flopcast compare` turned on",
     serve_with_causes, true},
    {"learn", "SCENARIO, FIELD, SET...",
     "replays a loop of reinforcement learning: metrics that begin with rl. in `flopcast list metrics`, without that "
     "beginning: step_time_s, memory.models_bytes, run.gpu_hours; memory is looked at, never refused",
     learn, true},
    {"price", "VENDOR, MODEL, DAY, KIND",
     "list price of a million tokens on that day: input, cached, output; names with commas or parentheses "
     "in single quotes",
     price},
    {"price_change", "CLASS, DAY, DAY",
     "per cent by which output prices of the same models changed, all that were listed on both days: reasoning, "
     "general, mini or all",
     price_change},
    {"price_index", "CLASS, DAY, WHICH",
     "USD per million output tokens of a class: newest (of each vendor the last model, geometric mean) or cheapest",
     price_index},
    {"rent", "GPU, DAY", "USD per GPU-hour on demand, the middle of what was on offer", rent},
    {"server", "GPU, DAY", "USD for a GPU's share of its server", server},
    {"cost", "SCENARIO, PRICE MODEL, DAY",
     "USD of a run of given GPU-hours: stated, rental, owned or amortised (as Epoch AI does it)", cost},
    {"fleet", "FLEET, FIGURE, WHICH, SET...",
     "a line of a fleet's ledger (`flopcast fleet`, ids of --csv): point, p5, p50 or p95", fleet},
    {"controlled", "CHIP, DAY",
     "1 when a rule or letter of that day asks for a licence, else 0; refused where figures are missing", controlled},
    {"released", "DAY, DAY", "rules and letters with thresholds released between the days", released},
    {"days", "DAY, DAY", "from the first to the second", days},
};

std::size_t least_arguments(const ClaimFunction& function) {
  const std::string_view text = function.arguments;
  const auto commas = static_cast<std::size_t>(std::count(text.begin(), text.end(), ','));
  return text.ends_with("...") ? commas : commas + 1;
}

}  // namespace

std::span<const ClaimFunction> claim_functions() { return kFunctions; }

const ClaimFunction& claim_function(const std::string& name, std::size_t arguments) {
  std::vector<std::string> names;
  for (const ClaimFunction& function : kFunctions) {
    names.emplace_back(function.name);
    if (function.name != name) continue;
    const std::size_t least = least_arguments(function);
    const bool open = function.arguments.ends_with("...");
    if (arguments < least || (!open && arguments > least)) {
      throw InputError(Diagnostic{"", 0, 0, "compute", fmt::format("{} arguments of {}", arguments, name),
                                  fmt::format("{}({})", name, function.arguments), ""});
    }
    return function;
  }
  refuse(name, names);
}

double call_claim_function(const std::string& name, const std::vector<std::string>& arguments,
                           const ClaimContext& context) {
  return claim_function(name, arguments.size()).call(arguments, context);
}

}  // namespace flopcast
