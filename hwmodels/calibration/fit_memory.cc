#include "hwmodels/calibration/fit_memory.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>
#include <utility>

#include "hwmodels/kernels/kernel_formulas.h"

namespace flopcast {

const GpuSpec& gpu_named(const CalibrationInput& input, const std::string& name) {
  const auto found =
      std::find_if(input.gpus.begin(), input.gpus.end(), [&](const GpuSpec& g) { return g.name == name; });
  assert(found != input.gpus.end());
  return *found;
}

double percentile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = p * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (at - static_cast<double>(low)) * (values[high] - values[low]);
}

namespace {

/// Rows of a card that move so little are all launch and drain.
constexpr double kSmallBytes = 300e3;
/// And large enough that the launch does not count and L2 does not help.
constexpr double kManyL2 = 2;

constexpr MemoryKernel kHeldUpBySms[] = {MemoryKernel::strided, MemoryKernel::index_add, MemoryKernel::scatter_add,
                                         MemoryKernel::top_k};
bool held_up_by_sms(MemoryKernel kernel) { return std::ranges::find(kHeldUpBySms, kernel) != std::end(kHeldUpBySms); }

/// From launch to finish of the smallest kernels: the median of those of the class, or, where none was
/// measured small, of all.
class Shortest {
 public:
  explicit Shortest(MemoryKernel kernel) : kernel_(kernel) {}
  void add(MemoryKernel kernel, double us) {
    all_.push_back(us);
    if (kernel == kernel_) own_.push_back(us);
  }
  std::optional<Seconds> median(double per_us) const {
    if (all_.empty()) return std::nullopt;
    return Seconds(std::round(per_us * percentile(own_.empty() ? all_ : own_, 0.5)) * (1e-6 / per_us));
  }

 private:
  MemoryKernel kernel_;
  std::vector<double> own_, all_;
};

/// Compilers' kernels as one card shows them, engines' as operators of a serving engine were profiled; either stands in
/// for the other.
void fit_shortest(const CalibrationInput& input, MemoryClassFit& fit) {
  constexpr Seconds kUnmeasured(2.5e-6);  // no small kernel at all: between the 2 and 3 us that Hopper shows
  Shortest compiled(fit.kernel), engine(fit.kernel);
  for (const MemoryMeasurement& m : input.memory_alone)
    if (m.bytes <= kSmallBytes && !held_up_by_sms(m.kernel)) compiled.add(m.kernel, m.microseconds);
  for (const ShortestMeasurement& m : input.shortest) engine.add(m.kernel, m.microseconds);
  const std::optional<Seconds> ours = compiled.median(100), theirs = engine.median(10);
  fit.minimum = ours.value_or(theirs.value_or(kUnmeasured));
  fit.engine_minimum = theirs.value_or(fit.minimum);
}

/// What the profile's memory-bound kernels of a class say: the reachable fraction of HBM, beside a minimum
/// that only small kernels can tell.
MemoryClassFit fit_memory_class(const CalibrationInput& input, MemoryKernel kernel, const GpuSpec& gpu, double share) {
  MemoryClassFit fit;
  fit.kernel = kernel;
  fit_shortest(input, fit);
  const double minimum = fit.minimum.value() * 1e6;
  double best = -1;
  for (int fraction = 10; fraction <= kFastestStreamPercent; ++fraction) {
    double sum = 0;
    for (const MemoryMeasurement& m : input.memory) {
      if (m.kernel != kernel) continue;
      const double us = minimum + m.bytes / (hbm_bytes_per_us(gpu, {m.sms, 1, share}) * fraction / 100);
      sum += m.launches * m.microseconds * std::abs(std::log(us / m.microseconds));  // long kernels matter more
    }
    if (best < 0 || sum < best) {
      best = sum;
      fit.hbm_fraction = fraction / 100.0;
    }
  }
  std::vector<double> off;
  for (const MemoryMeasurement& m : input.memory) {
    if (m.kernel != kernel) continue;
    fit.launches += static_cast<int>(m.launches);
    const double us =
        fit.minimum.value() * 1e6 + m.bytes / (hbm_bytes_per_us(gpu, {m.sms, 1, share}) * fit.hbm_fraction);
    off.push_back(std::abs(us / m.microseconds - 1));
  }
  fit.median_error = percentile(off, 0.5);
  return fit;
}

/// The same of kernels that were measured one by one: large ones say how fast they stream.
double alone_fraction(const CalibrationInput& input, const MemoryClassFit& fit) {
  std::vector<double> fractions;
  for (const MemoryMeasurement& m : input.memory_alone) {
    const GpuSpec& gpu = gpu_named(input, input.memory_alone_gpu);
    if (m.kernel != fit.kernel || m.bytes < kManyL2 * gpu.l2_capacity.value()) continue;
    fractions.push_back(m.bytes / (m.microseconds - fit.minimum.value() * 1e6) / hbm_bytes_per_us(gpu, {}));
  }
  return fractions.empty() ? fit.hbm_fraction : std::round(1000 * percentile(fractions, 0.5)) / 1000;
}

/// What the SMs leave of a kernel's time beside memory, as elementwise kernels stream: the median of cards.
std::optional<MemoryClassFit> fit_held_up_by_sms(const CalibrationInput& input, MemoryKernel kernel,
                                                 const MemoryClassFit& streams) {
  constexpr double kShort = 3;  // over the smallest: shorter ones are mostly start and end
  MemoryClassFit fit = streams;
  fit.kernel = kernel;
  std::vector<double> shortest, rates;
  const auto each = [&](const auto& use) {
    for (const MemoryMeasurement& m : input.memory_cards)
      if (m.kernel == kernel) use(m, gpu_named(input, m.gpu));
  };
  each([&](const MemoryMeasurement& m, const GpuSpec&) {
    if (m.bytes <= kSmallBytes) shortest.push_back(m.microseconds);
  });
  if (shortest.empty()) return std::nullopt;
  const double least = std::round(100 * percentile(shortest, 0.5)) / 100;
  const auto memory_us = [&](const MemoryMeasurement& m, const GpuSpec& gpu) {
    return m.bytes / (hbm_bytes_per_us(gpu, {}) * fit.alone_fraction);
  };
  each([&](const MemoryMeasurement& m, const GpuSpec& gpu) {
    const double us = m.microseconds - least;
    if (m.microseconds < kShort * least || us <= memory_us(m, gpu)) return;
    const Seconds held = on_sms_of(Seconds(us * 1e-6), Seconds(memory_us(m, gpu) * 1e-6));
    rates.push_back(m.bytes / (held.value() * gpu.boost_clock.value() * gpu.sms));
  });
  if (rates.empty()) return std::nullopt;
  fit.sm_bytes_per_cycle = std::round(1e4 * percentile(rates, 0.5)) / 1e4;
  fit.minimum = fit.engine_minimum = Seconds(least * 1e-6);
  std::vector<double> off;
  each([&](const MemoryMeasurement& m, const GpuSpec& gpu) {
    const double on_sms_us = m.bytes / (fit.sm_bytes_per_cycle * gpu.boost_clock.value() * 1e-6 * gpu.sms);
    const double us =
        least + 1e6 * sm_limited(Seconds(memory_us(m, gpu) * 1e-6), Seconds(on_sms_us * 1e-6)).time.value();
    off.push_back(std::abs(us / m.microseconds - 1));
  });
  fit.launches = static_cast<int>(off.size());
  fit.median_error = percentile(off, 0.5);
  fit.source = input.memory_cards_source;
  return fit;
}

/// Classes that no table shows are taken to stream like one that is measured.
void borrow_classes(const CalibrationInput& input, std::vector<MemoryClassFit>& classes) {
  constexpr std::pair<MemoryKernel, MemoryKernel> kLike[] = {
      {MemoryKernel::embedding, MemoryKernel::permute},       // gathers rows
      {MemoryKernel::cross_entropy, MemoryKernel::norm},      // reduces over a row, then writes it
      {MemoryKernel::optimizer, MemoryKernel::elementwise}};  // several streams, no reuse
  for (const auto& [missing, like] : kLike) {
    const auto found =
        std::find_if(classes.begin(), classes.end(), [&, kind = like](const auto& c) { return c.kernel == kind; });
    if (found == classes.end()) continue;
    MemoryClassFit fit = *found;
    fit.kernel = missing;
    fit_shortest(input, fit);
    fit.alone_fraction = alone_fraction(input, fit);
    fit.launches = 0;
    fit.source = {"as " + std::string(name(like)) + ": not measured", fit.source.date, false};
    classes.push_back(std::move(fit));
  }
}

}  // namespace

std::vector<MemoryClassFit> fit_memory_classes(const CalibrationInput& input, double share) {
  std::vector<MemoryClassFit> classes;
  if (input.memory.empty()) return classes;
  const GpuSpec& gpu = gpu_named(input, input.memory_gpu);
  for (int i = 0; i < kMemoryKernels; ++i) {
    const auto kernel = static_cast<MemoryKernel>(i);
    const bool any =
        std::any_of(input.memory.begin(), input.memory.end(), [&](const auto& m) { return m.kernel == kernel; });
    if (!any) continue;
    classes.push_back(fit_memory_class(input, kernel, gpu, share));
    classes.back().alone_fraction = alone_fraction(input, classes.back());
    classes.back().source = input.memory_source;
  }
  borrow_classes(input, classes);
  const auto streams =
      std::find_if(classes.begin(), classes.end(), [](const auto& c) { return c.kernel == MemoryKernel::elementwise; });
  if (streams == classes.end()) return classes;
  const MemoryClassFit elementwise = *streams;
  for (const MemoryKernel kernel : kHeldUpBySms)
    if (const auto fit = fit_held_up_by_sms(input, kernel, elementwise)) classes.push_back(*fit);
  return classes;
}

}  // namespace flopcast
