#include "analysis/runs/rl/rl_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "analysis/render/text/perfetto.h"
#include "analysis/render/text/trace_time.h"

namespace flopcast {
namespace {

constexpr std::array<const char*, 2> kLanes = {"engine", "trainer"};

std::size_t lane_of(const RlSpan& span) { return static_cast<std::size_t>(span.lane); }

}  // namespace

Tone tone_of(RlPart part) {
  switch (part) {
    case RlPart::update:
    case RlPart::critic_update:
      return Tone::backward;
    case RlPart::handover:
    case RlPart::sync:
      return Tone::communication;
    case RlPart::drain:
    case RlPart::reward:  // GPUs wait for it
      return Tone::bubble;
    case RlPart::host:
      return Tone::optimizer;
    default:  // generation, and passes forward of one model or another
      return Tone::forward;
  }
}

std::string chrome_trace(const RlReport& report) {
  std::string out = R"({"displayTimeUnit":"ms","traceEvents":[
{"name":"process_name","ph":"M","pid":1,"args":{"name":"loop"}})";
  for (std::size_t lane = 0; lane < kLanes.size(); ++lane)
    out += fmt::format(",\n{{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":{},\"args\":{{\"name\":\"{}\"}}}}",
                       lane, kLanes[lane]);
  for (const RlSpan& span : report.spans) {
    const ViewerTime start = trace_time(span.start), end = trace_time(span.end);
    out += fmt::format(
        ",\n{{\"name\":\"{}\",\"cat\":\"{}\",\"ph\":\"X\",\"pid\":1,\"tid\":{},\"ts\":{},\"dur\":{},"
        "\"args\":{{\"step\":{}}}}}",
        name(span.part), row_of(tone_of(span.part)).name, lane_of(span), microseconds(start), microseconds(end - start),
        span.step);
  }
  return out + "\n]}\n";
}

std::string perfetto_trace(const RlReport& report) {
  std::string out;
  PerfettoWriter writer([&out](std::string_view piece) { out += piece; });
  const PerfettoWriter::Track loop = writer.add_process(1, "loop", 0);
  std::array<PerfettoWriter::Track, kLanes.size()> tracks;
  for (std::size_t lane = 0; lane < kLanes.size(); ++lane)
    tracks[lane] = writer.add_track(loop, kLanes[lane], static_cast<int>(lane));
  std::vector<RlSpan> spans = report.spans;
  std::stable_sort(spans.begin(), spans.end(), [](const RlSpan& a, const RlSpan& b) { return a.start < b.start; });
  for (const RlSpan& span : spans) {
    if (span.end <= span.start) continue;
    writer.slice({tracks[lane_of(span)],
                  span.start,
                  span.end,
                  name(span.part),
                  row_of(tone_of(span.part)).name,
                  {{"step", static_cast<std::uint64_t>(span.step)}},
                  {},
                  {}});
  }
  writer.close();
  return out;
}

TimelineView timeline_view(const RlReport& report) {
  TimelineView view({"step"});
  for (const char* const lane : kLanes) view.add_row(lane, "");
  std::array<std::optional<std::uint16_t>, kRlParts> names;
  for (const RlSpan& span : report.spans) {
    std::optional<std::uint16_t>& known = names[static_cast<std::size_t>(span.part)];
    if (!known) known = view.add_name(std::string(name(span.part)), tone_of(span.part));
    view.add(static_cast<std::uint32_t>(lane_of(span)), span.start.value(), span.end.value(), *known,
             {static_cast<std::uint32_t>(span.step), 0, 0});
  }
  return view;
}

}  // namespace flopcast
