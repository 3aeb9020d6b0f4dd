// The physics of kernel times: tiles on SMs, bytes through L2 and HBM. Fitted numbers come in as parameters
// (kernel_family.h says which), figures of the chip as a Machine.
//
// Inside these formulas times are in microseconds and sizes in bytes and FLOP, as bare numbers.
#pragma once
#include <string>

#include "hwmodels/kernels/kernel_family.h"
#include "hwmodels/kernels/kernels.h"

namespace flopcast {

/// A chip as a kernel meets it.
struct Machine {
  double sms = 0;                       ///< that the kernel may use
  double all_sms = 0;                   ///< of the chip
  double flop_per_us_and_sm = 0;        ///< peak of one SM in the kernel's precision
  double bf16_per_us_and_sm = 0;        ///< and in BF16
  double hbm_bytes_per_us = 0;          ///< what other kernels leave of the data-sheet rate
  double load_scale = 1;                ///< L2-to-SM rate relative to the die that was fitted
  double matrix_share = 1;              ///< what is left of the fitted die's peak per SM where its products were cut
  bool pairs_tiles = false;             ///< fitted on CUTLASS's clusters of tiles for FP8 on Hopper
  bool waits_for_missing_rows = false;  ///< and their tiles wait for rows that are not there
};

/// State of the chip beside its data sheet.
struct Conditions {
  int sms = 0;                     ///< that the kernel may use; 0: all
  double clock = 1;                ///< over the clock at which kernels were measured
  double communication_share = 0;  ///< HBM bandwidth taken per fraction of the SMs that the kernel may not use
};
/// The silicon that a fit was made on: what one of its SMs can do at most, and at which clock.
struct DieFigures {
  std::string name;          ///< "GH100"
  std::string architecture;  ///< of the die
  Hertz clock;               ///< at which it does what follows
  FlopPerSecond bf16_peak_per_sm, fp8_peak_per_sm;
  int sms = 0;  ///< of the strongest chip made of it
  bool operator==(const DieFigures&) const = default;
};
DieFigures die_of(const GpuSpec& gpu);

/// `gpu` as a kernel meets it that was fitted on `die`. An SM of the same die does no more per clock than the die's,
/// unless the chip as a whole is stated to do more than any chip of the die: supposed matrix units of another kind;
/// rates inside an SM follow the clock, or, on another architecture, the peak of an SM.
Machine machine_of(const GpuSpec& gpu, const DieFigures& die, Precision precision, const Conditions& conditions);
/// HBM's rate alone: what memory-bound kernels need.
double hbm_bytes_per_us(const GpuSpec& gpu, const Conditions& conditions);

/// A kernel's time by what it waits for: fixed + (chip^norm + memory^norm)^(1/norm) + afterwards, in microseconds.
struct KernelParts {
  double fixed = 0;       ///< launch and drain
  double chip = 0;        ///< SMs: matrix products, loads from L2, tiles and waves
  double memory = 0;      ///< HBM
  double afterwards = 0;  ///< HBM again, by smaller kernels that follow
  double norm = 2;
};
/// What measurements know beyond the formula, as logarithms: of the SMs' part (with `fixed`) and of HBM's. A part
/// still shrinks when the chip's figure behind it grows.
struct PartCorrection {
  double chip = 0, memory = 0;
};
double microseconds(const KernelParts& parts, const PartCorrection& correction = {});
/// Share of the time that moves with the SMs' part; the rest moves with HBM's.
double chip_share(const KernelParts& parts, const PartCorrection& correction);

/// @param trap whether the library falls into wide_tile_trap (SGLang's DeepGEMM of 2025): measurements only.
KernelParts gemm_parts(const GemmParameters& parameters, const Machine& machine, const GemmShape& shape,
                       bool trap = false);
KernelParts attention_parts(const KernelParameters& parameters, const Machine& machine, const AttentionShape& shape);
KernelParts latent_block_parts(const LatentBlockParameters& parameters, const Machine& machine,
                               const LatentBlockShape& shape);
/// A memory-bound kernel that SMs hold up as well: its time, and the share that moves with theirs.
struct SmLimited {
  Seconds time;
  double sm_share = 0;
};
SmLimited sm_limited(Seconds memory, Seconds on_sms);
/// The other way round: what the SMs take of a kernel that takes `time`, more than memory does.
Seconds on_sms_of(Seconds time, Seconds memory);
/// Casting the activations [m,k] from BF16 to FP8: part of some measurements, never of a price.
double cast_microseconds(const GemmParameters& parameters, const Machine& machine, const GemmShape& shape);

/// Bytes that must cross HBM at least once.
double least_bytes(const GemmShape& shape);
double least_bytes(const AttentionShape& shape);
double least_bytes(const LatentBlockShape& shape);

/// Rows of a group in DeepGEMM's masked benchmark are drawn from 0.7 .. 1.3 of the mean, as decoding's expert
/// loads are never equal either; prices of masked GEMMs are expectations over that spread.
constexpr double kMaskedRowSpread = 0.3;

}  // namespace flopcast
