// A fixed number of users, each waiting for its answer before it asks again.
#include <utility>

#include "workloads/serving/traffic/sources/ready_queue.h"
#include "workloads/serving/traffic/sources/sources.h"

namespace flopcast {
namespace {

class ClosedSource final : public RequestSource {
 public:
  ClosedSource(const ClosedLoop& loop, std::unique_ptr<ShapeSource> shapes, const ClassSeed& seed)
      : think_(loop.think), shapes_(std::move(shapes)), random_(seed.stream(ClassSeed::thinking)) {
    for (std::int32_t user = 0; user < loop.users; ++user)
      think(loop.ramp * (static_cast<double>(user) / loop.users), static_cast<std::uint32_t>(user) + 1);
  }
  Seconds next_arrival() const override { return ready_.next(); }
  Request take() override {
    const ReadyQueue::Entry entry = ready_.take();
    TraceRecord record;
    shapes_->next(record);
    Request request;
    request.arrival = entry.at;
    request.input_tokens = record.input_tokens;
    request.output_tokens = record.output_tokens;
    request.session = entry.who;
    request.prefix = std::move(record.blocks);
    return request;
  }
  void finished(const Request& request, Seconds when, RequestOutcome) override { think(when, request.session); }
  int prefix_block_tokens() const override { return shapes_->block_tokens(); }
  bool archive(StateArchive& state) override {
    state(*shapes_, random_, ready_);
    return true;
  }

 private:
  void think(Seconds from, std::uint32_t user) { ready_.add(from + Seconds(think_.draw(random_)), user); }
  RandomNumber think_;
  std::unique_ptr<ShapeSource> shapes_;
  RandomStream random_;
  ReadyQueue ready_;
};

}  // namespace

std::unique_ptr<RequestSource> closed_source(const ClosedLoop& users, std::unique_ptr<ShapeSource> shapes,
                                             const ClassSeed& seed) {
  return std::make_unique<ClosedSource>(users, std::move(shapes), seed);
}

}  // namespace flopcast
