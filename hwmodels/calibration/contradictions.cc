#include "hwmodels/calibration/contradictions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "hwmodels/calibration/fit_memory.h"
#include "hwmodels/kernels/kernel_formulas.h"

namespace flopcast {
namespace {

constexpr double kOwnSpread = 1.5, kDieSpread = 2;
constexpr std::size_t kShown = 5;

using ShapeKey = std::vector<std::int64_t>;

ShapeKey key_of(const GemmShape& s) {
  return {0,
          static_cast<int>(s.kind),
          s.m,
          s.n,
          s.k,
          s.groups,
          static_cast<int>(s.precision),
          static_cast<int>(s.scaling),
          static_cast<int>(s.output),
          s.vendor_library};
}
ShapeKey key_of(const AttentionShape& s) {
  return {1,
          static_cast<int>(s.kind),
          s.batch,
          s.query_length,
          s.kv_length,
          s.query_heads,
          s.kv_heads,
          s.qk_dim,
          s.v_dim,
          s.causal,
          s.latent,
          static_cast<int>(s.precision),
          static_cast<int>(s.kv_precision)};
}
ShapeKey key_of(const LatentBlockShape& s) {
  return {2,
          s.batch,
          s.query_length,
          s.kv_length,
          s.heads,
          s.hidden,
          s.q_rank,
          s.tensorrt,
          static_cast<int>(s.precision),
          static_cast<int>(s.kv_precision)};
}

using TableOnChip = std::pair<std::string, std::string>;

void add(std::map<TableOnChip, Contradiction>& found, const Measurement& m) {
  Contradiction& c = found[{m.table, m.gpu}];
  c.table = m.table;
  c.gpu = m.gpu;
  ++c.count;
  if (c.rows.size() < kShown) c.rows.push_back(m.row);
}

/// What was found, table by table, each with what is wrong with its rows.
template <class Sentence>
std::vector<Contradiction> listed(std::map<TableOnChip, Contradiction> found, Sentence sentence) {
  std::vector<Contradiction> out;
  for (auto& [table, c] : found) {
    c.what = sentence(table);
    out.push_back(std::move(c));
  }
  return out;
}

/// Rows of one table that were measured alike and are not.
std::vector<Contradiction> own(const CalibrationInput& input) {
  std::map<std::tuple<std::string, std::string, ShapeKey>, std::vector<const Measurement*>> alike;
  for (const Measurement& m : input.measurements) {
    if (!m.variant.empty() || m.in_training) continue;
    alike[{m.table, m.gpu, std::visit([](const auto& s) { return key_of(s); }, m.shape)}].push_back(&m);
  }
  std::map<TableOnChip, Contradiction> found;
  std::map<TableOnChip, double> widest;
  for (const auto& [key, rows] : alike) {
    const auto [low, high] = std::minmax_element(
        rows.begin(), rows.end(), [](const auto* a, const auto* b) { return a->microseconds < b->microseconds; });
    const double ratio = (*high)->microseconds / (*low)->microseconds;
    if (ratio < kOwnSpread) continue;
    add(found, **low);
    add(found, **high);
    double& most = widest[{(*low)->table, (*low)->gpu}];
    most = std::max(most, ratio);
  }
  return listed(std::move(found), [&](const TableOnChip& table) {
    return fmt::format("have the shape of another row and differ by up to {:.1f} times", widest[table]);
  });
}

/// Rows that their die's fit does not understand.
std::vector<Contradiction> against_die(const CalibrationInput& input, const KernelCalibration& calibration) {
  std::map<TableOnChip, Contradiction> found;
  for (const Measurement& m : input.measurements) {
    if (!m.variant.empty() || m.in_training) continue;
    const GpuSpec& gpu = gpu_named(input, m.gpu);
    const KernelFamily family = std::visit([](const auto& s) { return family_of(s); }, m.shape);
    for (const FamilyFit& fit : calibration.fits) {
      if (fit.family != family || fit.die.name != die_of(gpu).name || !fit.variant.empty()) continue;
      const double us =
          predict_measurement(fit, gpu, m, input.sustained_clock.value, calibration.communication_hbm_share.value);
      if (std::abs(std::log(us / m.microseconds)) > std::log(kDieSpread)) add(found, m);
    }
  }
  return listed(std::move(found), [](const TableOnChip&) {
    return std::string("are more than twice as fast or slow as the fit of their die");
  });
}

/// Rows that would have to read their operands faster than memory delivers them.
std::vector<Contradiction> against_memory(const CalibrationInput& input) {
  constexpr double kManyL2 = 4, kAboveDataSheet = 1.25;  // a quarter may come from L2
  std::map<TableOnChip, Contradiction> found;
  std::map<TableOnChip, double> fastest;
  for (const Measurement& m : input.measurements) {
    const GpuSpec& gpu = gpu_named(input, m.gpu);
    const double bytes = std::visit([](const auto& s) { return least_bytes(s); }, m.shape);
    const double rate = bytes / m.microseconds / hbm_bytes_per_us(gpu, {});
    if (bytes < kManyL2 * gpu.l2_capacity.value() || rate < kAboveDataSheet) continue;
    add(found, m);
    double& most = fastest[{m.table, m.gpu}];
    most = std::max(most, rate);
  }
  return listed(std::move(found), [&](const TableOnChip& table) {
    return fmt::format("read their operands at up to {:.1f} times the bandwidth of memory", fastest[table]);
  });
}

}  // namespace

std::vector<Contradiction> find_contradictions(const CalibrationInput& input, const KernelCalibration& calibration) {
  std::vector<Contradiction> all = own(input);
  for (Contradiction& c : against_memory(input)) all.push_back(std::move(c));
  for (Contradiction& c : against_die(input, calibration)) all.push_back(std::move(c));
  return all;
}

}  // namespace flopcast
