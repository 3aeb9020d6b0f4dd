#include "workloads/serving/metrics/metrics.h"

#include <cassert>
#include <utility>

namespace flopcast {
namespace {

void count(TokenCount& counter, std::int32_t input_tokens) {
  ++counter.requests;
  counter.input_tokens += input_tokens;
}

void add(TokenCount& sum, const TokenCount& more) {
  sum.requests += more.requests;
  sum.input_tokens += more.input_tokens;
}

void record_latencies(ClassMetrics& metrics, const RequestResult& result) {
  metrics.queueing.add(result.queueing().value());
  metrics.ttft.add(result.ttft().value());
  metrics.engine_ttft.add(result.engine_ttft().value());
  metrics.end_to_end.add(result.end_to_end().value());
  if (result.has_tpot()) metrics.tpot.add(result.tpot().value());
}

}  // namespace

bool meets(const RequestResult& result, const ServiceLevel& promised) {
  return result.outcome == RequestOutcome::completed && result.ttft() <= promised.ttft &&
         result.end_to_end() <= promised.end_to_end && (!result.has_tpot() || result.tpot() <= promised.tpot);
}

double ClassMetrics::slo_attainment() const {
  return left() == 0 ? 1.0 : static_cast<double>(within_slo) / static_cast<double>(left());
}

Hertz ClassMetrics::goodput(Seconds duration) const {
  return duration > Seconds(0) ? static_cast<double>(within_slo) / duration : Hertz(0);
}

bool ClassMetrics::balanced() const {
  TokenCount sum = completed;
  add(sum, rejected);
  add(sum, lost);
  add(sum, expired);
  return sum == arrived && cached_tokens <= completed.input_tokens;
}

void ClassMetrics::merge(const ClassMetrics& other) {
  add(arrived, other.arrived);
  add(completed, other.completed);
  add(rejected, other.rejected);
  add(lost, other.lost);
  add(expired, other.expired);
  cached_tokens += other.cached_tokens;
  output_tokens += other.output_tokens;
  within_slo += other.within_slo;
  ttft.merge(other.ttft);
  engine_ttft.merge(other.engine_ttft);
  tpot.merge(other.tpot);
  inter_token.merge(other.inter_token);
  end_to_end.merge(other.end_to_end);
  queueing.merge(other.queueing);
}

ServingMetrics::ServingMetrics(std::vector<ServiceLevel> levels)
    : levels_(std::move(levels)), classes_(levels_.size()) {}

void ServingMetrics::arrived(const Request& request) {
  count(classes_.at(request.request_class).arrived, request.input_tokens);
}

void ServingMetrics::finished(const RequestResult& result) {
  ClassMetrics& metrics = classes_.at(result.request_class);
  switch (result.outcome) {
    case RequestOutcome::rejected:
      count(metrics.rejected, result.input_tokens);
      return;
    case RequestOutcome::lost:
      count(metrics.lost, result.input_tokens);
      return;
    case RequestOutcome::expired:
      count(metrics.expired, result.input_tokens);
      return;
    case RequestOutcome::completed:
      break;
  }
  count(metrics.completed, result.input_tokens);
  metrics.cached_tokens += result.cached_tokens;
  metrics.output_tokens += result.output_tokens;
  record_latencies(metrics, result);
  if (meets(result, levels_[result.request_class])) ++metrics.within_slo;
}

void ServingMetrics::inter_token(std::uint16_t request_class, Seconds gap, std::uint64_t count) {
  classes_.at(request_class).inter_token.add(gap.value(), count);
}

ClassMetrics ServingMetrics::all() const {
  ClassMetrics sum;
  for (const ClassMetrics& metrics : classes_) sum.merge(metrics);
  return sum;
}

void ServingMetrics::merge(const ServingMetrics& other) {
  assert(classes_.size() == other.classes_.size());
  for (std::size_t i = 0; i < classes_.size(); ++i) classes_[i].merge(other.classes_[i]);
}

}  // namespace flopcast
