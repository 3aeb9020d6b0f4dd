#include "analysis/runs/serving/serving_notes.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "analysis/render/text/format.h"
#include "analysis/runs/parts/notes.h"
#include "analysis/runs/serving/serving_pools.h"
#include "workloads/serving/pricing/block_shapes.h"
#include "workloads/serving/pricing/engine_constants.h"
#include "workloads/serving/traffic/clients.h"

namespace flopcast {
namespace {

/// Users whose answers have one length ask again together, for ever: each waits for the prompts of all.
void note_step(ServingReport& report) {
  constexpr int kFewUsers = 8;
  constexpr double kInStep = 0.25;  // of the users, on average
  const ServingScenario& serving = report.serving();
  for (std::size_t i = 0; i < serving.class_names.size(); ++i) {
    const auto* loop = std::get_if<ClosedLoop>(&serving.traffic.classes[i].arrivals);
    if (loop == nullptr || loop->users < kFewUsers) continue;
    // A job of requests that are all there at the start: nobody asks again.
    const std::uint64_t most = serving.traffic.requests;
    if (most > 0 && most <= static_cast<std::uint64_t>(loop->users)) continue;
    const double together = report.totals.together[i];
    if (together < kInStep * loop->users) continue;
    report.notes.push_back(fmt::format(
        "{}: {:.0f} of the {} users ask at the same moment, again and again: their answers take equally long, so that "
        "they march in step, and TTFT is that of many prompts at once. Lengths that are drawn (client: \"inferencex\", "
        "shape: \"up_to\") or a ramp bring them apart",
        serving.class_names[i], together, loop->users));
  }
}

void note_clients(ServingReport& report) {
  for (const std::string& client : report.serving().clients) {
    const ClientRow* row = find_policy(benchmark_clients(), client.substr(client.rfind(' ') + 1));
    std::string text = fmt::format("client of {} ({})", client, row->title);
    text += fmt::format("; its warm-up ({}) is not replayed", row->warm_up);
    const EngineConfig& engine = report.serving().pools.front().engine;
    if (const Seconds cold = cold_prompts(engine); cold > Seconds(0))
      text += fmt::format(
          ", and leaves {} to compile kernels of other lengths for {} while the first users wait (host.cold_prompts)",
          engine.name, format_time(cold));
    report.notes.push_back(std::move(text));
  }
}

/// A trace lends its lengths alone where it is stated how requests come.
void note_times(ServingReport& report) {
  for (const TrafficClass& c : report.serving().traffic.classes) {
    const auto* trace = std::get_if<TraceTraffic>(&c.lengths);
    if (trace == nullptr || !trace->summary.has_times() || std::holds_alternative<TraceTimes>(c.arrivals)) continue;
    report.notes.push_back(
        fmt::format("{}: lengths are those of the trace, in its order and again from its beginning; its own times are "
                    "not used, since {} say how requests come",
                    c.name.empty() ? "the stream" : c.name,
                    std::holds_alternative<ClosedLoop>(c.arrivals) ? "users" : "requests_per_second"));
  }
}

}  // namespace

std::string filling_note(const ServingReport& report) {
  constexpr double kWorthSaying = 0.03;
  const ServingScenario& serving = report.serving();
  const bool waits = std::any_of(serving.traffic.classes.begin(), serving.traffic.classes.end(), [](const auto& c) {
    return std::holds_alternative<ClosedLoop>(c.arrivals);  // who asks again when answered offers no rate
  });
  if (waits || serving.warm_up > Seconds(0) || report.state != LoadState::stable) return "";
  const SessionTotals& totals = report.totals;
  const bool to_window = totals.counted_to > totals.end || totals.counted_from < totals.begin;
  const Seconds until = to_window ? std::max(totals.backlog.until(), totals.steady_end.at) : totals.backlog.until();
  const double span = (until - totals.counted_from).value();
  if (span <= 0 || report.all.completed.requests < 2) return "";
  const double offered = static_cast<double>(report.all.output_tokens) / span;
  if (report.output_rate >= (1 - kWorthSaying) * offered) return "";
  return fmt::format(
      "the servers are empty when the first request comes, and no warm_up is stated: {} output tokens/s were written "
      "of {} that were asked for, so that tokens per second are {} too low for a service in full swing, and what a "
      "token costs {} too high; serving.warm_up, some times the {} that a request takes, leaves the filling out, where "
      "requests come for long enough",
      format_integer(report.output_rate), format_integer(offered), format_percent(1 - report.output_rate / offered),
      report.output_rate > 0 ? format_percent(offered / report.output_rate - 1) : "far",
      format_time(Seconds(report.all.end_to_end.mean())));
}

void add_notes(ServingReport& report) {
  const ServingScenario& serving = report.serving();
  note_clients(report);
  note_times(report);
  note_step(report);
  for (const PoolSpec& pool : serving.pools) {
    if (std::string refused = refused_blocks(pool.engine); !refused.empty())
      report.notes.push_back(refused + "; replayed as if it did");
  }
  if (serving.warm_up > Seconds(0))
    report.notes.push_back(
        report.steady_rates
            ? fmt::format("warm-up {}: left out of tokens per second, not of latencies and promises",
                          format_time(serving.warm_up))
            : fmt::format("warm-up {}: it leaves too little before the last arrival, which came at {}, to be measured; "
                          "nothing is left out, and tokens per second are of the whole run",
                          format_time(serving.warm_up), format_time(report.totals.backlog.until())));
  if (std::string note = filling_note(report); !note.empty()) report.notes.push_back(std::move(note));
  if (serving.sample > 1 && serving.sample_time)
    report.notes.push_back(
        fmt::format("one request in {} was replayed, at full rates on all replicas: the day, autoscaling, "
                    "failures and drift of "
                    "expert load passed {} times as fast",
                    serving.sample, serving.sample));
  else if (serving.sample > 1)
    report.notes.push_back(
        fmt::format("one request in {} was replayed on one replica in {}", serving.sample, serving.sample));
  if (report.all.arrived.requests == 0) report.notes.push_back("no request arrived: nothing was measured");
  if (report.totals.cut)
    report.notes.push_back(
        fmt::format("the session was cut after {:.0f} days, the longest that its clock counts: {} requests had "
                    "arrived, {} of them were "
                    "still inside, and their latencies are not counted",
                    kLongestSession.value() / 86400, report.all.arrived.requests, report.totals.live));
  if (too_short_to_tell(report.totals))
    report.notes.push_back(
        "requests came for less than four times what one takes: too short to tell how the deployment would "
        "stand this load for long");
  if (report.totals.too_long > 0)
    report.notes.push_back(
        fmt::format("{} requests were rejected because no replica could ever hold them", report.totals.too_long));
  if (report.all.expired.requests > 0)
    report.notes.push_back(
        fmt::format("{} requests were dropped at their deadline; what had been computed of them "
                    "counts for nothing",
                    report.all.expired.requests));
  if (report.all.arrived.requests > 0 && report.all.completed.requests == 0)
    report.notes.push_back("no request was answered to the end: latencies of answers are those of nobody");
  for (const StatedFault& fault : serving.failures.stated) {
    if (fault.at > report.totals.end)
      report.notes.push_back(fmt::format("the fault stated at {} comes after the end, at {}: it changed nothing",
                                         format_time(fault.at), format_time(report.totals.end)));
    else if (fault.one_by_one)
      report.notes.push_back(fmt::format("a rolling restart from {} on: {} replicas one by one, {} each",
                                         format_time(fault.at), fault.replicas.size(), format_time(fault.repair)));
  }
  for (const PoolSpec& pool : serving.pools)
    for (std::size_t i = 0; i < pool.slow.size(); ++i)
      if (!(pool.slow[i] == ReplicaSpeed{}))
        report.notes.push_back(
            fmt::format("{}: replica {} has parts slower than their data sheets (cluster.slow) and "
                        "goes at their pace",
                        pool.name, i));
  if (report.totals.failures > 0)
    report.notes.push_back(fmt::format("{} failures of replicas; {} requests started again, {} were lost",
                                       report.totals.failures, report.totals.retried, report.all.lost.requests));
  if (serving.answer_pool().engine.speculation.depth > 0)
    report.notes.push_back("drafts are accepted at their mean rate, by all requests of an iteration alike");
  for (const PoolSpec& pool : serving.pools)
    if (!serving.expert_pace_stated && expert_pace_of(serving, pool).variation > 0)
      report.notes.push_back(fmt::format(
          "{}: loads of experts are not stated (expert_skew): as behind a real router, coefficient of variation {:g}",
          pool.name, router_variation(pool.engine.model, *serving.constants)));
  for (const PoolSpec& pool : serving.pools) {
    const EngineConfig& engine = pool.engine;
    const auto published = static_cast<std::size_t>(engine.model.published_weights);
    const auto experts = static_cast<std::size_t>(engine.model.published_experts);
    if (engine.weights_as_published)
      report.notes.push_back(fmt::format(
          "{}: weights as {} publishes them, {}{}: neither weights nor weight_format is stated", pool.name,
          engine.model.title, enum_names(engine.model.published_weights)[published],
          experts == 0 ? "" : fmt::format(", experts {}", enum_names(engine.model.published_experts)[experts])));
    else if (published + experts != 0 && engine.precision.linear == Precision::bf16 &&
             engine.precision.stored == WeightFormat::as_multiplied)
      report.notes.push_back(fmt::format("{}: weights in BF16; {} publishes them as {}", pool.name, engine.model.title,
                                         enum_names(engine.model.published_weights)[published]));
    for (const auto& [field, on] : {std::pair("two_micro_batches", engine.two_micro_batches),
                                    std::pair("redundant_experts", engine.redundant_experts > 0)})
      if (on && engine.came_later.find(field) != std::string::npos)
        report.notes.push_back(fmt::format("{}: {} is no feature of {} yet: replayed as a later version has it",
                                           pool.name, field, engine.name));
    if (!engine.name.empty())
      report.notes.push_back(fmt::format("{}: engine {}, {}", pool.name, engine.name,
                                         engine.calibrated_on.empty() ? "not calibrated on a server of yours"
                                                                      : "calibrated on " + engine.calibrated_on));
  }
  for (std::string note : {unmeasured_note(report.scenario), unkept_limit_note(report.scenario)})
    if (!note.empty()) report.notes.push_back(std::move(note));
}

}  // namespace flopcast
