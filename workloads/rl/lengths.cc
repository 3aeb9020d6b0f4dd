#include "workloads/rl/lengths.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/base/normal.h"
#include "workloads/rl/random_use.h"

namespace flopcast {
namespace {

constexpr int kPlaces = 4096;  // at which a curve is looked at for its mean

double place_of_score(double score) {
  constexpr double kEdge = 1e-12;  // keeps quantiles finite
  return std::clamp(normal_share_below(score), kEdge, 1 - kEdge);
}

}  // namespace

LengthCurve::LengthCurve(const TokenLengths& lengths) : lengths_(lengths) {
  double sum = 0;
  for (const double count : lengths.counts) up_to_.push_back(sum += count);
  for (double& share : up_to_) share /= sum;
  if (lengths_.shape == LengthShape::fixed) return;
  // The mean after the cut grows with the scale, up to `most`.
  double low = 0, high = 1;
  const auto mean_at = [&](double scale) {
    scale_ = scale;
    return mean();
  };
  while (mean_at(high) < lengths_.mean && high < 1e9) high *= 2;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (mean_at(middle) < lengths_.mean ? low : high) = middle;
  }
  scale_ = (low + high) / 2;
}

/// For a mean of `lengths_.mean` before the cut; any scale where the shape is a histogram.
double LengthCurve::uncut(double place) const {
  const double mean = lengths_.mean;
  switch (lengths_.shape) {
    case LengthShape::fixed:
      return mean;
    case LengthShape::uniform:
      return mean * (1 + lengths_.variation * (2 * place - 1));
    case LengthShape::exponential:
      return -mean * std::log1p(-place);
    case LengthShape::log_normal: {
      const double variance = std::log1p(lengths_.variation * lengths_.variation);
      return mean * std::exp(std::sqrt(variance) * normal_quantile(place) - variance / 2);
    }
    case LengthShape::histogram: {
      const auto bin = std::min(std::upper_bound(up_to_.begin(), up_to_.end(), place), up_to_.end() - 1);
      const double before = bin == up_to_.begin() ? 0 : *(bin - 1);
      const double within = *bin > before ? (place - before) / (*bin - before) : 0.5;
      return mean * (static_cast<double>(bin - up_to_.begin()) + within) / static_cast<double>(up_to_.size());
    }
  }
  return mean;
}

std::int32_t LengthCurve::at(double place) const {
  const double length = std::clamp(scale_ * uncut(place), lengths_.least, lengths_.most);
  return std::max<std::int32_t>(1, static_cast<std::int32_t>(std::llround(length)));
}

double LengthCurve::mean() const {
  double sum = 0;
  for (int i = 0; i < kPlaces; ++i)
    sum += std::clamp(scale_ * uncut((i + 0.5) / kPlaces), lengths_.least, lengths_.most);
  return sum / kPlaces;
}

double LengthCurve::token_mean() const {
  double sum = 0, squares = 0;
  for (int i = 0; i < kPlaces; ++i) {
    const double length = at((i + 0.5) / kPlaces);
    sum += length;
    squares += length * length;
  }
  return squares / sum;
}

GroupSource::GroupSource(const RlConfig& config, std::uint64_t seed)
    : group_(config.group),
      correlation_(config.answer.group_correlation),
      prompt_(config.prompt),
      answer_(config.answer),
      shuffles_(random_stream(seed, LoopRandom::shuffles)),
      places_(random_stream(seed, LoopRandom::places)),
      prompts_(random_stream(seed, LoopRandom::prompts)) {
  for (int i = 0; i < config.prompts; ++i) scores_.push_back(normal_quantile((i + 0.5) / config.prompts));
  shuffle();
}

void GroupSource::shuffle() {
  for (std::size_t i = scores_.size(); i > 1; --i)
    std::swap(scores_[i - 1], scores_[static_cast<std::size_t>(shuffles_.uniform() * static_cast<double>(i))]);
  next_ = 0;
}

DrawnGroup GroupSource::draw() {
  if (next_ == scores_.size()) shuffle();
  const double shared = std::sqrt(correlation_) * scores_[next_++], own = std::sqrt(1 - correlation_);
  DrawnGroup group;
  group.prompt = prompt_.at(place_of_score(prompts_.normal()));
  // A group of one has nothing beside it to be correlated with: its place is the group's.
  if (group_ == 1) {
    group.answers.push_back(answer_.at(place_of_score(scores_[next_ - 1])));
    return group;
  }
  for (int i = 0; i < group_; ++i) group.answers.push_back(answer_.at(place_of_score(shared + own * places_.normal())));
  return group;
}

}  // namespace flopcast
