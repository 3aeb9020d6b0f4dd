// A schedule made ready to be walked many times: its passes in an order in which they can run, each with the passes it
// waits for, so that a walk is one run through an array.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "workloads/schedules/schedule.h"
#include "workloads/training/estimate/pass_profile.h"

namespace flopcast {

struct SchedulePattern {
  static constexpr std::uint32_t kNone = 0xffffffff;
  /// A pass: what it waits for, by position in `passes`.
  struct Step {
    std::uint32_t activations = kNone, gradients = kNone;  ///< the passes that send them
    std::uint16_t rank = 0;
    std::uint16_t form = 0;                                     ///< into `forms`
    bool activations_travel = false, gradients_travel = false;  ///< from another rank
    bool gathers = false;                                       ///< first forward of its chunk
    bool reduces = false;                                       ///< last weight gradient of its chunk
    std::uint32_t first_wait = 0, waits = 0;  ///< into `waits`: messages for which its rank stops before it
  };
  /// Passes that take the same time: of a kind, on a rank, through the same chunks.
  struct Form {
    PassKind kind = PassKind::forward;
    PassProfiles::At at = PassProfiles::At::midst;
    std::uint16_t rank = 0, chunk = 0, backward_chunk = 0;
    int times = 0;  ///< in the pattern
    bool operator==(const Form& o) const {
      return kind == o.kind && at == o.at && rank == o.rank && chunk == o.chunk && backward_chunk == o.backward_chunk;
    }
  };
  /// A message for which both of its ranks stop: the pass that makes it, and the one after which the other rank is
  /// there.
  struct Wait {
    std::uint32_t made_by = kNone, there = kNone;
    bool activations = false;
  };
  int ranks = 0, stages = 0, micro_batches = 0;
  bool two_copies = false;
  bool overlaps = false;       ///< some passes are forward and backward of two micro-batches at once
  bool weights_later = false;  ///< some weight gradients are passes of their own
  int chunks = 1;              ///< that were asked for
  StageGroups groups;
  int groups_number = 0;  ///< the same for patterns of a library with equal groups
  std::vector<std::vector<int>> stage_of;
  std::vector<Step> steps;  ///< these, waits and forms: for who walks
  std::vector<Wait> waits;
  std::vector<Form> forms;
  /// held[rank]: activations held at once by chunk, in every constellation that no other exceeds.
  std::vector<std::vector<std::vector<int>>> held;
  /// Of the chunk that holds fewest, in the constellation where those are most: [rank].
  std::vector<int> least_held;
};
/// All but its steps, which take longest to find and most plans are never asked for.
SchedulePattern outline_of(const Schedule& schedule);
/// @param blocking ranks stop for messages (pipeline_meetings.h).
void add_steps(SchedulePattern& pattern, const Schedule& schedule, bool blocking);

/// A schedule of any number of micro-batches. Of many, a few are walked: the rest of the steady state repeats.
struct PatternPair {
  std::shared_ptr<SchedulePattern> pattern;
  std::shared_ptr<SchedulePattern> shorter;  ///< null: `pattern` is the whole schedule
  double repeats = 0;                        ///< how often the difference of the two comes on top of `pattern`
};

class PatternLibrary {
 public:
  /// The rows of schedules() by their place in the table; kOwnOrder: the order of the configuration's own file.
  static constexpr int kOwnOrder = -1;
  /// Null `pattern`: the schedule cannot serve so many ranks, micro-batches or chunks. Patterns may have no steps yet.
  const PatternPair& get(int schedule, const ScheduleRequest& request);
  /// To be walked, of such a schedule.
  const SchedulePattern& with_steps(int schedule, SchedulePattern& pattern);
  /// All of it, however long.
  SchedulePattern whole(int schedule, const ScheduleRequest& request);
  /// The text of an order of the user's own.
  void set_own_order(std::string text, std::string file);
  /// Rounds of a step (BatchConfig::rounds), whether ranks stop for messages. Before the first pattern.
  void set_habits(int rounds, bool blocking) {
    rounds_ = rounds;
    blocking_ = blocking;
  }

 private:
  /// Of one round.
  ScheduleRequest of_round(ScheduleRequest request) const;
  std::shared_ptr<SchedulePattern> build(int schedule, const ScheduleRequest& request);
  Schedule schedule_of(int schedule, const ScheduleRequest& request) const;
  SchedulePattern outline(int schedule, const ScheduleRequest& request);
  std::string own_text_, own_file_;
  int rounds_ = 1;
  bool blocking_ = false;
  std::map<StageGroups, int> groups_;  // numbered as they come
  std::map<std::tuple<int, int, int, int>, PatternPair> pairs_;
  std::map<std::tuple<int, int, int, int>, std::shared_ptr<SchedulePattern>> built_;
};

/// Where a walk ends.
struct Walked {
  Seconds end;  ///< of the last pass and of the collectives beside passes
  /// Of the rank that computes most, when asked for: its passes, and what it waits for between them.
  int busiest = 0;
  Seconds busy, exchanged, idle_in_passes, waits_for_tokens, waits_for_others, collectives_after;
};

/// Memory that walks use again and again.
struct WalkScratch {
  std::vector<Seconds> forward_ready, backward_ready, ended;                  // by step
  std::vector<Seconds> compute, communication, gradients, parameters, ports;  // by rank
  std::vector<Walked> parts;                                                  // by rank
};

/// @param profile_of_form [form] into `profiles`.
/// @param detailed fills everything of the result, not only the end.
Walked walk(const SchedulePattern& pattern, std::span<const std::uint16_t> profile_of_form,
            std::span<const PassProfile> profiles, Seconds message, WalkScratch& scratch, bool detailed = false);

}  // namespace flopcast
