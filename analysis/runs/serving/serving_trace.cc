// A served session as a timeline: the same curves and slices in both formats.
#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/chart/palette.h"
#include "analysis/render/text/escape.h"
#include "analysis/render/text/perfetto.h"
#include "analysis/render/text/trace_time.h"
#include "analysis/runs/serving/serving_report.h"

namespace flopcast {
namespace {

struct TraceCurve {
  std::string_view name, unit;
  const TimeSeries& series;
  double scale;
};

std::vector<TraceCurve> curves_of(const PoolTotals& pool) {
  return {{"running requests", "requests", pool.running, 1},
          {"waiting requests", "requests", pool.waiting, 1},
          {"KV in use", "%", pool.kv_share, 100},
          {"computing", "%", pool.busy, 100},
          {"replicas up", "replicas", pool.up, 1}};
}

std::string heading_of(const PoolTotals& pool) { return fmt::format("{} ({} replicas)", pool.name, pool.replicas); }

struct RequestPart {
  std::size_t slot;
  std::string_view name;
  Tone tone;
  Seconds from, to;
  const RequestResult& request;
};

/// Calls `show(part)` for the parts of all requests, slot by slot in order of their starts.
template <class Show>
void for_each_part(const std::vector<RequestResult>& results, Show show) {
  std::vector<const RequestResult*> order;
  for (const RequestResult& r : results) order.push_back(&r);
  std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->arrival < b->arrival; });
  SlotTracks slots;
  for (const RequestResult* r : order) {
    const std::size_t slot = slots.take(r->arrival, r->finish);
    const RequestPart parts[] = {{slot, "queueing", Tone::bubble, r->arrival, r->scheduled, *r},
                                 {slot, "prompt", Tone::forward, r->scheduled, r->first_token, *r},
                                 {slot, "answer", Tone::backward, r->first_token, r->finish, *r}};
    for (const RequestPart& part : parts)
      if (part.to > part.from) show(part);
  }
}

}  // namespace

void ServingTrace::add(const Request&, const RequestResult& result) {
  if (results_.size() < kMostRequests && result.outcome == RequestOutcome::completed) results_.push_back(result);
}

std::string ServingTrace::json(const ServingReport& report) const {
  std::string out = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
  auto event = [&out, first = true](const std::string& text) mutable {
    out += (first ? "\n" : ",\n") + text;
    first = false;
  };
  const auto process_name = [&](int process, const std::string& name) {
    event(fmt::format(R"({{"name":"process_name","ph":"M","pid":{},"args":{{"name":{}}}}})", process,
                      script_quoted(name)));
  };
  int process = 1;
  for (const PoolReport& pool : report.pools) {
    process_name(process, heading_of(pool.totals));
    for (const TraceCurve& curve : curves_of(pool.totals)) {
      const std::vector<double> values = curve.series.averages();
      for (std::size_t i = 0; i < values.size(); ++i)
        event(fmt::format(R"({{"name":"{}","ph":"C","pid":{},"ts":{},"args":{{"{}":{:.6g}}}}})", curve.name, process,
                          microseconds(trace_time(static_cast<double>(i) * curve.series.width())), curve.unit,
                          curve.scale * values[i]));
    }
    ++process;
  }
  process_name(process, "requests");
  std::size_t named = 0;
  for_each_part(results_, [&](const RequestPart& part) {
    for (; named <= part.slot; ++named)
      event(fmt::format(R"({{"name":"thread_name","ph":"M","pid":{},"tid":{},"args":{{"name":"slot {}"}}}})", process,
                        named, named));
    const ViewerTime from = trace_time(part.from), to = trace_time(part.to);
    if (to <= from) return;
    event(fmt::format(R"({{"name":"{}","cat":"{}","ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"args":{{"request":{},)"
                      R"("input_tokens":{},"cached_tokens":{},"output_tokens":{}}}}})",
                      part.name, row_of(part.tone).name, process, part.slot, microseconds(from),
                      microseconds(to - from), part.request.id, part.request.input_tokens, part.request.cached_tokens,
                      part.request.output_tokens));
  });
  return out + "\n]}\n";
}

std::string ServingTrace::perfetto(const ServingReport& report) const {
  std::string out;
  PerfettoWriter writer([&out](std::string_view piece) { out += piece; });
  int process = 1;
  for (const PoolReport& pool : report.pools) {
    const PerfettoWriter::Track track = writer.add_process(process, heading_of(pool.totals), process);
    ++process;
    for (const TraceCurve& curve : curves_of(pool.totals)) {
      const PerfettoWriter::Track counter = writer.add_counter(track, curve.name, curve.unit);
      const std::vector<double> values = curve.series.averages();
      for (std::size_t i = 0; i < values.size(); ++i)
        writer.count(counter, static_cast<double>(i) * curve.series.width(), curve.scale * values[i]);
    }
  }
  const PerfettoWriter::Track requests = writer.add_process(process, "requests", process);
  std::vector<PerfettoWriter::Track> tracks;
  for_each_part(results_, [&](const RequestPart& part) {
    for (std::size_t slot = tracks.size(); slot <= part.slot; ++slot)
      tracks.push_back(writer.add_track(requests, fmt::format("slot {}", slot), static_cast<int>(slot)));
    writer.slice({tracks[part.slot],
                  part.from,
                  part.to,
                  part.name,
                  row_of(part.tone).name,
                  {{"request", part.request.id},
                   {"input_tokens", static_cast<std::uint64_t>(part.request.input_tokens)},
                   {"cached_tokens", static_cast<std::uint64_t>(part.request.cached_tokens)},
                   {"output_tokens", static_cast<std::uint64_t>(part.request.output_tokens)}},
                  {},
                  {}});
  });
  writer.close();
  return out;
}

}  // namespace flopcast
