// How long prompts and answers are: draws of their own streams, correlated within a group, cut at a maximum.
#pragma once
#include <cstdint>
#include <vector>

#include "sim/base/random.h"
#include "workloads/rl/rl.h"

namespace flopcast {

/// A length by its place among all of its kind (a quantile function), cut at both ends and scaled so that the mean of
/// what is left is the one that was stated.
class LengthCurve {
 public:
  /// @pre least <= mean <= most.
  explicit LengthCurve(const TokenLengths& lengths);
  /// @param place in (0, 1). Whole tokens, at least 1.
  std::int32_t at(double place) const;
  double mean() const;
  /// Mean length of the sequence that a token is in: sum of squares over sum. What attention costs depends on it.
  double token_mean() const;

 private:
  double uncut(double place) const;
  TokenLengths lengths_;
  std::vector<double> up_to_;  // of the histogram's bins, the last is 1
  double scale_ = 1;
};

/// One prompt and its answers.
struct DrawnGroup {
  std::int32_t prompt = 1;
  std::vector<std::int32_t> answers;
};

/// Groups one after the other, step by step. The places of a step's groups are spread evenly over (0, 1) and shuffled:
/// a step has its share of hard prompts, as a large data set would give on average.
class GroupSource {
 public:
  GroupSource(const RlConfig& config, std::uint64_t seed);
  DrawnGroup draw();
  const LengthCurve& answers() const { return answer_; }
  const LengthCurve& prompts() const { return prompt_; }

 private:
  void shuffle();
  int group_;
  double correlation_;
  LengthCurve prompt_, answer_;
  RandomStream shuffles_, places_, prompts_;
  std::vector<double> scores_;  // of the groups of a step, still to be drawn
  std::size_t next_ = 0;
};

}  // namespace flopcast
