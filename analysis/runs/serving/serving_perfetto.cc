#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/chart/palette.h"
#include "analysis/render/text/perfetto.h"
#include "analysis/runs/serving/serving_report.h"

namespace flopcast {

std::string ServingTrace::perfetto(const ServingReport& report) const {
  std::string out;
  PerfettoWriter writer([&out](std::string_view piece) { out += piece; });
  int process = 1;
  for (const PoolReport& pool : report.pools) {
    const PoolTotals& t = pool.totals;
    const PerfettoWriter::Track track =
        writer.add_process(process, fmt::format("{} ({} replicas)", t.name, t.replicas), process);
    ++process;
    const auto curve = [&](std::string_view name, const TimeSeries& series, std::string_view unit, double scale) {
      const PerfettoWriter::Track counter = writer.add_counter(track, name, unit);
      const std::vector<double> values = series.averages();
      for (std::size_t i = 0; i < values.size(); ++i)
        writer.count(counter, static_cast<double>(i) * series.width(), scale * values[i]);
    };
    curve("running requests", t.running, "requests", 1);
    curve("waiting requests", t.waiting, "requests", 1);
    curve("KV in use", t.kv_share, "%", 100);
    curve("computing", t.busy, "%", 100);
    curve("replicas up", t.up, "replicas", 1);
  }
  std::vector<const RequestResult*> order;
  for (const RequestResult& r : results_) order.push_back(&r);
  std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->arrival < b->arrival; });
  const PerfettoWriter::Track requests = writer.add_process(process, "requests", process);
  SlotTracks slots;
  std::vector<PerfettoWriter::Track> tracks;
  for (const RequestResult* r : order) {
    const std::size_t slot = slots.take(r->arrival, r->finish);
    if (slot == tracks.size())
      tracks.push_back(writer.add_track(requests, fmt::format("slot {}", slot), static_cast<int>(slot)));
    const auto part = [&](std::string_view name, Tone tone, Seconds from, Seconds to) {
      if (to <= from) return;
      writer.slice({tracks[slot],
                    from,
                    to,
                    name,
                    row_of(tone).name,
                    {{"request", r->id},
                     {"input_tokens", static_cast<std::uint64_t>(r->input_tokens)},
                     {"cached_tokens", static_cast<std::uint64_t>(r->cached_tokens)},
                     {"output_tokens", static_cast<std::uint64_t>(r->output_tokens)}},
                    {},
                    {}});
    };
    part("queueing", Tone::bubble, r->arrival, r->scheduled);
    part("prompt", Tone::forward, r->scheduled, r->first_token);
    part("answer", Tone::backward, r->first_token, r->finish);
  }
  writer.close();
  return out;
}

}  // namespace flopcast
