// How sure a step's figures are. What the step was made of, as its critical path has it, is known up to errors that go
// together by kind: kernels of a family, links, the host, the framework. They are drawn, seeded, and carried through
// the path's times; nothing is replayed for a draw.
//
// To first order: a longer kernel lengthens the step by as much as the path spends in it, and a path that only just did
// not decide is not looked at.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/render/text/csv.h"
#include "analysis/runs/training/timeline/critical_path.h"
#include "hwmodels/kernels/calibration.h"
#include "workloads/software/software.h"
#include "workloads/training/memory/memory.h"
#include "workloads/training/step/training_step.h"

namespace flopcast {

inline constexpr char kStepErrorsFile[] = "analysis/data/step_errors.csv";

/// One of its rows.
struct StepError {
  std::string name;     ///< "gemm_fp8"
  std::string title;    ///< "FP8 matrix products"
  double log_sd = 0;    ///< standard deviation of the logarithm of actual over predicted
  double log_mean = 0;  ///< and its mean: predictions that are known to be too low, or too high
  std::string source;
  Seconds late;  ///< what there may be beside it that a prediction leaves out: on top of the upper end
};

/// How far off what steps are made of may be.
class StepErrors {
 public:
  /// @throws InputError when the table lacks a row that steps ask for, or has a standard deviation below 0 or above 3.
  explicit StepErrors(const CsvTable& table);
  const StepError& of(std::string_view name) const;

 private:
  std::vector<StepError> rows_;
};

/// 5, 50 and 95 % quantiles.
struct FigureRange {
  double p5 = 0, p50 = 0, p95 = 0;
  /// The quantiles in this order, from 0.
  double at(std::size_t i) const { return i == 0 ? p5 : i == 1 ? p50 : p95; }
};

/// What an input adds to the range of the step.
struct RangeInput {
  std::string title;
  double log_sd = 0;
  double variance_share = 0;
  std::string source;
};

struct StepRange {
  FigureRange step_s;
  FigureRange memory_bytes;               ///< of the fullest GPU
  double memory_p90_bytes = 0;            ///< nine draws in ten need no more
  double fits = 1;                        ///< share of the draws of memory within what a GPU offers
  double log_error = 0;                   ///< standard deviation of the logarithm of the step's time
  std::vector<RangeInput> inputs;         ///< of the step, largest share first
  std::vector<RangeInput> memory_inputs;  ///< of the memory
  int draws = 0;
  std::uint64_t seed = 0;
  /// The step in each draw, s. Draws have numbers: those of two steps are of one world, in which a kind of kernel or of
  /// link is off by the same for both.
  std::vector<double> drawn_s;
  /// Of `log_error`, what is a step's own: kernels of one family scatter about their fit from shape to shape, so that
  /// steps of other shapes are off by something else.
  double shapes_log_sd = 0;
};

/// Whose kernels' times are known: a die that was measured, one of an architecture of which another was, or neither.
enum class KnownDie { measured, architecture, unmeasured };
KnownDie known_die(const KernelCalibration& kernels, const GpuSpec& gpu);

/// What a step was made of.
struct StepOrigins {
  Seconds step;
  const CriticalPath* path = nullptr;    ///< null: of a step that nothing folds, whose busy time stands for it
  const SourceShare* sources = nullptr;  ///< over `replayed` ranks
  std::size_t replayed = 1;
  const MemoryTable* memory = nullptr;
  double offered_bytes = 0;  ///< of a GPU's memory; 0: not asked
  const SoftwareProfile* software = nullptr;
  bool experts = false, adapters = false;  ///< what it trains
  KnownDie die = KnownDie::measured;
  /// Of a run that was published, and so did run: what a GPU offers. Draws of memory beyond it are none of that run. 0:
  /// none.
  double ran_in_bytes = 0;
  /// What nobody knows: time and memory of the step with each thing that it may be, over those of the step as stated.
  struct Open {
    std::string title;
    std::vector<double> factors, memory;
  };
  std::vector<Open> open;
};
StepRange step_range(const StepOrigins& origins, const StepErrors& errors);
/// The memory of the fullest GPU in each draw, bytes. @pre origins has `memory` and `software`
std::vector<double> memory_draws(const StepOrigins& origins, const StepErrors& errors);
/// Share of the draws that are no larger; 1 of none.
double share_within(const std::vector<double>& draws, double most);
/// A plan that fits in fewer of the draws is not recommended beside one that fits in more.
constexpr double kSurelyFits = 0.9;
/// What plans may hold that leave as much room as one lacks which holds `memory`, and `needed` in nine draws of ten.
inline Bytes leaner_limit(Bytes offered, Bytes memory, Bytes needed) { return offered * (memory / needed); }
/// What a profile adds: its own error for such runs as that was read off, else what lies between profiles.
double software_error(const SoftwareProfile& software, bool experts, bool adapters, const StepErrors& errors);

/// Odds that a figure with this range is no larger than `most`: its logarithm is taken for normally distributed on
/// either side of the median, each side as wide as the range says.
double odds_within(const FigureRange& range, double most);

/// Of draws, in any order.
FigureRange quantiles(std::vector<double> draws);
/// Quantiles of a figure whose logarithm is normally distributed round a prediction.
FigureRange log_normal_range(double predicted, double log_error);
/// The same with the error's mean too.
FigureRange range_for(double predicted, const StepError& error);

}  // namespace flopcast
