// Source: deepseek-ai/DualPipe (commit 3da1bbe, 2025-03): README.md and the step comments of its two
// programs. B is a full backward, BI the gradient of the input only, W a weight gradient put off; [F B] is an
// overlapped pair.
#include "workloads/schedules/dualpipe_order.h"

namespace flopcast {
namespace {

class Steps {
 public:
  Steps(RankOrder& order, const DualPipeRank& rank)
      : order_(order),
        near_(rank.near),
        far_(rank.far),
        k_(rank.distance),
        to_middle_(rank.half - rank.distance - 1),
        main_repeats_(rank.micro_batches - 2 * rank.half + rank.distance + 1) {}

  void append() {
    fill_near();
    fill_both();
    first_far_backwards();
    main_phase();
    drain_near_forwards();
    drain_both();
    drain_near_backwards();
    drain_weights();
  }

 private:
  bool middle() const { return to_middle_ == 0; }

  void fill_near() {  // step 1: 2(half-k-1) x F(near)
    for (int i = 0; i < 2 * to_middle_; ++i) order_.forward(near_);
  }

  void fill_both() {  // step 2: (k+1) x F(near) F(far)
    for (int i = 0; i <= k_; ++i) {
      order_.forward(near_);
      order_.forward(far_);
    }
  }

  void first_far_backwards() {  // step 3: (half-k-1) x BI(far) W F(far)
    for (int i = 0; i < to_middle_; ++i) {
      order_.backward_input(far_);
      order_.backward_weight();
      order_.forward(far_);
    }
  }

  void main_phase() {  // step 4: (m-2half+k+1) x [F(near) B(far)] [F(far) B(near)]
    for (int i = 0; i < main_repeats_; ++i) {
      if (i == 0 && middle()) {
        // The middle rank feeds itself: its first backward waits for a forward that has only just left.
        order_.forward(near_);
        order_.backward(far_);
      } else {
        order_.overlapped(near_, far_);
      }
      order_.overlapped(far_, near_);
    }
  }

  void drain_near_forwards() {  // step 5: (half-k-1) x B(far) [F(far) B(near)]
    for (int i = 0; i < to_middle_; ++i) {
      order_.backward(far_);
      order_.overlapped(far_, near_);
    }
  }

  void drain_both() {                // step 6: (k+1) x B(far) B(near), input gradients only in the later half
    const int first_split = k_ + 1;  // counted in single backwards: two per repeat
    for (int i = 0; i < 2 * (k_ + 1); ++i) {
      const int chunk = i % 2 == 0 ? far_ : near_;
      if (i < first_split) {
        order_.backward(chunk);
      } else {
        order_.backward_input(chunk);
      }
    }
  }

  void drain_near_backwards() {  // step 7: (half-k-1) x W BI(near)
    for (int i = 0; i < to_middle_; ++i) {
      order_.backward_weight();
      order_.backward_input(near_);
    }
  }

  void drain_weights() {  // step 8: (k+1) x W
    for (int i = 0; i <= k_; ++i) order_.backward_weight();
  }

  RankOrder& order_;
  int near_, far_;
  int k_;
  int to_middle_;
  int main_repeats_;
};

}  // namespace

void append_dualpipe_order(RankOrder& order, const DualPipeRank& rank) { Steps(order, rank).append(); }

}  // namespace flopcast
