#include "analysis/runs/training/step_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <functional>

#include "sim/base/diagnostic.h"
#include "sim/base/random.h"

namespace flopcast {
namespace {

constexpr int kDraws = 4000;
constexpr std::uint64_t kSeed = 1;

// Rows of the table, by what they are of. The first are PriceSource's, in its order.
constexpr std::array<std::string_view, 20> kErrors{"gemm",
                                                   "gemm_fp8",
                                                   "expert_gemm",
                                                   "attention_forward",
                                                   "attention_backward",
                                                   "memory_bound",
                                                   "launches",
                                                   "layer_exchange",
                                                   "expert_exchange",
                                                   "data_exchange",
                                                   "pipeline",
                                                   "host",
                                                   "other",
                                                   "clock",
                                                   "memory_states",
                                                   "memory_kept",
                                                   "memory_logits",
                                                   "memory_libraries",
                                                   "memory_buffers",
                                                   "software"};
// The same of kernels that were priced by what another die's take, PriceSource's first in its order.
constexpr std::array<std::string_view, 6> kOtherDie{
    "die_gemm",        "die_gemm_fp8", "die_expert_gemm", "die_attention_forward", "die_attention_backward",
    "die_memory_bound"};
static_assert(kOtherDie.size() == static_cast<std::size_t>(PriceSource::launches));
enum Of { kLayerExchange = kPriceSources, kExpertExchange, kDataExchange, kPipeline, kHost, kOther, kTimes };
constexpr bool on_clock(int of) { return of <= static_cast<int>(PriceSource::attention_backward); }

/// What an operation that is no computation is made of.
Of transfer_of(OpName name) {
  switch (name) {
    case OpName::dispatch_forward:
    case OpName::combine_forward:
    case OpName::combine_backward:
    case OpName::dispatch_backward:
      return kExpertExchange;
    case OpName::send_activation:
    case OpName::send_gradient:
      return kPipeline;
    case OpName::gradient_reduce_scatter:
    case OpName::parameter_all_gather:
    case OpName::gradient_norm:
      return kDataExchange;
    case OpName::layer_exchange:
      return kLayerExchange;
    case OpName::host:
      return kHost;
    default:
      return kOther;
  }
}

/// Seconds of the step by origin.
std::array<double, kTimes> times_of(const StepOrigins& origins) {
  std::array<double, kTimes> out{};
  const auto add_compute = [&](std::size_t op, double seconds) {
    const auto& of = origins.sources->of[op];
    double all = 0;
    for (const Seconds part : of) all += part.value();
    if (all <= 0) {
      out[kOther] += seconds;
      return;
    }
    for (std::size_t i = 0; i < of.size(); ++i) out[i] += seconds * of[i].value() / all;
  };
  const std::vector<std::string>& names = training_op_names();
  if (origins.path == nullptr) {
    double busy = 0;
    for (const auto& of : origins.sources->of) {
      for (std::size_t i = 0; i < of.size(); ++i) {
        const double mean = of[i].value() / static_cast<double>(std::max<std::size_t>(1, origins.replayed));
        out[i] += mean;
        busy += mean;
      }
    }
    out[kOther] = std::max(0.0, origins.step.value() - busy);
    return out;
  }
  for (const CriticalPath::Share& share : origins.path->by_name) {
    const auto op = static_cast<std::size_t>(std::find(names.begin(), names.end(), share.name) - names.begin());
    if (op == names.size()) {  // what is added to a step that was replayed: workers exchange what they have learnt
      out[kDataExchange] += share.time.value();
      continue;
    }
    const auto name = static_cast<OpName>(op);
    if (name == OpName::optimizer || name == OpName::collective_share || name == OpName::shard_copy) {
      out[static_cast<std::size_t>(PriceSource::memory_bound)] += share.time.value();
    } else if (const Of of = transfer_of(name); of != kOther) {
      out[static_cast<std::size_t>(of)] += share.time.value();
    } else {
      add_compute(op, share.time.value());
    }
  }
  // Of a step of very many micro-batches few were replayed: the others are made of the same.
  const double length = origins.path->length.value();
  if (length > 0 && length < origins.step.value())
    for (double& seconds : out) seconds *= origins.step.value() / length;
  return out;
}

std::string_view memory_error(const std::string& item) {
  if (item == "activations" || item == "layer being recomputed") return "memory_kept";
  if (item == "logits") return "memory_logits";
  if (item == "scratch of libraries") return "memory_libraries";
  if (item == "expert buffers" || item == "gathered layers") return "memory_buffers";
  return "memory_states";
}

/// A sum of parts, each off by a factor of its own.
struct Part {
  const StepError* error = nullptr;
  double value = 0;
  bool clock = false;  // off by the clock's error too
};

/// @param of factors of what is open, each of a list as likely as the others
std::vector<double> drawn_sums(const std::vector<Part>& parts, double clock_sd, double whole_sd,
                               const std::vector<StepOrigins::Open>& open, std::vector<double> StepOrigins::Open::*of,
                               std::uint64_t seed) {
  std::vector<RandomStream> streams, choices;
  for (std::size_t i = 0; i < open.size(); ++i) choices.emplace_back(seed, 1000 + i);
  for (std::size_t i = 0; i < parts.size() + 2; ++i) streams.emplace_back(seed, i);
  std::vector<double> sums(kDraws);
  for (double& sum : sums) {
    const double clock = std::exp(clock_sd * streams[0].normal()), whole = std::exp(whole_sd * streams[1].normal());
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const double own = std::exp(parts[i].error->log_sd * streams[i + 2].normal());
      sum += parts[i].value * own * (parts[i].clock ? clock : 1);
    }
    sum *= whole;
    for (std::size_t i = 0; i < open.size(); ++i) {
      const std::vector<double>& factors = open[i].*of;
      sum *= factors[static_cast<std::size_t>(choices[i].uniform() * static_cast<double>(factors.size()))];
    }
  }
  return sums;
}

/// How far off what a step spends there may be: kernels as such, and beside that those of a die that nobody measured.
StepError error_of(int of, KnownDie die, const StepErrors& errors) {
  const StepError& measured = errors.of(kErrors[static_cast<std::size_t>(of)]);
  if (die == KnownDie::measured || of >= static_cast<int>(kOtherDie.size())) return measured;
  StepError error = errors.of(kOtherDie[static_cast<std::size_t>(of)]);
  if (die == KnownDie::architecture) {
    const StepError& share = errors.of("die_of_architecture");
    error.log_sd *= share.log_sd;
    error.title += ", " + share.title;
    error.source += "; " + share.source;
  }
  error.log_sd = std::hypot(error.log_sd, measured.log_sd);
  return error;
}

/// Shares of variance, largest first; what adds nothing is left out.
std::vector<RangeInput> ranked(std::vector<RangeInput> inputs) {
  double all = 0;
  for (const RangeInput& input : inputs) all += input.variance_share;
  std::erase_if(inputs, [](const RangeInput& input) { return input.variance_share <= 0; });
  for (RangeInput& input : inputs) input.variance_share /= all;
  std::stable_sort(inputs.begin(), inputs.end(),
                   [](const RangeInput& a, const RangeInput& b) { return a.variance_share > b.variance_share; });
  return inputs;
}

RangeInput input_of(const StepError& error, double value) {
  return {error.title, error.log_sd, std::pow(error.log_sd * value, 2), error.source};
}

RangeInput input_of(const StepOrigins::Open& open, const std::vector<double>& factors, double value) {
  double sum = 0, squares = 0;
  for (const double factor : factors) {
    sum += std::log(factor);
    squares += std::pow(std::log(factor), 2);
  }
  const double count = static_cast<double>(factors.size());
  const double variance = std::max(0.0, squares / count - std::pow(sum / count, 2));
  return {open.title + ", which is open", std::sqrt(variance), variance * value * value,
          "replayed with what else it may be"};
}

}  // namespace

StepErrors::StepErrors(const CsvTable& table) {
  for (std::size_t row = 0; row < table.size(); ++row) {
    StepError error{
        table.text(row, "name"),
        table.text(row, "title"),
        table.number(row, "log_sd"),
        table.has("log_mean") ? table.number(row, "log_mean") : 0,
        table.text(row, "source"),
        Seconds(table.has("late_us") && !table.text(row, "late_us").empty() ? table.number(row, "late_us") * 1e-6 : 0)};
    if (!(error.log_sd >= 0 && error.log_sd <= 3)) {
      throw InputError(Diagnostic{"analysis/data/step_errors.csv", 0, 0, "log_sd of " + error.name,
                                  fmt::format("{:g}", error.log_sd), "from 0 to 3", ""});
    }
    rows_.push_back(std::move(error));
  }
  std::vector<std::string_view> needed(kErrors.begin(), kErrors.end());
  needed.insert(needed.end(), kOtherDie.begin(), kOtherDie.end());
  needed.insert(needed.end(),
                {"die_of_architecture", "memory_software", "loop", "loop_unknown", "collective_rate",
                 "collective_start", "collective_start_network", "collective_start_unmeasured", "collective_caller"});
  for (const std::string_view name : needed) {
    if (std::none_of(rows_.begin(), rows_.end(), [&](const StepError& row) { return row.name == name; })) {
      throw InputError(
          Diagnostic{"analysis/data/step_errors.csv", 0, 0, "name", "no row", fmt::format("a row \"{}\"", name), ""});
    }
  }
}

const StepError& StepErrors::of(std::string_view name) const {
  const auto found = std::find_if(rows_.begin(), rows_.end(), [&](const StepError& row) { return row.name == name; });
  assert(found != rows_.end());
  return *found;
}

KnownDie known_die(const KernelCalibration& kernels, const GpuSpec& gpu) {
  if (kernels.measured(gpu)) return KnownDie::measured;
  const bool related = std::any_of(kernels.fits.begin(), kernels.fits.end(), [&](const FamilyFit& fit) {
    return fit.variant.empty() && fit.die.architecture == gpu.architecture;
  });
  return related ? KnownDie::architecture : KnownDie::unmeasured;
}

double software_error(const SoftwareProfile& software, bool experts, bool adapters, const StepErrors& errors) {
  if (software.has_seen(experts, adapters)) return software.error;
  return std::max(software.error, errors.of("software").log_sd);
}

StepRange step_range(const StepOrigins& origins, const StepErrors& errors) {
  StepRange range;
  range.draws = kDraws;
  range.seed = kSeed;
  const std::array<double, kTimes> times = times_of(origins);
  const double step = origins.step.value();
  std::vector<Part> parts;
  double clocked = 0, covered = 0, shapes = 0;
  std::vector<RangeInput> inputs;
  std::array<StepError, kTimes> errors_of_times;
  for (int i = 0; i < kTimes; ++i) {
    const double seconds = times[static_cast<std::size_t>(i)];
    errors_of_times[static_cast<std::size_t>(i)] = error_of(i, origins.die, errors);
    parts.push_back({&errors_of_times[static_cast<std::size_t>(i)], seconds, on_clock(i)});
    inputs.push_back(input_of(*parts.back().error, seconds));
    covered += seconds;
    if (on_clock(i)) {
      clocked += seconds;
      shapes += std::pow(errors.of(kErrors[static_cast<std::size_t>(i)]).log_sd * seconds, 2);
    }
  }
  range.shapes_log_sd = step > 0 ? std::sqrt(shapes) / step : 0;
  parts.push_back({&errors.of("other"), std::max(0.0, step - covered), false});
  const StepError& clock = errors.of("clock");
  inputs.push_back(input_of(clock, clocked));
  const SoftwareProfile& software = *origins.software;
  const double whole = software_error(software, origins.experts, origins.adapters, errors);
  const bool unseen = !software.has_seen(origins.experts, origins.adapters);
  inputs.push_back({fmt::format("what {} does beside that{}", software.name.empty() ? "the software" : software.name,
                                unseen ? ", no such run of it known" : ""),
                    whole, std::pow(whole * step, 2),
                    unseen ? errors.of("software").source : "workloads/data/software"});
  for (const StepOrigins::Open& open : origins.open) inputs.push_back(input_of(open, open.factors, step));
  range.drawn_s = drawn_sums(parts, clock.log_sd, whole, origins.open, &StepOrigins::Open::factors, kSeed);
  range.step_s = quantiles(range.drawn_s);
  range.log_error = std::log(range.step_s.p95 / range.step_s.p5) / (2 * normal_quantile(0.95));
  range.inputs = ranked(std::move(inputs));

  std::vector<RangeInput> of_memory;
  for (const MemoryRow& row : origins.memory->rows)
    of_memory.push_back(input_of(errors.of(memory_error(row.item)), row.bytes.value()));
  const double peak = origins.memory->total().value();
  for (const StepOrigins::Open& open : origins.open) of_memory.push_back(input_of(open, open.memory, peak));
  if (!software.memory_seen && errors.of("memory_software").log_sd > 0)
    of_memory.push_back(input_of(errors.of("memory_software"), peak));
  std::vector<double> memory = memory_draws(origins, errors);
  if (origins.offered_bytes > 0) range.fits = share_within(memory, origins.offered_bytes);
  std::sort(memory.begin(), memory.end());
  range.memory_p90_bytes = memory[static_cast<std::size_t>(0.9 * static_cast<double>(memory.size() - 1))];
  range.memory_bytes = quantiles(std::move(memory));
  range.memory_inputs = ranked(std::move(of_memory));
  return range;
}

std::vector<double> memory_draws(const StepOrigins& origins, const StepErrors& errors) {
  std::vector<Part> held;
  for (const MemoryRow& row : origins.memory->rows)
    held.push_back({&errors.of(memory_error(row.item)), row.bytes.value(), false});
  const double as_a_whole = origins.software->memory_seen ? 0 : errors.of("memory_software").log_sd;
  std::vector<double> memory = drawn_sums(held, 0, as_a_whole, origins.open, &StepOrigins::Open::memory, kSeed + 1);
  const auto ran = [&](double drawn) { return drawn <= origins.ran_in_bytes; };
  if (std::any_of(memory.begin(), memory.end(), ran)) std::erase_if(memory, std::not_fn(ran));
  return memory;
}

double share_within(const std::vector<double>& draws, double most) {
  if (draws.empty()) return 1;
  const auto within = std::count_if(draws.begin(), draws.end(), [&](double drawn) { return drawn <= most; });
  return static_cast<double>(within) / static_cast<double>(draws.size());
}

double odds_within(const FigureRange& range, double most) {
  if (most <= 0) return 0;
  const double off = std::log(most / range.p50);
  const double side = off < 0 ? std::log(range.p50 / range.p5) : std::log(range.p95 / range.p50);
  if (side <= 0) return off >= 0 ? 1 : 0;
  return 0.5 * std::erfc(-off / side * normal_quantile(0.95) / std::sqrt(2.0));
}

FigureRange quantiles(std::vector<double> sorted) {
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](double p) {
    return sorted[static_cast<std::size_t>(p * static_cast<double>(sorted.size() - 1))];
  };
  return {at(0.05), at(0.5), at(0.95)};
}

FigureRange log_normal_range(double predicted, double log_error) {
  const double factor = std::exp(normal_quantile(0.95) * log_error);
  return {predicted / factor, predicted, predicted * factor};
}

FigureRange range_for(double predicted, const StepError& error) {
  return log_normal_range(predicted * std::exp(error.log_mean), error.log_sd);
}

}  // namespace flopcast
