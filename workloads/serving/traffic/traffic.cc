#include "workloads/serving/traffic/traffic.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "sim/base/diagnostic.h"
#include "workloads/serving/traffic/sources/sources.h"

namespace flopcast {
namespace {

[[noreturn]] void refuse(const TrafficClass& traffic, std::string found, std::string expected) {
  throw InputError(Diagnostic{
      .field = "traffic class \"" + traffic.name + "\"", .found = std::move(found), .expected = std::move(expected)});
}

std::unique_ptr<ShapeSource> shapes_of(const TrafficClass& traffic, const ClassSeed& seed) {
  if (const auto* trace = std::get_if<TraceTraffic>(&traffic.lengths)) return trace_shapes(*trace, seed);
  return drawn_shapes(std::get<DrawnLengths>(traffic.lengths), seed);
}

std::unique_ptr<RequestSource> sessions_of(const TrafficClass& traffic, const ClassSeed& seed) {
  const auto* lengths = std::get_if<DrawnLengths>(&traffic.lengths);
  if (!lengths) refuse(traffic, "sessions with the lengths of a trace", "lengths from distributions");
  if (const auto* open = std::get_if<OpenLoop>(&traffic.arrivals)) {
    return session_source(*open, *lengths, *traffic.sessions, seed);
  }
  if (const auto* closed = std::get_if<ClosedLoop>(&traffic.arrivals)) {
    return session_source(*closed, *lengths, *traffic.sessions, seed);
  }
  refuse(traffic, "sessions at the times of a trace", "arrivals at a rate, or users");
}

std::unique_ptr<RequestSource> source_of(const TrafficClass& traffic, const ClassSeed& seed) {
  if (const auto* recorded = std::get_if<RecordedSessions>(&traffic.lengths)) return recorded_source(*recorded, seed);
  if (traffic.sessions) return sessions_of(traffic, seed);
  if (const auto* open = std::get_if<OpenLoop>(&traffic.arrivals)) {
    auto source = open_source(*open, shapes_of(traffic, seed), seed);
    return open->max_concurrency > 0 ? limited_source(std::move(source), open->max_concurrency) : std::move(source);
  }
  if (const auto* closed = std::get_if<ClosedLoop>(&traffic.arrivals)) {
    return closed_source(*closed, shapes_of(traffic, seed), seed);
  }
  const auto* trace = std::get_if<TraceTraffic>(&traffic.lengths);
  if (!trace) refuse(traffic, "the times of a trace without a trace", "a trace, or arrivals at a rate");
  if (!trace->summary.has_times()) {
    refuse(traffic, "a trace without times, " + trace->options.path, "arrivals at a rate");
  }
  return trace_source(*trace, seed);
}

/// All classes in one order of time, numbered, up to the traffic's end.
class Traffic final : public RequestSource {
 public:
  explicit Traffic(const TrafficConfig& config) : duration_(config.duration), most_(config.requests) {
    assert(!config.classes.empty() && config.classes.size() <= kMostTrafficClasses);
    for (const TrafficClass& traffic : config.classes) {
      const ClassSeed seed{config.seed, sources_.size()};
      sources_.push_back(source_of(traffic, seed));
      cached_shares_.push_back(traffic.stated_cached_share);
      agree_on_blocks(traffic, sources_.back()->prefix_block_tokens());
    }
  }
  Seconds next_arrival() const override {
    if (most_ > 0 && taken_ == most_) return kNever;
    const Seconds next = earliest()->get()->next_arrival();
    return next < duration_ ? next : kNever;
  }
  Request take() override {
    const auto source = earliest();
    Request request = (*source)->take();
    request.id = taken_++;
    request.request_class = static_cast<std::uint16_t>(source - sources_.begin());
    const double cached = request.input_tokens * cached_shares_[request.request_class];
    request.stated_cached_tokens = std::min(static_cast<std::int32_t>(cached), request.input_tokens - 1);
    return request;
  }
  void finished(const Request& request, Seconds when, RequestOutcome outcome) override {
    sources_.at(request.request_class)->finished(request, when, outcome);
  }
  int prefix_block_tokens() const override { return block_tokens_; }
  bool archive(StateArchive& state) override {
    state(taken_);
    return std::ranges::all_of(sources_, [&](const auto& source) { return source->archive(state); });
  }

 private:
  using Sources = std::vector<std::unique_ptr<RequestSource>>;
  Sources::const_iterator earliest() const {
    if (sources_.size() == 1) return sources_.begin();
    return std::ranges::min_element(sources_, {}, [](const auto& source) { return source->next_arrival(); });
  }
  void agree_on_blocks(const TrafficClass& traffic, int tokens) {
    if (tokens == 0) return;
    if (block_tokens_ != 0 && tokens != block_tokens_) {
      refuse(traffic, "prefix blocks of " + std::to_string(tokens) + " tokens",
             std::to_string(block_tokens_) + " as in the classes before it");
    }
    block_tokens_ = tokens;
  }

  Sources sources_;
  std::vector<double> cached_shares_;
  Seconds duration_;
  std::uint64_t most_, taken_ = 0;
  int block_tokens_ = 0;
};

}  // namespace

TrafficConfig sampled(TrafficConfig config, std::int32_t keep_one_in) {
  assert(keep_one_in >= 1);
  for (TrafficClass& traffic : config.classes) {
    if (auto* open = std::get_if<OpenLoop>(&traffic.arrivals)) {
      open->rate = open->rate.scaled(1.0 / keep_one_in);
      if (open->max_concurrency > 0) open->max_concurrency = std::max(1, open->max_concurrency / keep_one_in);
    } else if (auto* closed = std::get_if<ClosedLoop>(&traffic.arrivals)) {
      closed->users = std::max(1, closed->users / keep_one_in);
    } else if (auto* trace = std::get_if<TraceTraffic>(&traffic.lengths)) {
      TraceOptions options = trace->options;
      options.keep_one_in *= keep_one_in;
      const bool repeat = trace->repeat;
      *trace = TraceTraffic(std::move(options));
      trace->repeat = repeat;
    } else if (auto* recorded = std::get_if<RecordedSessions>(&traffic.lengths)) {
      *recorded = recorded->one_in(keep_one_in);
    }
  }
  if (config.requests > 0) {
    config.requests = std::max<std::uint64_t>(1, config.requests / static_cast<std::uint64_t>(keep_one_in));
  }
  return config;
}

std::uint64_t expected_requests(const TrafficConfig& config) {
  double sum = 0;
  for (const TrafficClass& traffic : config.classes) {
    const auto* open = std::get_if<OpenLoop>(&traffic.arrivals);
    if (open && is_finite(config.duration)) sum += open->rate.mean().value() * config.duration.value();
    const auto* trace = std::get_if<TraceTraffic>(&traffic.lengths);
    if (trace && !trace->repeat && std::holds_alternative<TraceTimes>(traffic.arrivals))
      sum += static_cast<double>(trace->summary.requests);
    if (const auto* recorded = std::get_if<RecordedSessions>(&traffic.lengths))
      sum += static_cast<double>(recorded->turns.size());
  }
  if (sum == 0) return config.requests;
  const auto expected = static_cast<std::uint64_t>(sum);
  return config.requests > 0 ? std::min(config.requests, expected) : expected;
}

TrafficConfig hastened(TrafficConfig config, std::int32_t times) {
  assert(times >= 1);
  for (TrafficClass& traffic : config.classes) {
    assert(!std::holds_alternative<TraceTimes>(traffic.arrivals));
    if (auto* open = std::get_if<OpenLoop>(&traffic.arrivals)) open->rate = open->rate.hastened(times);
  }
  config.duration /= times;
  if (config.requests > 0)
    config.requests = std::max<std::uint64_t>(1, config.requests / static_cast<std::uint64_t>(times));
  return config;
}

std::unique_ptr<RequestSource> make_traffic(const TrafficConfig& config) { return std::make_unique<Traffic>(config); }

}  // namespace flopcast
