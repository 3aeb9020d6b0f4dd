#include "workloads/collectives/link_fit.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <span>

#include "hwmodels/calibration/least_squares.h"
#include "sim/base/diagnostic.h"
#include "sim/base/random.h"
#include "workloads/collectives/link_parameters.h"

namespace flopcast {
namespace {

constexpr int kHoldBack = 5;  // one row of five is kept back from the fit

/// Small collectives show the fixed times, large ones the rate. In between NCCL changes protocol, which is
/// not modelled: the errors of that band are shown.
struct RingBand {
  const char* name;
  Bytes from, to;  ///< bytes per port
};
constexpr RingBand kSmallRings{"rings, to 64 kB per port", Bytes(0), Bytes(64e3)};
constexpr RingBand kMiddleRings{"rings, 64 kB to 64 MB per port", Bytes(64e3), Bytes(64e6)};
constexpr RingBand kLargeRings{"rings, from 64 MB per port", Bytes(64e6), Bytes(1e15)};

const NodeSpec& node_of(const std::map<std::string, NodeSpec>& nodes, const std::string& gpu) {
  const auto found = nodes.find(gpu);
  if (found == nodes.end())
    throw InputError(
        Diagnostic{"", 0, 0, "calibrate", "measurements of " + gpu, "a node of the library with that GPU", ""});
  return found->second;
}

bool held_back(std::size_t row, std::uint64_t seed) { return RandomStream(seed, row).next() % kHoldBack == 0; }

/// Rows of a group share one vote, so that a table of hundreds does not drown four published figures.
std::vector<double> weights_by_group(const std::vector<std::string>& groups) {
  std::map<std::string, double> size;
  for (const std::string& group : groups) size[group] += 1;
  std::vector<double> weights;
  for (const std::string& group : groups)
    weights.push_back(std::sqrt(static_cast<double>(groups.size()) / static_cast<double>(size.size()) / size[group]));
  return weights;
}

/// Minimises log(predicted / measured) over the given constants of `links`.
void fit(std::span<const FittedLink> fitted, const std::vector<std::string>& groups, LinkCalibration& links,
         const std::function<void(const LinkCalibration&, std::span<double>)>& log_errors) {
  std::vector<ParameterInfo> parameters;
  LeastSquaresProblem problem;
  for (const FittedLink& f : fitted) {
    parameters.push_back(f.info);
    problem.start.push_back(f.info.start);
  }
  const auto put = [&](std::span<const double> values, LinkCalibration& into) {
    for (std::size_t i = 0; i < fitted.size(); ++i) (into.*(fitted[i].field)).value = values[i];
  };
  problem.parameters = parameters;
  problem.free.assign(fitted.size(), true);
  problem.weights = weights_by_group(groups);
  problem.pull = 1e-4;
  problem.residuals = [&](std::span<const double> values, std::span<double> residuals) {
    LinkCalibration candidate = links;
    put(values, candidate);
    log_errors(candidate, residuals);
  };
  put(solve(problem), links);
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

LinkFitError summarise(const std::string& table, const std::string& group, const std::vector<double>& ratios,
                       const std::vector<bool>& held, bool fitted) {
  LinkFitError error;
  error.table = table;
  error.group = group;
  error.fitted = fitted;
  error.rows = static_cast<int>(ratios.size());
  std::vector<double> signed_errors;
  for (std::size_t i = 0; i < ratios.size(); ++i)
    if (held[i]) signed_errors.push_back(ratios[i] - 1);
  error.held_back = static_cast<int>(signed_errors.size());
  if (signed_errors.empty())
    for (const double ratio : ratios) signed_errors.push_back(ratio - 1);
  error.bias = median_of(signed_errors);
  for (double& e : signed_errors) e = std::abs(e);
  std::sort(signed_errors.begin(), signed_errors.end());
  error.median = median_of(signed_errors);
  error.percentile_90 = signed_errors[std::min(signed_errors.size() - 1, signed_errors.size() * 9 / 10)];
  return error;
}

std::string group_of(const ExpertMeasurement& m) {
  return m.gpu + ", " + std::to_string(m.nodes) + (m.nodes == 1 ? " node" : " nodes") +
         (m.op == ExpertOp::dispatch ? ", dispatch" : ", combine");
}

/// Small published groups are fitted whole: of two figures none can be spared.
bool keeps_back(const ExpertMeasurement& m) { return !m.reported_GBps.has_value(); }

class ExpertFit {
 public:
  ExpertFit(const LinkMeasurements& all, const std::map<std::string, NodeSpec>& nodes, std::uint64_t seed)
      : all_(all), nodes_(nodes), seed_(seed) {
    for (std::size_t i = 0; i < all.experts.size(); ++i)
      if (takes_part(i)) rows_.push_back(i);
  }

  void run(LinkCalibration& links) const {
    std::vector<std::string> groups;
    for (const std::size_t row : rows_) groups.push_back(group_of(all_.experts[row]));
    fit(expert_parameters(), groups, links, [this](const LinkCalibration& candidate, std::span<double> errors) {
      for (std::size_t i = 0; i < rows_.size(); ++i) errors[i] = std::log(ratio(rows_[i], candidate));
    });
    links.notify_per_doubling_us.value = notify_per_doubling();
    links.dispatch_overlap_slowdown.value = overlap_slowdown(ExpertOp::dispatch, links);
    links.combine_overlap_slowdown.value = overlap_slowdown(ExpertOp::combine, links);
  }

  std::vector<LinkFitError> errors(const LinkCalibration& links) const {
    struct Group {
      std::string table;
      std::vector<double> ratios;
      std::vector<bool> held;
      bool fitted;
    };
    std::map<std::string, Group> groups;
    for (std::size_t i = 0; i < all_.experts.size(); ++i) {
      const ExpertMeasurement& m = all_.experts[i];
      Group& group = groups[m.table + ": " + group_of(m)];
      group.table = m.table;
      group.ratios.push_back(ratio(i, links));
      group.held.push_back(m.usable && !m.overlapped && is_held_back(i));
      group.fitted = m.usable;
    }
    std::vector<LinkFitError> result;
    for (const auto& [name, g] : groups)
      result.push_back(summarise(g.table, name.substr(g.table.size() + 2), g.ratios, g.held, g.fitted));
    return result;
  }

 private:
  bool is_held_back(std::size_t i) const { return keeps_back(all_.experts[i]) && held_back(i, seed_); }
  bool takes_part(std::size_t i) const {
    const ExpertMeasurement& m = all_.experts[i];
    return m.usable && !m.overlapped && !is_held_back(i);
  }

  double ratio(std::size_t i, const LinkCalibration& links) const {
    const ExpertMeasurement& m = all_.experts[i];
    return predict(m, node_of(nodes_, m.gpu), links).transmit / m.transmit;
  }

  /// Median over batches so small that no rank waits for another's transfer.
  double notify_per_doubling() const {
    std::vector<double> per_doubling;
    for (const ExpertMeasurement& m : all_.experts)
      if (m.notify && m.nodes > 1 && m.transmit < Seconds(100e-6))
        per_doubling.push_back(m.notify->value() * 1e6 / std::log2(m.nodes));
    return per_doubling.empty() ? 0.0 : median_of(per_doubling);
  }

  /// Measured over predicted transfer time in the profile, set-up taken off; geometric mean of forward and
  /// backward.
  double overlap_slowdown(ExpertOp op, LinkCalibration links) const {
    const Seconds setup(1e-6 * (op == ExpertOp::dispatch ? links.dispatch_setup_us : links.combine_setup_us).value);
    links.dispatch_overlap_slowdown.value = links.combine_overlap_slowdown.value = 1.0;
    double sum = 0;
    int count = 0;
    for (const ExpertMeasurement& m : all_.experts) {
      if (!m.overlapped || m.op != op) continue;
      const Seconds alone = predict(m, node_of(nodes_, m.gpu), links).transmit - setup;
      sum += std::log((m.transmit - setup) / alone);
      ++count;
    }
    return count == 0 ? 1.0 : std::exp(sum / count);
  }

  const LinkMeasurements& all_;
  const std::map<std::string, NodeSpec>& nodes_;
  std::uint64_t seed_;
  std::vector<std::size_t> rows_;  // that are fitted on
};

class RingFit {
 public:
  RingFit(const std::vector<RingMeasurement>& all, const std::map<std::string, NodeSpec>& nodes, std::uint64_t seed)
      : all_(all), nodes_(nodes), seed_(seed) {}

  void run(LinkCalibration& links) const {
    fit_band(ring_time_parameters(), kSmallRings, links);
    fit_band(ring_rate_parameters(), kLargeRings, links);
  }

  void add_errors(const LinkCalibration& links, std::vector<LinkFitError>& errors) const {
    for (const RingBand& band : {kSmallRings, kMiddleRings, kLargeRings}) {
      std::map<std::string, std::pair<std::vector<double>, std::vector<bool>>> by_table;
      for (const std::size_t row : rows_in(band)) {
        auto& [ratios, held] = by_table[all_[row].table];
        ratios.push_back(ratio(row, links));
        held.push_back(held_back(row, seed_));
      }
      for (const auto& [table, rows] : by_table) {
        const bool fitted = band.name != kMiddleRings.name && table.find("pairs") == std::string::npos;
        errors.push_back(summarise(table, band.name, rows.first, rows.second, fitted));
      }
    }
  }

 private:
  std::vector<std::size_t> rows_in(const RingBand& band) const {
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (all_[i].through > band.from && all_[i].through <= band.to) rows.push_back(i);
    return rows;
  }

  void fit_band(std::span<const FittedLink> fitted, const RingBand& band, LinkCalibration& links) const {
    std::vector<std::size_t> rows;
    std::vector<std::string> groups;
    for (const std::size_t row : rows_in(band)) {
      if (held_back(row, seed_) || !all_[row].usable) continue;
      rows.push_back(row);
      groups.push_back(all_[row].table);
    }
    fit(fitted, groups, links, [&](const LinkCalibration& candidate, std::span<double> errors) {
      for (std::size_t i = 0; i < rows.size(); ++i) errors[i] = std::log(ratio(rows[i], candidate));
    });
  }

  double ratio(std::size_t row, const LinkCalibration& links) const {
    return predict(all_[row], node_of(nodes_, all_[row].gpu), links) / all_[row].time;
  }

  const std::vector<RingMeasurement>& all_;
  const std::map<std::string, NodeSpec>& nodes_;
  std::uint64_t seed_;
};

class NcclFit {
 public:
  NcclFit(const std::vector<NcclMeasurement>& all, const std::map<std::string, NodeSpec>& nodes, std::uint64_t seed)
      : all_(all), nodes_(nodes), seed_(seed) {}

  void run(LinkCalibration& links) const {
    const auto is = [](NcclOp op) { return [op](const NcclMeasurement& m) { return m.op == op && !m.direct; }; };
    fit_rows(nccl_parameters(), links, [](const NcclMeasurement& m) {
      return !m.direct && m.op != NcclOp::all_to_all && m.op != NcclOp::send_recv;
    });
    fit_rows(exchange_parameters(), links, is(NcclOp::all_to_all));
    fit_rows(message_parameters(), links, is(NcclOp::send_recv));
    fit_rows(direct_parameters(), links, [](const NcclMeasurement& m) { return m.direct; });
  }

  /// By table, GPU and operation: from 64 kB, where the bar is, and below.
  void add_errors(const LinkCalibration& links, std::vector<LinkFitError>& errors) const {
    struct Group {
      std::string table, name;
      std::vector<double> ratios;
      std::vector<bool> held;
      bool fitted = true;
    };
    std::map<std::string, Group> groups;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      const NcclMeasurement& m = all_[i];
      const std::string what = group_name(m);
      Group& group = groups[what + m.table];
      group.table = m.table;
      group.name = what;
      group.ratios.push_back(ratio(i, links));
      group.held.push_back(m.usable && held_back(i, seed_));
      group.fitted = m.usable;
    }
    for (const auto& [key, g] : groups) errors.push_back(summarise(g.table, g.name, g.ratios, g.held, g.fitted));
  }

  /// Over all tables that were fitted on, by GPU and operation.
  std::vector<HeldBackError> held_back_errors(const LinkCalibration& links) const {
    struct Group {
      std::vector<double> ratios;
      std::vector<bool> held;
    };
    std::map<std::string, Group> groups;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (!all_[i].usable) continue;
      Group& group = groups[group_name(all_[i])];
      group.ratios.push_back(ratio(i, links));
      group.held.push_back(held_back(i, seed_));
    }
    std::vector<HeldBackError> result;
    for (const auto& [key, g] : groups) {
      const LinkFitError e = summarise("", key, g.ratios, g.held, true);
      result.push_back({key, e.rows - e.held_back, e.held_back, e.median, e.percentile_90, e.bias});
    }
    return result;
  }

 private:
  static std::string group_name(const NcclMeasurement& m) {
    constexpr Bytes kBarred(65536);
    return m.gpu.substr(0, m.gpu.find('-')) + (m.direct ? " direct " : " ") + std::string(name(m.op)) +
           (m.bytes < kBarred ? " < 64 kB" : " >= 64 kB");
  }

  template <class Wanted>
  void fit_rows(std::span<const FittedLink> fitted, LinkCalibration& links, const Wanted& wanted) const {
    std::vector<std::size_t> rows;
    std::vector<std::string> groups;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (!all_[i].usable || held_back(i, seed_) || !wanted(all_[i])) continue;
      rows.push_back(i);
      groups.push_back(all_[i].table + all_[i].gpu);
    }
    if (rows.empty()) return;
    fit(fitted, groups, links, [&](const LinkCalibration& candidate, std::span<double> errors) {
      for (std::size_t i = 0; i < rows.size(); ++i) errors[i] = std::log(ratio(rows[i], candidate));
    });
  }

  double ratio(std::size_t row, const LinkCalibration& links) const {
    return predict(all_[row], node_of(nodes_, all_[row].gpu), links) / all_[row].time;
  }

  const std::vector<NcclMeasurement>& all_;
  const std::map<std::string, NodeSpec>& nodes_;
  std::uint64_t seed_;
};

}  // namespace

ExpertTime predict(const ExpertMeasurement& m, const NodeSpec& node, const LinkCalibration& links) {
  ExpertSetting setting;
  setting.nic = node.nics_of_gpu();
  setting.nvlink = node.nvlink_bandwidth;
  setting.nodes = m.nodes;
  setting.op = m.op;
  setting.overlapped = m.overlapped;
  setting.sms = m.sms;
  return expert_time(setting, m.traffic, links);
}

Seconds predict(const RingMeasurement& m, const NodeSpec& node, const LinkCalibration& links) {
  return Seconds(1e-6 * (links.ring_launch_us.value + links.ring_step_us.value * m.steps)) +
         m.through / (node.nvlink_bandwidth * links.ring_nvlink_efficiency.value);
}

Seconds predict(const NcclMeasurement& m, const NodeSpec& node, const LinkCalibration& links) {
  ClusterSpec cluster;
  cluster.node = node;
  const NcclGroup group = even_group(1, m.gpus);
  const NcclTime time =
      m.direct ? direct_all_reduce(group, m.bytes, cluster, links) : choose_nccl(m.op, group, m.bytes, cluster, links);
  return time.total();
}

LinkFit fit_links(const LinkMeasurements& measurements, const std::map<std::string, NodeSpec>& nodes,
                  std::uint64_t seed) {
  if (!measurements.missing.empty())
    throw InputError(Diagnostic{"", 0, 0, "calibrate", "no such table: " + measurements.missing.front(),
                                "every table that the link constants are fitted on", ""});
  LinkFit result;
  const ExpertFit experts(measurements, nodes, seed);
  experts.run(result.calibration);
  result.errors = experts.errors(result.calibration);
  const RingFit rings(measurements.rings, nodes, seed);
  rings.run(result.calibration);
  rings.add_errors(result.calibration, result.errors);
  const NcclFit nccl(measurements.nccl, nodes, seed);
  nccl.run(result.calibration);
  nccl.add_errors(result.calibration, result.errors);
  result.calibration.held_back = nccl.held_back_errors(result.calibration);
  std::set<std::string> architectures;
  const auto note = [&](const auto& rows) {
    for (const auto& row : rows)
      if (row.usable) architectures.insert(nodes.at(row.gpu).gpu.architecture);
  };
  note(measurements.experts);
  note(measurements.rings);
  note(measurements.nccl);
  result.calibration.architectures.assign(architectures.begin(), architectures.end());
  set_published_network(result.calibration);
  name_sources(result.calibration);
  result.notes = {
      "DeepEP on 8 H100 nodes is shown, not fitted on: its goodput per NIC is a third of that on 4 nodes "
      "whatever the "
      "SMs and tokens, and ranks wait milliseconds in notify; the published 8-node figures on H800 are "
      "fitted instead",
      "apex is shown beside NCCL's tables, not fitted on (but for send and receive, which they lack): whole "
      "microseconds, single runs, and on H100 an older NCCL whose launches take longer",
      "Ratios are to data-sheet rates: NVLink 450 GB/s (H100) and 200 GB/s (H800) per direction, NIC 50 "
      "GB/s"};
  return result;
}

}  // namespace flopcast
