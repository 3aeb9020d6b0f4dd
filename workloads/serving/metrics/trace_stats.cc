#include "workloads/serving/metrics/trace_stats.h"

#include <algorithm>
#include <cmath>

#include "sim/base/diagnostic.h"
#include "sim/base/random.h"

namespace flopcast {
namespace {

constexpr double kMinute = 60.0;

std::uint64_t mixed(std::uint64_t id) { return RandomStream(id).next(); }

}  // namespace

void BlockReuse::see(std::uint64_t id) {
  if (sampled() && mixed(id) > limit_) return;
  const double stands_for = 0x1p64 / (static_cast<double>(limit_) + 1.0);
  seen_ += stands_for;
  if (index_.find(id) != BlockIndex::kNone) {
    reused_ += stands_for;
    return;
  }
  index_.insert(id, 0);
  kept_.push_back(id);
  if (kept_.size() > kMost) halve();
}

void BlockReuse::halve() {
  limit_ /= 2;
  std::erase_if(kept_, [&](std::uint64_t id) { return mixed(id) > limit_; });
  index_ = {};
  for (const std::uint64_t id : kept_) index_.insert(id, 0);
}

double BlockReuse::distinct() const {
  return static_cast<double>(kept_.size()) * (0x1p64 / (static_cast<double>(limit_) + 1.0));
}

double BlockReuse::reused_share() const { return seen_ > 0 ? reused_ / seen_ : 0.0; }

void ArrivalStats::end_minute() {
  const auto requests = static_cast<double>(in_minute_);
  minute_sum_ += requests;
  minute_squares_ += requests * requests;
  ++minutes_;
  in_minute_ = 0;
}

void ArrivalStats::add(Seconds at) {
  if (count_++ == 0) first_ = last_ = at;
  const double gap = (at - last_).value();
  gap_squares_ += gap * gap;
  last_ = at;
  const auto minute = static_cast<std::int64_t>((at - first_).value() / kMinute);
  if (minute_ < minute) {
    end_minute();
    // Minutes without a request, however many, add nothing to either sum.
    minutes_ += static_cast<std::uint64_t>(minute - minute_ - 1);
    minute_ = minute;
  }
  peak_ = std::max(peak_, ++in_minute_);
}

double ArrivalStats::gap_cv() const {
  if (count_ < 3 || duration() == Seconds(0)) return 0.0;
  const auto gaps = static_cast<double>(count_ - 1);
  const double mean = duration().value() / gaps;
  return std::sqrt(std::max(0.0, gap_squares_ / gaps - mean * mean)) / mean;
}

double ArrivalStats::minute_dispersion() const {
  if (minutes_ < 2 || minute_sum_ == 0) return 0.0;
  const auto minutes = static_cast<double>(minutes_);
  const double mean = minute_sum_ / minutes;
  return (minute_squares_ - minutes * mean * mean) / (minutes - 1) / mean;
}

Hertz TraceStats::mean_rate() const {
  const Seconds duration = arrivals.duration();
  return duration > Seconds(0) ? static_cast<double>(requests - waiting - 1) / duration : Hertz(0);
}

double TraceStats::hit_bound() const {
  const double in_blocks = static_cast<double>(blocks) * format->block_tokens;
  return input.sum() > 0 ? reuse.reused_share() * in_blocks / input.sum() : 0.0;
}

TraceStats trace_stats(const TraceOptions& options) {
  TraceReader reader(options);
  TraceFaults faults(options.path);
  TraceStats stats;
  stats.format = reader.shared_format();
  stats.evidence = reader.evidence();
  for (TraceRecord record; reader.next(record, faults);) {
    ++stats.requests;
    if (reader.has_times() && !record.waits) stats.arrivals.add(record.at);
    stats.turns += record.session != 0 ? 1 : 0;
    stats.waiting += record.waits ? 1 : 0;
    stats.input.add(record.input_tokens);
    stats.output.add(record.output_tokens);
    stats.context.add(static_cast<double>(record.input_tokens) + record.output_tokens);
    record.blocks.visit_while([&](std::uint64_t id) {
      ++stats.blocks;
      stats.reuse.see(id);
      return true;
    });
  }
  stats.sessions = reader.sessions();
  stats.failed = reader.failed();
  faults.throw_if_any();
  if (stats.requests == 0) {
    throw InputError(Diagnostic{.file = options.path, .found = "no request", .expected = "at least one"});
  }
  return stats;
}

}  // namespace flopcast
