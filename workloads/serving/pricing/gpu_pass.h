// What an iteration asks of a GPU beside its time, and how its kernels come to run: launched one by one, as graphs,
// under the board's limit.
#pragma once
#include <limits>

#include "workloads/serving/pricing/forward.h"

namespace flopcast {

/// A pass, or a part of one, at full clock. Microseconds, interpolated between nodes of tables.
struct GpuPass {
  double gpu_us = 0;     ///< kernels, and what of exchanges they do not hide
  double kernel_us = 0;  ///< kernels alone
  double on_sms_us = 0;  ///< of them, what waits for the SMs
  double joules = 0;     ///< theirs, idle power apart
  double kernels = 0;
  double pieces = 0;  ///< what the host launches instead of them where all but attention's cores are CUDA graphs
  GpuPass& operator+=(const GpuPass& o);
  friend GpuPass operator*(const GpuPass& a, double times) {
    return {a.gpu_us * times, a.kernel_us * times, a.on_sms_us * times,
            a.joules * times, a.kernels * times,   a.pieces * times};
  }
};

inline double in_microseconds(Seconds time) { return time.value() * 1e6; }

GpuPass pass_of(const PassTime& part);
GpuPass between(const GpuPass& low, const GpuPass& high, double way);

/// Whether all but attention's cores of a pass of so many tokens are CUDA graphs, though prompts are in it.
bool runs_in_pieces(const ForwardSetting& setting, StepKind kind, double tokens);
/// What the host launches one by one of a pass of so many tokens: its kernels, or graphs and cores.
double launches(const GpuPass& pass, const ForwardSetting& setting, StepKind kind, double tokens);
/// The host launches ahead of the GPU, or keeps it waiting, and cool.
/// @param bound a pass that takes as long at full clock is not asked what it loses under the board's limit
/// @return microseconds, or the bound
double launched_one_by_one(const GpuPass& pass, const ForwardSetting& setting, StepKind kind, double tokens,
                           double bound = std::numeric_limits<double>::infinity());
double launched_as_graph(const GpuPass& pass, const ForwardSetting& setting,
                         double bound = std::numeric_limits<double>::infinity());

/// An iteration whose pass takes `pass_us`: what the host has to do for it is hidden behind the pass before, or comes
/// on top.
double with_host_us(const ForwardSetting& setting, double pass_us, double sequences, double prompt_tokens, int drafts);

}  // namespace flopcast
