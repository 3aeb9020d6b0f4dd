// What the files of this folder build schedules from.
#pragma once
#include <deque>
#include <vector>

#include "workloads/schedules/schedule.h"

namespace flopcast {

/// The order of one rank while it is written down. Each chunk meets its micro-batches in ascending order,
/// forward and backward, so a schedule only says *what comes next*; weight gradients put off are worked off
/// first in, first out.
class RankOrder {
 public:
  /// @param first_micro_batch [chunk]: the first micro-batch that the chunk meets.
  explicit RankOrder(std::vector<int> first_micro_batch)
      : next_forward_(first_micro_batch), next_backward_(std::move(first_micro_batch)) {}
  static RankOrder with_chunks(int chunks) { return RankOrder(std::vector<int>(chunks, 0)); }

  void forward(int chunk) { add(PassKind::forward, chunk, next_forward_[chunk]++); }
  void backward(int chunk) { add(PassKind::backward, chunk, next_backward_[chunk]++); }
  void backward_input(int chunk);  ///< its weight gradient joins the queue
  void backward_weight();          ///< the one that has waited longest
  void overlapped(int forward_chunk, int backward_chunk);
  bool weights_waiting() const { return !weight_queue_.empty(); }

  std::vector<Pass> take() && { return std::move(passes_); }

 private:
  void add(PassKind kind, int chunk, int micro_batch);

  std::vector<Pass> passes_;
  std::vector<int> next_forward_, next_backward_;
  std::deque<Pass> weight_queue_;
};

/// Micro-batches go through a rank's chunks in groups of P, backwards the other way round: `warm_up` forwards, then a
/// forward and a backward in turn (or `paired` as one overlapped pass), then the backwards that are left.
std::vector<Pass> round_robin_order(const ScheduleRequest& request, int warm_up, bool paired);

/// Zero bubble with one chunk per rank: `depth` (P - rank - 1) forwards, then a forward and a backward in turn with
/// weight gradients put off by `depth` x rank micro-batches, then those that are left.
std::vector<Pass> zero_bubble_order(const ScheduleRequest& request, int rank, int depth);

/// A schedule without an order yet: chunk c of rank r holds stage `stage(ranks, r, c)`; every rank promises
/// `peak` stage-activations until the schedule says better.
Schedule lay_out(std::string_view name, const ScheduleRequest& request, int chunks,
                 int (*stage)(int ranks, int rank, int chunk), int peak);

/// Chunk c of rank r holds stage c P + r: the pipeline goes round.
int round_robin_stage(int ranks, int rank, int chunk);
/// Chunk 0 of rank r holds stage r, chunk 1 holds stage 2P-1-r: the pipeline goes down and comes back up.
int v_stage(int ranks, int rank, int chunk);

/// What is wrong with a request whatever the schedule: sizes below one, or so large that an order could not
/// be held.
/// @param chunks what the schedule puts on each rank.
std::vector<Diagnostic> check_sizes(const ScheduleRequest& request, int chunks);
/// The same for schedules with a fixed number of chunks, which the user may leave at 1 or state.
std::vector<Diagnostic> check_fixed_chunks(const ScheduleRequest& request, int chunks);

/// What is wrong where micro-batches have to go through the ranks in whole groups of them; nothing when they
/// do.
std::vector<Diagnostic> check_whole_groups(const ScheduleRequest& request);

Diagnostic wrong_ranks(const ScheduleRequest& request, std::string expected, std::string remedy);
/// @param wanted micro-batches that would do; not offered when no schedule takes that many.
Diagnostic wrong_micro_batches(const ScheduleRequest& request, std::string expected, int wanted);

/// Sizes beyond which a request is taken for a slip: an order of this many passes takes 160 MB.
inline constexpr int kMostRanks = 4096;
inline constexpr int kMostMicroBatches = 65535;  // Pass::micro_batch has 16 bits
inline constexpr int kMostChunks = 64;
inline constexpr long kMostCells = 4'000'000;  // (stage, micro-batch) pairs; up to three passes each

}  // namespace flopcast
