// What holds for every plan and every deployment, whatever its figures.
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "flopcast/metrics.h"
#include "flopcast/run.h"
#include "flopcast/scenario.h"
#include "tests/laws/random_scenarios.h"

namespace flopcast::testing {
namespace {

constexpr double kRounding = 1e-9;
using Sets = std::vector<std::string>;

RunSettings quick(Sharing sharing = Sharing::max_min) {
  RunSettings settings;
  settings.sharing = sharing;
  settings.allow_oom = true;
  return settings;
}

double step(const std::string& text, const Sets& sets = {}, Sharing sharing = Sharing::max_min) {
  return value_of(run_text(text, sets, quick(sharing)), "training.step_time_s");
}
double memory(const std::string& text, const Sets& sets = {}) {
  return value_of(run_text(text, sets, quick(Sharing::ideal)), "training.peak_memory_bytes");
}

std::string at_most(double a, double b, const char* what, double tolerance = kRounding) {
  return a <= b * (1 + tolerance) + 1e-15 ? "" : fmt::format("{}: {:.12g} > {:.12g}", what, a, b);
}
std::string equal(double a, double b, const char* what, double tolerance = kRounding) {
  return std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b)) + 1e-15
             ? ""
             : fmt::format("{}: {:.12g} is not {:.12g}", what, a, b);
}
std::string within(double low, double value, double high, const char* what) {
  return value >= low - kRounding && value <= high + kRounding
             ? ""
             : fmt::format("{}: {:.12g} is not within {:g} and {:g}", what, value, low, high);
}

/// The number that follows `key` in the text of a scenario. Skips scenarios without it.
int stated(const std::string& text, const std::string& key) {
  const std::size_t at = text.find(key + ": ");
  if (at == std::string::npos) throw Skip{};
  return std::atoi(text.c_str() + at + key.size() + 2);
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string all_finite(const Report& report) {
  for (const Metric& metric : metrics(report)) {
    if (const auto number = metric.number(); number && !std::isfinite(*number)) return metric.name + " is not finite";
  }
  return {};
}

/// With the layers where they are: what is faster, or has more room, may be given others (layer_split: "balanced").
Sets in_place(Sets sets) {
  sets.push_back("training.plan.layer_split=even");
  return sets;
}

/// An ideal back end, so that no flow waits for another: then nothing is decided while a step runs, and what makes an
/// operation shorter cannot make the step longer (Graham's anomalies need decisions).
Law never_slower(const std::string& name, const Sets& better, double tolerance = 1e-6) {
  return {name, [better, tolerance](const std::string& text) {
            return at_most(step(text, in_place(better), Sharing::ideal), step(text, in_place({}), Sharing::ideal),
                           "better is slower", tolerance);
          }};
}

std::string doubled_batch(const std::string& text) {
  const int sequences = stated(text, "sequences");
  const double once = step(text, in_place({}));
  const double twice = step(text, in_place({fmt::format("training.batch.sequences={}", 2 * sequences)}));
  const std::string longer = at_most(once, twice, "twice the batch is quicker");
  return longer.empty() ? at_most(twice, 2 * once, "twice the batch takes more than twice as long", 1e-6) : longer;
}

std::string parts_sum(const std::string& text) {
  const Report report = run_text(text, {}, quick());
  double sum = 0;
  for (const char* part :
       {"forward_s", "backward_input_s", "backward_weight_s", "overlapped_s", "bubble_s", "optimizer_s"})
    sum += value_of(report, std::string("training.") + part);
  return equal(sum, value_of(report, "training.step_time_s"), "parts of the step");
}

std::string folded_is_unfolded(const std::string& text) {
  if (stated(text, "nodes") > 2) throw Skip{};  // every GPU is replayed
  RunSettings every = quick();
  every.unfolded = true;
  return equal(step(text), value_of(run_text(text, {}, every), "training.step_time_s"), "folded and unfolded", 1e-9);
}

std::string straggler(const std::string& text) {
  const double usual = step(text), speed = 0.8;
  const double slowed = step(text, {"cluster.slow[0].gpu=0", fmt::format("cluster.slow[0].speed={}", speed)});
  const std::string least = at_most(usual, slowed, "a slow GPU speeds the step up", 1e-6);
  return least.empty() ? at_most(slowed, usual / speed, "a slow GPU costs more than its slowness", 1e-6) : least;
}

std::string zero_stages(const std::string& text) {
  double before = INFINITY;
  for (int stage = 0; stage <= 3; ++stage) {
    const double now = memory(text, {fmt::format("training.plan.zero_stage={}", stage)});
    if (now > before * (1 + kRounding))
      return fmt::format("ZeRO-{} needs {:.6g} B, the stage before {:.6g}", stage, now, before);
    before = now;
  }
  return {};
}

std::string critical_path(const std::string& text) {
  const Report report = run_text(text, {}, quick());
  const double length = value_of(report, "training.critical_path.length_s");
  return equal(length, value_of(report, "training.step_time_s"), "critical path and step", 1e-6);
}

}  // namespace

std::vector<Law> training_laws() {
  return {
      {"every number is finite", [](const std::string& t) { return all_finite(run_text(t, {}, quick())); }},
      {"the same input gives the same bytes",
       [](const std::string& t) {
         return run_text(t, {}, quick()).json() == run_text(t, {}, quick()).json() ? "" : "two runs differ";
       }},
      {"the parts of a step sum to it", parts_sum},
      {"the critical path is as long as the step", critical_path},
      {"folded replays equal unfolded ones", folded_is_unfolded},
      {"links without contention are a lower bound",
       [](const std::string& t) { return at_most(step(t, {}, Sharing::ideal), step(t), "the ideal is slower", 1e-6); }},
      {"twice the batch takes between once and twice as long", doubled_batch},
      {"a straggler costs at most its slowness", straggler},
      {"a later ZeRO stage needs no more memory", zero_stages},
      {"MFU is a share",
       [](const std::string& t) {
         return within(0, value_of(run_text(t, {}, quick()), "training.mfu_bf16_causal"), 1, "MFU");
       }},
      {"the tokens of a step are its sequences",
       [](const std::string& t) {
         return equal(value_of(run_text(t, {}, quick()), "training.tokens_per_step"),
                      static_cast<double>(stated(t, "sequences")) * stated(t, "sequence_length"), "tokens");
       }},
      {"tokens per day are tokens per step over its time",
       [](const std::string& t) {
         const Report r = run_text(t, {}, quick());
         return equal(value_of(r, "training.tokens_per_day"),
                      value_of(r, "training.tokens_per_step") / value_of(r, "training.step_time_s") * 86400,
                      "tokens per day");
       }},
      {"no GPU computes longer than the step",
       [](const std::string& t) {
         const Report r = run_text(t, {}, quick());
         return at_most(value_of(r, "training.compute_busy_s"), value_of(r, "training.step_time_s"), "computing");
       }},
      {"the capacity of memory changes no time",
       [](const std::string& t) {
         return equal(step(t, in_place({"cluster.gpu_override.hbm_capacity=\"1 TB\""})), step(t, in_place({})),
                      "with a larger memory");
       }},
      never_slower("more NVLink is never slower", {"cluster.node_override.nvlink_bandwidth=\"2 TB/s per direction\""}),
      never_slower("faster NICs are never slower", {"cluster.node_override.nic_bandwidth=\"400 GB/s per direction\""}),
      never_slower("more HBM bandwidth is never slower",
                   {"cluster.gpu_override.scale[0].field=\"hbm_bandwidth\"", "cluster.gpu_override.scale[0].by=2"}),
      never_slower("more FLOPS are never slower",
                   {"cluster.gpu_override.scale[0].field=\"bf16_peak\"", "cluster.gpu_override.scale[0].by=2"}),
      {"compute at half its speed at most doubles the step",
       [](const std::string& t) {
         const double usual = step(t, {}, Sharing::ideal), slow = step(t, {"training.efficiency=0.5"}, Sharing::ideal);
         const std::string least = at_most(usual, slow, "slower compute is faster");
         return least.empty() ? at_most(slow, 2 * usual, "more than twice as long", 1e-6) : least;
       }},
      {"computing layers again saves memory and takes time",
       [](const std::string& t) {
         if (has(t, "recompute")) throw Skip{};
         const Sets again{"training.recompute.full_layer=true"};
         const std::string more =
             at_most(memory(t, in_place(again)), memory(t, in_place({})), "recomputing needs more memory");
         return more.empty() ? at_most(step(t, in_place({}), Sharing::ideal), step(t, in_place(again), Sharing::ideal),
                                       "recomputing is quicker", 1e-6)
                             : more;
       }},
      {"longer sequences need no less memory and time",
       [](const std::string& t) {
         const Sets longer{fmt::format("training.batch.sequence_length={}", 2 * stated(t, "sequence_length"))};
         const std::string less =
             at_most(memory(t, in_place({})), memory(t, in_place(longer)), "twice the length needs less memory");
         return less.empty() ? at_most(step(t, in_place({}), Sharing::ideal), step(t, in_place(longer), Sharing::ideal),
                                       "twice the length is quicker")
                             : less;
       }},
      {"FP8 operands need no more bytes than BF16",
       [](const std::string& t) {
         return at_most(memory(t, {"training.precision.activations=fp8"}), memory(t),
                        "kept in FP8, activations need more");
       }},
      {"fewer layers are never slower",
       [](const std::string& t) {
         return at_most(step(t, {"model_override.layers=16"}, Sharing::ideal), step(t, {}, Sharing::ideal),
                        "fewer layers are slower", 1e-6);
       }},
      {"an H800 with an H100's links is an H100",
       [](const std::string& t) {
         if (!has(t, "hgx-h800")) throw Skip{};
         std::string other = t;
         other.replace(other.find("hgx-h800"), 8, "hgx-h100");
         return equal(step(t, {"cluster.node_override.nvlink_bandwidth=\"450 GB/s per direction\""}), step(other),
                      "H800 with the links of an H100, and H100");
       }},
      {"twice the price costs twice as much",
       [](const std::string& t) {
         const std::string run = t + "run { phase { name: \"all\" tokens: \"1B\" } }\n";
         return equal(value_of(run_text(run, {"price.gpu=\"4 USD/h\""}, quick()), "projection.cost_usd"),
                      2 * value_of(run_text(run, {}, quick()), "projection.cost_usd"), "cost");
       }},
      {"a run's undisturbed GPU-hours are its steps",
       [](const std::string& t) {
         const std::string run = t + "run { phase { name: \"all\" tokens: \"1B\" } }\n";
         const Report r = run_text(run, {}, quick());
         const double steps = 1e9 / value_of(r, "training.tokens_per_step");
         const double hours = steps * value_of(r, "training.step_time_s") / 3600 * value_of(r, "scenario.gpus");
         const std::string steady =
             equal(value_of(r, "projection.phases[all].steady_gpu_hours"), hours, "undisturbed GPU-hours", 1e-6);
         return steady.empty() ? at_most(hours, value_of(r, "projection.gpu_hours"), "interruptions save time", 1e-6)
                               : steady;
       }},
      {"a share of the step waits, none of it twice",
       [](const std::string& t) {
         const Report r = run_text(t, {}, quick());
         const double s = value_of(r, "training.step_time_s");
         const std::string bubble = within(0, value_of(r, "training.bubble_s") / s, 1, "bubble");
         return bubble.empty() ? within(0, value_of(r, "training.exposed_communication_s") / s, 1, "exposed") : bubble;
       }},
  };
}

namespace {

double figure(const std::string& text, const std::string& metric, const Sets& sets = {}) {
  return value_of(run_text(text, sets), metric);
}

std::string conserved(const std::string& text) {
  const Report r = run_text(text);
  const double left = value_of(r, "serving.completed") + value_of(r, "serving.rejected") + value_of(r, "serving.lost");
  return at_most(left, value_of(r, "serving.requests"), "more requests leave than arrive");
}

std::string quantiles_rise(const std::string& text) {
  const Report r = run_text(text);
  for (const char* what : {"ttft_s", "end_to_end_s", "queueing_s"}) {
    double before = 0;
    for (const char* q : {"p50", "p90", "p95", "p99"}) {
      const double now = value_of(r, fmt::format("serving.{}.{}", what, q));
      if (now < before * (1 - kRounding)) return fmt::format("{}: {} is {:g}, after {:g}", what, q, now, before);
      before = now;
    }
  }
  return {};
}

std::string requests_in_order(const std::string& text) {
  RunSettings settings;
  settings.keep_requests = true;
  const Report report = run_text(text, {}, settings);
  const auto all = report.requests();
  std::set<std::uint64_t> seen;
  double tokens = 0;
  for (std::size_t i = 0; i < all->id.size(); ++i) {
    if (!seen.insert(all->id[i]).second) return fmt::format("request {} is counted twice", all->id[i]);
    if (all->outcome[i] != RequestOutcome::completed) continue;
    tokens += all->output_tokens[i];
    if (all->arrival_s[i] > all->scheduled_s[i] + 1e-9 || all->scheduled_s[i] > all->first_token_s[i] + 1e-9 ||
        all->first_token_s[i] > all->finish_s[i] + 1e-9)
      return fmt::format("request {} arrives at {:g}, starts at {:g}, answers at {:g}, ends at {:g}", all->id[i],
                         all->arrival_s[i], all->scheduled_s[i], all->first_token_s[i], all->finish_s[i]);
    if (all->cached_tokens[i] > all->input_tokens[i])
      return fmt::format("request {}: more cached than asked", all->id[i]);
  }
  return equal(tokens, value_of(report, "serving.output_tokens"), "tokens of all answers");
}

std::string shares(const std::string& text) {
  const Report r = run_text(text);
  for (const Metric& m : metrics(r)) {
    if (m.unit != "1" || !m.name.starts_with("serving.")) continue;
    if (!m.name.ends_with("busy") && !m.name.ends_with("utilization") && !m.name.ends_with("attainment") &&
        !m.name.ends_with("share"))
      continue;
    if (const auto number = m.number()) {
      if (const std::string wrong = within(0, *number, 1, m.name.c_str()); !wrong.empty()) return wrong;
    }
  }
  return {};
}

/// A metric of the pool that gives answers.
double of_pool(const Report& report, const std::string& what) {
  for (const Metric& m : metrics(report)) {
    if (m.name.starts_with("serving.pools[") && m.name.ends_with("." + what) && !has(m.name, "[prefill]"))
      if (const auto number = m.number()) return *number;
  }
  throw Skip{};
}

std::string pool_key(const std::string& text) { return has(text, "decode {") ? "serving.decode" : "serving.replicas"; }

}  // namespace

std::vector<Law> serving_laws() {
  return {
      {"every number is finite", [](const std::string& t) { return all_finite(run_text(t)); }},
      {"the same input gives the same bytes",
       [](const std::string& t) { return run_text(t).json() == run_text(t).json() ? "" : "two runs differ"; }},
      {"requests that arrive leave once", conserved},
      {"quantiles rise", quantiles_rise},
      {"every request goes through its stations in order", requests_in_order},
      {"shares are shares", shares},
      {"an answer takes at least as long as its first token",
       [](const std::string& t) {
         const Report r = run_text(t);
         return at_most(value_of(r, "serving.ttft_s.mean"), value_of(r, "serving.end_to_end_s.mean"), "TTFT");
       }},
      {"queueing is part of the time to the first token",
       [](const std::string& t) {
         const Report r = run_text(t);
         return at_most(value_of(r, "serving.queueing_s.mean"), value_of(r, "serving.ttft_s.mean"), "queueing");
       }},
      {"a larger memory holds no fewer tokens",
       [](const std::string& t) {
         const Sets more{"cluster.gpu_override.hbm_capacity=\"300 GB\""};
         return at_most(of_pool(run_text(t), "kv_capacity_tokens"), of_pool(run_text(t, more), "kv_capacity_tokens"),
                        "tokens");
       }},
      {"a cache in FP8 takes no more bytes a token",
       [](const std::string& t) {
         return at_most(of_pool(run_text(t, {pool_key(t) + ".kv_cache=fp8"}), "kv_bytes_per_token"),
                        of_pool(run_text(t), "kv_bytes_per_token"), "bytes of a token");
       }},
      {"twice the price costs twice as much",
       [](const std::string& t) {
         return equal(figure(t, "cost.usd_per_million_output_tokens", {"price.gpu=\"4 USD/h\""}),
                      2 * figure(t, "cost.usd_per_million_output_tokens"), "cost");
       }},
      {"energy over tokens is energy per token",
       [](const std::string& t) {
         const Report r = run_text(t);
         if (value_of(r, "serving.completed") < value_of(r, "serving.requests")) throw Skip{};
         return equal(value_of(r, "serving.energy_j") / value_of(r, "serving.output_tokens"),
                      value_of(r, "serving.energy_j_per_output_token"), "energy", 1e-6);
       }},
      {"tokens per user are the inverse of the time per token",
       [](const std::string& t) {
         const Report r = run_text(t);
         return equal(value_of(r, "serving.output_tokens_per_s_per_user") * value_of(r, "serving.tpot_s.mean"), 1,
                      "tokens");
       }},
      {"no batch is larger than allowed",
       [](const std::string& t) {
         return at_most(of_pool(run_text(t), "mean_batch"), stated(t, "max_batch"), "mean batch");
       }},
      {"a user alone waits for nobody: always as long",
       [](const std::string& t) {
         if (!has(t, "users: 1 ") || has(t, "log_normal")) throw Skip{};
         const Report r = run_text(t);
         return equal(value_of(r, "serving.queueing_s.p99"), value_of(r, "serving.queueing_s.p50"), "queueing", 0.02);
       }},
      {"streams sum to the service",
       [](const std::string& t) {
         const Report r = run_text(t);
         return equal(value_of(r, "serving.streams[chat].requests"), value_of(r, "serving.requests"), "requests");
       }},
      {"another seed keeps the tokens of fixed lengths",
       [](const std::string& t) {
         if (has(t, "log_normal") || has(t, "users")) throw Skip{};
         const Report a = run_text(t), b = run_text(t, {"serving.seed=4711"});
         if (value_of(a, "serving.completed") != value_of(b, "serving.completed")) throw Skip{};
         return equal(value_of(a, "serving.output_tokens"), value_of(b, "serving.output_tokens"), "tokens");
       }},
  };
}

}  // namespace flopcast::testing
