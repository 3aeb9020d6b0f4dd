// What holds for every schedule, whoever wrote it: where stages are, what an order must obey, what it holds
// in memory.
#include "workloads/schedules/schedule.h"

#include <algorithm>
#include <cassert>

#include "workloads/schedules/schedule_timing.h"
#include "workloads/schedules/schedule_violations.h"

namespace flopcast {

std::string_view name(PassKind kind) {
  switch (kind) {
    case PassKind::forward:
      return "F";
    case PassKind::backward:
      return "B";
    case PassKind::backward_input:
      return "I";
    case PassKind::backward_weight:
      return "W";
    case PassKind::overlapped:
      return "F&B";
  }
  return "?";
}

std::vector<Schedule::Location> Schedule::path(int direction) const {
  constexpr Location kNowhere{-1, -1};
  std::vector<std::vector<Location>> copies(stages);  // [stage], lower chunks first
  for (int rank = 0; rank < ranks; ++rank) {
    for (int chunk = 0; chunk < static_cast<int>(stage_of[rank].size()); ++chunk) {
      copies[stage_of[rank][chunk]].push_back({rank, chunk});
    }
  }
  std::vector<Location> path(stages, kNowhere);
  for (int stage = 0; stage < stages; ++stage) {
    auto& places = copies[stage];
    if (places.empty()) continue;
    std::ranges::stable_sort(places, {}, &Location::chunk);
    path[stage] = places[std::min<std::size_t>(direction, places.size() - 1)];
  }
  return path;
}

Schedule::Location Schedule::locate(int stage, int micro_batch) const {
  assert(stage >= 0 && stage < stages);
  Location first{-1, -1}, second{-1, -1};
  for (int rank = 0; rank < ranks; ++rank) {
    for (int chunk = 0; chunk < static_cast<int>(stage_of[rank].size()); ++chunk) {
      if (stage_of[rank][chunk] != stage) continue;
      if (first.rank < 0) {
        first = {rank, chunk};
      } else {
        second = {rank, chunk};
      }
    }
  }
  if (second.rank < 0) return first;
  if (second.chunk < first.chunk) std::swap(first, second);
  return direction_of[micro_batch] == 0 ? first : second;
}

std::vector<int> peak_activations(const Schedule& schedule) {
  std::vector<int> peaks;
  for (const auto& order : schedule.order) {
    int held = 0, peak = 0;
    for (const Pass& pass : order) {
      if (pass.kind == PassKind::forward || pass.kind == PassKind::overlapped) ++held;
      peak = std::max(peak, held);
      if (pass.kind != PassKind::forward && pass.kind != PassKind::backward_input) --held;
    }
    peaks.push_back(peak);
  }
  return peaks;
}

namespace {

/// The parts a pass consists of: F, B and W of which stage and micro-batch.
enum Part : std::uint8_t { kForward = 1, kInputGradient = 2, kWeightGradient = 4 };

struct PassPart {
  std::uint8_t parts;
  int chunk;
  int micro_batch;
};

template <class Visit>
void for_each_part(const Pass& pass, Visit visit) {
  constexpr std::uint8_t kFullBackward = kInputGradient | kWeightGradient;
  switch (pass.kind) {
    case PassKind::forward:
      visit(PassPart{kForward, pass.chunk, pass.micro_batch});
      break;
    case PassKind::backward:
      visit(PassPart{kFullBackward, pass.chunk, pass.micro_batch});
      break;
    case PassKind::backward_input:
      visit(PassPart{kInputGradient, pass.chunk, pass.micro_batch});
      break;
    case PassKind::backward_weight:
      visit(PassPart{kWeightGradient, pass.chunk, pass.micro_batch});
      break;
    case PassKind::overlapped:
      visit(PassPart{kForward, pass.chunk, pass.micro_batch});
      visit(PassPart{kFullBackward, pass.backward_chunk, pass.backward_micro_batch});
      break;
  }
}

std::string describe(std::uint8_t parts, int stage, int micro_batch) {
  std::string letters;
  if (parts & kForward) letters += "F";
  if (parts & kInputGradient) letters += letters.empty() ? "B" : " and B";
  if (parts & kWeightGradient) letters += letters.empty() ? "W" : " and W";
  return letters + " of micro-batch " + std::to_string(micro_batch) + " on stage " + std::to_string(stage);
}

class Inspection {
 public:
  explicit Inspection(const Schedule& schedule) : schedule_(schedule) {}

  std::vector<Violation> inspect() && {
    check_shape();
    if (!violations_.empty()) return std::move(violations_);  // nothing below could be indexed safely
    check_places();
    if (!violations_.empty()) return std::move(violations_);
    check_once_each();
    check_executable();
    check_memory();
    return std::move(violations_);
  }

 private:
  void add(std::optional<PassPlace> place, std::string found, std::string expected, std::string suggestion = "") {
    if (violations_.size() >= kMostViolations) return;
    violations_.push_back({place,
                           {.file = {},
                            .field = "training.schedule",
                            .found = std::move(found),
                            .expected = std::move(expected),
                            .suggestion = std::move(suggestion)}});
  }

  void check_shape() {
    if (schedule_.ranks < 1 || schedule_.micro_batches < 1 || schedule_.stages < 1) {
      add({}, "an empty schedule", "at least one rank, stage and micro-batch");
      return;
    }
    const auto ranks = static_cast<std::size_t>(schedule_.ranks);
    if (schedule_.order.size() != ranks || schedule_.stage_of.size() != ranks) {
      add({}, "orders or stages for " + std::to_string(schedule_.order.size()) + " ranks", std::to_string(ranks));
    }
    if (schedule_.direction_of.size() != static_cast<std::size_t>(schedule_.micro_batches)) {
      add({}, "directions of " + std::to_string(schedule_.direction_of.size()) + " micro-batches",
          std::to_string(schedule_.micro_batches));
    }
    if (!violations_.empty()) return;
    check_stages_held();
    for (int rank = 0; rank < schedule_.ranks; ++rank) check_indices(rank);
  }

  void check_stages_held() {
    std::vector<int> copies(schedule_.stages, 0);
    for (int rank = 0; rank < schedule_.ranks; ++rank) {
      for (const int stage : schedule_.stage_of[rank]) {
        if (stage < 0 || stage >= schedule_.stages) {
          add({}, "stage " + std::to_string(stage) + " on rank " + std::to_string(rank),
              "0 to " + std::to_string(schedule_.stages - 1));
        } else {
          ++copies[stage];
        }
      }
    }
    for (int stage = 0; stage < schedule_.stages; ++stage) {
      if (copies[stage] == 1 || copies[stage] == 2) continue;
      add({}, "stage " + std::to_string(stage) + " on " + std::to_string(copies[stage]) + " chunks",
          "one chunk, or two when micro-batches run both ways");
    }
  }

  void check_indices(int rank) {
    const auto& order = schedule_.order[rank];
    const int chunks = static_cast<int>(schedule_.stage_of[rank].size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      for_each_part(order[i], [&](const PassPart& part) {
        if (part.chunk >= chunks) {
          add(PassPlace{rank, i}, to_text(order[i]) + " on rank " + std::to_string(rank),
              "chunks 0 to " + std::to_string(chunks - 1));
        }
        if (part.micro_batch >= schedule_.micro_batches) {
          add(PassPlace{rank, i}, to_text(order[i]) + " on rank " + std::to_string(rank),
              "micro-batches 0 to " + std::to_string(schedule_.micro_batches - 1));
        }
      });
    }
  }

  /// A micro-batch stays with its copy of the stages.
  void check_places() {
    const std::vector<Schedule::Location> paths[] = {schedule_.path(0), schedule_.path(1)};
    for (int rank = 0; rank < schedule_.ranks; ++rank) {
      for (std::size_t i = 0; i < schedule_.order[rank].size(); ++i) {
        for_each_part(schedule_.order[rank][i], [&](const PassPart& part) {
          const int stage = schedule_.stage_of[rank][part.chunk];
          const Schedule::Location home = paths[schedule_.direction_of[part.micro_batch] != 0][stage];
          if (home.rank == rank && home.chunk == part.chunk) return;
          add(PassPlace{rank, i}, to_text(schedule_.order[rank][i]) + " on rank " + std::to_string(rank),
              "micro-batch " + std::to_string(part.micro_batch) + " to meet stage " + std::to_string(stage) +
                  " on rank " + std::to_string(home.rank) + ", chunk " + std::to_string(home.chunk));
        });
      }
    }
  }

  void check_once_each() {
    std::vector<std::uint8_t> seen(static_cast<std::size_t>(schedule_.stages) * schedule_.micro_batches, 0);
    for (int rank = 0; rank < schedule_.ranks; ++rank) {
      for (std::size_t i = 0; i < schedule_.order[rank].size(); ++i) {
        for_each_part(schedule_.order[rank][i], [&](const PassPart& part) {
          const int stage = schedule_.stage_of[rank][part.chunk];
          std::uint8_t& cell = seen[static_cast<std::size_t>(stage) * schedule_.micro_batches + part.micro_batch];
          const auto again = static_cast<std::uint8_t>(cell & part.parts);
          if (again != 0) add(PassPlace{rank, i}, describe(again, stage, part.micro_batch) + " a second time", "once");
          cell |= part.parts;
        });
      }
    }
    report_missing(seen);
  }

  /// The first few missing passes; a truncated file lacks thousands, and the ranks they hold up are named
  /// after them.
  void report_missing(const std::vector<std::uint8_t>& seen) {
    constexpr std::uint8_t kAll = kForward | kInputGradient | kWeightGradient;
    constexpr std::size_t kShown = 5;
    const auto incomplete = [](std::uint8_t cell) { return cell != kAll; };
    std::size_t left = static_cast<std::size_t>(std::ranges::count_if(seen, incomplete));
    std::size_t shown = 0;
    for (std::size_t cell = 0; cell < seen.size() && left > 0 && shown < kShown; ++cell) {
      if (!incomplete(seen[cell])) continue;
      --left;
      const int stage = static_cast<int>(cell / schedule_.micro_batches);
      const int micro_batch = static_cast<int>(cell % schedule_.micro_batches);
      const Schedule::Location home = schedule_.locate(stage, micro_batch);
      const auto missing = static_cast<std::uint8_t>(kAll & ~seen[cell]);
      const bool more = ++shown == kShown && left > 0;
      add({},
          "no " + describe(missing, stage, micro_batch) +
              (more ? " (nor all passes of " + std::to_string(left) + " further pairs)" : ""),
          "once, on rank " + std::to_string(home.rank) + ", chunk " + std::to_string(home.chunk));
    }
  }

  void check_executable() {
    const Seconds any(1.0);
    for (const StuckPass& stuck : time_schedule(schedule_, PassDurations::plain(any, any, any)).stuck) {
      add(PassPlace{stuck.rank, stuck.position}, to_string(stuck), "an order in which every pass gets its input");
    }
  }

  void check_memory() {
    const std::vector<int> peaks = peak_activations(schedule_);
    for (int rank = 0; rank < schedule_.ranks && !schedule_.declared_peak_activations.empty(); ++rank) {
      const int declared = schedule_.declared_peak_activations[rank];
      if (peaks[rank] <= declared) continue;
      add({}, "rank " + std::to_string(rank) + " holds " + std::to_string(peaks[rank]) + " stage-activations",
          "at most the " + std::to_string(declared) + " it declares");
    }
  }

  const Schedule& schedule_;
  std::vector<Violation> violations_;
};

}  // namespace

Schedule in_rounds(Schedule schedule, int rounds) {
  const auto of_round = static_cast<std::uint16_t>(schedule.micro_batches);
  for (std::vector<Pass>& order : schedule.order) {
    const std::size_t passes = order.size();
    for (int round = 1; round < rounds; ++round) {
      for (std::size_t i = 0; i < passes; ++i) {
        Pass pass = order[i];
        const auto later = static_cast<std::uint16_t>(round * of_round);
        pass.micro_batch = static_cast<std::uint16_t>(pass.micro_batch + later);
        if (pass.kind == PassKind::overlapped)
          pass.backward_micro_batch = static_cast<std::uint16_t>(pass.backward_micro_batch + later);
        order.push_back(pass);
      }
    }
  }
  const std::vector<std::uint8_t> directions = schedule.direction_of;
  for (int round = 1; round < rounds; ++round)
    schedule.direction_of.insert(schedule.direction_of.end(), directions.begin(), directions.end());
  schedule.micro_batches *= rounds;
  schedule.rounds = rounds;
  return schedule;
}

std::vector<Violation> find_violations(const Schedule& schedule) { return Inspection(schedule).inspect(); }

std::vector<Diagnostic> verify(const Schedule& schedule) {
  std::vector<Diagnostic> diagnostics;
  for (Violation& violation : find_violations(schedule)) diagnostics.push_back(std::move(violation.diagnostic));
  return diagnostics;
}

}  // namespace flopcast
