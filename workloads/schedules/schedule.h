// Pipeline schedules: which rank does which pass of which micro-batch, in which order.
//
// A schedule is data: per pipeline rank, a list of passes. How long a pass takes and what it sends is decided
// elsewhere (training_step.h), so a schedule can be tested, drawn and compared without any hardware.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/diagnostic.h"
#include "sim/base/units.h"

namespace flopcast {

enum class PassKind : std::uint8_t {
  forward,          ///< F
  backward,         ///< B and W together (full backward)
  backward_input,   ///< B: gradient of the input only; its W comes later
  backward_weight,  ///< W: gradient of the weights of an earlier backward_input
  overlapped,       ///< F of one micro-batch with the full backward of another, interleaved phase by phase
};
std::string_view name(PassKind kind);

/// One entry of a rank's order. Chunks are the model pieces a rank holds, numbered from 0.
struct Pass {
  PassKind kind = PassKind::forward;
  std::uint16_t chunk = 0;
  std::uint16_t micro_batch = 0;
  std::uint16_t backward_chunk = 0;  ///< overlapped only: chunk and micro-batch of the backward half
  std::uint16_t backward_micro_batch = 0;
  bool operator==(const Pass&) const = default;
};

/// What a schedule is asked for.
struct ScheduleRequest {
  int ranks = 1;          ///< pipeline-parallel size P
  int micro_batches = 1;  ///< per step and pipeline, M
  int chunks = 1;         ///< model chunks per rank where the schedule lets one choose (interleaved 1F1B)
};

/// A complete order for every rank.
struct Schedule {
  std::string name;
  int ranks = 0;
  int micro_batches = 0;
  int stages = 0;  ///< pieces the model is cut into; a stage may live on two ranks (DualPipe)
  /// stage_of[rank][chunk]: the stage that a chunk holds.
  std::vector<std::vector<int>> stage_of;
  /// direction_of[micro_batch]: which copy of the stages a micro-batch runs through (DualPipe: 0 or 1; else 0).
  std::vector<std::uint8_t> direction_of;
  std::vector<std::vector<Pass>> order;  ///< [rank]
  /// Activations in flight that the schedule promises not to exceed, in stage-activations per rank.
  std::vector<int> declared_peak_activations;
  /// How often the order comes, each time with micro-batches of its own, before which the pipeline has run empty.
  int rounds = 1;
  /// Whether overlapped passes occur (they need a communication lane beside the compute lane).
  bool overlaps = false;

  struct Location {
    int rank;
    int chunk;
  };
  /// Where `micro_batch` meets `stage`. Of two copies of a stage, direction 0 uses the one in the lower chunk.
  Location locate(int stage, int micro_batch) const;
  /// The same for all stages of one direction, first to last.
  std::vector<Location> path(int direction) const;
};

struct PassDurations;  // schedule_timing.h

/// One row of the table of schedules: what `flopcast list schedules` shows and `schedule: "..."` selects.
struct ScheduleRow {
  std::string_view name;
  std::string_view title;
  std::string_view source;
  std::string_view bubble;  ///< closed form, for people
  bool two_copies;          ///< every stage is held twice (DualPipe)
  bool choose_chunks;       ///< the user picks chunks per rank
  /// Stages per rank, each copy counted once; where the user picks chunks, these count instead.
  int stages_per_rank = 1;
  Schedule (*build)(const ScheduleRequest&);  ///< precondition: check() found nothing
  /// What is wrong with the request (too few micro-batches, odd ranks, ...). Empty: nothing.
  std::vector<Diagnostic> (*check)(const ScheduleRequest&);
  /// Bubble of one rank without communication; the closed form.
  Seconds (*closed_form_bubble)(const ScheduleRequest&, const PassDurations&);
};
std::span<const ScheduleRow> schedules();
/// Pieces that the schedule cuts a model into.
std::int64_t stages_of(const ScheduleRow& schedule, int ranks, int chunks);
const ScheduleRow* find_schedule(std::string_view name);

/// Files of orders are read up to this size; the reading of a scenario sees to it.
inline constexpr std::size_t kLargestScheduleFile = 16u << 20;

/// An order given by the user, one line per rank: `0: F0 F1 B0 B1 ...`. Tokens: F<mb>, B<mb> (full), I<mb> (input
/// only), W<mb>, chunk after a dot (`F3.1`), overlapped as `F3.0&B1.1`. '#' starts a comment. Optional header lines
/// `stages: rank: s0 s1` place stages; without them chunk c of rank r is stage c*P + r.
/// @throws InputError naming file:line:col and what is wrong; cycles and missing passes name the stuck passes.
/// Of a stage that two ranks hold, a micro-batch uses the copy in which its first listed forward stands.
Schedule parse_schedule(const std::string& text, const std::string& file, const ScheduleRequest& request);

/// The same format, so that parse_schedule(to_text(s)) gives the same order: a start for one's own.
std::string to_text(const Schedule& schedule);
/// One pass as that format writes it: `F3.0&B1.1`; chunks are left out where `show_chunk` is false.
std::string to_text(const Pass& pass, bool show_chunk = true);

/// The order `rounds` times: what is left of a pipeline's bubble comes each time (gradients summed up round a
/// pipeline).
/// @pre one round, less than 65,536 micro-batches in all.
Schedule in_rounds(Schedule schedule, int rounds);

/// Laws every order must obey: each (stage, micro-batch) has F and B and W once, in an executable order.
/// Returns every violation (at most 20).
std::vector<Diagnostic> verify(const Schedule& schedule);

/// Most stage-activations that each rank holds at once. One is held from the start of F to the end of W (or of the
/// full backward); an overlapped pass holds both of its halves.
std::vector<int> peak_activations(const Schedule& schedule);

}  // namespace flopcast
