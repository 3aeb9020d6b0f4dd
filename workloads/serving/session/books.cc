#include "workloads/serving/session/books.h"

#include <algorithm>

namespace flopcast {

void RequestBooks::arrived(const Request& request) {
  const Ticks arrival = to_ticks(request.arrival);
  metrics_.arrived(request);
  if (first_arrival_ < 0) first_arrival_ = arrival;
  ++requests_;
  ++live_;
  Company& company = company_[request.request_class];
  if (company.at != arrival) {
    if (company.at > first_arrival_) company.end();
    company.here = 0;
    company.at = arrival;
  }
  ++company.here;
}

void RequestBooks::left(const RequestResult& result, Ticks arrival, Ticks shown) {
  metrics_.finished(result);
  last_event_ = std::max(last_event_, shown);
  sojourns_ += shown - arrival;
  --live_;
}

void RequestBooks::in_vain(const Request& request, std::int32_t generated) {
  wasted_.answers += generated;
  if (generated > 0) wasted_.prompts += request.input_tokens;
}

void RequestBooks::retried(std::int32_t computed) {
  ++retried_;
  retried_tokens_ += computed;
}

void RequestBooks::add_to(SessionTotals& totals) const {
  totals.metrics = metrics_;
  totals.begin = to_seconds(std::max<Ticks>(0, first_arrival_));
  totals.end = to_seconds(last_event_);
  totals.counted_from = to_seconds(std::max<Ticks>(0, counted_from()));
  totals.counted_to = to_seconds(counted_to());
  totals.retried = retried_;
  totals.retried_tokens = retried_tokens_;
  totals.in_system = in_system_;
  totals.sojourns = sojourns_;
  totals.too_long = too_long_;
  totals.live = live_;
  for (Company company : company_) {
    company.end();
    totals.together.push_back(
        company.requests > 0 ? static_cast<double>(company.sum_of_squares) / static_cast<double>(company.requests) : 0);
  }
}

}  // namespace flopcast
