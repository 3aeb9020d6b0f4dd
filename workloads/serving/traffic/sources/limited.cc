// A client that has a limited number of requests under way.
#include <algorithm>
#include <utility>

#include "workloads/serving/traffic/sources/sources.h"

namespace flopcast {
namespace {

class LimitedSource final : public RequestSource {
 public:
  LimitedSource(std::unique_ptr<RequestSource> inner, std::int32_t most) : inner_(std::move(inner)), most_(most) {}
  Seconds next_arrival() const override {
    return under_way_ < most_ ? std::max(inner_->next_arrival(), free_since_) : kNever;
  }
  Request take() override {
    Request request = inner_->take();
    request.arrival = std::max(request.arrival, free_since_);
    ++under_way_;
    return request;
  }
  void finished(const Request& request, Seconds when, RequestOutcome outcome) override {
    if (under_way_-- == most_) free_since_ = when;
    inner_->finished(request, when, outcome);
  }
  int prefix_block_tokens() const override { return inner_->prefix_block_tokens(); }
  bool archive(StateArchive& state) override {
    state(under_way_, free_since_);
    return inner_->archive(state);
  }

 private:
  std::unique_ptr<RequestSource> inner_;
  std::int32_t most_, under_way_ = 0;
  Seconds free_since_;  // of the last time that all places were taken
};

}  // namespace

std::unique_ptr<RequestSource> limited_source(std::unique_ptr<RequestSource> inner, std::int32_t most) {
  return std::make_unique<LimitedSource>(std::move(inner), most);
}

}  // namespace flopcast
