#include "analysis/runs/serving/exchange/trace_stats_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/text/format.h"
#include "analysis/render/text/json.h"
#include "scenarios/proto/trace_stats.pb.h"

namespace flopcast {
namespace {

constexpr double kMinute = 60.0;

/// Of a trace that is shorter the mean says all.
bool has_minute(const ArrivalStats& arrivals) { return arrivals.duration() >= Seconds(kMinute); }

/// Requests that all come at once have no rate, and neither has one alone.
bool has_rate(const ArrivalStats& arrivals) { return arrivals.duration() > Seconds(0); }

/// One gap has no variation that would say anything.
bool has_gaps(const TraceStats& stats) { return has_rate(stats.arrivals) && stats.requests > 2; }

double peak_rate(const ArrivalStats& arrivals) { return static_cast<double>(arrivals.peak_minute()) / kMinute; }

std::string trace_span_text(Seconds time) {
  if (time >= hours(48)) return format_days(time);
  return time >= hours(2) ? fmt::format("{:.1f} h", in_hours(time)) : format_time(time);
}

double turns_per_session(const TraceStats& stats) {
  return static_cast<double>(stats.turns) / std::max<double>(1, stats.sessions);
}

std::string whole_tokens_text(double tokens) { return format_integer(tokens); }

/// On what the format was found, in lines of the terminal's width.
std::string evidence_text(const TraceStats& stats, const TextStyle& style) {
  return wrap("Format " + stats.format->name + ", by " + stats.evidence + ".", style.width(), "") + "\n";
}

std::string overview(const TraceStats& stats, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::left});
  table.row({"requests", format_integer(static_cast<double>(stats.requests)), ""});
  if (stats.has_times()) {
    table.row({"duration", trace_span_text(stats.arrivals.duration()), "first to last request"});
    if (has_rate(stats.arrivals))
      table.row({"rate", fmt::format("{:.3g} /s", stats.mean_rate().value()), "mean"});
    else
      table.row({"rate", "none", stats.requests == 1 ? "of one request" : "all requests come at once"});
    if (has_minute(stats.arrivals))
      table.row({"", fmt::format("{:.3g} /s", peak_rate(stats.arrivals)), "in the busiest minute"});
    if (has_gaps(stats))
      table.row({"burstiness", fmt::format("{:.2f}", stats.arrivals.gap_cv()),
                 "coefficient of variation of the gaps (Poisson: 1)"});
    if (stats.arrivals.minute_dispersion() > 0) {
      table.row({"", fmt::format("{:.2f}", stats.arrivals.minute_dispersion()),
                 "variance over mean of requests per minute (Poisson: 1)"});
    }
  } else {
    table.row({"arrivals", "none", "the format has lengths only"});
  }
  if (stats.failed > 0)
    table.row({"left out", format_integer(static_cast<double>(stats.failed)), "requests without an answer"});
  if (stats.sessions > 0) {
    table.row({"sessions", format_integer(stats.sessions), fmt::format("of {:.3g} turns", turns_per_session(stats))});
    if (stats.waiting > 0)
      table.row(
          {"later turns", format_integer(static_cast<double>(stats.waiting)), "come when the turn before is answered"});
  }
  return table.render(style);
}

std::string lengths(const TraceStats& stats, const TextStyle& style) {
  TextTable table(
      {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.header({"tokens", "total", "mean", "p50", "p90", "p95", "p99", "max"});
  const auto row = [&](const std::string& name, const QuantileSketch& sketch) {
    const DistributionSummary of = sketch.summary();
    table.row({name, format_count(sketch.sum()), whole_tokens_text(of.mean), whole_tokens_text(of.p50),
               whole_tokens_text(of.p90), whole_tokens_text(of.p95), whole_tokens_text(of.p99),
               whole_tokens_text(of.max)});
  };
  row("input", stats.input);
  row("output", stats.output);
  row("together", stats.context);
  return table.render(style);
}

std::string prefixes(const TraceStats& stats, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::left});
  table.row({"prefix blocks", format_integer(static_cast<double>(stats.blocks)),
             fmt::format("of {} tokens", stats.format->block_tokens)});
  table.row({"different ones", (stats.reuse.sampled() ? "~" : "") + format_integer(stats.reuse.distinct()), ""});
  table.row(
      {"hit rate", format_percent(stats.hit_bound()), "of prompt tokens, at most: with a cache that keeps everything"});
  return table.render(style);
}

void describe(const QuantileSketch& sketch, report::TraceLengths& out) {
  const DistributionSummary of = sketch.summary();
  out.set_total(sketch.sum());
  out.set_mean(of.mean);
  out.set_p50(of.p50);
  out.set_p90(of.p90);
  out.set_p95(of.p95);
  out.set_p99(of.p99);
  out.set_max(of.max);
}

void describe(const TraceStats& stats, report::TraceArrivals& out) {
  out.set_duration_s(stats.arrivals.duration().value());
  if (has_rate(stats.arrivals)) out.set_requests_per_s(stats.mean_rate().value());
  if (has_minute(stats.arrivals)) out.set_peak_minute_requests_per_s(peak_rate(stats.arrivals));
  if (has_gaps(stats)) out.set_gap_cv(stats.arrivals.gap_cv());
  out.set_minute_dispersion(stats.arrivals.minute_dispersion());
}

void describe(const TraceStats& stats, report::TracePrefixes& out) {
  out.set_block_tokens(stats.format->block_tokens);
  out.set_blocks(stats.blocks);
  out.set_distinct_blocks(stats.reuse.distinct());
  out.set_hit_bound(stats.hit_bound());
  out.set_sampled(stats.reuse.sampled());
}

}  // namespace

std::string trace_stats_text(const std::string& file, const TraceStats& stats, const TextStyle& style) {
  std::string text = style.bold(file) + "  " + std::string(stats.format->title) + "\n" + evidence_text(stats, style) +
                     "\n" + overview(stats, style) + "\n" + lengths(stats, style);
  if (stats.blocks > 0) text += "\n" + prefixes(stats, style);
  return text;
}

std::string trace_formats_text(const TextStyle& style) {
  TextTable table({Align::left, Align::left, Align::left});
  table.header({"format", "what it is", "found by"});
  for (const TraceFormat& format : trace_formats()) {
    std::string needs;
    for (const std::string& need : format.needs) needs += (needs.empty() ? "" : ", ") + need;
    table.row({format.name, format.title, needs.empty() ? "a list of lists" : needs});
  }
  return table.render(style);
}

std::string trace_stats_json(const std::string& file, const std::string& program, const TraceStats& stats) {
  report::TraceStats message;
  message.set_program(program);
  message.set_file(file);
  message.set_format(std::string(stats.format->name));
  message.set_requests(stats.requests);
  if (stats.has_times()) describe(stats, *message.mutable_arrivals());
  describe(stats.input, *message.mutable_input_tokens());
  describe(stats.output, *message.mutable_output_tokens());
  describe(stats.context, *message.mutable_context_tokens());
  if (stats.blocks > 0) describe(stats, *message.mutable_prefixes());
  message.set_evidence(stats.evidence);
  message.set_failed(stats.failed);
  if (stats.sessions > 0) {
    message.mutable_sessions()->set_sessions(stats.sessions);
    message.mutable_sessions()->set_turns(turns_per_session(stats));
    message.mutable_sessions()->set_waiting_turns(stats.waiting);
  }
  return to_json(message);
}

}  // namespace flopcast
