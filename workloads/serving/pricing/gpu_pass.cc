#include "workloads/serving/pricing/gpu_pass.h"

#include <algorithm>

namespace flopcast {
namespace {

/// `us` with what the clock loses under the board's limit while the pass runs.
double limited_us(const GpuPass& pass, const KernelModel& kernels, double us) {
  const auto seconds = [](double value) { return Seconds(value / 1e6); };
  const double exchanged = std::max(0.0, pass.gpu_us - pass.kernel_us);
  const ClockPoint point = under_limit(kernels, seconds(us - exchanged), seconds(pass.on_sms_us), Joules(pass.joules));
  return point.clock < 1 ? in_microseconds(point.time) + exchanged : us;
}

}  // namespace

bool runs_in_pieces(const ForwardSetting& setting, StepKind kind, double tokens) {
  const EngineConfig& engine = setting.engine;
  return kind == StepKind::prompt && engine.cuda_graphs &&
         tokens <= static_cast<double>(engine.host.piecewise_tokens.value_or(0));
}

GpuPass& GpuPass::operator+=(const GpuPass& o) {
  gpu_us += o.gpu_us;
  kernel_us += o.kernel_us;
  on_sms_us += o.on_sms_us;
  joules += o.joules;
  kernels += o.kernels;
  pieces += o.pieces;
  return *this;
}

GpuPass pass_of(const PassTime& part) {
  const auto kernels = static_cast<double>(part.kernels);
  return {in_microseconds(part.time),
          in_microseconds(part.kernel_time()),
          in_microseconds(part.on_sms),
          part.energy.value(),
          kernels,
          kernels};
}

GpuPass between(const GpuPass& low, const GpuPass& high, double way) {
  GpuPass sum = low * (1 - way);
  sum += high * way;
  return sum;
}

double launches(const GpuPass& pass, const ForwardSetting& setting, StepKind kind, double tokens) {
  return runs_in_pieces(setting, kind, tokens) ? pass.pieces : pass.kernels;
}

double launched_one_by_one(const GpuPass& pass, const ForwardSetting& setting, StepKind kind, double tokens,
                           double bound) {
  const double gap = runs_in_pieces(setting, kind, tokens) ? setting.constants->graph_gap_us.value
                                                           : in_microseconds(setting.kernels->kernel_gap());
  const double gpu = pass.gpu_us + pass.kernels * gap;
  const double host = launch_us(setting, launches(pass, setting, kind, tokens), kind);
  if (std::max(gpu, host) >= bound) return bound;
  if (gpu >= host) return limited_us(pass, *setting.kernels, gpu);
  return std::max(host, limited_us(pass, *setting.kernels, host) - (host - gpu));
}

double launched_as_graph(const GpuPass& pass, const ForwardSetting& setting, double bound) {
  const double gpu = pass.gpu_us + pass.kernels * setting.constants->graph_gap_us.value;
  return gpu >= bound ? bound : limited_us(pass, *setting.kernels, gpu);
}

double with_host_us(const ForwardSetting& setting, double pass_us, double sequences, double prompt_tokens, int drafts) {
  const EngineConstants& c = *setting.constants;
  const double host = c.iteration_us.value + c.sequence_us.value * sequences + c.prompt_token_us.value * prompt_tokens;
  return host_is_hidden(setting.engine, drafts) ? std::max(pass_us, host) : pass_us + host;
}

}  // namespace flopcast
