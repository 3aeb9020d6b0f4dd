// The physics of kernel times: tiles on SMs, bytes through L2 and HBM. Fitted numbers come in as parameters
// (kernel_family.h says which), figures of the chip as a Machine.
//
// Inside these formulas times are in microseconds and sizes in bytes and FLOP, as bare numbers.
#pragma once
#include <span>

#include "hwmodels/kernels/kernels.h"

namespace flopcast {

/// A chip as a kernel meets it.
struct Machine {
  double sms = 0;                 ///< that the kernel may use
  double all_sms = 0;             ///< of the chip
  double flop_per_us_and_sm = 0;  ///< peak of one SM in the kernel's precision
  double hbm_bytes_per_us = 0;    ///< what other kernels leave of the data-sheet rate
  double load_scale = 1;          ///< L2-to-SM rate relative to the chip that was fitted
};

/// State of the chip beside its data sheet.
struct Conditions {
  int sms = 0;                     ///< that the kernel may use; 0: all
  double clock = 1;                ///< over the clock at which kernels were measured
  double communication_share = 0;  ///< HBM bandwidth taken per fraction of the SMs that the kernel may not use
};
Machine machine_of(const GpuSpec& gpu, Precision precision, const Conditions& conditions, double load_scale = 1);

double gemm_microseconds(std::span<const double> parameters, const Machine& machine, const GemmShape& shape);
/// Casting the activations [m,k] from BF16 to FP8: part of some measurements, never of a price.
double cast_microseconds(std::span<const double> parameters, const Machine& machine, const GemmShape& shape);
double attention_microseconds(std::span<const double> parameters, const Machine& machine, const AttentionShape& shape);

/// Bytes that must cross HBM at least once.
double least_bytes(const GemmShape& shape);
double least_bytes(const AttentionShape& shape);

/// Rows of a group in DeepGEMM's masked benchmark are drawn from 0.7 .. 1.3 of the mean, as decoding's expert
/// loads are never equal either; prices of masked GEMMs are expectations over that spread.
constexpr double kMaskedRowSpread = 0.3;

}  // namespace flopcast
