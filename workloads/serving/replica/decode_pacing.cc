#include "workloads/serving/replica/decode_pacing.h"

#include <algorithm>

namespace flopcast {
namespace {

/// Longest span: sums over it stay far from the end of 64 bits.
constexpr std::int64_t kLongestSpan = 1 << 15;

}  // namespace

DecodePacing::DecodePacing(const Groups& groups, const TokenPattern& pattern, ReplicaState& state, GapHistogram& gaps)
    : groups_(&groups), pattern_(pattern), state_(&state), gaps_(&gaps) {}

void DecodePacing::find_pace(IterationPricer& pricer) {
  if (!state_->batch_changed) return;
  state_->batch_changed = false;
  std::size_t fullest = 0, longest = 0;
  const std::vector<std::int64_t>&decoding = state_->groups.decoding, &base = state_->groups.kv_base;
  const std::int64_t given = pattern_.tokens(state_->iteration);
  const auto kv = [&](std::size_t i) { return base[i] + decoding[i] * given; };
  std::int64_t most = kv(0);
  for (std::size_t i = 1; i < decoding.size(); ++i) {
    if (decoding[i] > decoding[fullest]) fullest = i;
    if (kv(i) <= most) continue;
    longest = i;
    most = kv(i);
  }
  group_ = fullest;
  take_curve({&pricer, batch().size(), state_->drafts});
  const DecodeBatch& other = (*groups_)[longest].decode();
  if (longest == fullest || other.empty()) return;
  const DecodeCurve& curve = pricer.decode(other.size(), state_->drafts);
  if (curve.at(other.kv()) <= iteration()) return;
  group_ = longest;
  take_curve({&pricer, other.size(), state_->drafts});
}

void DecodePacing::take_curve(const CurveKey& key) {
  curve_key_ = key;
  curve_ = key.pricer == nullptr ? nullptr : &key.pricer->decode(key.batch, key.drafts);
}

void archive_pricer(StateArchive& state, IterationPricer*& one, std::span<IterationPricer* const> pricers) {
  std::size_t place = static_cast<std::size_t>(std::find(pricers.begin(), pricers.end(), one) - pricers.begin());
  state(place);
  one = place < pricers.size() ? pricers[place] : nullptr;
}

void DecodePacing::archive(StateArchive& state, std::span<IterationPricer* const> pricers) {
  state(pattern_, group_, span_, last_tokens_);
  CurveKey key = curve_key_;
  archive_pricer(state, key.pricer, pricers);
  state(key.batch, key.drafts);
  if (state.reads()) take_curve(key);
}

std::int64_t DecodePacing::until_change() const {
  std::int64_t length = kLongestSpan;
  const std::vector<std::int64_t>& quiet_until = state_->groups.quiet_until;
  for (std::size_t i = 0; i < quiet_until.size(); ++i) {
    if (quiet_until[i] > state_->iteration) {
      length = std::min(length, quiet_until[i] - state_->iteration);
      continue;
    }
    const DecodeBatch& batch = (*groups_)[i].decode();
    if (!batch.empty()) length = batch.provided_for(std::min(length, batch.next_finish() - state_->iteration));
  }
  // No longer than the clock goes.
  const Ticks longest =
      std::max({Ticks{1}, iteration_ticks(0), iteration_ticks(std::max<std::int64_t>(1, length) - 1)});
  return std::clamp<std::int64_t>(length, 1, std::max<std::int64_t>(1, kLongestTicks / longest));
}

// ------------------------------------------------------------------------------------------------- the span

void DecodePacing::begin_decoding(Ticks now, std::int64_t iterations, Ticks wait) {
  span_.running = span_.decodes = true;
  span_.cut = false;
  span_.begin = now;
  span_.iterations = wait > 0 ? 1 : iterations;
  span_.end = later(after(span_.iterations), wait);
}

void DecodePacing::begin_prompts(Ticks now, Ticks duration, bool decodes, Ticks wait) {
  span_.running = span_.prompts = true;
  span_.decodes = decodes;
  span_.cut = false;
  span_.begin = now;
  span_.iterations = 1;
  span_.end = later(later(now, duration), wait);
}

std::int64_t DecodePacing::passed(Ticks now) const {
  if (!span_.running || !span_.decodes || span_.iterations <= 1) return 0;
  std::int64_t low = 0, high = span_.iterations;
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (after(middle) < now ? low : high) = middle;
  }
  return low;
}

void DecodePacing::heed(Ticks now) {
  if (!span_.running) return;
  span_.cut = true;
  if (span_.iterations <= 1) return;
  std::int64_t low = 0, high = span_.iterations;  // the boundary lies in (low, high]
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (after(middle) >= now ? high : low) = middle;
  }
  span_.iterations = high;
  span_.end = after(high);
}

bool DecodePacing::keep_passed(Ticks now) {
  const std::int64_t over = passed(now);
  if (over == 0) return false;
  span_.iterations = over;
  span_.end = after(over);
  return true;
}

// ------------------------------------------------------------------------------------------------- gaps between tokens

void DecodePacing::note_gaps(Ticks now) {
  const std::int64_t n = span_.iterations, requests = state_->load.decoding;
  if (n > 1) {
    note_gaps_between(1, n - 1, requests);
    now = span_.begin + iteration_ticks(0);
  }
  // Requests that were here before may have waited for prompts; those that came since have not.
  const std::int64_t tokens = pattern_.tokens(state_->iteration, 1);
  const std::int64_t waited = std::max<std::int64_t>(0, requests - state_->joined);
  const auto note = [&](Ticks gap, std::int64_t count) {
    if (count > 0) gaps_->add(gap / tokens, count * tokens, WideTicks{gap} * count);
  };
  note(last_tokens_ > 0 ? now - last_tokens_ : now - span_.begin, waited);
  note(now - span_.begin, requests - waited);
  state_->joined = 0;
  last_tokens_ = n > 1 ? span_.end : now;
}

/// Gaps of iterations [from, from + n) of the span: as many at once as fall into one bin of the histogram.
void DecodePacing::note_gaps_between(std::int64_t from, std::int64_t n, std::int64_t requests) {
  if (n <= 0) return;
  if (pattern_.plain()) {
    const Ticks first = iteration_ticks(from), last = iteration_ticks(from + n - 1);
    if (n == 1 || GapHistogram::bin(first) == GapHistogram::bin(last)) {
      const Ticks total = curve_->sum(batch().kv() + batch().size() * from, n, pattern_, state_->iteration + from);
      gaps_->add(first, n * requests, WideTicks{total} * requests);
      return;
    }
    note_gaps_between(from, n / 2, requests);
    note_gaps_between(from + n / 2, n - n / 2, requests);
    return;
  }
  for (std::int64_t i = from; i < from + n; ++i) {
    const std::int64_t tokens = pattern_.tokens(state_->iteration + i, 1);
    const Ticks gap = iteration_ticks(i);
    gaps_->add(gap / tokens, requests * tokens, WideTicks{gap} * requests);
  }
}

}  // namespace flopcast
