// What holds for every deployment, whatever its figures.
#include <set>

#include "tests/laws/law_parts.h"

namespace flopcast::testing {
namespace {

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
      {"the same input gives the same bytes", [](const std::string& t) { return same_bytes(t); }},
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
