// Sources that wait for nobody.
#include <utility>

#include "workloads/serving/traffic/sources/sources.h"

namespace flopcast {
namespace {

Request request_of(TraceRecord&& record) {
  Request request;
  request.arrival = record.at;
  request.input_tokens = record.input_tokens;
  request.output_tokens = record.output_tokens;
  request.prefix = std::move(record.blocks);
  return request;
}

class OpenSource final : public RequestSource {
 public:
  OpenSource(const OpenLoop& arrivals, std::unique_ptr<ShapeSource> shapes, const ClassSeed& seed)
      : arrivals_(arrivals.rate, arrivals.spacing, arrivals.cv, seed.stream(ClassSeed::arrivals)),
        shapes_(std::move(shapes)),
        next_(arrivals_.next()) {}
  Seconds next_arrival() const override { return next_; }
  Request take() override {
    TraceRecord record;
    shapes_->next(record);
    record.at = std::exchange(next_, arrivals_.next());
    return request_of(std::move(record));
  }
  int prefix_block_tokens() const override { return shapes_->block_tokens(); }

 private:
  ArrivalProcess arrivals_;
  std::unique_ptr<ShapeSource> shapes_;
  Seconds next_;
};

class TraceSource final : public RequestSource {
 public:
  TraceSource(const TraceTraffic& trace, const ClassSeed& seed) : trace_(trace, seed, trace.repeat) { advance(); }
  Seconds next_arrival() const override { return there_ ? next_.at : kNever; }
  Request take() override {
    Request request = request_of(std::move(next_));
    advance();
    return request;
  }
  int prefix_block_tokens() const override { return trace_.block_tokens(); }

 private:
  void advance() { there_ = trace_.next(next_); }
  RepeatingTrace trace_;
  TraceRecord next_;
  bool there_ = false;
};

}  // namespace

std::unique_ptr<RequestSource> open_source(const OpenLoop& arrivals, std::unique_ptr<ShapeSource> shapes,
                                           const ClassSeed& seed) {
  return std::make_unique<OpenSource>(arrivals, std::move(shapes), seed);
}

std::unique_ptr<RequestSource> trace_source(const TraceTraffic& trace, const ClassSeed& seed) {
  return std::make_unique<TraceSource>(trace, seed);
}

}  // namespace flopcast
