#include "hwmodels/calibration/fit_kernels.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <compare>
#include <tuple>

#include "hwmodels/calibration/least_squares.h"
#include "hwmodels/calibration/residual_fit.h"
#include "hwmodels/kernels/kernel_formulas.h"
#include "sim/base/random.h"

namespace flopcast {

namespace {

/// More rows than this of one table add time to the fit and little else.
constexpr double kMostFittedRows = 2500;
/// A table of so few rows cannot spare any.
constexpr double kHandful = 5;
/// Share of the other tables' rows that no fit sees.
constexpr double kHeldBack = 0.2;
/// Of the data-sheet bandwidth, the chip to itself: no kernel streams faster (decode attention comes
/// nearest).
constexpr int kFastestStreamPercent = 95;

constexpr std::size_t kTrap = 8, kCastEfficiency = 9, kCastSetup = 10, kTimer = 11;  // of GEMM parameters

using Rows = std::vector<const Measurement*>;

/// What one fit is of.
struct FitKey {
  KernelFamily family;
  std::string gpu;
  std::string variant;
  auto operator<=>(const FitKey&) const = default;
};

KernelFamily family_of(const Measurement& m) {
  return std::visit([](const auto& shape) { return flopcast::family_of(shape); }, m.shape);
}

Precision precision_of(const Measurement& m) {
  return std::visit([](const auto& shape) { return shape.precision; }, m.shape);
}

/// Draw of a row: below kHeldBack it is held back.
double draw(const Measurement& m, std::uint64_t seed) {
  std::uint64_t hash = 1469598103934665603ULL;  // FNV-1a
  for (const char c : m.table + "|" + m.gpu) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return RandomStream(seed, hash ^ (m.row * 0x9E3779B97F4A7C15ULL)).uniform();
}

double formula(const std::vector<double>& parameters, const Machine& machine, const Measurement& m) {
  if (const auto* gemm = std::get_if<GemmShape>(&m.shape)) return gemm_microseconds(parameters, machine, *gemm);
  return attention_microseconds(parameters, machine, std::get<AttentionShape>(m.shape));
}

/// What a table's measurement contains besides the kernel.
double beside(const std::vector<double>& parameters, const Machine& machine, const Measurement& m) {
  double us = 0;
  if (m.with_cast) us += cast_microseconds(parameters, machine, std::get<GemmShape>(m.shape));
  if (m.without_launch) us -= parameters[kTimer];
  return us;
}

Machine machine_for(const Measurement& m, const GpuSpec& gpu, double clock, double share) {
  return machine_of(gpu, precision_of(m), {m.sms, m.in_training ? clock : 1.0, share});
}

const GpuSpec& gpu_named(const CalibrationInput& input, const std::string& name) {
  const auto found =
      std::find_if(input.gpus.begin(), input.gpus.end(), [&](const GpuSpec& g) { return g.name == name; });
  assert(found != input.gpus.end());
  return *found;
}

/// Fitted and held-back rows of one family on one GPU.
struct Split {
  Rows fitted, held_back;
};

Split split(const Rows& rows, std::uint64_t seed) {
  std::map<std::string, std::size_t> rows_of_table;
  for (const Measurement* m : rows) ++rows_of_table[m->table];
  Split result;
  for (const Measurement* m : rows) {
    const double rows_in_all = static_cast<double>(rows_of_table[m->table]);
    const double at = draw(*m, seed);
    if (rows_in_all >= kHandful && at < kHeldBack) {
      result.held_back.push_back(m);
    } else if (rows_in_all < kHandful || at < kHeldBack + kMostFittedRows / rows_in_all) {
      result.fitted.push_back(m);
    }
  }
  return result;
}

/// Every table of a family counts the same, however many rows it has.
std::vector<double> table_weights(const Rows& rows) {
  std::map<std::string, double> count;
  for (const Measurement* m : rows) ++count[m->table];
  std::vector<double> weights;
  for (const Measurement* m : rows)
    weights.push_back(
        std::sqrt(static_cast<double>(rows.size()) / static_cast<double>(count.size()) / count[m->table]));
  return weights;
}

std::vector<bool> free_parameters(KernelFamily family, const Rows& rows) {
  const auto any = [&](auto what) { return std::any_of(rows.begin(), rows.end(), what); };
  std::vector<bool> free(parameters_of(family).size(), true);
  if (group(family) == "GEMM") {
    const bool cast = any([](const Measurement* m) { return m->with_cast; });
    free[kTrap] = cast;  // the tables with casts come from the library version that falls into it
    free[kCastEfficiency] = free[kCastSetup] = cast;
    free[kTimer] = any([](const Measurement* m) { return m->without_launch; });
  }
  return free;
}

std::vector<double> start_of(KernelFamily family, const std::vector<bool>& free) {
  std::vector<double> start;
  for (const ParameterInfo& info : parameters_of(family)) start.push_back(info.start);
  if (group(family) == "GEMM" && !free[kTrap]) start[kTrap] = 1;
  return start;
}

std::vector<double> fit_parameters(KernelFamily family, const Rows& rows, const GpuSpec& gpu,
                                   const std::vector<bool>& free, std::vector<double> start, double pull, double clock,
                                   double share) {
  LeastSquaresProblem problem;
  problem.pull = pull;
  problem.parameters = parameters_of(family);
  problem.start = std::move(start);
  problem.free = free;
  problem.weights = table_weights(rows);
  std::vector<Machine> machines;
  for (const Measurement* m : rows) machines.push_back(machine_for(*m, gpu, clock, share));
  std::vector<double> values;
  problem.residuals = [&](std::span<const double> parameters, std::span<double> out) {
    values.assign(parameters.begin(), parameters.end());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double us = formula(values, machines[i], *rows[i]) + beside(values, machines[i], *rows[i]);
      out[i] = std::log(std::max(us, 0.01) / rows[i]->microseconds);
    }
  };
  return solve(problem);
}

struct ResidualShape {
  std::vector<double> radius;
  std::size_t centres;
  double ridge;
};

ResidualShape residual_shape(KernelFamily family, std::size_t rows) {
  constexpr std::size_t kDenseTable = 1000;  // measured on a fine grid: bumps may be narrow
  const double radius = rows < kDenseTable ? 6 : 3;
  switch (family) {
    case KernelFamily::gemm_bf16:
    case KernelFamily::gemm_fp8_blocks:
    case KernelFamily::gemm_fp8_tensor:
      return {{radius, radius, radius}, 300, 0.5};
    case KernelFamily::grouped_contiguous:
    case KernelFamily::grouped_masked:
      return {{8, 8, 8, 8}, 120, 0.3};
    case KernelFamily::attention_forward:
      return {{5, 5, 5, 5, 5, 5}, 250, 0.3};
    case KernelFamily::attention_forward_latent:
      return {{5, 5, 5, 5}, 200, 0.3};
    case KernelFamily::attention_backward:
    case KernelFamily::weight_gradient:
      return {{1, 1, 1}, 0, 1};
    default:
      return {{4, 4, 4, 4}, 200, 0.3};
  }
}

KernelResidual fit_residual(KernelFamily family, const Rows& rows, const GpuSpec& gpu,
                            const std::vector<double>& parameters, double clock, double share) {
  const ResidualShape shape = residual_shape(family, rows.size());
  if (shape.centres == 0) return {};
  const auto dims = static_cast<std::size_t>(coordinate_count(family));
  const std::vector<double> tables = table_weights(rows);
  std::vector<double> points, residuals, weights;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Measurement& m = *rows[i];
    const Machine machine = machine_for(m, gpu, clock, share);
    const double kernel = m.microseconds - beside(parameters, machine, m);
    // Where the cast is most of a measurement, it says little about the kernel.
    const double weight = std::clamp(kernel / m.microseconds, 0.0, 1.0) * tables[i];
    if (weight < 0.3 * tables[i]) continue;
    std::array<double, kMostCoordinates> at{};
    std::visit([&](const auto& s) { coordinates_of(s, at.data()); }, m.shape);
    points.insert(points.end(), at.begin(), at.begin() + static_cast<std::ptrdiff_t>(dims));
    residuals.push_back(std::log(kernel / formula(parameters, machine, m)));
    weights.push_back(weight);
  }
  return flopcast::fit_residual(points, residuals, weights, {shape.radius, shape.centres, shape.ridge, 0.2});
}

double percentile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = p * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (at - static_cast<double>(low)) * (values[high] - values[low]);
}

/// Relative errors that belong together.
class ErrorPool {
 public:
  void fitted() { ++error_.fitted; }
  void held_back(double off) { off_.push_back(off); }
  HeldBackError result(const std::string& name) {
    error_.table = name;
    error_.held_back = static_cast<int>(off_.size());
    error_.bias = percentile(off_, 0.5);
    for (double& value : off_) value = std::abs(value);
    error_.median = percentile(off_, 0.5);
    error_.percentile_90 = percentile(off_, 0.9);
    return error_;
  }

 private:
  HeldBackError error_;
  std::vector<double> off_;
};

double relative_error(const FamilyFit& fit, const GpuSpec& gpu, const Measurement& m, double clock, double share) {
  return predict_measurement(fit, gpu, m, clock, share) / m.microseconds - 1;
}

std::vector<HeldBackError> errors_of(const FamilyFit& fit, const GpuSpec& gpu, const Split& rows, double clock,
                                     double share) {
  std::map<std::string, ErrorPool> tables;
  for (const Measurement* m : rows.fitted) tables[m->table].fitted();
  for (const Measurement* m : rows.held_back) tables[m->table].held_back(relative_error(fit, gpu, *m, clock, share));
  std::vector<HeldBackError> errors;
  for (auto& [table, pool] : tables) errors.push_back(pool.result(table));
  return errors;
}

Source joined_source(const CalibrationInput& input, const Rows& rows) {
  std::map<std::string, bool> tables;
  for (const Measurement* m : rows) tables[m->table] = true;
  Source source;
  for (const auto& [table, unused] : tables) {
    const auto found = input.table_sources.find(table);
    if (found == input.table_sources.end()) continue;
    source.text += (source.text.empty() ? "" : "; ") + found->second.text;
    source.date = std::max(source.date, found->second.date);
  }
  return source;
}

const FamilyFit* find_fit(const KernelCalibration& calibration, KernelFamily family, const std::string& gpu) {
  for (const FamilyFit& fit : calibration.fits)
    if (fit.family == family && fit.gpu == gpu && fit.variant.empty()) return &fit;
  return nullptr;
}

/// Variants that differ in links or memory only: what was measured on one tells of the other.
bool same_compute(const FamilyFit& fit, const GpuSpec& gpu) {
  return std::abs(fit.bf16_peak_per_sm / (gpu.bf16_peak / gpu.sms) - 1) < 0.05;
}

FamilyFit empty_fit(KernelFamily family, const GpuSpec& gpu) {
  FamilyFit fit;
  fit.family = family;
  fit.gpu = gpu.name;
  fit.architecture = gpu.architecture;
  fit.clock = gpu.boost_clock;
  fit.bf16_peak_per_sm = gpu.bf16_peak / gpu.sms;
  fit.sms = gpu.sms;
  fit.hbm_bandwidth = gpu.hbm_bandwidth;
  return fit;
}

/// Few points cannot tell all numbers of a formula: they start from a fit of the same chip under another name
/// (H800 from H100) and stay near it.
constexpr std::size_t kFewRows = 12, kSomeRows = 60;
constexpr double kLoosePull = 0.05, kFirmPull = 0.4;

FamilyFit fit_alone(const CalibrationInput& input, const KernelCalibration& so_far, const FitKey& key,
                    const Rows& rows) {
  const KernelFamily family = key.family;
  const GpuSpec& gpu = gpu_named(input, key.gpu);
  FamilyFit fit = empty_fit(family, gpu);
  fit.variant = key.variant;
  const Split parts = split(rows, input.seed);
  const std::vector<bool> free = free_parameters(family, parts.fitted);
  std::vector<double> start = start_of(family, free);
  double pull = kLoosePull;
  const FamilyFit* base = find_fit(so_far, family, gpu.base);
  if (base != nullptr && same_compute(*base, gpu) && rows.size() < kSomeRows) {
    const double trap = start.size() > kTrap ? start[kTrap] : 0;
    start = base->parameters;
    if (group(family) == "GEMM") start[kTrap] = trap;
    pull = kFirmPull;
  }
  fit.parameters = fit_parameters(family, parts.fitted, gpu, free, start, pull, 1, 0);
  fit.residual = fit_residual(family, parts.fitted, gpu, fit.parameters, 1, 0);
  fit.errors = errors_of(fit, gpu, parts, 1, 0);
  fit.source = joined_source(input, rows);
  return fit;
}

/// The share of HBM that communication takes: the one number that brings the GEMMs of the training profile,
/// priced by the fit of kernels measured alone and at the sustained clock, nearest to their times.
double communication_share(const CalibrationInput& input, const KernelCalibration& calibration) {
  const auto leaves_enough = [&](double share) {
    return std::all_of(input.memory.begin(), input.memory.end(), [&](const MemoryMeasurement& m) {
      const GpuSpec& gpu = gpu_named(input, input.memory_gpu);
      if (m.bytes < 3 * gpu.l2_capacity.value()) return true;  // partly served by L2
      return m.bytes / m.microseconds <=
             kFastestStreamPercent / 100.0 * machine_of(gpu, Precision::bf16, {m.sms, 1, share}).hbm_bytes_per_us;
    });
  };
  const auto misfit = [&](double share) {
    double sum = 0;
    for (const Measurement& m : input.measurements) {
      if (!m.in_training || !std::holds_alternative<GemmShape>(m.shape)) continue;
      for (const FamilyFit& fit : calibration.fits) {
        if (fit.gpu != m.gpu || fit.family != family_of(m) || !fit.variant.empty()) continue;
        const double off = std::log(
            predict_measurement(fit, gpu_named(input, m.gpu), m, input.sustained_clock.value, share) / m.microseconds);
        sum += std::abs(off);
      }
    }
    return sum;
  };
  double best = 0;
  for (int percent = 0; percent <= 100 && leaves_enough(percent / 100.0); ++percent)
    if (misfit(percent / 100.0) < misfit(best)) best = percent / 100.0;
  return best;
}

/// Families with few points, most of them from the training profile: their own matrix efficiency (for weight
/// gradients also what a tile costs beside its products: it reads and writes FP32), everything else from a
/// family that was measured more.
FamilyFit fit_few(const CalibrationInput& input, KernelFamily family, const GpuSpec& gpu, const Rows& rows,
                  const FamilyFit& like, double share) {
  FamilyFit fit = empty_fit(family, gpu);
  const Split parts = split(rows, input.seed);
  std::vector<bool> free(parameters_of(family).size(), false);
  free[0] = true;
  if (family == KernelFamily::weight_gradient) free[4] = free[5] = true;
  fit.parameters =
      fit_parameters(family, parts.fitted, gpu, free, like.parameters, kLoosePull, input.sustained_clock.value, share);
  fit.errors = errors_of(fit, gpu, parts, input.sustained_clock.value, share);
  fit.source = joined_source(input, rows);
  return fit;
}

/// The family whose numbers a family with few points borrows.
KernelFamily like(KernelFamily family) {
  if (family == KernelFamily::weight_gradient) return KernelFamily::gemm_fp8_blocks;
  if (family == KernelFamily::attention_backward) return KernelFamily::attention_forward;
  return family;
}

/// From launch to finish of the smallest kernels: the median of those of the class, or, where none was
/// measured small, of all.
Seconds shortest(const CalibrationInput& input, MemoryKernel kernel) {
  constexpr Seconds kUnmeasured(2.5e-6);  // no small kernel at all: between the 2 and 3 us that Hopper shows
  std::vector<double> own, all;
  for (const ShortestMeasurement& m : input.shortest) {
    all.push_back(m.microseconds);
    if (m.kernel == kernel) own.push_back(m.microseconds);
  }
  if (all.empty()) return kUnmeasured;
  return Seconds(std::round(10 * percentile(own.empty() ? all : own, 0.5)) * 1e-7);
}

/// What the profile's memory-bound kernels of a class say: the reachable fraction of HBM, beside a minimum
/// that only small kernels can tell.
MemoryClassFit fit_memory_class(const CalibrationInput& input, MemoryKernel kernel, const GpuSpec& gpu, double share) {
  MemoryClassFit fit;
  fit.kernel = kernel;
  fit.minimum = shortest(input, kernel);
  const double minimum = fit.minimum.value() * 1e6;
  double best = -1;
  for (int fraction = 10; fraction <= kFastestStreamPercent; ++fraction) {
    double sum = 0;
    for (const MemoryMeasurement& m : input.memory) {
      if (m.kernel != kernel) continue;
      const Machine machine = machine_of(gpu, Precision::bf16, {m.sms, 1, share});
      const double us = minimum + m.bytes / (machine.hbm_bytes_per_us * fraction / 100);
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
    const Machine machine = machine_of(gpu, Precision::bf16, {m.sms, 1, share});
    const double us = fit.minimum.value() * 1e6 + m.bytes / (machine.hbm_bytes_per_us * fit.hbm_fraction);
    off.push_back(std::abs(us / m.microseconds - 1));
  }
  fit.median_error = percentile(off, 0.5);
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
    fit.minimum = shortest(input, missing);
    fit.launches = 0;
    fit.source = {"as " + std::string(name(like)) + ": not measured", fit.source.date, false};
    classes.push_back(std::move(fit));
  }
}

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
    classes.back().source = input.memory_source;
  }
  borrow_classes(input, classes);
  return classes;
}

/// All held-back rows of what is priced, by family and by kind of kernel.
std::vector<HeldBackError> pooled_errors(const CalibrationInput& input, const KernelCalibration& calibration,
                                         const std::map<FitKey, Rows>& families) {
  std::map<KernelFamily, ErrorPool> by_family;
  std::map<std::string, ErrorPool> by_group;
  for (const auto& [key, rows] : families) {
    const FamilyFit* fit = key.variant.empty() ? find_fit(calibration, key.family, key.gpu) : nullptr;
    if (fit == nullptr) continue;
    const Split parts = split(rows, input.seed);
    ErrorPool& family = by_family[key.family];
    ErrorPool& kind = by_group[std::string(group(key.family))];
    for (std::size_t i = 0; i < parts.fitted.size(); ++i) family.fitted(), kind.fitted();
    for (const Measurement* m : parts.held_back) {
      const double off = relative_error(*fit, gpu_named(input, key.gpu), *m, input.sustained_clock.value,
                                        calibration.communication_hbm_share.value);
      family.held_back(off);
      kind.held_back(off);
    }
  }
  std::vector<HeldBackError> pooled;
  for (auto& [family, pool] : by_family) pooled.push_back(pool.result(std::string(name(family))));
  for (auto& [kind, pool] : by_group) pooled.push_back(pool.result("all " + kind));
  return pooled;
}

Rows profile_rows(const CalibrationInput& input) {
  Rows rows;
  for (const Measurement& m : input.measurements)
    if (m.in_training) rows.push_back(&m);
  return rows;
}

}  // namespace

bool held_back(const Measurement& measurement, std::uint64_t seed) { return draw(measurement, seed) < kHeldBack; }

double predict_measurement(const FamilyFit& fit, const GpuSpec& gpu, const Measurement& m, double sustained_clock,
                           double communication_share) {
  const Machine machine = machine_for(m, gpu, sustained_clock, communication_share);
  double us = formula(fit.parameters, machine, m);
  if (!fit.residual.empty()) {
    std::array<double, kMostCoordinates> at{};
    std::visit([&](const auto& shape) { coordinates_of(shape, at.data()); }, m.shape);
    us *= std::exp(fit.residual.at(at).correction);
  }
  return us + beside(fit.parameters, machine, m);
}

KernelCalibration calibrate_kernels(const CalibrationInput& input) {
  KernelCalibration calibration;
  calibration.date = input.date;
  calibration.seed = input.seed;
  calibration.kernel_gap_us = input.kernel_gap_us;
  calibration.sustained_clock = input.sustained_clock;

  std::map<FitKey, Rows> families;
  for (const Measurement& m : input.measurements)
    if (!m.in_training) families[{family_of(m), m.gpu, m.variant}].push_back(&m);
  // Large families first: small ones lean on them.
  std::vector<std::pair<FitKey, Rows>> ordered(families.begin(), families.end());
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
  for (const auto& [key, rows] : ordered)
    if (rows.size() >= kFewRows) calibration.fits.push_back(fit_alone(input, calibration, key, rows));
  calibration.communication_hbm_share.value = communication_share(input, calibration);
  calibration.communication_hbm_share.source = joined_source(input, profile_rows(input));

  for (const Measurement& m : input.measurements)
    if (m.in_training && find_fit(calibration, family_of(m), m.gpu) == nullptr)
      families[{family_of(m), m.gpu, ""}].push_back(&m);
  for (const auto& [key, rows] : families) {
    const GpuSpec& gpu = gpu_named(input, key.gpu);
    if (!key.variant.empty() || find_fit(calibration, key.family, gpu.name) != nullptr) continue;
    const FamilyFit* lender = find_fit(calibration, like(key.family), gpu.name);
    if (lender == nullptr) lender = find_fit(calibration, like(key.family), gpu.base);
    if (lender != nullptr) {
      const FamilyFit copy = *lender;
      calibration.fits.push_back(
          fit_few(input, key.family, gpu, rows, copy, calibration.communication_hbm_share.value));
    }
  }
  std::sort(calibration.fits.begin(), calibration.fits.end(), [](const FamilyFit& a, const FamilyFit& b) {
    return std::tie(a.family, a.gpu, a.variant) < std::tie(b.family, b.gpu, b.variant);
  });
  calibration.pooled = pooled_errors(input, calibration, families);
  calibration.memory_classes = fit_memory_classes(input, calibration.communication_hbm_share.value);
  return calibration;
}

}  // namespace flopcast
